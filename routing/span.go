package routing

import "maps"

// A Span is the part of the intent that a host needs to route the packets of its machines: all
// hosts, and the networks with their ports and the routers of the span. A nil Span is everything.
type Span struct {
	All               bool            // everything; the maps are nil
	Networks, Routers map[string]bool // IDs
}

// HasNetwork reports whether a network, with its ports, is in the span.
func (s *Span) HasNetwork(id string) bool { return s == nil || s.All || s.Networks[id] }

// HasRouter reports whether a router is in the span.
func (s *Span) HasRouter(id string) bool { return s == nil || s.All || s.Routers[id] }

// Equal reports whether s and t are the same part of each intent.
func (s *Span) Equal(t *Span) bool {
	all := func(s *Span) bool { return s == nil || s.All }
	if all(s) || all(t) {
		return all(s) == all(t)
	}
	return maps.Equal(s.Networks, t.Networks) && maps.Equal(s.Routers, t.Routers)
}

// SpanOf returns the span of the host called id. The networks in local have machines that are
// plugged in on this host. The span has
//
//   - the networks in local
//   - networks that are not carried to other hosts, because their machines need no iface-id
//   - the routers on these networks, and routers on external bridges: what is connected there is not
//     known
//   - routers whose addresses are next hops of routes of routers of the span
//   - all networks of routers of the span
//
// On a host that is not one of the intent's hosts, the span is everything.
func SpanOf(x *Index, id string, local map[string]bool) *Span {
	if x.Host(id) == nil {
		return &Span{All: true}
	}
	s := &Span{Networks: make(map[string]bool), Routers: make(map[string]bool)}
	var todo []*Router
	add := func(r *Router) {
		if !s.Routers[r.ID] {
			s.Routers[r.ID] = true
			todo = append(todo, r)
		}
	}
	var tunnels, uplinks = Tunnels(x, id), Uplinks(x, id)
	for n := range x.Networks("") {
		if local[n.ID] || carrierOf(x, &n, tunnels, uplinks) == NotCarried {
			s.Networks[n.ID] = true
			for _, l := range x.Legs(n.ID) {
				add(l.Router)
			}
		}
	}
	for r := range x.Routers("") {
		if !r.Bridge.Managed {
			add(r)
		}
	}
	for len(todo) > 0 {
		r := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for i := range r.Interfaces {
			s.Networks[r.Interfaces[i].Network] = true
		}
		for i := range r.Routes {
			for _, h := range r.Routes[i].NextHops {
				if leg := r.Leg(h.Address); leg != nil {
					x.withAddress(leg.Network, h, add)
				}
			}
		}
	}
	return s
}

// withAddress calls add for the routers with an interface on a network that has the address of h.
func (x *Index) withAddress(network string, h NextHop, add func(*Router)) {
	for _, l := range x.Legs(network) {
		for _, p := range l.Addresses {
			if p.Addr() == h.Address {
				add(l.Router)
			}
		}
	}
}
