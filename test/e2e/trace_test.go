package e2e

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// traced is narrow with routes.
var traced = strings.Replace(narrow, "ports:", `    routes:
      - {destination: 10.7.0.0/16, type: reject}
      - {destination: 10.8.0.0/16, type: blackhole}
      - {destination: 10.9.0.0/16, nexthops: [{address: 10.0.2.10}, {address: 10.0.2.11}]}
      - {destination: "fd09::/64", nexthop: "fd00:2::10"}
ports:
  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11]}`, 1)

// trace shows the path of a packet with the counters of its flows. For every kind of packet, Open
// vSwitch's trace agrees.
func TestTrace(t *testing.T) {
	t.Parallel()
	s := ready(t, traced)
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	s.plug(vm("vm2", "10.0.2.10"))
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Count: 3})
	var out string
	s.eventually("the packets to be counted", func() error {
		out = s.ofdvr(0, "trace", "--from", "vm1", "--to", "vm2", "--verify")
		if !strings.Contains(out, "  3           100  3        sends packets to an address of port vm2\n") {
			return errors.New(out)
		}
		return nil
	})
	for _, want := range []string{
		"vm1 (10.0.1.10, network blue) → vm2 (10.0.2.10, network green): ICMP echo request, 84 bytes, TTL 64\n",
		"  comes in by interface r1-blue of router r1, bridge rb-r1\n",
		"  Router r1 routes it in the switch: out of interface r1-green into network green, from 02:00:00:00:02:01 to 02:00:00:00:02:10 (port vm2), TTL 63\n",
		"  Open vSwitch gives the same result, from port vm1 to port vm2 of the integration bridge.\n",
		"  Open vSwitch gives the same result, from port vm2 to port vm1 of the integration bridge.\n",
		"vm2 (10.0.2.10, network green) → vm1 (10.0.1.10, network blue): ICMP echo reply, 84 bytes, TTL 64\n",
	} {
		mustHave(t, out, want)
	}
	for args, want := range map[string]string{
		"--to vm2 --proto tcp --dport 443 --size 1401": "kernel",
		"--to vm2 --proto udp --size 1400":             "routed",
		"--to vm2 --ttl 1":                             "kernel",
		"--to fd00:2::10":                              "routed",
		"--to fd00:2::10 --ttl 0":                      "kernel",
		"--to fd09::7 --proto udp":                     "routed",
		"--to 10.9.1.2 --proto tcp --sport 7":          "routed",
		"--to 10.8.1.2":                                "dropped",
		"--to 10.0.2.1":                                "answered",
		"--to fd00:1::1":                               "answered",
		"--to 10.0.2.99":                               "kernel",
		"--to 192.0.2.1":                               "kernel",
		"--to 10.0.2.255":                              "kernel",
		"--to vm2 --proto 0":                           "kernel",
		"--to vm2 --proto sctp --dport 5":              "routed",
		"--to 10.7.1.2":                                "kernel",
	} {
		var d struct {
			Paths []struct {
				Verdict  string
				Verified bool
				Steps    []struct{ Held bool }
			}
		}
		if err := json.Unmarshal([]byte(s.ofdvr(0, append([]string{"trace", "--from", "vm1", "--verify", "-o", "json"}, strings.Fields(args)...)...)), &d); err != nil {
			t.Fatal(err)
		}
		for i, w := range d.Paths {
			if i == 0 && w.Verdict != want || !w.Verified || len(w.Steps) == 0 {
				t.Errorf("%s: %+v, want %s", args, w, want)
			}
			for _, step := range w.Steps {
				if !step.Held {
					t.Errorf("%s: %+v", args, w)
				}
			}
		}
	}
}

// A foreign flow in the path is found by comparing with Open vSwitch.
func TestTraceDisagrees(t *testing.T) {
	t.Parallel()
	s := ready(t, with("    interfaces:", "    bridge: {foreign_flows: ignore}\n    interfaces:"))
	s.sh("", "ovs-ofctl -O OpenFlow13 add-flow "+bridge+" table=3,priority=300,ip,nw_dst=10.0.2.10,actions=drop")
	out := s.ofdvr(1, "trace", "--from", "vm1", "--to", "vm2", "--verify")
	mustHave(t, out, "from vm1 (10.0.1.10, network blue) to vm2 (10.0.2.10, network green) the result of Open vSwitch differs: the flows are")
	mustHave(t, out, "table=3, priority=300,ip,nw_dst=10.0.2.10 actions=drop")
}

// explain names the object of a cookie, and of a flow in the form that other tools print.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	dump := s.sh("", "ovs-ofctl -O OpenFlow13 dump-flows "+bridge+" table=3,ip,nw_dst=10.0.2.10")
	_, line, _ := strings.Cut(strings.TrimSpace(dump), "\n") // the first line is a header
	line = strings.TrimSpace(line)
	cookie, _, _ := strings.Cut(strings.TrimPrefix(line, "cookie="), ",")
	const want = ", router r1: sends packets to an address of port vm2\n"
	for _, arg := range []string{line, cookie} {
		if got := s.ofdvr(0, "explain", arg); got != cookie+want {
			t.Errorf("%s: %q", arg, got)
		}
	}
	for arg, want := range map[string]string{
		"0x12":               "0x12 is not of ofdvr\n",
		"0xfd09000000000000": "0xfd09000000000000 is a cookie of ofdvr (role 9), and its object no longer exists\n",
	} {
		if got := s.ofdvr(0, "explain", arg); got != want {
			t.Errorf("%s: %q", arg, got)
		}
	}
	mustHave(t, s.ofdvr(64, "explain", "nonsense"), `"nonsense" is neither a cookie, such as 0xfd09ec5ef62282fc, nor a flow with a cookie`)
}

// A trace ends where the packet ends. It shows the ICMP error to the sender, which ping also
// reports. It has no path of a reply if the packet does not arrive.
func TestTraceEnds(t *testing.T) {
	t.Parallel()
	s := ready(t, traced)
	vm1, small := s.plug(dual("vm1", "10.0.1.10")), dual("vm2", "10.0.2.10")
	small.MTU = 1400
	s.plug(small)
	speak(t, vm1)
	for _, c := range []struct {
		args    string
		to      string
		ping    lab.PingOptions
		says    string
		message string
	}{
		{"--to vm2 --ttl 1", "10.0.2.10", lab.PingOptions{TTL: 1}, "  It ends here: router r1 sends it to the kernel, and 10.0.1.1 answers ICMP time exceeded\n", "Time to live exceeded"},
		{"--to fd00:2::10 --ttl 1", "fd00:2::10", lab.PingOptions{TTL: 1}, "and fd00:1::1 answers ICMPv6 time exceeded\n", "Time exceeded: Hop limit"},
		{"--to vm2 --size 1401", "10.0.2.10", lab.PingOptions{Size: 1373, Whole: true}, "and 10.0.1.1 answers ICMP fragmentation needed, MTU 1400 (a packet without DF goes on in fragments)\n", "Frag needed and DF set (mtu = 1400)"},
		{"--to fd00:2::10 --size 1401", "fd00:2::10", lab.PingOptions{Size: 1353, Whole: true}, "and fd00:1::1 answers ICMPv6 packet too big, MTU 1400\n", "mtu=1400"},
		{"--to 10.7.1.2", "10.7.1.2", lab.PingOptions{}, "and 10.0.1.1 answers ICMP destination unreachable\n", "Unreachable"},
	} {
		out := s.ofdvr(0, append([]string{"trace", "--from", "vm1", "--verify"}, strings.Fields(c.args)...)...)
		mustHave(t, out, c.says, "  Open vSwitch gives the same result, from port vm1 of the integration bridge.\n")
		if strings.Count(out, " → ") != 1 {
			t.Errorf("%s: the trace has a reply to a packet that did not arrive:\n%s", c.args, out)
		}
		c.ping.Wait = patience
		r, err := vm1.Ping(t.Context(), c.to, c.ping)
		if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || !strings.Contains(r.Errors[0].Message, c.message) || !strings.Contains(out, r.Errors[0].From) {
			t.Errorf("%s: %+v, %v", c.args, r, err)
		}
	}
	if out := s.ofdvr(0, "trace", "--from", "vm1", "--to", "10.8.0.1"); strings.Count(out, " → ") != 1 {
		t.Errorf("the trace has a reply to a dropped packet:\n%s", out)
	}
}

// Open vSwitch traces the packet from the sender's port to the receiver's port. This
// detects machines that are unplugged, silent or in another VLAN.
func TestTraceBetweenMachines(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	trace := func(status int, want ...string) {
		t.Helper()
		mustHave(t, s.ofdvr(status, "trace", "--from", "vm1", "--to", "vm2", "--verify"), want...)
	}
	s.sh("", "ovs-vsctl set bridge br-int other_config:mac-aging-time=3600 -- set interface vm2 external_ids:iface-id=vm2")
	ping(t, vm1, vm2.IP(), lab.PingOptions{})
	trace(0, "  Open vSwitch gives the same result, from port vm1 to port vm2 of the integration bridge.\n")

	// br-int has forgotten its MAC table, so it floods, and the packet reaches vm2.
	s.eventually("the trace to report the flood", func() error {
		s.sh("", "ovs-appctl fdb/flush br-int")
		speak(t, vm1)
		return lacks(s.ofdvr(0, "trace", "--from", "vm1", "--to", "vm2", "--verify"),
			"  Open vSwitch gives the same result, from port vm1 to port vm2 of the integration bridge.\n  Bridge br-int floods the packet, because it has not learned the receiver's MAC address.\n")
	})
	ping(t, vm1, vm2.IP(), lab.PingOptions{})

	// Another program's flow makes br-int drop the packet.
	s.sh("", "ovs-ofctl add-flow br-int priority=9,ip,dl_dst=02:00:00:00:02:10,actions=drop")
	trace(1, "the result of Open vSwitch differs: the packet does not come to port vm2 of bridge br-int, where the machine of port vm2 is (", "Open vSwitch: ", "datapath actions drop")
	s.sh("", "ovs-ofctl add-flow br-int priority=9,ip,dl_dst="+blueMAC+",actions=drop")
	trace(1, "the result of Open vSwitch differs: the packet leaves port vm1 in VLAN 1, and does not come to bridge rb-r1, whose port pi-r1-blue is on network blue (VLAN 1): drop")
	s.sh("", "ovs-ofctl del-flows br-int ip")

	s.sh("", "ovs-vsctl set port vm2 tag=7")
	trace(1, "the result of Open vSwitch differs: the machine of port vm2 is elsewhere: port vm2 of bridge br-int has its iface-id and is in VLAN 7, and network green is VLAN 2. Open vSwitch: it floods the packet, datapath actions ")
	s.sh("", "ovs-vsctl set port vm2 tag=2")
	trace(0, "Open vSwitch gives the same result, from port vm1 to port vm2")
	if err := vm2.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	trace(1, "the machine of port vm2 is not seen: no interface of bridge br-int has its ID (external_ids:iface-id) or MAC address 02:00:00:00:02:10, ", "Open vSwitch: it floods the packet, datapath actions ")
	if err := vm1.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	trace(1, "from vm1 (10.0.1.10, network blue) to vm2 (10.0.2.10, network green) the result of Open vSwitch differs: the machine of port vm1 is not seen: ")

	s.sh("", "ovs-vsctl del-br br-int")
	s.eventually("the trace to name the missing bridge", func() error {
		return lacks(s.ofdvr(1, "trace", "--from", "vm1", "--to", "vm2", "--verify"), "the integration bridge br-int does not exist, so no packet passes")
	})
}
