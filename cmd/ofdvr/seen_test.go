package main

import (
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
)

// A machine on another host has no port of this host's bridge.
func TestSeenOnAnotherHost(t *testing.T) {
	vlan := uint16(1)
	for want, m := range map[string]api.Machine{
		"another host":     {State: "seen", Remote: true},
		"host h2":          {State: "seen", Remote: true, Host: "h2"},
		"via eth1, VLAN 1": {State: "seen", Remote: true, BridgePort: "eth1", VLAN: &vlan},
		"vm1, VLAN 1":      {State: "seen", BridgePort: "vm1", VLAN: &vlan},
	} {
		if got := seenText(m); got != want {
			t.Errorf("%+v: %q, want %q", m, got, want)
		}
	}
}
