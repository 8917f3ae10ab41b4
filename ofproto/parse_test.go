package ofproto_test

import (
	"errors"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// Parsing a printed flow gives the same value.
func TestParsePrinted(t *testing.T) {
	for _, f := range append(everyFlow(), vocabulary...) {
		got, err := ParseFlow(f.String())
		if err != nil {
			t.Errorf("%v: %v", f, err)
		} else if got != f {
			t.Errorf("%v\nis parsed as %v\n%x\n%x", f, got, FlowMod{Command: FlowAdd, Flow: f}.Append(nil, 0), FlowMod{Command: FlowAdd, Flow: got}.Append(nil, 0))
		}
	}
}

// Flows in other forms, as written by people or by older versions of ovs-ofctl, are parsed to
// the same value as flows in our form.
func TestParseForms(t *testing.T) {
	tests := []struct{ text, want string }{
		{"actions=drop", "cookie=0x0, table=0, priority=32768 actions=drop"},
		{" cookie=0x5, duration=3.141s, table=2, n_packets=7, n_bytes=8, idle_timeout=9, idle_age=1, hard_age=2, send_flow_rem priority=1,ip,in_port=LOCAL actions=NORMAL",
			"cookie=0x5, table=2, idle_timeout=9, send_flow_rem priority=1,ip,in_port=LOCAL actions=NORMAL"},
		{"table=1 tcp,tp_dst=80 actions=3", "cookie=0x0, table=1, priority=32768,tcp,tp_dst=80 actions=output:3"},
		{"tp_dst=53 udp6 actions=output:in_port", "cookie=0x0, table=0, priority=32768,udp6,tp_dst=53 actions=IN_PORT"},
		{"ip,ip_dst=10.1.2.3/255.255.0.0 actions=strip_vlan", "cookie=0x0, table=0, priority=32768,ip,nw_dst=10.1.0.0/16 actions=pop_vlan"},
		{"arp,nw_dst=10.0.0.1 actions=controller", "cookie=0x0, table=0, priority=32768,arp,arp_tpa=10.0.0.1 actions=CONTROLLER:65535"},
		{"icmp6,icmp_type=135,nd_target=fd00::1 actions=controller(max_len=5)",
			"cookie=0x0, table=0, priority=32768,icmp6,icmp_type=135,nd_target=fd00::1 actions=CONTROLLER:5"},
		{"dl_vlan=0xffff actions=drop", "cookie=0x0, table=0, priority=32768,vlan_tci=0x0000/0x1fff actions=drop"},
		{"vlan_tci=1 actions=drop", "cookie=0x0, table=0, priority=32768,vlan_tci=0x0001/0x1fff,dl_vlan_pcp=0 actions=drop"},
		{"vlan_tci=0xb005 actions=drop", "cookie=0x0, table=0, priority=32768,dl_vlan=5,dl_vlan_pcp=5 actions=drop"},
		{"dl_vlan_pcp=5 actions=drop", "cookie=0x0, table=0, priority=32768,vlan_tci=0x1000/0x1000,dl_vlan_pcp=5 actions=drop"},
		{"ip,nw_tos=0x20 actions=drop", "cookie=0x0, table=0, priority=32768,ip,ip_dscp=8 actions=drop"},
		{"ct_state=new|trk,ip actions=ct(commit,table=3)", "cookie=0x0, table=0, priority=32768,ip,ct_state=+new-est-rel-rpl-inv+trk-snat-dnat actions=ct(commit,table=3)"},
		{"ct_state=0x22/0x23 actions=resubmit(,4)", "cookie=0x0, table=0, priority=32768,ct_state=-new+est+trk actions=resubmit(,4)"},
		{"xxreg0=0x10 actions=load:7->reg0[0..3]", "cookie=0x0, table=0, priority=32768,reg0=0x0,reg1=0x0,reg2=0x0,reg3=0x10 actions=load:0x7->NXM_NX_REG0[0..3]"},
		{"actions=learn(NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[], in_port=5, dl_type=0x800, load:0x5->reg1[])",
			"cookie=0x0, table=0, priority=32768 actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],in_port=5,eth_type=0x800,load:0x5->NXM_NX_REG1[])"},
		{"actions=learn(vlan_vid=5,ct_state=new|trk,ip_frag=later,ipv6_dst=fd00::1,nw_tos=32)",
			"cookie=0x0, table=0, priority=32768 actions=learn(table=1,vlan_vid=0x5,ct_state=0x21,ip_frag=later,ipv6_dst=fd00::1,nw_tos=32)"},
		{"actions=goto_table:3,write_actions(output:1),meter:2,clear_actions,output:1",
			"cookie=0x0, table=0, priority=32768 actions=meter:2,output:1,clear_actions,write_actions(output:1),goto_table:3"},
	}
	for _, tt := range tests {
		if got, err := ParseFlow(tt.text); err != nil || got.String() != tt.want {
			t.Errorf("%s\nis parsed as %v, %v\nwant       %s", tt.text, got, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct {
		text string
		at   int
		want string // the complete error
	}{
		{"", 0, "at byte 0, the end: want actions="},
		{"priority=70000 actions=drop", 9, `at byte 9, "70000": want a number of at most 16 bits`},
		{"in_port=1,foo=2 actions=drop", 10, `at byte 10, "foo": not known in a flow`},
		{"ip,nw_dst=fd00::1 actions=drop", 10, `at byte 10, "fd00::1": want an IPv4 address`},
		{"ip,nw_dst=1.2.3.4/33 actions=drop", 18, `at byte 18, "33": want a prefix length of at most 32`},
		{"ip,nw_proto=6/0x3 actions=drop", 14, `at byte 14, "0x3": nw_proto cannot be matched in part`},
		{"dl_src=02:00 actions=drop", 7, `at byte 7, "02:00": want a MAC address like 02:00:00:00:01:10`},
		{"ct_state=+up actions=drop", 10, `at byte 10, "up": want one of new, est, rel, rpl, inv, trk, snat, dnat`},
		{"in_port=1,in_port=2 actions=drop", 0, `at byte 0, "in_port=1,in_port=2": in_port is given twice`},
		{"actions=output:eth0", 15, `at byte 15, "eth0": want a port or a field`},
		{"actions=hop", 8, `at byte 8, "hop": want an action`},
		{"actions=ct(commit,exec(load:1->reg0[0..40]))", 36, `at byte 36, "0..40": reg0 has bits 0 to 31`},
		{"actions=ct(commit", 10, `at byte 10, "(commit": parenthesis is not closed`},
		{"actions=load:0x100->reg0[0..7]", 13, `at byte 13, "0x100": want a number of at most 8 bits`},
		{"actions=move:reg0[0..7]->reg1[]", 13, `at byte 13, "reg0[0..7]->reg1[]": source has 8 bits, destination 32`},
		{"actions=goto_table:1,goto_table:2", 21, `at byte 21, "goto_table": instruction is given twice`},
		{"actions=learn(tabel=5)", 14, `at byte 14, "tabel": not known in learn`},
		{"actions=learn(vlan_vid=0x1005)", 23, `at byte 23, "0x1005": want a value of at most 12 bits`},
		{"actions=conjunction(1,3/2)", 22, `at byte 22, "3/2": want a clause of 2 to 64`},
		{"actions=raw(00000010000000010000000000000000)", 12, `at byte 12, "00000010000000010000000000000000": want the encoding of an unnamed action`},
	}
	for _, tt := range tests {
		_, err := ParseFlow(tt.text)
		var bad *SyntaxError
		if !errors.As(err, &bad) || bad.Offset != tt.at || err.Error() != tt.want {
			t.Errorf("%s: %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestParseFlowStats(t *testing.T) {
	got, err := ParseFlowStats("cookie=0x0, duration=12.034s, table=0, n_packets=7, n_bytes=8, priority=0 actions=drop")
	want := FlowStats{Seconds: 12, Nanoseconds: 34e6, Packets: 7, Bytes: 8}
	if err != nil || got != want {
		t.Errorf("read %+v, %v; want %+v", got, err, want)
	}
}
