package ledger_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A line is a shared source. It reports updates that the test sends.
type line struct {
	first   ledger.Contents
	updates chan ledger.Update
	results chan error
}

func (l *line) Name() string      { return "line" }
func (l *line) Role() ledger.Role { return ledger.Shared }

func (l *line) Load(context.Context) (ledger.Contents, error) { return l.first, nil }

func (l *line) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case u := <-l.updates:
			l.results <- report(u)
		}
	}
}

// many returns a router with two networks and n ports.
func many(n int) routing.Model {
	m := routing.Model{Networks: []routing.Network{network("a"), network("b")}, Routers: []routing.Router{router("r", "a", "b")}}
	for i := range n {
		m.Ports = append(m.Ports, manyth(i))
	}
	return m
}

func manyth(i int) routing.Port {
	return routing.Port{ID: fmt.Sprintf("port-%06d", i), Network: []string{"a", "b"}[i%2], MAC: ofproto.MAC{2, 7, 0, byte(i >> 16), byte(i >> 8), byte(i)},
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 200 + byte(i>>16), byte(i >> 8), byte(i)})}}
}

// follow starts a ledger with three sources in order of precedence: a file, a line with n ports,
// and a disk. The file and the disk have objects too, and some of these are quarantined. update
// changes one of the ports.
func follow(t testing.TB, n int) (l *ledger.Ledger, update func(i int)) {
	m := many(n)
	file := routing.Model{Networks: []routing.Network{network("f")}, Ports: []routing.Port{port("f1", "f", 1), port("lost", "gone", 2)}}
	src := &line{first: ledger.Contents{Revision: 1, Complete: true, Model: &m}, updates: make(chan ledger.Update), results: make(chan error)}
	d := stored(routing.Model{Networks: []routing.Network{network("own")}, Ports: []routing.Port{port("lost too", "gone", 3)}})
	l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{newFile(ledger.Contents{Complete: true, Model: &file}), src, d}, Write: d, Complete: true, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, discard{})
	}()
	t.Cleanup(func() { cancel(); <-done })
	revision := uint64(1)
	return l, func(i int) {
		revision++
		p := manyth(i % n)
		p.MAC[1] = byte(revision)
		src.updates <- ledger.Update{Revision: revision, Complete: true, Change: routing.Change{Put: routing.Model{Ports: []routing.Port{p}}}}
		if err := <-src.results; err != nil {
			t.Fatal(err)
		}
	}
}

// The cost of an update depends on the number of changed objects, not on the number of all objects.
// With 100 times as many ports, an update makes the same number of allocations. It takes more
// memory only for the lists of chunks (see internal/sorted): far less than one word for each port.
func TestUpdateCostDependsOnChangedObjects(t *testing.T) {
	const updates = 200
	cost := func(n int) (allocations, bytes float64) {
		l, update := follow(t, n)
		update(0)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range updates {
			update(i * 7)
		}
		runtime.ReadMemStats(&after)
		if s := l.Intent(); len(s.Quarantined()) != 2 || s.Revision < updates {
			t.Fatalf("revision %d, quarantined %s", s.Revision, quarantined(s))
		}
		return float64(after.Mallocs-before.Mallocs) / updates, float64(after.TotalAlloc-before.TotalAlloc) / updates
	}
	few, fewBytes := cost(300)
	many, manyBytes := cost(30_000)
	t.Logf("an update makes %.0f allocations of %.0f bytes with 300 ports, and %.0f of %.0f bytes with 30,000 ports", few, fewBytes, many, manyBytes)
	if many > 1.2*few+5 {
		t.Errorf("an update makes %.0f allocations with 300 ports, and %.0f with 30,000 ports", few, many)
	}
	if extra := (manyBytes - fewBytes) / 30_000; extra > 3 {
		t.Errorf("an update allocates %.0f bytes with 300 ports, and %.0f with 30,000 ports, %.1f more for each port", fewBytes, manyBytes, extra)
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n, " ports"), func(b *testing.B) {
			_, update := follow(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				update(i * 7)
			}
		})
	}
}
