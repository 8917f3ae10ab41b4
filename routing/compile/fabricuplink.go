package compile

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// This file has the flows of networks that an uplink carries. The switches behind the uplink learn
// where MAC addresses are. So the source of a packet that this host has routed is not M, the MAC
// address of the router interface. It is H, an address that only this host uses for the interface
// (see [routing.UplinkMAC]). The host where the packet arrives replaces H by M.
//
// No packet that came by the uplink leaves by it, for the same reasons as with tunnels.

const etherVLAN = 0x8100 // IEEE 802.1Q

// Priorities in table fabricArrive.
const (
	prioReturned = 420 // packets of this host that came back by the uplink
	prioAstray   = 395 // packets for machines on other hosts
	prioSwitched = 100
)

// A sender is a kind of request for a MAC address, and the action that sets the sender's MAC
// address in such a request.
type sender struct {
	match []ofproto.Field
	set   ofproto.Action
	can   bool // the switch supports set
}

// senders returns the kinds of requests, with mac as the sender's MAC address.
func (c *fabricCompiler) senders(mac ofproto.MAC) []sender {
	return []sender{
		{[]ofproto.Field{ofproto.ARP(), ofproto.ARPOp(arpRequest)}, ofproto.SetField{Field: ofproto.ARPSourceMAC(mac)}, c.can.Has(CanAnswerARP)},
		{[]ofproto.Field{ofproto.IPv6(), ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndSolicitation)}, ofproto.SetField{Field: ofproto.NDSourceMAC(mac)}, c.can.Has(CanAnswerND)},
	}
}

// tag returns instructions that apply the given actions, and then send a packet of n out of the
// uplink.
func (n *spanning) tag(first ...ofproto.Action) ofproto.Instructions {
	return ofproto.ApplyActions(n.tagged(first...)...)
}

// tagged returns the actions of tag.
func (n *spanning) tagged(first ...ofproto.Action) []ofproto.Action {
	return append(first, ofproto.PushVLAN{EtherType: etherVLAN}, ofproto.SetField{Field: ofproto.VLAN(n.VLAN)}, ofproto.Output{Port: n.uplink})
}

// answered returns the actions that address an answer of the kind i of [answersTo] to mac. The result is
// false if the switch cannot do that.
func (c *fabricCompiler) answered(i int, mac ofproto.MAC) ([]ofproto.Action, bool) {
	to := ofproto.SetField{Field: ofproto.EthDst(mac)}
	if i == 0 {
		return []ofproto.Action{ofproto.SetField{Field: ofproto.ARPTargetMAC(mac)}, to}, c.can.Has(CanAnswerARP)
	}
	return []ofproto.Action{to}, true
}

// uplinkNetwork emits the flows of n that do not belong to an interface or a port.
func (c *fabricCompiler) uplinkNetwork(n *spanning) {
	about := n.object()
	group := ofproto.EthDstBits(groupBit, groupBit)
	c.emit(about, RoleCarry, fabricAdmit, prioHost, ofproto.MatchOf(ofproto.InPort(n.port)), n.enter(fabricLocal))
	c.emit(about, RoleCarry, fabricAdmit, prioHost, ofproto.MatchOf(ofproto.InPort(n.uplink), ofproto.VLAN(n.VLAN)),
		ofproto.Do(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.PopVLAN{})}, ofproto.WriteMetadata{Value: n.mark(), Mask: ^uint64(0)}, ofproto.Goto{Table: fabricArrive}))
	c.emit(about, RoleArrive, fabricArrive, prioSwitched, n.of(), ofproto.ApplyActions(ofproto.Output{Port: n.port}))
	c.floods(n, ofproto.Goto{Table: fabricWire})
	c.emit(about, RoleReturn, fabricDeliver, prioLearn, n.of(group), ofproto.GotoTable(fabricReturn))
	c.emit(about, RoleUplinkOut, fabricDeliver, prioLearn-50, n.of(), ofproto.GotoTable(fabricWire))
	c.emit(about, RoleUplinkOut, fabricWire, prioHost, n.of(ofproto.InPort(n.port)), n.tag())
	c.emit(about, RoleUplinkOut, fabricSide, prioHost, n.of(ofproto.Reg(sideReg, behindUplink, ^uint32(0))), ofproto.GotoTable(fabricWire))
	c.emit(about, RoleReturn, fabricSide, prioHost, n.of(ofproto.Reg(sideReg, onThisHost, ^uint32(0))), ofproto.GotoTable(fabricReturn))
	c.emit(about, RoleFlood, fabricSide, prioLearn, n.of(),
		ofproto.Do(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Output{Port: ofproto.PortInPort})}, ofproto.Goto{Table: fabricWire}))
}

// uplinkGateway emits the flows for interface l on n.
func (c *fabricCompiler) uplinkGateway(n *spanning, l *fabricLeg) {
	about := l.object()
	group := ofproto.EthDstBits(groupBit, groupBit)
	own, all := routing.UplinkMAC(c.host, l.ID), routing.UplinkGroup(l.ID)
	c.gatewayLocal(n, l)
	for _, mac := range []ofproto.MAC{own, l.MAC} {
		c.emit(about, RoleLocal, fabricArrive, prioReturned, n.of(ofproto.EthSrc(mac)), ofproto.Instructions{})
	}
	for _, mac := range []ofproto.MAC{own, all} {
		c.emit(about, RoleLocal, fabricArrive, prioGateway, n.of(ofproto.EthDst(mac)), ofproto.Instructions{})
	}
	c.emit(about, RoleLocal, fabricLocal, prioGateway, n.of(ofproto.EthSrc(own)), ofproto.Instructions{})
	c.emit(about, RoleLocal, fabricLocal, prioGateway, n.of(ofproto.EthDst(all)), ofproto.Instructions{})
	for _, h := range c.uplinks {
		c.uplinkPeer(n, l, h)
	}
	if l.port == 0 {
		return
	}
	in, out := ofproto.InPort(l.port), ofproto.Output{Port: l.port}
	for _, to := range []ofproto.MAC{own, all} {
		for i, answer := range answersTo(to) {
			if set, can := c.answered(i, l.MAC); can {
				c.emit(about, RoleResolved, fabricArrive, prioResolved, n.of(answer...), ofproto.ApplyActions(append(set, c.sideOf(n, behindUplink), out)...))
			}
		}
	}
	for i, answer := range answersTo(l.MAC) {
		if set, can := c.answered(i, all); can && n.Broadcast == routing.BroadcastAll {
			c.answer(n, l, append(answer, in), ofproto.Apply{Actions: ofproto.ActionsOf(n.tagged(append(set, c.sideOf(n, onThisHost))...)...)})
		}
	}
	c.emit(about, RoleCarry, fabricAdmit, prioHost, ofproto.MatchOf(in, ofproto.EthSrc(l.MAC)), n.enter(fabricResolve))
	c.emit(about, RoleReturn, fabricReturn, prioHost, ofproto.MatchOf(in), ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortInPort}))

	// Flows that send packets out of the uplink. A machine that is not declared may be on this
	// host or behind the uplink.
	from := []ofproto.Field{in, ofproto.EthSrc(l.MAC)}
	c.emit(about, RoleNext, fabricDeliver, prioLearn-25, n.of(from...),
		ofproto.Do(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Resubmit{Port: ofproto.PortInPort, Table: fabricSeen})}, ofproto.Goto{Table: fabricSide}))
	leave := ofproto.SetField{Field: ofproto.EthSrc(own)}
	for _, s := range c.senders(own) {
		m := n.of(append(append(s.match, group), from...)...)
		if s.can && n.Broadcast == routing.BroadcastAll {
			c.emit(about, RoleFlood, fabricDeliver, prioAsks, m,
				ofproto.Do(ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Output{Port: ofproto.PortInPort})}, ofproto.Goto{Table: fabricWire}))
		}
		m = n.of(append(s.match, from...)...)
		if s.can {
			c.emit(about, RoleUplinkOut, fabricWire, prioAsks, m, n.tag(leave, s.set))
		} else { // drop the request: it would carry M to another host
			c.emit(about, RoleUplinkOut, fabricWire, prioAsks, m, ofproto.Instructions{})
		}
	}
	c.emit(about, RoleUplinkOut, fabricWire, prioHost, n.of(from...), n.tag(leave))
}

// uplinkPeer emits the flows for packets that another host has sent from interface l on n.
func (c *fabricCompiler) uplinkPeer(n *spanning, l *fabricLeg, h *routing.Host) {
	about := l.object()
	mac := routing.UplinkMAC(h.ID, l.ID)
	from, group := ofproto.EthSrc(mac), ofproto.EthDstBits(groupBit, groupBit)
	c.emit(about, RoleLocal, fabricLocal, prioGateway, n.of(from), ofproto.Instructions{}) // only host h has the address
	c.emit(about, RoleLocal, fabricArrive, prioMulticast, n.of(from, group), ofproto.Instructions{})
	if l.port == 0 {
		c.emit(about, RoleLocal, fabricArrive, prioRouted, n.of(from), ofproto.Instructions{})
		return
	}
	arrive := []ofproto.Action{ofproto.SetField{Field: ofproto.EthSrc(l.MAC)}, ofproto.Output{Port: l.port}}
	for _, s := range c.senders(l.MAC) {
		if s.can {
			c.emit(about, RoleArrive, fabricArrive, prioAsks, n.of(append(s.match, from)...),
				ofproto.ApplyActions(append([]ofproto.Action{s.set}, arrive...)...))
		}
	}
	c.emit(about, RoleArrive, fabricArrive, prioRouted, n.of(from), ofproto.ApplyActions(arrive...))
}

// uplinkMachine emits the flows for port p on n. It is here, or elsewhere.
func (c *fabricCompiler) uplinkMachine(n *spanning, p *routing.Port) {
	about := routing.Object{Kind: routing.KindPort, ID: p.ID}
	from, to := ofproto.EthSrc(p.MAC), ofproto.EthDst(p.MAC)
	if p.Host == c.host {
		c.emit(about, RoleImposter, fabricArrive, prioReturned, n.of(from), ofproto.Instructions{})
		c.known(n, p)
		return
	}
	c.emit(about, RoleUplinkOut, fabricDeliver, prioHost, n.of(to), ofproto.GotoTable(fabricWire))
	c.emit(about, RoleAstray, fabricArrive, prioAstray, n.of(to), ofproto.Instructions{})
	for _, a := range p.Addresses {
		c.proxy(n, p, a)
	}
}

// p is on this host. known emits the flows that keep packets for p, and requests for its MAC
// address, on this host. Otherwise a learned flow could still send them to the former host of p.
func (c *fabricCompiler) known(n *spanning, p *routing.Port) {
	about := routing.Object{Kind: routing.KindPort, ID: p.ID}
	c.emit(about, RoleKnown, fabricDeliver, prioHost, n.of(ofproto.EthDst(p.MAC)), ofproto.GotoTable(fabricReturn))
	for _, a := range p.Addresses {
		for _, m := range n.requests(a) {
			c.emit(about, RoleKnown, fabricResolve, prioHost, m, ofproto.GotoTable(fabricReturn))
		}
	}
}
