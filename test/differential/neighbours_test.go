package differential

import (
	"fmt"
	"net/netip"
)

// arp makes an ARP message, usually a request for one of the router's
// addresses.
func (m *maker) arp() {
	own, other := m.machine().net, m.elsewhere()
	asker := numberedMAC(m.n)
	m.packet.src = asker
	m.packet.dst = weighted(m, []choice[mac]{{6, broadcast}, {3, own.router()}, {1, m.strangeMAC()}})
	sender := weighted(m, []choice[netip.Addr]{
		{12, m.machine().ip4()}, {1, m.anyMachine(m.local).ip4()}, {1, m.anyMachine(m.remote).ip4()},
		{2, nowhere}, {1, own.host4(1)}, {1, other.host4(1)}, {1, outside}, {1, own.host4(255)}, {1, netip.MustParseAddr("127.0.0.1")}, {1, limitedBroadcast},
	})
	target := weighted(m, []choice[netip.Addr]{
		{12, own.host4(1)}, {4, other.host4(1)}, {2, m.anyMachine(m.local).ip4()}, {1, sender},
		{1, own.host4(absent)}, {1, outside}, {1, nowhere}, {1, own.host4(255)}, {1, netip.MustParseAddr("127.0.0.1")},
	})
	operation := weighted(m, []choice[uint16]{{16, 1}, {2, 2}, {1, 3}, {1, 8}})
	sha, tha := asker, pick(m, mac{}, mac{}, broadcast, own.router())
	switch m.IntN(16) {
	case 0, 1: // the ARP sender differs from the Ethernet source
		m.packet.src = m.machine().mac()
	case 2:
		m.packet.src = group(asker)
	case 3:
		sha = group(asker)
	}
	b := arpMessage(operation, sha, sender, tha, target)
	if m.chance(8) {
		switch at := pick(m, 0, 2, 4, 5, 28); at {
		case 0:
			m.flaw, b[1] = "hardware type", 6
		case 2:
			m.flaw, b[2] = "protocol type", 0x86
		case 4, 5:
			m.flaw, b[at] = "length of addresses", 7
		case 28:
			m.flaw, b = "cut off", b[:26]
		}
	}
	if m.chance(2) {
		b = append(b, make([]byte, 18)...) // Ethernet's minimum
	}
	m.transport = "ARP"
	m.what = fmt.Sprintf("ARP operation %d for %v by %v %s", operation, target, sender, m.flaw)
	m.frames = [][]byte{ethernet(m.packet.dst, m.packet.src, etherARP, b)}
}

const (
	routerSolicitation = 133
	solicitation       = 135
	advertisement      = 136
)

// neighbour makes a neighbour solicitation or another message of neighbour discovery. Its
// source address contains the packet's number, so the reply contains it too.
func (m *maker) neighbour() {
	own, other := m.machine().net, m.elsewhere()
	m.packet.src = m.machine().mac()
	unique := numbered6(m.n, own)
	if m.chance(3) {
		unique = numbered6(m.n, &network{})
		a := unique.As16()
		a[0], a[1] = 0xfe, 0x80
		unique = netip.AddrFrom16(a)
	}
	target := weighted(m, []choice[netip.Addr]{
		{10, own.host6(1)}, {6, linkLocal(own.router())}, {3, other.host6(1)}, {2, linkLocal(other.router())},
		{2, m.anyMachine(m.local).ip6()}, {1, own.host6(absent)}, {1, own.host6(0)}, {1, outside6}, {1, allNodes}, {1, unique},
	})
	m.ip = &header{src: unique, dst: solicited(target), proto: protoICMPv6, ttl: 255, flow: uint32(m.n)}
	m.packet.dst = multicastMAC(m.ip.dst)
	if m.chance(3) {
		m.ip.dst, m.packet.dst = target, own.router()
	}
	if m.chance(12) {
		m.ip.dst = pick(m, allNodes, solicited(netip.IPv6Unspecified()))
		m.packet.dst = multicastMAC(m.ip.dst)
	}
	if m.chance(12) {
		m.packet.dst = weighted(m, []choice[mac]{{1, broadcast}, {1, own.router()}, {1, multicastMAC(allNodes)}, {1, m.strangeMAC()}})
	}
	if m.chance(24) {
		m.packet.src = group(m.packet.src)
	}
	message := append(target.AsSlice(), m.linkLayer(1)...)
	typ, code := uint8(solicitation), uint8(0)
	rest := uint32(0)
	switch m.IntN(14) {
	case 0: // duplicate address detection
		m.ip.src, message = netip.IPv6Unspecified(), target.AsSlice()
		m.detects = target
		if m.chance(3) {
			m.flaw = "link-layer option"
			message = append(message, m.linkLayer(pick[byte](m, 1, 1, 2))...)
		}
	case 4: // an address that no machine has: a reply for a router's address would not have the number
		m.ip.src = pick(m, allNodes, solicited(target), netip.MustParseAddr("::1"))
	case 5:
		typ = solicitation
		m.flaw = pick(m, "fragments", "fragment header")
	case 1:
		typ, rest = advertisement, 0x60000000
		message = append(target.AsSlice(), m.linkLayer(2)...)
	case 2:
		typ, message = routerSolicitation, m.linkLayer(1)
		m.ip.dst = allRouters
		m.packet.dst = multicastMAC(m.ip.dst)
	case 3:
		m.flaw = pick(m, "hop limit", "code", "transport checksum", "option of no length", "cut off")
	}
	switch m.flaw {
	case "hop limit":
		m.ip.ttl = 254
	case "code":
		code = 1
	case "option of no length":
		message = append(message, 1, 0, 0, 0, 0, 0, 0, 0)
	case "cut off":
		message = message[:12]
	}
	data := icmp(m.ip, typ, code, rest, message)
	if m.flaw == "transport checksum" {
		data[2] ^= 0x55
	}
	if m.ip.src != netip.IPv6Unspecified() && typ == solicitation && len(message) == 16 {
		m.known = unique // the router must know the sender, so that it need not resolve it
	}
	m.transport = fmt.Sprintf("ICMPv6 type %d", typ)
	m.what = fmt.Sprintf("%s for %v by %v %s", m.transport, target, m.ip.src, m.flaw)
	m.size = m.ip.size() + len(data)
	switch m.flaw {
	case "fragments":
		m.fragments6(data)
	case "fragment header":
		m.ip.extensions = []extension{{protoFragment, []byte{0, 0, 0, 0, 0, 0, byte(m.n >> 8), byte(m.n)}}}
		m.frame(m.ip.packet(data))
	default:
		m.frame(m.ip.packet(data))
	}
}

// linkLayer returns the link-layer address option (RFC 4861 §4.6.1), or
// nothing.
func (m *maker) linkLayer(typ byte) []byte {
	if m.chance(3) {
		return nil
	}
	a := m.machine().mac()
	if m.chance(8) {
		a = pick(m, numberedMAC(m.n), group(numberedMAC(m.n)), mac{}, broadcast, m.machine().net.router())
	}
	return append([]byte{typ, 1}, a[:]...)
}

// group returns the MAC address with the group bit set.
func group(a mac) mac {
	a[0] |= 1
	return a
}

// solicited returns the solicited-node multicast address of a.
func solicited(a netip.Addr) netip.Addr {
	b, s := a.As16(), netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(s[13:], b[13:])
	return netip.AddrFrom16(s)
}

func multicastMAC(a netip.Addr) mac {
	b := a.As16()
	return mac{0x33, 0x33, b[12], b[13], b[14], b[15]}
}
