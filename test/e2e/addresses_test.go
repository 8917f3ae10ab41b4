package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// with returns twoNetworks with the first occurrence of old replaced by new.
func with(old, new string) string { return strings.Replace(twoNetworks, old, new, 1) }

// If one port has an allowed address, the switch routes to it. If two ports with different MAC
// addresses have it, the kernel resolves it, because it may move between them.
func TestAllowedAddresses(t *testing.T) {
	t.Parallel()
	const vip = "10.0.2.100"
	one := with("addresses: [10.0.2.10]}", "addresses: [10.0.2.10], allowed_address_pairs: [{address: "+vip+"}]}")
	s := ready(t, one)
	vm1, vm2, vm3 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm3", "10.0.2.11"))
	s.sh(vm2.Name, "ip addr add "+vip+"/24 dev eth0")
	blue := s.recordIn(netns, blueTap, came)
	pingTTL(t, vm1, vip, 63)
	seen(t, blue, "blue's tap", 0, "packets to the allowed address", echo("", vip))

	s.reload(one + `  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11], allowed_address_pairs: [{address: ` + vip + "}]}\n")
	turns(t, s, vm1, vip, blue, "a packet to the allowed address at the tap", echo(vm1.IP(), vip))
	at := record(t, vm3, all(came, echo("", vip)))
	s.sh(vm2.Name, "ip addr del "+vip+"/24 dev eth0")
	s.sh(vm3.Name, "ip addr add "+vip+"/24 dev eth0")
	s.sh(netns, "ip neigh flush to "+vip) // the test replaces VRRP, which would announce the move
	pingTTL(t, vm1, vip, 63)
	await(t, at, "the packet at vm3", echo(vm1.IP(), vip))
}

// No packet is lost when an address moves from one port to another, or when a port
// gets a new MAC address.
func TestAddressMovesWithoutAGap(t *testing.T) {
	t.Parallel()
	s, vm1, _ := written(t)
	vm3 := s.plug(vm("vm3", "10.0.2.11"))
	s.sh(vm3.Name, "ip addr add 10.0.2.50/24 dev eth0")
	s.sh("vm2", "ip addr add 10.0.2.50/24 dev eth0")
	port := func(id, mac, addrs string) string {
		return `{"id": "` + id + `", "network": "green", "mac": "02:00:00:00:02:` + mac + `", "addresses": [` + addrs + `]}`
	}
	s.must(200, "PATCH", "/v1/topology"+applied, `{"put": {"ports": [`+port("vm2", "10", `"10.0.2.10", "10.0.2.50"`)+`, `+port("vm3", "11", `"10.0.2.11"`)+`]}}`)
	tap := s.recordIn(netns, blueTap, all(came, echo("", "10.0.2.50")))
	traffic := startStream(t, vm1, "10.0.2.50")
	for range 5 {
		s.must(200, "PATCH", "/v1/topology"+applied, `{"put": {"ports": [`+port("vm3", "11", `"10.0.2.11", "10.0.2.50"`)+`, `+port("vm2", "10", `"10.0.2.10"`)+`]}}`)
		s.must(200, "PATCH", "/v1/topology"+applied, `{"put": {"ports": [`+port("vm2", "10", `"10.0.2.10", "10.0.2.50"`)+`, `+port("vm3", "11", `"10.0.2.11"`)+`]}}`)
	}
	for range 5 { // the address moves to the other port and back
		s.must(200, "PATCH", "/v1/topology"+applied, `{"put": {"ports": [`+port("vm2", "11", `"10.0.2.50"`)+`]}, "delete": {"ports": ["vm3"]}}`)
		s.must(200, "PATCH", "/v1/topology"+applied, `{"put": {"ports": [`+port("vm2", "10", `"10.0.2.50"`)+`, `+port("vm3", "11", "")+`]}}`)
	}
	traffic.mustBeWhole()
	seen(t, tap, "the tap", 0, "packets in between", echo("", "10.0.2.50"))
}

// Flows route no packets to a port that is down or unbound, and no packets into or out of an
// interface that is down.
func TestDownForwardsNothing(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	for _, state := range []string{"admin_state: down", "bound: false"} {
		s.reload(with("addresses: [10.0.2.10]}", "addresses: [10.0.2.10], "+state+"}"))
		if got := s.flows(bridge).find("nw_dst=10.0.2.10 "); len(got) > 0 {
			t.Errorf("%s: %v", state, got)
		}
	}
	s.reload(with("addresses: [10.0.2.1/24]}", "addresses: [10.0.2.1/24], admin_state: down}"))
	if got := s.flows(bridge).find("02:00:00:00:02:01"); len(got) > 0 {
		t.Errorf("flows of an interface that is down: %v", got)
	}
	r, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" || r.Errors[0].Message != "Destination Net Unreachable" {
		t.Errorf("%+v, %v", r, err)
	}
	s.reload(twoNetworks)
	pingTTL(t, vm1, vm2.IP(), 63)
}

// The kernel routes between address scopes.
func TestAddressScopes(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	tap := s.recordIn(netns, blueTap, came)
	pingTTL(t, vm1, vm2.IP(), 63)
	seen(t, tap, "blue's tap", 0, "packets", echo("", ""))
	s.reload(with("vlan: 2}", "vlan: 2, ipv4_address_scope: elsewhere}"))
	turns(t, s, vm1, vm2.IP(), tap, "the packet at the tap", echo(vm1.IP(), vm2.IP()))
	s.sh(netns, "ip rule add pref 1 iif "+blueTap+" to 10.0.2.0/24 blackhole") // a policy rule for traffic between scopes
	unreachable(t, vm1, vm2.IP())
	s.sh(netns, "ip rule del pref 1") // the rule would also apply within a scope
	s.reload(strings.ReplaceAll(with("vlan: 2}", "vlan: 2, ipv4_address_scope: elsewhere}"), "vlan: 1}", "vlan: 1, ipv4_address_scope: elsewhere}"))
	pingTTL(t, vm1, vm2.IP(), 63)
}

// A blackhole route drops packets silently. An unreachable route drops them with an ICMP error.
func TestBlackholeAndReject(t *testing.T) {
	t.Parallel()
	s := ready(t, with("ports:", `    routes:
      - {destination: 10.8.0.0/16, type: blackhole}
      - {destination: 10.9.0.0/16, type: reject}
      - {destination: 10.0.2.128/25, type: blackhole}
ports:`))
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	tap := s.recordIn(netns, blueTap, came)
	for _, to := range []string{"10.8.1.1", "10.0.2.200"} {
		if r := unreachable(t, vm1, to); len(r.Errors) > 0 {
			t.Errorf("%s: %+v", to, r.Errors)
		}
	}
	seen(t, tap, "blue's tap", 0, "packets to the blackhole route", echo("", ""))
	r, err := vm1.Ping(t.Context(), "10.9.1.1", lab.PingOptions{Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" || r.Errors[0].Message != "Destination Host Unreachable" {
		t.Errorf("%+v, %v", r, err)
	}
}
