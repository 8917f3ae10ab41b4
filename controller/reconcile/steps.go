package reconcile

import (
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// steps has the changes from the contents of a switch to the desired contents,
// in the order of their execution. A group or meter is added before the flows
// that refer to it, and deleted after them, because the switch would delete
// these flows together with the group or meter. Deleting groups at the end of a
// bundle also avoids a crash: Open vSwitch (3.1) aborts when it has to undo the
// deletion of a group in use.
type steps struct {
	meters []ofproto.Mod // meters to add or modify, which cannot be in a bundle

	// One bundle: desired groups, flows, and unwanted groups.
	groups []ofproto.Mod
	flows  ofproto.Delta
	gone   []ofproto.Mod

	unused []ofproto.Mod // unwanted meters
	retry  time.Time     // the earliest retry of a held back change; zero if no change is held back
}

func (p *steps) bundled() int { return len(p.groups) + p.flows.Len() + len(p.gone) }

func (p *steps) empty() bool { return len(p.meters)+p.bundled()+len(p.unused) == 0 }

// first returns the action for the first of the steps.
func (c *core) first(p *steps) act {
	switch {
	case len(p.meters) > 0:
		a := act{kind: meters, set: p.meters}
		if p.bundled() == 0 {
			a.gen = c.gen
		}
		return a
	case p.bundled() == 0:
		return act{kind: meters, drop: p.unused, gen: c.gen}
	}
	a := act{kind: commit, set: p.groups, delta: p.flows, drop: p.gone, plain: c.noBundle || c.rounds >= maxRounds, gen: c.gen}
	if a.plain && len(a.set)+a.delta.Len() > 0 {
		a.drop = nil // delete groups later: if the change of a flow is refused, the old flow may still need its group
	}
	return a
}

// mods returns the messages of a. A bundle deletes flows first, so that a full table has room
// for additions. If the changes do not fit into one bundle, additions come before deletions.
func (a *act) mods() []ofproto.Mod {
	flows := a.delta.Mods()
	n := len(a.set) + len(flows) + len(a.drop)
	out := append(make([]ofproto.Mod, 0, n), a.set...)
	add := func(mods []ofproto.FlowMod) {
		for i := range mods {
			out = append(out, &mods[i])
		}
	}
	first := len(flows) // the bundle has flows[first:] before flows[:first]
	if !a.plain && n <= ofconn.MaxBundle {
		first -= len(a.delta.Delete)
		add(flows[first:])
	}
	add(flows[:first])
	return append(out, a.drop...)
}

// A splitter divides the difference between have and want into changes to send and changes to hold
// back. It holds back changes of foreign entries, and changes that were refused recently.
type splitter struct {
	*core
	now   time.Time
	retry time.Time
	still map[any]*refusal  // refusals that still apply
	undo  []ofproto.FlowMod // the changes that turn want into target
	needs map[any]bool      // groups and meters that the remaining flows refer to; nil if not computed yet
}

// steps returns the next changes. It sets c.target, and removes refusals that no longer apply.
func (c *core) steps(now time.Time) *steps {
	s := &splitter{core: c, now: now, still: make(map[any]*refusal, len(c.refused))}
	p := new(steps)
	c.others = 0
	if c.foreign != RemoveForeign {
		c.others = c.beyond.Foreign
	}
	p.flows = s.flows(ofproto.Diff(c.have.Flows, c.want.Flows))
	p.groups, p.gone, c.target.Groups = split(s, groupTable, c.have.Groups, c.want.Groups,
		func(g ofproto.GroupEntry) bool { return c.oursGroup(g.ID) })
	p.meters, p.unused, c.target.Meters = split(s, meterTable, c.have.Meters, c.want.Meters,
		func(m ofproto.MeterEntry) bool { return c.oursMeter(m.ID) })
	c.target.Flows = c.want.Flows.Apply(s.undo)
	c.refused, p.retry = s.still, s.retry
	return p
}

// held reports whether m was refused and must not be retried yet.
func (s *splitter) held(m ofproto.Mod) bool {
	key := about(m)
	ref := s.refused[key]
	if ref == nil || !sameChange(ref.Mod, m) {
		return false // the program has changed
	}
	s.still[key] = ref
	if !s.now.Before(ref.until) {
		return false
	}
	s.retry = earlier(s.retry, ref.until)
	return true
}

// flows returns the part of d to send.
func (s *splitter) flows(d ofproto.Delta) (todo ofproto.Delta) {
	held := func(c ofproto.FlowCommand, f ofproto.Flow) bool {
		return len(s.refused) > 0 && s.held(ofproto.FlowMod{Command: c, Flow: f})
	}
	keep := func(f ofproto.Flow) {
		if old, ok := s.have.Flows.Get(f.FlowKey); ok {
			s.undo = append(s.undo, ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: old})
		} else {
			s.undo = append(s.undo, ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f})
		}
	}
	for _, f := range d.Delete {
		switch {
		case s.foreign != RemoveForeign && !s.ours(f.Cookie):
			s.others++
			keep(f)
		case s.partial, s.keep != nil && s.keep(f.Cookie), held(ofproto.FlowDeleteStrict, f):
			keep(f)
		default:
			todo.Delete = append(todo.Delete, f)
		}
	}
	sort := func(c ofproto.FlowCommand, fs []ofproto.Flow, out *[]ofproto.Flow) {
		for _, f := range fs {
			if held(c, f) {
				keep(f)
			} else {
				*out = append(*out, f)
			}
		}
	}
	sort(ofproto.FlowModifyStrict, d.Modify, &todo.Modify)
	sort(ofproto.FlowAdd, d.Add, &todo.Add)
	s.installed = s.want.Flows.Len() - len(d.Modify) - len(d.Add)
	return todo
}

// split returns the part of a table's changes to send. set has entries to add or modify, drop has
// entries to delete, and target is the table after the changes.
func split[E interface{ Equal(E) bool }](s *splitter, t table[E], have, want []E, ours func(E) bool) (set, drop []ofproto.Mod, target []E) {
	var undo []ofproto.Mod
	for h, w := range t.diff(have, want) {
		if w == nil {
			m := t.mod(deleted, *h)
			switch {
			case s.foreign != RemoveForeign && !ours(*h):
				s.others++
			case !s.partial && !s.held(m) && !s.needed(m):
				drop = append(drop, m)
				continue
			}
			undo = append(undo, t.mod(added, *h))
			continue
		}
		m, back := t.mod(added, *w), t.mod(deleted, *w)
		if h != nil {
			m, back = t.mod(modified, *w), t.mod(added, *h)
		}
		if s.held(m) {
			undo = append(undo, back)
		} else {
			set = append(set, m)
		}
	}
	return set, drop, t.apply(want, undo)
}

// needed reports whether a remaining flow refers to the group or meter of m.
func (s *splitter) needed(m ofproto.Mod) bool {
	if s.needs == nil {
		s.needs = make(map[any]bool)
		for _, u := range s.undo {
			if u.Command != ofproto.FlowAdd {
				continue
			}
			groups, meters := u.Flow.Do.Refs()
			for _, id := range groups {
				s.needs[id] = true
			}
			for _, id := range meters {
				s.needs[id] = true
			}
		}
	}
	return s.needs[about(m)]
}

// about returns the key of the entry that m changes: a [ofproto.FlowKey], [ofproto.GroupID] or
// [ofproto.MeterID].
func about(m ofproto.Mod) any {
	switch m := m.(type) {
	case ofproto.FlowMod:
		return m.Flow.FlowKey
	case ofproto.GroupMod:
		return m.Entry.ID
	case ofproto.MeterMod:
		return m.Entry.ID
	}
	return nil
}

// sameChange reports whether a and b, which change the same entry, have the
// same result. An addition and a modification of the same entry have the same
// result.
func sameChange(a, b ofproto.Mod) bool {
	switch a := a.(type) {
	case ofproto.FlowMod:
		b := b.(ofproto.FlowMod)
		return (a.Command == ofproto.FlowDeleteStrict) == (b.Command == ofproto.FlowDeleteStrict) && a.Flow == b.Flow
	case ofproto.GroupMod:
		b := b.(ofproto.GroupMod)
		return (a.Command == ofproto.GroupDelete) == (b.Command == ofproto.GroupDelete) && a.Entry.Equal(b.Entry)
	case ofproto.MeterMod:
		b := b.(ofproto.MeterMod)
		return (a.Command == ofproto.MeterDelete) == (b.Command == ofproto.MeterDelete) && a.Entry.Equal(b.Entry)
	}
	return false
}

// without returns mods, except the mods of refused entries.
func without[M ofproto.Mod](mods []M, refused []*ofproto.RefusedError) []M {
	if len(refused) == 0 {
		return mods
	}
	drop := make(map[any]bool, len(refused))
	for _, e := range refused {
		drop[about(e.Mod)] = true
	}
	return slices.DeleteFunc(slices.Clone(mods), func(m M) bool { return drop[about(m)] })
}
