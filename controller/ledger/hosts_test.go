package ledger_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A host is part of the layout, and affects the routers on networks with a VNI. A host with
// expected ports is deleted only by cascade. Then its ports have no host.
func TestHosts(t *testing.T) {
	carried := blue()
	carried.Networks[0].VNI = 7
	k := open(t, stored(carried), ledger.Config{Complete: true}, nil)
	h1 := ledger.Object{Kind: routing.KindHost, ID: "h1"}
	r := k.must(ledger.Put(routing.Model{Hosts: []routing.Host{{ID: "h1", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.1")}}}}))
	if s := r.Intent; s.Layout != s.Revision || !s.Has(h1) || s.Store().Hosts != 1 || fmt.Sprint(r.Touched) != "[r]" {
		t.Errorf("layout %d at revision %d, %d hosts, affected routers %v", s.Layout, s.Revision, s.Store().Hosts, r.Touched)
	}
	layout := r.Intent.Layout
	p, _ := r.Intent.Index.Port("p")
	p.Host = "h1"
	r = k.must(ledger.Put(routing.Model{Ports: []routing.Port{p}}))
	if r.Intent.Layout != layout || fmt.Sprint(r.Touched) != "[r]" {
		t.Errorf("a change of the port's host: layout %d became %d, affected routers %v", layout, r.Intent.Layout, r.Touched)
	}
	var inUse *routing.InUseError
	if _, err := k.Write(t.Context(), ledger.Delete(h1, false)); !errors.As(err, &inUse) || inUse.Kind != routing.KindHost || inUse.ID != "h1" {
		t.Errorf("deleted: %v", err)
	}
	r = k.must(ledger.Delete(h1, true))
	if p, ok := r.Intent.Index.Port("p"); !ok || p.Host != "" || r.Intent.Has(h1) || r.Intent.Layout != r.Intent.Revision {
		t.Errorf("after the cascade: port %+v, layout %d at revision %d", p, r.Intent.Layout, r.Intent.Revision)
	}
}

// A port that is expected on an unknown host is quarantined until the host exists.
func TestPortWaitsForItsHost(t *testing.T) {
	m := blue()
	m.Ports[0].Host = "h1"
	k := open(t, stored(m), ledger.Config{Complete: true}, nil)
	if got, want := quarantined(k.Intent()), `port "p" of disk: host: unknown host "h1"`; got != want {
		t.Errorf("quarantined %s, want %s", got, want)
	}
	if r := k.must(ledger.Put(routing.Model{Hosts: []routing.Host{{ID: "h1"}}})); quarantined(r.Intent) != "" || !r.Intent.Has(ledger.Object{Kind: routing.KindPort, ID: "p"}) {
		t.Errorf("quarantined %s", quarantined(r.Intent))
	}
}
