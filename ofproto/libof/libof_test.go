package libof_test

import (
	"errors"
	"net"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	of13 "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/libof"
)

var ipv4 = of13.NewEthTypeField(0x800)

// flowMod returns a flow-mod with a match that applies actions.
func flowMod(match []*of13.MatchField, as ...of13.Action) *of13.FlowMod {
	f := of13.NewFlowMod()
	for _, field := range match {
		f.Match.AddField(*field)
	}
	apply := of13.NewInstrApplyActions()
	apply.Actions = as // AddAction panics on incomplete actions
	if len(as) > 0 {
		f.AddInstruction(apply)
	}
	return f
}

func applied(as ...ofproto.Action) ofproto.FlowMod {
	return ofproto.FlowMod{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 1000}, Do: ofproto.ApplyActions(as...)}}
}

// Values that libOpenflow encodes wrongly are converted with their intended meaning.
func TestCorrectsEncoding(t *testing.T) {
	ipHeader := of13.ActionHeader{Type: of13.ActionType_SetNwTtl, Length: 8}
	late := of13.NewInstrApplyActions()
	ct := of13.NewNXActionConnTrack()
	late.AddAction(ct, false)
	ct.Commit().AddAction(of13.NewNXActionCTNAT()) // the length in late is now stale
	del := flowMod(nil, of13.NewActionOutput(1))
	del.Command = of13.FC_DELETE_STRICT
	grouped := of13.NewGroupMod()
	bucket := of13.NewBucket()
	bucket.AddAction(of13.NewNXActionResubmit(4))
	grouped.AddBucket(*bucket)
	ungrouped := *grouped
	ungrouped.Command = of13.OFPGC_DELETE
	unmeter := of13.NewMeterMod()
	unmeter.Command, unmeter.MeterId = of13.OFPMC_DELETE, 5
	unmeter.AddMeterBand(&of13.MeterBandDrop{MeterBandHeader: *of13.NewMeterBandHeader()})
	unmeter.AddMeterBand(&of13.MeterBandDrop{MeterBandHeader: *of13.NewMeterBandHeader()})
	out := of13.NewPacketOut()
	out.InPort = of13.P_CONTROLLER
	out.Actions = []of13.Action{of13.NewActionOutput(1)} // without AddAction, without Data
	experimenter := of13.NewTcpFlagsField(2, nil)
	experimenter.Class, experimenter.ExperimenterID = of13.OXM_CLASS_EXPERIMENTER, of13.ONF_EXPERIMENTER_ID
	literal := &of13.FlowMod{Priority: 1000, BufferId: ofproto.NoBuffer}
	literal.Match.Fields = []of13.MatchField{*of13.NewInPortField(7)}
	tcpFlags, err := ofproto.ParseMatch("tcp,tcp_flags=0x2")
	if err != nil {
		t.Fatal(err)
	}
	tcp := []*of13.MatchField{ipv4, of13.NewIpProtoField(6)}
	flagged := ofproto.FlowMod{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 1000, Match: tcpFlags}}}
	for name, tt := range map[string]struct {
		m    util.Message
		want ofproto.Message
	}{
		"resubmit":                   {flowMod(nil, of13.NewNXActionResubmit(4)), applied(ofproto.Resubmit{Port: 4, Table: ofproto.AllTables})},
		"max_len of a port":          {flowMod(nil, of13.NewActionOutput(3)), applied(ofproto.Output{Port: 3})},
		"max_len of the controller":  {flowMod(nil, of13.NewActionOutput(of13.P_CONTROLLER)), applied(ofproto.Output{Port: ofproto.PortController, MaxLen: 256})},
		"dec_ttl to one controller":  {flowMod(nil, of13.NewNXActionDecTTLCntIDs(1, 9)), applied(ofproto.DecTTLTo{Controllers: ofproto.IDsOf(9)})},
		"dec_ttl as Nicira's":        {flowMod(nil, of13.NewNXActionDecTTL()), applied(ofproto.DecTTL{})},
		"action that is a header":    {flowMod(nil, &of13.ActionHeader{Type: of13.ActionType_DecMplsTtl}), applied(ofproto.DecMPLSTTL{})},
		"TTL":                        {flowMod(nil, &of13.ActionNwTtl{ActionHeader: ipHeader, NwTtl: 64}), applied(ofproto.SetTTL{TTL: 64})},
		"action that grew":           {func() *of13.FlowMod { f := flowMod(nil); f.AddInstruction(late); return f }(), applied(ofproto.CT{Commit: true, Actions: ofproto.ActionsOf(ofproto.NAT{})})},
		"delete with instructions":   {del, ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 1000}}}},
		"match without AddField":     {literal, ofproto.FlowMod{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 1000, Match: ofproto.MatchOf(ofproto.InPort(7))}}}},
		"TCP flags of OpenFlow 1.5":  {flowMod(append(tcp, of13.NewTcpFlagsField(2, nil))), flagged},
		"TCP flags as the ONF's":     {flowMod(append(tcp, experimenter)), flagged},
		"group":                      {grouped, ofproto.GroupMod{Entry: ofproto.GroupEntry{Buckets: []ofproto.Bucket{{WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny, Actions: ofproto.ActionsOf(ofproto.Resubmit{Port: 4, Table: ofproto.AllTables})}}}}},
		"delete group with buckets":  {&ungrouped, ofproto.GroupMod{Command: ofproto.GroupDelete}},
		"delete meter with bands":    {unmeter, ofproto.MeterMod{Command: ofproto.MeterDelete, Entry: ofproto.MeterEntry{ID: 5}}},
		"packet without data":        {out, ofproto.PacketOut{Buffer: ofproto.NoBuffer, InPort: ofproto.PortController, Actions: ofproto.ActionsOf(ofproto.Output{Port: 1})}},
		"port-mod without a version": {of13.NewPortMod(3), ofproto.PortMod{Port: 3}},
		"request without a body":     {&of13.MultipartRequest{Header: header(of13.Type_MultiPartRequest), Type: of13.MultipartType_Desc}, ofproto.Request(ofproto.DescriptionRequest{})},
		"in a bundle":                {of13.NewBundleAdd(&of13.BundleAdd{BundleID: 3, Flags: 1, Message: del}), ofproto.BundleAdd{ID: 3, Flags: 1, Message: ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 1000}}}}},
		"bundle control":             {of13.NewBundleControl(&of13.BundleControl{BundleID: 3, Type: of13.OFPBCT_COMMIT_REQUEST}), ofproto.BundleControl{ID: 3, Op: ofproto.BundleCommit}},
	} {
		if got, err := libof.Message(tt.m); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %#v, %v\nwant %#v", name, got, err, tt.want)
		}
	}
}

func header(typ uint8) (h struct {
	Version uint8
	Type    uint8
	Length  uint16
	Xid     uint32
}) {
	h.Version, h.Type = 4, typ
	return h
}

// A value that cannot be converted is an error.
func TestErrors(t *testing.T) {
	port := uint16(80)
	nat := func(set func(*of13.NXActionCTNAT)) *of13.FlowMod {
		n := of13.NewNXActionCTNAT()
		set(n)
		return flowMod(nil, of13.NewNXActionConnTrack().AddAction(n))
	}
	grown := of13.NewNXActionCTNAT()
	ct := of13.NewNXActionConnTrack().AddAction(grown)
	grown.SetRangeIPv4Min(net.IPv4(10, 0, 0, 1))
	label, err := of13.FindFieldHeaderByName("NXM_NX_IPV6_LABEL", false)
	if err != nil {
		t.Fatal(err)
	}
	metadata, _ := of13.FindFieldHeaderByName("OXM_OF_METADATA", false)
	insert := of13.NewGroupMod()
	insert.Command = of13.OFPGC_INSERT_BUCKET
	long := flowMod(nil)
	for range 6000 {
		long.Match.AddField(*of13.NewMetadataField(1, nil))
	}
	crowded := flowMod(nil)
	apply := of13.NewInstrApplyActions()
	for range 9000 {
		apply.Actions = append(apply.Actions, of13.NewActionPopVlan())
	}
	crowded.AddInstruction(apply)
	for _, tt := range []struct {
		m    util.Message
		want string
	}{
		{nat(func(n *of13.NXActionCTNAT) { n.SetRangeProtoMin(&port) }), "encode *openflow13.NXActionConnTrack with libOpenflow: panic"},
		{nat(func(n *of13.NXActionCTNAT) { n.SetRangeProtoMax(&port) }), "NAT has a last port without a first one"},
		{flowMod(nil, ct), "changed after it was added"},
		{flowMod(nil, of13.NewNXActionRegLoad(0, label, 1)), "NXM_NX_IPV6_LABEL"},
		{flowMod(nil, of13.NewNXActionRegMove(20, 0, 0, metadata, label)), "NXM_NX_IPV6_LABEL"},
		{flowMod(nil, []of13.Action{nil}...), "panic"},
		{flowMod(nil, &of13.NXActionLearn{NXActionHeader: of13.NewNxActionHeader(of13.NXAST_LEARN), LearnSpecs: []*of13.NXLearnSpec{nil}}), "panic"},
		{&of13.FlowMod{BufferId: ofproto.NoBuffer, Instructions: []of13.Instruction{nil}}, "instruction 0"},
		{flowMod(nil, of13.NewOutputFromField(nil, 0)), "panic"},
		{flowMod(nil, of13.NewNXActionRegLoad2(nil)), "the value or the mask is missing"},
		{flowMod(nil, of13.NewActionSetField(of13.MatchField{HasMask: true, Value: of13.NewPortField(1), Mask: of13.NewPortField(1)}), nil), "action 1"},
		{flowMod([]*of13.MatchField{{HasMask: true, Value: of13.NewPortField(1), Mask: &of13.EthDstField{}}}), "match field 0: encode *openflow13.MatchField with libOpenflow: the mask has 6 bytes, the value 2"},
		{flowMod([]*of13.MatchField{of13.NewRegMatchField(0, 1, of13.NewNXRange(0, 0))}), "bits outside of the mask"},
		{flowMod([]*of13.MatchField{of13.NewRegMatchField(0, 0, of13.NewNXRange(0, 0))}), "mask is empty"},
		{long, "more than an OpenFlow message can have"},
		{crowded, "too many actions"},
		{insert, "no command 3"},
		{&of13.MultipartRequest{Type: of13.MultipartType_Port, Body: of13.NewPortStatsRequest()}, "layout of OpenFlow 1.0"},
		{of13.NewFeaturesReply(), "datapath ID"},
		{of13.NewFlowRemoved(), "length 8 in its header"},
		{of13.NewErrorMsg(), "header has message length 0, want at least 8"},
	} {
		var e *libof.EncodingError
		got, err := libof.Message(tt.m)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.200v, %v; want an error containing %q", got, err, tt.want)
		}
		if errors.As(err, &e) == (tt.m == util.Message(long)) {
			t.Errorf("%v is %T", err, err)
		}
	}
}

// Values that an ofproto.FlowMod cannot express cause an error.
func TestUnsupported(t *testing.T) {
	change := func(f func(*of13.FlowMod)) *of13.FlowMod {
		m := of13.NewFlowMod()
		f(m)
		return m
	}
	for _, m := range []*of13.FlowMod{
		change(func(f *of13.FlowMod) { f.Command, f.OutPort = of13.FC_DELETE, 0 }),
		change(func(f *of13.FlowMod) { f.Command, f.OutGroup = of13.FC_DELETE, 0 }),
		change(func(f *of13.FlowMod) { f.BufferId = 3 }),
	} {
		if got, err := libof.FlowMods(of13.NewFlowMod(), m); !errors.Is(err, libof.ErrUnsupported) || !strings.Contains(err.Error(), "flow-mod 1: ") {
			t.Errorf("%v, %v", got, err)
		}
	}
	got, err := libof.FlowMod(change(func(f *of13.FlowMod) { f.Command, f.OutPort, f.OutGroup = of13.FC_DELETE, 3, 4 }))
	if err != nil || got.OutPort != 3 || got.OutGroup != 4 {
		t.Errorf("deletion by out_port 3 and out_group 4: %+v, %v", got, err)
	}
	if _, err := libof.FlowMod(change(func(f *of13.FlowMod) { f.OutPort, f.OutGroup = 3, 3 })); err != nil {
		t.Errorf("an addition must ignore out_port: %v", err)
	}
}

// The daemon does not link libOpenflow.
func TestDaemonDoesNotLinkLibOpenflow(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/ofdvr/ofdvr/cmd/ofdvr").Output()
	if err != nil {
		t.Fatal(err)
	}
	if deps := string(out); strings.Contains(deps, "libOpenflow") || !strings.Contains(deps, "ofdvr/ofproto\n") {
		t.Errorf("cmd/ofdvr depends on %s", deps)
	}
}
