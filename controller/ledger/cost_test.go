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

// A line is a source that others write to: it tells what a test says.
type line struct {
	first ledger.Contents
	told  chan ledger.Update
	taken chan error
}

func (l *line) Name() string      { return "line" }
func (l *line) Role() ledger.Role { return ledger.Shared }

func (l *line) Load(context.Context) (ledger.Contents, error) { return l.first, nil }

func (l *line) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), tell func(ledger.Update) error) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case u := <-l.told:
			l.taken <- tell(u)
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

// follow starts a ledger of a line with n ports, below a file and above a disk that have
// something too, also something that is quarantined. update changes one of the ports.
func follow(t testing.TB, n int) (l *ledger.Ledger, update func(i int)) {
	m := many(n)
	file := routing.Model{Networks: []routing.Network{network("f")}, Ports: []routing.Port{port("f1", "f", 1), port("lost", "gone", 2)}}
	src := &line{first: ledger.Contents{Revision: 1, Complete: true, Model: &m}, told: make(chan ledger.Update), taken: make(chan error)}
	d := stored(routing.Model{Networks: []routing.Network{network("own")}, Ports: []routing.Port{port("lost too", "gone", 3)}})
	l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{newFile(ledger.Contents{Complete: true, Model: &file}), src, d}, Write: d, Complete: true, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, nobody{})
	}()
	t.Cleanup(func() { cancel(); <-done })
	revision := uint64(1)
	return l, func(i int) {
		revision++
		p := manyth(i % n)
		p.MAC[1] = byte(revision)
		src.told <- ledger.Update{Revision: revision, Complete: true, Change: routing.Change{Put: routing.Model{Ports: []routing.Port{p}}}}
		if err := <-src.taken; err != nil {
			t.Fatal(err)
		}
	}
}

// What others change costs what it touches: with 100 times as many ports not one
// allocation more, and of memory what the lists of chunks take (see internal/sorted), which
// is far less than anything for each port.
func TestUpdateCostsWhatItTouches(t *testing.T) {
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
		if s := l.State(); len(s.Quarantined()) != 2 || s.Revision < updates {
			t.Fatalf("revision %d, quarantined %s", s.Revision, quarantined(s))
		}
		return float64(after.Mallocs-before.Mallocs) / updates, float64(after.TotalAlloc-before.TotalAlloc) / updates
	}
	few, fewBytes := cost(300)
	many, manyBytes := cost(30_000)
	t.Logf("an update takes %.0f allocations and %.0f bytes with 300 ports, %.0f and %.0f with 30,000", few, fewBytes, many, manyBytes)
	if many > 1.2*few+5 {
		t.Errorf("an update takes %.0f allocations with 300 ports, %.0f with 30,000", few, many)
	}
	if extra := (manyBytes - fewBytes) / 30_000; extra > 3 {
		t.Errorf("an update takes %.0f bytes with 300 ports, %.0f with 30,000: %.1f for each port", fewBytes, manyBytes, extra)
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
