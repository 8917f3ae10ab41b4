package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The namespace translates the address of a service to the address of a server on another network.
// The server's reply has to take the same path back. On the fast path, the reply would bypass the
// translation, and the client would ignore it. So operators turn the fast path off for the server,
// its network, or the route to it.
func TestFastPathOff(t *testing.T) {
	lab.Needs(t, "nft")
	t.Parallel()
	const routes = `    routes:
      - {destination: 10.9.0.0/16, nexthop: 10.0.2.10}
      - {destination: "fd09::/32", nexthop: "fd00:2::10"}
ports:`
	with := func(old, new string) string {
		topology := strings.Replace(dualStack, "ports:", routes, 1)
		if !strings.Contains(topology, old) {
			t.Fatalf("no %s in the topology", old)
		}
		return strings.ReplaceAll(topology, old, new)
	}
	s := ready(t, with("", ""))
	vm1, vm2 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10"))
	s.sh(vm2.Name, "ip addr add 10.9.0.5/32 dev lo; ip addr add fd09::5/128 dev lo")
	s.sh(netns, `for v in ip ip6; do nft add table $v nat; nft add chain $v nat pre '{ type nat hook prerouting priority -100; }'; done
nft add rule ip nat pre ip daddr 192.0.2.1 dnat to 10.0.2.10
nft add rule ip nat pre ip daddr 192.0.2.2 dnat to 10.9.0.5
nft add rule ip6 nat pre ip6 daddr 2001:db8::1 dnat to fd00:2::10
nft add rule ip6 nat pre ip6 daddr 2001:db8::2 dnat to fd09::5`)
	type service struct{ address, server string }
	services := func(n string) []service {
		return map[string][]service{
			"vm2":    {{"192.0.2.1", "10.0.2.10"}, {"2001:db8::1", "fd00:2::10"}},
			"behind": {{"192.0.2.2", "10.9.0.5"}, {"2001:db8::2", "fd09::5"}},
		}[n]
	}
	call := func(sv service, wait time.Duration) error {
		return carries(t, vm1, vm1.Host, vm2.Name, netip.AddrPortFrom(netip.MustParseAddr(sv.server), 8080), netip.AddrPortFrom(netip.MustParseAddr(sv.address), 8080), wait)
	}
	taps := s.recordIn(netns, greenTap, func(f lab.Frame) bool { return came(f) && (isIPv4(f) || isIPv6(f)) })
	for _, tt := range []struct {
		name, old, new string
		works, fails   []service
	}{
		{"on", "", "", nil, append(services("vm2"), services("behind")...)},
		{"port", `addresses: [10.0.2.10, "fd00:2::10"]`, `addresses: [10.0.2.10, "fd00:2::10"], fast_path: off`, append(services("vm2"), services("behind")...), nil},
		{"network", "id: green, vlan: 2", "id: green, vlan: 2, fast_path: off", append(services("vm2"), services("behind")...), nil},
		{"route", `.10}`, `.10, fast_path: off}`, services("behind")[:1], services("vm2")[:1]},
		{"route, IPv6", `nexthop: "fd00:2::10"}`, `nexthop: "fd00:2::10", fast_path: off}`, services("behind")[1:], services("vm2")[1:]},
	} {
		s.reload(with(tt.old, tt.new))
		for _, sv := range tt.works {
			if err := call(sv, patience); err != nil {
				t.Errorf("case %q: connection to %s: %v", tt.name, sv.address, err)
			}
		}
		for _, sv := range tt.fails {
			if err := call(sv, shortly); err == nil {
				t.Errorf("case %q: the connection to %s works, so docs/limits.md is wrong", tt.name, sv.address)
			}
		}
		if len(tt.fails) > 0 && len(tt.works) > 0 { // checks that other traffic keeps its fast path
			pingTTL(t, vm1, vm2.IP(), 63)
			seen(t, taps, "green's tap", 0, "replies of vm2", echoReply(vm2.IP(), vm1.IP()))
		}
	}
	s.reload(with("id: green, vlan: 2", "id: green, vlan: 2, fast_path: off"))
	mustHave(t, s.ofdvr(0, "flows", "r1"), "its fast_path is off")
	mustHave(t, s.ofdvr(0, "trace", "--from", "vm1", "--to", "vm2", "--verify"), "its fast_path is off")
	mustHave(t, s.ofdvr(0, "describe", "network", "green"), "Fast path:   off")
	mustHave(t, s.ofdvr(0, "get", "networks", "-o", "yaml"), `fast_path: "off"`)
	mustHave(t, s.ask("GET", "/v1/networks/green", "").text, `"fast_path":"off"`)
}
