package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// The pipeline of the fabric bridge. The metadata of a packet is [spanning.mark] of its network.
// docs/flow-program.md describes the whole program.
//
// No packet that came by a tunnel leaves by a tunnel. Packets from tunnels go only to the
// integration bridge and to routing bridges. A packet that comes back from there has the MAC
// address of a router, or is a request that is not for this host.
const (
	fabricAdmit   ofproto.TableID = iota // by ingress port; packets from tunnels also by the sender's address
	fabricVNI                            // from tunnels: by VNI
	fabricArrive                         // from other hosts: by destination; from the uplink also by source
	fabricLocal                          // from the integration bridge: packets from and to gateways stay here
	fabricResolve                        // requests for MAC addresses
	fabricDeliver                        // by destination
	fabricLearned                        // by destination: learned flows for machines that are not declared
	fabricAnswer                         // neighbour advertisements in the name of machines on other hosts
	fabricSeen                           // learned flows: on which side of the bridge machines are that are not declared
	fabricSide                           // packets to these machines
	fabricReturn                         // packets that stay here
	fabricWire                           // packets that leave by the uplink
	fabricHere                           // from tunnels: packets for machines that are not declared, if they are on this host
	fabricSender                         // from tunnels, by source: to a routing bridge, or to the integration bridge
	fabricOrigin                         // from this host, by source: learns machines that are not declared
	fabricLimit                          // from this host: not from too many such machines
)

// Priorities in the tables of the fabric bridge.
const (
	prioResolved  = 400 // answers to a namespace's requests
	prioGateway   = 390 // packets to a gateway
	prioRequest   = 380 // requests for the MAC address of a gateway
	prioAsks      = 370 // requests by another host's namespace
	prioMulticast = 360 // other multicast by a router
	prioRouted    = 350 // packets that another host has routed
	prioHost      = 200 // packets from or to declared machines
	prioFlood     = 150
	prioLearn     = 100
)

// A fabricCompiler emits the flows of a fabric bridge.
type fabricCompiler struct {
	*fabricSource
	flows   []ofproto.Flow
	objects []labelled
}

func (c *fabricCompiler) emit(about routing.Object, role Role, t ofproto.TableID, prio uint16, m ofproto.Match, do ofproto.Instructions) {
	cookie := CookieOf(about, role)
	c.objects = append(c.objects, labelled{cookie, about})
	c.flows = append(c.flows, ofproto.Flow{FlowKey: ofproto.FlowKey{Table: t, Priority: prio, Match: m}, Cookie: cookie, Do: do})
}

func hostObject(id string) routing.Object { return routing.Object{Kind: routing.KindHost, ID: id} }

func (n *spanning) object() routing.Object {
	return routing.Object{Kind: routing.KindNetwork, ID: n.ID}
}

func (l *fabricLeg) object() routing.Object {
	return routing.Object{Kind: routing.KindInterface, ID: l.ID, Interface: l.ID}
}

// mark returns the metadata that marks n's packets.
func (n *spanning) mark() uint64 {
	if n.uplink != 0 {
		return 1<<32 | uint64(n.VLAN)
	}
	return uint64(n.VNI)
}

// of returns a match of packets of n with the given fields.
func (n *spanning) of(fields ...ofproto.Field) ofproto.Match {
	return ofproto.MatchOf(append(fields, ofproto.Metadata(n.mark(), ^uint64(0)))...)
}

// enter returns instructions that mark a packet as one of n and continue in table t.
func (n *spanning) enter(t ofproto.TableID) ofproto.Instructions {
	return ofproto.Do(ofproto.WriteMetadata{Value: n.mark(), Mask: ^uint64(0)}, ofproto.Goto{Table: t})
}

// meters adds the objects of the meters, so that the packets that they drop are counted.
func (c *fabricCompiler) meters() {
	add := func(about routing.Object, role Role) {
		c.objects = append(c.objects, labelled{CookieOf(about, role), about})
	}
	add(hostObject(c.host), RoleLimitedHello)
	for i := range c.networks {
		add(c.networks[i].object(), RoleLimitedFlood)
	}
}

// all emits all flows.
func (c *fabricCompiler) all() {
	c.meters()
	for _, h := range c.peers {
		for _, typ := range [...]routing.TunnelType{routing.TunnelGeneve, routing.TunnelVXLAN} {
			if t := c.ports[typ.PortName()]; t != 0 {
				c.admit(h, t)
			}
		}
	}
	for i := range c.networks {
		n := &c.networks[i]
		c.network(n)
		for k := range n.legs {
			c.gateway(n, &n.legs[k])
		}
		for p := range n.Ports() {
			c.machine(n, &p)
		}
	}
	c.rest()
}

// admit emits the flows that accept packets of host h from tunnel port t. Hosts may have different types
// of tunnels: packets for a host have its type, and answers that follow learned flows the type of the
// packets that they answer.
func (c *fabricCompiler) admit(h *routing.Host, t ofproto.PortNo) {
	c.emit(hostObject(h.ID), RoleTunnel, fabricAdmit, prioHost, ofproto.MatchOf(ofproto.InPort(t), ofproto.TunSrc(h.Tunnel.Address)), ofproto.GotoTable(fabricVNI))
	m := ofproto.MatchOf(ofproto.InPort(t), ofproto.TunSrc(h.Tunnel.Address), ofproto.TunID(0), ofproto.EtherType(HelloType))
	hear := ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Output{Port: ofproto.PortController, MaxLen: 0xffff})}
	if c.hello != 0 {
		c.emit(hostObject(h.ID), RoleHello, fabricAdmit, prioRequest, m, metering(c.hello, hear))
	}
	c.emit(hostObject(h.ID), RoleHello, fabricAdmit, prioRequest-1, m, ofproto.Do(hear))
}

// network emits the flows of n that do not belong to an interface or a port.
func (c *fabricCompiler) network(n *spanning) {
	if n.uplink != 0 {
		c.uplinkNetwork(n)
		return
	}
	about := n.object()
	c.emit(about, RoleCarry, fabricAdmit, prioHost, ofproto.MatchOf(ofproto.InPort(n.port)), n.enter(fabricLocal))
	c.emit(about, RoleCarry, fabricVNI, prioHost, ofproto.MatchOf(ofproto.TunID(uint64(n.VNI))), n.enter(fabricArrive))
	group := ofproto.EthDstBits(groupBit, groupBit)
	look := ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Resubmit{Port: ofproto.PortInPort, Table: fabricSeen})}
	here := n.of(ofproto.Reg(sideReg, onThisHost, ^uint32(0)))
	c.emit(about, RoleNext, fabricArrive, prioFlood, n.of(group), ofproto.GotoTable(fabricSender))
	c.emit(about, RoleNext, fabricArrive, prioLearn, n.of(), ofproto.Do(look, ofproto.Goto{Table: fabricHere}))
	c.emit(about, RoleNext, fabricHere, prioHost, here, ofproto.GotoTable(fabricSender))
	c.emit(about, RoleAstray, fabricHere, prioLearn, n.of(), ofproto.Instructions{})
	c.emit(about, RoleLearn, fabricSender, prioLearn, n.of(), ofproto.ApplyActions(c.learn(n), c.sideOf(n, onOtherHost), ofproto.Output{Port: n.port}))
	c.emit(about, RoleNext, fabricLocal, prioLearn, n.of(), fromHere())
	c.emit(about, RoleLearn, fabricOrigin, prioLearn, n.of(), ofproto.ApplyActions(c.sideOf(n, onThisHost)))
	c.emit(about, RoleNext, fabricLimit, prioHost, n.of(ofproto.InPort(n.port), belowLimit()),
		ofproto.ApplyActions(ofproto.Resubmit{Port: ofproto.PortInPort, Table: fabricResolve})) // Goto leads only to later tables
	c.emit(about, RoleCrowded, fabricLimit, prioLearn, n.of(), ofproto.Instructions{})
	c.emit(about, RoleNext, fabricDeliver, prioLearn-50, n.of(), ofproto.Do(look, ofproto.Goto{Table: fabricLearned}))
	c.emit(about, RoleNext, fabricLearned, prioHost, here, ofproto.GotoTable(fabricReturn))
	c.floods(n, ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.ToGroup{ID: n.group})})
	if n.Broadcast == routing.BroadcastAll {
		for k := range n.legs { // requests of a namespace for a machine that is not declared
			l := &n.legs[k]
			for _, m := range []ofproto.Match{
				n.of(ofproto.InPort(l.port), ofproto.EthSrc(l.MAC), group, ofproto.ARP(), ofproto.ARPOp(arpRequest)),
				n.of(ofproto.InPort(l.port), ofproto.EthSrc(l.MAC), group, ofproto.IPv6(), ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndSolicitation)),
			} {
				c.emit(l.object(), RoleFlood, fabricDeliver, prioAsks, m, ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortInPort}, ofproto.ToGroup{ID: n.group}))
			}
		}
	}
	if n.Broadcast != routing.BroadcastAll {
		c.emit(about, RoleConfined, fabricDeliver, prioLearn+1, n.of(ofproto.InPort(n.port), group), ofproto.Instructions{})
	}
	c.emit(about, RoleReturn, fabricDeliver, prioLearn, n.of(group), ofproto.GotoTable(fabricReturn))
}

// floods emits the flows that carry out an instruction for broadcasts of this host's machines.
func (c *fabricCompiler) floods(n *spanning, do ofproto.Instruction) {
	flood := func(prio uint16, m ofproto.Match) {
		if n.meter != 0 {
			c.emit(n.object(), RoleFlood, fabricDeliver, prio, m, metering(n.meter, do))
			prio--
		}
		c.emit(n.object(), RoleFlood, fabricDeliver, prio, m, ofproto.Do(do))
	}
	group := ofproto.EthDstBits(groupBit, groupBit)
	switch n.Broadcast {
	case routing.BroadcastAll:
		flood(prioFlood, n.of(ofproto.InPort(n.port), group))
	case routing.BroadcastDHCP:
		for _, port := range []uint16{67, 68} {
			flood(prioFlood, n.of(ofproto.InPort(n.port), group, ofproto.IPv4(), ofproto.IPProto(protoUDP), ofproto.TransportDst(protoUDP, port)))
		}
		for _, port := range []uint16{546, 547} {
			flood(prioFlood, n.of(ofproto.InPort(n.port), group, ofproto.IPv6(), ofproto.IPProto(protoUDP), ofproto.TransportDst(protoUDP, port)))
		}
	}
}

const protoUDP = 17 // RFC 768

// gateway emits the flows for interface l on n.
func (c *fabricCompiler) gateway(n *spanning, l *fabricLeg) {
	if n.uplink != 0 {
		c.uplinkGateway(n, l)
		return
	}
	about := l.object()
	from := ofproto.EthSrc(l.MAC)
	if l.port != 0 {
		in, out := ofproto.InPort(l.port), ofproto.Output{Port: l.port}
		c.emit(about, RoleCarry, fabricAdmit, prioHost, ofproto.MatchOf(in, from), n.enter(fabricResolve))
		if n.Broadcast == routing.BroadcastAll {
			for _, answer := range answersTo(l.MAC) {
				c.answer(n, l, append(answer, in), ofproto.WriteMetadata{Value: n.mark(), Mask: ^uint64(0)}, ofproto.Goto{Table: fabricLocal})
			}
			c.emit(about, RoleNext, fabricLocal, prioResolved, n.of(in), fromHere())
			c.emit(about, RoleResolved, fabricLimit, prioHost, n.of(in, belowLimit()), ofproto.ApplyActions(ofproto.ToGroup{ID: n.all}))
		}
		for _, answer := range answersTo(l.MAC) {
			c.emit(about, RoleResolved, fabricArrive, prioResolved, n.of(answer...), ofproto.ApplyActions(c.learn(n), c.sideOf(n, onOtherHost), out))
		}
		group := ofproto.EthDstBits(groupBit, groupBit)
		c.emit(about, RoleArrive, fabricArrive, prioAsks, n.of(from, group, ofproto.ARP(), ofproto.ARPOp(arpRequest)),
			ofproto.ApplyActions(out))
		c.emit(about, RoleArrive, fabricArrive, prioAsks, n.of(from, group, ofproto.IPv6(), ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndSolicitation)),
			ofproto.ApplyActions(out))
		c.emit(about, RoleLocal, fabricArrive, prioMulticast, n.of(from, group), ofproto.Instructions{})
		c.emit(about, RoleArrive, fabricSender, prioRouted, n.of(from), ofproto.ApplyActions(out))
		c.emit(about, RoleReturn, fabricReturn, prioHost, ofproto.MatchOf(in), ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortInPort}))
	}
	c.gatewayLocal(n, l)
}

// gatewayLocal emits the flows that keep packets from and to interface l on n on this host.
func (c *fabricCompiler) gatewayLocal(n *spanning, l *fabricLeg) {
	about := l.object()
	from, to := ofproto.EthSrc(l.MAC), ofproto.EthDst(l.MAC)
	c.emit(about, RoleLocal, fabricArrive, prioGateway, n.of(to), ofproto.Instructions{})
	c.emit(about, RoleLocal, fabricLocal, prioGateway, n.of(from), ofproto.Instructions{})
	c.emit(about, RoleLocal, fabricLocal, prioGateway, n.of(to), ofproto.Instructions{})
	for _, a := range l.addresses() {
		for _, m := range n.requests(a) {
			c.emit(about, RoleLocal, fabricArrive, prioRequest, m, ofproto.Instructions{})
			c.emit(about, RoleLocal, fabricResolve, prioRequest, m, ofproto.GotoTable(fabricReturn))
		}
	}
}

// A machine's answer to the router comes from l's bridge. answer emits the flows that send it to
// the other hosts, by the instructions in the parameter do. The namespace of any of these hosts may wait
// for the answer. A learned flow would know only the host that asked last, and only after a moment.
func (c *fabricCompiler) answer(n *spanning, l *fabricLeg, match []ofproto.Field, do ...ofproto.Instruction) {
	prio, m := uint16(prioResolved), ofproto.MatchOf(match...)
	if n.answers != 0 {
		c.emit(l.object(), RoleResolved, fabricAdmit, prio, m, metering(n.answers, do...))
		prio--
	}
	c.emit(l.object(), RoleResolved, fabricAdmit, prio, m, ofproto.Do(do...))
}

// addresses returns the addresses of l, including the link-local one that the kernel assigns.
func (l *fabricLeg) addresses() []netip.Addr {
	leg := leg{Interface: l.Interface}
	out := leg.addresses6()
	for _, p := range l.Addresses {
		if p.Addr().Is4() {
			out = append(out, p.Addr())
		}
	}
	return out
}

// requests returns matches of multicast requests on n for the MAC address of a, with further fields.
func (n *spanning) requests(a netip.Addr, more ...ofproto.Field) []ofproto.Match {
	more = append(more[:len(more):len(more)], ofproto.EthDstBits(groupBit, groupBit))
	if a.Is4() {
		return []ofproto.Match{n.of(append(more, ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPTargetIP(a))...)}
	}
	return []ofproto.Match{n.of(append(more, ofproto.IPv6(), ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndSolicitation), ofproto.NDTarget(a))...)}
}

// machine emits the flows for port p on n.
func (c *fabricCompiler) machine(n *spanning, p *routing.Port) {
	if n.uplink != 0 {
		c.uplinkMachine(n, p)
		return
	}
	about := routing.Object{Kind: routing.KindPort, ID: p.ID}
	host := c.hostOf(p)
	if host == nil || c.tunnel(host) == 0 {
		if p.Host == c.host {
			c.emit(about, RoleKnown, fabricArrive, prioHost, n.of(ofproto.EthDst(p.MAC)), ofproto.GotoTable(fabricSender))
			c.emit(about, RoleImposter, fabricSender, prioHost, n.of(ofproto.EthSrc(p.MAC)), ofproto.Instructions{})
			c.emit(about, RoleKnown, fabricOrigin, prioHost, n.of(ofproto.EthSrc(p.MAC)), ofproto.ApplyActions(ofproto.Load{Dst: limitBit(), Value: 1}))
			c.known(n, p)
		}
		return
	}
	c.emit(about, RoleAstray, fabricArrive, prioAstray, n.of(ofproto.EthDst(p.MAC)), ofproto.Instructions{})
	c.emit(about, RoleArrive, fabricSender, prioHost, n.of(ofproto.EthSrc(p.MAC)), ofproto.ApplyActions(ofproto.Output{Port: n.port}))
	c.emit(about, RoleTunnelOut, fabricDeliver, prioHost, n.of(ofproto.EthDst(p.MAC)), ofproto.ApplyActions(c.send(n, host)...))
	for _, a := range p.Addresses {
		c.proxy(n, p, a)
	}
}

// proxy emits the flows that answer requests for the MAC address of p, which is on another host.
func (c *fabricCompiler) proxy(n *spanning, p *routing.Port, a netip.Addr) {
	about := routing.Object{Kind: routing.KindPort, ID: p.ID}
	for _, m := range n.requests(a, ofproto.EthSrc(p.MAC)) {
		c.emit(about, RoleSelf, fabricResolve, prioHost+2, m, ofproto.Instructions{})
	}
	if able := a.Is4() && c.can.Has(CanAnswerARP) || a.Is6() && c.can.Has(CanAnswerND); !able {
		c.forward(n, p, a)
		return
	}
	back := []ofproto.Action{ofproto.SetField{Field: ofproto.EthSrc(p.MAC)}, ofproto.Output{Port: ofproto.PortInPort}}
	if a.Is4() {
		answer := answerARP(p.MAC, a)
		c.emit(about, RoleProxy, fabricResolve, prioHost, n.requests(a)[0], ofproto.Do(answer, ofproto.Goto{Table: fabricAnswer}))
		c.emit(about, RoleProxy, fabricAnswer, prioHost, n.of(ofproto.ARP(), ofproto.ARPOp(arpReply), ofproto.ARPSourceIP(a)), ofproto.ApplyActions(back...))
		return
	}
	group := ofproto.IPv6Dst(alone(solicitedNode(a)))
	asks := append(solicits(a), ofproto.IPv6(), group, ofproto.EthDst(groupMAC(solicitedNode(a))))
	on := ofproto.Goto{Table: fabricAnswer}
	c.emit(about, RoleProxy, fabricResolve, prioHost, n.of(append(asks, ofproto.NDOptionsType(ndOptionSourceMAC))...),
		ofproto.Do(advertise(a, ndSolicited|ndOverride,
			ofproto.Move{Src: ofproto.Whole(ofproto.FieldNDSLL), Dst: ofproto.Whole(ofproto.FieldEthDst)},
			ofproto.Move{Src: ofproto.Whole(ofproto.FieldIPv6Src), Dst: ofproto.Whole(ofproto.FieldIPv6Dst)}), on))
	c.emit(about, RoleProxy, fabricResolve, prioHost+1, n.of(append(asks, ofproto.IPv6Src(alone(unspecified6)), ofproto.NDOptionsType(0), ofproto.NDSourceMAC(ofproto.MAC{}))...),
		ofproto.Do(advertise(a, ndOverride,
			ofproto.SetField{Field: ofproto.EthDst(groupMAC(allNodes))},
			ofproto.SetField{Field: ofproto.IPv6Dst(alone(allNodes))}), on))
	c.emit(about, RoleProxy, fabricAnswer, prioHost, n.of(ofproto.IPv6(), ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndAdvertisement), ofproto.NDTarget(a)),
		ofproto.ApplyActions(append([]ofproto.Action{ofproto.SetField{Field: ofproto.NDTargetMAC(p.MAC)}}, back...)...))
}

// forward emits the flow that sends requests for the MAC address of p, which is on another host, to p:
// the switch cannot write the answer. A request of a namespace does not leave by the uplink, because the
// switch cannot write its sender either.
func (c *fabricCompiler) forward(n *spanning, p *routing.Port, a netip.Addr) {
	about := routing.Object{Kind: routing.KindPort, ID: p.ID}
	if n.uplink != 0 {
		c.emit(about, RoleUplinkOut, fabricResolve, prioHost, n.requests(a, ofproto.InPort(n.port))[0], ofproto.GotoTable(fabricWire))
		return
	}
	c.emit(about, RoleTunnelOut, fabricResolve, prioHost, n.requests(a)[0], ofproto.ApplyActions(c.send(n, c.hostOf(p))...))
}

// rest emits the last flow of each table, which continues in the next table, or drops and
// counts packets. It also emits the flows that drop requests with an impossible sender, see
// [compiler.refuse].
func (c *fabricCompiler) rest() {
	about := hostObject(c.host)
	for _, m := range []ofproto.Match{
		ofproto.MatchOf(ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPSourceMAC(ofproto.MAC{})),
		ofproto.MatchOf(ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPSourceMACBits(groupBit, groupBit)),
	} {
		c.emit(about, RoleForged, fabricResolve, prioResolved, m, ofproto.Instructions{})
	}
	next := map[ofproto.TableID]ofproto.TableID{fabricLocal: fabricResolve, fabricResolve: fabricDeliver, fabricDeliver: fabricLearned, fabricLearned: fabricReturn}
	for t := fabricAdmit; t <= fabricLimit; t++ {
		role, do := RoleDrop, ofproto.Instructions{}
		if to := next[t]; to != 0 {
			role, do = RoleNext, ofproto.GotoTable(to)
		} else if t == fabricSeen { // the table that has resubmitted the packet goes on
			role = RoleNext
		} else if t == fabricReturn {
			role = RoleUnreached
		}
		c.emit(about, role, t, prioDrop, ofproto.Match{}, do)
	}
}
