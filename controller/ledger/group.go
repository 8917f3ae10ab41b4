package ledger

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/routing"
)

// A group collects the effects of several writes, or of an update.
type group struct {
	intent  *Intent
	began   time.Time // becomes [Intent.Since]
	changed bool
	changes []routing.Change // for the store
	events  []Event
	part    bool            // see [Update].Part
	touched map[string]bool // routers
}

// edit applies an edit. After an error nothing has changed.
func (g *group) edit(edit Edit) (Result, error) {
	s := g.intent
	refused := Result{Intent: s}
	proposal, err := edit(s)
	if err != nil {
		return refused, err
	}
	c := s.Index.Differs(proposal.Change)
	if err := s.writable(named(&c)); err != nil {
		return refused, err
	}
	held := s.heldIn(&proposal.Change)
	if err := s.writable(maps.Keys(held)); err != nil {
		return refused, err
	}
	if err := s.Index.Check(proposal.Change); err != nil {
		return refused, err
	}
	p := newPass(s)
	var r Result
	for o := range named(&routing.Change{Put: proposal.Change.Put}) {
		delete(held, o)
	}
	for _, o := range slices.SortedFunc(maps.Keys(held), Object.compare) { // delete the quarantined objects that c deletes
		c.Delete.Add(o.Kind, o.ID)
		r.Objects = append(r.Objects, Outcome{o, Deleted})
	}
	p.change(s.writes, &c, nil)
	p.run()
	if err := p.refused(&proposal.Change.Put); err != nil {
		return refused, err
	}
	next := p.finish()
	completes := proposal.Complete && !s.Whole && !s.Sources[s.writes].whole
	if completes {
		src := *next.Sources[s.writes]
		src.whole = true
		next.Sources[s.writes] = &src
		next.settle()
	}
	if completes || c.Len() > 0 {
		events, touched := g.advance(next, p.difference(), s.Revision+1)
		asked := make(objects, c.Len())
		for o := range named(&c) {
			asked[o] = true
		}
		for _, e := range events {
			if asked[e.Object] { // events of other objects are consequences of the requested changes
				r.Objects = append(r.Objects, Outcome{e.Object, e.Op})
			}
		}
		r.Touched = slices.Sorted(maps.Keys(touched))
		if c.Len() > 0 {
			g.changes = append(g.changes, c)
		}
	}
	r.Objects = append(r.Objects, unchanged(proposal.Change, r.Objects)...)
	r.Intent = g.intent
	return r, nil
}

// advance replaces g.intent by next. d is the difference between the two. It returns the events and
// the affected routers.
func (g *group) advance(next *Intent, d routing.Change, revision uint64) ([]Event, map[string]bool) {
	next.Revision, next.Since = revision, g.began
	if d.Delete.Len() > len(d.Delete.Ports) || d.Put.Len() > len(d.Put.Ports) {
		next.Layout = revision
	}
	touched := make(map[string]bool)
	for _, x := range []*routing.Index{g.intent.Index, next.Index} {
		for _, id := range x.Touched(d) {
			touched[id] = true
		}
	}
	if g.touched == nil {
		g.touched = make(map[string]bool)
	}
	maps.Copy(g.touched, touched)
	events := events(g.intent.Index, d, revision)
	g.events = append(g.events, events...)
	g.intent, g.changed = next, true
	return events, touched
}

// refused returns an error if an object of m would be quarantined. This happens if m makes a
// quarantined object usable that takes precedence over an object of m.
func (p *pass) refused(m *routing.Model) error {
	var last routing.Kind
	n := 0
	for o := range things(m) {
		if o.Kind != last {
			last, n = o.Kind, 0
		}
		if find(p.x, o) == nil {
			return &routing.PathError{Path: fmt.Sprintf("%vs[%d]", o.Kind, n), Err: p.touch(o).now[0].err}
		}
		n++
	}
	return nil
}

// writable returns an error if one of the objects belongs to a source that cannot be written
// to.
func (s *Intent) writable(all iter.Seq[Object]) error {
	if len(s.Sources) < 2 {
		return nil
	}
	for o := range all {
		if by := s.DeclaredBy(o); by != "" {
			return &DeclaredError{o, by}
		}
	}
	return nil
}

// heldIn returns the quarantined objects that c puts or deletes.
func (s *Intent) heldIn(c *routing.Change) objects {
	out := make(objects)
	if s.aside.Len() == 0 {
		return out
	}
	for o := range named(c) {
		if s.held(o) != nil {
			out[o] = true
		}
	}
	return out
}

// unchanged returns outcomes for the objects of c that are not in done.
func unchanged(c routing.Change, done []Outcome) (rest []Outcome) {
	if c.Len() == len(done) {
		return nil
	}
	known := make(objects, len(done))
	for _, o := range done {
		known[o.Object] = true
	}
	for o := range named(&c) {
		if !known[o] {
			known[o] = true
			rest = append(rest, Outcome{o, Unchanged})
		}
	}
	return rest
}
