package ledger

import (
	"cmp"
	"iter"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/routing"
)

// Several sources may have an object, each its version of it. The first source in
// the order of precedence owns the object; the versions of the others are
// shadowed. That of the owner is used, or quarantined if it cannot be used. So
// each object is in one of these states:
//
//   - used: it is in the Index, and, unless its owner is the one at home, in owners
//   - quarantined: it is in aside
//
// and in either its shadowed versions are in aside too.

// A version is an object as one source has it.
type version struct {
	Object
	source int
	thing  thing // nil: it cannot be read
	used   bool  // it is the one in the Index
	shadow bool  // another source owns the object

	err   error    // why it is quarantined; where it cannot be read, why not
	waits []Object // of a quarantined one: it is worth another try when one of these changes
}

// An owned object is used and does not belong to the home of most objects.
type owned struct {
	Object
	source int
}

// A wait says that object is quarantined because of on.
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

// versions are all versions that there are, but those that are used; who owns the
// latter; and what quarantined ones wait for. They are immutable.
type versions struct {
	aside  sorted.Set[*version, byVersion]
	owners sorted.Set[owned, byOwned]
	waits  sorted.Set[wait, byWait]
	holes  int // quarantined networks and routers
}

// ownerOf returns the index of the source to which o belongs, which is used.
func (s *State) ownerOf(o Object) int {
	if w, ok := s.owners.Get(owned{Object: o}); ok {
		return w.source
	}
	return s.home
}

// all returns the versions of o in the order of precedence.
func (s *State) all(o Object) (out []version) {
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

// version returns what source i has of o.
func (s *State) version(i int, o Object) (version, bool) {
	if t := find(s.Index, o); t != nil && s.ownerOf(o) == i {
		return version{Object: o, source: i, thing: t, used: true}, true
	}
	if v, ok := s.aside.Get(&version{Object: o, source: i}); ok {
		return *v, true
	}
	return version{}, false
}

// has returns the objects that source i has. It takes time for all that there is.
func (s *State) has(i int) iter.Seq[Object] {
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
	}
}

// held returns the quarantined version of o, nil if o is not quarantined.
func (s *State) held(o Object) *version {
	for v := range s.aside.From(&version{Object: o}) {
		if v.Object == o && !v.shadow {
			return v
		}
		break
	}
	return nil
}

// waitingFor returns the quarantined objects that are worth another try when o
// changes.
func (s *State) waitingFor(o Object) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for w := range s.waits.From(wait{on: o}) {
			if w.on != o || !yield(w.object) {
				return
			}
		}
	}
}

// source returns the index of the source to which o belongs, -1 if none has it.
func (s *State) source(o Object) int {
	if find(s.Index, o) != nil {
		return s.ownerOf(o)
	}
	if v := s.held(o); v != nil {
		return v.source
	}
	return -1
}

// changes returns what makes m of what source i has. What is quarantined is put once
// more, so that the change is possible if m is.
func (s *State) changes(i int, m *routing.Model) (c routing.Change) {
	now := declares(m)
	d := s.Index.Differs(routing.Change{Put: *m})
	differs := declares(&d.Put) // from what is used
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

// vanishing returns the objects of ids of which there is one version.
func (s *State) vanishing(ids routing.IDs) (out routing.IDs) {
	for o := range objectsOf(ids) {
		if len(s.all(o)) < 2 {
			out.Add(o.Kind, o.ID)
		}
	}
	return out
}
