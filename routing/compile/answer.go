package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Protocol numbers of requests and answers.
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
	groupBit     = ofproto.MAC{1} // set in multicast MAC addresses
)

func (c *compiler) answersARP() bool { return c.router.ARPResponder && c.can.Has(CanAnswerARP) }

func (c *compiler) answersND(l *leg) bool {
	return c.router.NDResponder && c.can.Has(CanAnswerND) && l.has(v6)
}

func (c *compiler) answersEcho() bool { return c.router.EchoResponder && c.can.Has(CanAnswerEcho) }

// answer emits the flows that answer requests for the MAC address of l. Linux does not answer
// requests from an address in [martians] or from the router itself. Flows of higher priority
// match such requests.
func (c *compiler) answer(l *leg) {
	if c.answersARP() {
		for _, p := range l.Addresses {
			if !p.Addr().Is4() {
				continue
			}
			asks := []ofproto.Field{ofproto.InPort(l.patch), ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPTargetIP(p.Addr())}
			do := l.answer(answerARP(l.MAC, p.Addr()))
			c.emit(l.object(), RoleARP, tableLocal, prioOwn, ofproto.MatchOf(asks...), do)
			c.emit(l.object(), RoleARP, tableLocal, prioNew, ofproto.MatchOf(append(asks, ofproto.ARPSource(alone(netip.IPv4Unspecified())))...), do) // a probe (RFC 5227)
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

// answer returns instructions that apply the given actions, apply the limit if l has one, and send
// the answer.
func (l *leg) answer(to ofproto.Apply) ofproto.Instructions {
	if l.meters == nil {
		return ofproto.Do(to, ofproto.Goto{Table: tableAnswer})
	}
	return ofproto.Do(to, ofproto.Goto{Table: tableLimit})
}

// refuse emits the flows that drop ARP requests from a MAC address that is zero or multicast.
// Linux would send the answer to that address, which reaches all machines.
func (c *compiler) refuse() {
	if c.answersARP() && c.routes(v4) {
		c.forged(ofproto.MatchOf(ofproto.ARP(), ofproto.ARPSourceMAC(ofproto.MAC{})))
		c.forged(ofproto.MatchOf(ofproto.ARP(), ofproto.ARPSourceMACBits(groupBit, groupBit)))
	}
}

// refuseND emits the flows that drop two kinds of solicitations that Linux would answer. In the
// first kind, the target is address a of l, and the sender's MAC address is zero or multicast. In
// the second kind, the source is a.
func (c *compiler) refuseND(l *leg, a netip.Addr) {
	asks := []ofproto.Field{ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndSolicitation), ofproto.ICMPv6Code(0)}
	about := func(more ...ofproto.Field) ofproto.Match { return v6.match(append(more, asks...)...) }
	in, target := ofproto.InPort(l.patch), ofproto.NDTarget(a)
	c.forged(about(in, target, ofproto.NDOptionsType(ndOptionSourceMAC), ofproto.NDSourceMAC(ofproto.MAC{})))
	c.forged(about(in, target, ofproto.NDSourceMACBits(groupBit, groupBit)))
	if from := src(alone(a)); linkLocal(a) { // a link-local address may exist on other links too
		c.forged(about(in, from))
	} else {
		c.forged(about(from))
	}
}

func (c *compiler) forged(m ofproto.Match) {
	c.emit(c.about(), RoleForged, tableLocal, prioForged, m, ofproto.Instructions{})
}

// answerARP returns the actions that turn an ARP request into the reply that addr is at mac
// (RFC 826). The reply goes to the sender given in the request.
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

// answerND emits the flows that turn solicitations for address a of l into advertisements (RFC 4861
// §7.2.4). Two tables are needed, because Open vSwitch can set the target's MAC address only after
// it has matched an advertisement. The flows turn the option with the sender's MAC address into the
// option with the target's MAC address. So solicitations without the option go to the kernel. The
// exception is a machine that checks for duplicates of its address: it omits the option, and flows
// send the answer to all nodes.
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

// solicits returns the fields of a valid solicitation for a (RFC 4861 §7.1.1, RFC 6980 §5),
// except its addresses.
func solicits(a netip.Addr) []ofproto.Field {
	return []ofproto.Field{ofproto.IPProto(protoICMPv6), ofproto.IPTTL(ndHopLimit), ofproto.NotFragmented(),
		ofproto.ICMPv6Type(ndSolicitation), ofproto.ICMPv6Code(0), ofproto.NDTarget(a)}
}

// solicitedNode returns the solicited-node multicast address of a (RFC 4291 §2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// groupMAC returns the MAC address of a multicast address (RFC 2464 §7).
func groupMAC(a netip.Addr) ofproto.MAC {
	b := a.As16()
	return ofproto.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// advertise returns the actions that turn a solicitation into an advertisement, except for the
// router's MAC address. The actions in the parameter to set the destination.
func advertise(a netip.Addr, flags uint32, to ...ofproto.Action) ofproto.Apply {
	return ofproto.Apply{Actions: ofproto.ActionsOf(append(to,
		ofproto.SetField{Field: ofproto.IPv6Src(alone(a))},
		ofproto.SetField{Field: ofproto.IPv6Label(0)},
		ofproto.SetField{Field: ofproto.ICMPv6Type(ndAdvertisement)},
		ofproto.SetField{Field: ofproto.NDOptionsType(ndOptionTargetMAC)},
		ofproto.SetField{Field: ofproto.NDReserved(flags)})...)}
}
