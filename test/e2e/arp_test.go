package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// requests are the kinds of ARP requests for the gateway's address.
var requests = []struct{ name, dst, sender string }{
	{"broadcast", broadcast, "10.0.1.10"},
	{"unicast", blueMAC, "10.0.1.10"},          // a request that refreshes a neighbour entry
	{"address conflict", broadcast, "0.0.0.0"}, // RFC 5227's probe
}

// mustAnswer fails the test unless p is the reply to vm1's request with the given
// sender address and has blueMAC as the gateway's MAC address.
func mustAnswer(t *testing.T, vm1 *lab.Machine, p packet, sender string) {
	t.Helper()
	if p.eth.SrcMAC.String() != blueMAC || p.eth.DstMAC.String() != vm1.MAC || p.eth.EthernetType != layers.EthernetTypeARP {
		t.Errorf("the reply's Ethernet header is %+v", p.eth)
	}
	a := p.arp
	if a.AddrType != layers.LinkTypeEthernet || a.Protocol != layers.EthernetTypeIPv4 || a.HwAddressSize != 6 || a.ProtAddressSize != 4 ||
		a.Operation != layers.ARPReply ||
		!bytes.Equal(a.SourceHwAddress, mac(blueMAC)) || !bytes.Equal(a.SourceProtAddress, ip4("10.0.1.1")) ||
		!bytes.Equal(a.DstHwAddress, mac(vm1.MAC)) || !bytes.Equal(a.DstProtAddress, ip4(sender)) {
		t.Errorf("the reply is %+v", a)
	}
}

// The switch answers ARP requests for the gateway even while no daemon runs and the links
// in the namespace are down.
func TestARPIsAnsweredWithoutTheKernel(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	s.stop() // a running daemon would set the links up again
	s.sh(netns, "ip link set "+blueTap+" down; ip link set "+greenTap+" down")
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			at := record(t, vm1, all(came, isARP))
			ask(t, vm1, c.dst, c.sender, "10.0.1.1")
			mustAnswer(t, vm1, await(t, at, "the reply", arpFor(layers.ARPReply, "10.0.1.1")), c.sender)
		})
	}
}

// The requester gets exactly one reply. The kernel, other machines and other networks get neither
// the request nor the reply.
func TestARPReplyGoesToRequester(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	vm3 := s.plug(vm("vm3", "10.0.1.11"))
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			at1, at2, at3 := record(t, vm1, all(came, isARP)), record(t, vm2, all(came, isARP)), record(t, vm3, all(came, isARP))
			blue, green := s.recordIn(netns, blueTap, isARP), s.recordIn(netns, greenTap, isARP)
			ask(t, vm1, c.dst, c.sender, "10.0.1.1")
			mustAnswer(t, vm1, await(t, at1, "the reply", arpFor(layers.ARPReply, "10.0.1.1")), c.sender)

			// A request for an address that no machine has is flooded to all of blue.
			ask(t, vm1, broadcast, vm1.IP(), "10.0.1.99")
			unanswered := arpFor(layers.ARPRequest, "10.0.1.99")
			await(t, blue, "the later request", unanswered)
			await(t, at3, "the later request", unanswered)
			seen(t, blue, "blue's tap", 1, "ARP", isARP)
			seen(t, green, "green's tap", 0, "ARP", isARP)
			seen(t, at1, "vm1", 1, "ARP", isARP)
			seen(t, at2, "vm2", 0, "ARP", isARP)
			seen(t, at3, "vm3", 0, "replies", arpFor(layers.ARPReply, "10.0.1.1"))
			flooded := map[bool]int{true: 1}[c.dst == broadcast] // br-int floods a broadcast, as it would without a router
			seen(t, at3, "vm3", flooded, "requests", arpFor(layers.ARPRequest, "10.0.1.1"))
		})
	}
}

// Neither the switch nor the kernel answers requests for other addresses, not even for the router's
// addresses on other networks.
func TestARPForOthersIsNotAnswered(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	at, tap := record(t, vm1, all(came, isARP)), s.recordIn(netns, blueTap, isARP)
	others := []string{
		"10.0.1.99",    // no owner
		"10.0.2.1",     // the router's address on the other network
		vm2.IP(),       // a machine on the other network
		"198.51.100.1", // an address outside of the router's networks
	}
	for _, target := range others {
		ask(t, vm1, broadcast, vm1.IP(), target)
		await(t, tap, "the request for "+target, arpFor(layers.ARPRequest, target))
	}
	pingTTL(t, vm1, "10.0.1.1", 64) // when this ping is answered, the kernel has seen all requests
	for _, target := range others {
		seen(t, at, "vm1", 0, "replies for "+target, arpFor(layers.ARPReply, target))
	}
}

// ARP replies to the router go to the kernel, which may have sent the request.
func TestARPRepliesGoToTheKernel(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	tap := s.recordIn(netns, blueTap, isARP)
	s.sh(netns, "ip neigh flush dev "+blueTap)
	if _, err := s.PingIn(t.Context(), netns, vm1.IP(), lab.PingOptions{Wait: patience}); err != nil {
		t.Fatal(err)
	}
	await(t, tap, "the request", arpFor(layers.ARPRequest, vm1.IP()))
	await(t, tap, "the reply", all(came, arpFor(layers.ARPReply, vm1.IP())))
}

// Without the responder there are no ARP flows, and the kernel answers.
func TestARPResponderOff(t *testing.T) {
	t.Parallel()
	s := ready(t, strings.Replace(twoNetworks, "id: r1\n", "id: r1\n    arp_responder: false\n", 1))
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	if found := s.flows(bridge).find("arp"); len(found) > 0 {
		t.Errorf("ARP flows: %v", found)
	}
	at, tap := record(t, vm1, all(came, isARP)), s.recordIn(netns, blueTap, isARP)
	ask(t, vm1, broadcast, vm1.IP(), "10.0.1.1")
	mustAnswer(t, vm1, await(t, at, "the reply", arpFor(layers.ARPReply, "10.0.1.1")), vm1.IP())
	await(t, tap, "the request", all(came, arpFor(layers.ARPRequest, "10.0.1.1")))
	await(t, tap, "the kernel's reply", all(func(f lab.Frame) bool { return f.Outgoing }, arpFor(layers.ARPReply, "10.0.1.1")))
	pingTTL(t, vm1, vm2.IP(), 63)
	s.eventually("the ping to be counted, and no ARP reply of the switch", func() error {
		now := s.scrape()
		if routed, replies := now[counter("routed_packets", "r1-blue")], now[counter("arp_replies", "r1-blue")]; routed != 1 || replies != 0 {
			return fmt.Errorf("%v packets were routed, and %v ARP requests answered", routed, replies)
		}
		return nil
	})
}
