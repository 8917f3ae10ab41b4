package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// ErrNotFound says that an object that a write or a question is about does not
// exist.
var ErrNotFound = errors.New("there is no such object")

// ErrEmpty says that everything was to be replaced by nothing, as a program that
// has failed would ask for.
var ErrEmpty = errors.New("nothing is declared, so everything would be deleted")

// Put returns an edit that makes the objects of m exist as they are there.
func Put(m routing.Model) Edit {
	return func(*State) (Proposal, error) { return Proposal{Change: routing.Change{Put: m}}, nil }
}

// Apply returns an edit that makes a change.
func Apply(c routing.Change) Edit {
	return func(*State) (Proposal, error) { return Proposal{Change: c}, nil }
}

// Complete returns an edit that declares the intent to be complete.
func Complete(*State) (Proposal, error) { return Proposal{Complete: true}, nil }

// ReplaceAll returns an edit after which there is what m has and what the file
// declares, and nothing else. If m has nothing, the error is [ErrEmpty] unless
// allowEmpty says that this is meant.
func ReplaceAll(m routing.Model, allowEmpty bool) Edit {
	return func(s *State) (Proposal, error) {
		if m.Len() == 0 && !allowEmpty {
			return Proposal{}, ErrEmpty
		}
		c := routing.Change{Put: m}
		keep := declares(&m)
		remove := func(o Object) {
			if !keep[o] && s.DeclaredBy(o) == "" {
				c.Delete.Add(o.Kind, o.ID)
			}
		}
		for o := range used(s.Index) {
			remove(o)
		}
		for v := range s.aside.All() {
			if !v.shadow {
				remove(v.Object)
			}
		}
		return Proposal{Change: c, Complete: true}, nil
	}
}

// Delete returns an edit that deletes o, and with cascade what refers to it: of
// a network the ports on it, and the interfaces that routers have on it. The
// error is [ErrNotFound] if o does not exist.
func Delete(o Object, cascade bool) Edit {
	return func(s *State) (Proposal, error) {
		if s.source(o) < 0 {
			return Proposal{}, s.NotFound(o)
		}
		var c routing.Change
		switch o.Kind {
		case routing.KindNetwork:
			c.Delete.Networks = []string{o.ID}
			if cascade {
				cascadeNetwork(s.Index, o.ID, &c)
			}
		case routing.KindRouter:
			c.Delete.Routers = []string{o.ID}
		case routing.KindPort:
			c.Delete.Ports = []string{o.ID}
		}
		return Proposal{Change: c}, nil
	}
}

// cascadeNetwork adds to c what has to change so that a network can go.
func cascadeNetwork(x *routing.Index, id string, c *routing.Change) {
	for p := range x.PortsOn(id, "") {
		c.Delete.Ports = append(c.Delete.Ports, p.ID)
	}
	var last *routing.Router
	for _, l := range x.Legs(id) { // by router
		if l.Router == last {
			continue
		}
		last = l.Router
		r := *l.Router
		r.Interfaces = slices.DeleteFunc(slices.Clone(r.Interfaces), func(f routing.Interface) bool { return f.Network == id })
		c.Put.Routers = append(c.Put.Routers, r)
	}
}

// A Snapshot is a router with everything on its networks.
type Snapshot struct {
	Router   routing.Router
	Networks []routing.Network // that the router has interfaces on; those that exist can be left out
	Ports    []routing.Port    // all on the networks of the router
}

// ReplaceRouter returns an edit after which there is of a router and its
// networks what the snapshot has. Ports that are on these networks and not in
// the snapshot go; so do networks that the router was on, is not any more, and
// no other router is on, with the ports on them. What the file declares stays.
// The snapshot's ports have to be on networks of the router.
func ReplaceRouter(snap Snapshot) Edit {
	return func(s *State) (Proposal, error) {
		c := routing.Change{Put: routing.Model{Networks: snap.Networks, Routers: []routing.Router{snap.Router}, Ports: snap.Ports}}
		on := make(map[string]bool)
		for _, f := range snap.Router.Interfaces {
			on[f.Network] = true
		}
		var errs []error
		for i := range snap.Ports {
			if p := &snap.Ports[i]; !on[p.Network] {
				errs = append(errs, &routing.PathError{Path: fmt.Sprintf("ports[%d].network", i),
					Err: fmt.Errorf("network %q is none on which router %q has an interface", p.Network, snap.Router.ID)})
			}
		}
		if err := errors.Join(errs...); err != nil {
			return Proposal{}, err
		}
		put := declares(&c.Put)
		gone := make(objects)
		portsOf := func(network string) {
			for p := range s.Index.PortsOn(network, "") {
				gone[Object{routing.KindPort, p.ID}] = true
			}
		}
		for network := range on {
			portsOf(network)
			for w := range s.waitingFor(Object{routing.KindNetwork, network}) {
				if w.Kind == routing.KindPort {
					gone[w] = true
				}
			}
		}
		if old := s.Index.Router(snap.Router.ID); old != nil {
			for _, f := range old.Interfaces {
				if !on[f.Network] && !put[Object{routing.KindNetwork, f.Network}] && onlyOf(s.Index, f.Network, old) {
					gone[Object{routing.KindNetwork, f.Network}] = true
					portsOf(f.Network)
				}
			}
		}
		for o := range maps.Clone(gone) {
			if s.DeclaredBy(o) == "" {
				continue
			}
			delete(gone, o)
			if p, ok := s.Index.Port(o.ID); ok && o.Kind == routing.KindPort { // and the network that it is on stays
				delete(gone, Object{routing.KindNetwork, p.Network})
			}
		}
		for _, o := range slices.SortedFunc(maps.Keys(gone), Object.compare) {
			if !put[o] {
				c.Delete.Add(o.Kind, o.ID)
			}
		}
		return Proposal{Change: c}, nil
	}
}

// onlyOf reports whether no router but r has an interface on a network.
func onlyOf(x *routing.Index, network string, r *routing.Router) bool {
	return !slices.ContainsFunc(x.Legs(network), func(l routing.Leg) bool { return l.Router != r })
}
