package ofproto

import (
	"encoding/binary"
	"net/netip"
)

// A Field is one header field with a value and a mask. It is used to match ([MatchOf]) and,
// without a mask, to rewrite ([SetField]). Bits that are zero in the mask are wildcards. The
// zero Field matches every packet.
//
// Field is a comparable value. Its value is in network byte order, left aligned
// and ANDed with the mask.
type Field struct {
	id        FieldID
	val, mask [16]byte
	raw       string // the OXM TLV of a field that is not in the table of fields
}

// InPort matches the ingress port.
func InPort(p PortNo) Field { return exact(FieldInPort, be32(uint32(p))) }

// Metadata matches the bits of the metadata that mask selects.
func Metadata(value, mask uint64) Field { return masked(FieldMetadata, be64(value), be64(mask)) }

// Reg matches the bits of 32-bit register n (0–15) that mask selects. If mask is all ones, it can
// also set the register.
func Reg(n int, value, mask uint32) Field {
	return masked(FieldReg0+FieldID(n&15), be32(value), be32(mask))
}

// TunID matches or sets the tunnel's key, such as a VNI.
func TunID(id uint64) Field { return exact(FieldTunID, be64(id)) }

// TunSrc matches or sets the sender's address of a tunnel.
func TunSrc(a netip.Addr) Field {
	if a.Is4() {
		return prefix(FieldTunIPv4Src, netip.PrefixFrom(a, 32))
	}
	return prefix(FieldTunIPv6Src, netip.PrefixFrom(a, 128))
}

// TunDst matches or sets the receiver's address of a tunnel.
func TunDst(a netip.Addr) Field {
	if a.Is4() {
		return prefix(FieldTunIPv4Dst, netip.PrefixFrom(a, 32))
	}
	return prefix(FieldTunIPv6Dst, netip.PrefixFrom(a, 128))
}

// EtherType matches the EtherType.
func EtherType(n uint16) Field { return exact(FieldEthType, be16(n)) }

// EthDstBits matches the bits of the Ethernet destination that mask selects.
func EthDstBits(m, mask MAC) Field { return masked(FieldEthDst, m[:], mask[:]) }

// EthDst matches or sets the Ethernet destination.
func EthDst(m MAC) Field { return exact(FieldEthDst, m[:]) }

// EthSrc matches or sets the Ethernet source.
func EthSrc(m MAC) Field { return exact(FieldEthSrc, m[:]) }

// EthSrcBits matches the bits of the Ethernet source that mask selects.
func EthSrcBits(m, mask MAC) Field { return masked(FieldEthSrc, m[:], mask[:]) }

// IPv4 matches IPv4 packets. It is the prerequisite of the IPv4 fields.
func IPv4() Field { return exact(FieldEthType, be16(etherIPv4)) }

// IPv6 matches IPv6 packets. It is the prerequisite of the IPv6 fields.
func IPv6() Field { return exact(FieldEthType, be16(etherIPv6)) }

// ARP matches ARP packets. It is the prerequisite of the ARP fields.
func ARP() Field { return exact(FieldEthType, be16(etherARP)) }

// VLAN matches packets with the given ID in the outermost VLAN tag, or sets that ID in a tagged
// packet.
func VLAN(id uint16) Field { return exact(FieldVLANVID, be16(vlanPresent|id)) }

// Untagged matches packets without a VLAN tag.
func Untagged() Field { return exact(FieldVLANVID, be16(0)) }

// IPProto matches the IP protocol number. It needs [IPv4] or [IPv6].
func IPProto(n uint8) Field { return exact(FieldIPProto, []byte{n}) }

// IPv4Src matches an IPv4 source prefix; host bits are ignored.
func IPv4Src(p netip.Prefix) Field { return prefix(FieldIPv4Src, p) }

// IPv4Dst matches an IPv4 destination prefix; host bits are ignored.
func IPv4Dst(p netip.Prefix) Field { return prefix(FieldIPv4Dst, p) }

// IPv6Src matches source addresses within an IPv6 prefix.
func IPv6Src(p netip.Prefix) Field { return prefix(FieldIPv6Src, p) }

// IPv6Dst matches destination addresses within an IPv6 prefix.
func IPv6Dst(p netip.Prefix) Field { return prefix(FieldIPv6Dst, p) }

// IPv6Label matches the flow label of an IPv6 packet.
func IPv6Label(label uint32) Field { return exact(FieldIPv6Label, be32(label)) }

// NotFragmented matches IP packets that are not fragments.
func NotFragmented() Field { return exact(FieldIPFrag, []byte{0}) }

// TransportSrc matches the source port of the IP protocol proto, which is TCP, UDP or SCTP.
func TransportSrc(proto uint8, port uint16) Field {
	return exact(map[uint8]FieldID{ipTCP: FieldTCPSrc, ipUDP: FieldUDPSrc, ipSCTP: FieldSCTPSrc}[proto], be16(port))
}

// TransportDst matches the destination port of the IP protocol proto, which is TCP, UDP or
// SCTP.
func TransportDst(proto uint8, port uint16) Field {
	return exact(map[uint8]FieldID{ipTCP: FieldTCPDst, ipUDP: FieldUDPDst, ipSCTP: FieldSCTPDst}[proto], be16(port))
}

// ICMPv4Type matches the type of an ICMP message.
func ICMPv4Type(n uint8) Field { return exact(FieldICMPv4Type, []byte{n}) }

// ICMPv4Code matches the code of an ICMP message.
func ICMPv4Code(n uint8) Field { return exact(FieldICMPv4Code, []byte{n}) }

// ICMPv6Type matches the type of an ICMPv6 message.
func ICMPv6Type(n uint8) Field { return exact(FieldICMPv6Type, []byte{n}) }

// ICMPv6Code matches the code of an ICMPv6 message.
func ICMPv6Code(n uint8) Field { return exact(FieldICMPv6Code, []byte{n}) }

// NDTarget matches the target address of a neighbour discovery message.
func NDTarget(a netip.Addr) Field { return prefix(FieldNDTarget, netip.PrefixFrom(a, 128)) }

// NDOptionsType matches the type of the first option with a MAC address in a neighbour
// discovery message. 0 matches messages without such an option.
func NDOptionsType(n uint8) Field { return exact(FieldNDOptionsType, []byte{n}) }

// NDReserved matches the reserved bits of a neighbour solicitation. In a neighbour advertisement
// these bits are the flags.
func NDReserved(bits uint32) Field { return exact(FieldNDReserved, be32(bits)) }

// NDTargetMAC matches the target's MAC address in a neighbour advertisement.
func NDTargetMAC(m MAC) Field { return exact(FieldNDTLL, m[:]) }

// NDSourceMAC matches the sender's MAC address in a neighbour solicitation. The zero address
// matches solicitations without a sender's MAC address.
func NDSourceMAC(m MAC) Field { return exact(FieldNDSLL, m[:]) }

// NDSourceMACBits matches the bits of the sender's MAC address in a neighbour solicitation that
// mask selects.
func NDSourceMACBits(m, mask MAC) Field { return masked(FieldNDSLL, m[:], mask[:]) }

// IPTTL matches or sets the IPv4 TTL or the IPv6 hop limit.
func IPTTL(n uint8) Field { return exact(FieldIPTTL, []byte{n}) }

// ARPOp matches or sets the ARP operation: 1 is a request, 2 a reply.
func ARPOp(op uint16) Field { return exact(FieldARPOp, be16(op)) }

// ARPSourceIP matches or sets the sender's IPv4 address (arp_spa).
func ARPSourceIP(a netip.Addr) Field { return prefix(FieldARPSPA, netip.PrefixFrom(a, 32)) }

// ARPSource matches a prefix of the sender's IPv4 address; host bits are ignored.
func ARPSource(p netip.Prefix) Field { return prefix(FieldARPSPA, p) }

// ARPTargetIP matches or sets the requested IPv4 address (arp_tpa).
func ARPTargetIP(a netip.Addr) Field { return prefix(FieldARPTPA, netip.PrefixFrom(a, 32)) }

// ARPSourceMAC matches or sets the sender's Ethernet address (arp_sha).
func ARPSourceMAC(m MAC) Field { return exact(FieldARPSHA, m[:]) }

// ARPSourceMACBits matches the bits of the sender's Ethernet address (arp_sha) that mask selects.
func ARPSourceMACBits(m, mask MAC) Field { return masked(FieldARPSHA, m[:], mask[:]) }

// ARPTargetMAC matches or sets the target's Ethernet address (arp_tha).
func ARPTargetMAC(m MAC) Field { return exact(FieldARPTHA, m[:]) }

func exact(id FieldID, val []byte) Field {
	f := Field{id: id, mask: fields[id].ones()}
	copy(f.val[:], val)
	return f
}

// ones returns the mask of an exact match.
func (fi *fieldInfo) ones() (m [16]byte) {
	for i := range fi.width {
		m[i] = 0xff
	}
	return m
}

func prefix(id FieldID, p netip.Prefix) Field {
	if p.Addr().Is4() {
		return masked(id, p.Addr().AsSlice(), be32(^uint32(0)<<(32-p.Bits())))
	}
	var m [16]byte
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return masked(id, p.Addr().AsSlice(), m[:])
}

func masked(id FieldID, val, mask []byte) Field {
	f := Field{id: id}
	copy(f.val[:], val)
	copy(f.mask[:], mask)
	return f.normalize()
}

// normalize clears the value's wildcarded and nonexistent bits, and replaces a
// mask of all existing bits by the mask of all ones.
func (f Field) normalize() Field {
	fi := &fields[f.id]
	all := true
	for i := range fi.width {
		has := fi.significant(i)
		f.mask[i] &= has
		f.val[i] &= f.mask[i]
		all = all && f.mask[i] == has
	}
	if all {
		f.mask = fi.ones()
	}
	return f
}

// significant returns the mask of the existing bits in byte i of the field.
func (fi *fieldInfo) significant(i int) byte {
	switch n := fi.bits - 8*(fi.width-1-i); {
	case n >= 8:
		return 0xff
	case n <= 0:
		return 0
	default:
		return 1<<n - 1
	}
}

func be16(v uint16) []byte { return binary.BigEndian.AppendUint16(nil, v) }
func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

func (f Field) wildcard() bool { return f.id != FieldRaw && f.mask == [16]byte{} || f == Field{} }

func (f Field) isExact() bool { return f.id != FieldRaw && f.mask == fields[f.id].ones() }

// appendOXM appends f as an OXM TLV (OpenFlow 1.3.5 §7.2.3.2).
func (f Field) appendOXM(b []byte) []byte {
	if f.id == FieldRaw {
		return append(b, f.raw...)
	}
	fi := &fields[f.id]
	n := fi.width
	if f.isExact() {
		b = fi.appendHeader(b, fi.exact)
		return append(b, f.val[:n]...)
	}
	b = fi.appendHeader(b, fi.header()|1<<8|uint32(2*n+fi.expLen()))
	return append(append(b, f.val[:n]...), f.mask[:n]...)
}

func (fi *fieldInfo) appendHeader(b []byte, hdr uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, hdr)
	if fi.class == classExp {
		b = binary.BigEndian.AppendUint32(b, onfID)
	}
	return b
}

// decodeOXM decodes the OXM TLV o. A field that is not in the table of fields, or that has
// another length there, is kept raw.
func decodeOXM[B []byte | string](o B) Field {
	id, hdr := fieldAt(o)
	if id == FieldRaw {
		return Field{raw: string(o)}
	}
	n, val := fields[id].width, o[4:]
	if hdr>>16 == classExp {
		val = val[4:]
	}
	f := Field{id: id}
	switch {
	case hdr&(1<<8) == 0 && len(val) == n:
		f.mask = fields[id].ones()
		copy(f.val[:], val)
	case hdr&(1<<8) != 0 && len(val) == 2*n:
		copy(f.val[:], val[:n])
		copy(f.mask[:], val[n:])
		f = f.normalize()
	default:
		return Field{raw: string(o)}
	}
	return f
}

// ID returns the field's ID, or [FieldRaw] if the field is not in the table of fields.
func (f Field) ID() FieldID { return f.id }
