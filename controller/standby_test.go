package controller

import "testing"

// A daemon stands by only while another daemon leads, not while it starts.
func TestStandsBy(t *testing.T) {
	for _, tt := range []struct {
		waits, lead, want bool
	}{{false, false, false}, {false, true, false}, {true, false, true}, {true, true, false}} {
		c := new(Controller)
		if tt.waits {
			c.cfg.Lead = make(chan struct{})
		}
		if got := c.standsBy(&world{lead: tt.lead}); got != tt.want {
			t.Errorf("daemon with a Lead channel: %v, leads: %v: got standsBy %v", tt.waits, tt.lead, got)
		}
	}
}
