package routing

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Priorities in tableClassify.
const (
	prioDAD      = 410 // solicitations by a machine that does not have its address yet
	prioAnswer   = 400 // requests that are answered in the switch
	prioNear     = 210 // packets to be routed whose source is where they come from
	prioRoute    = 200 // packets to be routed
	prioFallback = 100 // everything else, both ways
)

// Numbers of the protocols that are answered.
const (
	arpRequest = 1 // RFC 826
	arpReply   = 2

	protoICMP       = 1 // RFC 792
	icmpEchoReply   = 0
	icmpEchoRequest = 8

	protoICMPv6       = 58 // RFC 4443
	icmpv6EchoRequest = 128
	icmpv6EchoReply   = 129

	ndSolicitation    = 135 // RFC 4861
	ndAdvertisement   = 136
	ndOptionSourceMAC = 1
	ndOptionTargetMAC = 2
	ndHopLimit        = 255

	ndRouter    = 1 << 31 // flags of an advertisement
	ndSolicited = 1 << 30
	ndOverride  = 1 << 29
)

var (
	unspecified6 = netip.IPv6Unspecified()
	allNodes     = netip.MustParseAddr("ff02::1")
	allNodesMAC  = ofproto.MAC{0x33, 0x33, 0, 0, 0, 1} // RFC 2464 §7
)

// classify emits what decides by the port that a packet came in by.
func (c *compiler) classify(l *leg) {
	about, in := l.object(), ofproto.InPort(l.patch)
	if c.router.ARPResponder && c.can.Has(CanAnswerARP) {
		for _, p := range l.Addresses {
			if p.Addr().Is4() {
				c.emit(about, RoleARP, tableClassify, prioAnswer,
					ofproto.MatchOf(in, ofproto.Untagged(), ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPTargetIP(p.Addr())),
					l.limited(answerARP(l.MAC, p.Addr())))
			}
		}
	}
	if c.answersND(l) {
		for _, a := range l.addresses6() {
			c.answerND(l, a)
		}
		c.emit(about, RoleAnswer, tableAnswer, prioND, v6.match(in, ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndAdvertisement)),
			l.limited(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.SetField{Field: ofproto.NDTargetMAC(l.MAC)}, ofproto.Output{Port: ofproto.PortInPort})}))
	}
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
		c.emit(about, RoleFromKernel, tableClassify, prioFallback, ofproto.MatchOf(ofproto.InPort(l.tap)),
			ofproto.ApplyActions(ofproto.Output{Port: l.patch}))
		c.emit(about, RoleKernel, tableKernel, prioKernel, ofproto.MatchOf(in), c.toKernel(l))
	}
	if c.answersEcho() {
		c.emit(about, RoleAnswer, tableAnswer, prioEcho, ofproto.MatchOf(in), l.limited(ofproto.Apply{Actions: ofproto.ActionsOf(
			ofproto.Move{Src: ofproto.Whole(ofproto.FieldEthSrc), Dst: ofproto.Whole(ofproto.FieldEthDst)},
			ofproto.SetField{Field: ofproto.EthSrc(l.MAC)},
			ofproto.Output{Port: ofproto.PortInPort})}))
	}
}

// Priorities in tableAnswer and tableKernel.
const (
	prioND     = 20
	prioEcho   = 10
	prioKernel = 10
)

// onward sends a packet on to tableLocal, with metadata.
func onward(meta uint64) ofproto.Instructions {
	if meta == 0 {
		return ofproto.GotoTable(tableLocal)
	}
	return ofproto.Do(ofproto.WriteMetadata{Value: meta, Mask: metaScope | metaNear}, ofproto.Goto{Table: tableLocal})
}

// subnets returns the subnets of l of a family, that of link-local addresses
// included.
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

// addresses6 returns the IPv6 addresses of l, with the link-local one that the
// kernel makes.
func (l *leg) addresses6() (out []netip.Addr) {
	for _, p := range l.Addresses {
		if p.Addr().Is6() {
			out = append(out, p.Addr())
		}
	}
	if a := linkLocalOf(l.MAC); out != nil && !slices.Contains(out, a) {
		out = append(out, a)
	}
	return out
}

func (c *compiler) answersND(l *leg) bool {
	return c.router.NDResponder && c.can.Has(CanAnswerND) && l.has(v6)
}

func (c *compiler) answersEcho() bool { return c.router.EchoResponder && c.can.Has(CanAnswerEcho) }

// answerARP turns an ARP request into the reply that says that addr is at mac
// (RFC 826), and sends it back where it came from.
func answerARP(mac ofproto.MAC, addr netip.Addr) ofproto.Apply {
	return ofproto.Apply{Actions: ofproto.ActionsOf(
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldEthSrc), Dst: ofproto.Whole(ofproto.FieldEthDst)},
		ofproto.SetField{Field: ofproto.EthSrc(mac)},
		ofproto.SetField{Field: ofproto.ARPOp(arpReply)},
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSHA), Dst: ofproto.Whole(ofproto.FieldARPTHA)},
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSPA), Dst: ofproto.Whole(ofproto.FieldARPTPA)},
		ofproto.SetField{Field: ofproto.ARPSourceMAC(mac)},
		ofproto.SetField{Field: ofproto.ARPSourceIP(addr)},
		ofproto.Output{Port: ofproto.PortInPort},
	)}
}

// answerND emits what turns solicitations for address a of l into advertisements
// (RFC 4861 §7.2.4). It takes two tables, because Open vSwitch allows to set the
// target's MAC address only where it knows that the packet is an advertisement.
// The option that holds it is what was the option with the sender's, so those
// without one are left to the kernel. A machine that only wants to know whether
// somebody has the address has none to tell; all nodes are answered then.
func (c *compiler) answerND(l *leg, a netip.Addr) {
	asks := []ofproto.Field{
		ofproto.InPort(l.patch), ofproto.Untagged(), ofproto.IPProto(protoICMPv6), ofproto.IPTTL(ndHopLimit),
		ofproto.ICMPv6Type(ndSolicitation), ofproto.ICMPv6Code(0), ofproto.NDTarget(a),
	}
	c.emit(l.object(), RoleND, tableClassify, prioAnswer, v6.match(append(asks, ofproto.NDOptionsType(ndOptionSourceMAC))...),
		ofproto.Do(advertise(l.MAC, a, ndRouter|ndSolicited|ndOverride,
			ofproto.Move{Src: ofproto.Whole(ofproto.FieldEthSrc), Dst: ofproto.Whole(ofproto.FieldEthDst)},
			ofproto.Move{Src: ofproto.Whole(ofproto.FieldIPv6Src), Dst: ofproto.Whole(ofproto.FieldIPv6Dst)}), ofproto.Goto{Table: tableAnswer}))
	c.emit(l.object(), RoleND, tableClassify, prioDAD, v6.match(append(asks, ofproto.IPv6Src(alone(unspecified6)), ofproto.IPv6Dst(alone(solicitedNode(a))))...),
		ofproto.Do(advertise(l.MAC, a, ndRouter|ndOverride,
			ofproto.SetField{Field: ofproto.EthDst(allNodesMAC)},
			ofproto.SetField{Field: ofproto.IPv6Dst(alone(allNodes))}), ofproto.Goto{Table: tableAnswer}))
}

// solicitedNode returns the multicast address of those that may have a (RFC 4291
// §2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// advertise turns a solicitation into an advertisement to whom the actions in to
// say, but for the target's MAC address.
func advertise(mac ofproto.MAC, a netip.Addr, flags uint32, to ...ofproto.Action) ofproto.Apply {
	return ofproto.Apply{Actions: ofproto.ActionsOf(append(to,
		ofproto.SetField{Field: ofproto.EthSrc(mac)},
		ofproto.SetField{Field: ofproto.IPv6Src(alone(a))},
		ofproto.SetField{Field: ofproto.IPv6Label(0)},
		ofproto.SetField{Field: ofproto.ICMPv6Type(ndAdvertisement)},
		ofproto.SetField{Field: ofproto.NDOptionsType(ndOptionTargetMAC)},
		ofproto.SetField{Field: ofproto.NDReserved(flags)})...)}
}
