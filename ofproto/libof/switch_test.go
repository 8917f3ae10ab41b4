package libof_test

import (
	"context"
	"net"
	"testing"
	"time"

	of13 "github.com/contiv/libOpenflow/openflow13"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/libof"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
)

// dial starts an Open vSwitch with a bridge and returns a connection to it.
func dial(t *testing.T) *ofconn.Conn {
	t.Helper()
	h := lab.Boot(t)
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	c := ofconn.New(nc, ofconn.Config{})
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		c.Run(ctx, func(ofproto.Message) {}) // the calls return its errors
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return c
}

// A real switch accepts flows built with libOpenflow, and then holds flows equal to the
// values that we sent. A delete built with libOpenflow deletes them.
func TestSwitch(t *testing.T) {
	c := dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	built := flows()
	for i, f := range built {
		f.TableId, f.Priority, f.Cookie = 5, uint16(i), uint64(i+1)
	}
	mods, err := libof.FlowMods(built...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commit(ctx, mods); err != nil {
		t.Fatal(err)
	}
	table5 := ofproto.FlowFilter{Table: 5, OutPort: ofproto.PortAny, OutGroup: ofproto.GroupAny}
	got, err := c.Flows(ctx, table5)
	if err != nil {
		t.Fatal(err)
	}
	have := map[ofproto.Cookie]ofproto.Flow{}
	for _, f := range got {
		have[f.Cookie] = f.Flow
	}
	for _, m := range mods {
		if have[m.Flow.Cookie] != m.Flow {
			t.Errorf("sent %v\n got %v\nsent %x\n got %x", m.Flow, have[m.Flow.Cookie], m.Append(nil, 0), ofproto.FlowMod{Flow: have[m.Flow.Cookie]}.Append(nil, 0))
		}
	}

	del := flowMod(nil, of13.NewActionOutput(1))
	del.Command, del.TableId = of13.FC_DELETE, 5
	if mods, err = libof.FlowMods(del); err == nil {
		err = c.Program(ctx, mods)
	}
	if err != nil {
		t.Fatal(err)
	}
	if left, err := c.Flows(ctx, table5); err != nil || len(left) != 0 {
		t.Errorf("left after a delete: %v, %v", left, err)
	}
}

// flows returns flow mods that together contain every match field and action that a program can build
// with libOpenflow, including values that libOpenflow encodes wrongly.
func flows() []*of13.FlowMod {
	fields := func(fs ...*of13.MatchField) []*of13.MatchField { return fs }
	field := func(name string) *of13.MatchField {
		f, err := of13.FindFieldHeaderByName(name, false)
		if err != nil {
			panic(err)
		}
		return f
	}
	mac, wide := net.HardwareAddr{2, 0, 0, 0, 1, 1}, net.IPv4(255, 0, 0, 0)
	mask, flags := uint64(0xff), uint16(0x12)
	tcp := fields(of13.NewTcpDstField(80), of13.NewIpProtoField(6), ipv4) // fields out of the required order
	new4, est := of13.NewCTStates(), of13.NewCTStates()
	new4.SetNew()
	new4.SetTrk()
	est.SetEst()
	est.UnsetInv()
	first, last := uint16(100), uint16(200)
	nat := of13.NewNXActionCTNAT()
	nat.SetSNAT()
	nat.SetRangeIPv4Min(net.IPv4(10, 0, 0, 1))
	nat.SetRangeIPv4Max(net.IPv4(10, 0, 0, 9))
	nat.SetRangeProtoMin(&first)
	nat.SetRangeProtoMax(&last)
	learn := of13.NewNXActionLearn()
	learn.TableID, learn.Priority, learn.HardTimeout = 7, 9, 60
	learn.LearnSpecs = []*of13.NXLearnSpec{
		{Header: of13.NewLearnHeaderMatchFromField(48), SrcField: &of13.NXLearnSpecField{Field: field("NXM_OF_ETH_SRC")}, DstField: &of13.NXLearnSpecField{Field: field("NXM_OF_ETH_DST")}},
		{Header: of13.NewLearnHeaderLoadFromValue(16), SrcValue: []byte{0, 5}, DstField: &of13.NXLearnSpecField{Field: field("NXM_NX_REG1"), Ofs: 16}},
		{Header: of13.NewLearnHeaderOutputFromField(16), SrcField: &of13.NXLearnSpecField{Field: field("NXM_OF_IN_PORT")}},
	}
	note := of13.NewNXActionNote()
	note.Note = []byte("libOpenflow")
	vlan := of13.NewActionSetField(*of13.NewVlanIdField(5, nil))
	all := []*of13.FlowMod{
		flowMod(nil),
		flowMod(tcp, of13.NewActionDecNwTtl(), of13.NewActionSetField(*of13.NewEthSrcField(mac, nil)), of13.NewActionOutput(2)),
		flowMod(append(tcp, of13.NewTcpFlagsField(2, &flags)), of13.NewNXActionResubmit(3)),
		flowMod(fields(of13.NewEthDstField(mac, nil), ipv4, of13.NewIpv4DstField(net.IPv4(10, 0, 0, 0), &wide), of13.NewMetadataField(5, &mask)), of13.NewActionOutput(of13.P_CONTROLLER)),
		flowMod(fields(of13.NewRegMatchField(3, 0x50, of13.NewNXRange(4, 7)), of13.NewTunnelIdField(7)), of13.NewNXActionResubmitTableAction(of13.OFPP_IN_PORT, 9)),
		flowMod(fields(ipv4, of13.NewCTStateMatchField(new4)), of13.NewNXActionConnTrack().Commit().ZoneImm(7).AddAction(nat)),
		flowMod(fields(ipv4, of13.NewCTStateMatchField(est), of13.NewCTZoneMatchField(7)), of13.NewNXActionConnTrack().Table(6).ZoneRange(field("NXM_NX_REG4"), of13.NewNXRange(0, 15))),
		flowMod(fields(ipv4), of13.NewNXActionDecTTLCntIDs(1, 3), of13.NewNXActionDecTTL(), &of13.ActionNwTtl{NwTtl: 9}),
		flowMod(nil, of13.NewActionPushVlan(0x8100), vlan, of13.NewActionOutput(4)),
		flowMod(fields(of13.NewVlanIdField(5, nil)), of13.NewActionPopVlan(), of13.NewActionSetQueue(1), of13.NewActionOutput(of13.P_NORMAL)),
		flowMod(nil, of13.NewNXActionRegMove(16, 0, 16, field("NXM_NX_REG0"), field("NXM_NX_REG1")), of13.NewNXActionRegLoad(of13.NewNXRange(0, 7).ToOfsBits(), field("NXM_NX_REG2"), 0x42)),
		flowMod(nil, of13.NewNXActionRegLoad2(of13.NewRegMatchField(5, 0x30, of13.NewNXRange(4, 7))), of13.NewOutputFromField(field("NXM_NX_REG0"), of13.NewNXRange(0, 15).ToOfsBits())),
		flowMod(fields(of13.NewActsetOutputField(3)), of13.NewNXActionRegLoad2(of13.NewTunnelIdField(7)), of13.NewNXActionRegLoad2(of13.NewEthDstField(mac, nil))),
		flowMod(fields(of13.NewEthTypeField(0x806), of13.NewArpOperField(1), of13.NewArpTpaField(net.IPv4(10, 0, 0, 1))), learn, note),
		flowMod(nil, of13.NewNXActionController(7)),
		flowMod(nil, of13.NewNXActionConjunction(0, 2, 10), of13.NewNXActionConjunction(1, 2, 11)),
		flowMod(fields(of13.NewEthTypeField(0x86dd), of13.NewIpv6DstField(net.ParseIP("fd00::1"), nil)), of13.NewActionOutput(of13.P_IN_PORT)),
	}
	meta := flowMod(nil)
	meta.AddInstruction(of13.NewInstrGotoTable(6))
	meta.AddInstruction(of13.NewInstrWriteMetadata(5, 0xff))
	write := of13.NewInstrWriteActions()
	write.AddAction(of13.NewActionOutput(2), false)
	meta.AddInstruction(write)
	return append(all, meta)
}
