package ovsdb

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// If a port moves to another bridge, it is removed first. It is inserted after ovs-vswitchd
// has confirmed its removal.
func TestMovedPortsWait(t *testing.T) {
	iface := Interface{ID: "i", MAC: "02:00:00:00:00:01", Patch: "pr-i", Peer: "pi-i", Tap: "qr-i"}
	desired := func(router string) Desired {
		return Desired{IntegrationBridge: "br-int", Controller: "tcp:1.2.3.4:6653",
			Bridges: []Bridge{{Router: router, Name: "rb-" + router, DatapathID: 1, Interfaces: []Interface{iface}}}}
	}
	ours := func(router string) map[string]string {
		return map[string]string{KeyOwner: Owner, KeyRouter: router, KeyInterface: "i"}
	}
	port := func(name, router string) PortRow {
		return PortRow{UUID: "p-" + name, Name: name, ExternalIDs: ours(router), Interfaces: []InterfaceRow{{UUID: "i-" + name, Name: name, OFPort: 1}}}
	}
	before := State{Root: "root", NextCfg: 5, CurCfg: 5, Bridges: []BridgeRow{
		{UUID: "b1", Name: "br-int", Ports: []PortRow{port("pi-i", "a")}},
		{UUID: "b2", Name: "rb-a", ExternalIDs: map[string]string{KeyOwner: Owner, KeyRouter: "a"}, Ports: []PortRow{port("pr-i", "a"), port("qr-i", "a")}},
	}}
	m := make(moves)
	plan, _ := Plan(before, desired("b"))
	now, leaving, waiting := m.hold(before, plan, nil)
	slices.Sort(leaving)
	if got := fmt.Sprint(leaving); got != "[pr-i qr-i]" || len(waiting) != 2 || waiting[0].Kind != Moving {
		t.Errorf("leaving %v, waiting %v", leaving, waiting)
	}
	if got := inserted(now); strings.Contains(got, "pr-i") || strings.Contains(got, "qr-i") || !strings.Contains(got, "rb-b") {
		t.Errorf("inserted %s", got)
	}
	m.wait(leaving, State{NextCfg: 6})

	between := State{Root: "root", NextCfg: 6, CurCfg: 5, Bridges: []BridgeRow{
		{UUID: "b1", Name: "br-int", Ports: []PortRow{port("pi-i", "b")}},
		{UUID: "b3", Name: "rb-b", ExternalIDs: map[string]string{KeyOwner: Owner, KeyRouter: "b"}},
	}}
	plan, _ = Plan(between, desired("b"))
	for _, c := range []struct {
		next, cur int
		waits     bool
	}{{6, 5, true}, {7, 6, false}, {0, 0, false}} { // the last case is a new database
		m := moves{"pr-i": 6, "qr-i": 6}
		s := between
		s.NextCfg, s.CurCfg = c.next, c.cur
		m.settle(s)
		now, leaving, waiting = m.hold(s, plan, nil)
		if got := strings.Contains(inserted(now), "pr-i"); got == c.waits || len(leaving) > 0 || len(waiting) > 0 != c.waits {
			t.Errorf("at configuration %d of %d: inserted %s, waiting %v", c.cur, c.next, inserted(now), waiting)
		}
	}
	// Our ports can be renewed. Other ports cannot.
	foreign := between
	foreign.Bridges = slices.Clone(foreign.Bridges)
	foreign.Bridges[0].Ports = append(foreign.Bridges[0].Ports, PortRow{UUID: "x", Name: "vm1"})
	_, leaving, _ = m.hold(foreign, nil, map[string]bool{"pi-i": true, "vm1": true, "br-int": true})
	if fmt.Sprint(leaving) != "[pi-i]" {
		t.Errorf("renewed %v", leaving)
	}
}

// inserted names the ports and bridges that ops insert.
func inserted(ops []Op) string {
	var out []string
	for _, o := range ops {
		if o.Verb == Insert {
			out = append(out, o.Row.Name)
		}
	}
	return strings.Join(out, " ")
}
