package compile

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Numbers reserved for probes. No flow leads to the table of probes.
const (
	tableProbe ofproto.TableID = 250
	groupProbe                 = groupMark | ^groupMarkMask
	meterProbe                 = lastMeter
)

// IsPassing reports whether c is the cookie of a temporary flow, which is in no Program: a
// probe, or a flow that the switch has learned.
func IsPassing(c ofproto.Cookie) bool {
	role, ours := RoleOf(c)
	return ours && (role == RoleProbe || role == RoleLearned || role == RoleLearnedHere)
}

// IsProbeGroup and IsProbeMeter report whether a group or meter belongs to a probe.
func IsProbeGroup(id ofproto.GroupID) bool { return id == groupProbe }
func IsProbeMeter(id ofproto.MeterID) bool { return id == meterProbe }

// A Probe is a change that a switch accepts only with certain capabilities, and the undoing of
// that change. It has no other effect, because no packet reaches the changed table.
type Probe struct {
	Tells     Capabilities
	Try, Undo ofproto.Mod
}

// Probes returns the probes for all capabilities, to be tried in order and undone in reverse
// order. They have the same kinds of matches and actions as programs.
func Probes() []Probe {
	var out []Probe
	add := func(tells Capabilities, m ofproto.Match, do ofproto.Instructions) {
		f := ofproto.Flow{
			FlowKey: ofproto.FlowKey{Table: tableProbe, Priority: uint16(1 + len(out)), Match: m},
			Cookie:  CookieOf(routing.Object{Kind: routing.KindRouter}, RoleProbe),
			Do:      do,
		}
		out = append(out, Probe{tells, ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: f}, ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f}})
	}
	a4, a6, mac := netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.MustParseAddr("2001:db8::1"), ofproto.MAC{2, 0, 0, 0, 0, 1}
	add(CanAnswerARP, ofproto.MatchOf(ofproto.ARP(), ofproto.ARPOp(arpRequest), ofproto.ARPSourceMACBits(groupBit, groupBit)), ofproto.Do(answerARP(mac, a4)))
	add(CanAnswerND, v6.match(append(solicits(a6), ofproto.NDOptionsType(ndOptionSourceMAC), ofproto.NDSourceMACBits(groupBit, groupBit))...),
		ofproto.Do(advertise(a6, ndRouter, ofproto.Move{Src: ofproto.Whole(ofproto.FieldNDSLL), Dst: ofproto.Whole(ofproto.FieldEthDst)})))
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

	group := ofproto.GroupEntry{ID: groupProbe, Type: ofproto.GroupTypeSelect, Buckets: []ofproto.Bucket{
		{Weight: 1, WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny}, {Weight: 1, WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny},
	}}
	out = append(out, Probe{CanSelect, ofproto.GroupMod{Command: ofproto.GroupAdd, Entry: group}, ofproto.GroupMod{Command: ofproto.GroupDelete, Entry: ofproto.GroupEntry{ID: groupProbe}}})
	add(CanSelect, ofproto.Match{}, ofproto.ApplyActions(ofproto.ToGroup{ID: groupProbe}))
	meter := rateMeter(meterProbe, 1)
	out = append(out, Probe{CanMeter, ofproto.MeterMod{Command: ofproto.MeterAdd, Entry: meter}, ofproto.MeterMod{Command: ofproto.MeterDelete, Entry: ofproto.MeterEntry{ID: meterProbe}}})
	add(CanMeter, ofproto.Match{}, ofproto.Do(ofproto.Meter{ID: meterProbe}))
	return out
}
