package ofproto_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// The test traces the path of a packet, flow by flow. Each expected line is a step with the
// ports by which the packet leaves.
func TestTrace(t *testing.T) {
	group := GroupEntry{ID: 5, Type: GroupTypeSelect, Buckets: []Bucket{
		{Weight: 1, Actions: mustParseActions(t, "set_field:02:00:00:00:00:0a->eth_dst,output:2")},
		{Weight: 1, Actions: mustParseActions(t, "set_field:02:00:00:00:00:0b->eth_dst,output:3")},
		{Weight: 2, Actions: mustParseActions(t, "set_field:02:00:00:00:00:0a->eth_dst,output:2")},
	}}
	all := GroupEntry{ID: 6, Type: GroupTypeAll, Buckets: []Bucket{
		{Actions: mustParseActions(t, "dec_ttl,output:2")}, {Actions: mustParseActions(t, "output:3")},
	}}
	for _, tt := range []struct {
		what, flows, packet string
		size                int
		want                string
	}{
		{"the highest priority counts", "priority=1,ip actions=output:2;priority=2,udp actions=output:3", "udp,in_port=1", 0,
			"priority=2: 3 udp,in_port=1\n"},
		{"no flow matches", "priority=1,ip actions=output:2", "arp,in_port=1", 0, ""},
		{"a goto to a table without a matching flow", "ip actions=goto_table:3", "ip,in_port=1", 0, "priority=32768:\n"},
		{"an output to the ingress port", "actions=output:1,output:2,IN_PORT", "ip,in_port=1", 0,
			"priority=32768: 2 ip,in_port=1; 1 ip,in_port=1\n"},
		{"rewriting", "ip actions=move:NXM_OF_IP_SRC[0..7]->NXM_OF_IP_DST[8..15],load:0xbeef->NXM_NX_REG1[4..19],set_field:02:00:00:00:00:02->eth_dst,output:2", "ip,in_port=1,nw_src=10.0.0.7,nw_dst=192.168.0.1", 0,
			"priority=32768: 2 ip,in_port=1,dl_dst=02:00:00:00:00:02,nw_src=10.0.0.7,nw_dst=192.168.7.1,reg1=0xbeef0\n"},
		{"metadata", "priority=5 actions=write_metadata:0x12/0xff,goto_table:1;table=1,priority=6,metadata=0x2/0xf actions=output:2", "ip,in_port=1,metadata=0x300", 0,
			"priority=5:\npriority=6: 2 ip,in_port=1,metadata=0x312\n"},
		{"the TTL", "ip actions=dec_ttl,output:2", "ip,in_port=1,nw_ttl=2", 0, "priority=32768: 2 ip,in_port=1,nw_ttl=1\n"},
		{"the end of the TTL", "ip actions=output:3,dec_ttl,output:2,goto_table:1;table=1 actions=output:4", "ip,in_port=1,nw_ttl=1", 0,
			"priority=32768: expired 3 ip,in_port=1,nw_ttl=1\n"},
		{"a packet that fits", "actions=check_pkt_larger(1414)->NXM_NX_REG0[3],goto_table:1;table=1,priority=9,reg0=8/8 actions=output:2", "ip,in_port=1", 1414, "priority=32768:\n"},
		{"a packet that does not", "actions=check_pkt_larger(1414)->NXM_NX_REG0[3],goto_table:1;table=1,priority=9,reg0=8/8 actions=output:2", "ip,in_port=1", 1415,
			"priority=32768:\npriority=9: 2 ip,in_port=1,reg0=0x8\n"},
		{"one of a group", "actions=group:5", "ip,in_port=1", 0,
			"priority=32768: group 5 3/4 2 ip,in_port=1,dl_dst=02:00:00:00:00:0a; 1/4 3 ip,in_port=1,dl_dst=02:00:00:00:00:0b\n"},
		{"all of a group", "actions=group:6,output:4", "ip,in_port=1,nw_ttl=9", 0,
			"priority=32768: 2 ip,in_port=1,nw_ttl=8; 3 ip,in_port=1,nw_ttl=9; 4 ip,in_port=1,nw_ttl=9\n"},
		{"no such group", "actions=group:7", "ip,in_port=1", 0, "priority=32768:\n"},
		{"other actions", "priority=3 actions=ct(commit)", "ip,in_port=1", 0,
			"priority=3:\ntrace flow cookie=0x0, table=0, priority=3 actions=ct(commit): action ct(commit) is not supported"},
		{"other ports", "priority=3 actions=NORMAL", "ip,in_port=1", 0,
			"priority=3:\ntrace flow cookie=0x0, table=0, priority=3 actions=NORMAL: output to NORMAL is not supported"},
		{"other instructions", "priority=3 actions=write_actions(output:2)", "ip,in_port=1", 0,
			"priority=3:\ntrace flow cookie=0x0, table=0, priority=3 actions=write_actions(output:2): instruction write_actions(output:2) is not supported"},
	} {
		var flows []Flow
		for line := range strings.SplitSeq(tt.flows, ";") {
			f, err := ParseFlow(line)
			if err != nil {
				t.Fatal(err)
			}
			flows = append(flows, f)
		}
		headers, err := ParseMatch(tt.packet)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := Trace(SetOf(flows), []GroupEntry{group, all}, Packet{headers, tt.size})
		got := ""
		for _, s := range steps {
			got += fmt.Sprintf("priority=%d:", s.Flow.Priority)
			if s.Expired {
				got += " expired"
			}
			if s.Group != 0 {
				got += fmt.Sprint(" group ", s.Group)
			}
			for i, e := range s.Out {
				if i > 0 {
					got += ";"
				}
				if s.Group != 0 {
					got += fmt.Sprintf(" %d/4", e.Shares)
				}
				got += fmt.Sprintf(" %v %v", e.Port, e.Packet)
			}
			got += "\n"
		}
		if err != nil {
			got += err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.what, got, tt.want)
		}
	}
}

func mustParseActions(t *testing.T, s string) Actions {
	t.Helper()
	as, err := ParseActions(s)
	if err != nil {
		t.Fatal(err)
	}
	return as
}

// For names that several fields share, Open vSwitch may use another field.
func TestPacketString(t *testing.T) {
	for _, s := range []string{"tcp,in_port=1,tcp_dst=5", "udp,udp_src=1,udp_dst=2", "icmp,icmp_type=8", "icmp6,icmpv6_type=135,icmpv6_code=0"} {
		m, err := ParseMatch(s)
		if err != nil {
			t.Fatal(err)
		}
		p := Packet{Headers: m}
		if again, err := ParseMatch(p.String()); err != nil || again != m {
			t.Errorf("%s: %s, %v", s, p, err)
		}
		for _, bad := range []string{"tp_", ",icmp_type=135"} {
			if strings.Contains(p.String(), bad) {
				t.Errorf("%s: %s", s, p)
			}
		}
	}
}
