package routing

import (
	"reflect"
	"slices"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
)

// Recompile returns what [Index.Compile] does. If prev is an earlier Program of
// the router, and only ports of the Model have changed since, it takes time for
// these and not for the others, and the result shares with prev what is equal.
// Any other prev, such as the zero Program, only makes it slower.
func (x *Index) Recompile(prev Program, r *Router, facts Facts) Program {
	s := x.sourceOf(r, facts)
	if !s.differsInPorts(prev.source) {
		return s.compile()
	}
	gone, come := compiler{source: prev.source}, compiler{source: s}
	for i := range s.router.Routes {
		route := &s.router.Routes[i]
		if was, is := prev.source.hop(route), s.hop(route); was != is {
			gone.extra(route, was)
			come.extra(route, is)
		}
	}
	for i := range s.legs {
		l := &s.legs[i]
		for p, q := range sorted.Diff(prev.source.legs[i].network.ports, l.network.ports) {
			if p != nil && q != nil && p.equal(q) {
				continue
			}
			if p != nil {
				gone.deliver(l, p)
			}
			if q != nil {
				come.deliver(l, q)
			}
		}
	}
	// All that goes comes before all that comes: addresses may have moved from
	// one port to another.
	keys := make([]ofproto.FlowKey, len(gone.flows))
	for i := range gone.flows {
		keys[i] = gone.flows[i].FlowKey
	}
	return Program{
		Flows:   prev.Flows.WithoutKeys(keys...).With(come.flows...),
		Groups:  prev.Groups,
		Meters:  prev.Meters,
		Missing: s.missing,
		Objects: Objects{prev.Objects.set.Without(gone.objects...).With(come.objects...)},
		source:  s,
	}
}

// differsInPorts reports whether s and t differ in nothing but the ports of
// their networks.
func (s source) differsInPorts(t source) bool {
	return t.router != nil && (s.router == t.router || reflect.DeepEqual(s.router, t.router)) &&
		slices.EqualFunc(s.legs, t.legs, func(l, m leg) bool {
			return l.ID == m.ID && l.network.Network == m.network.Network && l.patch == m.patch && l.tap == m.tap
		})
}

func (p *Port) equal(q *Port) bool {
	return p.ID == q.ID && p.Network == q.Network && p.MAC == q.MAC && slices.Equal(p.Addresses, q.Addresses)
}

// Serves reports whether p was compiled of an intent in which q is exactly what
// it is, as far as p has to do with q's network.
func (p Program) Serves(q Port) bool {
	for i := range p.source.legs {
		n := p.source.legs[i].network
		if n.ID != q.Network {
			continue
		}
		if has, ok := n.ports.Get(Port{ID: q.ID}); !ok || !has.equal(&q) {
			return false
		}
	}
	return true
}
