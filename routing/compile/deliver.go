package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Priorities in tableDeliver; see also prioMiss.
const (
	prioTooBig  = 200 // packets that the egress network does not take
	prioHop     = 150 // packets that take an extra route
	prioDeliver = 100
)

// deliver emits one flow for each address that port p, on l's network, is reached
// at and that lies in one of l's subnets; nothing where flows hand that to the
// kernel.
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
				familyOf(a).match(dst(alone(a))), ofproto.Do(ofproto.Apply{Actions: l.forward(mac)}))
		}
	}
}

// isHost reports whether a is no subnet's broadcast or network address, which the
// kernel answers for.
func (l *leg) isHost(a netip.Addr) bool {
	for _, p := range l.Addresses {
		if p.Contains(a) && !routing.IsHost(netip.PrefixFrom(a, p.Bits())) {
			return false
		}
	}
	return true
}

// rest emits what becomes of packets that came in by l and that no port gets:
// those that are too large, and those for an address that no port has.
func (c *compiler) rest(l *leg) {
	in := ofproto.InPort(l.patch)
	if c.can.Has(CanCheckLength) && c.min < l.network.MTU {
		c.emit(l.object(), RoleTooBig, tableDeliver, prioTooBig, ofproto.MatchOf(in, ofproto.Reg(0, 1, 1)), c.toKernel(l))
	}
	c.emit(l.object(), RoleUnknown, tableDeliver, prioMiss, ofproto.MatchOf(in), c.toNeighbour(l))
}
