package ofproto

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// A Set is the flows of one switch, at most one for each key, in the order of
// [CompareKeys]. The zero Set is empty. A Set is immutable.
type Set struct{ flows []Flow }

// SetOf returns the set of fs. Of two flows with one key the later one counts.
// It takes over fs.
func SetOf(fs []Flow) Set {
	slices.SortStableFunc(fs, func(a, b Flow) int { return CompareKeys(a.FlowKey, b.FlowKey) })
	out := fs[:0]
	for i, f := range fs {
		if i+1 < len(fs) && fs[i+1].FlowKey == f.FlowKey {
			continue
		}
		out = append(out, f)
	}
	return Set{slices.Clip(out)}
}

// CompareKeys orders by ascending table, descending priority (the order in
// which a switch considers flows), and match.
func CompareKeys(a, b FlowKey) int {
	return cmp.Or(
		cmp.Compare(a.Table, b.Table),
		cmp.Compare(b.Priority, a.Priority),
		strings.Compare(a.Match.oxm, b.Match.oxm),
	)
}

// Len returns the number of flows.
func (s Set) Len() int { return len(s.flows) }

// All returns the flows in the order of [CompareKeys].
func (s Set) All() iter.Seq[Flow] { return slices.Values(s.flows) }

// Get returns the flow with key k.
func (s Set) Get(k FlowKey) (Flow, bool) {
	i, ok := slices.BinarySearchFunc(s.flows, k, func(f Flow, k FlowKey) int { return CompareKeys(f.FlowKey, k) })
	if !ok {
		return Flow{}, false
	}
	return s.flows[i], true
}

// Equal reports whether s and t hold the same flows.
func (s Set) Equal(t Set) bool { return slices.Equal(s.flows, t.flows) }

// Without returns s less the flows for which drop is true.
func (s Set) Without(drop func(Flow) bool) Set {
	return Set{slices.DeleteFunc(slices.Clone(s.flows), drop)}
}

// With returns s and fs; of two flows with one key that of fs counts.
func (s Set) With(fs ...Flow) Set { return SetOf(slices.Concat(s.flows, fs)) }

// String returns one flow a line in ovs-ofctl syntax.
func (s Set) String() string {
	var b strings.Builder
	for _, f := range s.flows {
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
	h, w := have.flows, want.flows
	for len(h) > 0 || len(w) > 0 {
		var c int
		switch {
		case len(h) == 0:
			c = 1
		case len(w) == 0:
			c = -1
		default:
			c = CompareKeys(h[0].FlowKey, w[0].FlowKey)
		}
		switch {
		case c < 0:
			d.Delete = append(d.Delete, h[0])
			h = h[1:]
			continue
		case c > 0:
			d.Add = append(d.Add, w[0])
			w = w[1:]
			continue
		case h[0] == w[0]:
		case h[0].withDo(w[0].Do) == w[0]:
			d.Modify = append(d.Modify, w[0])
		default:
			d.Add = append(d.Add, w[0])
		}
		h, w = h[1:], w[1:]
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

// Apply returns s with mods carried out, as a switch would.
func (s Set) Apply(mods []FlowMod) Set {
	drop := make(map[FlowKey]bool, len(mods))
	var put []Flow
	for _, m := range mods {
		drop[m.Flow.FlowKey] = true
		switch m.Command {
		case FlowAdd:
			put = append(put, m.Flow)
		case FlowModifyStrict:
			if old, ok := s.Get(m.Flow.FlowKey); ok {
				put = append(put, old.withDo(m.Flow.Do))
			}
		}
	}
	kept := s.Without(func(f Flow) bool { return drop[f.FlowKey] })
	return kept.With(put...)
}
