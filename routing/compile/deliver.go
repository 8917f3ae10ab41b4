package compile

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Priorities in tableDeliver; see also prioMiss.
const (
	prioTooBig  = 200 // packets too large for the egress network
	prioHop     = 150 // packets that take an extra route
	prioDeliver = 100
)

// deliver emits a flow for each address of port p that lies in one of l's subnets. p is on l's
// network. If other flows send p's packets to the kernel, deliver emits no flow.
func (c *compiler) deliver(l *leg, p *routing.Port) {
	switch {
	case !c.slows():
	case p.NoFastPath:
		c.slowPort(l, p)
		return
	case l.network.NoFastPath:
		return
	}
	for a, mac := range l.network.Reached(p) {
		if l.contains(a) && l.isHost(a) {
			c.emit(routing.Object{Kind: routing.KindPort, ID: p.ID, Interface: l.ID}, RoleDeliver, tableDeliver, prioDeliver,
				familyOf(a).match(dst(alone(a))), ofproto.Do(ofproto.Apply{Actions: l.forward(mac, c.away(l, p))}))
		}
	}
}

// isHost reports whether a is neither the broadcast nor the network address of a subnet of l.
// The kernel handles these two.
func (l *leg) isHost(a netip.Addr) bool {
	for _, p := range l.Addresses {
		if p.Contains(a) && !routing.IsHost(netip.PrefixFrom(a, p.Bits())) {
			return false
		}
	}
	return true
}

// sendsLarge reports whether packets from l that are larger than the next MTU are
// distinguished.
func (c *compiler) sendsLarge(l *leg) bool {
	return c.can.Has(CanCheckLength) && c.min < l.network.MTU
}

// rest emits the flows for packets from l that match no port's flow: packets that are too
// large, and packets for unknown addresses.
func (c *compiler) rest(l *leg) {
	in := ofproto.InPort(l.patch)
	if c.sendsLarge(l) { // a meter counts, see RoleLarger
		do := slices.Collect(c.toKernel(l).All())
		c.limited(l, countLarge, RoleTooBig, tableDeliver, prioTooBig, ofproto.MatchOf(in, ofproto.Reg(0, 1, 1)), do...)
	}
	c.emit(l.object(), RoleUnknown, tableDeliver, prioMiss, ofproto.MatchOf(in), c.toNeighbour(l))
}
