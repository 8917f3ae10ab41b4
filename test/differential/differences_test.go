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

// A difference is a known difference between ofdvr and Linux. docs/differences.md has the
// same texts.
type difference struct {
	what string // what differs
	why  string
	// is reports whether the frames caused by packet p have this difference.
	is func(p *packet, ofdvr, linux []received) bool
}

var differences = []difference{
	{
		what: "A packet for a declared address that no machine has is sent to its MAC address; Linux answers that the host is unreachable",
		why:  "The switch does not resolve addresses. It trusts the declared ports, wherever the machine is",
		is: func(p *packet, ofdvr, linux []received) bool {
			return isGhost(p.ip.dst) && switched(p, ofdvr) && !routed(p, linux, 1)
		},
	},
	{
		what: "IPv4 options are not processed; Linux fills in record-route and timestamp options, refuses source routes, and answers invalid options with an error",
		why:  "The switch does not process options",
		is: func(p *packet, ofdvr, linux []received) bool {
			return len(p.ip.options) > 0 && (switched(p, ofdvr) || len(answers(ofdvr)) == 1) && !routed(p, linux, 1)
		},
	},
	{
		what: "IPv6 extension headers are not processed, and stay in replies to echo requests and neighbour solicitations; Linux handles unknown options as their type demands, replies without the headers, and drops a solicitation with a fragment header, even if it is the only fragment",
		why:  "The switch does not process them",
		is: func(p *packet, ofdvr, linux []received) bool {
			return len(p.ip.extensions) > 0 && (switched(p, ofdvr) || len(answers(ofdvr)) == 1) && !routed(p, linux, 1)
		},
	},
	{
		what: "The reply to an IPv4 echo request has the flags of the request, such as DF; Linux clears them",
		why:  "The switch turns the request into the reply",
		is: func(p *packet, ofdvr, linux []received) bool {
			return p.transport == "echo request" && slices.EqualFunc(ofdvr, linux, func(a, b received) bool {
				return a.at == b.at && bytes.Equal(withoutFlags(a.frame), withoutFlags(b.frame))
			})
		},
	},
	{
		what: "A neighbour solicitation or an echo request with a wrong ICMP checksum or invalid options is answered, and the reply has the same error; Linux drops the request",
		why:  "Open vSwitch does not check this",
		is: func(p *packet, ofdvr, linux []received) bool {
			return (p.flaw == "transport checksum" || p.flaw == "option of no length") && len(answers(ofdvr)) == 1 && len(answers(linux)) == 0
		},
	},
	{
		what: "The reply to an echo request goes to the MAC address that the request came from; Linux replies to the neighbour that owns the source address, if there is one",
		why:  "The switch turns the request into the reply, and does not resolve neighbours",
		is: func(p *packet, ofdvr, linux []received) bool {
			m := p.machine()
			foreign := p.src != m.mac() || !slices.Contains([]netip.Addr{m.ip4(), m.ip6(), linkLocal(m.mac())}, p.ip.src)
			return p.transport == "echo request" && isRouter(p.ip.dst) && foreign && len(ofdvr) <= 1 && len(answers(linux)) == len(linux)
		},
	},
	{
		what: "The advertisement to all nodes that answers a solicitation without options has no option; Linux adds the option with its MAC address",
		why:  "The switch cannot make a packet longer. Duplicate address detection, which sends such solicitations, does not need the option. Solicitations from Linux have the option, so the answers to them have it too",
		is: func(p *packet, ofdvr, linux []received) bool {
			return p.transport == "ICMPv6 type 135" && p.ip.src.IsUnspecified() && len(answers(ofdvr)) > 0 && len(answers(ofdvr)) == len(answers(linux))
		},
	},
	{
		what: "The advertisement that answers a unicast solicitation has the option with the MAC address, and the override flag; Linux leaves them out",
		why:  "Both are valid (RFC 4861, section 7.2.4), and one flow is enough",
		is: func(p *packet, ofdvr, linux []received) bool {
			return p.transport == "ICMPv6 type 135" && !p.ip.dst.IsMulticast() && len(answers(ofdvr)) > 0 && len(answers(ofdvr)) == len(answers(linux))
		},
	},
	{
		what: "A packet with a wrong IPv4 header checksum, or whose IP version does not match its Ethernet type, is routed or answered; Linux drops it",
		why:  "Open vSwitch does not check this. A wrong checksum stays wrong",
		is: func(p *packet, ofdvr, linux []received) bool {
			return (p.flaw == "header checksum" || strings.HasPrefix(p.flaw, "version")) && len(ofdvr) == 1 && len(linux) == 0
		},
	},
	{
		what: "Bytes after the IP packet in its frame are forwarded with it; Linux removes them. A frame that exceeds the next MTU because of them is lost, and other packets that Open vSwitch sends at the same time may be lost too",
		why:  "Such bytes pad frames that are too short for Ethernet. Receivers ignore them",
		is: func(p *packet, ofdvr, linux []received) bool {
			lost := len(ofdvr) == 0 && p.oversized()
			return p.flaw == "trailer" && (switched(p, ofdvr) || len(answers(ofdvr)) == 1 || lost) && !same(ofdvr, linux)
		},
	},
	{
		what: "A request for the router's MAC address (ARP or neighbour solicitation) with zero or a group address as the sender's MAC address is dropped, and so is a solicitation from an address of the router; Linux answers, to all machines",
		why:  "No machine has such addresses, and a machine must not be able to make the router send to all",
		is: func(p *packet, ofdvr, linux []received) bool {
			return (p.transport == "ARP" || p.transport == "ICMPv6 type 135") && len(answers(ofdvr)) == 0 && len(answers(linux)) > 0 &&
				!slices.ContainsFunc(answers(linux), func(r received) bool { return mac(r.frame[:6]) != (mac{}) && r.frame[0]&1 == 0 })
		},
	},
	{
		what: "Packets of more than 1504 bytes that the namespace sends to a network with a larger MTU are truncated to 1504 bytes",
		why:  "In the userspace datapath, Open vSwitch does not know the MTU of a tap in a namespace, and reads only 1504 bytes of each packet",
		is: func(p *packet, ofdvr, linux []received) bool {
			return slices.EqualFunc(ofdvr, linux, func(a, b received) bool {
				return a.at == b.at && (bytes.Equal(a.frame, b.frame) || len(b.frame) > 14+1504 && bytes.Equal(a.frame, b.frame[:14+1504]))
			})
		},
	},
}

// answers returns the frames sent by the router.
func answers(rs []received) []received {
	return slices.DeleteFunc(slices.Clone(rs), func(r received) bool { return mac(r.frame[6:12]) != r.at.net.router() })
}

func smallestMTU() int {
	return slices.MinFunc(networks, func(a, b *network) int { return a.mtu - b.mtu }).mtu
}

// withoutFlags returns an Ethernet frame with all IPv4 flags except more-fragments cleared.
// It also clears the header's checksum, which depends on the flags.
func withoutFlags(frame []byte) []byte {
	b := slices.Clone(frame)
	if len(b) > 14+12 && big.Uint16(b[12:]) == etherIPv4 {
		b[14+6] &^= 0xc0
		b[14+10], b[14+11] = 0, 0
	}
	return b
}

// switched reports whether the frames have the packet in the form in which Open vSwitch routes it.
func switched(p *packet, rs []received) bool {
	return routed(p, rs, 1) || protocol0(p) && routed(p, rs, 0)
}

func protocol0(p *packet) bool { return p.ip.src.Is4() && p.ip.proto == 0 }

// routed reports whether rs has at least one frame, and each is the packet p with a lower TTL. less
// is the difference of the TTLs.
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

// The document has exactly the known differences.
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
