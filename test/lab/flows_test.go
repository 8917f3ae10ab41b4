package lab_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/ofdvr/ofdvr/test/lab"
)

// handMade is the flow program of a routing bridge, written by hand. The router has two
// interfaces and a machine on each network. Ports 1 and 2 are the patch ports to the
// integration bridge. Ports 11 and 12 are the taps to the namespace. The controller should
// compile an equivalent program.
const handMade = `
# Classify: answer ARP requests, send packets with TTL 1 to the kernel, route packets
# to the router's MAC address, and send the rest to the taps.
table=0,priority=400,in_port=1,arp,arp_op=1,arp_tpa=10.0.1.1, actions=move:eth_src->eth_dst,set_field:02:00:00:00:01:01->eth_src,set_field:2->arp_op,move:arp_sha->arp_tha,move:arp_spa->arp_tpa,set_field:02:00:00:00:01:01->arp_sha,set_field:10.0.1.1->arp_spa,output:in_port
table=0,priority=400,in_port=2,arp,arp_op=1,arp_tpa=10.0.2.1, actions=move:eth_src->eth_dst,set_field:02:00:00:00:02:01->eth_src,set_field:2->arp_op,move:arp_sha->arp_tha,move:arp_spa->arp_tpa,set_field:02:00:00:00:02:01->arp_sha,set_field:10.0.2.1->arp_spa,output:in_port
table=0,priority=300,in_port=1,ip,eth_dst=02:00:00:00:01:01,nw_ttl=0, actions=output:11
table=0,priority=300,in_port=1,ip,eth_dst=02:00:00:00:01:01,nw_ttl=1, actions=output:11
table=0,priority=300,in_port=2,ip,eth_dst=02:00:00:00:02:01,nw_ttl=0, actions=output:12
table=0,priority=300,in_port=2,ip,eth_dst=02:00:00:00:02:01,nw_ttl=1, actions=output:12
table=0,priority=200,in_port=1,ip,vlan_tci=0/0x1000,eth_dst=02:00:00:00:01:01, actions=goto_table:2
table=0,priority=200,in_port=2,ip,vlan_tci=0/0x1000,eth_dst=02:00:00:00:02:01, actions=goto_table:2
table=0,priority=100,in_port=1, actions=output:11
table=0,priority=100,in_port=11, actions=output:1
table=0,priority=100,in_port=2, actions=output:12
table=0,priority=100,in_port=12, actions=output:2
# Deliver.
table=2,priority=200,ip,ip_dst=10.0.1.10, actions=set_field:02:00:00:00:01:01->eth_src,set_field:02:00:00:00:01:10->eth_dst,dec_ttl,output:1
table=2,priority=200,ip,ip_dst=10.0.2.10, actions=set_field:02:00:00:00:02:01->eth_src,set_field:02:00:00:00:02:10->eth_dst,dec_ttl,output:2
table=2,priority=100,in_port=1, actions=output:11
table=2,priority=100,in_port=2, actions=output:12
`

// TestHandMadeFlowsRoute checks without the daemon that the flow program routes on this Open
// vSwitch.
func TestHandMadeFlowsRoute(t *testing.T) {
	h := lab.Boot(t)
	vm1 := lab.Plug(t, h, lab.MachineConfig{Name: "vm1", VLAN: 1, MAC: "02:00:00:00:01:10",
		Addresses: []string{"10.0.1.10/24"}, Gateways: []string{"10.0.1.1"}})
	vm2 := lab.Plug(t, h, lab.MachineConfig{Name: "vm2", VLAN: 2, MAC: "02:00:00:00:02:10",
		Addresses: []string{"10.0.2.10/24"}, Gateways: []string{"10.0.2.1"}})

	args := []string{"add-br", "rb", "--", "set", "bridge", "rb", "datapath_type=" + lab.Datapath(), "fail_mode=secure",
		"protocols=OpenFlow13", "other_config:disable-in-band=true"}
	for _, n := range []string{"1", "2"} {
		args = append(args, strings.Fields(
			"-- add-port br-int int-"+n+" tag="+n+" -- set interface int-"+n+" type=patch options:peer=rb-"+n+
				" -- add-port rb rb-"+n+" -- set interface rb-"+n+" type=patch options:peer=int-"+n+" ofport_request="+n+
				" -- add-port rb qr-"+n+" -- set interface qr-"+n+" type=internal ofport_request=1"+n)...)
	}
	if _, err := h.Vsctl(t.Context(), args...); err != nil {
		t.Fatal(err)
	}
	lab.Run(t, h, "ip", "netns", "add", "qrouter")
	// If forwarding is off, the kernel drops packets instead of answering with ICMP errors.
	if _, err := h.RunIn(t.Context(), "qrouter", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2"} {
		lab.Run(t, h, "ip", "link", "set", "qr-"+n, "netns", "qrouter", "address", "02:00:00:00:0"+n+":01")
		lab.Run(t, h, "ip", "-n", "qrouter", "addr", "add", "10.0."+n+".1/24", "dev", "qr-"+n)
		lab.Run(t, h, "ip", "-n", "qrouter", "link", "set", "qr-"+n, "up")
	}
	path, err := h.WriteFile("flows", handMade)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ofctl(t.Context(), "add-flows", "rb", path); err != nil {
		t.Fatal(err)
	}
	echo := func(f lab.Frame) bool {
		p := f.Packet()
		icmp, ok := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
		return ok && icmp.TypeCode.Type() == layers.ICMPv4TypeEchoRequest
	}
	atVM2 := lab.Record(t, vm2, echo)
	onTap, err := h.Capture("qrouter", "qr-1", echo)
	if err != nil {
		t.Fatal(err)
	}
	defer onTap.Close()

	r, err := vm1.Ping(t.Context(), "10.0.2.10", lab.PingOptions{Count: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range r.Replies {
		if reply.TTL != 63 {
			t.Errorf("reply %d has TTL %d, want 63", reply.Seq, reply.TTL)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	f, err := atVM2.Await(ctx, "the routed request", echo)
	if err != nil {
		t.Fatal(err)
	}
	if eth := f.Packet().LinkLayer().(*layers.Ethernet); eth.SrcMAC.String() != "02:00:00:00:02:01" {
		t.Errorf("the request has source %v, want the egress interface's MAC", eth.SrcMAC)
	}

	// The kernel answers a packet with a TTL that expires. It is also the first request on the tap.
	r, err = vm1.Ping(t.Context(), "10.0.2.10", lab.PingOptions{TTL: 1})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" ||
		r.Errors[0].Message != "Time to live exceeded" {
		t.Errorf("TTL 1: %+v, %v", r, err)
	}
	if _, err := onTap.Await(ctx, "the request with TTL 1", echo); err != nil {
		t.Error(err)
	}
	if n := onTap.Count(echo); n != 1 {
		t.Errorf("the tap saw %d requests, want only the one with TTL 1", n)
	}
	// Packets that no flow handles, such as a ping to the router, go through the
	// namespace.
	if _, err := vm1.Ping(t.Context(), "10.0.2.1", lab.PingOptions{}); err != nil {
		t.Error(err)
	}
}
