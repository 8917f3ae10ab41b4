package compile

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
)

// The kernel makes an entry in its neighbour table for each address that it sends a packet to.
// All namespaces share the table, and its size is limited, so a scan of a subnet could fill
// it. Therefore packets for addresses that the namespace has not resolved are limited (see
// [routing.Router.UnknownRate]). Packets for resolved addresses are not limited.

// Neighbours are the resolved neighbours of a router's namespace.
type Neighbours struct {
	addrs []netip.Addr
	many  bool // more than [MaxNeighbours]
}

// MaxNeighbours limits the flows for resolved neighbours. Up to this number, each neighbour
// gets a flow. Beyond it, packets for unknown addresses are not limited.
const MaxNeighbours = 4000

// NewNeighbours returns neighbours with addresses addrs, which must not be changed afterwards.
func NewNeighbours(addrs []netip.Addr) *Neighbours {
	if len(addrs) > MaxNeighbours {
		return &Neighbours{many: true}
	}
	return &Neighbours{addrs: addrs}
}

// Equal reports whether n and m are equal; either may be nil.
func (n *Neighbours) Equal(m *Neighbours) bool {
	if n == nil || m == nil || n == m {
		return n == m
	}
	return n.many == m.many && slices.Equal(n.addrs, m.addrs)
}

func (n *Neighbours) crowded() bool { return n != nil && n.many }

// limitsUnknown reports whether packets from l for unknown addresses are limited. This needs
// the resolved neighbours of the namespace.
func (c *compiler) limitsUnknown(l *leg) bool {
	return c.router.UnknownRate > 0 && c.router.Bridge.Managed && c.can.Has(CanMeter) && l.tap != 0 && l.ids != nil && !c.known.crowded()
}

// toNeighbour returns instructions that send a packet to the kernel, which has to resolve its
// destination.
func (c *compiler) toNeighbour(l *leg) ofproto.Instructions {
	if c.limitsUnknown(l) {
		return ofproto.GotoTable(tableUnknown)
	}
	return c.toKernel(l)
}

// Priorities in tableUnknown and tableTap.
const (
	prioNeighbour = 20
	prioSearch    = 10
	prioTap       = 10
)

// search emits the flows that limit packets from l for unknown addresses.
func (c *compiler) search(l *leg) {
	if !c.limitsUnknown(l) {
		return
	}
	in := ofproto.MatchOf(ofproto.InPort(l.patch))
	c.limited(l, limitUnknown, RoleSearch, tableUnknown, prioSearch, in, ofproto.Goto{Table: tableTap})
	c.emit(l.object(), RoleTap, tableTap, prioTap, in, c.toKernel(l))
}

// neighbours emits the flows that exempt packets for resolved neighbours from the limit.
func (c *compiler) neighbours() {
	if c.known == nil || !slices.ContainsFunc(c.legs, func(l leg) bool { return c.limitsUnknown(&l) }) {
		return
	}
	for _, a := range c.known.addrs {
		if slices.ContainsFunc(c.legs, func(l leg) bool { return l.contains(a) }) {
			c.emit(c.about(), RoleNeighbour, tableUnknown, prioNeighbour, familyOf(a).match(dst(alone(a))), ofproto.GotoTable(tableTap))
		}
	}
}
