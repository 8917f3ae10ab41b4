package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

var nextPort atomic.Int32

// cluster starts a cluster of etcd's servers.
func cluster(t *testing.T, members int) *lab.Etcd {
	t.Helper()
	lab.Require(t)
	e, err := lab.StartEtcd(t.Context(), t.TempDir(), members, 20000+int(nextPort.Add(20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// A desk is a ledger of one host, with the store of etcd.
type desk struct {
	*ledger.Ledger
	store *etcd.Store
	t     *testing.T
}

type discard struct{}

func (discard) Load(*ledger.Intent, []string) {}

// newDesk starts a ledger with all ports.
func newDesk(t *testing.T, endpoints []string) *desk {
	t.Helper()
	return deskOf(t, etcd.Config{Endpoints: endpoints}, discard{})
}

func deskOf(t *testing.T, cfg etcd.Config, to ledger.Reader) *desk {
	t.Helper()
	s, err := etcd.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return deskFor(t, s, to)
}

// deskOn starts a ledger on a store, which it closes.
func deskOn(t *testing.T, s *etcd.Store) *desk {
	t.Helper()
	t.Cleanup(s.Close)
	return deskFor(t, s, discard{})
}

// deskFor starts a ledger with a store.
func deskFor(t *testing.T, s ledger.Store, to ledger.Reader) *desk {
	t.Helper()
	l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{s}, Write: s, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, to)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	store, _ := s.(*etcd.Store)
	return &desk{l, store, t}
}

func (d *desk) put(m routing.Model) error {
	d.t.Helper()
	_, err := d.Write(d.t.Context(), ledger.Put(m))
	return err
}

// has waits until the intent has, or has not, an object.
func (d *desk) has(kind routing.Kind, id string, want bool) {
	d.t.Helper()
	lab.Eventually(d.t, time.Minute, fmt.Sprintf("%v %q to exist: %v", kind, id, want), func() error {
		if s := d.Intent(); s.Has(ledger.Object{Kind: kind, ID: id}) != want {
			return errors.New("not yet")
		}
		return nil
	})
}

func network(id string) routing.Network { return routing.Network{ID: id, MTU: 1500} }

func port(id, network string, n int) routing.Port {
	return routing.Port{ID: id, Network: network, MAC: ofproto.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)}, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})}}
}

// What one host writes, all hosts have, also a host that starts later, and one that was away while
// the history was compacted.
func TestShared(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a, b := newDesk(t, e.Endpoints), newDesk(t, e.Endpoints)
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue/1")}, Ports: []routing.Port{port("p", "blue/1", 1)}}); err != nil {
		t.Fatal(err)
	}
	b.has(routing.KindPort, "p", true)
	if err := b.put(routing.Model{Ports: []routing.Port{port("q", "blue/1", 1)}}); err == nil {
		t.Error("two ports have the same address")
	}
	if err := b.put(routing.Model{Networks: []routing.Network{network("green")}, Ports: []routing.Port{port("p", "green", 1), port("q", "blue/1", 1)}}); err != nil {
		t.Errorf("a port moves to another network, and its address goes to another port: %v", err)
	}
	a.has(routing.KindPort, "q", true)
	if p, ok := a.Intent().Index.Port("p"); !ok || p.Network != "green" {
		t.Errorf("port p: %+v", p)
	}
	if _, err := a.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "p"}, false)); err != nil {
		t.Fatal(err)
	}
	b.has(routing.KindPort, "p", false)
	c := newDesk(t, e.Endpoints)
	if s := c.Intent(); !s.Has(ledger.Object{Kind: routing.KindPort, ID: "q"}) || len(s.Quarantined()) > 0 {
		t.Errorf("a host that starts later: quarantined %v", s.Quarantined())
	}
}

// Several hosts write at the same time. No address has two owners, each write that succeeded is
// there, and in the end all hosts have the same intent.
func TestWriters(t *testing.T) {
	t.Parallel()
	const writers, rounds = 8, 60
	e := cluster(t, 3)
	var all []*desk
	for range writers {
		all = append(all, newDesk(t, e.Endpoints))
	}
	if err := all[0].put(routing.Model{Networks: []routing.Network{network("n0"), network("n1")}}); err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		d.has(routing.KindNetwork, "n1", true)
	}
	var mu sync.Mutex
	want := make(map[string]int) // the number of each port, by ID; 0 if it does not exist
	refused := 0
	var g errgroup.Group
	for w, d := range all {
		g.Go(func() error {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for range rounds {
				id, n := fmt.Sprintf("p%d-%d", w, r.IntN(4)), 1+r.IntN(40)
				var err error
				if r.IntN(3) == 0 {
					n = 0
					_, err = d.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: id}, false))
				} else {
					err = d.put(routing.Model{Ports: []routing.Port{port(id, fmt.Sprint("n", r.IntN(2)), n)}})
				}
				if errors.As(err, new(*ledger.StoreError)) {
					return fmt.Errorf("%s: %w", id, err)
				}
				mu.Lock()
				if err == nil {
					want[id] = n
				} else {
					refused++
				}
				mu.Unlock()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, d := range all {
		lab.Eventually(t, time.Minute, "all hosts to have the same intent", func() error {
			s := d.Intent()
			for id, n := range want {
				p, ok := s.Index.Port(id)
				if ok != (n > 0) || ok && int(p.MAC[4])<<8+int(p.MAC[5]) != n {
					return fmt.Errorf("host %d: port %s is %+v, want number %d", i, id, p, n)
				}
			}
			if len(s.Quarantined()) > 0 {
				return fmt.Errorf("host %d: quarantined: %v", i, s.Quarantined())
			}
			return nil
		})
	}
	t.Logf("%d writes of %d were refused", refused, writers*rounds)
}
