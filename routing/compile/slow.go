package compile

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// If the fast path is off, traffic goes through the namespace in both directions, so that NAT and
// connection tracking there see all packets of a connection. These are priorities in tableLocal.
// Two flows with the same priority never match the same packet.
const (
	prioSlowIn     = 436 // packets from a network, by ingress port
	prioSlowSubnet = 435 // packets to a subnet
	prioSlowSource = 434 // packets from a subnet
	prioSlowMAC    = 433 // packets from a machine's MAC address, whatever their source address
	prioSlowTo     = 432 // packets to an address
	prioSlowFrom   = 431 // packets from an address

	prioBack = 2 // prioBack plus the prefix length: packets from the destination of a route
)

// slow emits a flow that sends packets to the kernel.
func (c *compiler) slow(about routing.Object, prio uint16, m ofproto.Match) {
	c.emit(about, RoleSlow, tableLocal, prio, m, ofproto.GotoTable(tableKernel))
}

// slows reports whether the router can have a fast path that is off. This needs a namespace.
func (s source) slows() bool { return s.router.Fallback == routing.FallbackNamespace }

// slowNetwork emits the flows that send packets from and to l's network to the kernel if its
// fast path is off.
func (c *compiler) slowNetwork(l *leg) {
	if !l.network.NoFastPath || !c.slows() {
		return
	}
	for _, v := range families {
		if l.has(v) {
			c.slow(l.object(), prioSlowIn, v.match(ofproto.InPort(l.patch)))
		}
	}
	for _, p := range l.Addresses {
		if p, v := p.Masked(), familyOf(p.Addr()); !linkLocal(p.Addr()) {
			c.slow(l.object(), prioSlowSubnet, v.match(dst(p)))
			c.slow(l.object(), prioSlowSource, v.match(src(p)))
		}
	}
}

// slowPort emits the flows that send packets from and to port p on l's network to the kernel
// if its fast path is off.
func (c *compiler) slowPort(l *leg, p *routing.Port) {
	about, in := routing.Object{Kind: routing.KindPort, ID: p.ID, Interface: l.ID}, ofproto.InPort(l.patch)
	if !p.IsUp() {
		return
	}
	for _, v := range families {
		if !l.has(v) {
			continue
		}
		c.slow(about, prioSlowMAC, v.match(in, ofproto.EthSrc(p.MAC)))
		for _, q := range p.Pairs { // another port may have the same pair
			if q.MAC != (ofproto.MAC{}) && q.MAC != p.MAC {
				c.slow(l.object(), prioSlowMAC, v.match(in, ofproto.EthSrc(q.MAC)))
			}
		}
	}
	for a := range l.network.Reached(p) {
		if l.contains(a) && l.isHost(a) {
			c.slow(about, prioSlowTo, familyOf(a).match(dst(alone(a))))
			c.slow(about, prioSlowFrom, familyOf(a).match(in, src(alone(a))))
		}
	}
}

// slowRoutes returns for each route whether its fast path is off, by its own setting or by the
// setting of a next hop or its network.
func (s source) slowRoutes() []bool {
	out := make([]bool, len(s.router.Routes))
	for i := range out {
		route := &s.router.Routes[i]
		out[i] = s.slowRoute(route, s.hops(route))
	}
	return out
}

func (s source) slowRoute(route *routing.Route, hops []hop) bool {
	return s.slows() && (route.NoFastPath || slices.ContainsFunc(hops, func(h hop) bool { return h.slow }))
}

// back emits the flows that send packets to the kernel if they come from the destination of a
// route with fast path off. The longest prefix that contains the source must belong to such a
// route, not to another route or a connected subnet.
func (c *compiler) back(slow []bool) {
	inside := func(p netip.Prefix) bool {
		for i, is := range slow {
			if d := c.router.Routes[i].Destination; is && d.Bits() <= p.Bits() && d.Contains(p.Addr()) {
				return true
			}
		}
		return false
	}
	emit := func(about routing.Object, role Role, p netip.Prefix, do ofproto.Instructions) {
		c.emit(about, role, tableLocal, uint16(prioBack+p.Bits()), familyOf(p.Addr()).match(src(p)), do)
	}
	if !slices.Contains(slow, true) {
		return
	}
	for i := range c.router.Routes {
		p := c.router.Routes[i].Destination
		switch {
		case slow[i]:
			emit(routing.Object{Kind: routing.KindRoute, ID: p.String()}, RoleSlow, p, ofproto.GotoTable(tableKernel))
		case inside(p):
			emit(c.about(), RoleFast, p, ofproto.GotoTable(tableRoute))
		}
	}
	for i := range c.legs {
		for _, p := range c.legs[i].Addresses {
			if p = p.Masked(); !linkLocal(p.Addr()) && inside(p) {
				emit(c.about(), RoleFast, p, ofproto.GotoTable(tableRoute))
			}
		}
	}
}
