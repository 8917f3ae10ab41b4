package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A packet routed between two networks arrives with its TTL decremented, from the
// router's MAC address on the destination network.
func TestRoutedPacketHasTheRoutersMAC(t *testing.T) {
	t.Parallel()
	_, vm1, vm2 := pair(t)
	for _, c := range []struct {
		from, to *lab.Machine
		egress   string
	}{{vm1, vm2, greenMAC}, {vm2, vm1, blueMAC}} {
		at := record(t, c.to, all(came, echo("", "")))
		for _, r := range ping(t, c.from, c.to.IP(), lab.PingOptions{Count: 3}).Replies {
			if r.TTL != 63 {
				t.Errorf("%s to %s: reply %d has TTL %d, want 63", c.from.Name, c.to.Name, r.Seq, r.TTL)
			}
		}
		p := await(t, at, "the request", echo(c.from.IP(), c.to.IP()))
		if p.eth.SrcMAC.String() != c.egress || p.eth.DstMAC.String() != c.to.MAC || p.ip.TTL != 63 {
			t.Errorf("%s received the packet from %v to %v with TTL %d, want from %s to %s with TTL 63",
				c.to.Name, p.eth.SrcMAC, p.eth.DstMAC, p.ip.TTL, c.egress, c.to.MAC)
		}
		seen(t, at, c.to.Name, 3, "the requests", echo("", ""))
	}
}

// The kernel's IP stack does not see packets that the switch routes.
func TestRoutedPacketsDoNotReachTheTap(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	taps := map[*lab.Machine]*lab.Capture{
		vm1: s.recordIn(netns, blueTap, isIPv4),
		vm2: s.recordIn(netns, greenTap, isIPv4),
	}
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 5})
	ping(t, vm2, vm1.IP(), lab.PingOptions{Count: 5, Size: 1400})
	iperf(t, vm1, vm2)

	// A packet with expired TTL is the first packet that the tap sees.
	for vm, tap := range taps {
		other := map[*lab.Machine]*lab.Machine{vm1: vm2, vm2: vm1}[vm]
		if _, err := vm.Ping(t.Context(), other.IP(), lab.PingOptions{TTL: 1, Wait: patience}); !errors.Is(err, lab.ErrNoReply) {
			t.Errorf("TTL 1: %v", err)
		}
		await(t, tap, "the packet whose TTL expires", echo(vm.IP(), other.IP()))
		seen(t, tap, "the tap towards "+vm.Name, 1, "packets that came in", came)
	}
}

// iperf sends 64 MB over TCP.
func iperf(t *testing.T, from, to *lab.Machine) {
	t.Helper()
	server, err := to.Start("iperf3", "--server", "--one-off", "--forceflush")
	if err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, patience, "iperf3 to listen", func() error {
		if !strings.Contains(server.Log(), "Server listening") {
			return errors.New(server.Log())
		}
		return nil
	})
	out := lab.Run(t, from, "iperf3", "--client", to.IP(), "--bytes", "64M", "--json")
	var result struct {
		End struct {
			Received struct{ Bytes int64 } `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatalf("iperf3 printed no JSON: %v\n%s", err, out)
	}
	// When the client has sent all data, some may still be in flight, and the server may not read
	// it.
	if result.End.Received.Bytes < 32<<20 {
		t.Errorf("%d bytes arrived\n%s", result.End.Received.Bytes, out)
	}
	if code, err := server.Wait(within(t)); err != nil || code != 0 {
		t.Errorf("the server exited with status %d, %v: %s", code, err, server.Log())
	}
}

// If the TTL of a packet expires at the router, the near gateway answers with time exceeded. A
// packet with a TTL of one more arrives with TTL 1.
func TestTTL(t *testing.T) {
	t.Parallel()
	_, vm1, vm2 := pair(t)
	for _, c := range []struct {
		from, to *lab.Machine
		near     string
	}{{vm1, vm2, "10.0.1.1"}, {vm2, vm1, "10.0.2.1"}} {
		at := record(t, c.to, all(came, echo("", "")))
		r, err := c.from.Ping(t.Context(), c.to.IP(), lab.PingOptions{TTL: 1, Wait: patience})
		if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != c.near ||
			r.Errors[0].Message != "Time to live exceeded" {
			t.Errorf("%s: TTL 1: %+v, %v", c.from.Name, r, err)
		}
		ping(t, c.from, c.to.IP(), lab.PingOptions{TTL: 2})
		if p := await(t, at, "the request", echo("", "")); p.ip.TTL != 1 {
			t.Errorf("%s: a packet sent with TTL 2 arrived with TTL %d, want 1", c.from.Name, p.ip.TTL)
		}
		seen(t, at, c.to.Name, 1, "the requests", echo("", ""))
	}
}

// A machine can ping its gateway and the gateways of other networks.
func TestGatewaysAnswerPing(t *testing.T) {
	t.Parallel()
	_, vm1, vm2 := pair(t)
	for _, from := range []*lab.Machine{vm1, vm2} {
		for _, gateway := range []string{"10.0.1.1", "10.0.2.1"} {
			pingTTL(t, from, gateway, 64)
		}
	}
}

// If br-int floods a frame to another MAC address, it reaches the router, but is not routed.
func TestFramesForOthersAreNotRouted(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	at := record(t, vm2, all(came, echo("", "")))
	tap := s.recordIn(netns, blueTap, all(came, echo("", "")))
	for i, dst := range []string{
		"02:00:00:00:01:77", // no owner
		"02:00:00:00:02:10", // vm2's address on the other network
		greenMAC,            // the router's address on the other network
		broadcast,
		"01:00:5e:00:00:01",
	} {
		sendEcho(t, vm1, dst, vm2.IP(), uint16(i+1), 64)
		// The frame did reach the router's bridge.
		await(t, tap, "the frame for "+dst, numbered(uint16(i+1)))
	}
	sendEcho(t, vm1, blueMAC, vm2.IP(), 100, 64)
	await(t, at, "the frame to the router", numbered(100))
	ping(t, vm1, "10.0.2.1", lab.PingOptions{}) // when this ping is answered, the kernel has handled the earlier frames
	ping(t, vm1, vm2.IP(), lab.PingOptions{})
	seen(t, at, "vm2", 2, "requests", echo(vm1.IP(), vm2.IP()))
}

// All pairs of machines on three networks reach each other: several machines on a
// network, several addresses on a machine, several prefixes on a network.
func TestThreeNetworksAllPairs(t *testing.T) {
	t.Parallel()
	s := ready(t, `
networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2}
  - {id: red, vlan: 3}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
      - {id: r1-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24, 10.0.33.1/24]}
ports:
  - {id: a, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}
  - {id: b, network: blue, mac: "02:00:00:00:01:11", addresses: [10.0.1.11]}
  - {id: c, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10, 10.0.2.20]}
  - {id: d, network: red, mac: "02:00:00:00:03:10", addresses: [10.0.3.10]}
  - {id: e, network: red, mac: "02:00:00:00:03:33", addresses: [10.0.33.10]}
`)
	c := vm("c", "10.0.2.10")
	c.Addresses = append(c.Addresses, "10.0.2.20/24")
	e := lab.MachineConfig{Name: "e", VLAN: 3, MAC: "02:00:00:00:03:33",
		Addresses: []string{"10.0.33.10/24"}, Gateways: []string{"10.0.33.1"}}
	machines := []struct {
		*lab.Machine
		prefix string
	}{
		{s.plug(vm("a", "10.0.1.10")), "10.0.1."},
		{s.plug(vm("b", "10.0.1.11")), "10.0.1."},
		{s.plug(c), "10.0.2."},
		{s.plug(vm("d", "10.0.3.10")), "10.0.3."},
		{s.plug(e), "10.0.33."},
	}
	tap := s.recordIn(netns, "qr-r1-red", all(came, isIPv4))
	for _, from := range machines {
		for _, to := range machines {
			for _, a := range to.Addresses {
				addr := strings.TrimSuffix(a, "/24")
				switch {
				case from == to:
				case from.prefix == to.prefix:
					pingTTL(t, from.Machine, addr, 64)
				case from.VLAN == to.VLAN: // the kernel routes between two prefixes of one interface, see below
				default:
					pingTTL(t, from.Machine, addr, 63)
				}
			}
		}
	}
	// The kernel routes a packet back to the network that it came from.
	d, other := machines[3].Machine, machines[4].Machine
	pingTTL(t, d, other.IP(), 63)
	await(t, tap, "the request", echo(d.IP(), other.IP()))
	await(t, tap, "the reply", echoReply(other.IP(), d.IP()))
	seen(t, tap, "the tap", 2, "packets", isIPv4)
}

// Two routers with the same prefixes, addresses and even MAC addresses are isolated from each
// other.
func TestTwoRoutersAreIsolated(t *testing.T) {
	t.Parallel()
	var networks, routers, ports strings.Builder
	for r := range 2 {
		fmt.Fprintf(&routers, "  - id: r%d\n    interfaces:\n", r)
		for n := 1; n <= 2; n++ {
			fmt.Fprintf(&networks, "  - {id: n%d-%d, vlan: %d}\n", r, n, 10*r+n)
			fmt.Fprintf(&routers, "      - {id: r%d-%d, network: n%d-%d, mac: \"02:00:00:00:%02d:01\", addresses: [10.0.%d.1/24]}\n", r, n, r, n, n, n)
			fmt.Fprintf(&ports, "  - {id: vm%d-%d, network: n%d-%d, mac: \"02:00:00:00:%02d:10\", addresses: [10.0.%d.10]}\n", r, n, r, n, n, n)
		}
	}
	s := ready(t, "networks:\n"+networks.String()+"routers:\n"+routers.String()+"ports:\n"+ports.String())
	type tenant struct {
		vm1, vm2 *lab.Machine
		captures map[string]*lab.Capture
	}
	var tenants []tenant
	for r := range 2 {
		tn := tenant{captures: make(map[string]*lab.Capture)}
		for n := 1; n <= 2; n++ {
			c := vm(fmt.Sprintf("vm%d-%d", r, n), fmt.Sprintf("10.0.%d.10", n))
			c.VLAN = uint16(10*r + n)
			m := s.plug(c)
			tn.captures[m.Name] = record(t, m, all(came, isIPv4))
			tap := fmt.Sprintf("qr-r%d-%d", r, n)
			tn.captures[tap] = s.recordIn(fmt.Sprintf("qrouter-r%d", r), tap, all(came, isIPv4))
			if n == 1 {
				tn.vm1 = m
			} else {
				tn.vm2 = m
			}
		}
		tenants = append(tenants, tn)
	}
	// Each tenant's packets have their own size. No interface of one tenant sees packets of the
	// other, not even packets that the kernel routes.
	size := func(payload int) condition {
		return func(f lab.Frame) bool {
			p := decode(f)
			return p.icmp != nil && (int(p.ip.Length) == payload+28 ||
				p.icmp.TypeCode.Type() == layers.ICMPv4TypeTimeExceeded || p.icmp.TypeCode.Type() == layers.ICMPv4TypeDestinationUnreachable)
		}
	}
	for r, tn := range tenants {
		for _, dst := range []string{"10.0.2.10", "10.0.2.1"} {
			ping(t, tn.vm1, dst, lab.PingOptions{Count: 3, Size: 100 + r})
		}
		ping(t, tn.vm1, "10.0.2.1", lab.PingOptions{Count: 3, Size: 1600 + r}) // sends fragments, which the kernel handles
		ping(t, tn.vm2, "10.0.1.10", lab.PingOptions{Count: 3, Size: 100 + r})
	}
	for r, tn := range tenants {
		for where, c := range tn.captures {
			seen(t, c, where, 0, "the other tenant's packets", size(100+1-r))
		}
		seen(t, tn.captures[tn.vm2.Name], tn.vm2.Name, 3+3, "its own packets", size(100+r))
		tap := tn.captures[fmt.Sprintf("qr-r%d-1", r)]
		seen(t, tap, "the tap", 3, "its own last fragments", lastFragment(1600+r))
		seen(t, tap, "the tap", 0, "the other tenant's last fragments", lastFragment(1600+1-r))
	}
}

// lastFragment is true for the last fragment of an ICMP message with a payload.
func lastFragment(payload int) condition {
	return func(f lab.Frame) bool {
		p := decode(f)
		return p.ip != nil && p.ip.FragOffset > 0 && int(p.ip.FragOffset)*8+int(p.ip.Length)-20 == payload+8
	}
}

// IDs may be UUIDs, as in Neutron.
func TestUUIDs(t *testing.T) {
	t.Parallel()
	const (
		router = "0f0e6e4e-8a3c-4b1f-9d38-5f0a2f1f9b11"
		iface  = "3b2c1d00-1111-4222-8333-944455556666"
	)
	s := ready(t, strings.NewReplacer(
		"id: r1-blue", "id: "+iface,
		"id: r1-green", "id: 4b2c1d00-1111-4222-8333-944455556666",
		"id: r1\n", "id: "+router+"\n",
		"id: vm1", "id: 5b2c1d00-1111-4222-8333-944455556666",
		"id: vm2", "id: 6b2c1d00-1111-4222-8333-944455556666",
		"blue", "7b2c1d00-1111-4222-8333-944455556666",
		"green", "8b2c1d00-1111-4222-8333-944455556666",
	).Replace(twoNetworks))
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm1, "10.0.2.1", 64) // the namespace works too
	if got := s.vsctl("get", "interface", "pi-3b2c1d00-11", "external_ids:iface-id"); got != `"`+iface+`"` {
		t.Errorf("iface-id is %s", got)
	}
	if got := s.sh("qrouter-"+router, "ip -brief link show qr-3b2c1d00-11"); !strings.Contains(got, blueMAC) {
		t.Errorf("the tap is %q", got)
	}
}
