package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// announce sends a gratuitous ARP reply, as arping -A does on a machine that has a new address.
func announce(t *testing.T, m *lab.Machine, ip string) {
	t.Helper()
	send(t, m,
		&layers.Ethernet{SrcMAC: mac(m.MAC), DstMAC: mac(broadcast), EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation:       layers.ARPReply,
			SourceHwAddress: mac(m.MAC), SourceProtAddress: ip4(ip),
			DstHwAddress: mac(m.MAC), DstProtAddress: ip4(ip),
		},
		gopacket.Payload(make([]byte, 18))) // Ethernet's minimum
}

// announce6 is announce for IPv6: an advertisement to all nodes (RFC 4861 §7.2.6).
func announce6(t *testing.T, m *lab.Machine, addr string) {
	t.Helper()
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP(addr), DstIP: net.ParseIP("ff02::1")}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborAdvertisement, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	const override = 0x20
	send(t, m, &layers.Ethernet{SrcMAC: mac(m.MAC), DstMAC: mac("33:33:00:00:00:01"), EthernetType: layers.EthernetTypeIPv6}, ip, icmp,
		&layers.ICMPv6NeighborAdvertisement{Flags: override, TargetAddress: net.ParseIP(addr),
			Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: mac(m.MAC)}}})
}

// arpOf is true for an ARP packet with these addresses of the sender and the target.
func arpOf(operation uint16, sender, target string) condition {
	return func(f lab.Frame) bool {
		a := decode(f).arp
		return a != nil && a.Operation == operation && net.IP(a.SourceProtAddress).String() == sender && net.IP(a.DstProtAddress).String() == target
	}
}

// gratuitous sends, from a machine on each host, the packets by which machines announce their own
// addresses and look for duplicates. The machine gets no answer. Announcements reach each other
// machine of its network once, and no other machine. The rest does not leave the host, which knows the
// machine.
func (f *fleet) gratuitous(t *testing.T) {
	about := f.watch(t, func(f lab.Frame) bool {
		if inside, _, ok := unwrap(f); ok {
			f = inside
		}
		return isARP(f) || icmp6(layers.ICMPv6TypeNeighborSolicitation, "", "")(f) || icmp6(layers.ICMPv6TypeNeighborAdvertisement, "", "")(f)
	})
	seen := f.watch(t, isProbe)
	number := 0
	for _, name := range []string{"b11", "g21", "b31"} {
		m := f.machines[name]
		ip4, ip6 := address(m.MachineConfig, 0), address(m.MachineConfig, 1)
		for _, c := range []struct {
			what    string
			send    func()
			match   condition
			crosses bool
		}{
			{"a gratuitous ARP request", func() { ask(t, m, broadcast, ip4, ip4) }, arpOf(layers.ARPRequest, ip4, ip4), false},
			{"an ARP probe", func() { ask(t, m, broadcast, "0.0.0.0", ip4) }, arpOf(layers.ARPRequest, "0.0.0.0", ip4), false},
			{"a gratuitous ARP reply", func() { announce(t, m, ip4) }, arpOf(layers.ARPReply, ip4, ip4), true},
			{"duplicate address detection", func() {
				solicit(t, m, solicitation{src: "::", dst: group6(ip6), to: groupMAC6(ip6), target: ip6})
			}, all(icmp6(layers.ICMPv6TypeNeighborSolicitation, "::", ""), func(f lab.Frame) bool { return involves(f, ip6) }), false},
			{"an unsolicited advertisement", func() { announce6(t, m, ip6) }, all(isGroup, advertised(ip6)), true},
		} {
			t.Run(name+", "+c.what, func(t *testing.T) {
				c.send()
				for _, other := range f.names() { // packets on the same paths, and on those of answers, which arrive later
					if other != name && other[0] == name[0] {
						f.send(t, name, other, 0, number)
						seen.arrive(map[int]string{number: other})
						f.send(t, other, name, 0, number+1)
						seen.arrive(map[int]string{number + 1: name})
						number += 2
					}
				}
				for at, capture := range about.machines {
					want := 0
					if at != name && at[0] == name[0] && (c.crosses || at[1] == name[1]) {
						want = 1
					}
					seenCopies(t, capture, at, want, all(came, c.match))
				}
				for i, link := range about.links {
					want := 0
					if host := byte('1' + i); c.crosses && host == name[1] {
						want = len(f.hosts) - 1
						if f.tagged {
							want = 1
						}
					} else if c.crosses {
						want = 1
					}
					seenCopies(t, link, fmt.Sprintf("the link of h%d", i+1), want, f.inside(c.match))
				}
				seen0(t, about.machines[name], name, all(came, func(f lab.Frame) bool { // another machine that has the address
					a := decode(f).arp
					return a != nil && net.IP(a.SourceProtAddress).String() == ip4 || advertised(ip6)(f)
				}))
			})
		}
	}
}

func seenCopies(t *testing.T, c *lab.Capture, where string, want int, match condition) {
	t.Helper()
	seen(t, c, where, want, "copies", match)
}

// An address that no port has moves from a machine to one on another host, which announces it. The
// caches of machines and namespaces on all hosts follow, without a request.
func TestAnnouncedAddress(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, strings.Fields("b11 b21 b31 g31"))
	const shared = "10.0.1.99"
	h3 := f.hosts[2]
	for _, owner := range []string{"b11", "b21"} {
		m := f.machines[owner]
		if owner == "b21" {
			lab.Run(t, f.machines["b11"], "ip", "address", "del", shared+"/24", "dev", f.machines["b11"].Interface)
		}
		lab.Run(t, m, "ip", "address", "add", shared+"/24", "dev", m.Interface)
		caches := map[string]func() (string, error){
			"b31":              func() (string, error) { return f.machines["b31"].Run(t.Context(), "ip", "neigh", "show", shared) },
			"the namespace h3": func() (string, error) { return h3.Run(t.Context(), "ip", "-n", netns, "neigh", "show", shared) },
		}
		if owner == "b21" {
			announce(t, m, shared)
			for where, read := range caches {
				lab.Eventually(t, patience, where+" to know the new owner", func() error {
					out, err := read()
					if err == nil && !strings.Contains(out, m.MAC) {
						err = errors.New("its cache has " + out)
					}
					return err
				})
			}
		}
		pingTTL(t, f.machines["b31"], shared, 64)
		pingTTL(t, f.machines["g31"], shared, 63)
		for where, read := range caches {
			if out, err := read(); err != nil || !strings.Contains(out, m.MAC) {
				t.Errorf("%s has %q, %v; want %s", where, out, err, m.MAC)
			}
		}
	}
}
