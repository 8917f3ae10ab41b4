package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// sixNetworks is twoNetworks with IPv6.
var sixNetworks = strings.NewReplacer("[10.0.1.1/24]", `[10.0.1.1/24, "fd00:1::1/64"]`, "[10.0.2.1/24]", `[10.0.2.1/24, "fd00:2::1/64"]`).Replace(twoNetworks)

// noticed waits until the daemon has examined the namespace after the call. It changes a setting,
// and waits until the daemon has restored it.
func (s *site) noticed() {
	s.t.Helper()
	s.sh(netns, "echo 0 >/proc/sys/net/ipv4/ip_forward")
	s.eventually("the daemon to examine the namespace", func() error {
		if s.sysctl("net/ipv4/ip_forward") != "1" {
			return fmt.Errorf("not examined yet")
		}
		return nil
	})
}

func (s *site) othersRoutes() string {
	s.t.Helper()
	return s.sh(netns, "(ip route show table all; ip -6 route show table all) | grep -v 'proto kernel\\|proto 253' | sed 's/ linkdown//; s/ *$//' | sort")
}

// Routes that an operator has added to a router's namespace survive each change of the
// interfaces, and restarts of Open vSwitch. This includes default routes and routes in other
// tables.
func TestForeignRoutesSurvive(t *testing.T) {
	t.Parallel()
	s := ready(t, sixNetworks)
	s.sh(netns, `
		ip route add default via 10.0.1.254 dev `+blueTap+`
		ip route add 10.9.0.0/24 via 10.0.1.254 metric 7 mtu 1400
		ip route add default via 10.0.2.254 table 100
		ip -6 route add default via fd00:1::ff dev `+blueTap+`
		ip -6 route add fd09::/64 via fe80::9 dev `+greenTap+` table 100`)
	before := s.othersRoutes()
	s.noticed()
	machine := s.plug(vm("vm1", "10.0.1.10"))
	check := func(what string) {
		t.Helper()
		s.eventually("the foreign routes to be restored after "+what, func() error {
			if d := diff(before, s.othersRoutes()); d != "" {
				return fmt.Errorf("%s", d)
			}
			return nil
		})
		for _, r := range s.status().Routers {
			if len(r.Problems) > 0 {
				t.Errorf("after %s: %q", what, r.Problems)
			}
		}
	}
	with := func(old, now string) string { return strings.Replace(sixNetworks, old, now, 1) }
	for _, change := range []struct{ what, topology string }{
		{"a longer prefix", with("10.0.1.1/24", "10.0.1.1/25")},
		{"another address", with("10.0.1.1/24", "10.0.1.2/24")},
		{"another IPv6 address", with("fd00:1::1/64", "fd00:1::2/64")},
		{"another IPv6 prefix", with("fd00:1::1/64", "fd00:1::1/56")},
		{"another MAC", with("02:00:00:00:01:01", "02:00:00:00:01:99")},
		{"another MTU", with("vlan: 1", "vlan: 1, mtu: 1400")},
		{"down", with("network: blue, mac", "network: blue, admin_state: down, mac")},
		{"the first topology again", sixNetworks},
	} {
		s.reload(change.topology)
		if change.what != "down" {
			check(change.what)
		}
	}
	pingTTL(t, machine, "10.0.1.1", 64)

	s.sh("", "ovs-appctl -t ovs-vswitchd exit --cleanup")
	<-s.Switch().Done()
	s.eventually("the taps to be removed", func() error {
		if got := s.sh(netns, "ip -o link"); strings.Contains(got, blueTap) {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	check("ovs-vswitchd's exit --cleanup")
	s.Switch().Kill()
	<-s.Switch().Done()
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	check("a crash of ovs-vswitchd")
	s.sh("", "ip -n "+netns+" link del "+greenTap)
	s.eventually("the tap to be made again", func() error { return lacks(s.sh(netns, "ip -o link"), greenTap) })
	s.settle()
	check("a tap that was deleted")
	s.sh(netns, "ip link set "+blueTap+" down")
	s.eventually("the tap to be up", func() error { return lacks(s.sh(netns, "ip -o link show "+blueTap), ",UP") })
	check("a tap that was set down")

	// A route that an operator removes is not restored.
	s.sh(netns, "ip route del 10.9.0.0/24")
	s.noticed()
	before = s.othersRoutes()
	s.reload(with("10.0.1.1/24", "10.0.1.1/25"))
	check("a route's removal")
}

// A route that cannot be restored is reported until another route replaces it.
func TestLostRouteIsReported(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.sh(netns, "ip route add default via 10.0.1.254")
	s.noticed()
	s.sh("", "ovs-appctl -t ovs-vswitchd exit --cleanup")
	<-s.Switch().Done()
	s.write(strings.NewReplacer("10.0.1.1/24", "10.0.7.1/24", "10.0.1.10", "10.0.7.10").Replace(twoNetworks))
	s.eventually("the topology to be loaded", func() error { return lacks(s.ofdvr(0, "export"), "10.0.7.1/24") })
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	const problem = "route default via 10.0.1.254 dev qr-r1-blue of another program in namespace qrouter-r1 was lost when tap qr-r1-blue changed, and cannot be restored: network is unreachable"
	s.eventually("the status to name the lost route", func() error { return lacks(fmt.Sprint(s.status().Routers[0].Problems), problem) })
	mustHave(t, s.ofdvr(1, "doctor"), "PROBLEM  router r1: "+problem)
	s.sh(netns, "ip route add default via 10.0.7.254")
	s.settle()
	if lab.Datapath() == lab.Userspace {
		s.ofdvr(0, "doctor")
	}
}
