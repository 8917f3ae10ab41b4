package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// manyNames returns a topology of two routers, ra and rb, with n pairs of networks. Both interfaces
// of pair i belong to the router owner(i), so that the pair's machines reach each other.
func manyNames(n int, owner func(i int) string) string {
	var networks, ports strings.Builder
	interfaces := map[string]*strings.Builder{"ra": {}, "rb": {}}
	for i := range n {
		for side := range 2 {
			net := fmt.Sprintf("n%d%c", i, 'a'+side)
			subnet := fmt.Sprintf("10.%d.%d", i+1, side)
			fmt.Fprintf(&networks, "  - {id: %s, vlan: %d}\n", net, 10+2*i+side)
			fmt.Fprintf(interfaces[owner(i)], "      - {id: %s, network: %s, mac: \"02:00:00:%02x:%02x:01\", addresses: [%s.1/24]}\n",
				strings.Repeat(fmt.Sprintf("%c%d", 'k'+i, side), 1+i), net, i, side, subnet)
			fmt.Fprintf(&ports, "  - {id: m%s, network: %s, mac: \"02:00:00:%02x:%02x:10\", addresses: [%s.10]}\n", net, net, i, side, subnet)
		}
	}
	out := "networks:\n" + networks.String() + "routers:\n"
	for _, r := range []string{"ra", "rb"} {
		out += "  - id: " + r + "\n    interfaces:\n" + interfaces[r].String()
	}
	return strings.ReplaceAll(out, "    interfaces:\n  -", "  -") + "ports:\n" + ports.String()
}

// Patch ports that move to another bridge work there. Open vSwitch would leave them without a peer
// if they moved in one transaction.
func TestPortsMoveToAnotherBridge(t *testing.T) {
	t.Parallel()
	const pairs = 5
	s := ready(t, manyNames(pairs, func(int) string { return "ra" }))
	var from, to []*lab.Machine
	for i := range pairs {
		for side := range 2 {
			m := s.plug(lab.MachineConfig{Name: fmt.Sprintf("mn%d%c", i, 'a'+side), VLAN: uint16(10 + 2*i + side),
				MAC: fmt.Sprintf("02:00:00:%02x:%02x:10", i, side), Addresses: []string{fmt.Sprintf("10.%d.%d.10/24", i+1, side)},
				Gateways: []string{fmt.Sprintf("10.%d.%d.1", i+1, side)}})
			if side == 0 {
				from = append(from, m)
			} else {
				to = append(to, m)
			}
		}
	}
	works := func(what string) {
		t.Helper()
		for i := range pairs {
			if r, err := from[i].Ping(t.Context(), to[i].IP(), lab.PingOptions{Wait: 2 * time.Second}); err != nil || r.Received == 0 {
				t.Errorf("%s: pair %d: no reply (%v)", what, i, err)
			}
		}
	}
	works("at first")
	s.reload(manyNames(pairs, func(i int) string { return "rb" }))
	works("interfaces moved to another router")

	s.reload(strings.Replace(manyNames(pairs, func(int) string { return "rb" }), "- id: rb\n", "- id: rb\n    bridge: {name: routing}\n", 1))
	works("routing bridge renamed")

	s.stop()
	s.vsctl("add-br", "br-new", "--", "set", "bridge", "br-new", "datapath_type="+lab.Datapath())
	for i := range pairs {
		for _, m := range []*lab.Machine{from[i], to[i]} {
			s.vsctl("del-port", m.Name, "--", "add-port", "br-new", m.Name, fmt.Sprintf("tag=%d", m.VLAN))
		}
	}
	s.serve("--integration-bridge", "br-new")
	s.settle()
	works("integration bridge renamed")
}
