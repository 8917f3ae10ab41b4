package ofproto_test

import (
	"bytes"
	"encoding/hex"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/contiv/libOpenflow/common"
	of13 "github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// A difference is the reason why libOpenflow's encoding differs from ours.
type difference struct {
	why string

	// ovs is the part of ovs-ofctl ofp-print's output that proves libOpenflow's bytes wrong. It
	// appears only for these bytes. If ovs is "", the output is the same for both.
	ovs string
}

const (
	onlyUses = "(***only uses "
	badLen   = "OFPBRC_BAD_LEN"
	nothing  = "OpenFlow message is empty"
)

var libOpenflowDiffers = map[string]difference{
	// Both encodings are valid.
	"LOCAL":                  {why: "it sends a max_len of 256, which matters only for the controller"},
	"tcp,tcp_flags=0x2":      {why: "it uses the field's number of OpenFlow 1.5; we use the number that Open vSwitch sends in OpenFlow 1.3"},
	"tcp,tcp_flags=0x2/0x12": {why: "as without a mask"},
	"arp,arp_spa=10.0.0.0/8": {why: "it uses the field's Nicira header; we use the OpenFlow header, as Open vSwitch does"},
	"arp,arp_tpa=10.0.0.0/8": {why: "as arp_spa"},
	"arp,arp_sha=" + oui:     {why: "as arp_spa"},
	"arp,arp_tha=" + oui:     {why: "as arp_spa"},
	"set_field:0x7->tun_id":  {why: "it uses Nicira's action without a mask; we use the standard action, as Open vSwitch does"},
	setIPSrc:                 {why: "it uses the field's OpenFlow header in a Nicira action; we use the Nicira header, as Open vSwitch does"},
	"drop, without actions":  {why: "it sends an instruction without actions; we leave out the instruction, as Open vSwitch does"},

	// libOpenflow's encoding is wrong.
	"hello":                          {why: "it also offers OpenFlow 1.0, whatever version is requested", ovs: "version bitmap: 0x01, 0x04"},
	"delete by out_port":             {why: "out_group has the value of out_port instead of OFPG_ANY, so that fewer flows are deleted (OpenFlow 1.3.5 §7.3.4.1); ovs-ofctl does not print it"},
	"NXAST_DEC_TTL":                  {why: "Open vSwitch supports this action only in OpenFlow 1.0", ovs: "OFPBAC_BAD_VENDOR_TYPE"},
	"resubmit:4":                     {why: "the action has the type of experimenter messages, 4, and is decoded as another action", ovs: "mod_dl_dst:00:00:23:20:00:01"},
	"dec_ttl(9)":                     {why: "the action is not padded", ovs: badLen},
	"mod_nw_ttl:64":                  {why: "the TTL and the padding are left out", ovs: badLen},
	"dec_mpls_ttl":                   {why: "the padding is left out", ovs: badLen},
	"conjunction(10,1/2)":            {why: "its clause is the number on the wire, one less than ovs-ofctl's number; its comment uses ovs-ofctl's form", ovs: "conjunction(10,2/2)"},
	"reg0=0x1/0x1":                   {why: "a range that ends at bit 0 gives an empty mask", ovs: "OFPBMC_BAD_WILDCARDS"},
	"header of NXM_NX_IPV6_LABEL":    {why: "its length is 1 instead of 4", ovs: "OFPBMC_BAD_FIELD"},
	natPort:                          {why: "it panics", ovs: nothing},
	"delete with instructions":       {why: "the length excludes the instructions, which are sent", ovs: onlyUses},
	"delete of a group with buckets": {why: "the length excludes the buckets, which are sent", ovs: onlyUses},
	"delete of a meter with bands":   {why: "it panics", ovs: nothing},
	"port-mod":                       {why: "the version is 0", ovs: "version 0"},
	"packet-out without data":        {why: "it panics", ovs: nothing},
	"port statistics request":        {why: "it has the layout of OpenFlow 1.0", ovs: "OFPBAC_BAD_OUT_PORT"},
	"features reply":                 {why: "the datapath ID is left out", ovs: "dpid:00000000fe000000"},
	"flow-removed":                   {why: "the length field has only the length of the header", ovs: onlyUses},
	"error":                          {why: "the length field has only the length of the header", ovs: onlyUses},
	"error of a bundle":              {why: "the length field has only the length of the header", ovs: onlyUses},
	"packet-in":                      {why: "the length field has only the length of the header, and the cookie is at the position of the buffer ID", ovs: onlyUses},
	"table statistics":               {why: "it has the layout of OpenFlow 1.0", ovs: badLen},
	"port statistics":                {why: "it has the layout of OpenFlow 1.0", ovs: badLen},
}

// Long names of comparisons.
const (
	oui      = "02:00:00:00:00:00/ff:ff:ff:00:00:00"
	setIPSrc = "set_field:10.0.0.0/255.255.0.0->ip_src"
	natPort  = "ct(commit,nat(src=10.0.0.1:100))"
)

// libOpenflow is an independent encoder. It and this package encode every common value to the
// same bytes, except the entries in the table of differences. These entries must really
// differ.
func TestEncodingEqualsLibOpenflow(t *testing.T) {
	all := map[string]same{}
	for _, list := range [][]same{libMatches(), libActions(), libInstructions(), libMessages(), libReplies()} {
		for _, s := range list {
			if _, twice := all[s.name]; twice {
				t.Errorf("%s is compared twice", s.name)
			}
			all[s.name] = s
		}
	}
	maps.Copy(all, libHeaders(t))
	_, err := exec.LookPath("ovs-ofctl")
	haveOVS := err == nil || os.Getenv("CI") == "true"
	for name, s := range all {
		lib := marshalled(s.lib)
		ours := s.ours.Append(nil, 0)
		d, differs := libOpenflowDiffers[name]
		switch {
		case bytes.Equal(lib, ours) && differs:
			t.Errorf("%s: no difference, but the table of differences has: %s", name, d.why)
		case !bytes.Equal(lib, ours) && !differs:
			t.Errorf("%s:\n lib %x\nours %x\n lib prints %s\nours prints %s", name, lib, ours, printed(lib), printed(ours))
		case !haveOVS:
		case d.ovs != "":
			if got := printed(lib); !strings.Contains(got, d.ovs) {
				t.Errorf("%s: ovs-ofctl prints %s of libOpenflow's %x, want %q", name, got, lib, d.ovs)
			}
			if got := printed(ours); strings.Contains(got, d.ovs) || strings.Contains(got, "decode error") && !strings.HasPrefix(name, "header of") {
				t.Errorf("%s: ovs-ofctl prints %s of our %x", name, got, ours)
			}
		case differs && printed(lib) != printed(ours):
			t.Errorf("%s: ovs-ofctl prints %s\nof ours %s", name, printed(lib), printed(ours))
		}
	}
	for name := range libOpenflowDiffers {
		if _, ok := all[name]; !ok {
			t.Errorf("the table of differences has %s, but no comparison has that name", name)
		}
	}
}

// printed returns ovs-ofctl's text for a message.
func printed(wire []byte) string {
	out, _ := exec.Command("ovs-ofctl", "ofp-print", hex.EncodeToString(wire)).CombinedOutput()
	return string(out)
}

// marshalled returns libOpenflow's encoding of m, with transaction ID 0, or nil if libOpenflow
// panics.
func marshalled(m util.Message) (b []byte) {
	defer func() {
		if recover() != nil {
			b = nil
		}
	}()
	b, err := m.MarshalBinary()
	if err != nil {
		return nil
	}
	copy(b[4:8], "\x00\x00\x00\x00")
	return b
}

// notCompared has the constructors of libOpenflow that are not compared, with the reasons.
var notCompared = map[string]string{
	"NewActsetOutputField":          "a field that we keep raw",
	"NewTunMetadataField":           "a field that we keep raw",
	"NewQueueStatsRequest":          "a message of OpenFlow 1.0; this package has no queues",
	"NewBundlePropertyExperimenter": "panics when it is encoded, and Open vSwitch supports no properties",
	"NewTLVTableMod":                "we have no tunnel options",
	"NewTLVTableModMessage":         "we have no tunnel options",
	"NewTLVTableRequest":            "we have no tunnel options",
	"NewPortField":                  "part of other fields",
	"NewMatch":                      "part of NewFlowMod",
	"NewNxActionHeader":             "part of other actions",
	"NewNXRangeByOfsNBits":          "as NewNXRange",
	"NewOfp13Header":                "part of other messages",
}

// Every constructor of libOpenflow is compared or listed in notCompared.
func TestLibOpenflowComparisonIsComplete(t *testing.T) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/contiv/libOpenflow/openflow13").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	source, err := os.ReadFile("libopenflow_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, m := range regexp.MustCompile(`of13\.(New\w+)`).FindAllSubmatch(source, -1) {
		used = append(used, string(m[1]))
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "New") {
				continue
			}
			if _, not := notCompared[fn.Name.Name]; not == slices.Contains(used, fn.Name.Name) {
				t.Errorf("constructor %s is compared: %t, and in notCompared: %t; want exactly one of both", fn.Name.Name, !not, not)
			}
		}
	}
}

// A same is a pair of messages that should have the same encoding.
type same struct {
	name string
	lib  util.Message
	ours Message
}

func libFlow(fields []*of13.MatchField, ins ...of13.Instruction) *of13.FlowMod {
	f := of13.NewFlowMod()
	for _, field := range fields {
		f.Match.AddField(*field)
	}
	f.Instructions = ins
	return f
}

func ourFlow(m Match, do Instructions) FlowMod {
	return FlowMod{Flow: Flow{FlowKey: FlowKey{Priority: 1000, Match: m}, Do: do}}
}

func libApply(as ...of13.Action) of13.Instruction {
	apply := of13.NewInstrApplyActions()
	for _, a := range as {
		apply.AddAction(a, false)
	}
	return apply
}

func libHeader(name string) *of13.MatchField {
	f, err := of13.FindFieldHeaderByName(name, false)
	if err != nil {
		panic(err)
	}
	return f
}

func libIP(s string) net.IP { return net.ParseIP(s) }

// libHeaders compares the field headers in actions.
func libHeaders(t *testing.T) map[string]same {
	all := map[string]same{}
	for _, id := range AllFields() {
		name := strings.TrimSuffix(Whole(id).String(), "[]")
		f, err := of13.FindFieldHeaderByName(name, false)
		if err != nil {
			continue // libOpenflow does not know it
		}
		to := libHeader("NXM_NX_XXREG1")
		_, bits := FieldName(id)
		all["header of "+name] = same{
			lib:  libFlow(nil, libApply(of13.NewNXActionRegMove(bits, 0, 0, f, to))),
			ours: ourFlow(Match{}, ApplyActions(Move{Whole(id), BitRange(FieldXXReg0+1, 0, bits-1)})),
		}
	}
	if len(all) < 60 {
		t.Errorf("only %d of our fields have a name in libOpenflow", len(all))
	}
	return all
}

func libMatches() (all []same) {
	add := func(text string, fields ...*of13.MatchField) {
		m, err := ParseMatch(text)
		if err != nil {
			panic(err)
		}
		all = append(all, same{text, libFlow(fields), ourFlow(m, Instructions{})})
	}
	u8 := func(header string, v uint8) *of13.MatchField {
		f := libHeader(header)
		f.Value = &of13.IcmpTypeField{Type: v}
		return f
	}
	ip, ip6, arp, mpls := of13.NewEthTypeField(0x800), of13.NewEthTypeField(0x86dd), of13.NewEthTypeField(0x806), of13.NewEthTypeField(0x8847)
	tcp, udp, sctp, icmp, icmp6 := of13.NewIpProtoField(6), of13.NewIpProtoField(17), of13.NewIpProtoField(132), of13.NewIpProtoField(1), of13.NewIpProtoField(58)
	mac, vendor := net.HardwareAddr{2, 0, 0, 0, 0, 0}, net.HardwareAddr{255, 255, 255, 0, 0, 0}
	ten, eight := libIP("10.0.0.0"), libIP("255.0.0.0")
	fd, top := libIP("fd00::"), libIP("ff00::")
	m16, m32, m64, m128 := uint16(0x100f), uint32(0xff), uint64(0xff), [16]byte{1}
	tcpMask := uint16(0x12)
	states := of13.NewCTStates()
	states.SetNew()
	states.SetTrk()
	states.UnsetInv()

	add("")
	add("in_port=7", of13.NewInPortField(7))
	add("dl_src=02:00:00:00:00:00", of13.NewEthSrcField(mac, nil))
	add("dl_src=02:00:00:00:00:00/ff:ff:ff:00:00:00", of13.NewEthSrcField(mac, &vendor))
	add("dl_dst=02:00:00:00:00:00", of13.NewEthDstField(mac, nil))
	add("dl_dst=02:00:00:00:00:00/ff:ff:ff:00:00:00", of13.NewEthDstField(mac, &vendor))
	add("dl_type=0x88cc", of13.NewEthTypeField(0x88cc))
	add("dl_vlan=5", of13.NewVlanIdField(5, nil))
	add("vlan_vid=0x1005/0x100f", of13.NewVlanIdField(5, &m16))
	add("mpls,mpls_label=7", mpls, of13.NewMplsLabelField(7))
	add("mpls,mpls_bos=1", mpls, of13.NewMplsBosField(1))
	add("ip,nw_src=10.0.0.0", ip, of13.NewIpv4SrcField(ten, nil))
	add("ip,nw_src=10.0.0.0/8", ip, of13.NewIpv4SrcField(ten, &eight))
	add("ip,nw_dst=10.0.0.0", ip, of13.NewIpv4DstField(ten, nil))
	add("ip,nw_dst=10.0.0.0/8", ip, of13.NewIpv4DstField(ten, &eight))
	add("ipv6,ipv6_src=fd00::", ip6, of13.NewIpv6SrcField(fd, nil))
	add("ipv6,ipv6_src=fd00::/8", ip6, of13.NewIpv6SrcField(fd, &top))
	add("ipv6,ipv6_dst=fd00::", ip6, of13.NewIpv6DstField(fd, nil))
	add("ipv6,ipv6_dst=fd00::/8", ip6, of13.NewIpv6DstField(fd, &top))
	add("ip,ip_dscp=8", ip, of13.NewIpDscpField(8))
	add("tcp,tp_src=80", ip, tcp, of13.NewTcpSrcField(80))
	add("tcp,tp_dst=80", ip, tcp, of13.NewTcpDstField(80))
	add("tcp,tcp_flags=0x2", ip, tcp, of13.NewTcpFlagsField(2, nil))
	add("tcp,tcp_flags=0x2/0x12", ip, tcp, of13.NewTcpFlagsField(2, &tcpMask))
	add("udp,tp_src=80", ip, udp, of13.NewUdpSrcField(80))
	add("udp,tp_dst=80", ip, udp, of13.NewUdpDstField(80))
	add("sctp,tp_src=80", ip, sctp, of13.NewSctpSrcField(80))
	add("sctp,tp_dst=80", ip, sctp, of13.NewSctpDstField(80))
	add("icmp,icmp_type=8", ip, icmp, u8("OXM_OF_ICMPV4_TYPE", 8))
	add("icmp,icmp_code=1", ip, icmp, u8("OXM_OF_ICMPV4_CODE", 1))
	add("icmp6,icmpv6_type=8", ip6, icmp6, u8("OXM_OF_ICMPV6_TYPE", 8))
	add("icmp6,icmpv6_code=1", ip6, icmp6, u8("OXM_OF_ICMPV6_CODE", 1))
	add("arp,arp_op=1", arp, of13.NewArpOperField(1))
	add("arp,arp_spa=10.0.0.0", arp, of13.NewArpSpaField(ten))
	add("arp,arp_tpa=10.0.0.0", arp, of13.NewArpTpaField(ten))
	add("arp,arp_sha=02:00:00:00:00:00", arp, of13.NewArpShaField(mac))
	add("arp,arp_tha=02:00:00:00:00:00", arp, of13.NewArpThaField(mac))
	add("arp,arp_spa=10.0.0.0/8", arp, of13.NewNxARPSpaMatchField(ten, eight))
	add("arp,arp_tpa=10.0.0.0/8", arp, of13.NewNxARPTpaMatchField(ten, eight))
	add("arp,arp_sha="+oui, arp, of13.NewNxARPShaMatchField(mac, vendor))
	add("arp,arp_tha="+oui, arp, of13.NewNxARPThaMatchField(mac, vendor))
	add("tun_id=7", of13.NewTunnelIdField(7))
	add("tun_src=10.0.0.0", of13.NewTunnelIpv4SrcField(ten, nil))
	add("tun_src=10.0.0.0/8", of13.NewTunnelIpv4SrcField(ten, &eight))
	add("tun_dst=10.0.0.0", of13.NewTunnelIpv4DstField(ten, nil))
	add("tun_dst=10.0.0.0/8", of13.NewTunnelIpv4DstField(ten, &eight))
	add("tun_ipv6_src=fd00::", of13.NewTunnelIpv6SrcField(fd, nil))
	add("tun_ipv6_src=fd00::/8", of13.NewTunnelIpv6SrcField(fd, &top))
	add("tun_ipv6_dst=fd00::", of13.NewTunnelIpv6DstField(fd, nil))
	add("tun_ipv6_dst=fd00::/8", of13.NewTunnelIpv6DstField(fd, &top))
	add("reg3=0x5", of13.NewRegMatchField(3, 5, nil))
	add("reg15=0x50/0xf0", of13.NewRegMatchField(15, 0x50, of13.NewNXRange(4, 7)))
	add("reg0=0x1/0x1", of13.NewRegMatchField(0, 1, of13.NewNXRange(0, 0)))
	add("ct_state=+new+trk-inv", of13.NewCTStateMatchField(states))
	add("ct_zone=7", of13.NewCTZoneMatchField(7))
	add("ct_mark=0x7", of13.NewCTMarkMatchField(7, nil))
	add("ct_mark=0x7/0xff", of13.NewCTMarkMatchField(7, &m32))
	add("ct_label=0x1000000000000000000000000000000", of13.NewCTLabelMatchField(m128, nil))
	add("ct_label=0x1000000000000000000000000000000/0x1000000000000000000000000000000", of13.NewCTLabelMatchField(m128, &m128))
	add("conj_id=7", of13.NewConjIDMatchField(7))
	add("metadata=0x7", of13.NewMetadataField(7, nil))
	add("metadata=0x7/0xff", of13.NewMetadataField(7, &m64))
	return all
}

func libActions() (all []same) {
	ipType := of13.NewEthTypeField(0x800)
	flow := func(name string, ours Instructions, lib of13.Action) {
		match, fields := ip, []*of13.MatchField{ipType}
		switch { // the action's prerequisites
		case strings.Contains(name, "fd00"):
			match, fields = MatchOf(IPv6(), IPProto(6)), []*of13.MatchField{of13.NewEthTypeField(0x86dd), of13.NewIpProtoField(6)}
		case strings.Contains(name, ":100"):
			match, fields = tcp, append(fields, of13.NewIpProtoField(6))
		case strings.Contains(name, "p_mpls"), strings.Contains(name, "dec_mpls"):
			match, fields = mpls, []*of13.MatchField{of13.NewEthTypeField(0x8847)}
		}
		all = append(all, same{name, libFlow(fields, libApply(lib)), ourFlow(match, ours)})
	}
	add := func(text string, lib of13.Action) {
		as, err := ParseActions(text)
		if err != nil {
			panic(err)
		}
		flow(text, Do(Apply{as}), lib)
	}
	value := func(name string, ours Action, lib of13.Action) { flow(name, ApplyActions(ours), lib) }
	bits := func(first, last int) uint16 { return of13.NewNXRange(first, last).ToOfsBits() }
	output := func(maxLen uint16, port uint32) *of13.ActionOutput {
		a := of13.NewActionOutput(port)
		a.MaxLen = maxLen
		return a
	}
	first, last := uint16(100), uint16(200)
	ct := of13.NewNXActionConnTrack
	nat := func(set ...func(*of13.NXActionCTNAT)) of13.Action {
		a := of13.NewNXActionCTNAT()
		for _, f := range set {
			f(a)
		}
		return ct().Commit().AddAction(a)
	}
	snat := func(a *of13.NXActionCTNAT) { a.SetSNAT(); a.SetRangeIPv4Min(libIP("10.0.0.1")) }
	to := func(a *of13.NXActionCTNAT) { a.SetRangeIPv4Max(libIP("10.0.0.9")) }
	ports := func(a *of13.NXActionCTNAT) { a.SetRangeProtoMin(&first); a.SetRangeProtoMax(&last) }
	note := of13.NewNXActionNote()
	note.Note = []byte("abcdef")
	learn := of13.NewNXActionLearn()
	learn.TableID, learn.Priority, learn.IdleTimeout, learn.HardTimeout, learn.Cookie = 7, 9, 5, 60, 3
	learn.FinIdleTimeout, learn.FinHardTimeout, learn.Flags = 1, 2, of13.NX_LEARN_F_SEND_FLOW_REM|of13.NX_LEARN_F_DELETE_LEARNED
	field := func(name string, ofs uint16) *of13.NXLearnSpecField {
		return &of13.NXLearnSpecField{Field: libHeader(name), Ofs: ofs}
	}
	learn.LearnSpecs = []*of13.NXLearnSpec{
		{Header: of13.NewLearnHeaderMatchFromField(48), SrcField: field("NXM_OF_ETH_SRC", 0), DstField: field("NXM_OF_ETH_DST", 0)},
		{Header: of13.NewLearnHeaderMatchFromValue(32), SrcValue: []byte{0, 0, 0, 9}, DstField: field("NXM_NX_REG2", 0)},
		{Header: of13.NewLearnHeaderLoadFromValue(8), SrcValue: []byte{0, 5}, DstField: field("NXM_NX_REG1", 16)},
		{Header: of13.NewLearnHeaderLoadFromField(16), SrcField: field("NXM_OF_IN_PORT", 0), DstField: field("NXM_NX_REG0", 0)},
		{Header: of13.NewLearnHeaderOutputFromField(16), SrcField: field("NXM_OF_IN_PORT", 0)},
	}
	controller := of13.NewNXActionController(7)
	controller.MaxLen, controller.Reason = 128, 2
	mac, mask := net.HardwareAddr{2, 0, 0, 0, 1, 1}, libIP("255.255.0.0")

	add("output:3", output(0, 3))
	add("LOCAL", of13.NewActionOutput(of13.P_LOCAL))
	add("CONTROLLER:128", output(128, of13.P_CONTROLLER))
	add("set_queue:4", of13.NewActionSetQueue(4))
	add("group:5", of13.NewActionGroup(5))
	add("dec_ttl", of13.NewActionDecNwTtl())
	add("mod_nw_ttl:64", &of13.ActionNwTtl{ActionHeader: of13.ActionHeader{Type: of13.ActionType_SetNwTtl, Length: 8}, NwTtl: 64})
	add("dec_mpls_ttl", &of13.ActionHeader{Type: of13.ActionType_DecMplsTtl, Length: 8})
	add("push_vlan:0x8100", of13.NewActionPushVlan(0x8100))
	add("push_mpls:0x8847", of13.NewActionPushMpls(0x8847))
	add("pop_vlan", of13.NewActionPopVlan())
	add("pop_mpls:0x0800", of13.NewActionPopMpls(0x0800))
	add("set_field:02:00:00:00:01:01->eth_src", of13.NewActionSetField(*of13.NewEthSrcField(mac, nil)))
	add("set_field:10.0.0.1->ip_dst", of13.NewActionSetField(*of13.NewIpv4DstField(libIP("10.0.0.1"), nil)))
	add("set_field:0x7->reg3", of13.NewActionSetField(*of13.NewRegMatchField(3, 7, nil)))
	add("set_field:0x7->tun_id", of13.NewNXActionRegLoad2(of13.NewTunnelIdField(7)))
	add("set_field:0x50/0xf0->reg3", of13.NewNXActionRegLoad2(of13.NewRegMatchField(3, 0x50, of13.NewNXRange(4, 7))))
	add(setIPSrc, of13.NewNXActionRegLoad2(of13.NewIpv4SrcField(libIP("10.0.0.0"), &mask)))
	add("load:0x5->NXM_NX_REG0[0..7]", of13.NewNXActionRegLoad(bits(0, 7), libHeader("NXM_NX_REG0"), 5))
	add("move:NXM_NX_REG0[0..15]->NXM_NX_REG1[16..31]", of13.NewNXActionRegMove(16, 0, 16, libHeader("NXM_NX_REG0"), libHeader("NXM_NX_REG1")))
	add("resubmit:4", of13.NewNXActionResubmit(4))
	add("resubmit(4,8)", of13.NewNXActionResubmitTableAction(4, 8))
	add("resubmit(4,8,ct)", of13.NewNXActionResubmitTableCT(4, 8))
	add("resubmit(,8,ct)", of13.NewNXActionResubmitTableCTNoInPort(8))
	add("output:NXM_NX_REG0[0..15]", of13.NewOutputFromField(libHeader("NXM_NX_REG0"), bits(0, 15)))
	value("output to a register's port with max_len", OutputReg{BitRange(FieldReg0, 0, 15), 128}, of13.NewOutputFromFieldWithMaxLen(libHeader("NXM_NX_REG0"), bits(0, 15), 128))
	value("NXAST_DEC_TTL", DecTTL{}, of13.NewNXActionDecTTL())
	add("dec_ttl(9)", of13.NewNXActionDecTTLCntIDs(1, 9))
	add("dec_ttl(1,2,3,4)", of13.NewNXActionDecTTLCntIDs(4, 1, 2, 3, 4))
	add("conjunction(10,1/2)", of13.NewNXActionConjunction(1, 2, 10))
	add("conjunction(11,1/2)", of13.NewNXActionConjunction(0, 2, 11))
	value("controller", Controller{MaxLen: 128, ID: 7, Reason: 2}, controller)
	value("note", Note{"abcdef"}, note)
	add("ct()", ct())
	add("ct(commit,force,zone=9)", ct().Commit().Force().ZoneImm(9))
	add("ct(table=1,zone=NXM_NX_REG4[0..15])", ct().Table(1).ZoneRange(libHeader("NXM_NX_REG4"), of13.NewNXRange(0, 15)))
	add("ct(commit,nat(src=10.0.0.1))", nat(snat))
	add("ct(commit,nat(src=10.0.0.1-10.0.0.9:100-200,random))", nat(snat, to, ports, func(a *of13.NXActionCTNAT) { a.SetRandom() }))
	add("ct(commit,nat(dst=[fd00::1]-[fd00::2]:100-200,persistent,hash))", nat(func(a *of13.NXActionCTNAT) {
		a.SetDNAT()
		a.SetRangeIPv6Min(libIP("fd00::1"))
		a.SetRangeIPv6Max(libIP("fd00::2"))
		a.SetPersistent()
		a.SetProtoHash()
	}, ports))
	add(natPort, nat(snat, func(a *of13.NXActionCTNAT) { a.SetRangeProtoMin(&first) }))
	add("learn(table=7,idle_timeout=5,hard_timeout=60,fin_idle_timeout=1,fin_hard_timeout=2,priority=9,cookie=0x3,send_flow_rem,delete_learned,"+
		"NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],NXM_NX_REG2[]=9,load:0x5->NXM_NX_REG1[16..23],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15],output:NXM_OF_IN_PORT[])", learn)
	return all
}

func libInstructions() (all []same) {
	add := func(name string, ours Instruction, lib of13.Instruction) {
		all = append(all, same{name, libFlow(nil, lib), ourFlow(Match{}, Do(ours))})
	}
	write := of13.NewInstrWriteActions()
	write.AddAction(of13.NewActionGroup(5), false)
	add("goto_table", Goto{9}, of13.NewInstrGotoTable(9))
	add("write_metadata", WriteMetadata{5, 0xff}, of13.NewInstrWriteMetadata(5, 0xff))
	add("write_actions", Write{ActionsOf(ToGroup{5})}, write)
	add("clear_actions", Clear{}, &of13.InstrActions{InstrHeader: of13.InstrHeader{Type: of13.InstrType_CLEAR_ACTIONS, Length: 8}})
	add("meter", Meter{3}, of13.NewInstrMeter(3))
	add("drop, without actions", Apply{}, of13.NewInstrApplyActions())
	return all
}

func libMessages() []same {
	header := func(typ uint8) *common.Header {
		h := of13.NewOfp13Header()
		h.Type = typ
		return &h
	}
	flow := libFlow([]*of13.MatchField{of13.NewInPortField(7)}, libApply(of13.NewActionDecNwTtl()), of13.NewInstrGotoTable(9))
	flow.Cookie, flow.CookieMask, flow.TableId, flow.Command = 5, 7, 3, of13.FC_MODIFY_STRICT
	flow.IdleTimeout, flow.HardTimeout, flow.Priority, flow.Flags = 8, 9, 10, of13.FF_SEND_FLOW_REM|of13.FF_RESET_COUNTS
	ourMod := FlowMod{Command: FlowModifyStrict, CookieMask: 7,
		Flow: Flow{FlowKey{3, 10, MatchOf(InPort(7))}, 5, 8, 9, SendFlowRemoved | ResetCounts, Do(Apply{ActionsOf(DecTTL{})}, Goto{9})}}
	del, full, byPort := of13.NewFlowMod(), libFlow(nil, libApply(of13.NewActionDecNwTtl())), of13.NewFlowMod()
	del.Command, full.Command, byPort.Command, byPort.OutPort = of13.FC_DELETE, of13.FC_DELETE, of13.FC_DELETE, 3
	ourDel := FlowMod{Command: FlowDelete, Flow: Flow{FlowKey: FlowKey{Priority: 1000}}}
	ourByPort := ourDel
	ourByPort.OutPort = 3
	group, bucket := of13.NewGroupMod(), of13.NewBucket()
	bucket.Weight = 5
	bucket.AddAction(of13.NewActionPopVlan())
	group.GroupId, group.Type = 3, of13.OFPGT_SELECT
	group.AddBucket(*bucket)
	unbucket := *group
	unbucket.Command = of13.OFPGC_DELETE
	meter, drop, dscp := of13.NewMeterMod(), *of13.NewMeterBandHeader(), *of13.NewMeterBandHeader()
	drop.Type, drop.Rate, drop.BurstSize, dscp.Type, dscp.Rate = of13.OFPMBT13_DROP, 1000, 50, of13.OFPMBT13_DSCP_REMARK, 500
	meter.MeterId, meter.Flags = 3, of13.OFPMF13_KBPS|of13.OFPMF13_BURST
	meter.AddMeterBand(&of13.MeterBandDrop{MeterBandHeader: drop})
	meter.AddMeterBand(&of13.MeterBandDSCP{MeterBandHeader: dscp, PrecLevel: 1})
	unmeter := *meter
	unmeter.Command = of13.OFPMC_DELETE
	port := of13.NewPortMod(3)
	port.HWAddr, port.Config, port.Mask = routerMAC[:], 1, 1
	out := of13.NewPacketOut()
	out.InPort, out.Data = of13.P_CONTROLLER, util.NewBuffer([]byte("a packet"))
	out.AddAction(of13.NewActionPopVlan())
	bare := *out
	bare.Data = nil
	ourOut := PacketOut{Buffer: NoBuffer, InPort: PortController, Actions: ActionsOf(PopVLAN{}), Data: "a packet"}
	hello, _ := common.NewHello(4)
	config := of13.NewSetConfig()
	config.MissSendLen = 128
	request := func(typ uint16, body util.Message) util.Message {
		return &of13.MultipartRequest{Header: *header(of13.Type_MultiPartRequest), Type: typ, Body: body}
	}
	flows, sums, ports := of13.NewFlowStatsRequest(), of13.NewAggregateStatsRequest(), of13.NewPortStatsRequest()
	flows.TableId, flows.Cookie, flows.CookieMask = 3, 5, 7
	sums.TableId, sums.OutPort, sums.OutGroup = 0xff, of13.P_ANY, of13.OFPG_ANY
	ports.PortNo = 3
	none := util.NewBuffer(nil)
	inner := of13.NewFlowMod()
	inner.Xid = 0
	return []same{
		{"flow-mod", flow, ourMod},
		{"delete", del, ourDel},
		{"delete with instructions", full, ourDel},
		{"delete by out_port", byPort, ourByPort},
		{"group-mod", group, GroupMod{GroupAdd, GroupEntry{3, GroupTypeSelect, []Bucket{{5, PortAny, GroupAny, ActionsOf(PopVLAN{})}}}}},
		{"delete of a group with buckets", &unbucket, GroupMod{GroupDelete, GroupEntry{ID: 3, Type: GroupTypeSelect}}},
		{"meter-mod", meter, MeterMod{MeterAdd, MeterEntry{3, MeterKbps | MeterBurst, []Band{{Type: BandDrop, Rate: 1000, Burst: 50, PrecLevel: 0}, {Type: BandDSCPRemark, Rate: 500, Burst: 0, PrecLevel: 1}}}}},
		{"delete of a meter with bands", &unmeter, MeterMod{MeterDelete, MeterEntry{ID: 3, Flags: MeterKbps | MeterBurst}}},
		{"port-mod", port, PortMod{Port: 3, MAC: routerMAC, Config: 1, Mask: 1}},
		{"packet-out", out, ourOut},
		{"packet-out without data", &bare, PacketOut{Buffer: NoBuffer, InPort: PortController, Actions: ActionsOf(PopVLAN{})}},
		{"hello", hello, Hello13()},
		{"echo request", of13.NewEchoRequest(), Echo{}},
		{"echo reply", of13.NewEchoReply(), Echo{Reply: true}},
		{"features request", of13.NewFeaturesRequest(), FeaturesRequest{}},
		{"get config", of13.NewConfigRequest(), GetConfigRequest{}},
		{"set config", config, SetConfig{SwitchConfig{MissSendLen: 128}}},
		{"barrier request", header(of13.Type_BarrierRequest), BarrierRequest{}},
		{"barrier reply", header(of13.Type_BarrierReply), BarrierReply{}},
		{"get async", header(of13.Type_GetAsyncRequest), GetAsyncRequest{}},
		{"description request", request(of13.MultipartType_Desc, none), Request(DescriptionRequest{})},
		{"table statistics request", request(of13.MultipartType_Table, none), Request(TableStatsRequest{})},
		{"flow statistics request", request(of13.MultipartType_Flow, flows), Request(FlowStatsRequest{Table: 3, OutPort: PortAny, OutGroup: GroupAny, Cookie: 5, CookieMask: 7})},
		{"aggregate request", request(of13.MultipartType_Aggregate, sums), Request(AggregateRequest(AllFlows()))},
		{"port statistics request", request(of13.MultipartType_Port, ports), Request(PortStatsRequest{Port: 3})},
		{"bundle control", of13.NewBundleControl(&of13.BundleControl{BundleID: 3, Type: of13.OFPBCT_COMMIT_REQUEST, Flags: of13.OFPBCT_ATOMIC}), BundleControl{3, BundleCommit, BundleAtomic}},
		{"bundle add", of13.NewBundleAdd(&of13.BundleAdd{BundleID: 3, Flags: of13.OFPBCT_ORDERED, Message: inner}), BundleAdd{3, BundleOrdered, ourFlow(Match{}, Instructions{})}},
		{"experimenter", of13.NewSetControllerID(7), Experimenter{of13.NxExperimenterID, 20, "\x00\x00\x00\x00\x00\x00\x00\x07"}},
		{"experimenter without data", of13.NewNXTVendorHeader(77), Experimenter{ID: of13.NxExperimenterID, Type: 77}},
	}
}

// libReplies are the messages that a switch sends.
func libReplies() []same {
	reply := func(typ uint16, body util.Message) util.Message {
		h := of13.NewOfp13Header()
		h.Type = of13.Type_MultiPartReply
		return &of13.MultipartReply{Header: h, Type: typ, Body: []util.Message{body}}
	}
	answer := func(body MultipartBody) Message { return Multipart{Reply: true, Body: body} }
	features := of13.NewFeaturesReply()
	features.DPID, features.NumTables = net.HardwareAddr{0, 0, 0, 0, 0, 0, 0, 5}, 254
	removed := of13.NewFlowRemoved()
	removed.Header.Type, removed.Cookie, removed.Priority = of13.Type_FlowRemoved, 5, 10
	phy := of13.NewPhyPort()
	phy.PortNo, phy.HWAddr = 3, routerMAC[:]
	copy(phy.Name, "pr-blue")
	status := of13.NewPortStatus()
	status.Type, status.Reason, status.Desc = of13.Type_PortStatus, of13.PR_MODIFY, *phy
	failed := of13.NewErrorMsg()
	failed.Header = of13.NewOfp13Header()
	failed.Header.Type, failed.Type, failed.Code = of13.Type_Error, of13.ET_BAD_REQUEST, of13.BRC_BAD_TYPE
	bundled := of13.NewBundleError()
	bundled.Header.Type, bundled.Code = of13.Type_Error, of13.BEC_MSG_FAILD
	in := of13.NewPacketIn()
	in.Cookie = 5
	desc := of13.NewDescStats()
	copy(desc.MfrDesc, "Nicira, Inc.")
	flow, sums := of13.NewFlowStats(), of13.NewAggregateStats()
	flow.TableId, flow.Priority, flow.PacketCount, flow.Instructions = 3, 10, 7, []of13.Instruction{of13.NewInstrGotoTable(9)}
	flow.Length = flow.Len()
	sums.PacketCount, sums.FlowCount = 7, 3
	table, port := of13.NewTableStats(), of13.NewPortStats()
	table.ActiveCount, port.PortNo, port.RxPackets = 3, 3, 7
	return []same{
		{"features reply", features, Features{DPID: 5, Tables: 254}},
		{"flow-removed", removed, FlowRemoved{FlowStats: FlowStats{Flow: Flow{FlowKey: FlowKey{Priority: 10}, Cookie: 5}}}},
		{"port status", status, PortStatus{PortModified, Port{No: 3, MAC: routerMAC, Name: "pr-blue"}}},
		{"error", failed, ErrorMessage{Code: ErrorCode(of13.ET_BAD_REQUEST<<16 | of13.BRC_BAD_TYPE)}},
		{"error of a bundle", bundled, ErrorMessage{Code: ErrorCode(0xffff<<16 | uint32(of13.BEC_MSG_FAILD)), Experimenter: of13.ONF_EXPERIMENTER_ID}},
		{"packet-in", in, PacketIn{Buffer: NoBuffer, Cookie: 5, Data: strings.Repeat("\x00", 14)}},
		{"description", reply(of13.MultipartType_Desc, desc), answer(Description{Manufacturer: "Nicira, Inc."})},
		{"flow statistics", reply(of13.MultipartType_Flow, flow), answer(FlowStatsReply{{Flow: Flow{FlowKey: FlowKey{Table: 3, Priority: 10}, Do: GotoTable(9)}, Packets: 7}})},
		{"aggregate", reply(of13.MultipartType_Aggregate, sums), answer(Aggregate{Packets: 7, Flows: 3})},
		{"table statistics", reply(of13.MultipartType_Table, table), answer(TableStatsReply{{Active: 3}})},
		{"port statistics", reply(of13.MultipartType_Port, port), answer(PortStatsReply{{Port: 3, RxPackets: 7}})},
	}
}
