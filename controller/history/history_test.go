package history_test

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/history"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// snapshot returns the counters of r1's switch at time at. in and out are bytes through i1, and
// kernel is the number of packets handed to the kernel. age is the age of the reading.
func snapshot(at, age time.Duration, in, out, kernel uint64) counters.Snapshot {
	return counters.Snapshot{At: at, Routers: []counters.Router{{Router: "r1", Read: true, Age: age, Interfaces: []counters.Object{{ID: "i1", ByRole: counters.ByRole{
		compile.RoleIn: {Packets: in / 100, Bytes: in}, compile.RoleDeliver: {Packets: out / 100, Bytes: out}, compile.RoleTTL: {Packets: kernel},
	}}}}}}
}

// same compares rates. An unknown rate is -1 in want and NaN in got.
func same(got []float64, want ...float64) error {
	ok := slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-3 || math.IsNaN(a) && b == -1 })
	if !ok {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}

// A sample has the rates between two readings.
func TestRates(t *testing.T) {
	h := history.New()
	if w := h.Busiest(5); !w.At.IsZero() || len(w.Total.In) != 0 {
		t.Errorf("an empty history has %+v", w)
	}
	h.Add(time.Now(), snapshot(10*time.Second, 0, 1000, 500, 0))
	h.Add(time.Now(), snapshot(25*time.Second, 0, 16_000, 3500, 30))
	h.Add(time.Now(), snapshot(35*time.Second, 0, 16_000, 4500, 30)) // this snapshot is less than an interval after the previous one
	w := h.Of("r1")
	if len(w.Interfaces) != 1 || w.Interfaces[0].Interface != "i1" {
		t.Fatalf("interfaces: %+v", w.Interfaces)
	}
	for _, s := range []history.Series{w.Total, w.Interfaces[0], h.Busiest(1).Routers[0], h.Busiest(1).Total} {
		for name, err := range map[string]error{"in": same(s.In, 8000, 0), "out": same(s.Out, 1600, 800), "kernel": same(s.Kernel, 2, 0)} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Without a new reading, a sample is unknown. The next reading also fills the unknown samples
// before it. If counters decrease or a router disappears, the history has a gap.
func TestGaps(t *testing.T) {
	h := history.New()
	add := func(at, age time.Duration, out uint64) { h.Add(time.Now(), snapshot(at, age, 0, out, 0)) }
	add(15*time.Second, 0, 0)
	add(30*time.Second, 15*time.Second, 0)
	add(45*time.Second, 30*time.Second, 0)
	if err := same(h.Of("r1").Total.Out, -1, -1); err != nil {
		t.Error(err)
	}
	add(60*time.Second, 0, 4500)
	if err := same(h.Of("r1").Total.Out, 800, 800, 800); err != nil {
		t.Errorf("a late reading: %v", err)
	}
	add(75*time.Second, 0, 10)
	if err := same(h.Of("r1").Total.Out, 800, 800, 800, -1); err != nil {
		t.Errorf("counters that go back: %v", err)
	}
	add(90*time.Second, 0, 1510)
	if err := same(h.Of("r1").Total.Out, 800, 800, 800, -1, 800); err != nil {
		t.Errorf("after that: %v", err)
	}
	h.Add(time.Now(), counters.Snapshot{At: 105 * time.Second})
	if w := h.Of("r1"); len(w.Interfaces) != 0 {
		t.Errorf("a removed router has the history %+v", w)
	}
	add(120*time.Second, 0, 9999)
	add(135*time.Second, 0, 9999)
	if err := same(h.Of("r1").Total.Out, -1, -1, -1, -1, -1, -1, -1, 0); err != nil {
		t.Errorf("a new router: %v", err)
	}
}

// The history keeps only the latest 15 minutes.
func TestFifteenMinutes(t *testing.T) {
	h := history.New()
	const n = 200
	for i := range n {
		h.Add(time.Now(), snapshot(time.Duration(i)*history.Interval, 0, 0, uint64(i*i)*15/8, 0))
	}
	got := h.Of("r1").Total.Out
	if len(got) != history.Samples || history.Samples*history.Interval != 15*time.Minute {
		t.Fatalf("%d samples", len(got))
	}
	for i, v := range got {
		k := n - history.Samples + i // the rate from k-1 to k, rounded to bytes
		if want := float64(2*k - 1); math.Abs(v-want) > 2 {
			t.Fatalf("sample %d: got %v, want %v", i, v, want)
		}
	}
}

// many returns a snapshot of the given number of routers with two interfaces each. Router n routes
// n megabytes a second.
func many(routers int, at time.Duration) counters.Snapshot {
	s := counters.Snapshot{At: at}
	for i := range routers {
		r := counters.Router{Router: fmt.Sprintf("r%05d", i), Read: true}
		for k := range 2 {
			r.Interfaces = append(r.Interfaces, counters.Object{ID: fmt.Sprintf("r%05d-%d", i, k), ByRole: counters.ByRole{compile.RoleDeliver: {Bytes: uint64(i) * uint64(at/time.Microsecond)}}})
		}
		s.Routers = append(s.Routers, r)
	}
	return s
}

// Busiest returns the busiest routers first, and at most the requested number.
func TestBusiest(t *testing.T) {
	h := history.New()
	for i := range 3 {
		h.Add(time.Now(), many(100, time.Duration(i+1)*history.Interval))
	}
	w := h.Busiest(3)
	var ids []string
	for _, s := range w.Routers {
		ids = append(ids, s.Router)
	}
	if !slices.Equal(ids, []string{"r00099", "r00098", "r00097"}) {
		t.Errorf("the busiest are %q", ids)
	}
	if got, want := w.Total.Out[0], 8e6*2*99*100/2; math.Abs(got-want) > want/1e5 {
		t.Errorf("the routers together: got %v, want %v", got, want)
	}
}

// The history needs at most 10 MB of memory for any number of interfaces. It reports the
// number of interfaces without a history.
func TestMemoryIsBounded(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	s := many(8000, 15*time.Second)
	before := heap()
	h := history.New()
	for range 3 {
		h.Add(time.Now(), s)
	}
	if used := int64(heap()) - int64(before); used > 10<<20 {
		t.Errorf("%d MB are used", used>>20)
	}
	if left := h.Busiest(0).Left; left != 6000 {
		t.Errorf("%d interfaces are left out", left)
	}
	runtime.KeepAlive(s)
}

// BenchmarkAdd measures a sample of 1,000 routers with two interfaces each.
func BenchmarkAdd(b *testing.B) {
	h := history.New()
	s := many(1000, 15*time.Second)
	for b.Loop() {
		s.At += history.Interval
		h.Add(time.Now(), s)
	}
}

// BenchmarkBusiest measures an answer about these routers.
func BenchmarkBusiest(b *testing.B) {
	h := history.New()
	for i := range 60 {
		h.Add(time.Now(), many(1000, time.Duration(i+1)*history.Interval))
	}
	for b.Loop() {
		h.Busiest(20)
	}
}
