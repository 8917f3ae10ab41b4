package ovstrace

import "testing"

// The output of Open vSwitch 3.1 is parsed.
func TestPath(t *testing.T) {
	const output = "\nbridge(\"br-int\")\n 0. priority 0\n    NORMAL\n     -> forwarding to learned port\n\nFinal flow: unchanged\nMegaflow: recirc_id=0\nDatapath actions: "
	for actions, want := range map[string]bool{
		"5": true, "4,5,6": true, "drop": false, "15": false, "push_vlan(vid=5,pcp=0),4": false,
		"set(eth(src=02:00:00:00:02:01,dst=02:00:00:00:02:10)),set(ipv4(ttl=63)),5":     true,
		"set(eth(src=02:00:00:00:02:01,dst=02:00:00:00:02:10)),set(ipv4(ttl=63)),4":     false,
		"check_pkt_len(size=1414,gt(meter(5),4),le(set(eth(dst=02:00:00:00:02:10)),6))": false,
		"check_pkt_len(size=1414,gt(meter(3),4),le(set(eth(dst=02:00:00:00:02:10)),5))": true,
		"hash(l4(0)),recirc(0x5)": false, "userspace(pid=5,slow_path(action))": false,
	} {
		if got := Outputs(output+actions+"\n", 5); got != want {
			t.Errorf("%s: %v", actions, got)
		}
	}
	if Floods(output) || !Floods("     -> no learned MAC for destination, flooding\n") {
		t.Error("flooding is not recognized")
	}
	const ports = "netdev@ovs-netdev: hit:0 missed:0\n  br-int:\n    br-int 65534/1: (tap)\n    pi-r1-blue 2/none: (patch: peer=pr-r1-blue)\n    vm1 1/4: (system)\n  rb-r1:\n    rb-r1 65534/2: (tap)\n    vm2 9/9: (system)\n"
	if n, ok := DatapathPort(ports, "br-int", "vm1"); n != 4 || !ok {
		t.Error(n, ok)
	}
	for _, none := range []string{"vm2", "pi-r1-blue", "vm"} {
		if n, ok := DatapathPort(ports, "br-int", none); ok {
			t.Error(none, n)
		}
	}
}
