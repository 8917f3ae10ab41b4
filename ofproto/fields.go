package ofproto

import "fmt"

// A FieldID names a header field, register or piece of metadata.
type FieldID uint8

// Fields in canonical order: a field comes after every field that it depends
// on, which is the order that Open vSwitch wants and, but for registers and
// connection tracking, the order in which it lists them itself.
const (
	FieldRaw FieldID = iota // not in this table; kept as it came
	FieldInPort
	FieldInPhyPort
	FieldMetadata
	FieldTunnelID
	FieldTunIPv4Src
	FieldTunIPv4Dst
	FieldPktMark
	FieldReg0
)

// Sixteen 32-bit registers and four of 128 bits, each over four of the others.
const (
	FieldReg15  = FieldReg0 + 15
	FieldXXReg0 = FieldReg15 + 1
	FieldXXReg3 = FieldXXReg0 + 3
)

const (
	FieldEthDst = FieldXXReg3 + 1 + iota
	FieldEthSrc
	FieldEthType
	FieldVLANTCI
	FieldVLANVID
	FieldVLANPCP
	FieldIPDSCP
	FieldIPECN
	FieldIPTTL
	FieldIPFrag
	FieldIPProto
	FieldIPv4Src
	FieldIPv4Dst
	FieldIPv6Src
	FieldIPv6Dst
	FieldIPv6Label
	FieldTCPSrc
	FieldTCPDst
	FieldUDPSrc
	FieldUDPDst
	FieldSCTPSrc
	FieldSCTPDst
	FieldICMPv4Type
	FieldICMPv4Code
	FieldARPOp
	FieldARPSPA
	FieldARPTPA
	FieldARPSHA
	FieldARPTHA
	FieldICMPv6Type
	FieldICMPv6Code
	FieldNDTarget
	FieldNDSLL
	FieldNDTLL
	numFields
)

// How a field's value is written in text.
type format uint8

const (
	decimal format = iota
	hexadecimal
	ethernet
	ipv4
	ipv6
	port
)

// OXM and NXM classes (OpenFlow 1.3.5 §7.2.3.2; OVS lib/nx-match.c).
const (
	classNXM0 = 0x0000
	classNXM1 = 0x0001
	classOXM  = 0x8000
)

// EtherTypes and IP protocols that fields depend on.
const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherIPv6  = 0x86dd
	ipICMP     = 1
	ipTCP      = 6
	ipUDP      = 17
	ipICMPv6   = 58
	ipSCTP     = 132
	vlanTagged = 0x1000 // OFPVID_PRESENT
)

// A fieldInfo describes one field, in the manner of OVS's meta-flow.h. Adding
// a field means adding a constant and a row, and a constructor in field.go.
type fieldInfo struct {
	name   string // in a match, as ovs-ofctl dump-flows prints it
	set    string // in set_field; "" if the same as name
	nxm    string // in move and load
	class  uint16
	num    uint8
	width  int    // bytes on the wire
	bits   int    // significant low-order bits; 0 means all of width
	alt    uint32 // class<<16 | num<<9 of a second header that means the same; 0 for none
	format format
	needs  []need // any of these must hold; none needed if empty
}

// A need is the exact value that a prerequisite field must have.
type need struct {
	field FieldID
	value uint16
}

var (
	needIPv4   = []need{{FieldEthType, etherIPv4}}
	needIPv6   = []need{{FieldEthType, etherIPv6}}
	needIP     = []need{{FieldEthType, etherIPv4}, {FieldEthType, etherIPv6}}
	needARP    = []need{{FieldEthType, etherARP}}
	needTCP    = []need{{FieldIPProto, ipTCP}}
	needUDP    = []need{{FieldIPProto, ipUDP}}
	needSCTP   = []need{{FieldIPProto, ipSCTP}}
	needICMP   = []need{{FieldIPProto, ipICMP}}
	needICMPv6 = []need{{FieldIPProto, ipICMPv6}}
	needNS     = []need{{FieldICMPv6Type, 135}}
	needNA     = []need{{FieldICMPv6Type, 136}}
	needND     = []need{{FieldICMPv6Type, 135}, {FieldICMPv6Type, 136}}
)

func nxm0(num uint32) uint32 { return classNXM0<<16 | num<<9 }
func nxm1(num uint32) uint32 { return classNXM1<<16 | num<<9 }

var fields = makeFields()

func makeFields() [numFields]fieldInfo {
	t := [numFields]fieldInfo{
		FieldInPort:     {name: "in_port", nxm: "NXM_OF_IN_PORT", class: classOXM, num: 0, width: 4, format: port},
		FieldInPhyPort:  {name: "in_phy_port", nxm: "OXM_OF_IN_PHY_PORT", class: classOXM, num: 1, width: 4, format: port},
		FieldMetadata:   {name: "metadata", nxm: "OXM_OF_METADATA", class: classOXM, num: 2, width: 8, format: hexadecimal},
		FieldTunnelID:   {name: "tun_id", nxm: "NXM_NX_TUN_ID", class: classOXM, num: 38, width: 8, alt: nxm1(16), format: hexadecimal},
		FieldTunIPv4Src: {name: "tun_src", nxm: "NXM_NX_TUN_IPV4_SRC", class: classNXM1, num: 31, width: 4, format: ipv4},
		FieldTunIPv4Dst: {name: "tun_dst", nxm: "NXM_NX_TUN_IPV4_DST", class: classNXM1, num: 32, width: 4, format: ipv4},
		FieldPktMark:    {name: "pkt_mark", nxm: "NXM_NX_PKT_MARK", class: classNXM1, num: 33, width: 4, format: hexadecimal},
		FieldEthDst:     {name: "dl_dst", set: "eth_dst", nxm: "NXM_OF_ETH_DST", class: classOXM, num: 3, width: 6, alt: nxm0(1), format: ethernet},
		FieldEthSrc:     {name: "dl_src", set: "eth_src", nxm: "NXM_OF_ETH_SRC", class: classOXM, num: 4, width: 6, alt: nxm0(2), format: ethernet},
		FieldEthType:    {name: "dl_type", set: "eth_type", nxm: "NXM_OF_ETH_TYPE", class: classOXM, num: 5, width: 2, alt: nxm0(3), format: hexadecimal},
		FieldVLANTCI:    {name: "vlan_tci", nxm: "NXM_OF_VLAN_TCI", class: classNXM0, num: 4, width: 2, format: hexadecimal},
		FieldVLANVID:    {name: "vlan_vid", nxm: "OXM_OF_VLAN_VID", class: classOXM, num: 6, width: 2, bits: 13, format: hexadecimal},
		FieldVLANPCP:    {name: "dl_vlan_pcp", set: "vlan_pcp", nxm: "OXM_OF_VLAN_PCP", class: classOXM, num: 7, width: 1, bits: 3},
		FieldIPDSCP:     {name: "ip_dscp", nxm: "OXM_OF_IP_DSCP", class: classOXM, num: 8, width: 1, bits: 6, needs: needIP},
		FieldIPECN:      {name: "nw_ecn", set: "ip_ecn", nxm: "NXM_NX_IP_ECN", class: classOXM, num: 9, width: 1, bits: 2, alt: nxm1(28), needs: needIP},
		FieldIPTTL:      {name: "nw_ttl", nxm: "NXM_NX_IP_TTL", class: classNXM1, num: 29, width: 1, needs: needIP},
		FieldIPFrag:     {name: "ip_frag", nxm: "NXM_NX_IP_FRAG", class: classNXM1, num: 26, width: 1, bits: 2, format: hexadecimal, needs: needIP},
		FieldIPProto:    {name: "nw_proto", set: "ip_proto", nxm: "NXM_OF_IP_PROTO", class: classOXM, num: 10, width: 1, alt: nxm0(6), needs: needIP},
		FieldIPv4Src:    {name: "nw_src", set: "ip_src", nxm: "NXM_OF_IP_SRC", class: classOXM, num: 11, width: 4, alt: nxm0(7), format: ipv4, needs: needIPv4},
		FieldIPv4Dst:    {name: "nw_dst", set: "ip_dst", nxm: "NXM_OF_IP_DST", class: classOXM, num: 12, width: 4, alt: nxm0(8), format: ipv4, needs: needIPv4},
		FieldIPv6Src:    {name: "ipv6_src", nxm: "NXM_NX_IPV6_SRC", class: classOXM, num: 26, width: 16, alt: nxm1(19), format: ipv6, needs: needIPv6},
		FieldIPv6Dst:    {name: "ipv6_dst", nxm: "NXM_NX_IPV6_DST", class: classOXM, num: 27, width: 16, alt: nxm1(20), format: ipv6, needs: needIPv6},
		FieldIPv6Label:  {name: "ipv6_label", nxm: "NXM_NX_IPV6_LABEL", class: classOXM, num: 28, width: 4, bits: 20, alt: nxm1(27), format: hexadecimal, needs: needIPv6},
		FieldTCPSrc:     {name: "tp_src", set: "tcp_src", nxm: "NXM_OF_TCP_SRC", class: classOXM, num: 13, width: 2, alt: nxm0(9), needs: needTCP},
		FieldTCPDst:     {name: "tp_dst", set: "tcp_dst", nxm: "NXM_OF_TCP_DST", class: classOXM, num: 14, width: 2, alt: nxm0(10), needs: needTCP},
		FieldUDPSrc:     {name: "tp_src", set: "udp_src", nxm: "NXM_OF_UDP_SRC", class: classOXM, num: 15, width: 2, alt: nxm0(11), needs: needUDP},
		FieldUDPDst:     {name: "tp_dst", set: "udp_dst", nxm: "NXM_OF_UDP_DST", class: classOXM, num: 16, width: 2, alt: nxm0(12), needs: needUDP},
		FieldSCTPSrc:    {name: "tp_src", set: "sctp_src", nxm: "OXM_OF_SCTP_SRC", class: classOXM, num: 17, width: 2, needs: needSCTP},
		FieldSCTPDst:    {name: "tp_dst", set: "sctp_dst", nxm: "OXM_OF_SCTP_DST", class: classOXM, num: 18, width: 2, needs: needSCTP},
		FieldICMPv4Type: {name: "icmp_type", nxm: "NXM_OF_ICMP_TYPE", class: classOXM, num: 19, width: 1, alt: nxm0(13), needs: needICMP},
		FieldICMPv4Code: {name: "icmp_code", nxm: "NXM_OF_ICMP_CODE", class: classOXM, num: 20, width: 1, alt: nxm0(14), needs: needICMP},
		FieldARPOp:      {name: "arp_op", nxm: "NXM_OF_ARP_OP", class: classOXM, num: 21, width: 2, alt: nxm0(15), needs: needARP},
		FieldARPSPA:     {name: "arp_spa", nxm: "NXM_OF_ARP_SPA", class: classOXM, num: 22, width: 4, alt: nxm0(16), format: ipv4, needs: needARP},
		FieldARPTPA:     {name: "arp_tpa", nxm: "NXM_OF_ARP_TPA", class: classOXM, num: 23, width: 4, alt: nxm0(17), format: ipv4, needs: needARP},
		FieldARPSHA:     {name: "arp_sha", nxm: "NXM_NX_ARP_SHA", class: classOXM, num: 24, width: 6, alt: nxm1(17), format: ethernet, needs: needARP},
		FieldARPTHA:     {name: "arp_tha", nxm: "NXM_NX_ARP_THA", class: classOXM, num: 25, width: 6, alt: nxm1(18), format: ethernet, needs: needARP},
		FieldICMPv6Type: {name: "icmp_type", set: "icmpv6_type", nxm: "NXM_NX_ICMPV6_TYPE", class: classOXM, num: 29, width: 1, alt: nxm1(21), needs: needICMPv6},
		FieldICMPv6Code: {name: "icmp_code", set: "icmpv6_code", nxm: "NXM_NX_ICMPV6_CODE", class: classOXM, num: 30, width: 1, alt: nxm1(22), needs: needICMPv6},
		FieldNDTarget:   {name: "nd_target", nxm: "NXM_NX_ND_TARGET", class: classOXM, num: 31, width: 16, alt: nxm1(23), format: ipv6, needs: needND},
		FieldNDSLL:      {name: "nd_sll", nxm: "NXM_NX_ND_SLL", class: classOXM, num: 32, width: 6, alt: nxm1(24), format: ethernet, needs: needNS},
		FieldNDTLL:      {name: "nd_tll", nxm: "NXM_NX_ND_TLL", class: classOXM, num: 33, width: 6, alt: nxm1(25), format: ethernet, needs: needNA},
	}
	for i := range 16 {
		t[int(FieldReg0)+i] = fieldInfo{name: fmt.Sprintf("reg%d", i), nxm: fmt.Sprintf("NXM_NX_REG%d", i),
			class: classNXM1, num: uint8(i), width: 4, format: hexadecimal}
	}
	for i := range 4 {
		t[int(FieldXXReg0)+i] = fieldInfo{name: fmt.Sprintf("xxreg%d", i), nxm: fmt.Sprintf("NXM_NX_XXREG%d", i),
			class: classNXM1, num: uint8(111 + i), width: 16, format: hexadecimal}
	}
	for i := range t {
		if t[i].set == "" {
			t[i].set = t[i].name
		}
		if t[i].bits == 0 {
			t[i].bits = 8 * t[i].width
		}
	}
	return t
}

// fieldByHeader maps class<<16 | num<<9 to the field, both headers of those
// that have two.
var fieldByHeader = func() map[uint32]FieldID {
	m := make(map[uint32]FieldID, 2*numFields)
	for id := FieldRaw + 1; id < numFields; id++ {
		m[fields[id].header()] = id
		if fields[id].alt != 0 {
			m[fields[id].alt] = id
		}
	}
	return m
}()

// header returns the OXM header without mask bit and length.
func (fi *fieldInfo) header() uint32 { return uint32(fi.class)<<16 | uint32(fi.num)<<9 }
