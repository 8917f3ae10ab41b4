package reconcile

import (
	"cmp"
	"iter"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A table implements the common part of the group table and the meter table. Lists of entries
// are sorted by ID and immutable.
type table[E interface{ Equal(E) bool }] struct {
	id    func(E) uint32
	size  func(E) int // bytes that an entry refers to
	mod   func(c command, e E) ofproto.Mod
	entry func(ofproto.Mod) (e E, c command, ok bool) // the entry and the command of a mod; ok is false if the mod is for another table
}

// A command is an [ofproto.GroupCommand] or an [ofproto.MeterCommand]. Both use the same
// numbers.
type command uint16

const (
	added command = iota
	modified
	deleted
)

var groupTable = table[ofproto.GroupEntry]{
	id:   func(g ofproto.GroupEntry) uint32 { return uint32(g.ID) },
	size: ofproto.GroupEntry.Size,
	mod: func(c command, g ofproto.GroupEntry) ofproto.Mod {
		return ofproto.GroupMod{Command: ofproto.GroupCommand(c), Entry: g}
	},
	entry: func(m ofproto.Mod) (ofproto.GroupEntry, command, bool) {
		g, ok := m.(ofproto.GroupMod)
		return g.Entry, command(g.Command), ok
	},
}

var meterTable = table[ofproto.MeterEntry]{
	id:   func(m ofproto.MeterEntry) uint32 { return uint32(m.ID) },
	size: ofproto.MeterEntry.Size,
	mod: func(c command, m ofproto.MeterEntry) ofproto.Mod {
		return ofproto.MeterMod{Command: ofproto.MeterCommand(c), Entry: m}
	},
	entry: func(m ofproto.Mod) (ofproto.MeterEntry, command, bool) {
		e, ok := m.(ofproto.MeterMod)
		return e.Entry, command(e.Command), ok
	},
}

// diff yields pairs of entries that differ between have and want, sorted by ID. A missing
// entry is nil. Identical lists are recognized without a comparison of their entries.
func (t table[E]) diff(have, want []E) iter.Seq2[*E, *E] {
	return func(yield func(have, want *E) bool) {
		if len(have) == len(want) && (len(have) == 0 || &have[0] == &want[0]) {
			return
		}
		for len(have)+len(want) > 0 {
			order := 0
			switch {
			case len(want) == 0:
				order = -1
			case len(have) == 0:
				order = 1
			default:
				order = cmp.Compare(t.id(have[0]), t.id(want[0]))
			}
			var h, w *E
			if order <= 0 {
				h, have = &have[0], have[1:]
			}
			if order >= 0 {
				w, want = &want[0], want[1:]
			}
			if order == 0 && (*h).Equal(*w) {
				continue
			}
			if !yield(h, w) {
				return
			}
		}
	}
}

// get returns the entry with an ID.
func (t table[E]) get(es []E, id uint32) (e E, ok bool) {
	i, ok := t.find(es, id)
	if ok {
		e = es[i]
	}
	return e, ok
}

func (t table[E]) find(es []E, id uint32) (int, bool) {
	return slices.BinarySearchFunc(es, id, func(e E, id uint32) int { return cmp.Compare(t.id(e), id) })
}

// apply returns the result of applying mods to es, as if a switch accepted all of them. Mods
// of other tables are ignored.
func (t table[E]) apply(es []E, mods []ofproto.Mod) []E {
	if len(mods) == 0 {
		return es
	}
	es = slices.Clone(es)
	for _, m := range mods {
		e, c, ok := t.entry(m)
		if !ok {
			continue
		}
		switch i, there := t.find(es, t.id(e)); {
		case c == deleted && there:
			es = slices.Delete(es, i, i+1)
		case c == deleted:
		case there:
			es[i] = e
		default:
			es = slices.Insert(es, i, e)
		}
	}
	return es
}

func (t table[E]) sort(es []E) {
	slices.SortFunc(es, func(a, b E) int { return cmp.Compare(t.id(a), t.id(b)) })
}
