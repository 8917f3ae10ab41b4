package ledger

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// An Object identifies a host, network, router or port.
type Object struct {
	Kind routing.Kind
	ID   string
}

func (o Object) String() string { return fmt.Sprintf("%v %q", o.Kind, o.ID) }

func (o Object) compare(p Object) int {
	return cmp.Or(cmp.Compare(o.Kind, p.Kind), strings.Compare(o.ID, p.ID))
}

// A thing is the value of an object: a *routing.Host, *routing.Network, *routing.Router or
// *routing.Port. It is immutable.
type thing any

// find returns the value of o in x, or nil if x does not have o.
func find(x *routing.Index, o Object) thing {
	switch o.Kind {
	case routing.KindHost:
		if h := x.Host(o.ID); h != nil {
			return h
		}
	case routing.KindNetwork:
		if n, ok := x.Network(o.ID); ok {
			return &n
		}
	case routing.KindRouter:
		if r := x.Router(o.ID); r != nil {
			return r
		}
	case routing.KindPort:
		if p, ok := x.Port(o.ID); ok {
			return &p
		}
	}
	return nil
}

func same(a, b thing) bool { return reflect.DeepEqual(a, b) }

// things returns the objects of m with their values.
func things(m *routing.Model) iter.Seq2[Object, thing] {
	return func(yield func(Object, thing) bool) {
		for i := range m.Hosts {
			if !yield(Object{routing.KindHost, m.Hosts[i].ID}, &m.Hosts[i]) {
				return
			}
		}
		for i := range m.Networks {
			if !yield(Object{routing.KindNetwork, m.Networks[i].ID}, &m.Networks[i]) {
				return
			}
		}
		for i := range m.Routers {
			if !yield(Object{routing.KindRouter, m.Routers[i].ID}, &m.Routers[i]) {
				return
			}
		}
		for i := range m.Ports {
			if !yield(Object{routing.KindPort, m.Ports[i].ID}, &m.Ports[i]) {
				return
			}
		}
	}
}

// objectsOf returns ids as Objects.
func objectsOf(ids routing.IDs) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		each := func(kind routing.Kind, ids []string) bool {
			for _, id := range ids {
				if !yield(Object{kind, id}) {
					return false
				}
			}
			return true
		}
		_ = each(routing.KindPort, ids.Ports) && each(routing.KindRouter, ids.Routers) && each(routing.KindNetwork, ids.Networks) && each(routing.KindHost, ids.Hosts)
	}
}

// idsOf returns o as IDs.
func idsOf(o Object) (ids routing.IDs) {
	ids.Add(o.Kind, o.ID)
	return ids
}

// named returns the objects that c puts or deletes.
func named(c *routing.Change) iter.Seq[Object] {
	return func(yield func(Object) bool) {
		for o := range things(&c.Put) {
			if !yield(o) {
				return
			}
		}
		for o := range objectsOf(c.Delete) {
			if !yield(o) {
				return
			}
		}
	}
}

// put appends t to m.
func put(m *routing.Model, t thing) {
	switch t := t.(type) {
	case *routing.Host:
		m.Hosts = append(m.Hosts, *t)
	case *routing.Network:
		m.Networks = append(m.Networks, *t)
	case *routing.Router:
		m.Routers = append(m.Routers, *t)
	case *routing.Port:
		m.Ports = append(m.Ports, *t)
	}
}

// alone returns a copy of t, so that the slice that t points into can be freed.
func alone(t thing) thing {
	switch t := t.(type) {
	case *routing.Host:
		c := *t
		return &c
	case *routing.Network:
		c := *t
		return &c
	case *routing.Router:
		c := *t
		return &c
	case *routing.Port:
		c := *t
		return &c
	}
	return nil
}

// references returns the networks and the host that t refers to.
func references(t thing) (out []Object) {
	switch t := t.(type) {
	case *routing.Router:
		for i := range t.Interfaces {
			out = append(out, Object{routing.KindNetwork, t.Interfaces[i].Network})
		}
	case *routing.Port:
		out = append(out, Object{routing.KindNetwork, t.Network})
		if t.Host != "" {
			out = append(out, Object{routing.KindHost, t.Host})
		}
	}
	return out
}

// objects is a set of objects.
type objects map[Object]bool

// declares returns the objects of m.
func declares(m *routing.Model) objects {
	d := make(objects, m.Len())
	for o := range things(m) {
		d[o] = true
	}
	return d
}
