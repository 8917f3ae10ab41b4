package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// ErrNotFound means that the object of a request does not exist.
var ErrNotFound = errors.New("there is no such object")

// ErrEmpty means that a request would delete everything, for example because of a failure in
// the client.
var ErrEmpty = errors.New("nothing is declared, so everything would be deleted")

// An Edit returns the change that a write makes to an intent, or an error. It runs on the
// ledger's goroutine, so it should be fast.
type Edit func(*Intent) (Proposal, error)

// A Proposal is the change that a write proposes.
type Proposal struct {
	Change   routing.Change
	Complete bool // declare the intent complete, see [Intent]
}

// A Result is the effect of a write.
type Result struct {
	Intent  *Intent   // after the write
	Objects []Outcome // the objects of the write, and other objects that changed with them
	Touched []string  // IDs of the affected routers, sorted
}

// An Outcome is the effect of a write on one object.
type Outcome struct {
	Object Object
	Op     Op
}

// Changed reports whether the write changed anything.
func (r *Result) Changed() bool {
	return slices.ContainsFunc(r.Objects, func(o Outcome) bool { return o.Op != Unchanged })
}

// Put returns an edit that creates or replaces the objects of m.
func Put(m routing.Model) Edit {
	return func(*Intent) (Proposal, error) { return Proposal{Change: routing.Change{Put: m}}, nil }
}

// Apply returns an edit that applies c.
func Apply(c routing.Change) Edit {
	return func(*Intent) (Proposal, error) { return Proposal{Change: c}, nil }
}

// Complete is an edit that declares the intent complete.
func Complete(*Intent) (Proposal, error) { return Proposal{Complete: true}, nil }

// ReplaceAll returns an edit that makes m the contents of the store. Objects of the store that
// are not in m are deleted, unless another source declares them. If m is empty, the error is
// [ErrEmpty] unless allowEmpty is set.
func ReplaceAll(m routing.Model, allowEmpty bool) Edit {
	return func(s *Intent) (Proposal, error) {
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

// Delete returns an edit that deletes o. If cascade is true, it also deletes
// references to o. For a network these are its ports and the interfaces of
// routers on it. For a host these are the host keys of ports. The error is
// [ErrNotFound] if o does not exist.
func Delete(o Object, cascade bool) Edit {
	return func(s *Intent) (Proposal, error) {
		if s.source(o) < 0 {
			return Proposal{}, s.NotFound(o)
		}
		var c routing.Change
		switch o.Kind {
		case routing.KindHost:
			c.Delete.Hosts = []string{o.ID}
			if cascade {
				cascadeHost(s.Index, o.ID, &c)
			}
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

// cascadeHost adds to c the changes of ports that must precede the deletion of the host.
func cascadeHost(x *routing.Index, id string, c *routing.Change) {
	for port := range x.Guests(id) {
		if p, ok := x.Port(port); ok {
			p.Host = ""
			c.Put.Ports = append(c.Put.Ports, p)
		}
	}
}

// cascadeNetwork adds to c the deletions that must precede the deletion of the network.
func cascadeNetwork(x *routing.Index, id string, c *routing.Change) {
	for p := range x.PortsOn(id, "") {
		c.Delete.Ports = append(c.Delete.Ports, p.ID)
	}
	var last *routing.Router
	for _, l := range x.Legs(id) { // sorted by router
		if l.Router == last {
			continue
		}
		last = l.Router
		r := *l.Router
		r.Interfaces = slices.DeleteFunc(slices.Clone(r.Interfaces), func(f routing.Interface) bool { return f.Network == id })
		c.Put.Routers = append(c.Put.Routers, r)
	}
}

// A Snapshot is a router, its networks and their ports, see [ReplaceRouter].
type Snapshot struct {
	Router   routing.Router
	Networks []routing.Network // the router's networks; existing networks may be omitted
	Ports    []routing.Port    // all ports on the router's networks
}

// ReplaceRouter returns an edit that makes a router and its networks match the snapshot. It
// deletes ports that are on these networks but not in the snapshot. If the router no longer
// has an interface on a network and no other router has one, the network is deleted with its
// ports. Objects that a file declares are kept. The snapshot's ports must be on networks of
// the router.
func ReplaceRouter(snap Snapshot) Edit {
	return func(s *Intent) (Proposal, error) {
		c := routing.Change{Put: routing.Model{Networks: snap.Networks, Routers: []routing.Router{snap.Router}, Ports: snap.Ports}}
		on := make(map[string]bool)
		for _, f := range snap.Router.Interfaces {
			on[f.Network] = true
		}
		var errs []error
		for i := range snap.Ports {
			if p := &snap.Ports[i]; !on[p.Network] {
				errs = append(errs, &routing.PathError{Path: fmt.Sprintf("ports[%d].network", i),
					Err: fmt.Errorf("router %q has no interface on network %q", snap.Router.ID, p.Network)})
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
			if p, ok := s.Index.Port(o.ID); ok && o.Kind == routing.KindPort { // a port that stays needs its network
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

// onlyOf reports whether r is the only router with an interface on a network.
func onlyOf(x *routing.Index, network string, r *routing.Router) bool {
	return !slices.ContainsFunc(x.Legs(network), func(l routing.Leg) bool { return l.Router != r })
}
