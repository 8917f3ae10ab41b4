package ovstrace

import (
	"fmt"
	"strings"
	"testing"
)

const routed = `Flow: udp,in_port=2,vlan_tci=0x0000,dl_src=02:00:00:00:01:10,dl_dst=02:00:00:00:01:01,nw_src=10.0.1.10,nw_dst=10.0.2.10,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=0,tp_dst=0

bridge("rb-r1")
---------------
 0. ip,in_port=2,vlan_tci=0x0000/0x1fff, priority 210, cookie 0xfd038f991dc72312
    write_metadata:0x10000/0x1ffff
    goto_table:1
 1. priority 1, cookie 0xfd11264979eb81bc
    goto_table:2
 2. ip,nw_dst=10.0.2.0/24, priority 102
    check_pkt_larger(1414)->NXM_NX_REG0[0]
    goto_table:3
     3. reg0=0x1/0x1,in_port=2, priority 200, cookie 0x12
            goto_table:7
         7. in_port=2, priority 10, cookie 0x13
            meter:7
            output:3
    goto_table:3
 3. ip,nw_dst=10.0.2.10, priority 100, cookie 0x9
    move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]
     -> NXM_OF_ETH_DST[] is now 02:00:00:00:01:10
    dec_ttl
    output:1
     >> Nonexistent output port

bridge("br-int")
----------------
 0. priority 0
    NORMAL
     -> no learned MAC for destination, flooding

Final flow: udp,in_port=2,nw_ttl=64
Megaflow: recirc_id=0,eth,udp,in_port=2
Datapath actions: check_pkt_len(size=1414,gt(3),le(1))
`

// The paths of larger and smaller packets are parsed, and other bridges are ignored.
func TestParse(t *testing.T) {
	tr, err := Parse(routed, "rb-r1")
	if err != nil {
		t.Fatal(err)
	}
	const before = "table 0, 210: write_metadata:0x10000/0x1ffff,goto_table:1\n" +
		"table 1, 1: goto_table:2\n" +
		"table 2, 102: check_pkt_larger(1414)->NXM_NX_REG0[0],goto_table:3\n"
	for larger, want := range map[bool]string{
		true:  before + "table 3, 200: goto_table:7\ntable 7, 10: meter:7,output:3\n",
		false: before + "table 3, 100: move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],dec_ttl,output:1\n",
	} {
		if got := text(Path(tr.Steps, larger)); got != want {
			t.Errorf("larger: %v: got\n%swant\n%s", larger, got, want)
		}
	}
	if got := tr.Steps[3].Flow.String(); !strings.HasPrefix(got, "cookie=0x9, table=3, priority=100,ip,nw_dst=10.0.2.10 ") {
		t.Error(got)
	}
	if tr.Final != "udp,in_port=2,nw_ttl=64" || tr.Datapath != "check_pkt_len(size=1414,gt(3),le(1))" {
		t.Errorf("%+v", tr)
	}
	if tr, err = Parse(routed, "br-int"); err != nil || text(tr.Steps) != "table 0, 0: NORMAL\n" {
		t.Error(text(tr.Steps), err)
	}
}

// A packet without a matching flow is parsed, both after check_pkt_larger and before it.
func TestParseMiss(t *testing.T) {
	const miss = `
bridge("br")
------------
 0. priority 7
    check_pkt_larger(1414)->NXM_NX_REG0[0]
    goto_table:3
     3. No match.
            drop
    goto_table:3
 3. No match.
    drop

Final flow: unchanged
Datapath actions: drop
`
	tr, err := Parse(miss, "br")
	const want = "table 0, 7: check_pkt_larger(1414)->NXM_NX_REG0[0],goto_table:3\n"
	if err != nil || text(Path(tr.Steps, true)) != want || text(Path(tr.Steps, false)) != want || tr.Final != "" {
		t.Error(tr, err)
	}
}

// Unknown output is an error.
func TestParseErrors(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"    dec_ttl\n", "    dance\n", `read the trace of bridge rb-r1: `},
		{"priority 210", "priority 99999", "read the trace of bridge rb-r1: "},
		{"Datapath actions", "Actions", "it has no datapath actions"},
		{" 0. ip,in_port=2,vlan_tci=0x0000/0x1fff, priority 210, cookie 0xfd038f991dc72312\n", "", "no flow precedes it"},
	} {
		if _, err := Parse(strings.Replace(routed, tt.old, tt.new, 1), "rb-r1"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.new, err)
		}
	}
}

func text(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "table %d, %d: %v\n", s.Flow.Table, s.Flow.Priority, s.Flow.Do)
	}
	return b.String()
}
