package ofproto_test

import (
	"net/netip"

	. "github.com/ofdvr/ofdvr/ofproto"
)

var (
	ip     = MatchOf(IPv4())
	ip6    = MatchOf(IPv6())
	tcp    = MatchOf(IPv4(), IPProto(6))
	udp    = MatchOf(IPv4(), IPProto(17))
	tagged = MatchOf(ParsedField("dl_vlan=5"))
	mpls   = MatchOf(ParsedField("dl_type=0x8847"))
	ctIP   = MatchOf(IPv4(), ParsedField("ct_state=+est+trk"))
	reg    = func(n int) FieldID { return FieldReg0 + FieldID(n) }
	addr   = netip.MustParseAddr
)

// An act is a list of actions with a match on their prerequisites.
type act struct {
	match   Match
	actions []Action
}

// actions has every action in every form.
var actions = []act{
	{Match{}, []Action{Output{Port: 3}, Output{Port: PortInPort}, Output{Port: PortLocal}, Output{Port: PortNormal}}},
	{Match{}, []Action{Output{Port: PortController, MaxLen: 77}, Output{Port: PortAll}, Output{Port: PortFlood}}},
	{Match{}, []Action{OutputReg{Src: Whole(reg(3)), MaxLen: 0xffff}, OutputReg{Src: BitRange(reg(4), 4, 19), MaxLen: 0xffff}}},
	{Match{}, []Action{OutputTruncated{Port: 4, MaxLen: 100}, OutputTruncated{Port: PortInPort, MaxLen: 14}}},
	{Match{}, []Action{SetField{EthDst(routerMAC)}, SetField{Reg(7, 0x123, ^uint32(0))}}},
	{Match{}, []Action{SetField{Reg(7, 0x120, 0xff0)}, SetField{ParsedField("metadata=0x1200/0xff00")}, SetField{ParsedField("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00")}}},
	{ip, []Action{SetField{IPv4Dst(subnet("10.1.2.3/32"))}, SetField{IPv4Src(subnet("10.1.0.0/16"))}, SetField{IPTTL(9)}}},
	{ip, []Action{DecTTL{}, DecTTLTo{IDsOf(1, 2, 65535)}, SetTTL{64}}},
	{tagged, []Action{SetField{ParsedField("dl_vlan=9")}, SetField{ParsedField("vlan_pcp=3")}, PopVLAN{}, PushVLAN{0x8100}, PushVLAN{0x88a8}}},
	{Match{}, []Action{PushMPLS{0x8847}}},
	{mpls, []Action{DecMPLSTTL{}, PopMPLS{0x0800}}},
	{Match{}, []Action{SetQueue{4}, Output{Port: 1}, PopQueue{}}},
	{Match{}, []Action{Move{Whole(FieldEthSrc), Whole(FieldEthDst)}, Move{BitRange(reg(1), 0, 15), BitRange(reg(2), 16, 31)}}},
	{ip, []Action{Move{Whole(FieldIPv4Src), BitRange(FieldXXReg0, 32, 63)}, Move{Whole(FieldIPTOS), BitRange(reg(1), 0, 7)}}},
	{Match{}, []Action{Load{5, Whole(reg(0))}, Load{1, Bit(reg(1), 31)}, Load{0xabcdef, BitRange(FieldXXReg0+1, 64, 127)}, Load{^uint64(0), Whole(FieldMetadata)}}},
	{Match{}, []Action{Load{0xffff, Whole(FieldInPort16)}, Load{0, Whole(FieldTunID)}, Load{9, Whole(FieldXReg0 + 2)}, Load{2, Whole(FieldPktMark)}}},
	{Match{}, []Action{Resubmit{Port: PortInPort, Table: 9}, Resubmit{Port: 4, Table: AllTables}, Resubmit{Port: 4, Table: 8}, Resubmit{Port: PortLocal, Table: 8}}},
	{ctIP, []Action{Resubmit{Port: PortInPort, Table: 9, CT: true}}},
	{Match{}, []Action{Controller{MaxLen: 0xffff, ID: 7, Reason: 1}, Controller{MaxLen: 128, Reason: 2}, Controller{MaxLen: 65535, Reason: 1, Userdata: "ofdvr\x00\x01"}}},
	{Match{}, []Action{Controller{MaxLen: 60, ID: 3, Reason: 0, Userdata: "x", Pause: true}, Controller{MaxLen: 0xffff, Reason: 1, Pause: true}}},
	{Match{}, []Action{Note{"abcdef"}, Note{"fourteen bytes"}}},
	{Match{}, []Action{Conjunction{ID: 10, Clause: 1, Of: 2}, Conjunction{ID: 0xffffffff, Clause: 64, Of: 64}}},
	{Match{}, []Action{Push{Whole(reg(2))}, Push{BitRange(reg(3), 5, 6)}, Pop{BitRange(reg(3), 5, 6)}, Pop{Whole(FieldXXReg3)}, Exit{}}},
	{Match{}, []Action{CheckLarger{1500, Bit(reg(0), 3)}}},
	{tcp, []Action{FinTimeout{Idle: 5}, FinTimeout{Hard: 6}, FinTimeout{7, 8}}},
	{Match{}, []Action{
		Multipath{HashEthSrc, 50, ModuloN, 1, 0, Whole(reg(0))}, Multipath{HashSymmetricL4, 0, HashThreshold, 128, 7, BitRange(reg(1), 0, 7)},
		Multipath{HashSymmetricL3L4, 0, HighestRandomWeight, 65536, 0, Whole(reg(2))}, Multipath{HashSymmetricL3L4UDP, 0, IterHash, 2, 3, Bit(reg(2), 0)},
		Multipath{HashIPSrc, 0, ModuloN, 2, 0, Whole(reg(0))}, Multipath{HashIPDst, 0, ModuloN, 2, 0, Whole(reg(0))}, Multipath{HashSymmetricL3, 0, ModuloN, 2, 0, Whole(reg(0))}}},
	{Match{}, []Action{
		Bundle{Fields: HashEthSrc, Basis: 3, Algorithm: WeightedHash, Members: PortsOf(4, 8)},
		Bundle{Fields: HashSymmetricL4, Algorithm: ActiveBackup, Members: PortsOf(1, 2, 3, 4, 5)},
		Bundle{Fields: HashEthSrc, Algorithm: ActiveBackup, Dst: BitRange(reg(0), 0, 15), Members: PortsOf(4, 8, PortLocal)}}},
	{Match{}, []Action{Sample{Probability: 65535, CollectorSet: 1, Domain: 2, Point: 3}, Sample{Probability: 1, Port: 56}, Sample{Probability: 5, Direction: SampleEgress}, Sample{Probability: 9, Port: 3, Direction: SampleIngress}}},
	{ip, []Action{Clone{ActionsOf(DecTTL{}, Clone{ActionsOf(Output{Port: 9})}, Output{Port: 4})}, Clone{}, CTClear{}}},
	{ip, []Action{CT{}, CT{Commit: true}, CT{Commit: true, Force: true, Zone: 9}, CT{Recirc: true, Table: 1, ZoneFrom: BitRange(reg(4), 0, 15)}}},
	{ip, []Action{CT{Recirc: true, Zone: 7, Actions: ActionsOf(NAT{})}}},
	{tcp, []Action{CT{Commit: true, ALG: 21}, CT{Commit: true, Zone: 7, Actions: ActionsOf(
		NAT{Src: true, Min: addr("10.0.0.1"), Max: addr("10.0.0.9"), MinPort: 100, MaxPort: 200, Hash: true},
		SetField{ParsedField("ct_mark=0x5")}, SetField{ParsedField("ct_label=0x100/0xff00")}, Load{3, BitRange(FieldCTMark, 8, 15)}, Move{Whole(reg(1)), Whole(FieldCTMark)})}}},
	{udp, []Action{CT{Commit: true, ALG: 69, Actions: ActionsOf(NAT{Dst: true, Min: addr("10.0.0.1"), Persistent: true, Random: true})}}},
	{udp, []Action{CT{Commit: true, Actions: ActionsOf(NAT{Src: true})}, CT{Commit: true, Actions: ActionsOf(NAT{Dst: true, Min: addr("10.0.0.1"), MinPort: 80})}}},
	{ip6, []Action{CT{Commit: true, Actions: ActionsOf(NAT{Src: true, Min: addr("fd00::1"), Max: addr("fd00::ff"), MinPort: 80})}, CT{Commit: true, Actions: ActionsOf(NAT{Dst: true, Min: addr("fd00::1")})}}},
	{Match{}, []Action{Learn{Table: 1, Priority: 32768}, Learn{Table: 9, Priority: 5, Cookie: 7, Idle: 1, Hard: 2, FinIdle: 3, FinHard: 4, SendFlowRemoved: true, DeleteLearned: true, Limit: 5, Result: Bit(reg(0), 8)}}},
	{MatchOf(InPort(1)), []Action{Learn{Table: 10, Priority: 32768, Hard: 60, Specs: SpecsOf(
		LearnField(LearnMatch, BitRange(FieldVLANTCI, 0, 11), BitRange(FieldVLANTCI, 0, 11)),
		LearnField(LearnMatch, Whole(FieldEthDst), Whole(FieldEthSrc)),
		LearnField(LearnLoad, BitRange(reg(0), 0, 15), Whole(FieldInPort16)),
		LearnValue(LearnLoad, BitRange(reg(1), 8, 15), 0x12),
		LearnValue(LearnMatch, Whole(reg(2)), 0x1234),
		LearnValue(LearnMatch, BitRange(reg(3), 3, 7), 0x11),
		LearnPort(Whole(FieldInPort16)))}}},
	{tcp, []Action{Learn{Table: 2, Priority: 9, Limit: 3, Specs: SpecsOf(
		LearnValue(LearnMatch, Whole(FieldEthType), 0x800), LearnValue(LearnMatch, Whole(FieldIPProto), 6),
		LearnField(LearnMatch, Whole(FieldIPv4Src), Whole(FieldIPv4Dst)), LearnValue(LearnMatch, Whole(FieldTCPDst), 80),
		LearnValue(LearnMatch, Whole(FieldIPFrag), 3), LearnValue(LearnMatch, Whole(FieldIPTOS), 32), LearnValue(LearnMatch, Whole(FieldCTState), 0x21),
		LearnValue(LearnMatch, Whole(FieldInPort16), 0xfffe), LearnValue(LearnMatch, BitRange(FieldVLANTCI, 0, 11), 5))}}},
}

// instructions has every instruction of OpenFlow 1.3. The meter and the group must exist in
// the switch first.
var instructions = [][]Instruction{
	nil,
	{Goto{9}},
	{Clear{}},
	{Meter{1}},
	{WriteMetadata{5, 0xff}},
	{WriteMetadata{5, 1<<64 - 1}},
	{Write{ActionsOf(ToGroup{5}, Output{Port: 3}, DecTTL{}, SetField{IPTTL(3)})}},
	{Apply{ActionsOf(ToGroup{5})}},
	{Goto{200}, WriteMetadata{7, 7}, Write{}, Clear{}, Apply{ActionsOf(DecTTL{})}, Meter{1}},
}
