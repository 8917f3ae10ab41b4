package ledger

import (
	"fmt"
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
	// Sources are those of the intent in the order of precedence: of an object that
	// several have, that of the first is used.
	Sources []*SourceState

	versions
	home     int  // index of the last source at the start; what is used and not in owners belongs to it
	writes   int  // index of the source that writes go to, -1 if there is none
	believed bool // see [Config.Complete]
}

// String names the sources.
func (s *State) String() string {
	var names []string
	for _, src := range s.Sources {
		names = append(names, src.Name)
	}
	return strings.Join(names, " and ")
}

// File returns the source of role [Declared], nil if there is none.
func (s *State) File() *SourceState {
	for _, src := range s.Sources {
		if src.Role == Declared {
			return src
		}
	}
	return nil
}

// Store returns the source that writes go to, nil if there is none.
func (s *State) Store() *SourceState {
	if s.writes < 0 || s.writes >= len(s.Sources) {
		return nil
	}
	return s.Sources[s.writes]
}

// A SourceState is how far a [Source] has come.
type SourceState struct {
	Name                     string
	Role                     Role
	Revision                 uint64    // of the source's own; 0 if it does not count them
	Loaded                   time.Time // when it was read last
	Networks, Routers, Ports int       // that it has
	Warnings                 []string
	Err                      error // why its latest version is not in use, or not all of it, or why it cannot be written to; else nil
	Partial                  bool  // objects may be missing that are not even quarantined, because it could not be read

	whole  bool          // it names everything that there should be of it
	strays []Quarantined // objects without an ID, or with that of another one of the source
}

// read returns a source of which c was loaded, but for the counts. One with
// nothing in it is not complete, whatever it says: what there was may have been
// lost, or in a file that is not named any more.
func read(src Source, c *Contents) *SourceState {
	s := &SourceState{Name: src.Name(), Role: src.Role(), Revision: c.Revision, Loaded: c.Loaded, Warnings: c.Warnings, Err: c.Err, Partial: c.Err != nil,
		whole: c.Complete && c.Model.Len() > 0}
	if s.Err == nil {
		s.Err = readOnly(src)
	}
	return s
}

// readOnly returns why src cannot be written to, if it is a store.
func readOnly(src Source) error {
	if w, ok := src.(Store); ok {
		return w.ReadOnly()
	}
	return nil
}

// DeclaredBy returns the name of the source that has o where it cannot be written,
// such as that of the file that declares it; "" if o can be written.
func (s *State) DeclaredBy(o Object) string {
	i := s.source(o)
	if i < 0 || i == s.writes || s.writes < 0 && s.Sources[i].Role == Own {
		return ""
	}
	return s.Sources[i].Name
}

// trial returns a state to which an edit can be tried: if nothing can be written,
// there is a store as there could be.
func (s *State) trial() *State {
	if s.writes >= 0 {
		return s
	}
	next := *s
	next.writes = len(s.Sources)
	if last := len(s.Sources) - 1; last >= 0 && s.Sources[last].Role == Own {
		next.writes = last
	} else {
		next.Sources = append(slices.Clip(s.Sources), &SourceState{whole: true})
	}
	return &next
}

// Has reports whether o exists.
func (s *State) Has(o Object) bool { return find(s.Index, o) != nil }

// NotFound returns an error that says that o does not exist, or why it is not used; it
// wraps [ErrNotFound].
func (s *State) NotFound(o Object) error {
	if v := s.held(o); v != nil {
		return fmt.Errorf("%w that is used: %w", ErrNotFound, Quarantined{o, s.Sources[v.source].Name, v.err})
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
