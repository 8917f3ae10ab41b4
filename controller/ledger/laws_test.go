package ledger_test

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A whole is the expected intent of three sources. It is computed from all objects, one after
// another in order of precedence.
type whole struct {
	index       *routing.Index
	owner       map[ledger.Object]string
	quarantined map[ledger.Object]string // the name of the source
	reasons     map[ledger.Object]string // one reason per line
}

// A part is the contents of one source.
type part struct {
	name  string
	model routing.Model
}

func joined(parts []part) whole {
	w := whole{new(routing.Index), make(map[ledger.Object]string), make(map[ledger.Object]string), make(map[ledger.Object]string)}
	take := func(p part, kind routing.Kind, n int, one func(int) (string, routing.Model)) {
		byID := make(map[string]routing.Model)
		for i := range n {
			id, m := one(i)
			byID[id] = m
		}
		for _, id := range slices.Sorted(maps.Keys(byID)) {
			o := ledger.Object{Kind: kind, ID: id}
			if _, taken := w.owner[o]; taken {
				continue
			}
			w.owner[o] = p.name
			c := routing.Change{Put: byID[id]}
			if err := w.index.Check(c); err != nil {
				w.quarantined[o], w.reasons[o] = p.name, err.Error()
				continue
			}
			w.index = w.index.With(c)
		}
	}
	for _, p := range parts {
		m := p.model
		take(p, routing.KindHost, len(m.Hosts), func(i int) (string, routing.Model) {
			return m.Hosts[i].ID, routing.Model{Hosts: m.Hosts[i : i+1]}
		})
	}
	for _, p := range parts {
		m := p.model
		take(p, routing.KindNetwork, len(m.Networks), func(i int) (string, routing.Model) {
			return m.Networks[i].ID, routing.Model{Networks: m.Networks[i : i+1]}
		})
	}
	for _, p := range parts {
		m := p.model
		take(p, routing.KindRouter, len(m.Routers), func(i int) (string, routing.Model) {
			return m.Routers[i].ID, routing.Model{Routers: m.Routers[i : i+1]}
		})
		take(p, routing.KindPort, len(m.Ports), func(i int) (string, routing.Model) {
			return m.Ports[i].ID, routing.Model{Ports: m.Ports[i : i+1]}
		})
	}
	return w
}

// drawModel draws objects that often conflict.
func drawModel(t *rapid.T, most int) (m routing.Model) {
	networks := []string{"a", "b", "c"}
	some := func(label string, n int) bool { return rapid.IntRange(0, n).Draw(t, label) == 0 }
	number := func(label string) int { return rapid.IntRange(10, 13).Draw(t, label) }
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom(networks), 0, most, rapid.ID[string]).Draw(t, "networks") {
		n := routing.Network{ID: id, VLAN: uint16(rapid.IntRange(0, 2).Draw(t, "vlan")), MTU: rapid.SampledFrom([]int{1500, 1500, 1000, 1}).Draw(t, "mtu")}
		if some("carried", 1) {
			n.VNI = uint32(rapid.IntRange(1, 3).Draw(t, "vni"))
		}
		m.Networks = append(m.Networks, n)
	}
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"h", "k", "l"}), 0, most, rapid.ID[string]).Draw(t, "hosts") {
		h := routing.Host{ID: id}
		if !some("without a tunnel", 3) {
			h.Tunnel.Address = netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "::1"}).Draw(t, "tunnel"))
		}
		m.Hosts = append(m.Hosts, h)
	}
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"r", "s", "u"}), 0, most, rapid.ID[string]).Draw(t, "routers") {
		r := router(id, rapid.SliceOfNDistinct(rapid.SampledFrom(networks), 1, 2, rapid.ID[string]).Draw(t, "on")...)
		f := &r.Interfaces[0]
		if some("like a port", 2) {
			f.MAC = port("", "", number("mac")).MAC
		}
		if some("IPv6", 2) {
			f.Addresses = append(f.Addresses, netip.MustParsePrefix("fd00::1/64"))
		}
		if some("interface ID", 4) {
			f.ID = "same"
		}
		if some("bridge", 4) {
			r.Bridge.Name = rapid.SampledFrom([]string{"br-same", "br-fabric"}).Draw(t, "bridge name")
		}
		if some("external", 6) {
			r.Bridge.Managed, r.Fallback, r.Bridge.Name = false, routing.FallbackNone, "br-"+id
			for i := range r.Interfaces {
				r.Interfaces[i].PatchPort = "p" + r.Interfaces[i].ID
			}
		}
		if some("one MAC address", 3) {
			for i := range r.Interfaces {
				r.Interfaces[i].MAC = f.MAC
			}
		}
		m.Routers = append(m.Routers, r)
	}
	for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"p", "q", "t", "v"}), 0, most, rapid.ID[string]).Draw(t, "ports") {
		p := port(id, rapid.SampledFrom(networks).Draw(t, "network"), number("mac"))
		p.Addresses = port("", "", number("address")).Addresses
		if some("placed", 2) {
			p.Host = rapid.SampledFrom([]string{"h", "k", "l"}).Draw(t, "host")
		}
		if some("no MAC", 8) {
			p.MAC = ofproto.MAC{}
		}
		m.Ports = append(m.Ports, p)
	}
	return m
}

func drawChange(t *rapid.T) (c routing.Change) {
	c.Put = drawModel(t, 2)
	some := func(ids ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 0, 2, rapid.ID[string]).Draw(t, "delete")
	}
	for id := range slices.Values(some("h", "k", "l")) {
		if !slices.ContainsFunc(c.Put.Hosts, func(h routing.Host) bool { return h.ID == id }) {
			c.Delete.Hosts = append(c.Delete.Hosts, id)
		}
	}
	for id := range slices.Values(some("a", "b", "c")) {
		if !slices.ContainsFunc(c.Put.Networks, func(n routing.Network) bool { return n.ID == id }) {
			c.Delete.Networks = append(c.Delete.Networks, id)
		}
	}
	for id := range slices.Values(some("r", "s", "u")) {
		if !slices.ContainsFunc(c.Put.Routers, func(r routing.Router) bool { return r.ID == id }) {
			c.Delete.Routers = append(c.Delete.Routers, id)
		}
	}
	for id := range slices.Values(some("p", "q", "t", "v")) {
		if !slices.ContainsFunc(c.Put.Ports, func(p routing.Port) bool { return p.ID == id }) {
			c.Delete.Ports = append(c.Delete.Ports, id)
		}
	}
	return c
}

// A machine is a ledger of a file, a hub and a disk, with their contents.
type machine struct {
	t       *rapid.T
	file    *file
	hub     *hub
	disk    *disk
	toHub   bool // writes go to the hub, not to the disk
	l       *ledger.Ledger
	stop    func()
	replica map[ledger.Object]any // objects of a client that follows the events
	since   uint64
	whole   bool // whether the ledger should treat the hub as whole
	partial bool // the hub could not be read
}

func (m *machine) start() {
	cfg := ledger.Config{Sources: []ledger.Source{m.file, m.hub, m.disk}, Write: m.disk, Complete: true, Log: zap.NewNop()}
	if m.toHub {
		cfg.Write = m.hub
	}
	l, err := ledger.Open(context.Background(), cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, discard{})
	}()
	m.l, m.stop = l, func() { cancel(); <-done }
	m.replica, m.since = contentsOf(l.Intent().Index), l.Intent().Revision
	m.partial = m.hub.sick
	m.whole = !m.hub.sick && m.hub.complete && m.hub.model.Len() > 0
	for _, p := range m.disk.model.Ports {
		if _, used := l.Intent().Index.Port(p.ID); used && !m.toHub && slices.ContainsFunc(m.file.first.Model.Ports, func(q routing.Port) bool { return q.ID == p.ID }) {
			m.t.Fatalf("the disk still has port %q, which the file declares", p.ID)
		}
	}
}

type discard struct{}

func (discard) Load(*ledger.Intent, []string) {}

func contentsOf(x *routing.Index) map[ledger.Object]any {
	out := make(map[ledger.Object]any)
	for h := range x.Hosts("") {
		out[ledger.Object{Kind: routing.KindHost, ID: h.ID}] = *h
	}
	for n := range x.Networks("") {
		out[ledger.Object{Kind: routing.KindNetwork, ID: n.ID}] = n
	}
	for r := range x.Routers("") {
		out[ledger.Object{Kind: routing.KindRouter, ID: r.ID}] = *r
	}
	for p := range x.Ports("") {
		out[ledger.Object{Kind: routing.KindPort, ID: p.ID}] = p
	}
	return out
}

func (m *machine) await(what string, f func(*ledger.Intent) bool) {
	for begin := time.Now(); !f(m.l.Intent()); runtime.Gosched() {
		if time.Since(begin) > 20*time.Second {
			m.t.Fatalf("no %s in time", what)
		}
	}
}

// check compares the ledger with the contents of the sources.
func (m *machine) check() {
	if !m.hub.sick {
		m.await("update of the hub", func(s *ledger.Intent) bool { return s.Sources[1].Revision == m.hub.at() && s.Sources[1].Err == nil })
	}
	s := m.l.Intent()
	if m.partial && !m.hub.sick {
		m.partial, m.whole = false, m.hub.complete && m.hub.model.Len() > 0
	}
	parts := []part{{"file", *m.file.first.Model}, {"hub", m.hub.model}, {"disk", m.disk.model}}
	if m.partial {
		parts[1].model = routing.Model{}
	}
	want := joined(parts)
	if have := contentsOf(s.Index); !reflect.DeepEqual(have, contentsOf(want.index)) {
		m.t.Fatalf("the intent is\n%v\nwant\n%v\nquarantined %s", have, contentsOf(want.index), quarantined(s))
	}
	if err := s.Index.Model().Validate(); err != nil {
		m.t.Fatalf("the intent is not valid: %v", err)
	}
	held, gaps := make(map[ledger.Object]string), m.partial
	for _, q := range s.Quarantined() {
		held[q.Object] = q.Source
		if !strings.Contains(want.reasons[q.Object], q.Err.Error()) {
			m.t.Fatalf("%v, want %s", q, want.reasons[q.Object])
		}
		gaps = gaps || q.Object.Kind != routing.KindPort
	}
	if !maps.Equal(held, want.quarantined) {
		m.t.Fatalf("quarantined %v, want %v", held, want.quarantined)
	}
	for o, name := range want.owner {
		if name == s.Store().Name {
			name = ""
		}
		if got := s.DeclaredBy(o); got != name {
			m.t.Fatalf("owner of %v: got %q, want %q", o, got, name)
		}
	}
	if s.Whole != m.whole || s.Complete != (m.whole && !gaps) {
		m.t.Fatalf("Whole is %v and Complete %v; want Whole %v, and not Complete if there are gaps: %v", s.Whole, s.Complete, m.whole, gaps)
	}
	for i, src := range s.Sources {
		if n := parts[i].model; src.Hosts != len(n.Hosts) || src.Networks != len(n.Networks) || src.Routers != len(n.Routers) || src.Ports != len(n.Ports) {
			m.t.Fatalf("got %d hosts, %d networks, %d routers and %d ports of %s, want the numbers of %v", src.Hosts, src.Networks, src.Routers, src.Ports, src.Name, n)
		}
	}
	m.follow()
	if !reflect.DeepEqual(m.replica, contentsOf(s.Index)) {
		m.t.Fatalf("a client that applies the events has\n%v\nwant\n%v", m.replica, contentsOf(s.Index))
	}
	if m.since > s.Revision {
		m.t.Fatalf("revision %d after %d", s.Revision, m.since)
	}
}

// follow applies events to the replica.
func (m *machine) follow() {
	for {
		events, _, err := m.l.Events(m.since)
		if err != nil {
			m.t.Fatal(err)
		}
		if len(events) == 0 {
			return
		}
		m.since = events[0].Revision
		for _, e := range events {
			_, had := m.replica[e.Object]
			if had != (e.Op != ledger.Created) {
				m.t.Fatalf("event for %v is %s, but the object existed before: %v", e.Object, e.Op, had)
			}
			switch {
			case e.Op == ledger.Deleted:
				delete(m.replica, e.Object)
			case e.Host != nil:
				m.replica[e.Object] = *e.Host
			case e.Network != nil:
				m.replica[e.Object] = *e.Network
			case e.Router != nil:
				m.replica[e.Object] = *e.Router
			default:
				m.replica[e.Object] = *e.Port
			}
		}
	}
}

// After any changes of a file, a shared store, the host's own store and clients, the ledger
// equals a new ledger that is opened with the same contents.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := drawModel(t, 3)
		d := &disk{model: drawModel(t, 3), complete: true}
		m := &machine{t: t, file: newFile(ledger.Contents{Complete: true, Model: &first}), hub: newHub(drawModel(t, 3)), disk: d, toHub: rapid.Bool().Draw(t, "writes go to the hub")}
		m.start()
		defer func() { m.stop() }()
		m.check()
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { m.check() },
			"file": func(t *rapid.T) {
				next := drawModel(t, 3)
				before := m.l.Intent()
				m.file.versions <- ledger.Contents{Complete: true, Model: &next}
				err := <-m.file.checked
				m.await("update of the file", func(s *ledger.Intent) bool { return s.File() != before.File() })
				if refused := m.l.Intent().File().Err; (refused != nil) != (err != nil) {
					t.Fatalf("the file's error is %v, and the check returned %v", refused, err)
				}
				if err == nil {
					m.file.first.Model = &next
				}
			},
			"others": func(t *rapid.T) {
				complete := rapid.Bool().Draw(t, "complete")
				if m.hub.sick {
					return
				}
				m.hub.write(complete, drawChange(t))
				m.whole = complete
			},
			"others, unnoticed": func(t *rapid.T) {
				c := drawChange(t)
				if m.hub.sick {
					return
				}
				m.hub.set(func() { m.hub.model = after(m.hub.model, c) })
				m.whole = m.hub.complete && m.hub.model.Len() > 0
			},
			"a client": func(t *rapid.T) {
				edits := []ledger.Edit{
					ledger.Apply(drawChange(t)),
					ledger.Put(drawModel(t, 1)),
					ledger.ReplaceAll(drawModel(t, 2), true),
					ledger.Delete(ledger.Object{Kind: routing.KindNetwork, ID: "a"}, true),
					ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "p"}, false),
					ledger.Delete(ledger.Object{Kind: routing.KindHost, ID: "h"}, true),
					ledger.Complete,
				}
				before := m.hub.at()
				r, err := m.l.Write(t.Context(), rapid.SampledFrom(edits).Draw(t, "edit"))
				if failed := errors.As(err, new(*ledger.StoreError)); failed && !(m.toHub && m.hub.sick) {
					t.Fatal(err)
				}
				if m.hub.at() != before {
					m.whole = m.hub.complete
				}
				for _, o := range r.Objects {
					if held := r.Intent.NotFound(o.Object); err == nil && (o.Op == ledger.Created || o.Op == ledger.Updated) && !r.Intent.Has(o.Object) {
						t.Fatalf("%v is %s, and: %v", o.Object, o.Op, held)
					}
				}
			},
			"a restart": func(t *rapid.T) {
				m.stop()
				last := m.l.Intent().Revision
				m.start()
				if now := m.l.Intent().Revision; !m.toHub && now < min(last, m.disk.revision) {
					t.Fatalf("revision %d after %d", now, last)
				}
			},
			"restart while the hub cannot be read": func(t *rapid.T) {
				m.stop()
				m.hub.set(func() { m.hub.sick = true })
				m.start()
			},
			"the hub can be read": func(t *rapid.T) {
				if m.hub.sick {
					m.hub.set(func() { m.hub.sick = false })
				}
			},
		})
	})
}
