package routing

import (
	"fmt"
	"net/netip"
	"strings"
)

// String returns r in the syntax of ip-route(8).
func (r *Route) String() string {
	var b strings.Builder
	switch r.Type {
	case RouteBlackhole:
		b.WriteString("blackhole ")
	case RouteReject:
		b.WriteString("reject ")
	}
	b.WriteString(r.Destination.String())
	for i, h := range r.NextHops {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " via %v", h.Address)
		if len(r.NextHops) > 1 {
			fmt.Fprintf(&b, " weight %d", h.Weight)
		}
	}
	if r.NoFastPath {
		b.WriteString(" (fast path off)")
	}
	return b.String()
}

// Leg returns the interface of r with a subnet that contains addr, nil if no interface has one.
func (r *Router) Leg(addr netip.Addr) *Interface {
	for i := range r.Interfaces {
		for _, p := range r.Interfaces[i].Addresses {
			if p.IsValid() && p.Contains(addr) {
				return &r.Interfaces[i]
			}
		}
	}
	return nil
}

// beyond returns the IPv6 extra route with a destination that contains the next hop via, or
// nil. It returns nil if a connected subnet with a longer prefix contains via. Linux refuses a
// next hop that is itself behind an extra route, in some cases only when the route is changed.
// Routes through other interfaces do not matter.
func (r *Router) beyond(via netip.Addr) *Route {
	leg := r.Leg(via)
	for i := range r.Routes {
		route := &r.Routes[i]
		if !via.Is6() || !route.Destination.IsValid() || !route.Destination.Contains(via) || r.connectedIn(route.Destination, via) {
			continue
		}
		if route.Type != RouteVia {
			return route
		}
		for _, h := range route.NextHops {
			if r.Leg(h.Address) == leg {
				return route
			}
		}
	}
	return nil
}

// connectedIn reports whether a subnet of r that contains a is inside p.
func (r *Router) connectedIn(p netip.Prefix, a netip.Addr) bool {
	for i := range r.Interfaces {
		for _, s := range r.Interfaces[i].Addresses {
			if s.IsValid() && s.Contains(a) && s.Bits() > p.Bits() {
				return true
			}
		}
	}
	return false
}

// checkRoutes checks the routes of r, which is at p.
func (v *validator) checkRoutes(p path, r *Router) {
	seen := make(map[netip.Prefix]bool, len(r.Routes))
	connected := make(map[netip.Prefix]string)
	own, shared := make(map[netip.Addr]string), make(map[netip.Addr]string)
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		for _, a := range f.Addresses {
			if !a.IsValid() {
				continue
			}
			connected[a.Masked()], own[a.Addr()] = f.ID, f.ID
			switch {
			case a.Addr().Is6() && a.Bits() < 127 && !a.Addr().IsLinkLocalUnicast():
				shared[a.Masked().Addr()] = fmt.Sprintf("the anycast address of all routers in %v", a.Masked())
			case a.Addr().Is4() && a.Bits() < 31:
				shared[a.Masked().Addr()] = fmt.Sprintf("the network address of %v", a.Masked())
				shared[LastAddr(a)] = fmt.Sprintf("the broadcast address of %v", a.Masked())
			}
		}
		if f.has6() {
			own[LinkLocalOf(f.MAC)] = f.ID
		}
	}
	for k, route := range r.Routes {
		to := route.Destination
		bad := func(key, format string, args ...any) { v.bad(p, fmt.Sprintf("routes[%d].%s", k, key), format, args...) }
		switch {
		case !to.IsValid():
			bad("destination", "no destination is given")
		case to != to.Masked():
			bad("destination", "destination %v has host bits: write %v", to, to.Masked())
		case to.Addr().Is4In6():
			bad("destination", "destination %v is IPv4 in IPv6", to)
		case to.Addr().IsMulticast(), to.Bits() > 0 && (to.Addr().IsLoopback() || to.Addr().Is6() && to.Addr().IsLinkLocalUnicast()):
			bad("destination", "packets cannot be routed to %v", to)
		case seen[to]:
			bad("destination", "there is already a route to %v", to)
		case connected[to] != "":
			bad("destination", "%v is the subnet of interface %q", to, connected[to])
		}
		seen[to] = true
		switch hops := len(route.NextHops); {
		case route.Type > RouteReject:
			bad("type", "unknown route type %d", route.Type)
		case route.Type == RouteVia && hops == 0:
			bad("nexthop", "no next hop is given")
		case route.Type != RouteVia && hops > 0:
			bad("nexthop", "the route has a type that needs no next hop")
		case hops > MaxNextHops:
			bad("nexthops", "there are %d next hops, more than %d", hops, MaxNextHops)
		}
		hopSeen := make(map[netip.Addr]bool)
		for n, h := range route.NextHops {
			key, via := "nexthop", h.Address
			if len(route.NextHops) > 1 || h.Weight != 1 {
				key = fmt.Sprintf("nexthops[%d].address", n)
			}
			switch err := checkAddr(via); {
			case err != nil:
				bad(key, "%w", err)
			case to.IsValid() && via.Is4() != to.Addr().Is4():
				bad(key, "next hop %v and destination %v have different families", via, to)
			case own[via] != "":
				bad(key, "next hop %v is an address of the router itself, on interface %q", via, own[via])
			case shared[via] != "":
				bad(key, "next hop %v is not a machine: it is %s", via, shared[via])
			case hopSeen[via]:
				bad(key, "next hop %v is given twice", via)
			case r.Leg(via) == nil:
				bad(key, "next hop %v is not in a subnet of the router's interfaces", via)
			default:
				if around := r.beyond(via); around != nil {
					bad(key, "next hop %v is inside the route to %v, and Linux refuses such IPv6 routes: use a next hop on a connected network, or exclude it from that route's destination",
						via, around.Destination)
				}
			}
			hopSeen[via] = true
			if h.Weight < 1 || h.Weight > MaxWeight {
				bad(fmt.Sprintf("nexthops[%d].weight", n), "weight %d is outside 1–%d", h.Weight, MaxWeight)
			}
		}
	}
}
