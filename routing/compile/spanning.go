package compile

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// This file has the flows of a routing bridge for networks that span hosts. Its port to the
// fabric bridge connects it to the routing bridges of the router on other hosts.
//
// Each host routes the packets that its own machines send. If the destination is on another
// host, the routed packet goes to the fabric bridge and arrives on the routing bridge of the
// other host. That bridge sends it out of the interface. So the integration bridge sees the
// MAC address of the interface on one port only.

// prioFabric is the priority, in tableClassify, of answers to the kernel's requests for MAC
// addresses.
const prioFabric = 405

// away reports whether p, on l's network, is on another host. If an uplink carries the
// network, this holds for every machine that is not on this host, because the switches behind
// the uplink know where it is.
func (s source) away(l *leg, p *routing.Port) bool {
	return l.fabric != 0 && (p.Host != "" || l.uplink) && p.Host != s.host
}

// fromKernel emits the flow for packets from l's tap.
func (c *compiler) fromKernel(l *leg) {
	role, out := RoleFromKernel, l.patch
	if l.fabric != 0 {
		role, out = RoleToFabric, l.fabric
	}
	c.emit(l.object(), role, tableClassify, prioFallback, ofproto.MatchOf(ofproto.InPort(l.tap)), ofproto.ApplyActions(ofproto.Output{Port: out}))
}

// fabric emits the flows for packets from other hosts, and for answers to other hosts. To find
// a machine that is not declared, a kernel sends a request for its MAC address to all hosts,
// with the router's addresses as the sender. The machine answers to the router of its own
// host, which passes the answer on.
func (c *compiler) fabric(l *leg) {
	if l.fabric == 0 {
		return
	}
	from := ofproto.InPort(l.fabric)
	c.emit(l.object(), RoleFromFabric, tableClassify, prioFallback, ofproto.MatchOf(from, ofproto.EthSrc(l.MAC)),
		ofproto.ApplyActions(ofproto.Output{Port: l.patch}))
	if l.tap == 0 {
		return
	}
	for _, answer := range answersTo(l.MAC) {
		c.emit(l.object(), RoleResolved, tableClassify, prioFabric, ofproto.MatchOf(append(answer, from)...),
			ofproto.ApplyActions(ofproto.Output{Port: l.tap}))
		c.emit(l.object(), RoleResolved, tableClassify, prioFabric, ofproto.MatchOf(append(answer, ofproto.InPort(l.patch))...),
			ofproto.ApplyActions(ofproto.Output{Port: l.tap}, ofproto.Output{Port: l.fabric}))
	}
}

// answersTo returns the matches of ARP replies and neighbour advertisements to mac.
func answersTo(mac ofproto.MAC) [][]ofproto.Field {
	to := ofproto.EthDst(mac)
	return [][]ofproto.Field{
		{to, ofproto.Untagged(), ofproto.ARP(), ofproto.ARPOp(arpReply)},
		{to, ofproto.Untagged(), ofproto.IPv6(), ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndAdvertisement)},
	}
}
