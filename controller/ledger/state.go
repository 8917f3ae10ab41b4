package ledger

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/routing"
)

// A State is the intent at one revision. It is immutable.
type State struct {
	// Revision grows with each change, also from one run of the daemon to the
	// next if there is a store.
	Revision uint64
	// Since is when the change that led to it was taken in. It is zero at the start,
	// and where a store has said what there is.
	Since time.Time
	// Layout is the revision at which networks or routers changed last, or, if
	// that was before the daemon started, the one that it started with.
	Layout uint64
	Index  *routing.Index
	// Complete says that nothing is missing: what exists and is not in Index may
	// be removed. The sources are Whole, all of them could be read, and no network or
	// router is quarantined.
	Complete bool
	// Whole says that the sources name everything that there should be. A store
	// that has just been made knows nothing, which does not mean that there should be
	// nothing.
	Whole bool
	// Quarantined are the objects that cannot be used, those of the file first.
	Quarantined []Quarantined
	File        *SourceState // nil if there is none
	Store       *SourceState // nil if there is none

	declared declared // by the file, quarantined objects too
}

// String names the sources.
func (s *State) String() string {
	var names []string
	for _, src := range []*SourceState{s.File, s.Store} {
		if src != nil {
			names = append(names, src.Name)
		}
	}
	return strings.Join(names, " and ")
}

// A SourceState is how far a [Source] has come.
type SourceState struct {
	Name                     string
	Loaded                   time.Time // when it was read last
	Networks, Routers, Ports int       // that it has
	Warnings                 []string
	Err                      error // why its latest version is not in use, or not all of it, or why it cannot be written to; else nil
	Partial                  bool  // objects may be missing that are not even quarantined, because it could not be read
}

func sourceState(name string, c *Contents, err error) *SourceState {
	return &SourceState{Name: name, Loaded: c.Loaded, Networks: len(c.Model.Networks), Routers: len(c.Model.Routers), Ports: len(c.Model.Ports),
		Warnings: c.Warnings, Err: err, Partial: c.Err != nil}
}

// An Object names one object: its kind is that of a network, a router or a port.
type Object struct {
	Kind routing.Kind
	ID   string
}

func (o Object) String() string { return fmt.Sprintf("%v %q", o.Kind, o.ID) }

// declared is what a file declares: IDs by kind.
type declared map[Object]bool

func declares(m *routing.Model) declared {
	d := make(declared, m.Len())
	for o := range named(&routing.Change{Put: *m}) {
		d[o] = true
	}
	return d
}

// without returns the IDs in d that are not in e.
func (d declared) without(e declared) (ids routing.IDs) {
	for o := range d {
		if e[o] {
			continue
		}
		ids.Add(o.Kind, o.ID)
	}
	slices.Sort(ids.Networks)
	slices.Sort(ids.Routers)
	slices.Sort(ids.Ports)
	return ids
}

// DeclaredBy returns the name of the file that declares o, "" if none does: then
// it can be written.
func (s *State) DeclaredBy(o Object) string {
	if s.declared[o] {
		return s.File.Name
	}
	return ""
}

// Has reports whether o exists.
func (s *State) Has(o Object) bool {
	ok := false
	switch o.Kind {
	case routing.KindNetwork:
		_, ok = s.Index.Network(o.ID)
	case routing.KindRouter:
		ok = s.Index.Router(o.ID) != nil
	case routing.KindPort:
		_, ok = s.Index.Port(o.ID)
	}
	return ok
}

// NotFound returns an error that says that o does not exist, or why it is not used; it
// wraps [ErrNotFound].
func (s *State) NotFound(o Object) error {
	for _, q := range s.Quarantined {
		if q.Object == o {
			return fmt.Errorf("%w that is used: %w", ErrNotFound, q)
		}
	}
	return fmt.Errorf("%w: %v", ErrNotFound, o)
}

// A DeclaredError says that an object cannot be written because a file declares
// it.
type DeclaredError struct {
	Object Object
	File   string
}

func (e *DeclaredError) Error() string {
	return fmt.Sprintf("%v is declared in %s: change it there", e.Object, e.File)
}

// named returns the objects that c names.
func named(c *routing.Change) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		ids := func(kind routing.Kind, ids []string) bool {
			for _, id := range ids {
				if !yield(Object{kind, id}) {
					return false
				}
			}
			return true
		}
		for i := range c.Put.Networks {
			if !yield(Object{routing.KindNetwork, c.Put.Networks[i].ID}) {
				return
			}
		}
		for i := range c.Put.Routers {
			if !yield(Object{routing.KindRouter, c.Put.Routers[i].ID}) {
				return
			}
		}
		for i := range c.Put.Ports {
			if !yield(Object{routing.KindPort, c.Put.Ports[i].ID}) {
				return
			}
		}
		_ = ids(routing.KindNetwork, c.Delete.Networks) && ids(routing.KindRouter, c.Delete.Routers) && ids(routing.KindPort, c.Delete.Ports)
	}
}

// with returns the state after c, which has been checked, and what happened.
func (s *State) with(c routing.Change) (*State, []Event) {
	next := *s
	next.Revision++
	if c.Delete.Len() > len(c.Delete.Ports) || c.Put.Len() > len(c.Put.Ports) {
		next.Layout = next.Revision
	}
	next.Index = s.Index.With(c)
	return &next, events(s.Index, c, next.Revision)
}

// after returns the source after events, all of which are about it; nil if s is. It has
// what is in had already.
func (s *SourceState) after(events []Event, had declared) *SourceState {
	if s == nil {
		return nil
	}
	next := *s
	for _, e := range events {
		n := 0
		switch {
		case had[e.Object]:
		case e.Op == Created:
			n = 1
		case e.Op == Deleted:
			n = -1
		}
		switch e.Object.Kind {
		case routing.KindNetwork:
			next.Networks += n
		case routing.KindRouter:
			next.Routers += n
		case routing.KindPort:
			next.Ports += n
		}
	}
	return &next
}

// An Event is what happened to one object.
type Event struct {
	Revision uint64
	Object   Object
	Op       Op
	// The object as it is now, by kind, unless it was deleted.
	Network *routing.Network
	Router  *routing.Router
	Port    *routing.Port
}

// Op is what a write did to an object.
type Op string

// The operations.
const (
	Created   Op = "created"
	Updated   Op = "updated"
	Unchanged Op = "unchanged"
	Deleted   Op = "deleted"
)

// events returns what c, which changes everything that it names, makes of x.
func events(x *routing.Index, c routing.Change, revision uint64) []Event {
	out := make([]Event, 0, c.Len())
	add := func(e Event, existed bool) {
		e.Revision, e.Op = revision, Created
		if existed {
			e.Op = Updated
		}
		out = append(out, e)
	}
	remove := func(kind routing.Kind, ids []string) {
		for _, id := range ids {
			out = append(out, Event{Revision: revision, Object: Object{kind, id}, Op: Deleted})
		}
	}
	// In an order in which each can be carried out: what others need comes first
	// and goes last.
	remove(routing.KindPort, c.Delete.Ports)
	remove(routing.KindRouter, c.Delete.Routers)
	for i := range c.Put.Networks {
		n := &c.Put.Networks[i]
		_, existed := x.Network(n.ID)
		add(Event{Object: Object{routing.KindNetwork, n.ID}, Network: n}, existed)
	}
	for i := range c.Put.Routers {
		r := &c.Put.Routers[i]
		add(Event{Object: Object{routing.KindRouter, r.ID}, Router: r}, x.Router(r.ID) != nil)
	}
	for i := range c.Put.Ports {
		p := &c.Put.Ports[i]
		_, existed := x.Port(p.ID)
		add(Event{Object: Object{routing.KindPort, p.ID}, Port: p}, existed)
	}
	remove(routing.KindNetwork, c.Delete.Networks)
	return out
}
