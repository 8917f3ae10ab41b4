package compile

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Each change causes the expected announcements. The first intent causes no announcement.
func TestOwners(t *testing.T) {
	leg := func(id, network string, last byte, addresses ...string) routing.Interface {
		f := routing.Interface{ID: id, Network: network, MAC: ofproto.MAC{2, 0, 0, 0, 0, last}}
		for _, a := range addresses {
			f.Addresses = append(f.Addresses, netip.MustParsePrefix(a))
		}
		return f
	}
	down := func(f routing.Interface) routing.Interface { f.Down = true; return f }
	router := func(id string, legs ...routing.Interface) routing.Router {
		return routing.Router{ID: id, Bridge: routing.Bridge{Managed: true}, Interfaces: legs}
	}
	var o Owners
	for i, tt := range []struct {
		routers []routing.Router
		want    string
	}{
		{[]routing.Router{router("r1", leg("a", "n1", 1, "10.0.1.1/24", "fd00::1/64"), leg("b", "n2", 2, "10.0.2.1/24"))}, ""},
		{[]routing.Router{router("r1", leg("a", "n1", 1, "10.0.1.1/25", "fd00::1/64", "10.0.1.3/24"), leg("b", "n2", 2, "10.0.2.1/24"))}, ""},
		{[]routing.Router{router("r1", leg("a", "n1", 1, "10.0.1.1/24", "fd00::1/64"), leg("b", "n2", 3, "10.0.2.1/24"))},
			"r1: b pr-b 10.0.2.1 02:00:00:00:00:03"},
		{[]routing.Router{router("r1", leg("a", "n1", 4, "10.0.1.1/24", "fd00::1/64"), leg("b", "n2", 3, "10.0.2.1/24"))},
			"r1: a pr-a 10.0.1.1 02:00:00:00:00:04, a pr-a fd00::1 02:00:00:00:00:04, a pr-a fe80::ff:fe00:1 02:00:00:00:00:04"},
		// Three cases: an interface is deleted and added with another MAC address; the same
		// while it is down; another interface takes over the IP address.
		{[]routing.Router{router("r1", leg("a", "n1", 4, "10.0.1.1/24", "fd00::1/64"))}, ""},
		{[]routing.Router{router("r1", leg("a", "n1", 4, "10.0.1.1/24", "fd00::1/64"), down(leg("b", "n2", 5, "10.0.2.1/24")))}, ""},
		{[]routing.Router{router("r1", leg("a", "n1", 4, "10.0.1.1/24", "fd00::1/64"), leg("b", "n2", 5, "10.0.2.1/24"))},
			"r1: b pr-b 10.0.2.1 02:00:00:00:00:05"},
		{[]routing.Router{router("r1", leg("a", "n1", 4, "10.0.1.9/24"), leg("b", "n2", 5, "10.0.2.1/24")), router("r2", leg("c", "n1", 6, "10.0.1.1/24", "fd00::1/64"))},
			"r2: c pr-c 10.0.1.1 02:00:00:00:00:06, c pr-c fd00::1 02:00:00:00:00:06"}, // a still has the link-local address
		{[]routing.Router{router("r2", leg("c", "n2", 6, "10.0.1.1/24"))}, ""}, // another network
	} {
		m := routing.Model{Networks: []routing.Network{{ID: "n1", MTU: 1500}, {ID: "n2", MTU: 1500}}, Routers: tt.routers}
		var got []string
		moved := o.Update(routing.NewIndex(&m))
		for _, id := range []string{"r1", "r2"} {
			var words []string
			for _, a := range moved[id] {
				words = append(words, fmt.Sprint(a.Interface, " ", a.Port, " ", a.Address, " ", a.MAC))
			}
			if slices.Sort(words); len(words) > 0 {
				got = append(got, id+": "+strings.Join(words, ", "))
			}
		}
		if s := strings.Join(got, "; "); s != tt.want {
			t.Errorf("%d: %s\nwant %s", i, s, tt.want)
		}
	}
}

// The number of addresses that Owners keeps for deleted interfaces is bounded.
func TestOwnersForget(t *testing.T) {
	var o Owners
	for i := range 3 * forgetful {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		f := routing.Interface{ID: "a", Network: "n1", MAC: ofproto.MAC{2}, Addresses: []netip.Prefix{netip.PrefixFrom(a, 24)}}
		o.Update(routing.NewIndex(&routing.Model{Networks: []routing.Network{{ID: "n1"}}, Routers: []routing.Router{{ID: "r1", Interfaces: []routing.Interface{f}}}}))
		if n := len(o.macs); n > forgetful+3 {
			t.Fatalf("%d addresses are remembered", n)
		}
	}
}

// The frames comply with RFC 5227 and RFC 4861, and have correct checksums.
func TestAnnouncementFrames(t *testing.T) {
	mac := ofproto.MAC{2, 0, 0, 0, 1, 1}
	p := gopacket.NewPacket(Announcement{Address: netip.MustParseAddr("10.0.1.1"), MAC: mac}.Frame(), layers.LayerTypeEthernet, gopacket.Default)
	eth, _ := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	arp, _ := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if eth == nil || arp == nil || eth.DstMAC.String() != "ff:ff:ff:ff:ff:ff" || eth.SrcMAC.String() != mac.String() || arp.Operation != layers.ARPRequest ||
		net.HardwareAddr(arp.SourceHwAddress).String() != mac.String() || net.IP(arp.SourceProtAddress).String() != "10.0.1.1" ||
		net.IP(arp.DstProtAddress).String() != "10.0.1.1" || len(p.Data()) != 60 {
		t.Errorf("%v", p)
	}
	p = gopacket.NewPacket(Announcement{Address: netip.MustParseAddr("fd00::1"), MAC: mac}.Frame(), layers.LayerTypeEthernet, gopacket.Default)
	eth, _ = p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	ip, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	na, _ := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if eth == nil || ip == nil || na == nil || eth.DstMAC.String() != "33:33:00:00:00:01" || ip.HopLimit != 255 || ip.SrcIP.String() != "fd00::1" ||
		ip.DstIP.String() != "ff02::1" || !na.Override() || !na.Router() || na.Solicited() || na.TargetAddress.String() != "fd00::1" ||
		len(na.Options) != 1 || na.Options[0].Type != layers.ICMPv6OptTargetAddress || net.HardwareAddr(na.Options[0].Data).String() != mac.String() {
		t.Errorf("%v", p)
	}
	icmp := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	icmp.SetNetworkLayerForChecksum(ip)
	buf, was := gopacket.NewSerializeBuffer(), icmp.Checksum
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true}, icmp, gopacket.Payload(icmp.Payload)); err != nil || icmp.Checksum != was {
		t.Errorf("checksum %#x, want %#x, %v", was, icmp.Checksum, err)
	}
}
