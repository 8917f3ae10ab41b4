package differential

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
)

// A difference is one between ofdvr and Linux that is known. Its texts are those
// in docs/differences.md.
type difference struct {
	what string // what differs
	why  string
	// is tells whether this is the difference in what packet p has caused.
	is func(p *packet, ofdvr, linux []received) bool
}

var differences = []difference{
	{
		what: "A packet for a declared address that no machine has is sent to its MAC address; Linux answers that the host is unreachable",
		why:  "The switch does not look for machines. What is declared is believed, wherever the machine is",
		is: func(p *packet, ofdvr, linux []received) bool {
			return isGhost(p.ip.dst) && switched(p, ofdvr) && !routed(p, linux, 1)
		},
	},
	{
		what: "IPv4 options are left as they are; Linux writes into those that record, refuses source routes, and answers to those that are wrong",
		why:  "The switch does not look at options",
		is: func(p *packet, ofdvr, linux []received) bool {
			return len(p.ip.options) > 0 && (switched(p, ofdvr) || len(answers(ofdvr)) == 1) && !routed(p, linux, 1)
		},
	},
	{
		what: "IPv6's extension headers are left as they are, also in answers to echo requests and neighbour solicitations; Linux refuses options that it does not know, as they ask for, answers without those headers, and drops a solicitation with a fragment header, be it the only fragment",
		why:  "The switch does not look at them",
		is: func(p *packet, ofdvr, linux []received) bool {
			return len(p.ip.extensions) > 0 && (switched(p, ofdvr) || len(answers(ofdvr)) == 1) && !routed(p, linux, 1)
		},
	},
	{
		what: "The answer to an IPv4 echo request has the flags of the request, such as DF; Linux leaves them out",
		why:  "The switch turns the request into the answer",
		is: func(p *packet, ofdvr, linux []received) bool {
			return p.transport == "echo request" && slices.EqualFunc(ofdvr, linux, func(a, b received) bool {
				return a.at == b.at && bytes.Equal(withoutFlags(a.frame), withoutFlags(b.frame))
			})
		},
	},
	{
		what: "A neighbour solicitation or an echo request whose ICMP checksum or options are wrong is answered, and the answer is wrong in the same way; Linux drops it",
		why:  "Open vSwitch does not check that",
		is: func(p *packet, ofdvr, linux []received) bool {
			return (p.flaw == "transport checksum" || p.flaw == "option of no length") && len(answers(ofdvr)) == 1 && len(answers(linux)) == 0
		},
	},
	{
		what: "An echo request is answered to the MAC address that it came from; Linux answers to who has the address that it says to come from, if anybody has",
		why:  "The switch turns the request into the answer, and does not look for neighbours",
		is: func(p *packet, ofdvr, linux []received) bool {
			m := p.machine()
			foreign := p.src != m.mac() || !slices.Contains([]netip.Addr{m.ip4(), m.ip6(), linkLocal(m.mac())}, p.ip.src)
			return p.transport == "echo request" && isRouter(p.ip.dst) && foreign && len(ofdvr) <= 1 && len(answers(linux)) == len(linux)
		},
	},
	{
		what: "The advertisement to all nodes, for a solicitation without any option, has none either; that of Linux has one with the MAC address",
		why:  "The switch cannot make a packet longer. Who only asks whether an address is taken, as all do that have no address, does not look at it. Linux asks with an option, and gets one",
		is: func(p *packet, ofdvr, linux []received) bool {
			return p.transport == "ICMPv6 type 135" && p.ip.src.IsUnspecified() && len(answers(ofdvr)) > 0 && len(answers(ofdvr)) == len(answers(linux))
		},
	},
	{
		what: "The advertisement for a solicitation that was sent to the router alone has the option with its MAC address, and the flag to override; Linux leaves them out",
		why:  "Both are right (RFC 4861, section 7.2.4), and so one flow does for all",
		is: func(p *packet, ofdvr, linux []received) bool {
			return p.transport == "ICMPv6 type 135" && !p.ip.dst.IsMulticast() && len(answers(ofdvr)) > 0 && len(answers(ofdvr)) == len(answers(linux))
		},
	},
	{
		what: "A packet with a wrong checksum of its IPv4 header, or with another version in it than its Ethernet header says, is routed or answered; Linux drops it",
		why:  "Open vSwitch does not check that. A checksum that is wrong stays wrong",
		is: func(p *packet, ofdvr, linux []received) bool {
			return (p.flaw == "header checksum" || strings.HasPrefix(p.flaw, "version")) && len(ofdvr) == 1 && len(linux) == 0
		},
	},
	{
		what: "What follows the IP packet in its frame is sent on with it; Linux cuts it off. If the frame is larger than the next MTU allows, it is lost, and so may be what Open vSwitch sends at the same time",
		why:  "A frame that is too short for Ethernet is filled up so. Receivers do not look at it",
		is: func(p *packet, ofdvr, linux []received) bool {
			lost := len(ofdvr) == 0 && p.oversized()
			return p.flaw == "trailer" && (switched(p, ofdvr) || len(answers(ofdvr)) == 1 || lost) && !same(ofdvr, linux)
		},
	},
	{
		what: "A request for the router's MAC address (ARP or neighbour solicitation) that gives zero or a group's as the sender's own is dropped, and so is a solicitation from an address of the router; Linux answers, and so speaks to everybody",
		why:  "No machine has such addresses, and one machine should not have the router speak to all",
		is: func(p *packet, ofdvr, linux []received) bool {
			return (p.transport == "ARP" || p.transport == "ICMPv6 type 135") && len(answers(ofdvr)) == 0 && len(answers(linux)) > 0 &&
				!slices.ContainsFunc(answers(linux), func(r received) bool { return mac(r.frame[:6]) != (mac{}) && r.frame[0]&1 == 0 })
		},
	},
	{
		what: "Packets of more than 1504 bytes that the namespace sends into a network with a larger MTU arrive without what is beyond that",
		why:  "In the userspace datapath, Open vSwitch does not know the MTU of a tap that is in a namespace, and reads no more",
		is: func(p *packet, ofdvr, linux []received) bool {
			return slices.EqualFunc(ofdvr, linux, func(a, b received) bool {
				return a.at == b.at && (bytes.Equal(a.frame, b.frame) || len(b.frame) > 14+1504 && bytes.Equal(a.frame, b.frame[:14+1504]))
			})
		},
	},
}

// answers returns what comes from a router.
func answers(rs []received) []received {
	return slices.DeleteFunc(slices.Clone(rs), func(r received) bool { return mac(r.frame[6:12]) != r.at.net.router() })
}

func smallestMTU() int {
	return slices.MinFunc(networks, func(a, b *network) int { return a.mtu - b.mtu }).mtu
}

// withoutFlags returns an Ethernet frame of IPv4 without the flags but for that of
// fragments, and without the header's checksum, which follows from them.
func withoutFlags(frame []byte) []byte {
	b := slices.Clone(frame)
	if len(b) > 14+12 && big.Uint16(b[12:]) == etherIPv4 {
		b[14+6] &^= 0xc0
		b[14+10], b[14+11] = 0, 0
	}
	return b
}

// switched tells whether what came is the packet as Open vSwitch routes it.
func switched(p *packet, rs []received) bool {
	return routed(p, rs, 1) || protocol0(p) && routed(p, rs, 0)
}

func protocol0(p *packet) bool { return p.ip.src.Is4() && p.ip.proto == 0 }

// routed tells whether all that came is the packet itself, its TTL less by so
// much, and whether it came at all.
func routed(p *packet, rs []received, less byte) bool {
	sent := p.frames[0][14:]
	return len(rs) > 0 && len(p.frames) == 1 && !slices.ContainsFunc(rs, func(r received) bool {
		b := slices.Clone(r.frame[14:])
		if len(b) != len(sent) || len(b) < 20 {
			return true
		}
		if big.Uint16(r.frame[12:]) == etherIPv6 {
			b[7] += less
		} else {
			b[8] += less
			copy(b[10:12], sent[10:]) // the checksum
		}
		return !bytes.Equal(b, sent)
	})
}

const document = "../../docs/differences.md"

// The document has the known differences as they are here.
func TestDocument(t *testing.T) {
	var want strings.Builder
	for _, d := range differences {
		fmt.Fprintf(&want, "| %s | %s |\n", d.what, d.why)
	}
	have, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(have), "| --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if strings.TrimSpace(table) != strings.TrimSpace(want.String()) {
		t.Errorf("%s has\n%s\nwant\n%s", document, table, want.String())
	}
}
