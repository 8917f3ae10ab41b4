package ofproto

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// A Set has the flows of one switch, at most one for each key, in the order of [CompareKeys].
// The zero Set is empty. A Set is immutable. Sets that were derived from each other share
// their common parts. Therefore the cost of changing a flow, and of [Diff] between two
// versions, hardly depends on the number of flows.
type Set struct{ flows sorted.Set[Flow, byKey] }

type byKey struct{}

func (byKey) Compare(a, b Flow) int { return CompareKeys(a.FlowKey, b.FlowKey) }

// SetOf returns the set of the flows fs. If two flows have the same key, the later flow wins.
func SetOf(fs []Flow) Set { return Set{sorted.Of[Flow, byKey](fs)} }

// CompareKeys orders by ascending table, descending priority (the order in
// which a switch considers flows), and match.
func CompareKeys(a, b FlowKey) int {
	switch {
	case a.Table != b.Table:
		return cmp.Compare(a.Table, b.Table)
	case a.Priority != b.Priority:
		return cmp.Compare(b.Priority, a.Priority)
	}
	return strings.Compare(a.Match.oxm, b.Match.oxm)
}

// Len returns the number of flows.
func (s Set) Len() int { return s.flows.Len() }

// All returns the flows in the order of [CompareKeys].
func (s Set) All() iter.Seq[Flow] { return s.flows.All() }

// Get returns the flow with key k.
func (s Set) Get(k FlowKey) (Flow, bool) { return s.flows.Get(Flow{FlowKey: k}) }

// Equal reports whether s and t hold the same flows.
func (s Set) Equal(t Set) bool {
	for a, b := range sorted.Diff(s.flows, t.flows) {
		if a == nil || b == nil || *a != *b {
			return false
		}
	}
	return true
}

// With returns s with the flows fs added. A flow in fs replaces the flow in s with the same
// key.
func (s Set) With(fs ...Flow) Set { return Set{s.flows.With(fs...)} }

// Without returns s without the flows for which drop returns true. It visits all flows.
// [Set.WithoutKeys] does not.
func (s Set) Without(drop func(Flow) bool) Set {
	return Set{s.flows.Keep(func(f Flow) bool { return !drop(f) })}
}

// Exchange deletes the flows with the keys of out, adds the flows in the parameter in, and returns
// the result. Its cost depends only on the number of these flows.
func (s Set) Exchange(out, in []Flow) Set { return Set{sorted.Exchange(s.flows, out, in)} }

// WithoutKeys returns s without the flows with keys ks.
func (s Set) WithoutKeys(ks ...FlowKey) Set {
	drop := make([]Flow, len(ks))
	for i, k := range ks {
		drop[i].FlowKey = k
	}
	return Set{s.flows.Without(drop...)}
}

// String returns the flows in ovs-ofctl syntax, one per line.
func (s Set) String() string {
	var b strings.Builder
	for f := range s.All() {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// A Delta is the difference between two [Set] values. Its flows are in the order of
// [CompareKeys].
type Delta struct {
	Delete []Flow // flows to remove
	Modify []Flow // flows with changed instructions; their counters are kept
	Add    []Flow // flows to add, or to replace because their cookie, timeouts or flags differ
}

// Diff returns the smallest Delta that turns have into want. Diff(s, s) is empty for every s.
func Diff(have, want Set) Delta {
	var d Delta
	for h, w := range sorted.Diff(have.flows, want.flows) {
		switch {
		case w == nil:
			d.Delete = append(d.Delete, *h)
		case h == nil:
			d.Add = append(d.Add, *w)
		case *h == *w:
		case h.withDo(w.Do) == *w:
			d.Modify = append(d.Modify, *w)
		default:
			d.Add = append(d.Add, *w)
		}
	}
	return d
}

func (f Flow) withDo(do Instructions) Flow {
	f.Do = do
	return f
}

// Len returns the number of changes.
func (d Delta) Len() int { return len(d.Delete) + len(d.Modify) + len(d.Add) }

// Mods returns the messages that carry out d. Additions come first and deletions last. So a packet
// that has a matching flow before and after d also has one in between, while a switch processes the
// messages.
func (d Delta) Mods() []FlowMod {
	mods := make([]FlowMod, 0, d.Len())
	for _, f := range d.Add {
		mods = append(mods, FlowMod{Command: FlowAdd, Flow: f})
	}
	for _, f := range d.Modify {
		mods = append(mods, FlowMod{Command: FlowModifyStrict, Flow: f})
	}
	for _, f := range d.Delete {
		mods = append(mods, FlowMod{Command: FlowDeleteStrict, Flow: f})
	}
	return mods
}

// Apply returns the flows of a switch that had the flows s and has carried out all mods in order.
// It supports only the messages that [Delta.Mods] returns: additions, and strict changes that are
// not limited to a cookie, a port or a group.
func (s Set) Apply(mods []FlowMod) Set {
	put, drop := make(map[FlowKey]Flow), make(map[FlowKey]bool)
	for i := range mods {
		f, key := mods[i].Flow, mods[i].Flow.FlowKey
		switch mods[i].Command {
		case FlowAdd:
			put[key] = f
		case FlowModifyStrict:
			old, ok := put[key]
			if !ok && !drop[key] {
				old, ok = s.Get(key)
			}
			if ok {
				put[key] = old.withDo(f.Do)
			}
		case FlowDeleteStrict:
			delete(put, key)
			drop[key] = true
		}
	}
	return s.WithoutKeys(slices.Collect(maps.Keys(drop))...).With(slices.Collect(maps.Values(put))...)
}
