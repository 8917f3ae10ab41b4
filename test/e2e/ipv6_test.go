package e2e

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// dualStack is twoNetworks with IPv6 on the same interfaces.
const dualStack = `
networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24, "fd00:1::1/64"]}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24, "fd00:2::1/64"]}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10, "fd00:1::10"]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10, "fd00:2::10"]}
`

const (
	blueLinkLocal  = "fe80::ff:fe00:101" // of blueMAC
	greenLinkLocal = "fe80::ff:fe00:201"
)

// dual is vm with an additional IPv6 address.
func dual(name, addr string) lab.MachineConfig {
	c := vm(name, addr)
	a := netip.MustParseAddr(addr).As4()
	net6 := netip.AddrFrom16([16]byte{0: 0xfd, 3: a[2], 15: a[3]/10<<4 | a[3]%10})
	c.Addresses = append(c.Addresses, net6.String()+"/64")
	c.Gateways = append(c.Gateways, netip.AddrFrom16([16]byte{0: 0xfd, 3: a[2], 15: 1}).String())
	return c
}

func dualPair(t *testing.T) (s *site, vm1, vm2 *lab.Machine) {
	t.Helper()
	s = ready(t, dualStack)
	return s, s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10"))
}

func isIPv6(f lab.Frame) bool { return f.Packet().Layer(layers.LayerTypeIPv6) != nil }

// icmp6 is true for an ICMPv6 message of a type from src to dst. "" matches any address.
func icmp6(typ uint8, src, dst string) condition {
	return func(f lab.Frame) bool {
		p := f.Packet()
		ip, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		m, _ := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
		return m != nil && m.TypeCode.Type() == typ && (src == "" || ip.SrcIP.String() == src) && (dst == "" || ip.DstIP.String() == dst)
	}
}

func echo6(src, dst string) condition { return icmp6(layers.ICMPv6TypeEchoRequest, src, dst) }

// The switch routes IPv6 and decrements the hop limit. No packet reaches the kernel, not
// even neighbour discovery of the router.
func TestIPv6IsRoutedInTheSwitch(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := dualPair(t)
	blue, green := s.recordIn(netns, blueTap, isIPv6), s.recordIn(netns, greenTap, isIPv6)
	at := record(t, vm2, all(came, echo6("", "")))
	pingTTL(t, vm1, "fd00:2::10", 63)
	pingTTL(t, vm2, "fd00:1::10", 63)
	pingTTL(t, vm1, vm2.IP(), 63)
	f, err := at.Await(within(t), "the request", echo6("fd00:1::10", "fd00:2::10"))
	if err != nil {
		t.Fatal(err)
	}
	if eth, ip := decode(f).eth, f.Packet().Layer(layers.LayerTypeIPv6).(*layers.IPv6); eth.SrcMAC.String() != greenMAC || eth.DstMAC.String() != vm2.MAC || ip.HopLimit != 63 {
		t.Errorf("the request came from %v to %v with hop limit %d", eth.SrcMAC, eth.DstMAC, ip.HopLimit)
	}
	notMulticast := func(f lab.Frame) bool {
		ip := f.Packet().Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		return !ip.DstIP.IsMulticast() && came(f)
	}
	seen(t, blue, "blue's tap", 0, "packets from machines", notMulticast)
	seen(t, green, "green's tap", 0, "packets from machines", notMulticast)
}

// If the hop limit of a packet expires, the near gateway answers.
func TestIPv6HopLimit(t *testing.T) {
	t.Parallel()
	_, vm1, _ := dualPair(t)
	r, err := vm1.Ping(t.Context(), "fd00:2::10", lab.PingOptions{TTL: 1, Wait: patience})
	if err == nil || len(r.Errors) != 1 || r.Errors[0].From != "fd00:1::1" || r.Errors[0].Message != "Time exceeded: Hop limit" {
		t.Errorf("%+v, %v", r, err)
	}
}

// A solicitation is one form of a neighbour solicitation.
type solicitation struct {
	name     string
	src, dst string // addresses of the packet
	to       string // Ethernet address
	target   string
	option   bool // the option with the sender's MAC address

	wantDst, wantMAC string
	solicited        bool
}

var solicitations = []solicitation{
	{"multicast", "fd00:1::10", "ff02::1:ff00:1", "33:33:ff:00:00:01", "fd00:1::1", true, "fd00:1::10", "", true},
	{"unicast", "fd00:1::10", "fd00:1::1", blueMAC, "fd00:1::1", true, "fd00:1::10", "", true},
	{"link-local", "fe80::ff:fe00:110", "ff02::1:ff00:101", "33:33:ff:00:01:01", blueLinkLocal, true, "fe80::ff:fe00:110", "", true},
	{"duplicate address", "::", "ff02::1:ff00:1", "33:33:ff:00:00:01", "fd00:1::1", false, "ff02::1", "33:33:00:00:00:01", false},
}

func solicit(t *testing.T, from *lab.Machine, s solicitation) {
	t.Helper()
	ip := &layers.IPv6{Version: 6, FlowLabel: 0x12345, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP(s.src), DstIP: net.ParseIP(s.dst)}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	ns := &layers.ICMPv6NeighborSolicitation{TargetAddress: net.ParseIP(s.target)}
	if s.option {
		ns.Options = layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: mac(from.MAC)}}
	} else if s.src == "::" { // with a nonce option, as Linux sends it (RFC 7527)
		ns.Options = layers.ICMPv6Options{{Type: 14, Data: []byte{1, 2, 3, 4, 5, 6}}}
	}
	send(t, from, &layers.Ethernet{SrcMAC: mac(from.MAC), DstMAC: mac(s.to), EthernetType: layers.EthernetTypeIPv6}, ip, icmp, ns)
}

var isAdvertisement = icmp6(layers.ICMPv6TypeNeighborAdvertisement, "", "")

// The switch answers solicitations for the router's addresses even while no daemon runs
// and the links in the namespace are down.
func TestSolicitationsAreAnsweredWithoutTheKernel(t *testing.T) {
	t.Parallel()
	s := ready(t, dualStack)
	vm1 := s.plug(dual("vm1", "10.0.1.10"))
	s.stop()
	if !lab.OnKernel(t, "the namespace answers: the datapath cannot write the options of an advertisement") {
		s.sh(netns, "ip link set "+blueTap+" down; ip link set "+greenTap+" down")
	}
	for _, c := range solicitations {
		t.Run(c.name, func(t *testing.T) {
			at := record(t, vm1, all(came, isAdvertisement))
			solicit(t, vm1, c)
			f, err := at.Await(within(t), "the advertisement", isAdvertisement)
			if err != nil {
				t.Fatal(err)
			}
			mustAdvertise(t, f, vm1, c)
		})
	}
}

// mustAdvertise fails the test unless f is the advertisement that answers c.
func mustAdvertise(t *testing.T, f lab.Frame, to *lab.Machine, c solicitation) {
	t.Helper()
	p := f.Packet()
	eth, ip := decode(f).eth, p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	na, _ := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if na == nil {
		t.Fatalf("no advertisement: %v", p)
	}
	wantMAC := c.wantMAC
	if wantMAC == "" {
		wantMAC = to.MAC
	}
	if eth.SrcMAC.String() != blueMAC || eth.DstMAC.String() != wantMAC || ip.SrcIP.String() != c.target || ip.DstIP.String() != c.wantDst || ip.HopLimit != 255 || ip.FlowLabel != 0 {
		t.Errorf("headers are %+v %+v", eth, ip)
	}
	// The kernel omits the option in the answer to a unicast solicitation (RFC 4861,
	// 4.4).
	brief := lab.Datapath() == lab.Kernel && c.to == blueMAC
	if !na.Router() || na.Solicited() != c.solicited || na.Override() == brief || na.TargetAddress.String() != c.target {
		t.Errorf("advertisement is %+v", na)
	}
	var options layers.ICMPv6Options
	if !brief {
		options = layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: mac(blueMAC)}}
	}
	if !reflect.DeepEqual(na.Options, options) {
		t.Errorf("options are %v, want %v", na.Options, options)
	}
	validChecksum(t, p)
}

// validChecksum fails the test unless the ICMPv6 message has the right checksum.
func validChecksum(t *testing.T, p gopacket.Packet) {
	t.Helper()
	icmp := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	icmp.SetNetworkLayerForChecksum(p.NetworkLayer())
	got := icmp.Checksum
	buf := gopacket.NewSerializeBuffer()
	payload := gopacket.Payload(icmp.LayerPayload())
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true}, icmp, payload); err != nil {
		t.Fatal(err)
	}
	if icmp.Checksum != got {
		t.Errorf("the checksum is %#x, want %#x", got, icmp.Checksum)
	}
}

// A solicitation without the option that the reply needs goes to the kernel, which
// answers.
func TestSolicitationWithoutOption(t *testing.T) {
	t.Parallel()
	s, vm1, _ := dualPair(t)
	pingTTL(t, vm1, "fd00:1::1", 64) // the kernel learns vm1's MAC address
	c := solicitations[1]
	c.option = false
	at, tap := record(t, vm1, all(came, isAdvertisement)), s.recordIn(netns, blueTap, isIPv6)
	solicit(t, vm1, c)
	if _, err := at.Await(within(t), "the advertisement", isAdvertisement); err != nil {
		t.Fatal(err)
	}
	if _, err := tap.Await(within(t), "the solicitation at the tap", icmp6(layers.ICMPv6TypeNeighborSolicitation, "fd00:1::10", "fd00:1::1")); err != nil {
		t.Fatal(err)
	}
}

// If a machine is given the router's address, it detects the duplicate.
func TestDuplicateAddressIsDetected(t *testing.T) {
	t.Parallel()
	s, vm1, _ := dualPair(t)
	s.sh(vm1.Name, "echo 1 >/proc/sys/net/ipv6/conf/eth0/accept_dad; ip addr add fd00:1::1/64 dev eth0")
	s.eventually("the address to be found a duplicate", func() error {
		if out := s.sh(vm1.Name, "ip -6 addr show dev eth0 dadfailed"); out == "" {
			return errors.New(s.sh(vm1.Name, "ip -6 addr show dev eth0"))
		}
		return nil
	})
}

// A router has two interfaces on one network, one for each IP version, as in Neutron.
func TestInterfaceForEachVersion(t *testing.T) {
	t.Parallel()
	s := ready(t, `
networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
      - {id: r1-blue6, network: blue, mac: "02:00:00:00:01:02", addresses: ["fd00:1::1/64"]}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
      - {id: r1-green6, network: green, mac: "02:00:00:00:02:02", addresses: ["fd00:2::1/64"]}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10, "fd00:1::10"]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10, "fd00:2::10"]}
`)
	vm1, vm2 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10"))
	at := record(t, vm2, came)
	pingTTL(t, vm1, "fd00:2::10", 63)
	pingTTL(t, vm1, vm2.IP(), 63)
	if p := await(t, at, "the IPv6 request", echo6("", "")); p.eth.SrcMAC.String() != "02:00:00:00:02:02" {
		t.Errorf("the request came from %v", p.eth.SrcMAC)
	}
	seen(t, at, "vm2", 1, "IPv6 requests", echo6("", ""))
	seen(t, at, "vm2", 1, "IPv4 requests", echo("", ""))
}
