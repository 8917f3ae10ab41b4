package ledger

import (
	"maps"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/routing"
)

// A group collects what several writes do, one after the other.
type group struct {
	state   *State
	began   time.Time // of states that come of it, see [State]
	changed bool
	changes []routing.Change // for the store
	events  []Event
	touched map[string]bool // routers
}

// edit carries out an edit. After an error nothing has changed.
func (g *group) edit(edit Edit) (Result, error) {
	s := g.state
	p, err := edit(s)
	if err != nil {
		return Result{State: s}, err
	}
	c := s.Index.Differs(p.Change)
	if err := s.writable(&c); err != nil {
		return Result{State: s}, err
	}
	held := s.heldIn(&p.Change)
	for o := range held {
		if file := s.DeclaredBy(o); file != "" {
			return Result{State: s}, &DeclaredError{o, file}
		}
	}
	if err := s.Index.Check(p.Change); err != nil {
		return Result{State: s}, err
	}
	if p.Complete && !s.Whole {
		next := *s
		next.Whole, next.Revision, next.Since = true, s.Revision+1, g.began
		next.settle()
		g.state, g.changed = &next, true
	}
	var r Result
	if len(held) > 0 {
		r.Objects = g.replace(held, &p.Change)
	}
	if c.Len() > 0 {
		events, touched := g.apply(c)
		g.changes = append(g.changes, c)
		g.state.Store = g.state.Store.after(events, held)
		for _, e := range events {
			r.Objects = append(r.Objects, Outcome{e.Object, e.Op})
		}
		r.Touched = slices.Sorted(maps.Keys(touched))
	}
	r.Objects = append(r.Objects, unchanged(p.Change, r.Objects)...)
	r.State = g.state
	return r, nil
}

// apply makes c, which has been checked and of which everything differs, a part
// of the state.
func (g *group) apply(c routing.Change) ([]Event, map[string]bool) {
	next, events := g.state.with(c)
	next.Since = g.began
	touched := make(map[string]bool)
	for _, x := range []*routing.Index{g.state.Index, next.Index} {
		for _, id := range x.Touched(c) {
			touched[id] = true
		}
	}
	if g.touched == nil {
		g.touched = make(map[string]bool)
	}
	maps.Copy(g.touched, touched)
	g.state, g.changed = next, true
	g.events = append(g.events, events...)
	return events, touched
}

// declare makes file what the file called name declares.
func (g *group) declare(name string, file *Contents) error {
	s := g.state
	now := declares(file.Model)
	if err := s.checkFile(file.Model); err != nil {
		return err
	}
	// What the store has and the file declares goes from the store.
	taken := s.Index.Having(now.without(s.declared))
	for _, q := range s.Quarantined {
		if q.Source != name && now[q.Object] {
			taken.Add(q.Object.Kind, q.Object.ID)
		}
	}
	d := s.Index.Differs(routing.Change{Put: *file.Model, Delete: s.declared.without(now)})
	next := *s
	next.Revision++
	next.Since = g.began
	g.state, g.changed = &next, true
	if d.Len() > 0 {
		next.Revision--
		g.apply(d)
	}
	g.state.declared = now
	g.state.File = sourceState(name, file, nil)
	g.take(taken)
	g.state.release(func(q Quarantined) bool { return q.Source == name || now[q.Object] })
	g.state.settle()
	g.retry()
	return nil
}

// replace takes quarantined objects, which a write puts or deletes, out of the
// quarantine, and returns those that were deleted.
func (g *group) replace(held declared, c *routing.Change) (done []Outcome) {
	next := *g.state
	next.Revision, next.Since = g.state.Revision+1, g.began
	put := declares(&c.Put)
	gone := held.without(put)
	next.release(func(q Quarantined) bool { return held[q.Object] })
	next.settle()
	g.state, g.changed = &next, true
	for o := range held {
		if !put[o] {
			done = append(done, Outcome{o, Deleted})
		}
	}
	g.take(gone)
	return done
}

// take deletes objects from the store.
func (g *group) take(taken routing.IDs) {
	if taken.Len() == 0 {
		return
	}
	g.changes = append(g.changes, routing.Change{Delete: taken})
	if g.state.Store != nil {
		store := *g.state.Store
		store.Networks -= len(taken.Networks)
		store.Routers -= len(taken.Routers)
		store.Ports -= len(taken.Ports)
		g.state.Store = &store
	}
}

// writable returns an error if c changes what the file declares.
func (s *State) writable(c *routing.Change) error {
	if len(s.declared) == 0 {
		return nil
	}
	for o := range named(c) {
		if file := s.DeclaredBy(o); file != "" {
			return &DeclaredError{o, file}
		}
	}
	return nil
}

// unchanged returns the outcomes of the objects that c names and done does not.
func unchanged(c routing.Change, done []Outcome) (rest []Outcome) {
	if c.Len() == len(done) {
		return nil
	}
	known := make(map[Object]bool, len(done))
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
