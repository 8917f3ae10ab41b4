package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Priorities in tableRoute. Each prefix length has four. Prefixes of the same length do not
// overlap, because an extra route cannot lead to a connected subnet.
const (
	prioMiss = 1 // also in tableDeliver

	prioScope     = 1 // packets from another address scope
	prioPrefix    = 2
	prioException = 3 // packets that entered by certain interfaces
	prioForeign   = 4 // packets that the kernel routes differently; below all priorities of the next length

	prioChoice = 600 // lowest priority for policy rules of the kernel, which precede prefixes of any length
)

// prio returns the priority of a flow for p. The parameter what is one of the constants above.
func prio(p netip.Prefix, what uint16) uint16 { return uint16(4+4*p.Bits()) + what }

// ethernetHeader is the length of the Ethernet header, which switches include in the length of
// a packet.
const ethernetHeader = 14

// connected emits the flows for packets to the subnets of l. They continue in tableDeliver,
// with two exceptions for the kernel: packets from another address scope, and packets that
// would leave by their ingress interface. Open vSwitch would drop these; the kernel forwards
// them and sends a redirect.
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

// An exit describes how packets for a prefix leave the router.
type exit struct {
	legs  []*leg
	scope uint64 // address scope; 0 means any
	mtu   int    // the smallest MTU of legs
}

// match returns a match of the packets for p that may leave by e.
func (e exit) match(p netip.Prefix) ofproto.Match {
	fields := []ofproto.Field{dst(p)}
	if e.scope != 0 {
		fields = append(fields, ofproto.Metadata(e.scope, metaScope))
	}
	return familyOf(p.Addr()).match(fields...)
}

// narrow reports whether packets from l can be too large for e.
func (e exit) narrow(l *leg) bool { return e.mtu < l.network.MTU }

// checks reports whether the length of packets that leave by e has to be checked.
func (c *compiler) checks(e exit) bool { return c.can.Has(CanCheckLength) && e.mtu < c.max }

// checked returns the given instructions. If e needs it, they come after a check of the packet's
// length.
func (c *compiler) checked(e exit, in ...ofproto.Instruction) ofproto.Instructions {
	if c.checks(e) {
		in = append(in, ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.CheckLarger{Len: uint16(min(e.mtu+ethernetHeader, 0xffff)), Dst: tooBig})})
	}
	return ofproto.Do(in...)
}

// exceptions emits the flows that send packets for p to the kernel if they must not leave by
// e.
func (c *compiler) exceptions(p netip.Prefix, about routing.Object, e exit) {
	v := familyOf(p.Addr())
	for i := range c.legs {
		from := &c.legs[i]
		if e.includes(from) || e.narrow(from) && !c.can.Has(CanCheckLength) {
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

// includes reports whether packets may leave through l.
func (e exit) includes(l *leg) bool {
	for _, out := range e.legs {
		if out.Interface == l.Interface {
			return true
		}
	}
	return false
}

// exceptionOf returns the object of a flow from exceptions for packets from l. If about is an
// interface, this is l itself, otherwise the route.
func exceptionOf(about routing.Object, l *leg) routing.Object {
	if about.Kind == routing.KindRoute {
		about.Interface = l.ID
		return about
	}
	return l.object()
}

// scopeOf returns the address scope of n for a family.
func scopeOf(n *routing.Members, v family) string {
	if v == v4 {
		return n.IPv4Scope
	}
	return n.IPv6Scope
}

// extra emits the flows of extra route i. They send packets to the next hops in hops. If flows
// cannot do this, they send packets to the kernel, which has the same routes.
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
	send := ofproto.Apply{Actions: out.legs[0].forward(hops[0].mac, hops[0].away)}
	if len(hops) > 1 {
		send.Actions = ofproto.ActionsOf(ofproto.ToGroup{ID: c.groups[i]})
	}
	if c.checks(out) { // too large packets are handled in tableDeliver
		meta := uint64(i+1) << 32
		c.emit(about, RoleMeasure, tableRoute, prio(to, prioPrefix), out.match(to), c.checked(out, ofproto.WriteMetadata{Value: meta, Mask: metaRoute}, ofproto.Goto{Table: tableDeliver}))
		c.emit(about, RoleExtra, tableDeliver, prioHop, v.match(ofproto.Metadata(meta, metaRoute)), ofproto.Do(send))
	} else {
		c.emit(about, RoleExtra, tableRoute, prio(to, prioPrefix), out.match(to), ofproto.Do(send))
	}
	c.exceptions(to, about, out)
}

// exit returns the exit of packets that take the route, and false if the kernel has to forward
// them.
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
		if !e.includes(l) {
			e.legs = append(e.legs, l)
		}
	}
	return e, true
}

// A hop is the current location of a next hop.
type hop struct {
	leg  int         // index among the legs, or -1 if not connected
	mac  ofproto.MAC // MAC address of the port with the next hop's address
	port string      // ID of that port; "" if no port has the address, so the kernel resolves it
	slow bool        // the fast path of the port or its network is off
	away bool        // the port is on another host
}

// hops returns the locations of the next hops of route.
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
			return hop{i, at.MAC, at.Port, port.NoFastPath || l.network.NoFastPath, s.away(l, &port)}
		}
	}
	return hop{leg: -1}
}

// forward returns actions that send a packet to a machine on l's network. If away is true, the
// machine is on another host.
func (l *leg) forward(to ofproto.MAC, away bool) ofproto.Actions {
	out := l.patch
	if away {
		out = l.fabric
	}
	return ofproto.ActionsOf(
		ofproto.SetField{Field: ofproto.EthSrc(l.MAC)},
		ofproto.SetField{Field: ofproto.EthDst(to)},
		ofproto.DecTTL{},
		ofproto.Output{Port: out},
	)
}
