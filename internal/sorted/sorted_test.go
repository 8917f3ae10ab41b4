package sorted_test

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// An entry contains its key, like a flow.
type entry struct{ key, value int }

type byKey struct{}

func (byKey) Compare(a, b entry) int { return cmp.Compare(a.key, b.key) }

type set = sorted.Set[entry, byKey]

// A model is the expected content of a set.
type model map[int]int

func (m model) entries() []entry {
	es := make([]entry, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		es = append(es, entry{k, m[k]})
	}
	return es
}

const keys = 8 * sorted.MaxChunk

// drawEntries draws unsorted entries, some with the same key: a few, or enough for several chunks.
func drawEntries(t *rapid.T) (es []entry) {
	start, stride := rapid.IntRange(0, keys-1).Draw(t, "start"), rapid.SampledFrom([]int{1, 1, 3, keys - 1}).Draw(t, "stride")
	count := rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(0, sorted.MaxChunk), rapid.IntRange(0, keys)).Draw(t, "count")
	value := rapid.IntRange(0, 2).Draw(t, "value")
	for i := range count {
		es = append(es, entry{(start + i*stride) % keys, value + i%2})
	}
	if len(es) > 0 && rapid.Bool().Draw(t, "again") {
		es = append(es, entry{es[0].key, value + 2})
	}
	return es
}

// Every operation on a set gives the same result as on a map, and does not change the set itself.
func TestLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			set   set
			model model
		}
		versions := []version{{set{}, model{}}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			from := rapid.SampledFrom(versions).Draw(t, "from")
			s, m := from.set, maps.Clone(from.model)
			es := drawEntries(t)
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				s, m = sorted.Of[entry, byKey](es), model{}
				for _, e := range es {
					m[e.key] = e.value
				}
			case 1:
				s = s.With(es...)
				for _, e := range es {
					m[e.key] = e.value
				}
			case 2:
				s = s.Without(es...)
				for _, e := range es {
					delete(m, e.key)
				}
			case 3:
				low := rapid.IntRange(0, keys).Draw(t, "low")
				keep := func(e entry) bool { return e.key >= low || e.key%sorted.MaxChunk < sorted.MinChunk/3 }
				s = s.Keep(keep)
				maps.DeleteFunc(m, func(k, v int) bool { return !keep(entry{k, v}) })
			case 4: // delete most of one chunk
				at := 0
				for _, n := range sorted.Chunks(s) {
					if rapid.Bool().Draw(t, "this chunk") {
						es = m.entries()[at : at+n-min(n, rapid.IntRange(0, sorted.MinChunk).Draw(t, "left"))]
						s = s.Without(es...)
						for _, e := range es {
							delete(m, e.key)
						}
						break
					}
					at += n
				}
			}
			for _, v := range versions {
				checkDiff(t, v.set, s, v.model, m)
			}
			versions = append(versions, version{s, m})
		}
		for _, v := range versions {
			checkSet(t, v.set, v.model)
		}
	})
}

func checkSet(t *rapid.T, s set, m model) {
	if got, want := slices.Collect(s.All()), m.entries(); !slices.Equal(got, want) {
		t.Fatalf("set has %v, want %v", got, want)
	}
	if s.Len() != len(m) {
		t.Errorf("Len = %d, want %d", s.Len(), len(m))
	}
	for k := range keys {
		v, ok := m[k]
		want := entry{k, v}
		if !ok {
			want = entry{}
		}
		if e, has := s.Get(entry{key: k}); has != ok || e != want {
			t.Fatalf("Get(%d) = %v, %v, want %v, %v", k, e, has, want, ok)
		}
	}
	lens := sorted.Chunks(s)
	for _, n := range lens {
		if n > sorted.MaxChunk || n < sorted.MinChunk && len(lens) > 1 || n == 0 {
			t.Fatalf("chunks of %v, want each of %d to %d", lens, sorted.MinChunk, sorted.MaxChunk)
		}
	}
}

// checkDiff fails t unless Diff turns a into b, in order and without false pairs.
func checkDiff(t *rapid.T, a, b set, am, bm model) {
	have, last := maps.Clone(am), -1
	for x, y := range sorted.Diff(a, b) {
		e := cmp.Or(x, y)
		if e == nil || e.key <= last || x != nil && y != nil && x.key != y.key {
			t.Fatalf("the pair after key %d is %v and %v", last, x, y)
		}
		last = e.key
		if v, ok := am[e.key]; ok != (x != nil) || ok && *x != (entry{e.key, v}) {
			t.Fatalf("key %d: the first set has %v, %v; Diff has %v", e.key, v, ok, x)
		}
		if v, ok := bm[e.key]; ok != (y != nil) || ok && *y != (entry{e.key, v}) {
			t.Fatalf("key %d: the second set has %v, %v; Diff has %v", e.key, v, ok, y)
		}
		if y == nil {
			delete(have, e.key)
		} else {
			have[e.key] = y.value
		}
	}
	if !maps.Equal(have, bm) {
		t.Fatalf("applying the pairs of Diff gives %v, want %v", have.entries(), bm.entries())
	}
}

// A caller of Diff may stop early.
func TestDiffStops(t *testing.T) {
	a, b := sorted.Of[entry, byKey]([]entry{{1, 1}, {2, 2}}), sorted.Of[entry, byKey]([]entry{{1, 3}, {2, 4}})
	n := 0
	for range sorted.Diff(a, b) {
		n++
		break
	}
	for range b.All() {
		n++
		break
	}
	if n != 2 {
		t.Errorf("%d elements after two breaks", n)
	}
}

// A change of a set with any number of chunks copies few of them, and Diff visits only these.
func TestChangesShare(t *testing.T) {
	for _, n := range []int{1_000, 100_000} {
		es := make([]entry, n)
		for i := range es {
			es[i].key = 2 * i
		}
		big := sorted.Of[entry, byKey](es)
		rapid.Check(t, func(t *rapid.T) {
			some := rapid.SliceOfN(rapid.IntRange(-1, 2*n), 1, 5).Draw(t, "keys")
			var es []entry
			for _, k := range some {
				es = append(es, entry{k, 1})
			}
			s := big
			if rapid.Bool().Draw(t, "sparse") { // makes chunks too small
				s = s.Keep(func(e entry) bool { return e.key%8 == 0 })
			}
			for _, changed := range []set{s.With(es...), s.Without(es...), s.With(es...).Without(es...)} {
				if got, most := sorted.Unshared(s, changed), 2*len(es); got > most {
					t.Errorf("%d chunks copied for %d changes, want at most %d", got, len(es), most)
				}
				looked := 0
				for range sorted.Diff(s, changed) {
					looked++
				}
				if most := len(es) * 3 * sorted.MaxChunk; looked > most {
					t.Errorf("after %d changes, Diff visits %d elements, want at most %d", len(es), looked, most)
				}
			}
		})
	}
}

// The number of allocations of a change does not depend on the number of elements.
func TestChangeAllocates(t *testing.T) {
	allocs := func(n int) float64 {
		es := make([]entry, n)
		for i := range es {
			es[i].key = 2 * i
		}
		s := sorted.Of[entry, byKey](es)
		return testing.AllocsPerRun(100, func() { s.With(entry{n, 1}).Without(entry{key: n}) })
	}
	if few, many := allocs(3*sorted.MaxChunk), allocs(400*sorted.MaxChunk); many > few {
		t.Errorf("a change makes %v allocations in a small set, %v in a large one", few, many)
	}
}
