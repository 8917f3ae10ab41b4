package routing

import (
	"net/netip"
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
	s := x.sourceOf(r, facts, prev.source)
	if !s.differsInPorts(prev.source) {
		return s.compile()
	}
	gone, come := compiler{source: prev.source}, compiler{source: s}
	if !s.kernel.Equal(prev.source.kernel) {
		gone.kernel()
		come.kernel()
	}
	if was, is := prev.source.slowRoutes(), s.slowRoutes(); !slices.Equal(was, is) {
		gone.back(was)
		come.back(is)
	}
	if !s.known.Equal(prev.source.known) {
		gone.neighbours()
		come.neighbours()
	}
	groups := prev.Groups
	for i := range s.router.Routes {
		route := &s.router.Routes[i]
		if was, is := prev.source.hops(route), s.hops(route); !slices.Equal(was, is) {
			gone.extra(i, was)
			come.extra(i, is)
			if len(is) > 1 {
				groups = nil
			}
		}
	}
	if groups == nil {
		groups = s.groupEntries()
	}
	meters := prev.Meters
	for i := range s.legs {
		was, is := &prev.source.legs[i], &s.legs[i]
		touched, all := changedPorts(was.network, is.network)
		if all {
			return s.compile()
		}
		if len(touched) > 0 && is.meters != nil && (gone.ownMeters(was) || come.ownMeters(is)) { // then there are few
			gone.limit(was)
			come.limit(is)
			meters = nil
		}
		for id := range touched {
			if p, ok := was.network.ports.Get(Port{ID: id}); ok {
				gone.deliver(was, &p)
			}
			if q, ok := is.network.ports.Get(Port{ID: id}); ok {
				come.deliver(is, &q)
			}
		}
	}
	if meters == nil {
		meters = s.meterEntries()
	}
	// All that goes comes before all that comes: addresses may have moved from
	// one port to another.
	keys := make([]ofproto.FlowKey, len(gone.flows))
	for i := range gone.flows {
		keys[i] = gone.flows[i].FlowKey
	}
	return Program{
		Flows:   prev.Flows.WithoutKeys(keys...).With(come.flows...),
		Groups:  groups,
		Meters:  meters,
		Missing: s.missing,
		Objects: Objects{prev.Objects.set.Without(gone.objects...).With(come.objects...)},
		source:  s,
	}
}

// changedPorts returns the IDs of the ports whose flows may differ: those that
// have changed and, where addresses may be claimed by several, those that have or
// had an address of theirs. all says that it may be any.
func changedPorts(was, is *members) (touched map[string]bool, all bool) {
	touched = make(map[string]bool)
	claims := was.pairs.Len()+is.pairs.Len() > 0
	others := func(a netip.Addr) {
		for _, n := range []*members{was, is} {
			if at := n.at(a); at.port != "" {
				touched[at.port] = true
			}
		}
	}
	for p, q := range sorted.Diff(was.ports, is.ports) {
		if p != nil && q != nil && p.equal(q) {
			continue
		}
		for _, port := range []*Port{p, q} {
			if port == nil {
				continue
			}
			touched[port.ID] = true
			if !claims {
				continue
			}
			if port.NoFastPath { // ports may share what is handed to the kernel
				return nil, true
			}
			for _, a := range port.Addresses {
				others(a)
			}
			for _, pair := range port.Pairs {
				if !pair.Addresses.IsSingleIP() {
					return nil, true
				}
				others(pair.Addresses.Addr())
			}
		}
	}
	return touched, false
}

// differsInPorts reports whether s and t differ in nothing but the ports of
// their networks.
func (s source) differsInPorts(t source) bool {
	return t.router != nil && s.can == t.can && s.known.crowded() == t.known.crowded() && (s.router == t.router || reflect.DeepEqual(s.router, t.router)) &&
		slices.EqualFunc(s.legs, t.legs, func(l, m leg) bool {
			return l.ID == m.ID && l.network.Network == m.network.Network && l.patch == m.patch && l.tap == m.tap
		})
}

func (p *Port) equal(q *Port) bool {
	return p.ID == q.ID && p.Network == q.Network && p.MAC == q.MAC && p.Down == q.Down && p.Unbound == q.Unbound && p.NoFastPath == q.NoFastPath &&
		slices.Equal(p.Addresses, q.Addresses) && slices.Equal(p.Pairs, q.Pairs)
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
