package compile

import (
	"iter"
	"net/netip"
	"reflect"
	"slices"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/routing"
)

// Recompile returns the same as [Compile]. If prev is an earlier Program of the router and
// only ports have changed, the time depends on the number of changed ports, and the result
// shares equal parts with prev. Any other prev, such as the zero Program, only makes Recompile
// slower.
func Recompile(prev Program, x *routing.Index, r *routing.Router, facts Facts) Program {
	s := sourceOf(x, r, facts, prev.source)
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
		if len(touched) > 0 && is.meters != nil && (gone.ownMeters(was) || come.ownMeters(is)) { // machines have their own meters only if there are few machines
			gone.limit(was)
			come.limit(is)
			meters = nil
		}
		for id := range touched {
			if p, ok := was.network.Port(id); ok {
				gone.deliver(was, &p)
			}
			if q, ok := is.network.Port(id); ok {
				come.deliver(is, &q)
			}
		}
	}
	if meters == nil {
		meters = s.meterEntries()
	}
	// Deletions come before additions: an address may have moved from one port to another.
	return Program{
		Flows:   prev.Flows.Exchange(gone.flows, come.flows),
		Groups:  groups,
		Meters:  meters,
		Missing: s.missing,
		Objects: Objects{sorted.Exchange(prev.Objects.set, gone.objects, come.objects)},
		source:  s,
	}
}

// changedPorts returns the IDs of the ports with flows that may differ. These are the changed
// ports and, if the network has allowed address pairs, the ports that had or have an address
// of a changed port. If all is true, the flows of any port may differ.
func changedPorts(was, is *routing.Members) (touched map[string]bool, all bool) {
	touched = make(map[string]bool)
	claims := was.HasPairs() || is.HasPairs()
	others := func(a netip.Addr) {
		for _, n := range []*routing.Members{was, is} {
			if at := n.At(a); at.Port != "" {
				touched[at.Port] = true
			}
		}
	}
	for p, q := range was.Changed(is) {
		for _, port := range []*routing.Port{p, q} {
			if port == nil {
				continue
			}
			touched[port.ID] = true
			if !claims {
				continue
			}
			if port.NoFastPath { // ports may share flows that send packets to the kernel
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

// differsInPorts reports whether s and t are equal except for the ports of their networks.
func (s source) differsInPorts(t source) bool {
	return t.router != nil && s.can == t.can && s.host == t.host && s.known.crowded() == t.known.crowded() && (s.router == t.router || reflect.DeepEqual(s.router, t.router)) &&
		slices.EqualFunc(s.legs, t.legs, func(l, m leg) bool {
			return l.ID == m.ID && l.network.Network.Equal(&m.network.Network) && l.patch == m.patch && l.tap == m.tap && l.fabric == m.fabric && l.uplink == m.uplink
		})
}

// Ports returns the ports on the router's networks that differ between the intents of p and q.
// Each is a pair: the port in p, and the port in q. nil means that the port does not exist
// there.
func (p Program) Ports(q Program) iter.Seq2[*routing.Port, *routing.Port] {
	return func(yield func(*routing.Port, *routing.Port) bool) {
		on := func(s source, network string) *routing.Members {
			for i := range s.legs {
				if s.legs[i].network.ID == network {
					return s.legs[i].network
				}
			}
			return new(routing.Members)
		}
		seen := make(map[string]bool)
		for _, legs := range [][]leg{p.source.legs, q.source.legs} {
			for i := range legs {
				id := legs[i].network.ID
				if seen[id] {
					continue
				}
				seen[id] = true
				for old, now := range on(p.source, id).Changed(on(q.source, id)) {
					if !yield(old, now) {
						return
					}
				}
			}
		}
	}
}

// Serves reports whether p was compiled from an intent with exactly this port. If p's router
// is not on q's network, it returns true.
func (p Program) Serves(q routing.Port) bool {
	for i := range p.source.legs {
		n := p.source.legs[i].network
		if n.ID != q.Network {
			continue
		}
		if has, ok := n.Port(q.ID); !ok || !has.Equal(&q) {
			return false
		}
	}
	return true
}
