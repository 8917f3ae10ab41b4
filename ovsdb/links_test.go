package ovsdb_test

import (
	"testing"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// Links returns ovs-vswitchd's reports about interfaces. Values that it does not report are
// empty.
func TestLinks(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int", "--", "add-port", "br-int", "vm1", "--", "add-port", "br-int", "vm2",
		"--", "set", "interface", "vm1", `mac_in_use="02:00:00:00:01:10"`, "admin_state=up", "link_state=down")
	c := s.client()
	state, err := c.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	links, err := c.Links(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := state.Bridge("br-int")
	for name, want := range map[string]ovsdb.Link{"vm1": {MAC: "02:00:00:00:01:10", Admin: "up", Link: "down"}, "vm2": {}} {
		f, _ := b.Interface(name)
		if got, there := links[f.UUID]; !there || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, there, want)
		}
	}
	if len(links) != 3 {
		t.Errorf("%d interfaces: %v", len(links), links)
	}
}
