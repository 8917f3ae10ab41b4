package e2e

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A request is an ARP or neighbour request for the router's MAC address, or an echo request to it,
// by vm1 of dualStack. The constructors return valid requests, which tests modify.
type request struct {
	eth     layers.Ethernet
	arp     *layers.ARP
	ip4     *layers.IPv4
	ip      *layers.IPv6
	code    uint8
	target  string
	options layers.ICMPv6Options
	header  []byte // before the ICMPv6 message
}

func arpRequest() *request {
	return &request{
		eth: layers.Ethernet{SrcMAC: mac("02:00:00:00:01:10"), DstMAC: mac(broadcast), EthernetType: layers.EthernetTypeARP},
		arp: &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: mac("02:00:00:00:01:10"), SourceProtAddress: ip4("10.0.1.10"), DstHwAddress: make([]byte, 6), DstProtAddress: ip4("10.0.1.1")},
	}
}

func ndRequest() *request {
	return &request{
		eth:    layers.Ethernet{SrcMAC: mac("02:00:00:00:01:10"), DstMAC: mac("33:33:ff:00:00:01"), EthernetType: layers.EthernetTypeIPv6},
		ip:     &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP("fd00:1::10"), DstIP: net.ParseIP("ff02::1:ff00:1")},
		target: "fd00:1::1", options: sourceMAC("02:00:00:00:01:10"),
	}
}

// dadRequest is duplicate address detection for the router's address.
func dadRequest() *request {
	r := ndRequest()
	r.ip.SrcIP, r.options = net.IPv6unspecified, nil
	return r
}

func echoRequest() *request {
	return &request{
		eth: layers.Ethernet{SrcMAC: mac("02:00:00:00:01:10"), DstMAC: mac(blueMAC), EthernetType: layers.EthernetTypeIPv4},
		ip4: &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: ip4("10.0.1.10"), DstIP: ip4("10.0.1.1")},
	}
}

func sourceMAC(m string) layers.ICMPv6Options {
	return layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: mac(m)}}
}

func (r *request) send(t *testing.T, from *lab.Machine) {
	t.Helper()
	switch {
	case r.arp != nil:
		send(t, from, &r.eth, r.arp)
	case r.ip4 != nil:
		send(t, from, &r.eth, r.ip4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)})
	default:
		m := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, r.code)}
		if err := m.SetNetworkLayerForChecksum(r.ip); err != nil {
			t.Fatal(err)
		}
		ns := &layers.ICMPv6NeighborSolicitation{TargetAddress: net.ParseIP(r.target), Options: r.options}
		if r.header == nil {
			send(t, from, &r.eth, r.ip, m, ns)
			return
		}
		buf := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, m, ns); err != nil {
			t.Fatal(err)
		}
		send(t, from, &r.eth, r.ip, gopacket.Payload(append(r.header, buf.Bytes()...)))
	}
}

// badRequests has modified valid requests that the switch must not answer.
var badRequests = []struct {
	name  string
	of    func() *request
	spoil func(*request)
}{
	{"ARP from a multicast MAC address", arpRequest, func(r *request) { r.eth.SrcMAC = mac("03:00:00:00:01:10") }},
	{"ARP to another MAC address", arpRequest, func(r *request) { r.eth.DstMAC = mac(greenMAC) }},
	{"ARP to a multicast MAC address", arpRequest, func(r *request) { r.eth.DstMAC = mac("01:00:5e:00:00:01") }},
	{"ARP with a multicast sender MAC address", arpRequest, func(r *request) { r.arp.SourceHwAddress = mac("03:00:00:00:01:10") }},
	{"ARP with the broadcast address as the sender MAC address", arpRequest, func(r *request) { r.arp.SourceHwAddress = mac(broadcast) }},
	{"ARP with a zero sender MAC address", arpRequest, func(r *request) { r.arp.SourceHwAddress = make([]byte, 6) }},
	{"ARP by the router's address", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("10.0.1.1") }},
	{"ARP with another address of the router as the sender", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("10.0.2.1") }},
	{"ARP by a loopback address", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("127.0.0.1") }},
	{"ARP by a multicast address", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("224.0.0.1") }},
	{"ARP by the broadcast address", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("255.255.255.255") }},
	{"ARP with the subnet's broadcast address as the sender", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("10.0.1.255") }},
	{"ARP with an address of 0.0.0.0/8 as the sender", arpRequest, func(r *request) { r.arp.SourceProtAddress = ip4("0.0.0.9") }},

	{"solicitation from a multicast MAC address", ndRequest, func(r *request) { r.eth.SrcMAC = mac("03:00:00:00:01:10") }},
	{"solicitation to another MAC address", ndRequest, func(r *request) { r.eth.DstMAC = mac(greenMAC) }},
	{"solicitation with hop limit 254", ndRequest, func(r *request) { r.ip.HopLimit = 254 }},
	{"solicitation with code 1", ndRequest, func(r *request) { r.code = 1 }},
	{"solicitation to all nodes", ndRequest, func(r *request) { r.eth.DstMAC, r.ip.DstIP = mac("33:33:00:00:00:01"), net.ParseIP("ff02::1") }},
	{"solicitation to another address", ndRequest, func(r *request) { r.eth.DstMAC, r.ip.DstIP = mac(blueMAC), net.ParseIP("fd00:2::1") }},
	{"solicitation by a multicast address", ndRequest, func(r *request) { r.ip.SrcIP = net.ParseIP("ff02::1") }},
	{"solicitation by the loopback address", ndRequest, func(r *request) { r.ip.SrcIP = net.IPv6loopback }},
	{"solicitation by the router's address", ndRequest, func(r *request) { r.ip.SrcIP = net.ParseIP("fd00:1::1") }},
	{"solicitation from another address of the router", ndRequest, func(r *request) { r.ip.SrcIP = net.ParseIP("fd00:2::1") }},
	{"solicitation from the router's link-local address", ndRequest, func(r *request) { r.ip.SrcIP = net.ParseIP(blueLinkLocal) }},
	{"solicitation with a multicast sender MAC address in its option", ndRequest, func(r *request) { r.options = sourceMAC("33:33:00:00:00:01") }},
	{"solicitation with a zero sender MAC address in its option", ndRequest, func(r *request) { r.options = sourceMAC("00:00:00:00:00:00") }},
	{"solicitation in a first fragment", ndRequest, func(r *request) {
		r.ip.NextHeader, r.header = layers.IPProtocolIPv6Fragment, []byte{uint8(layers.IPProtocolICMPv6), 0, 0, 1, 0, 0, 0, 7}
	}},
	{"duplicate address detection with the option for the sender's MAC address", dadRequest, func(r *request) { r.options = sourceMAC("02:00:00:00:01:10") }},
	{"duplicate address detection with a zero sender MAC address in its option", dadRequest, func(r *request) { r.options = sourceMAC("00:00:00:00:00:00") }},
	{"detection to the address itself", dadRequest, func(r *request) { r.eth.DstMAC, r.ip.DstIP = mac(blueMAC), net.ParseIP("fd00:1::1") }},
	{"detection to all nodes", dadRequest, func(r *request) { r.eth.DstMAC, r.ip.DstIP = mac("33:33:00:00:00:01"), net.ParseIP("ff02::1") }},
	{"duplicate address detection from a multicast MAC address", dadRequest, func(r *request) { r.eth.SrcMAC = mac("03:00:00:00:01:10") }},

	{"echo from a multicast MAC address", echoRequest, func(r *request) { r.eth.SrcMAC = mac("03:00:00:00:01:10") }},
	{"echo to the broadcast MAC address", echoRequest, func(r *request) { r.eth.DstMAC = mac(broadcast) }},
	{"echo to a multicast MAC address", echoRequest, func(r *request) { r.eth.DstMAC = mac("01:00:5e:00:00:01") }},
	{"echo by the router's address", echoRequest, func(r *request) { r.ip4.SrcIP = ip4("10.0.2.1") }},
	{"echo from the subnet's broadcast address", echoRequest, func(r *request) { r.ip4.SrcIP = ip4("10.0.1.255") }},
}

// The switch answers valid requests only (RFC 826, RFC 4861 §7.1.1, RFC 6980). Requests that only the
// kernel can judge go to the kernel.
func TestOnlyValidRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	s := ready(t, dualStack)
	vm1 := s.plug(dual("vm1", "10.0.1.10"))
	s.plug(dual("vm3", "10.0.1.11"))
	s.stop()
	s.sh(netns, "ip link set "+blueTap+" down; ip link set "+greenTap+" down") // disables the kernel, so that only the switch can answer
	fromRouter := all(came, func(f lab.Frame) bool { return decode(f).eth.SrcMAC.String() == blueMAC })
	valid := []struct {
		of     func() *request
		answer condition
	}{
		{arpRequest, arpFor(layers.ARPReply, "10.0.1.1")}, {echoRequest, echoReply("10.0.1.1", "")},
		{ndRequest, icmp6(layers.ICMPv6TypeNeighborAdvertisement, "", "fd00:1::10")}, {dadRequest, icmp6(layers.ICMPv6TypeNeighborAdvertisement, "", "ff02::1")},
	}
	if lab.OnKernel(t, "the namespace would answer solicitations, but is down: the datapath cannot write the options of an advertisement") {
		valid = valid[:2]
	}
	for _, c := range badRequests {
		t.Run(c.name, func(t *testing.T) {
			at := record(t, vm1, fromRouter)
			r := c.of()
			c.spoil(r)
			r.send(t, vm1)
			for _, v := range valid { // waits for an answer of each kind, because answers to earlier requests would arrive before it
				v.of().send(t, vm1)
				await(t, at, "the answer to a valid request", v.answer)
			}
			seen(t, at, "vm1", len(valid), "answers", fromRouter)
		})
	}
}
