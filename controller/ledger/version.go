package ledger

import (
	"cmp"
	"iter"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/routing"
)

// Several sources may have the same object, each with its own version. The first source in
// order of precedence owns the object, and the versions of the other sources are shadowed. The
// owner's version is used, or quarantined if it cannot be used. Therefore each object is in
// one of two cases:
//
//   - used: it is in the Index and, unless the home source owns it, in owners
//   - quarantined: it is in aside
//
// In both cases the shadowed versions of the object are in aside too.

// A version is one source's version of an object.
type version struct {
	Object
	source int
	thing  thing // value; nil if it cannot be read
	used   bool  // the version is in the Index
	shadow bool  // another source owns the object

	err   error    // reason why it is quarantined or cannot be read
	waits []Object // objects whose change causes another attempt to use a quarantined version
}

// An owned object is used and its owner is not the home source.
type owned struct {
	Object
	source int
}

// A wait means that the quarantined object is tried again when the object on
// changes.
type wait struct{ on, object Object }

type (
	byVersion struct{}
	byOwned   struct{}
	byWait    struct{}
)

func (byVersion) Compare(a, b *version) int {
	return cmp.Or(a.Object.compare(b.Object), cmp.Compare(a.source, b.source))
}
func (byOwned) Compare(a, b owned) int { return a.Object.compare(b.Object) }
func (byWait) Compare(a, b wait) int   { return cmp.Or(a.on.compare(b.on), a.object.compare(b.object)) }

// versions has all versions that are not used, the owners of used objects, and the objects
// that quarantined objects wait for. It is immutable.
type versions struct {
	aside  sorted.Set[*version, byVersion]
	owners sorted.Set[owned, byOwned]
	waits  sorted.Set[wait, byWait]
	holes  int // number of quarantined hosts, networks and routers
}

// ownerOf returns the index of the source that owns o. The object must not be quarantined.
func (s *Intent) ownerOf(o Object) int {
	if w, ok := s.owners.Get(owned{Object: o}); ok {
		return w.source
	}
	return s.home
}

// all returns the versions of o in order of precedence.
func (s *Intent) all(o Object) (out []version) {
	if t := find(s.Index, o); t != nil {
		out = append(out, version{Object: o, source: s.ownerOf(o), thing: t, used: true})
	}
	for v := range s.aside.From(&version{Object: o}) {
		if v.Object != o {
			break
		}
		out = append(out, *v)
	}
	return out
}

// version returns source i's version of o.
func (s *Intent) version(i int, o Object) (version, bool) {
	if t := find(s.Index, o); t != nil && s.ownerOf(o) == i {
		return version{Object: o, source: i, thing: t, used: true}, true
	}
	if v, ok := s.aside.Get(&version{Object: o, source: i}); ok {
		return *v, true
	}
	return version{}, false
}

// has returns all objects of source i. The time is proportional to the number of all objects.
func (s *Intent) has(i int) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for o := range used(s.Index) {
			if s.ownerOf(o) == i && !yield(o) {
				return
			}
		}
		for v := range s.aside.All() {
			if v.source == i && !yield(v.Object) {
				return
			}
		}
	}
}

// used returns the objects of x.
func used(x *routing.Index) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for p := range x.Ports("") {
			if !yield(Object{routing.KindPort, p.ID}) {
				return
			}
		}
		for r := range x.Routers("") {
			if !yield(Object{routing.KindRouter, r.ID}) {
				return
			}
		}
		for n := range x.Networks("") {
			if !yield(Object{routing.KindNetwork, n.ID}) {
				return
			}
		}
		for h := range x.Hosts("") {
			if !yield(Object{routing.KindHost, h.ID}) {
				return
			}
		}
	}
}

// held returns the quarantined version of o, or nil if o is not quarantined.
func (s *Intent) held(o Object) *version {
	for v := range s.aside.From(&version{Object: o}) {
		if v.Object == o && !v.shadow {
			return v
		}
		break
	}
	return nil
}

// waitingFor returns the quarantined objects to try again when o changes.
func (s *Intent) waitingFor(o Object) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for w := range s.waits.From(wait{on: o}) {
			if w.on != o || !yield(w.object) {
				return
			}
		}
	}
}

// source returns the index of the source that owns o, or -1 if no source has o.
func (s *Intent) source(o Object) int {
	if find(s.Index, o) != nil {
		return s.ownerOf(o)
	}
	if v := s.held(o); v != nil {
		return v.source
	}
	return -1
}

// changes returns the change from the objects of source i to m. It includes quarantined
// objects of m, so that the result is valid if m is.
func (s *Intent) changes(i int, m *routing.Model) (c routing.Change) {
	now := declares(m)
	d := s.Index.Differs(routing.Change{Put: *m})
	differs := declares(&d.Put) // differences between m and the used versions
	for o, t := range things(m) {
		v, ok := s.version(i, o)
		if !ok || v.used && differs[o] || v.shadow && !same(v.thing, t) || !v.used && !v.shadow {
			put(&c.Put, t)
		}
	}
	for o := range s.has(i) {
		if !now[o] {
			c.Delete.Add(o.Kind, o.ID)
		}
	}
	return c
}

// vanishing returns the objects in ids that have only one version. If their source deletes it, they
// no longer exist.
func (s *Intent) vanishing(ids routing.IDs) (out routing.IDs) {
	for o := range objectsOf(ids) {
		if len(s.all(o)) < 2 {
			out.Add(o.Kind, o.ID)
		}
	}
	return out
}
