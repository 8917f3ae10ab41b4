package routing

import (
	"fmt"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Leg returns the interface of r by which addr is reached: the one with a subnet
// that contains it; nil if there is none.
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

// checkRoutes checks the routes of r, which is at p.
func (v *validator) checkRoutes(p path, r *Router) {
	seen := make(map[netip.Prefix]bool, len(r.Routes))
	connected := make(map[netip.Prefix]string)
	own := make(map[netip.Addr]string)
	for i := range r.Interfaces {
		for _, a := range r.Interfaces[i].Addresses {
			if a.IsValid() {
				connected[a.Masked()], own[a.Addr()] = r.Interfaces[i].ID, r.Interfaces[i].ID
			}
		}
	}
	for k, route := range r.Routes {
		to, via := route.Destination, route.NextHop
		bad := func(key, format string, args ...any) { v.bad(p, fmt.Sprintf("routes[%d].%s", k, key), format, args...) }
		switch {
		case !to.IsValid():
			bad("destination", "no destination is given")
		case to != to.Masked():
			bad("destination", "destination %v has host bits: write %v", to, to.Masked())
		case to.Addr().Is4In6():
			bad("destination", "destination %v is IPv4 in IPv6", to)
		case to.Addr().IsMulticast(), to.Bits() > 0 && (to.Addr().IsLoopback() || to.Addr().Is6() && to.Addr().IsLinkLocalUnicast()):
			bad("destination", "nothing can be routed to %v", to)
		case seen[to]:
			bad("destination", "there is already a route to %v", to)
		case connected[to] != "":
			bad("destination", "%v is the subnet of interface %q", to, connected[to])
		}
		seen[to] = true
		switch err := checkAddr(via); {
		case err != nil:
			bad("nexthop", "%w", err)
		case to.IsValid() && via.Is4() != to.Addr().Is4():
			bad("nexthop", "next hop %v is not of the family of %v", via, to)
		case own[via] != "":
			bad("nexthop", "next hop %v is the router itself: interface %q has it", via, own[via])
		case r.Leg(via) == nil:
			bad("nexthop", "next hop %v is in no subnet of the router's interfaces", via)
		}
	}
}

// A hop is where a route leads at present.
type hop struct {
	leg  int         // index among the legs; -1: none
	mac  ofproto.MAC // of the port that has the next hop's address
	port string      // its ID; "": no port has the address, so the kernel has to find it
}

// hop returns where route leads.
func (s source) hop(route *Route) hop {
	for i := range s.legs {
		l := &s.legs[i]
		if !l.contains(route.NextHop) {
			continue
		}
		h := hop{leg: i}
		if o, ok := l.network.addrs.Get(addrOf{addr: route.NextHop}); ok && o.kind == KindPort {
			if p, ok := l.network.ports.Get(Port{ID: o.id}); ok {
				h.mac, h.port = p.MAC, p.ID
			}
		}
		return h
	}
	return hop{leg: -1}
}

// extra emits the flows of an extra route that leads to h: to the port that has
// the next hop's address and, where only the kernel can do it, to the kernel,
// which has the same routes.
func (c *compiler) extra(route *Route, h hop) {
	if !route.Destination.Addr().Is4() {
		return
	}
	to, prio := ofproto.IPv4Dst(route.Destination), uint16(2*route.Destination.Bits()+2)
	for i := range c.legs {
		from := &c.legs[i]
		if h.port == "" || i == h.leg || c.legs[h.leg].network.MTU < from.network.MTU {
			c.emit(Object{KindRoute, route.Destination.String(), from.ID}, RoleException, tableRoute, prio+1, ofproto.MatchOf(ofproto.InPort(from.patch), ofproto.IPv4(), to), c.toKernel(from))
		}
	}
	if h.port != "" {
		out := &c.legs[h.leg]
		c.emit(Object{KindRoute, route.Destination.String(), out.ID}, RoleExtra, tableRoute, prio, ofproto.MatchOf(ofproto.IPv4(), to), out.forward(h.mac))
	}
}

// forward sends a packet to a machine on l's network.
func (l *leg) forward(to ofproto.MAC) ofproto.Instructions {
	return ofproto.ApplyActions(
		ofproto.SetField{Field: ofproto.EthSrc(l.MAC)},
		ofproto.SetField{Field: ofproto.EthDst(to)},
		ofproto.DecTTL{},
		ofproto.Output{Port: l.patch},
	)
}
