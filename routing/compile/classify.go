package compile

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Priorities in tableClassify.
const (
	prioGroup    = 410 // packets from a multicast MAC address
	prioAnswer   = 400 // requests that flows answer
	prioNear     = 210 // packets to route from a source in a subnet of their interface
	prioRoute    = 200 // packets to route
	prioFallback = 100 // everything else, in both directions
)

// classify emits the flows that match the port by which a packet enters.
func (c *compiler) classify(l *leg) {
	about, in := l.object(), ofproto.InPort(l.patch)
	if c.answersARP() {
		for _, p := range l.Addresses {
			if !p.Addr().Is4() {
				continue
			}
			for _, to := range []ofproto.MAC{broadcastMAC, l.MAC} {
				c.emit(about, RoleAsk, tableClassify, prioAnswer, ofproto.MatchOf(in, ofproto.Untagged(), ofproto.EthDst(to),
					ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPTargetIP(p.Addr())), ofproto.GotoTable(tableLocal))
			}
		}
	}
	if c.answersND(l) {
		for _, a := range l.addresses6() { // packets to l.MAC hit the flow of RoleIn
			c.emit(about, RoleAsk, tableClassify, prioAnswer, v6.match(append(solicits(a), in, ofproto.Untagged(),
				ofproto.EthDst(groupMAC(solicitedNode(a))), ofproto.IPv6Dst(alone(solicitedNode(a))))...), ofproto.GotoTable(tableLocal))
		}
	}
	c.emit(about, RoleFallback, tableClassify, prioGroup, ofproto.MatchOf(in, ofproto.EthSrcBits(groupBit, groupBit)), c.toKernel(l))
	for _, v := range families {
		if !l.has(v) {
			continue
		}
		to := []ofproto.Field{in, ofproto.Untagged(), ofproto.EthDst(l.MAC)}
		scope := l.scope[v]
		c.emit(about, RoleIn, tableClassify, prioRoute, v.match(to...), onward(scope))
		if !c.answersEcho() {
			continue
		}
		for _, p := range l.subnets(v) {
			c.emit(about, RoleIn, tableClassify, prioNear, v.match(append(slices.Clone(to), src(p))...), onward(scope|metaNear))
		}
	}
	if l.tap != 0 {
		c.emit(about, RoleFallback, tableClassify, prioFallback, ofproto.MatchOf(in), c.toKernel(l))
		c.fromKernel(l)
		c.emit(about, RoleKernel, tableKernel, prioKernel, ofproto.MatchOf(in), c.toKernel(l))
	}
}

const prioKernel = 10 // in tableKernel

// onward returns instructions that continue in tableLocal with metadata meta.
func onward(meta uint64) ofproto.Instructions {
	if meta == 0 {
		return ofproto.GotoTable(tableLocal)
	}
	return ofproto.Do(ofproto.WriteMetadata{Value: meta, Mask: metaScope | metaNear}, ofproto.Goto{Table: tableLocal})
}

// subnets returns the subnets of l of a family, including the link-local subnet.
func (l *leg) subnets(v family) (out []netip.Prefix) {
	for _, p := range l.Addresses {
		if v.is(p.Addr()) && !linkLocal(p.Addr()) {
			out = append(out, p.Masked())
		}
	}
	if v == v6 {
		out = append(out, linkLocalPrefix)
	}
	return out
}

// addresses6 returns the IPv6 addresses of l, including the link-local one that the kernel
// assigns.
func (l *leg) addresses6() (out []netip.Addr) {
	for _, p := range l.Addresses {
		if p.Addr().Is6() {
			out = append(out, p.Addr())
		}
	}
	if a := routing.LinkLocalOf(l.MAC); out != nil && !slices.Contains(out, a) {
		out = append(out, a)
	}
	return out
}
