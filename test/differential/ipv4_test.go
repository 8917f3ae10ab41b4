package differential

import (
	"fmt"
	"net/netip"
)

var (
	outside          = netip.MustParseAddr("203.0.113.7") // no route leads there
	nowhere          = netip.IPv4Unspecified()
	limitedBroadcast = netip.MustParseAddr("255.255.255.255")
)

// aliases is the number of the first host, on each network, that sends packets without a route.
// Several hosts do, because Linux sends only five no-route errors to one address, and then one a
// second.
const (
	aliases    = 20
	aliasHosts = 60
)

func unrouted(a netip.Addr) bool {
	return a == outside || a == netip.MustParseAddr("169.254.1.1") || a == netip.MustParseAddr("240.0.0.1")
}

// v4 makes an IPv4 packet.
func (m *maker) v4() {
	m.ip = &header{
		src: m.machine().ip4(), dst: m.destination4(), id: uint16(m.n),
		ttl: weighted(m, []choice[uint8]{{70, 64}, {6, 0}, {8, 1}, {6, 2}, {5, 255}, {5, uint8(m.IntN(256))}}),
		df:  m.chance(2),
	}
	if m.chance(4) {
		m.ip.tos = uint8(m.IntN(256))
	}
	switch {
	case unrouted(m.ip.dst):
		m.ip.src = m.machine().net.host4(aliases + byte(m.n%aliasHosts))
	case m.chance(8):
		m.ip.src = m.strangeSource4()
	}
	if m.chance(12) {
		m.packet.dst = m.strangeMAC()
	}
	if m.chance(50) {
		m.packet.src = group(m.packet.src)
	}
	if m.chance(60) {
		m.packet.src = pick(m, m.machine().net.router(), m.anyMachine(m.local).mac(), mac{2, 0, 0, 0, 0xaa, byte(m.n)})
	}
	if m.chance(20) {
		m.ip.options = m.options4()
	}
	if m.chance(15) {
		m.flaw = pick(m, flaws4...)
	}
	data := m.transport4()
	switch {
	case m.chance(12):
		m.fragment4(data)
	case m.ip.dst.Is4() && isRouter(m.ip.dst) && len(data) > 64 && m.chance(3):
		m.fragments4(data)
	default:
		m.frame(m.spoiled(m.ip.packet(data)))
	}
	m.what = fmt.Sprintf("%s %v → %v, %d bytes", m.transport, m.ip.src, m.ip.dst, m.size)
}

// destination4 returns a destination address, usually one on another network.
func (m *maker) destination4() netip.Addr {
	own, other := m.machine().net, m.elsewhere()
	r := pick(m, routes...)
	beyond := r.destination.Addr().As4()
	beyond[3] = byte(1 + m.IntN(200))
	return weighted(m, []choice[netip.Addr]{
		{50, m.anyMachine(m.remote).ip4()},
		{4, m.anyMachine(m.local).ip4()},
		{1, m.machine().ip4()},
		{3, green.host4(ghosts + byte(m.n%absentHosts))},
		{4, other.host4(absent + byte(m.n%absentHosts))},
		{1, own.host4(absent + byte(m.n%absentHosts))},
		{6, own.host4(1)},
		{6, other.host4(1)},
		{12, netip.AddrFrom4(beyond)},
		{3, outside},
		{1, own.host4(255)}, {2, other.host4(255)},
		{1, own.host4(0)}, {2, other.host4(0)},
		{1, limitedBroadcast}, {1, nowhere},
		{1, netip.MustParseAddr("224.0.0.1")}, {1, netip.MustParseAddr("239.1.2.3")},
		{1, netip.MustParseAddr("127.0.0.1")}, {1, netip.MustParseAddr("127.1.2.3")},
		{1, netip.MustParseAddr("169.254.1.1")}, {1, netip.MustParseAddr("240.0.0.1")},
	})
}

// strangeSource4 returns a source address that is not the sender's.
func (m *maker) strangeSource4() netip.Addr {
	own, other := m.machine().net, m.elsewhere()
	return pick(m,
		m.anyMachine(m.local).ip4(), m.anyMachine(m.remote).ip4(),
		own.host4(1), other.host4(1),
		own.host4(absentFrom), other.host4(absentFrom),
		own.host4(255), other.host4(255), own.host4(0), other.host4(0),
		outside, nowhere, limitedBroadcast,
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.1.2.3"),
		netip.MustParseAddr("224.0.0.1"), netip.MustParseAddr("239.1.2.3"),
		netip.MustParseAddr("169.254.1.1"), netip.MustParseAddr("240.0.0.1"), netip.MustParseAddr("0.1.2.3"),
	)
}

// strangeMAC returns a destination MAC address that is not the router's.
func (m *maker) strangeMAC() mac {
	return pick(m, broadcast, m.elsewhere().router(), m.anyMachine(m.local).mac(), m.anyMachine(m.remote).mac(),
		mac{2, 0, 0, 0, 0xbb, 1}, mac{1, 0, 0x5e, 0, 0, 1}, mac{0x33, 0x33, 0, 0, 0, 1})
}

// transport4 returns the packet's payload.
func (m *maker) transport4() []byte {
	return weighted(m, []choice[func() []byte]{
		{40, m.udp},
		{20, m.tcp},
		{20, func() []byte { return m.echo(8) }},
		{2, func() []byte { return m.echo(0) }},
		{6, m.otherICMP4},
		{8, m.otherProtocol},
	})()
}

func (m *maker) udp() []byte {
	m.transport, m.ip.proto = "UDP", protoUDP
	dport := pick(m, 7, 53, 67, 68, 500, 4789, uint16(m.IntN(1<<16)))
	return udp(m.ip, uint16(1024+m.IntN(60000)), dport, m.payload(8))
}

func (m *maker) tcp() []byte {
	m.transport, m.ip.proto = "TCP", protoTCP
	flags := pick[uint8](m, 0x02, 0x10, 0x18, 0x11, 0x04, 0x12, 0x14, 0, 0x3f)
	dport := pick(m, 22, 80, 179, 443, uint16(1+m.IntN(1<<16-1)))
	return tcp(m.ip, uint16(m.n), dport, flags, m.Uint32(), m.Uint32(), m.payload(20))
}

// echo makes an echo request (8, or 128 for IPv6) or reply (0, 129).
func (m *maker) echo(typ uint8) []byte {
	m.transport, m.ip.proto = "echo request", protoICMP
	if typ == 0 || typ == 129 {
		m.transport = "echo reply"
	}
	if m.ip.src.Is6() {
		m.ip.proto = protoICMPv6
	}
	code := uint8(0)
	if m.chance(10) {
		code = uint8(m.IntN(256))
	}
	return icmp(m.ip, typ, code, echoID<<16|uint32(uint16(m.n)), m.payload(8))
}

// otherICMP4 makes an ICMP message. It makes no timestamp requests, because no two replies are
// equal.
func (m *maker) otherICMP4() []byte {
	m.transport, m.ip.proto = "other ICMP", protoICMP
	return icmp(m.ip, pick[uint8](m, 3, 4, 5, 9, 10, 11, 12, 14, 17, 18, 40, 42, 255), uint8(m.IntN(16)), m.Uint32(), m.payload(8))
}

func (m *maker) otherProtocol() []byte {
	m.transport, m.ip.proto = "other protocol", pick[uint8](m, 0, 0, 0, 0, 2, 4, 33, 41, 47, 50, 51, 89, 103, 112, 132, 136, 253, 255)
	return m.payload(0)
}

// options4 returns IPv4 options that routers handle, and others.
func (m *maker) options4() []byte {
	return pick(m,
		[]byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0},    // record route, with room for two addresses
		[]byte{7, 7, 8, 10, 0, 0, 9, 0},                // record route, full
		[]byte{68, 8, 9, 0x10, 0, 0, 0, 0},             // timestamp, full, overflow counter at 1
		[]byte{68, 8, 9, 0xf0, 0, 0, 0, 0},             // timestamp, full, overflow counter at its maximum
		[]byte{131, 7, 4, 10, 0, 2, 10, 0},             // loose source route
		[]byte{131, 7, 8, 10, 0, 2, 10, 0},             // loose source route with no address left
		[]byte{137, 7, 4, 10, 0, 2, 10, 0},             // strict source route
		[]byte{148, 4, 0, 0},                           // router alert
		[]byte{1, 1, 1, 0},                             // no operation, end
		[]byte{0x99, 4, 0, 0},                          // unknown
		[]byte{7, 39, 4, 0},                            // longer than the header
		[]byte{7, 2, 0, 0},                             // too short for its type
		[]byte{130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},  // security
		[]byte{68, 12, 9, 1, 10, 0, 1, 10, 0, 0, 0, 0}, // timestamp with addresses, with room for half an entry
		[]byte{134, 8, 0, 0, 0, 1, 1, 2},               // CIPSO
	)
}

var flaws4 = []string{"header checksum", "transport checksum", "version 6", "header length 16", "header length beyond the packet",
	"total length beyond the frame", "total length less than the header", "trailer", "trailer", "cut off", "reserved flag"}

// spoiled applies the packet's flaw to an IPv4 packet, if it has one.
func (m *maker) spoiled(b []byte) []byte {
	header := int(b[0]&15) * 4
	switch m.flaw {
	case "header checksum":
		b[10] ^= 0x40
	case "transport checksum":
		if at, known := map[uint8]int{protoUDP: 6, protoTCP: 16, protoICMP: 2}[m.ip.proto]; known {
			b[header+at] ^= 0x55
		}
	case "version 6":
		b[0] = 0x60 | b[0]&15
	case "header length 16":
		b[0] = 0x44
		fixHeader(b)
	case "header length beyond the packet":
		b[0] = 0x4f
		big.PutUint16(b[2:], 40)
		fixHeader(b)
	case "total length beyond the frame":
		big.PutUint16(b[2:], uint16(len(b)+4))
		fixHeader(b)
	case "total length less than the header":
		big.PutUint16(b[2:], 16)
		fixHeader(b)
	case "trailer":
		b = m.trailer(b)
	case "cut off":
		b = b[:header]
	case "reserved flag":
		b[6] |= 0x80
		fixHeader(b)
	}
	return b
}

// fragment4 sends one fragment, the first or a later one, of a packet that is never
// completed.
func (m *maker) fragment4(data []byte) {
	m.ip.mf = m.chance(2)
	m.ip.offset = 8 * m.IntN(180)
	if m.ip.offset == 0 || m.chance(3) {
		m.ip.offset, m.ip.mf = 0, true
	}
	if m.ip.mf {
		data = data[:len(data)&^7]
	}
	m.size = m.ip.size() + len(data)
	m.transport += fmt.Sprintf(", fragment at %d, more %v", m.ip.offset, m.ip.mf)
	m.frame(m.spoiled(m.ip.packet(data)))
}

// fragments4 sends a packet in fragments.
func (m *maker) fragments4(data []byte) {
	m.transport += ", in fragments"
	at := 8 * (1 + m.IntN(len(data)/8-1))
	m.ip.df = false
	for _, part := range []struct{ from, to int }{{0, at}, {at, len(data)}} {
		h := *m.ip
		h.offset, h.mf = part.from, part.to < len(data)
		m.frame(h.packet(data[part.from:part.to]))
	}
}
