package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Packets to the router itself reach it, even if its address is inside an extra route. The test
// uses TCP and fragmented pings, which flows do not answer.
func TestRouterInsideAnExtraRoute(t *testing.T) {
	t.Parallel()
	s := ready(t, strings.Replace(dualStack, "ports:", `    routes:
      - {destination: 10.0.1.0/29, nexthop: 10.0.2.10}
      - {destination: "fd00:1::/125", nexthop: "fd00:2::10"}
ports:`, 1))
	vm1, vm2 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10"))
	at := record(t, vm2, func(f lab.Frame) bool { return came(f) && (isIPv4(f) || isIPv6(f)) })
	for _, own := range []string{"10.0.1.1", "fd00:1::1"} {
		for _, from := range []*lab.Machine{vm1, vm2} { // vm2 pings an address of another interface of the router
			if err := carries(t, from, from.Host, netns, netip.AddrPortFrom(netip.MustParseAddr(own), 0), netip.AddrPort{}, patience); err != nil {
				t.Errorf("TCP from %s to %s: %v", from.Name, own, err)
			}
			ping(t, from, own, lab.PingOptions{Size: 4000})
			pingTTL(t, from, own, 64)
		}
	}
	seen(t, at, "vm2", 0, "packets from vm1", func(f lab.Frame) bool {
		p := decode(f)
		return p.ip != nil && p.ip.SrcIP.String() == vm1.IP()
	})
	mustHave(t, s.ofdvr(0, "flows", "r1"), "sends packets for addresses of interface r1-blue itself to the kernel")
	mustHave(t, s.ofdvr(0, "trace", "--from", "vm2", "--to", "10.0.1.1", "--proto", "tcp"), "sends packets for addresses of interface r1-blue itself to the kernel")
}

// The metadata service at a link-local address of the namespace is reachable, although the default
// route leads to a machine.
func TestMetadataBesideADefaultRoute(t *testing.T) {
	lab.Needs(t, "nft")
	t.Parallel()
	s := ready(t, strings.Replace(twoNetworks, "ports:", `    routes:
      - {destination: 0.0.0.0/0, nexthop: 10.0.2.10}
ports:`, 1))
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.sh(vm2.Name, "ip addr add 198.51.100.9/32 dev lo")
	s.sh(netns, `nft add table ip nat
nft add chain ip nat pre '{ type nat hook prerouting priority -100; }'
nft add rule ip nat pre ip daddr 169.254.169.254 tcp dport 80 redirect to :9697`)
	if err := carries(t, vm1, vm1.Host, netns, netip.MustParseAddrPort("0.0.0.0:9697"), netip.MustParseAddrPort("169.254.169.254:80"), patience); err != nil {
		t.Errorf("metadata: %v", err)
	}
	transfer(t, vm1, vm2, "198.51.100.9")
}

// A change is a change of the namespace by another program that routes one address
// differently.
type change struct{ add, remove, to string }

// Flows respect changes of the namespace by other programs, as Linux does. The changes are longer
// routes inside an extra route or a connected subnet, addresses, and policy rules before the main
// table. The changes take effect at once and last until they are removed. A starting daemon leaves
// them unchanged.
func TestForeignRoutesInTheNamespace(t *testing.T) {
	t.Parallel()
	s := ready(t, strings.Replace(dualStack, "ports:", `    routes:
      - {destination: 10.9.0.0/16, nexthop: 10.0.2.10}
      - {destination: "fd09::/32", nexthop: "fd00:2::10"}
ports:`, 1))
	vm1, vm2 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10"))
	s.sh(vm2.Name, `for a in 10.9.1.1/32 10.9.2.1/32 10.9.3.1/32 10.9.4.1/32 10.0.2.77/32 fd09:0:1::1/128 fd09:0:2::1/128 fd09:0:4::1/128 fd00:2::77/128
do ip addr add $a dev lo; done`)
	s.reload(strings.Replace(strings.Replace(dualStack, `"fd00:2::10"]`, `"fd00:2::10", 10.0.2.77, "fd00:2::77"]`, 1), "ports:", `    routes:
      - {destination: 10.9.0.0/16, nexthop: 10.0.2.10}
      - {destination: "fd09::/32", nexthop: "fd00:2::10"}
ports:`, 1))
	changes := []change{
		{"ip route add blackhole 10.9.1.0/24", "ip route del 10.9.1.0/24", "10.9.1.1"},
		{"ip route add unreachable 10.9.2.1/32 metric 50", "ip route del 10.9.2.1/32", "10.9.2.1"},
		{"ip route add prohibit 10.0.2.64/26", "ip route del 10.0.2.64/26", "10.0.2.77"},
		{"ip addr add 10.9.3.1/32 dev lo", "ip addr del 10.9.3.1/32 dev lo", "10.9.3.1"},
		{"ip route add blackhole default table 100; ip rule add pref 100 from 10.0.1.0/24 to 10.9.4.0/24 lookup 100", "ip rule del pref 100; ip route flush table 100", "10.9.4.1"},
		{"ip -6 route add blackhole fd09:0:1::/64", "ip -6 route del fd09:0:1::/64", "fd09:0:1::1"},
		{"ip -6 addr add fd09:0:2::1/128 dev lo", "ip -6 addr del fd09:0:2::1/128 dev lo", "fd09:0:2::1"},
		{"ip -6 route add unreachable fd00:2::40/122", "ip -6 route del fd00:2::40/122", "fd00:2::77"},
		{"ip -6 rule add pref 100 to fd09:0:4::/64 prohibit", "ip -6 rule del pref 100", "fd09:0:4::1"},
	}
	tap := s.recordIn(netns, blueTap, func(f lab.Frame) bool { return came(f) && (isIPv4(f) || isIPv6(f)) })
	byKernel := func(c change) error {
		before := tap.Count(echoTo(c.to))
		vm1.Ping(t.Context(), c.to, lab.PingOptions{Wait: shortly})
		if err := tap.Sync(within(t)); err != nil {
			return err
		}
		if tap.Count(echoTo(c.to)) == before {
			return fmt.Errorf("no packet to %s reached the kernel, although a foreign route applies", c.to)
		}
		return nil
	}
	byFlow := func(c change) error {
		before := tap.Count(echoTo(c.to))
		if _, err := vm1.Ping(t.Context(), c.to, lab.PingOptions{Wait: shortly}); err != nil {
			return fmt.Errorf("ping %s: %w", c.to, err)
		}
		if err := tap.Sync(within(t)); err != nil {
			return err
		}
		if tap.Count(echoTo(c.to)) != before {
			return fmt.Errorf("a packet to %s reached the kernel, although no foreign route applies", c.to)
		}
		return nil
	}
	all := func(what string, f func(change) error) {
		t.Helper()
		for _, c := range changes {
			s.eventually(what+": "+c.add, func() error { return f(c) })
		}
	}
	all("flows to route", byFlow)
	plain := s.flows(bridge)
	for _, c := range changes {
		s.sh(netns, c.add)
	}
	all("the kernel to decide after", byKernel)
	mustHave(t, s.ofdvr(0, "flows", "r1"), "sends packets to the kernel that the namespace of router r1 routes differently", "sends packets for other addresses in the namespace of router r1 to the kernel")
	mustHave(t, s.ofdvr(0, "trace", "--from", "vm1", "--to", "10.9.1.1"), "that the namespace of router r1 routes differently")
	if _, err := s.Ofdvr(t.Context(), "trace", "--from", "vm1", "--to", "10.9.1.1", "--verify"); err != nil {
		t.Error(err)
	}

	mustHave(t, s.ofdvr(0, "doctor"), "namespace qrouter-r1 has 2 addresses, 6 routes and 2 policy rules of other programs")

	s.aged(bridge)
	flows := s.flows(bridge)
	s.daemon.Kill()
	s.serve()
	s.settle()
	mustBeUntouched(t, flows, s.flows(bridge))
	all("packets to reach the kernel after a restart of the daemon, with", byKernel)

	for _, c := range changes {
		s.sh(netns, c.remove)
	}
	all("flows to route again", byFlow)
	s.settle()
	for key := range s.flows(bridge).flows {
		if _, ok := plain.flows[key]; !ok && !strings.HasPrefix(key, "table=7,priority=20,") { // flows of neighbours
			t.Errorf("a flow is left: %s", key)
		}
	}
}

// echoTo is true for echo requests of both versions to an address.
func echoTo(to string) condition {
	return func(f lab.Frame) bool { return echo("", to)(f) || echo6("", to)(f) }
}

// The daemon can read the routes of a namespace without the database. If it starts without the
// database, it keeps the flows to the kernel, and follows changes of the routes.
func TestForeignRoutesWithoutDatabase(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	known := func(prefix string, want bool) {
		t.Helper()
		s.eventually(fmt.Sprintf("a flow for %s: %v", prefix, want), func() error {
			if got := s.flows(bridge).find("table=2", "nw_dst="+prefix+" ") != nil; got != want {
				return fmt.Errorf("found: %v", got)
			}
			return nil
		})
	}
	s.sh(netns, "ip route add blackhole 10.0.2.64/27")
	known("10.0.2.64/27", true)
	s.aged(bridge)
	flows := s.flows(bridge)
	s.daemon.Kill()
	s.serve("--ovsdb", "unix:/run/openvswitch/nowhere.sock") // Open vSwitch itself does nothing without its database
	s.sh(netns, "ip route add blackhole 10.0.2.96/27")
	known("10.0.2.96/27", true)
	if err := untouched(flows, s.flows(bridge), nil); err != nil {
		t.Error(err)
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	s.sh(netns, "ip route del 10.0.2.64/27")
	known("10.0.2.64/27", false)
	s.daemon.Kill()
	s.serve()
	s.settle()
	known("10.0.2.96/27", true)
}

// If a routing daemon adds many routes to a namespace, they do not fill the switch. One flow sends
// all packets of the extra route around them to the kernel, and the status reports this. If a
// foreign route replaces a route of the router, this is logged once.
func TestManyForeignRoutes(t *testing.T) {
	t.Parallel()
	const routes = `    routes:
      - {destination: 10.9.0.0/16, nexthop: 10.0.2.10}
ports:`
	s := ready(t, strings.Replace(twoNetworks, "ports:", routes, 1))
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.sh(vm2.Name, "ip addr add 10.9.200.1/32 dev lo")
	problem := func(text string) {
		t.Helper()
		s.eventually("the status to say: "+text, func() error {
			if st := s.status(); st.Settled || !strings.Contains(strings.Join(st.Routers[0].Problems, "\n"), text) {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	}
	fill := func(verb string) {
		s.sh(netns, `for i in $(seq 0 4); do for j in $(seq 1 201); do echo "route `+verb+` blackhole 10.9.$i.$j/32"; done; done | ip -batch -`)
	}
	plain := len(s.flows(bridge).flows)
	fill("add")
	problem("has more than 1000 routes of other programs inside 10.9.0.0/16")
	mustHave(t, s.ofdvr(1, "doctor"), "has more than 1000 routes of other programs inside 10.9.0.0/16")
	s.eventually("one flow to replace the flows of all foreign routes", func() error {
		if n := len(s.flows(bridge).flows); n != plain+1 {
			return fmt.Errorf("the switch has %d flows, and had %d", n, plain)
		}
		return nil
	})
	tap := s.recordIn(netns, blueTap, isIPv4)
	turns(t, s, vm1, "10.9.200.1", tap, "a packet to another address of the extra route at the tap", echo(vm1.IP(), "10.9.200.1"))
	fill("del")
	s.settle()

	s.sh(netns, "ip route add 10.10.0.0/16 via 10.0.1.77")
	s.write(strings.Replace(twoNetworks, "ports:", strings.Replace(routes, "ports:", "      - {destination: 10.10.0.0/16, nexthop: 10.0.2.10}\nports:", 1), 1))
	s.signal(syscall.SIGHUP)
	problem("another program has a route to that destination")
	for i := range 3 { // the namespace is read again for each address
		s.sh(netns, fmt.Sprintf("ip addr add 10.9.9.%d/32 dev lo", i+1))
		s.eventually("the address to be seen", func() error {
			if s.flows(bridge).find(fmt.Sprintf("nw_dst=10.9.9.%d ", i+1)) == nil {
				return errors.New("no flow for it")
			}
			return nil
		})
	}
	if n := strings.Count(s.daemon.Log(), "could not set up namespace"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	s.sh(netns, "ip route del 10.10.0.0/16 via 10.0.1.77")
	s.settle()
}
