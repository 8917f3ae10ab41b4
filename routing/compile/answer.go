package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
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

	broadcastMAC = ofproto.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	groupBit     = ofproto.MAC{1} // of the MAC addresses of groups
)

func (c *compiler) answersARP() bool { return c.router.ARPResponder && c.can.Has(CanAnswerARP) }

func (c *compiler) answersND(l *leg) bool {
	return c.router.NDResponder && c.can.Has(CanAnswerND) && l.has(v6)
}

func (c *compiler) answersEcho() bool { return c.router.EchoResponder && c.can.Has(CanAnswerEcho) }

// answer emits the flows that answer requests for the MAC address of l. Flows of
// a higher priority take the requests that Linux does not answer either: their
// source is of [martians], or one of the router itself.
func (c *compiler) answer(l *leg) {
	if c.answersARP() {
		for _, p := range l.Addresses {
			if !p.Addr().Is4() {
				continue
			}
			asks := []ofproto.Field{ofproto.InPort(l.patch), ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPTargetIP(p.Addr())}
			do := l.answer(answerARP(l.MAC, p.Addr()))
			c.emit(l.object(), RoleARP, tableLocal, prioOwn, ofproto.MatchOf(asks...), do)
			c.emit(l.object(), RoleARP, tableLocal, prioNew, ofproto.MatchOf(append(asks, ofproto.ARPSource(alone(netip.IPv4Unspecified())))...), do) // RFC 5227's probe
		}
	}
	if c.answersND(l) {
		for _, a := range l.addresses6() {
			c.answerND(l, a)
			c.refuseND(l, a)
		}
	}
	c.limit(l)
	c.reply(l)
}

// Priorities in tableAnswer.
const (
	prioResolution = 20
	prioEcho       = 10
)

// reply emits the flows that send answers back.
func (c *compiler) reply(l *leg) {
	in := ofproto.InPort(l.patch)
	back := func(first ...ofproto.Action) ofproto.Apply {
		return ofproto.Apply{Actions: ofproto.ActionsOf(append(first, ofproto.SetField{Field: ofproto.EthSrc(l.MAC)}, ofproto.Output{Port: ofproto.PortInPort})...)}
	}
	if c.answersARP() && l.has(v4) {
		c.emit(l.object(), RoleAnswer, tableAnswer, prioResolution, ofproto.MatchOf(in, ofproto.ARP()), ofproto.Do(back()))
	}
	if c.answersND(l) {
		c.emit(l.object(), RoleAnswer, tableAnswer, prioResolution, v6.match(in, ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndAdvertisement)),
			ofproto.Do(back(ofproto.SetField{Field: ofproto.NDTargetMAC(l.MAC)})))
	}
	if c.answersEcho() {
		c.limited(l, limitEcho, RoleAnswer, tableAnswer, prioEcho, ofproto.MatchOf(in),
			back(ofproto.Move{Src: ofproto.Whole(ofproto.FieldEthSrc), Dst: ofproto.Whole(ofproto.FieldEthDst)}))
	}
}

// answer does what to says, and goes on to where the answer is limited, and sent.
func (l *leg) answer(to ofproto.Apply) ofproto.Instructions {
	if l.meters == nil {
		return ofproto.Do(to, ofproto.Goto{Table: tableAnswer})
	}
	return ofproto.Do(to, ofproto.Goto{Table: tableLimit})
}

// refuse emits the flows that drop ARP requests of senders whose MAC address, to
// which the answer would go, is zero or that of a group: Linux would answer
// everybody.
func (c *compiler) refuse() {
	if c.answersARP() && c.routes(v4) {
		c.forged(ofproto.MatchOf(ofproto.ARP(), ofproto.ARPSourceMAC(ofproto.MAC{})))
		c.forged(ofproto.MatchOf(ofproto.ARP(), ofproto.ARPSourceMACBits(groupBit, groupBit)))
	}
}

// refuseND emits the same for solicitations for address a of l, and what drops
// those from a, which Linux would answer too.
func (c *compiler) refuseND(l *leg, a netip.Addr) {
	asks := []ofproto.Field{ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndSolicitation), ofproto.ICMPv6Code(0)}
	about := func(more ...ofproto.Field) ofproto.Match { return v6.match(append(more, asks...)...) }
	in, target := ofproto.InPort(l.patch), ofproto.NDTarget(a)
	c.forged(about(in, target, ofproto.NDOptionsType(ndOptionSourceMAC), ofproto.NDSourceMAC(ofproto.MAC{})))
	c.forged(about(in, target, ofproto.NDSourceMACBits(groupBit, groupBit)))
	if from := src(alone(a)); linkLocal(a) { // which others may have on their links
		c.forged(about(in, from))
	} else {
		c.forged(about(from))
	}
}

func (c *compiler) forged(m ofproto.Match) {
	c.emit(c.about(), RoleForged, tableLocal, prioForged, m, ofproto.Instructions{})
}

// answerARP turns an ARP request into the reply that says that addr is at mac
// (RFC 826), to the sender that the request names.
func answerARP(mac ofproto.MAC, addr netip.Addr) ofproto.Apply {
	return ofproto.Apply{Actions: ofproto.ActionsOf(
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSHA), Dst: ofproto.Whole(ofproto.FieldEthDst)},
		ofproto.SetField{Field: ofproto.ARPOp(arpReply)},
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSHA), Dst: ofproto.Whole(ofproto.FieldARPTHA)},
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSPA), Dst: ofproto.Whole(ofproto.FieldARPTPA)},
		ofproto.SetField{Field: ofproto.ARPSourceMAC(mac)},
		ofproto.SetField{Field: ofproto.ARPSourceIP(addr)},
	)}
}

// answerND emits what turns solicitations for address a of l into advertisements
// (RFC 4861 §7.2.4). It takes two tables, because Open vSwitch allows to set the
// target's MAC address only where it knows that the packet is an advertisement.
// The option that holds it is what was the option with the sender's, so those
// without one are left to the kernel. A machine that only wants to know whether
// somebody has the address has none to tell; all nodes are answered then.
func (c *compiler) answerND(l *leg, a netip.Addr) {
	group := ofproto.IPv6Dst(alone(solicitedNode(a)))
	for _, to := range []ofproto.Field{group, ofproto.IPv6Dst(alone(a))} {
		asks := append(solicits(a), ofproto.InPort(l.patch), to, ofproto.NDOptionsType(ndOptionSourceMAC))
		c.emit(l.object(), RoleND, tableLocal, prioOwn, v6.match(asks...),
			l.answer(advertise(a, ndRouter|ndSolicited|ndOverride,
				ofproto.Move{Src: ofproto.Whole(ofproto.FieldNDSLL), Dst: ofproto.Whole(ofproto.FieldEthDst)},
				ofproto.Move{Src: ofproto.Whole(ofproto.FieldIPv6Src), Dst: ofproto.Whole(ofproto.FieldIPv6Dst)})))
	}
	asks := append(solicits(a), ofproto.InPort(l.patch), group, ofproto.IPv6Src(alone(unspecified6)),
		ofproto.NDOptionsType(0), ofproto.NDSourceMAC(ofproto.MAC{}))
	c.emit(l.object(), RoleND, tableLocal, prioNew, v6.match(asks...),
		l.answer(advertise(a, ndRouter|ndOverride,
			ofproto.SetField{Field: ofproto.EthDst(groupMAC(allNodes))},
			ofproto.SetField{Field: ofproto.IPv6Dst(alone(allNodes))})))
}

// solicits are the fields of a solicitation for a that is valid (RFC 4861 §7.1.1,
// RFC 6980 §5), as far as its addresses do not matter.
func solicits(a netip.Addr) []ofproto.Field {
	return []ofproto.Field{ofproto.IPProto(protoICMPv6), ofproto.IPTTL(ndHopLimit), ofproto.NotFragmented(),
		ofproto.ICMPv6Type(ndSolicitation), ofproto.ICMPv6Code(0), ofproto.NDTarget(a)}
}

// solicitedNode returns the multicast address of those that may have a (RFC 4291
// §2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC returns the MAC address of a multicast address (RFC 2464 §7).
func groupMAC(a netip.Addr) ofproto.MAC {
	b := a.As16()
	return ofproto.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// advertise turns a solicitation into an advertisement to whom the actions in to
// say, but for the router's MAC address.
func advertise(a netip.Addr, flags uint32, to ...ofproto.Action) ofproto.Apply {
	return ofproto.Apply{Actions: ofproto.ActionsOf(append(to,
		ofproto.SetField{Field: ofproto.IPv6Src(alone(a))},
		ofproto.SetField{Field: ofproto.IPv6Label(0)},
		ofproto.SetField{Field: ofproto.ICMPv6Type(ndAdvertisement)},
		ofproto.SetField{Field: ofproto.NDOptionsType(ndOptionTargetMAC)},
		ofproto.SetField{Field: ofproto.NDReserved(flags)})...)}
}
