package differential

import (
	"encoding/binary"
	"net/netip"
)

// Ethernet types and IP protocols.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherVLAN = 0x8100
	etherIPv6 = 0x86dd

	protoHopByHop = 0
	protoICMP     = 1
	protoTCP      = 6
	protoUDP      = 17
	protoRouting  = 43
	protoFragment = 44
	protoICMPv6   = 58
	protoNone     = 59
	protoDestOpts = 60
)

var (
	big       = binary.BigEndian
	broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

func ethernet(dst, src mac, etherType uint16, payload []byte) []byte {
	f := append(append(make([]byte, 0, 14+len(payload)), dst[:]...), src[:]...)
	return append(big.AppendUint16(f, etherType), payload...)
}

// tagged inserts a VLAN tag into a frame.
func tagged(frame []byte, tpid, tci uint16) []byte {
	f := append([]byte(nil), frame[:12]...)
	return append(big.AppendUint16(big.AppendUint16(f, tpid), tci), frame[12:]...)
}

// A header is an IPv4 or IPv6 header.
type header struct {
	src, dst netip.Addr
	proto    uint8
	ttl, tos uint8

	id      uint16 // the fields from here to options are for IPv4
	df, mf  bool
	offset  int // offset of a fragment in bytes; a multiple of 8
	options []byte

	flow       uint32      // the fields from here on are for IPv6
	extensions []extension // in order
}

// An extension is an extension header of IPv6. The first byte of its data, the type of the next
// header, is filled in.
type extension struct {
	typ  uint8
	data []byte
}

// size is the header's length.
func (h *header) size() int {
	if h.src.Is4() {
		return 20 + len(h.options)
	}
	n := 40
	for _, e := range h.extensions {
		n += len(e.data)
	}
	return n
}

// packet returns the IP packet.
func (h *header) packet(payload []byte) []byte {
	if !h.src.Is4() {
		return h.packet6(payload)
	}
	b := make([]byte, h.size(), h.size()+len(payload))
	b[0], b[1] = 0x40|byte(len(b)/4), h.tos
	big.PutUint16(b[2:], uint16(len(b)+len(payload)))
	big.PutUint16(b[4:], h.id)
	flags := uint16(h.offset / 8)
	if h.df {
		flags |= 0x4000
	}
	if h.mf {
		flags |= 0x2000
	}
	big.PutUint16(b[6:], flags)
	b[8], b[9] = h.ttl, h.proto
	copy(b[12:], h.src.AsSlice())
	copy(b[16:], h.dst.AsSlice())
	copy(b[20:], h.options)
	fixHeader(b)
	return append(b, payload...)
}

// fixHeader sets the checksum of an IPv4 header.
func fixHeader(b []byte) {
	big.PutUint16(b[10:], 0)
	big.PutUint16(b[10:], ^sum(b[:min(len(b), int(b[0]&15)*4)], 0))
}

func (h *header) packet6(payload []byte) []byte {
	b := make([]byte, 40, h.size()+len(payload))
	big.PutUint32(b, 6<<28|uint32(h.tos)<<20|h.flow)
	big.PutUint16(b[4:], uint16(h.size()-40+len(payload)))
	b[7] = h.ttl
	copy(b[8:], h.src.AsSlice())
	copy(b[24:], h.dst.AsSlice())
	next := 6
	for _, e := range h.extensions {
		b[next] = e.typ
		next = len(b)
		b = append(b, e.data...)
	}
	b[next] = h.proto
	return append(b, payload...)
}

// sum returns the sum of RFC 1071, not complemented, of b and the earlier sum s.
func sum(b []byte, s uint32) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(big.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudo returns the sum of the pseudo header of a payload.
func pseudo(src, dst netip.Addr, proto uint8, length int) uint32 {
	return uint32(sum(src.AsSlice(), uint32(sum(dst.AsSlice(), uint32(proto)+uint32(length)))))
}

func udp(h *header, sport, dport uint16, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	big.PutUint16(b, sport)
	big.PutUint16(b[2:], dport)
	big.PutUint16(b[4:], uint16(8+len(data)))
	b = append(b, data...)
	check := ^sum(b, pseudo(h.src, h.dst, protoUDP, len(b)))
	if check == 0 {
		check = 0xffff
	}
	big.PutUint16(b[6:], check)
	return b
}

func tcp(h *header, sport, dport uint16, flags uint8, seq, ack uint32, data []byte) []byte {
	b := make([]byte, 20, 20+len(data))
	big.PutUint16(b, sport)
	big.PutUint16(b[2:], dport)
	big.PutUint32(b[4:], seq)
	big.PutUint32(b[8:], ack)
	b[12], b[13] = 5<<4, flags
	big.PutUint16(b[14:], 8192)
	b = append(b, data...)
	big.PutUint16(b[16:], ^sum(b, pseudo(h.src, h.dst, protoTCP, len(b))))
	return b
}

// icmp returns an ICMP message or, if h is IPv6, an ICMPv6 message. rest has the four bytes after
// the checksum.
func icmp(h *header, typ, code uint8, rest uint32, data []byte) []byte {
	b := append(make([]byte, 8, 8+len(data)), data...)
	b[0], b[1] = typ, code
	big.PutUint32(b[4:], rest)
	var s uint32
	if h.src.Is6() {
		s = pseudo(h.src, h.dst, protoICMPv6, len(b))
	}
	big.PutUint16(b[2:], ^sum(b, s))
	return b
}

// arpMessage returns an ARP message.
func arpMessage(operation uint16, sha mac, spa netip.Addr, tha mac, tpa netip.Addr) []byte {
	b := []byte{0, 1, 8, 0, 6, 4, byte(operation >> 8), byte(operation)}
	b = append(append(b, sha[:]...), spa.AsSlice()...)
	return append(append(b, tha[:]...), tpa.AsSlice()...)
}
