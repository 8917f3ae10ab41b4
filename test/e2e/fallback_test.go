package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A machine that is not in the file is reachable: the kernel routes packets to it, and the switch
// routes its own packets.
func TestUndeclaredMachineIsReachedThroughTheNamespace(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	vm9 := s.plug(vm("vm9", "10.0.2.99"))
	blue, green := s.recordIn(netns, blueTap, isIPv4), s.recordIn(netns, greenTap, isIPv4)
	at := record(t, vm9, all(came, echo("", "")))
	pingTTL(t, vm1, vm9.IP(), 63)
	await(t, blue, "the request that enters the router", all(came, echo(vm1.IP(), vm9.IP())))
	await(t, green, "the request that leaves the router", echo(vm1.IP(), vm9.IP()))
	if p := await(t, at, "the request", echo("", "")); p.eth.SrcMAC.String() != greenMAC || p.ip.TTL != 63 {
		t.Errorf("the request came from %v with TTL %d", p.eth.SrcMAC, p.ip.TTL)
	}
	pingTTL(t, vm9, vm1.IP(), 63)
	seen(t, green, "green's tap", 0, "packets from vm9", all(came, isIPv4))
}

// If no machine has an address, the router answers host unreachable.
func TestAbsentMachineIsUnreachable(t *testing.T) {
	t.Parallel()
	_, vm1, _ := pair(t)
	r, err := vm1.Ping(t.Context(), "10.0.2.98", lab.PingOptions{Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" ||
		r.Errors[0].Message != "Destination Host Unreachable" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Packets to addresses outside of all subnets go through the namespace: the kernel
// routes north/south traffic.
func TestOutsideIsReachedThroughTheNamespace(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.sh("", `
		ip netns add outside
		ip -n outside link set lo up
		ip link add up0 netns `+netns+` type veth peer name up1 netns outside
		ip -n `+netns+` addr add 198.51.100.1/24 dev up0
		ip -n `+netns+` link set up0 up
		ip -n outside addr add 198.51.100.10/24 dev up1
		ip -n outside link set up1 up
		ip -n outside route add 10.0.0.0/16 via 198.51.100.1`)
	tap, uplink := s.recordIn(netns, blueTap, isIPv4), s.recordIn(netns, "up0", isIPv4)
	pingTTL(t, vm1, "198.51.100.1", 64)
	pingTTL(t, vm1, "198.51.100.10", 63)
	for what, c := range map[string]*lab.Capture{"the tap": tap, "the uplink": uplink} {
		await(t, c, "the request at "+what, echo(vm1.IP(), "198.51.100.10"))
		await(t, c, "the reply at "+what, echoReply("198.51.100.10", vm1.IP()))
	}
	r, err := s.PingIn(t.Context(), "outside", vm2.IP(), lab.PingOptions{Wait: patience})
	if err != nil || r.Replies[0].TTL != 63 {
		t.Errorf("from outside: %+v, %v", r, err)
	}
	// Without a route vm1 gets an ICMP error.
	r, err = vm1.Ping(t.Context(), "203.0.113.1", lab.PingOptions{Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" ||
		r.Errors[0].Message != "Destination Net Unreachable" {
		t.Errorf("without a route: %+v, %v", r, err)
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	s.settle() // a foreign link in the namespace is no problem
}

// A router with fallback none routes packets, answers ARP and pings, and drops
// all other packets. It has no tap and no namespace.
func TestFallbackNoneDrops(t *testing.T) {
	t.Parallel()
	s := ready(t, strings.Replace(twoNetworks, "id: r1\n", "id: r1\n    fallback: none\n", 1))
	vm1, vm2, vm9 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm9", "10.0.2.99"))
	at := record(t, vm9, all(came, func(f lab.Frame) bool { return isIPv4(f) || isARP(f) }))
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm2, vm1.IP(), 63)
	pingTTL(t, vm1, "10.0.1.1", 64)
	pingTTL(t, vm1, "10.0.2.1", 64)
	for _, dst := range []string{vm9.IP(), "198.51.100.1"} {
		if r := unreachable(t, vm1, dst); len(r.Errors) > 0 {
			t.Errorf("%s: %+v", dst, r.Errors)
		}
	}
	if r, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{TTL: 1, Wait: shortly}); !errors.Is(err, lab.ErrNoReply) || len(r.Errors) > 0 {
		t.Errorf("TTL 1: %+v, %v", r, err)
	}
	// Packets to vm9 would have arrived before this ping from its own network.
	pingTTL(t, vm2, vm9.IP(), 64)
	seen(t, at, "vm9", 0, "packets from vm1", echo(vm1.IP(), vm9.IP()))
	seen(t, at, "vm9", 0, "requests of the router", func(f lab.Frame) bool {
		p := decode(f)
		return p.eth.SrcMAC.String() == greenMAC && p.arp != nil
	})
	if got := s.vsctl("list-ports", bridge); got != "pr-r1-blue\npr-r1-green" {
		t.Errorf("the bridge has the ports %q", got)
	}
	if got := s.sh("", "ls /run/netns; ip -brief link | grep -c qr- || true"); got != "vm1\nvm2\nvm9\n0\n" {
		t.Errorf("there are namespaces or taps: %q", got)
	}
}

// A router that loses its fallback loses its tap and namespace, and gets them back,
// without losing packets.
func TestFallbackChanges(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	const big = 3000 // sent in fragments, which only the kernel answers
	ping(t, vm1, "10.0.2.1", lab.PingOptions{Size: big})
	s.reload(strings.Replace(twoNetworks, "id: r1\n", "id: r1\n    fallback: none\n", 1))
	pingTTL(t, vm1, vm2.IP(), 63)
	if r, err := vm1.Ping(t.Context(), "10.0.2.1", lab.PingOptions{Size: big, Wait: shortly}); !errors.Is(err, lab.ErrNoReply) {
		t.Errorf("%+v, %v", r, err)
	}
	if got := s.sh("", "ls /run/netns"); got != "vm1\nvm2\n" {
		t.Errorf("namespaces: %q", got)
	}
	s.reload(twoNetworks)
	pingTTL(t, vm1, vm2.IP(), 63)
	ping(t, vm1, "10.0.2.1", lab.PingOptions{Size: big})
}

// A change of a network's MTU reaches the tap.
func TestMTUChanges(t *testing.T) {
	t.Parallel()
	s := ready(t, strings.Replace(twoNetworks, "vlan: 2", "vlan: 2, mtu: 1400", 1))
	s.reload(strings.Replace(twoNetworks, "vlan: 2", "vlan: 2, mtu: 1300", 1))
	if got := s.sh(netns, "ip -o link show "+greenTap); !strings.Contains(got, "mtu 1300 ") {
		t.Errorf("after a change: %q", got)
	}
}
