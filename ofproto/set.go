package ofproto

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// A Set is the flows of one switch, at most one for each key, in the order of
// [CompareKeys]. The zero Set is empty. A Set is immutable. Sets that were made
// from each other share what is equal, so that a change of one flow, and the
// [Diff] of before and after, hardly depend on the number of flows.
type Set struct{ flows sorted.Set[Flow, byKey] }

type byKey struct{}

func (byKey) Compare(a, b Flow) int { return CompareKeys(a.FlowKey, b.FlowKey) }

// SetOf returns the set of fs. Of two flows with one key the later one counts.
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

// With returns s and fs; of two flows with one key that of fs counts.
func (s Set) With(fs ...Flow) Set { return Set{s.flows.With(fs...)} }

// Without returns s less the flows for which drop is true. It looks at all of
// them; see [Set.WithoutKeys].
func (s Set) Without(drop func(Flow) bool) Set {
	return Set{s.flows.Keep(func(f Flow) bool { return !drop(f) })}
}

// Exchange returns s less the flows with the keys of out, and in. It costs nothing for
// those that stay as they are.
func (s Set) Exchange(out, in []Flow) Set { return Set{sorted.Exchange(s.flows, out, in)} }

// WithoutKeys returns s less the flows with keys ks.
func (s Set) WithoutKeys(ks ...FlowKey) Set {
	drop := make([]Flow, len(ks))
	for i, k := range ks {
		drop[i].FlowKey = k
	}
	return Set{s.flows.Without(drop...)}
}

// String returns one flow a line in ovs-ofctl syntax.
func (s Set) String() string {
	var b strings.Builder
	for f := range s.All() {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// A Delta is what turns one [Set] into another. Its flows are in the order of
// [CompareKeys].
type Delta struct {
	Delete []Flow // flows to remove
	Modify []Flow // flows to give other instructions, keeping their counters
	Add    []Flow // flows to add, or to replace where the cookie, a timeout or a flag differs
}

// Diff returns the smallest Delta that turns have into want. Diff(s, s) is
// empty for every s.
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

// Mods returns the messages that carry out d: what is wanted comes first, so
// that a switch which carries them out one by one always has a flow for a
// packet that had one before.
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

// Apply returns s with mods carried out one after the other, as a switch would
// that refuses none. They must be such as [Delta.Mods] returns: additions, and
// changes that are strict and not limited to a cookie, a port or a group.
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
