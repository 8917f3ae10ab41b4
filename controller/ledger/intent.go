package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/routing"
)

// An Intent is the intent at one revision. It is immutable.
type Intent struct {
	// Revision grows with each change. With a store it also grows from one run of the daemon
	// to the next.
	Revision uint64
	// Since is the time when the daemon received the change that led to this intent. It is
	// zero at the start, and after a store was reloaded.
	Since time.Time
	// Layout is the revision of the last change of hosts, networks or routers since the daemon's
	// start, or the revision at the start.
	Layout uint64
	Index  *routing.Index
	// Complete means that Index lacks no object, so other objects on the host may be removed. It
	// requires that the intent is Whole, that all sources could be read and are not Loading, and that
	// no host, network or router is quarantined.
	Complete bool
	// Whole means that the sources claim to have all objects. A new store is empty and not whole.
	// If it were whole, everything on the host would be removed.
	Whole bool
	// Sources are the sources in order of precedence. If several sources have an object, it
	// belongs to the first of them.
	Sources []*SourceState

	versions
	home     int  // index of the source that was the last at the start; it owns the used objects that are not in owners
	writes   int  // index of the source that writes go to, -1 if writes fail
	believed bool // see [Config.Complete]
}

// String returns the names of the sources.
func (s *Intent) String() string {
	var names []string
	for _, src := range s.Sources {
		names = append(names, src.Name)
	}
	return strings.Join(names, " and ")
}

// File returns the source of role [Declared], or nil if there is no file.
func (s *Intent) File() *SourceState {
	for _, src := range s.Sources {
		if src.Role == Declared {
			return src
		}
	}
	return nil
}

// Store returns the source that writes go to, or nil if there is no store.
func (s *Intent) Store() *SourceState {
	if s.writes < 0 || s.writes >= len(s.Sources) {
		return nil
	}
	return s.Sources[s.writes]
}

// Span returns the part of the intent that this host needs; nil means everything. Objects outside
// of it may be in Index too, because clients need them.
func (s *Intent) Span() *routing.Span {
	for _, src := range s.Sources {
		if src.Span != nil {
			return src.Span
		}
	}
	return nil
}

// A SourceState describes a [Source].
type SourceState struct {
	Name                     string
	Role                     Role
	Revision                 uint64    // the source's own revision; 0 if it has no revisions
	Loaded                   time.Time // time at which it was last read
	Networks, Routers, Ports int       // number of its objects
	Hosts                    int
	Warnings                 []string
	Err                      error // reason why its latest version is not used completely, or why it cannot be written to; or nil
	Partial                  bool  // the source could not be read completely, so objects may be missing that are not quarantined
	// Span is the part of the intent that this host needs; nil means everything. Loading means that
	// objects of this part are missing yet.
	Span    *routing.Span
	Loading bool

	whole  bool          // the source claims to have all its objects
	strays []Quarantined // objects without an ID, or with the ID of another object of the source
}

// read returns the SourceState of a source with contents c, without the counts. An empty source is
// not whole, even if it is marked complete: its objects may be lost, or may be in a file that is no
// longer configured.
func read(src Source, c *Contents) *SourceState {
	s := &SourceState{Name: src.Name(), Role: src.Role(), Revision: c.Revision, Loaded: c.Loaded, Warnings: c.Warnings, Err: c.Err, Partial: c.Err != nil,
		Span: c.Span, Loading: c.Loading, whole: c.Complete && c.Model.Len() > 0}
	if s.Err == nil {
		s.Err = readOnly(src)
	}
	return s
}

// readOnly returns the reason why store src cannot be written to, or nil. For a source that is not
// a store, it returns nil.
func readOnly(src Source) error {
	if w, ok := src.(Store); ok {
		return w.ReadOnly()
	}
	return nil
}

// DeclaredBy returns the name of the source that owns o if writes cannot change o, for example of a
// file. If writes can change o, it returns "".
func (s *Intent) DeclaredBy(o Object) string {
	i := s.source(o)
	if i < 0 || i == s.writes || s.writes < 0 && s.Sources[i].Role == Own {
		return ""
	}
	return s.Sources[i].Name
}

// trial returns an intent for trying edits. If s has no source for writes, the trial gets one.
func (s *Intent) trial() *Intent {
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
func (s *Intent) Has(o Object) bool { return find(s.Index, o) != nil }

// NotFound returns an error that wraps [ErrNotFound]. If o exists in a source but is not used, the
// error has the reason.
func (s *Intent) NotFound(o Object) error {
	if v := s.held(o); v != nil {
		return fmt.Errorf("%w in use: %w", ErrNotFound, Quarantined{o, s.Sources[v.source].Name, v.err})
	}
	return fmt.Errorf("%w: %v", ErrNotFound, o)
}

// A DeclaredError means that an object cannot be written because a file declares it.
type DeclaredError struct {
	Object Object
	File   string
}

func (e *DeclaredError) Error() string {
	return fmt.Sprintf("%v is declared in %s: change it there", e.Object, e.File)
}

// An Event is a change of one object.
type Event struct {
	Revision uint64
	Object   Object
	Op       Op
	// The field of the object's kind has the new value. All are nil if the object was deleted.
	Host    *routing.Host
	Network *routing.Network
	Router  *routing.Router
	Port    *routing.Port
}

// Op is the effect of a write on an object.
type Op string

// The operations.
const (
	Created   Op = "created"
	Updated   Op = "updated"
	Unchanged Op = "unchanged"
	Deleted   Op = "deleted"
)

// events returns the events of change c on x. c must change every object that it puts or deletes.
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
	// An object is put before the objects that depend on it, and deleted after them, so that
	// clients can apply the events one by one.
	remove(routing.KindPort, c.Delete.Ports)
	remove(routing.KindRouter, c.Delete.Routers)
	for i := range c.Put.Hosts {
		h := &c.Put.Hosts[i]
		add(Event{Object: Object{routing.KindHost, h.ID}, Host: h}, x.Host(h.ID) != nil)
	}
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
	remove(routing.KindHost, c.Delete.Hosts)
	return out
}
