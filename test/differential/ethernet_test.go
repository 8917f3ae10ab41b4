package differential

import "fmt"

// strangeFrame makes a frame that a router must not route.
func (m *maker) strangeFrame() {
	h := &header{src: m.machine().ip4(), dst: m.anyMachine(m.remote).ip4(), proto: protoUDP, ttl: 64, id: uint16(m.n)}
	inner := ethernet(m.packet.dst, m.packet.src, etherIPv4, h.packet(udp(h, 7, 7, filler(m.n, 64))))
	tag := false
	switch m.IntN(4) {
	case 0, 1:
		tag = true
		tpid := pick[uint16](m, etherVLAN, etherVLAN, 0x88a8)
		tci := pick(m, 0, uint16(m.machine().net.vlan), uint16(m.elsewhere().vlan), 4095, 4094) | uint16(m.IntN(8)<<13)
		m.what = fmt.Sprintf("UDP to %v with tag %#04x of %#04x", h.dst, tci, tpid)
		inner = tagged(inner, tpid, tci)
		if m.chance(4) {
			inner = tagged(inner, tpid, uint16(m.machine().net.vlan))
			m.what += ", and that of the network outside"
		}
	case 2:
		etherType := pick[uint16](m, 0x88b5, 0x8847, 0x88cc, 0x9000, 0x8863, 0x1234, 100)
		if m.chance(3) {
			m.packet.dst = m.strangeMAC()
		}
		m.what = fmt.Sprintf("Ethernet type %#04x to %v", etherType, m.packet.dst)
		inner = ethernet(m.packet.dst, m.packet.src, etherType, filler(m.n, 100))
	case 3:
		m.packet.dst = mac{1, 0x80, 0xc2, 0, 0, pick[byte](m, 0, 1, 2, 14, 15)}
		m.what = "UDP to a link's own multicast"
		inner = ethernet(m.packet.dst, m.packet.src, etherIPv4, inner[14:])
	}
	// An access port accepts a frame with VLAN 0 as untagged.
	m.confined = !tag || big.Uint16(inner[14:])&0xfff != 0
	m.transport = "frame"
	m.frames = [][]byte{inner}
}
