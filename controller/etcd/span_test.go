package etcd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// spanning returns a network that hosts carry.
func spanning(id string, vni uint32) routing.Network {
	return routing.Network{ID: id, MTU: 1400, VNI: vni}
}

func router(id string, n byte, networks ...string) routing.Router {
	r := routing.Router{ID: id, Bridge: routing.Bridge{Managed: true}}
	for i, network := range networks {
		r.Interfaces = append(r.Interfaces, routing.Interface{ID: id + "-" + network, Network: network, MAC: ofproto.MAC{2, 1, 0, 0, n, byte(i)},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, byte(i), 1}), 24)}})
	}
	return r
}

func twoHosts(ids ...string) (out []routing.Host) {
	for i, id := range ids {
		out = append(out, routing.Host{ID: id, Tunnel: routing.Tunnel{Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	return out
}

// twoRouters is an intent of two hosts with routers r1 on a and b, and r2 on c and d. Each network has
// a port, p<network>.
func twoRouters() routing.Model {
	return routing.Model{Hosts: twoHosts("h1", "h2"), Networks: []routing.Network{spanning("a", 1), spanning("b", 2), spanning("c", 3), spanning("d", 4)},
		Routers: []routing.Router{router("r1", 1, "a", "b"), router("r2", 2, "c", "d")},
		Ports:   []routing.Port{port("pa", "a", 1), port("pb", "b", 2), port("pc", "c", 3), port("pd", "d", 4)}}
}

// hostDesk starts a ledger of a host, with the machines that are plugged in there.
func hostDesk(t *testing.T, e *lab.Etcd, host string, to ledger.Reader, machines ...string) *desk {
	t.Helper()
	d := deskOf(t, etcd.Config{Endpoints: e.Endpoints, Host: host, Linger: 300 * time.Millisecond, HoldLinger: 300 * time.Millisecond}, to)
	d.store.Machines(slices.Values(machines))
	return d
}

// filled writes a complete intent to etcd, and returns a ledger of all of it.
func filled(t *testing.T, e *lab.Etcd, m routing.Model) *desk {
	t.Helper()
	d := newDesk(t, e.Endpoints)
	if _, err := d.Write(t.Context(), ledger.ReplaceAll(m, false)); err != nil {
		t.Fatal(err)
	}
	return d
}

// spans waits until the span is known and has the networks.
func (d *desk) spans(networks ...string) {
	d.t.Helper()
	lab.Eventually(d.t, time.Minute, fmt.Sprint("the span to be ", networks), func() error {
		s := d.Intent()
		want := make(map[string]bool)
		for _, n := range networks {
			want[n] = true
		}
		if !s.Complete || s.Span() == nil || s.Span().All || len(s.Span().Networks) != len(want) {
			return fmt.Errorf("complete %v, span %+v", s.Complete, s.Span())
		}
		for n := range want {
			if !s.Span().HasNetwork(n) {
				return fmt.Errorf("it is %+v", s.Span())
			}
		}
		return nil
	})
}

// exactly waits until the intent has exactly these ports.
func (d *desk) exactly(ports ...string) {
	d.t.Helper()
	lab.Eventually(d.t, time.Minute, fmt.Sprint("the ports to be ", ports), func() error {
		var got []string
		for p := range d.Intent().Index.Ports("") {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, ports) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

// A host has the ports of its span only. Changes of other ports cost it nothing.
func TestSpanIsHeld(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	all := filled(t, e, twoRouters())
	h := hostDesk(t, e, "h1", discard{}, "pa", "not in the intent")
	h.spans("a", "b")
	h.exactly("pa", "pb")
	if s := h.Intent(); !s.Has(ledger.Object{Kind: routing.KindRouter, ID: "r2"}) || len(s.Quarantined()) > 0 {
		t.Errorf("the layout is incomplete, or quarantined: %v", s.Quarantined())
	}
	before := h.store.Events()
	for i := range 50 {
		if err := all.put(routing.Model{Ports: []routing.Port{port(fmt.Sprint("other", i), "c", 100+i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := all.put(routing.Model{Ports: []routing.Port{port("last", "b", 50)}}); err != nil {
		t.Fatal(err)
	}
	h.has(routing.KindPort, "last", true)
	if n := h.store.Events() - before; n != 1 {
		t.Errorf("the host got %d events for 50 changes outside of its span and one inside, want 1", n)
	}
	lab.Eventually(t, time.Minute, "the host to publish its networks", func() error {
		resp, err := client(t, e.Endpoints).Get(t.Context(), "/ofdvr/1/span/h1")
		if err != nil || len(resp.Kvs) == 0 {
			return errors.Join(errors.New("there is no key"), err)
		}
		var held etcd.Held
		if err := json.Unmarshal(resp.Kvs[0].Value, &held); err != nil || held.All || !slices.Equal(held.Networks, []string{"a", "b"}) {
			return fmt.Errorf("%s: %v", resp.Kvs[0].Value, err)
		}
		return nil
	})
}

// A watching reader checks each intent.
type checker struct {
	mu    sync.Mutex
	check func(*ledger.Intent) error
	errs  []error
}

func (c *checker) Load(s *ledger.Intent, _ []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.check != nil {
		if err := c.check(s); err != nil {
			c.errs = append(c.errs, fmt.Errorf("revision %d: %w", s.Revision, err))
		}
	}
}

func (c *checker) begin(check func(*ledger.Intent) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.check = check
}

func (c *checker) end(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.errs {
		t.Error(err)
	}
	c.errs, c.check = nil, nil
}

// A machine that arrives makes the span grow, and one that leaves makes it shrink. Watchers of the
// ledger see neither as creations or deletions.
func TestMachineArrivesAndLeaves(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	all := filled(t, e, twoRouters())
	c := new(checker)
	h := hostDesk(t, e, "h1", c, "pa")
	h.spans("a", "b")
	c.begin(func(s *ledger.Intent) error { // make before break
		has := func(id string) bool { return s.Has(ledger.Object{Kind: routing.KindPort, ID: id}) }
		for port, network := range map[string]string{"pa": "a", "pb": "b", "pc": "c", "pd": "d"} {
			if s.Span().HasNetwork(network) && !has(port) {
				return fmt.Errorf("network %s is in the span without its port", network)
			}
		}
		if !s.Complete {
			return errors.New("the intent is not complete")
		}
		return nil
	})
	for range 3 {
		seen := h.Intent().Revision
		h.store.Machines(slices.Values([]string{"pa", "pc"}))
		h.spans("a", "b", "c", "d")
		h.exactly("pa", "pb", "pc", "pd")
		if _, _, err := h.Events(seen); !errors.Is(err, ledger.ErrCompacted) {
			t.Errorf("a watcher sees the growth of the span: %v", err)
		}
		seen = h.Intent().Revision
		h.store.Machines(slices.Values([]string{"pa"}))
		h.spans("a", "b")
		h.exactly("pa", "pb")
		if _, _, err := h.Events(seen); !errors.Is(err, ledger.ErrCompacted) {
			t.Errorf("a watcher sees the shrinking of the span: %v", err)
		}
	}
	c.end(t)
	h.store.Machines(slices.Values([]string{"late"})) // plugged in before its port exists
	h.spans()
	if err := all.put(routing.Model{Ports: []routing.Port{port("late", "d", 77)}}); err != nil {
		t.Fatal(err)
	}
	h.spans("c", "d")
	h.exactly("late", "pc", "pd")
	if err := all.put(routing.Model{Ports: []routing.Port{port("late", "a", 77)}}); err != nil { // it moves to another network
		t.Fatal(err)
	}
	h.spans("a", "b")
	h.exactly("late", "pa", "pb")
}

// No half of a transaction is ever seen, although each directory has a watch of its own.
func TestTransactionsAreWhole(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	m := twoRouters()
	all := filled(t, e, m)
	c := new(checker)
	h := hostDesk(t, e, "h1", c, "pa", "pc")
	h.spans("a", "b", "c", "d")
	network := func(s *ledger.Intent, id string) string {
		p, _ := s.Index.Port(id)
		return p.Network
	}
	c.begin(func(s *ledger.Intent) error {
		if len(s.Quarantined()) > 0 {
			return fmt.Errorf("quarantined: %v", s.Quarantined())
		}
		if x, y := network(s, "x"), network(s, "y"); (x == "") != (y == "") || x != "" && x == y {
			return fmt.Errorf("port x is on %q, y on %q", x, y)
		}
		_, created := s.Index.Network("new")
		if r := s.Index.Router("new"); (r != nil) != created || s.Index.Router("r1").ARPResponder != created || (network(s, "y") == "b") != created {
			return fmt.Errorf("network new exists: %v, router new: %v, router r1: %v, port y is on %q", created, r != nil, s.Index.Router("r1").ARPResponder, network(s, "y"))
		}
		return nil
	})
	if err := all.put(routing.Model{Ports: []routing.Port{port("x", "b", 20), port("y", "c", 20)}}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		r1 := m.Routers[0]
		r1.ARPResponder = true
		if err := all.put(routing.Model{Networks: []routing.Network{spanning("new", 9)}, Routers: []routing.Router{r1, router("new", 9, "new", "c")},
			Ports: []routing.Port{port("x", "c", 20), port("y", "b", 20)}}); err != nil { // the ports exchange their networks
			t.Fatal(err)
		}
		if _, err := all.Write(t.Context(), ledger.Apply(routing.Change{Put: routing.Model{Routers: []routing.Router{m.Routers[0]}, Ports: []routing.Port{port("x", "b", 20), port("y", "c", 20)}},
			Delete: routing.IDs{Networks: []string{"new"}, Routers: []string{"new"}}})); err != nil {
			t.Fatal(err)
		}
	}
	// A network is deleted with its ports, and a host with the ports that were expected there.
	expected := port("x", "b", 20)
	expected.Host = "h2"
	if err := all.put(routing.Model{Ports: []routing.Port{expected}}); err != nil {
		t.Fatal(err)
	}
	if _, err := all.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindHost, ID: "h2"}, true)); err != nil {
		t.Fatal(err)
	}
	h.has(routing.KindHost, "h2", false)
	if err := all.put(routing.Model{Hosts: twoHosts("h1", "h2")[1:]}); err != nil {
		t.Fatal(err)
	}
	h.has(routing.KindHost, "h2", true)
	c.end(t)
	if _, err := all.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindNetwork, ID: "d"}, true)); err != nil {
		t.Fatal(err)
	}
	h.has(routing.KindNetwork, "d", false)
	h.exactly("pa", "pb", "pc", "x", "y")
	if q := h.Intent().Quarantined(); len(q) > 0 {
		t.Errorf("quarantined: %v", q)
	}
}

// A host that writes has the ports that the request is about, as if it had all.
func TestHold(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	filled(t, e, twoRouters())
	h := hostDesk(t, e, "h1", discard{}, "pa")
	h.spans("a", "b")
	for _, need := range []ledger.Need{{Networks: []string{"d"}}, {Ports: []string{"pd", "unknown"}}, {All: true}} {
		release, err := h.store.Hold(t.Context(), need)
		if err != nil {
			t.Fatal(err)
		}
		if !h.Intent().Has(ledger.Object{Kind: routing.KindPort, ID: "pd"}) {
			t.Errorf("%+v: the port is missing", need)
		}
		if h.Intent().Span().HasNetwork("d") {
			t.Errorf("%+v: a network is in the span for a request", need)
		}
		if err := h.put(routing.Model{Ports: []routing.Port{port("same", "d", 4)}}); err == nil || !strings.Contains(err.Error(), "pd") {
			t.Errorf("%+v: a port with an address that a port of another span has: %v", need, err)
		}
		release()
		h.exactly("pa", "pb")
	}
	if err := h.put(routing.Model{Ports: []routing.Port{port("same", "d", 4)}}); err == nil || !strings.Contains(err.Error(), "already used by port pd") {
		t.Errorf("without a hold: %v", err)
	}
}

// A watch that falls behind, or a compaction, loses nothing.
func TestSpanAfterCompaction(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	filled(t, e, twoRouters())
	h := hostDesk(t, e, "h1", discard{}, "pa")
	h.spans("a", "b")
	c := client(t, e.Endpoints)
	e.Kill(0)
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	var last *clientv3.PutResponse
	lab.Eventually(t, time.Minute, "a write to succeed", func() (err error) {
		last, err = c.Put(t.Context(), "/ofdvr/1/own/id/pa", "c")
		return err
	})
	if _, err := c.Compact(t.Context(), last.Header.Revision); err != nil {
		t.Fatal(err)
	}
	h.spans("c", "d", "a", "b") // the port itself is still on network a
}
