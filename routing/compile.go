package routing

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
)

// Facts are what has been observed of one routing bridge: the OpenFlow number
// of each of its ports, by the port's name.
type Facts map[string]ofproto.PortNo

// A Program is what one routing bridge should hold. It is immutable.
type Program struct {
	Flows ofproto.Set
	// Groups and Meters are what Flows refer to, by ID.
	Groups []ofproto.GroupEntry
	Meters []ofproto.MeterEntry
	// Missing names the ports that the bridge does not have yet. What needs
	// them is left out of Flows.
	Missing []string
	// Objects say which object of the Model each cookie in Flows stands for.
	Objects Objects

	source source
}

// The pipeline. Flows may only go on to a later table. See ARCHITECTURE.md for
// the whole program in words.
const (
	tableClassify ofproto.TableID = iota // by ingress port: answer, hand to the kernel, or route
	tableRoute                           // by destination network
	tableDeliver                         // by destination address
)

// Priorities in tableClassify. Those in tableRoute are the prefix length,
// doubled to leave room for the exceptions of a prefix; no two are of one
// prefix, as an extra route is none to a connected subnet.
const (
	prioAnswer   = 400 // requests that are answered in the switch
	prioTTL      = 300 // packets that the router may not forward any further
	prioRoute    = 200 // packets to be routed
	prioFallback = 100 // everything else, both ways
	prioDeliver  = 100 // in tableDeliver
	prioMiss     = 1   // in tableRoute and tableDeliver: to the kernel
	prioDrop     = 0
)

const (
	arpRequest = 1
	arpReply   = 2
)

// Compile translates router r of the indexed Model into the flows that its
// bridge should hold. The result depends only on the arguments: compiling
// twice gives equal Programs.
func (x *Index) Compile(r *Router, facts Facts) Program {
	return x.sourceOf(r, facts).compile()
}

// A source is all that a [Program] depends on.
type source struct {
	router  *Router
	legs    []leg
	missing []string
}

func (x *Index) sourceOf(r *Router, facts Facts) source {
	s := source{router: r}
	find := func(name string) ofproto.PortNo {
		no, ok := facts[name]
		if !ok {
			s.missing = append(s.missing, name)
		}
		return no
	}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		l := leg{Interface: f, network: x.members(f.Network), patch: find(f.PatchName())}
		if r.Fallback == FallbackNamespace {
			l.tap = find(f.TapName())
		}
		if l.patch != 0 {
			s.legs = append(s.legs, l)
		}
	}
	return s
}

func (s source) compile() Program {
	c := compiler{source: s}
	for i := range c.legs {
		l := &c.legs[i]
		c.classify(l)
		c.route(l)
		for p := range l.network.ports.All() {
			c.deliver(l, &p)
		}
		c.unknown(l)
	}
	for i := range c.router.Routes {
		c.extra(&c.router.Routes[i], c.hop(&c.router.Routes[i]))
	}
	c.drops()
	return Program{
		Flows:   ofproto.SetOf(c.flows),
		Missing: s.missing,
		Objects: Objects{sorted.Of[labelled, byCookie](c.objects)},
		source:  s,
	}
}

// A compiler emits flows of one router.
type compiler struct {
	source
	flows   []ofproto.Flow
	objects []labelled
}

// A leg is an interface whose port numbers are known.
type leg struct {
	*Interface
	network    *members
	patch, tap ofproto.PortNo // tap is 0 where there is no fallback
}

func (l *leg) object() Object { return Object{KindInterface, l.ID, l.ID} }

// classify emits what decides by the port that a packet came in by.
func (c *compiler) classify(l *leg) {
	about := l.object()
	in := ofproto.InPort(l.patch)
	if c.router.ARPResponder {
		for _, p := range l.Addresses {
			if p.Addr().Is4() {
				c.emit(about, RoleARP, tableClassify, prioAnswer,
					ofproto.MatchOf(in, ofproto.Untagged(), ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPTargetIP(p.Addr())),
					answerARP(l.MAC, p.Addr()))
			}
		}
	}
	routed := []ofproto.Field{in, ofproto.Untagged(), ofproto.EthDst(l.MAC), ofproto.IPv4()}
	for ttl := range uint8(2) {
		c.emit(about, RoleTTL, tableClassify, prioTTL, ofproto.MatchOf(append(routed, ofproto.IPTTL(ttl))...), c.toKernel(l))
	}
	c.emit(about, RoleIn, tableClassify, prioRoute, ofproto.MatchOf(routed...), ofproto.GotoTable(tableRoute))
	if l.tap != 0 {
		c.emit(about, RoleFallback, tableClassify, prioFallback, ofproto.MatchOf(in), c.toKernel(l))
		c.emit(about, RoleFromKernel, tableClassify, prioFallback, ofproto.MatchOf(ofproto.InPort(l.tap)),
			ofproto.ApplyActions(ofproto.Output{Port: l.patch}))
	}
}

// answerARP turns an ARP request into the reply that says that addr is at mac
// (RFC 826), and sends it back where it came from.
func answerARP(mac ofproto.MAC, addr netip.Addr) ofproto.Instructions {
	return ofproto.ApplyActions(
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldEthSrc), Dst: ofproto.Whole(ofproto.FieldEthDst)},
		ofproto.SetField{Field: ofproto.EthSrc(mac)},
		ofproto.SetField{Field: ofproto.ARPOp(arpReply)},
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSHA), Dst: ofproto.Whole(ofproto.FieldARPTHA)},
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldARPSPA), Dst: ofproto.Whole(ofproto.FieldARPTPA)},
		ofproto.SetField{Field: ofproto.ARPSourceMAC(mac)},
		ofproto.SetField{Field: ofproto.ARPSourceIP(addr)},
		ofproto.Output{Port: ofproto.PortInPort},
	)
}

// toKernel hands a packet that came in by l's patch port to the kernel, or
// drops it where the router has no namespace.
func (c *compiler) toKernel(l *leg) ofproto.Instructions {
	if l.tap == 0 {
		return ofproto.Instructions{}
	}
	return ofproto.ApplyActions(ofproto.Output{Port: l.tap})
}

// route emits what decides by the destination's network: a connected subnet
// goes on to tableDeliver, except where the kernel has to do it: back out of
// the interface that the packet came in by, which Open vSwitch would drop and
// for which the kernel also sends a redirect, and into a network with a smaller
// MTU, where it fragments or answers.
func (c *compiler) route(l *leg) {
	about := l.object()
	for _, p := range l.Addresses {
		if !p.Addr().Is4() {
			continue
		}
		subnet, prio := ofproto.IPv4Dst(p), uint16(2*p.Bits()+2)
		c.emit(about, RoleRoute, tableRoute, prio, ofproto.MatchOf(ofproto.IPv4(), subnet), ofproto.GotoTable(tableDeliver))
		for i := range c.legs {
			if from := &c.legs[i]; from.Interface == l.Interface || l.network.MTU < from.network.MTU {
				c.emit(from.object(), RoleException, tableRoute, prio+1,
					ofproto.MatchOf(ofproto.InPort(from.patch), ofproto.IPv4(), subnet), c.toKernel(from))
			}
		}
	}
	c.emit(about, RoleNoRoute, tableRoute, prioMiss, ofproto.MatchOf(ofproto.InPort(l.patch)), c.toKernel(l))
}

// deliver emits one flow for each address of port p, on l's network, that lies
// in one of l's subnets.
func (c *compiler) deliver(l *leg, p *Port) {
	for _, a := range p.Addresses {
		if !a.Is4() || !l.contains(a) {
			continue
		}
		c.emit(Object{KindPort, p.ID, l.ID}, RoleDeliver, tableDeliver, prioDeliver,
			ofproto.MatchOf(ofproto.IPv4(), ofproto.IPv4Dst(netip.PrefixFrom(a, 32))), l.forward(p.MAC))
	}
}

func (l *leg) contains(a netip.Addr) bool {
	for _, p := range l.Addresses {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// unknown emits what becomes of packets for an address that no port has.
func (c *compiler) unknown(l *leg) {
	c.emit(l.object(), RoleUnknown, tableDeliver, prioMiss, ofproto.MatchOf(ofproto.InPort(l.patch)), c.toKernel(l))
}

// drops makes every table end in an explicit drop, so that what is dropped is
// counted.
func (c *compiler) drops() {
	for t := tableClassify; t <= tableDeliver; t++ {
		c.emit(Object{Kind: KindRouter, ID: c.router.ID}, RoleDrop, t, prioDrop, ofproto.Match{}, ofproto.Instructions{})
	}
}

func (c *compiler) emit(about Object, role Role, t ofproto.TableID, prio uint16, m ofproto.Match, do ofproto.Instructions) {
	cookie := CookieOf(about, role)
	c.objects = append(c.objects, labelled{cookie, about})
	c.flows = append(c.flows, ofproto.Flow{
		FlowKey: ofproto.FlowKey{Table: t, Priority: prio, Match: m},
		Cookie:  cookie,
		Do:      do,
	})
}
