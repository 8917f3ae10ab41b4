package controller

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A daemon that takes over reads the places of machines again, also if the fabric bridge has connected
// anew in the meantime. Until then no router's session leads, and nothing is compiled.
func TestTakeoverReadsPlacesAgain(t *testing.T) {
	c := newController(t)
	c.cfg.Host = "h1"
	m := routing.Model{
		Networks: []routing.Network{{ID: "blue", VNI: 5001, MTU: 1400}},
		Routers: []routing.Router{{ID: "r1", Bridge: routing.Bridge{Managed: true},
			Interfaces: []routing.Interface{{ID: "r1-blue", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 0, 1}}}}},
		Ports: []routing.Port{{ID: "p", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 0, 2}}},
	}
	address := map[string]netip.Addr{"h1": netip.MustParseAddr("192.0.2.1"), "h2": netip.MustParseAddr("192.0.2.2"), "h3": netip.MustParseAddr("192.0.2.3")}
	for _, id := range []string{"h1", "h2", "h3"} {
		m.Hosts = append(m.Hosts, routing.Host{ID: id, Tunnel: routing.Tunnel{Address: address[id]}})
	}
	w := &world{host: "h1", began: time.Now(), dirty: make(map[string]bool), unjudged: make(map[string]bool), waiters: make(map[*waiter]bool), stored: make(hosts.Stored)}
	c.setIntent(w, &ledger.Intent{Revision: 1, Layout: 1, Complete: true, Index: routing.NewIndex(&m)}, nil)
	session := func(bridge, at string) *session {
		return &session{bridge: bridge, log: c.log, ports: newPortTable(), can: compile.CanAll, promote: make(chan struct{}, 1), announcements: newAnnouncements(),
			places: []ofproto.FlowStats{{Flow: ofproto.Flow{Cookie: compile.CookieOf(routing.Object{Kind: routing.KindPort, ID: "p"}, compile.RoleTunnelOut),
				Do: ofproto.Do(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.SetField{Field: ofproto.TunDst(address[at])})})}}}}
	}
	place := func(want, when string) {
		t.Helper()
		if p, _ := w.placed.Port("p"); p.Host != want {
			t.Errorf("%s: the machine is on %q, want %q", when, p.Host, want)
		}
	}
	router := session("rb-r1", "h2")
	c.attach(w, w.routers["r1"], router)
	c.attach(w, w.fabric, session(routing.FabricBridge, "h2"))
	c.compile(w)
	place("h2", "while it stands by")
	w.fabric.attached(nil) // its connection ends, and the machine moves

	w.takeOver()
	c.compile(w)
	if len(router.promote) > 0 {
		t.Error("the router's session leads before the places are known")
	}
	again := session(routing.FabricBridge, "h3")
	again.probed = true
	c.attach(w, w.fabric, again)
	c.compile(w)
	place("h3", "after the takeover")
	if len(router.promote) == 0 {
		t.Error("the router's session does not lead")
	}
}
