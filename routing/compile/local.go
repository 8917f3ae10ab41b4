package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Priorities in tableLocal.
const (
	prioForged    = 470 // requests with impossible senders
	prioNew       = 460 // requests of machines without an address
	prioMartian   = 450 // invalid sources
	prioOwn       = 400 // packets for the router itself
	prioLinkLocal = 350 // link-local sources
	prioLocal     = 320 // local destinations; prioLocal-1: destinations added by other programs
	prioNoUnicast = 300 // unroutable destinations
	prioTTL       = 200 // packets with expired TTL
	prioForward   = 1   // everything else
)

// echoTTL is the TTL of answers, as in Linux (net.ipv4.ip_default_ttl).
const echoTTL = 64

// martians are the invalid sources that Linux rejects (RFC 1812 §5.3.7, RFC 4291 §2.5.2,
// §2.5.3 and §2.7).
var martians = [...][]netip.Prefix{
	v4: prefixes("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"),
	v6: prefixes("::/128", "::1/128", "ff00::/8"),
}

// unroutables are destinations that are never routed.
var unroutables = [...][]netip.Prefix{
	v4: prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
	v6: prefixes("::/128", "::1/128", "ff00::/8", "fe80::/10"),
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// guard emits the flows for packets that the kernel would not route. They send these packets
// to the kernel.
func (c *compiler) guard() {
	toKernel := ofproto.GotoTable(tableKernel)
	for _, v := range families {
		if !c.routes(v) {
			continue
		}
		for _, p := range martians[v] {
			c.martian(c.about(), p)
		}
		for _, p := range unroutables[v] {
			c.emit(c.about(), RoleMartian, tableLocal, prioNoUnicast, v.match(dst(p)), toKernel)
		}
	}
	if c.routes(v4) { // Open vSwitch treats protocol 0 as no IP, and does not decrement the TTL
		c.emit(c.about(), RoleMartian, tableLocal, prioNoUnicast, v4.match(ofproto.IPProto(0)), toKernel)
	}
	if c.routes(v6) {
		c.emit(c.about(), RoleMartian, tableLocal, prioLinkLocal, v6.match(src(linkLocalPrefix)), toKernel)
	}
	c.refuse()
	c.emit(c.about(), RoleForward, tableLocal, prioForward, ofproto.Match{}, ofproto.GotoTable(tableRoute))
}

// martian emits the flows for packets with a source in p, and for requests for the router's
// MAC address from such sources. They send these packets to the kernel.
func (c *compiler) martian(about routing.Object, p netip.Prefix) {
	c.emit(about, RoleMartian, tableLocal, prioMartian, familyOf(p.Addr()).match(src(p)), ofproto.GotoTable(tableKernel))
	if p.Addr().Is4() && c.answersARP() {
		c.emit(about, RoleMartian, tableLocal, prioMartian, ofproto.MatchOf(ofproto.ARP(), ofproto.ARPSource(p)), ofproto.GotoTable(tableKernel))
	}
}

// routes reports whether any interface has an address of a family.
func (c *compiler) routes(v family) bool {
	for i := range c.legs {
		if c.legs[i].has(v) {
			return true
		}
	}
	return false
}

// own emits the flows for packets from and to l's own addresses, and for packets from l's
// interface that must not be forwarded.
func (c *compiler) own(l *leg) {
	for _, p := range l.own() {
		v := familyOf(p.Addr())
		c.martian(l.object(), p)
		c.emit(l.object(), RoleOwn, tableLocal, prioLocal, v.match(dst(p)), ofproto.GotoTable(tableKernel))
	}
	for _, p := range l.Addresses {
		if v, a := familyOf(p.Addr()), p.Addr(); c.answersEcho() && v == v4 {
			c.emit(l.object(), RoleEcho, tableLocal, prioOwn, v.match(near, ofproto.IPProto(protoICMP), ofproto.NotFragmented(),
				ofproto.ICMPv4Type(icmpEchoRequest), ofproto.ICMPv4Code(0), dst(alone(a))), answerEcho(a))
		}
	}
	for _, a := range l.addresses6() {
		if linkLocal(a) { // a link-local address may exist on other links too
			c.emit(l.object(), RoleMartian, tableLocal, prioMartian, v6.match(ofproto.InPort(l.patch), src(alone(a))), ofproto.GotoTable(tableKernel))
		}
		if !c.answersEcho() {
			continue
		}
		asks := []ofproto.Field{near, ofproto.IPProto(protoICMPv6), ofproto.NotFragmented(),
			ofproto.ICMPv6Type(icmpv6EchoRequest), ofproto.ICMPv6Code(0), dst(alone(a))}
		if linkLocal(a) {
			asks = append(asks, ofproto.InPort(l.patch))
		}
		c.emit(l.object(), RoleEcho, tableLocal, prioOwn, v6.match(asks...), answerEcho(a))
	}
	if !c.can.Has(CanMatchTTL) {
		return
	}
	for _, v := range families {
		for ttl := range uint8(2) {
			if l.has(v) {
				m := v.match(ofproto.InPort(l.patch), ofproto.IPTTL(ttl))
				if l.tap == 0 {
					c.emit(l.object(), RoleTTL, tableLocal, prioTTL, m, ofproto.Instructions{})
				} else { // the kernel notifies the sender
					c.limited(l, limitTTL, RoleTTL, tableLocal, prioTTL, m, ofproto.Apply{Actions: ofproto.ActionsOf(ofproto.Output{Port: l.tap})})
				}
			}
		}
	}
}

// near matches packets with a source in a subnet of the ingress interface. Answers to other
// sources may take another path, which only the kernel knows.
var near = ofproto.Metadata(metaNear, metaNear)

// answerEcho turns an echo request for address a into the reply, except for the Ethernet
// header.
func answerEcho(a netip.Addr) ofproto.Instructions {
	return ofproto.Do(reply(a), ofproto.Goto{Table: tableAnswer})
}

func reply(a netip.Addr) ofproto.Apply {
	to := []ofproto.Action{
		ofproto.Move{Src: ofproto.Whole(ofproto.FieldIPv4Src), Dst: ofproto.Whole(ofproto.FieldIPv4Dst)},
		ofproto.SetField{Field: ofproto.IPv4Src(alone(a))},
		ofproto.SetField{Field: ofproto.ICMPv4Type(icmpEchoReply)},
	}
	if a.Is6() {
		to = []ofproto.Action{
			ofproto.Move{Src: ofproto.Whole(ofproto.FieldIPv6Src), Dst: ofproto.Whole(ofproto.FieldIPv6Dst)},
			ofproto.SetField{Field: ofproto.IPv6Src(alone(a))},
			ofproto.SetField{Field: ofproto.ICMPv6Type(icmpv6EchoReply)},
			ofproto.SetField{Field: ofproto.IPv6Label(0)}, // the flow label of the request must not be in the reply
		}
	}
	return ofproto.Apply{Actions: ofproto.ActionsOf(append(to, ofproto.SetTTL{TTL: echoTTL})...)}
}
