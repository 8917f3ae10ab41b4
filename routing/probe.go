package routing

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// tableProbe is used by nothing else, and no flow leads to it.
const tableProbe ofproto.TableID = 250

// A Probe is a flow that a switch takes only if it has certain capabilities. It
// does nothing: no packet comes to its table.
type Probe struct {
	Tells Capabilities
	Flow  ofproto.Flow
}

// Probes returns flows that tell what a switch can do besides groups and meters.
// They have actions and matches like those of programs.
func Probes() []Probe {
	var out []Probe
	add := func(tells Capabilities, m ofproto.Match, do ofproto.Instructions) {
		out = append(out, Probe{tells, ofproto.Flow{
			FlowKey: ofproto.FlowKey{Table: tableProbe, Priority: uint16(1 + len(out)), Match: m},
			Cookie:  CookieOf(Object{Kind: KindRouter}, RoleProbe),
			Do:      do,
		}})
	}
	a4, a6, mac := netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.MustParseAddr("2001:db8::1"), ofproto.MAC{2, 0, 0, 0, 0, 1}
	add(CanAnswerARP, ofproto.MatchOf(ofproto.ARP(), ofproto.ARPOp(arpRequest)), ofproto.Do(answerARP(mac, a4)))
	add(CanAnswerND, v6.match(ofproto.IPProto(protoICMPv6), ofproto.IPTTL(ndHopLimit), ofproto.ICMPv6Type(ndSolicitation), ofproto.ICMPv6Code(0),
		ofproto.NDTarget(a6), ofproto.NDOptionsType(ndOptionSourceMAC)), ofproto.Do(advertise(mac, a6, ndRouter)))
	add(CanAnswerND, v6.match(ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(ndAdvertisement)),
		ofproto.ApplyActions(ofproto.SetField{Field: ofproto.NDTargetMAC(mac)}))
	for _, a := range []netip.Addr{a4, a6} {
		ask := []ofproto.Field{ofproto.IPProto(protoICMP), ofproto.ICMPv4Type(icmpEchoRequest)}
		if a.Is6() {
			ask = []ofproto.Field{ofproto.IPProto(protoICMPv6), ofproto.ICMPv6Type(icmpv6EchoRequest)}
		}
		v := familyOf(a)
		add(CanAnswerEcho, v.match(append(ask, ofproto.NotFragmented(), near)...), ofproto.Do(reply(a)))
		add(CanMatchTTL, v.match(ofproto.IPTTL(1)), ofproto.Instructions{})
	}
	add(CanCheckLength, ofproto.Match{}, ofproto.ApplyActions(ofproto.CheckLarger{Len: 1514, Dst: tooBig}))
	add(CanCheckLength, ofproto.MatchOf(ofproto.Reg(0, 1, 1)), ofproto.Instructions{})
	return out
}
