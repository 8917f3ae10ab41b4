package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/topology"
	"github.com/ofdvr/ofdvr/routing/trace"
)

const two = `
networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2, mtu: 1400}
  - {id: red, vlan: 3}
  - {id: far, vlan: 4}
routers:
  - id: r1
    interfaces:
      - {id: b, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24, "fd00:1::1/64"]}
      - {id: g, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24, "fd00:2::1/64"]}
    routes:
      - {destination: 10.7.0.0/16, type: reject}
      - {destination: 10.8.0.0/16, type: blackhole}
      - {destination: 10.9.0.0/16, nexthops: [{address: 10.0.2.10}, {address: 10.0.2.11}]}
  - id: r2
    fallback: none
    interfaces:
      - {id: b2, network: blue, mac: "02:00:00:00:01:02", addresses: [10.0.1.2/24]}
      - {id: r, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}
      - {id: f, network: far, mac: "02:00:00:00:04:01", addresses: [10.0.4.1/24], admin_state: down}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10, "fd00:1::10"]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10, "fd00:2::10"], allowed_address_pairs: [{address: 10.0.2.100}]}
  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11]}
  - {id: vm4, network: red, mac: "02:00:00:00:03:10", addresses: [10.0.3.10]}
  - {id: vm5, network: far, mac: "02:00:00:00:04:10", addresses: [10.0.4.10]}
  - {id: silent, network: red, mac: "02:00:00:00:03:11"}
  - {id: twin1, network: red, mac: "02:00:00:00:03:12", addresses: [10.0.3.50]}
  - {id: twin2, network: blue, mac: "02:00:00:00:01:12", addresses: [10.0.3.50]}
`

// TestPaths checks the path of a packet and of its answer: source, destination, verdict, and
// the roles of the flows.
func TestPaths(t *testing.T) {
	m, _, err := topology.Parse("topology.yaml", []byte(two))
	if err != nil {
		t.Fatal(err)
	}
	x := routing.NewIndex(m)
	for _, tt := range []struct {
		from, to, router string
		packet           trace.Packet
		want             []string // a line each
	}{
		{"vm1", "vm2", "", trace.Packet{Proto: 1, Size: 84, TTL: 64}, []string{
			"vm1 10.0.1.10 → vm2 10.0.2.10, ICMP echo request, 84 bytes, TTL 64: routed 3,17,6,9 to vm2, TTL 63",
			"vm2 10.0.2.10 → vm1 10.0.1.10, ICMP echo reply, 84 bytes, TTL 64: routed 3,17,6,9 to vm1, TTL 63"}},
		{"vm1", "fd00:2::10", "", trace.Packet{Proto: 1, Size: 84, TTL: 2}, []string{
			"vm1 fd00:1::10 → vm2 fd00:2::10, ICMP echo request, 84 bytes, TTL 2: routed 3,17,6,9 to vm2, TTL 1",
			"vm2 fd00:2::10 → vm1 fd00:1::10, ICMP echo reply, 84 bytes, TTL 64: routed 3,17,6,9 to vm1, TTL 63"}},
		{"vm1", "10.0.2.100", "", trace.Packet{Proto: 6, DstPort: 443, Size: 1401, TTL: 64}, []string{
			"vm1 10.0.1.10 → vm2 10.0.2.100, TCP to port 443, 1401 bytes, TTL 64: kernel 3,17,6,18, 10.0.1.1 answers ICMP fragmentation needed, MTU 1400 (a packet without DF goes on in fragments)"}},
		{"vm1", "fd00:2::10", "", trace.Packet{Proto: 17, Size: 1401, TTL: 64}, []string{
			"vm1 fd00:1::10 → vm2 fd00:2::10, UDP, 1401 bytes, TTL 64: kernel 3,17,6,18, fd00:1::1 answers ICMPv6 packet too big, MTU 1400"}},
		{"vm1", "fd00:2::10", "", trace.Packet{Proto: 17, Size: 84, TTL: 1}, []string{
			"vm1 fd00:1::10 → vm2 fd00:2::10, UDP, 84 bytes, TTL 1: kernel 3,2, fd00:1::1 answers ICMPv6 time exceeded"}},
		{"vm1", "10.7.0.1", "r1", trace.Packet{Proto: 17, Size: 84, TTL: 64}, []string{
			"vm1 10.0.1.10 →  10.7.0.1, UDP, 84 bytes, TTL 64: kernel 3,17,7,22, 10.0.1.1 answers ICMP destination unreachable"}},
		{"vm1", "vm2", "", trace.Packet{Proto: 47, Size: 84, TTL: 1}, []string{
			"vm1 10.0.1.10 → vm2 10.0.2.10, protocol 47, 84 bytes, TTL 1: kernel 3,2, 10.0.1.1 answers ICMP time exceeded"}},
		{"vm1", "10.0.2.1", "", trace.Packet{Proto: 1, Size: 84, TTL: 64}, []string{
			"vm1 10.0.1.10 → router r1 10.0.2.1, ICMP echo request, 84 bytes, TTL 64: answered 3,14,15, TTL 64"}},
		{"vm1", "10.9.1.1", "r1", trace.Packet{Proto: 17, DstPort: 53, Size: 84, TTL: 64}, []string{
			"vm1 10.0.1.10 →  10.9.1.1, UDP to port 53, 84 bytes, TTL 64: routed 3,17,21,12 to vm3, TTL 63 (38 %) to vm2, TTL 63 (62 %)"}},
		{"vm1", "10.8.1.1", "r1", trace.Packet{Proto: 17, Size: 84, TTL: 64}, []string{
			"vm1 10.0.1.10 →  10.8.1.1, UDP, 84 bytes, TTL 64: dropped 3,17,20"}},
		{"vm2", "vm3", "", trace.Packet{Proto: 1, Size: 84, TTL: 64}, []string{
			"vm2 10.0.2.10 → vm3 10.0.2.11, ICMP echo request, 84 bytes, TTL 64: switched ",
			"vm3 10.0.2.11 → vm2 10.0.2.10, ICMP echo reply, 84 bytes, TTL 64: switched "}},
		{"vm4", "10.0.1.77", "", trace.Packet{Proto: 1, Size: 84, TTL: 64}, []string{
			"vm4 10.0.3.10 →  10.0.1.77, ICMP echo request, 84 bytes, TTL 64: dropped 3,17,6,10"}},
		{"vm5", "vm4", "", trace.Packet{Proto: 1, Size: 84, TTL: 64}, []string{
			"vm5 10.0.4.10 → vm4 10.0.3.10, ICMP echo request, 84 bytes, TTL 64: dropped 11"}},

		{"vm9", "vm2", "", trace.Packet{}, []string{`"vm9" is neither the ID or name of a port nor an IP address`}},
		{"vm1", "silent", "", trace.Packet{}, []string{`port "silent" has no address: no packet can be sent from or to it`}},
		{"vm1", "vm2", "r9", trace.Packet{}, []string{`router "r9" does not exist`}},
		{"vm1", "vm1", "", trace.Packet{}, []string{"source and destination are the same"}},
		{"192.0.2.1", "vm1", "", trace.Packet{}, []string{"192.0.2.1 is not on a network of ofdvr, so its packets cannot be traced"}},
		{"10.0.1.1", "vm2", "", trace.Packet{}, []string{"10.0.1.1 is an address of router r1 itself: its packets are routed by the kernel, not by flows"}},
		{"10.0.2.11", "fd00:1::10", "", trace.Packet{}, []string{"10.0.2.11 and fd00:1::10 are of different families"}},
		{"vm2", "vm4", "r2", trace.Packet{}, []string{"router r2 has no interface in the subnet of port vm2 (10.0.2.10) on network green"}},
		{"vm1", "198.51.100.1", "", trace.Packet{}, []string{"routers r1 and r2 are both on network blue: give the one that the packet takes"}},
		{"vm1", "10.0.3.50", "r2", trace.Packet{}, []string{"the addresses match several ports: from port vm1 (10.0.1.10) on network blue to port twin1 (10.0.3.50) on network red, or from port vm1 (10.0.1.10) on network blue to port twin2 (10.0.3.50) on network blue; give port IDs instead of addresses"}},
	} {
		got := describe(x, trace.Query{From: tt.from, To: tt.to, Router: tt.router, Packet: tt.packet})
		if want := strings.Join(tt.want, "\n"); got != want {
			t.Errorf("%s to %s:\ngot\n%s\nwant\n%s", tt.from, tt.to, got, want)
		}
	}
}

// describe returns a line for the path of a packet and one for the path of its answer.
func describe(x *routing.Index, q trace.Query) string {
	w, err := trace.Find(x, q)
	if err != nil {
		return err.Error()
	}
	lines := []string{line(x, &w)}
	if back, ok := trace.Back(x, w); ok {
		lines = append(lines, line(x, &back))
	}
	return strings.Join(lines, "\n")
}

func line(x *routing.Index, w *trace.Path) string {
	var roles []string
	s := fmt.Sprintf("%s %v → %s %v, %v: ", w.From.Port, w.From.Address, name(w.To), w.To.Address, w.Packet)
	if w.Router != nil {
		ports := make(compile.Ports)
		for i := range w.Router.Interfaces {
			f := &w.Router.Interfaces[i]
			ports[f.PatchName()], ports[f.TapName()] = 1, 2
			if i > 0 {
				ports[f.PatchName()], ports[f.TapName()] = 3, 4
			}
			if i > 1 {
				ports[f.PatchName()], ports[f.TapName()] = 5, 6
			}
		}
		w.Follow(x, compile.Compile(x, w.Router, compile.Facts{Ports: ports, Can: compile.CanAll}), ports)
		for _, step := range w.Steps {
			role, _ := compile.RoleOf(step.Flow.Cookie)
			roles = append(roles, fmt.Sprint(role))
		}
	}
	s += fmt.Sprintf("%s %s", w.Verdict, strings.Join(roles, ","))
	if answer := w.Answer(); answer != "" {
		s += ", " + answer
	}
	for _, e := range w.Exits {
		if w.Verdict == trace.Kernel {
			break
		}
		if e.Port != "" && w.Verdict == trace.Routed {
			s += " to " + e.Port
		}
		s += ", TTL " + e.TTL
		if e.Share > 0 {
			s += fmt.Sprintf(" (%.0f %%)", 100*e.Share)
		}
	}
	return s
}

func name(e trace.End) string {
	if e.Router != "" {
		return "router " + e.Router
	}
	return e.Port
}

// A packet that exceeds the MTU of its sender's network is routed, because the flows do not
// check this MTU. The result has a note that no machine sends such a packet.
func TestOversize(t *testing.T) {
	m, _, err := topology.Parse("topology.yaml", []byte(two))
	if err != nil {
		t.Fatal(err)
	}
	x := routing.NewIndex(m)
	const sender = "; but it exceeds the MTU of network %s, %d bytes, so a machine there sends it only in fragments, or not at all"
	for _, tt := range []struct {
		from, to, router string
		size             int
		can              compile.Capabilities
		verdict          trace.Verdict
		want             string
	}{
		{"vm1", "vm4", "r2", 1500, compile.CanAll, trace.Routed, ""},
		{"vm1", "vm4", "r2", 1501, compile.CanAll, trace.Routed, fmt.Sprintf(sender, "blue", 1500)},
		{"vm1", "vm2", "", 1401, compile.CanAll, trace.Kernel, ""},
		{"vm1", "vm2", "", 9000, compile.CanAll, trace.Kernel, fmt.Sprintf(sender, "blue", 1500)},
		{"vm2", "vm1", "", 1401, compile.CanAll, trace.Routed, fmt.Sprintf(sender, "green", 1400)},
		{"vm2", "vm3", "", 1401, compile.CanAll, trace.Switched, fmt.Sprintf(sender, "green", 1400)},
		{"vm1", "vm2", "", 1401, 0, trace.Kernel, ""}, // the switch cannot check packet lengths
	} {
		w, err := trace.Find(x, trace.Query{From: tt.from, To: tt.to, Router: tt.router, Packet: trace.Packet{Proto: 17, Size: tt.size, TTL: 64}})
		if err != nil {
			t.Fatal(err)
		}
		if w.Router != nil {
			ports := make(compile.Ports)
			for i := range w.Router.Interfaces {
				f := &w.Router.Interfaces[i]
				ports[f.PatchName()], ports[f.TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
			}
			w.Follow(x, compile.Compile(x, w.Router, compile.Facts{Ports: ports, Can: tt.can}), ports)
		}
		_, got, found := strings.Cut(w.Says(), "; but ")
		if found {
			got = "; but " + got
		}
		if w.Verdict != tt.verdict || got != tt.want {
			t.Errorf("%s to %s, %d bytes: %s, %q; want %s, %q", tt.from, tt.to, tt.size, w.Verdict, w.Says(), tt.verdict, tt.want)
		}
	}
}
