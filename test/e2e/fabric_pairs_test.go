package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Three hosts together route like one host. The tests share a fleet, which they do not change.
func TestFabric(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, pairs)
	t.Run("EveryPair", f.everyPair)
	t.Run("OneAnswer", f.oneAnswer)
	t.Run("Errors", f.nearErrors)
	t.Run("Gratuitous", f.gratuitous)
}

const ndCrosses = "solicitations of machines on other hosts cross the underlay: the datapath cannot write the options of an advertisement"

// everyPair sends packets from each machine to each other machine. The sender's own host routes
// them. They arrive once, only at their destination, with the gateway's MAC address and a TTL less
// by one. They pass no third host. No request for a MAC address leaves a host.
func (f *fleet) everyPair(t *testing.T) {
	seen := f.watch(t, isProbe)
	asked := f.watch(t, f.inside(isRequest))
	type pair struct {
		from, to string
		version  int // index of the address
	}
	var sent []pair
	arrives := make(map[int]string)
	for range 2 { // when the second round has arrived, copies of the first round have arrived too
		for _, from := range f.names() {
			for _, to := range f.names() {
				for i := range f.ends[from].udp {
					if from == to {
						continue
					}
					number := len(sent)
					sent = append(sent, pair{from, to, i})
					arrives[number] = to
					f.send(t, from, to, i, number)
				}
			}
		}
		seen.arrive(arrives)
	}
	all := seen.sightings()
	for number, p := range sent {
		want := []string{p.from + " sent", p.to + " got"}
		if a, b := p.from[1], p.to[1]; a != b {
			want = append(want, fmt.Sprintf("h%c sent", a), fmt.Sprintf("h%c got", b))
		}
		slices.Sort(want)
		if got := places(all[number]); !slices.Equal(got, want) {
			t.Errorf("a packet from %s to %s (address %d) was seen at %v, want %v", p.from, p.to, p.version, got, want)
		}
		for _, s := range all[number] {
			if err := f.routed(s, p.from, p.to); err != nil {
				t.Errorf("a packet from %s to %s (address %d), where %s it: %v", p.from, p.to, p.version, s.where, err)
			}
		}
	}
	onKernel := lab.OnKernel(t, ndCrosses)
	for i, link := range asked.links {
		seen0(t, link, fmt.Sprintf("the link of h%d", i+1), f.inside(func(f lab.Frame) bool { return isARP(f) || !onKernel }))
	}
}

// isRequest is true for multicast requests for MAC addresses. It is false for the unicast requests
// by which machines check their neighbour entries.
func isRequest(f lab.Frame) bool {
	return isGroup(f) && (isARP(f) || icmp6(layers.ICMPv6TypeNeighborSolicitation, "", "")(f))
}

func isGroup(f lab.Frame) bool { return f.Data[0]&1 == 1 }

// routed checks the headers of a packet between two machines, except at the sender.
func (f *fleet) routed(s sighting, from, to string) error {
	if f.tagged {
		return f.routedTagged(s, from, to)
	}
	frame, vni := s.frame, uint32(0)
	if s.where[0] == 'h' {
		inside, v, ok := unwrap(s.frame)
		if !ok {
			return fmt.Errorf("it is not in a tunnel: %v", s.frame.Packet())
		}
		frame, vni = inside, v
		if want := uint32(5001 + f.network(to)); vni != want {
			return fmt.Errorf("VNI %d, want %d", vni, want)
		}
	} else if s.where == from+" sent" {
		return nil
	}
	p := frame.Packet()
	src, ttl := f.machines[from].MAC, 64
	if from[0] != to[0] {
		src, ttl = gatewayMAC(f.network(to)), 63
	}
	got := 0
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		got = int(ip.TTL)
	case *layers.IPv6:
		got = int(ip.HopLimit)
	}
	eth := p.LinkLayer().(*layers.Ethernet)
	if eth.SrcMAC.String() != src || eth.DstMAC.String() != f.machines[to].MAC || got != ttl {
		return fmt.Errorf("from %v to %v with TTL %d, want from %s to %s with %d", eth.SrcMAC, eth.DstMAC, got, src, f.machines[to].MAC, ttl)
	}
	return nil
}

// oneAnswer sends requests for each gateway, and for a machine on another host, from one machine on
// each host. The machine gets one answer, from its own host.
func (f *fleet) oneAnswer(t *testing.T) {
	onKernel := lab.OnKernel(t, ndCrosses)
	seen := f.watch(t, isProbe)
	under := f.watch(t, f.inside(func(f lab.Frame) bool { return !isProbe(f) }))
	number := 0
	for _, name := range []string{"b11", "g21", "b31"} {
		m, n := f.machines[name], f.network(name)+1
		far := f.machines[name[:1]+map[byte]string{'1': "21", '2': "31", '3': "11"}[name[1]]]
		gw4, gw6 := fmt.Sprintf("10.0.%d.1", n), fmt.Sprintf("fd00:%d::1", n)
		far4, far6 := address(far.MachineConfig, 0), address(far.MachineConfig, 1)
		ip4, ip6 := address(m.MachineConfig, 0), address(m.MachineConfig, 1)
		cases := []struct {
			what   string
			ask    func()
			answer condition
		}{
			{"an ARP request", func() { ask(t, m, broadcast, ip4, gw4) }, arpFor(layers.ARPReply, gw4)},
			{"a unicast ARP request", func() { ask(t, m, gatewayMAC(n-1), ip4, gw4) }, arpFor(layers.ARPReply, gw4)},
			{"an ARP probe", func() { ask(t, m, broadcast, "0.0.0.0", gw4) }, arpFor(layers.ARPReply, gw4)},
			{"a solicitation", func() {
				solicit(t, m, solicitation{src: ip6, dst: "ff02::1:ff00:1", to: "33:33:ff:00:00:01", target: gw6, option: true})
			}, advertised(gw6)},
			{"a unicast solicitation", func() {
				solicit(t, m, solicitation{src: ip6, dst: gw6, to: gatewayMAC(n - 1), target: gw6, option: true})
			}, advertised(gw6)},
			{"a duplicate address's solicitation", func() {
				solicit(t, m, solicitation{src: "::", dst: "ff02::1:ff00:1", to: "33:33:ff:00:00:01", target: gw6})
			}, advertised(gw6)},
			{"an echo request", func() { sendEcho(t, m, gatewayMAC(n-1), gw4, 1, 64) }, echoReply(gw4, ip4)},
			{"an echo request to the far gateway", func() { sendEcho(t, m, gatewayMAC(n-1), fmt.Sprintf("10.0.%d.1", 3-n), 1, 64) }, echoReply("", ip4)},
			{"an IPv6 echo request", func() { sendEcho6(t, m, gatewayMAC(n-1), gw6) }, icmp6(layers.ICMPv6TypeEchoReply, gw6, ip6)},
			{"an ARP request for a machine", func() { ask(t, m, broadcast, ip4, far4) }, arpFor(layers.ARPReply, far4)},
			{"an ARP probe for a machine", func() { ask(t, m, broadcast, "0.0.0.0", far4) }, arpFor(layers.ARPReply, far4)},
			{"a solicitation of a machine", func() {
				solicit(t, m, solicitation{src: ip6, dst: group6(far6), to: groupMAC6(far6), target: far6, option: true})
			}, advertised(far6)},
			{"a duplicate address's solicitation of a machine", func() {
				solicit(t, m, solicitation{src: "::", dst: group6(far6), to: groupMAC6(far6), target: far6})
			}, advertised(far6)},
		}
		if onKernel {
			cases = cases[:len(cases)-2]
		}
		for _, c := range cases {
			if !t.Run(name+", "+c.what, func(t *testing.T) {
				at := record(t, m, all(came, c.answer))
				c.ask()
				await(t, at, "the answer", c.answer)
				number += 2
				f.send(t, name, far.Name, 0, number) // arrives after copies of the request
				seen.arrive(map[int]string{number: far.Name})
				f.send(t, far.Name, name, 0, number+1) // arrives after copies of the answer
				seen.arrive(map[int]string{number + 1: name})
				seen1(t, at, name, c.answer)
				for i, link := range under.links {
					others := f.inside(func(f lab.Frame) bool {
						return involves(f, gw4, gw6) || isGroup(f) && (involves(f, far4) || !onKernel && involves(f, far6))
					})
					seen0(t, link, fmt.Sprintf("the link of h%d", i+1), others)
				}
			}) {
				return // the other requests would wait just as long
			}
		}
	}
}

// nearErrors sends packets with a TTL that expires. The gateway on the sender's host answers, and
// no packet leaves the host.
func (f *fleet) nearErrors(t *testing.T) {
	seen := f.watch(t, isProbe)
	echoes := f.watch(t, f.inside(func(f lab.Frame) bool { return f.Packet().Layer(layers.LayerTypeICMPv4) != nil || echo6("", "")(f) }))
	for number, pair := range [][2]string{{"b11", "g21"}, {"g21", "b31"}, {"b31", "g11"}} {
		from, to := f.machines[pair[0]], f.machines[pair[1]]
		for i, gateway := range []string{"10.0.%d.1", "fd00:%d::1"} {
			gateway = fmt.Sprintf(gateway, f.network(pair[0])+1)
			r, err := from.Ping(t.Context(), address(to.MachineConfig, i), lab.PingOptions{TTL: 1, Wait: patience})
			if err == nil || len(r.Errors) != 1 || r.Errors[0].From != gateway {
				t.Errorf("%s pinged %s with TTL 1: %+v, %v", from.Name, to.Name, r, err)
			}
		}
		f.send(t, pair[0], pair[1], 0, number)
		seen.arrive(map[int]string{number: pair[1]})
	}
	for i, link := range echoes.links {
		seen0(t, link, fmt.Sprintf("the link of h%d", i+1), func(lab.Frame) bool { return true })
	}
}

// advertised is true for an advertisement of an address.
func advertised(target string) condition {
	return func(f lab.Frame) bool {
		na, ok := f.Packet().Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
		return ok && na.TargetAddress.String() == target
	}
}

// group6 returns the solicited-node multicast address of addr (RFC 4291 §2.7.1). groupMAC6 returns
// its Ethernet address.
func group6(addr string) string {
	a := netip.MustParseAddr(addr).As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}).String()
}

func groupMAC6(addr string) string {
	a := netip.MustParseAddr(addr).As16()
	return net.HardwareAddr{0x33, 0x33, 0xff, a[13], a[14], a[15]}.String()
}

func seen1(t *testing.T, c *lab.Capture, where string, match condition) {
	t.Helper()
	seen(t, c, where, 1, "answers", match)
}

func seen0(t *testing.T, c *lab.Capture, where string, match condition) {
	t.Helper()
	seen(t, c, where, 0, "requests and answers", match)
}

// involves is true for a frame with one of addrs as an address or as a requested address.
func involves(f lab.Frame, addrs ...string) bool {
	is := func(ips ...net.IP) bool {
		return slices.ContainsFunc(ips, func(ip net.IP) bool { return slices.Contains(addrs, ip.String()) })
	}
	for _, l := range f.Packet().Layers() {
		switch l := l.(type) {
		case *layers.ARP:
			return is(l.SourceProtAddress, l.DstProtAddress)
		case *layers.IPv4:
			return is(l.SrcIP, l.DstIP)
		case *layers.ICMPv6NeighborSolicitation:
			return is(l.TargetAddress)
		case *layers.ICMPv6NeighborAdvertisement:
			return is(l.TargetAddress)
		case *layers.IPv6:
			if is(l.SrcIP, l.DstIP) {
				return true
			}
		}
	}
	return false
}

// sendEcho6 sends an ICMPv6 echo request to dst, in a frame to the Ethernet address hop.
func sendEcho6(t *testing.T, from *lab.Machine, hop, dst string) {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP(address(from.MachineConfig, 1)), DstIP: net.ParseIP(dst)}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	send(t, from, &layers.Ethernet{SrcMAC: mac(from.MAC), DstMAC: mac(hop), EthernetType: layers.EthernetTypeIPv6},
		ip, icmp, &layers.ICMPv6Echo{Identifier: 7, SeqNumber: 1}, gopacket.Payload(make([]byte, 56)))
}
