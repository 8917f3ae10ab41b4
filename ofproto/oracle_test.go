package ofproto_test

import (
	"encoding/hex"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

var (
	routerMAC = MAC{2, 0, 0, 0, 1, 1}
	routerIP  = netip.MustParseAddr("10.0.1.1")
	wide      = netip.MustParsePrefix("10.0.0.0/8")

	// vocabulary has every field and action that this package can make.
	vocabulary = []Flow{
		{
			FlowKey: FlowKey{0, 400, MatchOf(InPort(1), Untagged(), ARP(), ARPOp(1), ARPTargetIP(routerIP))},
			Cookie:  0xfd01c38f4cd4dbcd,
			Do: ApplyActions(
				Move{Whole(FieldEthSrc), Whole(FieldEthDst)}, SetField{EthSrc(routerMAC)}, SetField{ARPOp(2)},
				Move{Whole(FieldARPSHA), Whole(FieldARPTHA)}, Move{Whole(FieldARPSPA), Whole(FieldARPTPA)},
				SetField{ARPSourceMAC(routerMAC)}, SetField{ARPSourceIP(routerIP)}, Output{Port: PortInPort}),
		},
		{
			FlowKey: FlowKey{0, 300, MatchOf(InPort(1), Untagged(), EthDst(routerMAC), IPv4(), IPTTL(1))},
			Do:      ApplyActions(Output{Port: 2}),
		},
		{
			FlowKey: FlowKey{1, 24, MatchOf(IPv4(), IPv4Dst(wide), EthSrc(routerMAC), Reg(3, 0x50, 0xf0), Metadata(7, 0xff))},
			Do:      GotoTable(2),
		},
		{
			FlowKey: FlowKey{2, 100, MatchOf(IPv4(), IPProto(6), IPv4Src(wide))},
			Flags:   SendFlowRemoved | ResetCounts, IdleTimeout: 60, HardTimeout: 600,
			Do: Do(Apply{ActionsOf(DecTTL{}, SetField{Reg(3, 5, ^uint32(0))}, SetField{IPTTL(64)},
				Output{Port: PortController, MaxLen: 128}, Output{Port: PortLocal})}, Goto{3}),
		},
		{FlowKey: FlowKey{2, 90, MatchOf(ARP(), ARPSourceIP(routerIP), ARPSourceMAC(routerMAC), ARPTargetMAC(routerMAC))}},
		{FlowKey: FlowKey{2, 80, MatchOf(IPv6(), IPProto(58))}, Do: ApplyActions(Output{Port: PortNormal})},
		{},
	}
)

// ovsOfctl runs ovs-ofctl, which only has to be there where CI says so.
func ovsOfctl(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("ovs-ofctl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ovs-ofctl is missing: apt-get install openvswitch-switch")
		}
		t.Skip("ovs-ofctl is missing: apt-get install openvswitch-switch")
	}
	out, err := exec.Command("ovs-ofctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ovs-ofctl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func ofpPrint(t *testing.T, wire []byte) string {
	t.Helper()
	return ovsOfctl(t, "ofp-print", hex.EncodeToString(wire))
}

// parsed returns flows as ovs-ofctl understands them.
func parsed(t *testing.T, flows string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "flows")
	if err := os.WriteFile(file, []byte(flows), 0o600); err != nil {
		t.Fatal(err)
	}
	out := ovsOfctl(t, "-O", "OpenFlow13", "parse-flows", file)
	_, lines, ok := strings.Cut(out, "\n") // usable protocols
	if _, rest, more := strings.Cut(lines, "\n"); more && strings.HasPrefix(lines, "chosen protocol") {
		lines = rest
	}
	if !ok {
		t.Fatalf("ovs-ofctl parse-flows prints %q", out)
	}
	return lines
}

// The oracle is Open vSwitch: what it reads in the text of a flow and what it
// reads in the bytes of the flow must be the same. (A round trip through our
// own decoder would not notice a field that we write wrongly and read back
// wrongly.)
func TestTextAndWireMeanTheSame(t *testing.T) {
	for _, f := range vocabulary {
		text := strings.TrimSpace(parsed(t, f.String()+"\n"))
		wire := ofpPrint(t, FlowMod{FlowAdd, f}.Append(nil, 7))
		_, wire, _ = strings.Cut(wire, "): ADD ") // OFPT_FLOW_MOD (OF1.3) (xid=0x7)
		_, text, _ = strings.Cut(text, ": ADD ")
		if text == "" || strings.TrimSpace(wire) != text {
			t.Errorf("%v\nwire is read as %q\ntext is read as %q", f, wire, text)
		}
	}
}

func TestOVSPrints(t *testing.T) {
	port := Port{No: 3, MAC: routerMAC, Name: "pr-blue"}
	tests := []struct {
		m    Message
		want []string // substrings
	}{
		{Hello13(), []string{"OFPT_HELLO (OF1.3) (xid=0x9)", "version bitmap: 0x04"}},
		{FeaturesRequest{}, []string{"OFPT_FEATURES_REQUEST (OF1.3)"}},
		{Features{DPID: 0x1234, Tables: 254}, []string{"dpid:0000000000001234", "n_tables:254"}},
		{Echo{Data: "four"}, []string{"OFPT_ECHO_REQUEST (OF1.3) (xid=0x9): 4 bytes of payload"}},
		{Echo{Reply: true}, []string{"OFPT_ECHO_REPLY (OF1.3)"}},
		{BarrierRequest{}, []string{"OFPT_BARRIER_REQUEST (OF1.3)"}},
		{BarrierReply{}, []string{"OFPT_BARRIER_REPLY (OF1.3)"}},
		{PortDescRequest{}, []string{"OFPST_PORT_DESC request (OF1.3)"}},
		{PortDescReply{Ports: []Port{port}}, []string{"OFPST_PORT_DESC reply", "3(pr-blue): addr:02:00:00:00:01:01"}},
		{PortStatus{Reason: PortDeleted, Port: port}, []string{"OFPT_PORT_STATUS (OF1.3)", "DEL: 3(pr-blue)"}},
		{FlowStatsRequest{Table: AllTables, Cookie: 5, CookieMask: 7}, []string{"OFPST_FLOW request (OF1.3)"}},
		{FlowStatsReply{Flows: []FlowStats{{Flow: vocabulary[0], Seconds: 3, Packets: 4, Bytes: 5}}, More: true},
			[]string{"OFPST_FLOW reply (OF1.3) (xid=0x9): flags=[more]", "duration=3s", "n_packets=4", "n_bytes=5", "arp_tpa=10.0.1.1"}},
		{BundleControl{ID: 6, Op: BundleOpen, Flags: BundleAtomic | BundleOrdered},
			[]string{"ONFT_BUNDLE_CONTROL (OF1.3)", "bundle_id=0x6 type=OPEN_REQUEST flags=atomic ordered"}},
		{BundleControl{ID: 6, Op: BundleCommit}, []string{"type=COMMIT_REQUEST"}},
		{BundleControl{ID: 6, Op: BundleDiscard}, []string{"type=DISCARD_REQUEST"}},
		{BundleAdd{ID: 6, Flags: BundleAtomic, Mod: FlowMod{FlowDeleteStrict, vocabulary[1]}},
			[]string{"ONFT_BUNDLE_ADD_MESSAGE (OF1.3)", "bundle_id=0x6 flags=atomic", "OFPT_FLOW_MOD", "DEL_STRICT", "nw_ttl=1"}},
		{ErrorMessage{Code: ErrTableFull}, []string{"OFPT_ERROR (OF1.3) (xid=0x9): OFPFMFC_TABLE_FULL"}},
		{ErrorMessage{Code: ErrBundleMessage, Experimenter: 0x4f4e4600}, []string{"OFPBFC_MSG_FAILED"}},
	}
	for _, tt := range tests {
		out := ofpPrint(t, tt.m.Append(nil, 9))
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%#v is printed as\n%s\nwant %q in it", tt.m, out, want)
			}
		}
	}
}

// otherNames are codes that Open vSwitch calls by the name of another version
// of OpenFlow.
var otherNames = map[ErrorCode]string{
	1<<16 | 2:  "OFPBRC_BAD_STAT",
	1<<16 | 3:  "OFPBRC_BAD_VENDOR",
	1<<16 | 4:  "OFPBRC_BAD_SUBTYPE",
	1<<16 | 10: "OFPBRC_IS_SECONDARY",
	2<<16 | 2:  "OFPBAC_BAD_VENDOR",
	2<<16 | 3:  "OFPBAC_BAD_VENDOR_TYPE",
	13<<16 | 2: "OFPBPC_BAD_TYPE",
	13<<16 | 3: "OFPBPC_BAD_LEN",
	13<<16 | 4: "OFPBPC_BAD_VALUE",
}

// Every error code has the name that Open vSwitch gives it.
func TestErrorNames(t *testing.T) {
	for _, code := range AllErrorCodes() {
		m := ErrorMessage{Code: code, Data: string(Echo{}.Append(nil, 1))}
		if code>>16 == 0xffff {
			m.Experimenter = 0x4f4e4600
		}
		name, ok := otherNames[code]
		if !ok {
			name = strings.Replace(code.Name(), "ONFBFC_", "OFPBFC_", 1)
		}
		if out := ofpPrint(t, m.Append(nil, 1)); !strings.Contains(out, ": "+name+"\n") {
			t.Errorf("%s (%d, %d): Open vSwitch prints %s", code.Name(), code>>16, code&0xffff, out)
		}
	}
}

func subnet(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// The same for every field, action and instruction. ovs-ofctl has no word for
// two of them: NXAST_REG_LOAD2, whose text it takes for as many
// NXAST_REG_LOADs, and the mask of tun_gbp_flags.
func TestEveryTextAndWireMeanTheSame(t *testing.T) {
	var text strings.Builder
	flows := everyFlow()
	for _, f := range flows {
		if err := f.Match.Validate(); err != nil {
			t.Error(err)
		}
		text.WriteString(f.String() + "\n")
	}
	lines := strings.Split(strings.TrimSpace(parsed(t, text.String())), "\n")
	if len(lines) != len(flows) {
		t.Fatalf("ovs-ofctl reads %d flows of %d:\n%s", len(lines), len(flows), strings.Join(lines, "\n"))
	}
	for i, f := range flows {
		if loads(f) {
			continue
		}
		wire := ofpPrint(t, FlowMod{FlowAdd, f}.Append(nil, 7))
		_, wire, _ = strings.Cut(strings.TrimSpace(wire), "): ADD ")
		_, want, _ := strings.Cut(strings.TrimSpace(lines[i]), ": ADD ")
		if want == "" || wire != want {
			t.Errorf("%v\nwire is read as %q\ntext is read as %q", f, wire, want)
		}
	}
}

// loads reports whether f sets a part of a field by NXAST_REG_LOAD2.
func loads(f Flow) bool {
	wire := string(FlowMod{FlowAdd, f}.Append(nil, 7))
	return strings.Contains(wire, "\x00\x00\x23\x20\x00\x21")
}
