package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The switch routes packets of an extra route through a port, also for a part of a connected
// subnet: the longest prefix wins. Without the port, the kernel routes in the same way.
func TestExtraRoutes(t *testing.T) {
	t.Parallel()
	s, vm1, _ := written(t)
	// vm2 is the next hop to 10.9.0.5, and to 10.0.1.200, which is a part of blue.
	s.sh("vm2", "ip addr add 10.9.0.5/32 dev lo; ip addr add 10.0.1.200/32 dev lo")
	const router = `{"interfaces": [
		{"id": "r1-blue", "network": "blue", "mac": "02:00:00:00:01:01", "addresses": ["10.0.1.1/24"]},
		{"id": "r1-green", "network": "green", "mac": "02:00:00:00:02:01", "addresses": ["10.0.2.1/24"]}],
		"routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.2.10"}, {"destination": "10.0.1.192/26", "nexthop": "10.0.2.10"}]}`
	s.aged(bridge)
	flows := s.flows(bridge)
	s.must(200, "PUT", "/v1/routers/r1"+applied, router)
	s.settle()
	if err := untouched(flows, s.flows(bridge), nil); err != nil {
		t.Error(err)
	}
	tap := s.recordIn(netns, blueTap, isIPv4)
	pingTTL(t, vm1, "10.9.0.5", 63)
	seen(t, tap, "the tap", 0, "the packets by the route", echo("", "10.9.0.5"))
	s.sh("vm1", "ip route add 10.0.1.200/32 via 10.0.1.1") // otherwise vm1 would resolve the address on its own network
	pingTTL(t, vm1, "10.0.1.200", 63)
	seen(t, tap, "the tap", 0, "the packets to the extra route inside blue", echo("", "10.0.1.200"))
	if got := s.sh(netns, "ip route show proto 253"); got != "10.0.1.192/26 via 10.0.2.10 dev qr-r1-green \n10.9.0.0/16 via 10.0.2.10 dev qr-r1-green \n" {
		t.Errorf("the namespace has the routes %q", got)
	}
	mustHave(t, s.ofdvr(0, "flows", "r1"), "sends packets for route 10.9.0.0/16 to its next hop behind interface r1-green")

	// Without the port only the kernel can find the next hop.
	s.must(200, "DELETE", "/v1/ports/vm2"+applied, "")
	turns(t, s, vm1, "10.9.0.5", tap, "the packet to the extra route at the tap", echo(vm1.IP(), "10.9.0.5"))
	s.sh(netns, "ip route del 10.9.0.0/16")
	s.eventually("the route to be restored", func() error {
		if got := s.sh(netns, "ip route show proto 253"); !strings.Contains(got, "10.9.0.0/16") {
			return errors.New(got)
		}
		return nil
	})
	s.must(201, "PUT", "/v1/ports/vm2"+applied, `{"network": "green", "mac": "02:00:00:00:02:10", "addresses": ["10.0.2.10"]}`)
	s.eventually("the packets to the extra route to bypass the tap", func() error {
		tap := s.recordIn(netns, blueTap, isIPv4)
		pingTTL(t, vm1, "10.9.0.5", 63)
		if err := tap.Sync(within(t)); err != nil {
			return err
		}
		if n := tap.Count(echo("", "10.9.0.5")); n > 0 {
			return fmt.Errorf("the tap saw %d", n)
		}
		return nil
	})

	s.must(200, "PUT", "/v1/topology"+applied, bluegreen)
	s.settle()
	if got := s.sh(netns, "ip route show proto 253"); got != "" {
		t.Errorf("routes are left: %q", got)
	}
}

// The same with IPv6: one next hop, several next hops, a part of a connected subnet, a blackhole
// route, and an unreachable route.
func TestExtraRoutesIPv6(t *testing.T) {
	t.Parallel()
	s := ready(t, strings.Replace(dualStack, "ports:", `    routes:
      - {destination: "fd09::/64", nexthop: "fd00:2::10"}
      - {destination: "fd10::/64", nexthops: [{address: "fd00:2::10"}, {address: "fd00:2::11"}]}
      - {destination: "fd00:1::8000/113", nexthop: "fd00:2::10"}
      - {destination: "fd09:0:0:1::/64", type: blackhole}
      - {destination: "fd09:0:0:2::/64", type: reject}
ports:
  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: ["fd00:2::11"]}`, 1))
	vm1, vm2, vm3 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10")), s.plug(dual("vm3", "10.0.2.11"))
	for _, vm := range []string{vm2.Name, vm3.Name} { // vm3 is a next hop of fd10::/64 only
		s.sh(vm, `for a in fd09::5 fd00:1::8005 $(seq -f fd10::%g 1 20); do ip addr add $a/128 dev lo; done`)
	}
	s.sh(vm1.Name, "ip route add fd00:1::8005/128 via fd00:1::1") // otherwise vm1 would resolve the address on its own network
	tap := s.recordIn(netns, blueTap, isIPv6)
	at := map[string]*lab.Capture{vm2.Name: record(t, vm2, came), vm3.Name: record(t, vm3, came)}
	pingTTL(t, vm1, "fd09::5", 63)
	pingTTL(t, vm1, "fd00:1::8005", 63)
	for i := range 20 {
		pingTTL(t, vm1, fmt.Sprintf("fd10::%d", i+1), 63)
	}
	for vm, c := range at {
		if err := c.Sync(within(t)); err != nil {
			t.Fatal(err)
		}
		if n := c.Count(all(echo6("", ""), sentTo(map[string]string{vm2.Name: vm2.MAC, vm3.Name: vm3.MAC}[vm]))); n == 0 || vm == vm3.Name && n == 20 {
			t.Errorf("next hop %s got %d of the packets", vm, n)
		}
	}
	if r, err := vm1.Ping(t.Context(), "fd09:0:0:1::1", lab.PingOptions{Wait: shortly}); !errors.Is(err, lab.ErrNoReply) || len(r.Errors) > 0 {
		t.Errorf("ping to the blackhole route: %+v, %v", r, err)
	}
	seen(t, tap, "blue's tap", 0, "packets by routes", echo6("", ""))
	r, err := vm1.Ping(t.Context(), "fd09:0:0:2::1", lab.PingOptions{Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "fd00:1::1" {
		t.Errorf("ping to the unreachable route: %+v, %v", r, err)
	}
}

// sentTo is true for frames to a MAC address. It excludes frames that br-int floods to
// all ports.
func sentTo(mac string) condition {
	return func(f lab.Frame) bool { return decode(f).eth.DstMAC.String() == mac }
}
