package differential

import (
	"fmt"
	"net/netip"
)

var (
	outside6   = netip.MustParseAddr("2001:db8::7") // no route leads there
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// numbered6 returns an address on a network that belongs to packet n.
func numbered6(n int, net *network) netip.Addr {
	a := net.host6(0).As16()
	a[12], a[13], a[14], a[15] = 0xfd, 0xd1, byte(n>>8), byte(n)
	return netip.AddrFrom16(a)
}

// v6 makes an IPv6 packet.
func (m *maker) v6() {
	m.ip = &header{
		src: m.machine().ip6(), dst: m.destination6(), flow: uint32(m.n),
		ttl: weighted(m, []choice[uint8]{{70, 64}, {6, 0}, {8, 1}, {6, 2}, {5, 255}, {5, uint8(m.IntN(256))}}),
	}
	if m.chance(4) {
		m.ip.tos = uint8(m.IntN(256))
	}
	if m.chance(8) {
		m.ip.src = m.strangeSource6()
	}
	if m.chance(12) {
		m.packet.dst = m.strangeMAC()
	}
	if m.chance(50) {
		m.packet.src = group(m.packet.src)
	}
	if m.chance(12) {
		m.ip.extensions = m.extensions6()
	}
	if m.chance(20) {
		m.flaw = pick(m, flaws6...)
	}
	data := m.transport6()
	m.what = fmt.Sprintf("%s %v → %v, %d bytes", m.transport, m.ip.src, m.ip.dst, m.size)
	switch {
	case isRouter(m.ip.dst) && len(data) > 64 && m.chance(3):
		m.fragments6(data)
	default:
		m.frame(m.spoiled6(m.ip.packet(data)))
	}
}

func (m *maker) destination6() netip.Addr {
	own, other := m.machine().net, m.elsewhere()
	beyond := pick(m, routes...).destination6.Addr().As16()
	beyond[15] = byte(1 + m.IntN(200))
	return weighted(m, []choice[netip.Addr]{
		{50, m.anyMachine(m.remote).ip6()},
		{4, m.anyMachine(m.local).ip6()},
		{1, m.machine().ip6()},
		{3, green.host6(ghosts + byte(m.n%absentHosts))},
		{4, other.host6(absent + byte(m.n%absentHosts))},
		{1, own.host6(absent + byte(m.n%absentHosts))},
		{6, own.host6(1)},
		{6, other.host6(1)},
		{2, linkLocal(own.router())},
		{2, linkLocal(other.router())},
		{1, linkLocal(m.anyMachine(m.local).mac())},
		{1, linkLocal(m.anyMachine(m.remote).mac())},
		{12, netip.AddrFrom16(beyond)},
		{3, outside6},
		{1, own.host6(0)}, {2, other.host6(0)}, // subnet-router anycast
		{1, allNodes}, {1, allRouters}, {1, netip.MustParseAddr("ff05::2")}, {1, netip.MustParseAddr("ff0e::1")},
		{1, netip.IPv6Loopback()}, {1, netip.IPv6Unspecified()},
		{1, netip.MustParseAddr("::ffff:10.0.2.10")},
	})
}

func (m *maker) strangeSource6() netip.Addr {
	own, other := m.machine().net, m.elsewhere()
	return pick(m,
		m.anyMachine(m.local).ip6(), m.anyMachine(m.remote).ip6(),
		own.host6(1), other.host6(1), linkLocal(own.router()),
		linkLocal(m.machine().mac()), linkLocal(m.machine().mac()), linkLocal(m.anyMachine(m.remote).mac()),
		own.host6(absentFrom), other.host6(absentFrom), own.host6(0), other.host6(0),
		outside6, netip.IPv6Unspecified(), netip.IPv6Loopback(), allNodes, netip.MustParseAddr("ff0e::1"),
		netip.MustParseAddr("::ffff:10.0.1.10"),
	)
}

func (m *maker) transport6() []byte {
	return weighted(m, []choice[func() []byte]{
		{40, m.udp},
		{20, m.tcp},
		{20, func() []byte { return m.echo(128) }},
		{2, func() []byte { return m.echo(129) }},
		{6, m.otherICMP6},
		{8, m.otherProtocol6},
	})()
}

// otherICMP6 makes an ICMPv6 message, except neighbour discovery and membership reports.
func (m *maker) otherICMP6() []byte {
	m.transport, m.ip.proto = "other ICMPv6", protoICMPv6
	return icmp(m.ip, pick[uint8](m, 1, 2, 3, 4, 5, 100, 127, 137, 138, 144, 160, 255), uint8(m.IntN(8)), m.Uint32(), m.payload(8))
}

func (m *maker) otherProtocol6() []byte {
	m.transport, m.ip.proto = "other protocol", pick[uint8](m, protoNone, 4, 33, 41, 47, 50, 89, 103, 112, 132, 253, 255, protoICMP)
	return m.payload(0)
}

// extensions6 returns extension headers that routers handle, and others.
func (m *maker) extensions6() []extension {
	option := func(typ uint8, data ...byte) []byte { // a header of 8 bytes with one option
		return append(append([]byte{0, 0, typ, byte(len(data))}, data...), make([]byte, 4-len(data))...)
	}
	pad := []byte{0, 0, 1, 4, 0, 0, 0, 0}
	routing := func(typ, left byte) []byte {
		b := append([]byte{0, 2, typ, left, 0, 0, 0, 0}, m.anyMachine(m.remote).ip6().AsSlice()...)
		return b
	}
	fragment := func(offset uint16, more byte) []byte {
		return append([]byte{0, 0, byte(offset >> 8), byte(offset)&^7 | more, 0, 0}, byte(m.n>>8), byte(m.n))
	}
	return pick(m,
		[]extension{{protoHopByHop, pad}},
		[]extension{{protoHopByHop, []byte{0, 0, 5, 2, 0, 0, 1, 0}}},    // router alert
		[]extension{{protoHopByHop, option(0x1e, 1, 2, 3, 4)}},          // unknown: skip
		[]extension{{protoHopByHop, option(0x5e, 1, 2, 3, 4)}},          // unknown: drop
		[]extension{{protoHopByHop, option(0x9e, 1, 2, 3, 4)}},          // unknown: answer
		[]extension{{protoHopByHop, option(0xde, 1, 2, 3, 4)}},          // unknown: answer unless multicast
		[]extension{{protoHopByHop, []byte{0, 0, 0xc2, 4, 0, 1, 0, 0}}}, // jumbo payload in a packet that is no jumbogram
		[]extension{{protoHopByHop, []byte{0, 0, 1, 200, 0, 0, 0, 0}}},  // an option beyond the header
		[]extension{{protoHopByHop, []byte{0, 200, 1, 4, 0, 0, 0, 0}}},  // a header that exceeds short packets
		[]extension{{protoDestOpts, pad}},
		[]extension{{protoDestOpts, option(0xde, 1, 2, 3, 4)}},  // for the destination only
		[]extension{{protoDestOpts, pad}, {protoHopByHop, pad}}, // hop-by-hop not first
		[]extension{{protoHopByHop, pad}, {protoDestOpts, pad}},
		[]extension{{protoRouting, routing(0, 0)}},
		[]extension{{protoRouting, routing(0, 1)}},
		[]extension{{protoRouting, routing(2, 1)}},
		[]extension{{protoRouting, routing(4, 1)}},
		[]extension{{protoRouting, routing(253, 1)}},
		[]extension{{protoFragment, fragment(0, 1)}},
		[]extension{{protoFragment, fragment(0, 0)}},
		[]extension{{protoFragment, fragment(1232, 1)}},
		[]extension{{protoFragment, fragment(1232, 0)}},
		[]extension{{protoHopByHop, pad}, {protoFragment, fragment(0, 1)}},
	)
}

var flaws6 = []string{"transport checksum", "version 4", "payload beyond the frame", "trailer", "trailer", "cut off"}

// spoiled6 applies the packet's flaw to an IPv6 packet, if it has one.
func (m *maker) spoiled6(b []byte) []byte {
	switch m.flaw {
	case "transport checksum":
		if at, known := map[uint8]int{protoUDP: 6, protoTCP: 16, protoICMPv6: 2}[m.ip.proto]; known {
			b[m.ip.size()+at] ^= 0x55
		}
	case "version 4":
		b[0] = 0x40 | b[0]&15
	case "payload beyond the frame":
		big.PutUint16(b[4:], uint16(len(b)-40+4))
	case "trailer":
		b = m.trailer(b)
	case "cut off":
		b = b[:40]
	}
	return b
}

// fragments6 sends a packet in fragments.
func (m *maker) fragments6(data []byte) {
	m.transport += ", in fragments"
	at := 8 * (1 + m.IntN(len(data)/8-1))
	for _, part := range []struct{ from, to int }{{0, at}, {at, len(data)}} {
		h := *m.ip
		offset := uint16(part.from)
		if part.to < len(data) {
			offset |= 1
		}
		h.extensions = append(h.extensions[:len(h.extensions):len(h.extensions)],
			extension{protoFragment, []byte{0, 0, byte(offset >> 8), byte(offset), 0, 0, byte(m.n >> 8), byte(m.n)}})
		m.frame(h.packet(data[part.from:part.to]))
	}
}
