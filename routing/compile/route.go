package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Priorities in tableRoute. Each prefix length has four; no two prefixes of one
// length overlap, as an extra route is none to a connected subnet.
const (
	prioMiss = 1 // also in tableDeliver

	prioScope     = 1 // packets of another address scope
	prioPrefix    = 2
	prioException = 3 // packets that came in by certain interfaces
	prioForeign   = 4 // that the kernel routes in another way; less than all of the next length

	prioChoice = 600 // and more: what the kernel decides whatever the length
)

// prio returns the priority of a flow for p.
func prio(p netip.Prefix, what uint16) uint16 { return uint16(4+4*p.Bits()) + what }

// ethernetHeader is what a packet has besides the MTU: switches measure it too.
const ethernetHeader = 14

// connected emits what decides by the destination's network: a subnet of l goes
// on to tableDeliver, except where the kernel has to do it: back out of the
// interface that the packet came in by, which Open vSwitch would drop and for
// which the kernel also sends a redirect, and from another address scope.
func (c *compiler) connected(l *leg) {
	about := l.object()
	for _, p := range l.Addresses {
		if linkLocal(p.Addr()) {
			continue
		}
		p = p.Masked()
		out := exit{legs: []*leg{l}, scope: l.scope[familyOf(p.Addr())], mtu: l.network.MTU}
		c.emit(about, RoleRoute, tableRoute, prio(p, prioPrefix), out.match(p), c.checked(out, ofproto.Goto{Table: tableDeliver}))
		c.exceptions(p, about, out)
	}
	c.emit(about, RoleNoRoute, tableRoute, prioMiss, ofproto.MatchOf(ofproto.InPort(l.patch)), c.toKernel(l))
}

// An exit is where packets for a prefix leave the router.
type exit struct {
	legs  []*leg
	scope uint64 // of addresses; 0: it does not matter
	mtu   int    // the smallest
}

// match matches packets for p that may leave.
func (e exit) match(p netip.Prefix) ofproto.Match {
	fields := []ofproto.Field{dst(p)}
	if e.scope != 0 {
		fields = append(fields, ofproto.Metadata(e.scope, metaScope))
	}
	return familyOf(p.Addr()).match(fields...)
}

// narrow reports whether packets from l can be too large for e.
func (e exit) narrow(l *leg) bool { return e.mtu < l.network.MTU }

// checks reports whether packets that leave by e have to be measured.
func (c *compiler) checks(e exit) bool { return c.can.Has(CanCheckLength) && e.mtu < c.max }

// checked does what in says, after it has measured whether the packet fits.
func (c *compiler) checked(e exit, in ...ofproto.Instruction) ofproto.Instructions {
	if c.checks(e) {
		in = append(in, ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.CheckLarger{Len: uint16(min(e.mtu+ethernetHeader, 0xffff)), Dst: tooBig})})
	}
	return ofproto.Do(in...)
}

// exceptions emits what hands packets for p to the kernel that must not leave
// by e.
func (c *compiler) exceptions(p netip.Prefix, about routing.Object, e exit) {
	v := familyOf(p.Addr())
	for i := range c.legs {
		from := &c.legs[i]
		if e.by(from) || e.narrow(from) && !c.can.Has(CanCheckLength) {
			do := c.toKernel(from)
			if about.Kind == routing.KindInterface {
				do = c.toNeighbour(from)
			}
			c.emit(exceptionOf(about, from), RoleException, tableRoute, prio(p, prioException), v.match(ofproto.InPort(from.patch), dst(p)), do)
		}
	}
	if e.scope != 0 {
		c.emit(about, RoleScope, tableRoute, prio(p, prioScope), v.match(dst(p)), ofproto.GotoTable(tableKernel))
	}
}

// by reports whether packets may leave by l.
func (e exit) by(l *leg) bool {
	for _, out := range e.legs {
		if out.Interface == l.Interface {
			return true
		}
	}
	return false
}

// exceptionOf returns what an exception for packets from l serves: the interface
// itself, or the route.
func exceptionOf(about routing.Object, l *leg) routing.Object {
	if about.Kind == routing.KindRoute {
		about.Interface = l.ID
		return about
	}
	return l.object()
}

// scopeOf returns the name of the address scope of n.
func scopeOf(n *routing.Members, v family) string {
	if v == v4 {
		return n.IPv4Scope
	}
	return n.IPv6Scope
}

// extra emits the flows of extra route number i, which leads to hops: to the
// ports that have their addresses and, where only the kernel can do it, to the
// kernel, which has the same routes.
func (c *compiler) extra(i int, hops []hop) {
	route := &c.router.Routes[i]
	to, v := route.Destination, familyOf(route.Destination.Addr())
	about := routing.Object{Kind: routing.KindRoute, ID: to.String()}
	if c.slowRoute(route, hops) {
		c.emit(about, RoleSlow, tableRoute, prio(to, prioPrefix), v.match(dst(to)), ofproto.GotoTable(tableKernel))
		return
	}
	if route.Type == routing.RouteBlackhole {
		c.emit(about, RoleBlackhole, tableRoute, prio(to, prioPrefix), v.match(dst(to)), ofproto.Instructions{})
		return
	}
	out, ok := c.exit(route, hops)
	if !ok {
		c.emit(about, RoleException, tableRoute, prio(to, prioPrefix), v.match(dst(to)), ofproto.GotoTable(tableKernel))
		return
	}
	if len(out.legs) == 1 {
		about.Interface = out.legs[0].ID
	}
	send := ofproto.Apply{Actions: out.legs[0].forward(hops[0].mac)}
	if len(hops) > 1 {
		send.Actions = ofproto.ActionsOf(ofproto.ToGroup{ID: c.groups[i]})
	}
	if c.checks(out) { // those that do not fit turn off in tableDeliver
		meta := uint64(i+1) << 32
		c.emit(about, RoleMeasure, tableRoute, prio(to, prioPrefix), out.match(to), c.checked(out, ofproto.WriteMetadata{Value: meta, Mask: metaRoute}, ofproto.Goto{Table: tableDeliver}))
		c.emit(about, RoleExtra, tableDeliver, prioHop, v.match(ofproto.Metadata(meta, metaRoute)), ofproto.Do(send))
	} else {
		c.emit(about, RoleExtra, tableRoute, prio(to, prioPrefix), out.match(to), ofproto.Do(send))
	}
	c.exceptions(to, about, out)
}

// exit returns where packets leave that take route, and false if the kernel has
// to send them on.
func (c *compiler) exit(route *routing.Route, hops []hop) (e exit, ok bool) {
	if route.Type != routing.RouteVia || c.slowRoute(route, hops) || len(hops) > 1 && !c.can.Has(CanSelect) {
		return e, false
	}
	for i, h := range hops {
		if h.port == "" {
			return e, false
		}
		l := &c.legs[h.leg]
		scope := l.scope[familyOf(route.Destination.Addr())]
		if i == 0 {
			e.scope, e.mtu = scope, l.network.MTU
		}
		if scope != e.scope {
			return e, false
		}
		e.mtu = min(e.mtu, l.network.MTU)
		if !e.by(l) {
			e.legs = append(e.legs, l)
		}
	}
	return e, true
}

// A hop is where a route's next hop is at present.
type hop struct {
	leg  int         // index among the legs; -1: none
	mac  ofproto.MAC // of the port that has the next hop's address
	port string      // its ID; "": no port has the address, so the kernel has to find it
	slow bool        // the fast path of the port or of its network is off
}

// hops returns where the next hops of route are.
func (s source) hops(route *routing.Route) []hop {
	out := make([]hop, len(route.NextHops))
	for i, next := range route.NextHops {
		out[i] = s.hop(next.Address)
	}
	return out
}

func (s source) hop(a netip.Addr) hop {
	for i := range s.legs {
		if l := &s.legs[i]; l.contains(a) {
			at := l.network.At(a)
			port, _ := l.network.Port(at.Port)
			return hop{i, at.MAC, at.Port, port.NoFastPath || l.network.NoFastPath}
		}
	}
	return hop{leg: -1}
}

// forward sends a packet to a machine on l's network.
func (l *leg) forward(to ofproto.MAC) ofproto.Actions {
	return ofproto.ActionsOf(
		ofproto.SetField{Field: ofproto.EthSrc(l.MAC)},
		ofproto.SetField{Field: ofproto.EthDst(to)},
		ofproto.DecTTL{},
		ofproto.Output{Port: l.patch},
	)
}
