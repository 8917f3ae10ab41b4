package ofproto

import "fmt"

// A FieldID identifies a header field, a register or a metadata field.
type FieldID uint8

// The fields are in canonical order, in which Open vSwitch sends the fields of a match in
// OpenFlow 1.3 (OVS lib/nx-match.c, nx_put_raw). A field comes after every field that it
// depends on, as Open vSwitch requires.
const (
	// FieldRaw is a field that is not in this table. Its TLV is kept unchanged.
	FieldRaw FieldID = iota

	FieldRecircID
	FieldConjID
	FieldInPort
	FieldInPhyPort
	FieldInPort16 // NXM form of FieldInPort, in actions

	FieldEthSrc
	FieldEthDst
	FieldEthType
	FieldVLANVID
	FieldVLANPCP
	FieldVLANTCI // NXM form of the two above, in actions
	FieldMPLSTC
	FieldMPLSBOS
	FieldMPLSTTL
	FieldMPLSLabel
	FieldPBBISID

	FieldIPv4Src
	FieldIPv4Dst
	FieldIPv6Src
	FieldIPv6Dst
	FieldIPFrag
	FieldIPDSCP
	FieldIPTOS // NXM form of FieldIPDSCP, in the upper six bits, in actions
	FieldIPECN
	FieldIPTTL
	FieldIPv6Label
	FieldIPv6ExtHdr
	FieldIPProto
	FieldTCPSrc
	FieldTCPDst
	FieldTCPFlags
	FieldUDPSrc
	FieldUDPDst
	FieldSCTPSrc
	FieldSCTPDst
	FieldICMPv4Type
	FieldICMPv4Code
	FieldICMPv6Type
	FieldICMPv6Code
	FieldNDReserved
	FieldNDTarget
	FieldNDOptionsType
	FieldNDSLL
	FieldNDTLL
	FieldARPOp
	FieldARPSPA
	FieldARPTPA
	FieldARPSHA
	FieldARPTHA

	FieldTunID
	FieldTunFlags
	FieldTunIPv4Src
	FieldTunIPv4Dst
	FieldTunIPv6Src
	FieldTunIPv6Dst
	FieldTunGBPID
	FieldTunGBPFlags

	FieldReg0
)

// The sixteen 32-bit registers. Eight 64-bit and four 128-bit registers overlay them. The other
// fields follow.
const (
	FieldReg15  = FieldReg0 + 15
	FieldXReg0  = FieldReg15 + 1
	FieldXReg7  = FieldXReg0 + 7
	FieldXXReg0 = FieldXReg7 + 1
	FieldXXReg3 = FieldXXReg0 + 3
)

const (
	FieldPktMark = FieldXXReg3 + 1 + iota
	FieldCTState
	FieldCTZone
	FieldCTMark
	FieldCTLabel
	FieldCTIPv4Src
	FieldCTIPv6Src
	FieldCTIPv4Dst
	FieldCTIPv6Dst
	FieldCTProto
	FieldCTSrcPort
	FieldCTDstPort
	FieldMetadata
	numFields
)

// A format is the text form of a field's value.
type format uint8

const (
	decimal format = iota
	hexadecimal
	ethernet
	ipv4
	ipv6
	port
	port16
	frag    // words of ip_frag
	ctState // flags, each with + or -
	tunFlag
	tcpFlag
)

// OXM and NXM classes (OpenFlow 1.3.5 §7.2.3.2; OVS lib/nx-match.c).
const (
	classNXM0 = 0x0000
	classNXM1 = 0x0001
	classEric = 0x1000
	classOXM1 = 0x8001 // packet registers
	classOXM  = 0x8000
	classExp  = 0xffff // an experimenter ID follows the header
)

// EtherTypes, IP protocols and other values that fields depend on.
const (
	etherIPv4  = 0x0800
	etherARP   = 0x0806
	etherRARP  = 0x8035
	etherIPv6  = 0x86dd
	etherMPLS  = 0x8847
	etherMPLSM = 0x8848
	etherPBB   = 0x88e7
	ipICMP     = 1
	ipTCP      = 6
	ipUDP      = 17
	ipICMPv6   = 58
	ipSCTP     = 132
	ndSolicit  = 135
	ndAdvert   = 136

	vlanPresent = 0x1000 // OFPVID_PRESENT, the CFI bit of a TCI
)

// A fieldInfo describes one field, like OVS's meta-flow.h. To add a field, add a
// constant above, a row in makeFields, and a constructor in field.go.
type fieldInfo struct {
	name   string // name in a match, as ovs-ofctl dump-flows prints it
	set    string // name in set_field and other actions; "" if the same as name
	nxm    string // name in move and load
	class  uint16
	num    uint8
	width  int    // bytes on the wire
	bits   int    // significant low-order bits; 0 means all of width
	sub    int    // bits that actions can access; 0 means bits
	alt    uint32 // class<<16 | num<<9 of an equivalent second header; 0 if there is none
	format format
	needs  []need // prerequisites: at least one must hold; empty for no prerequisites
	noMask bool   // cannot be matched with a mask
	alias  bool   // replaced by other fields in a canonical match

	exact  uint32 // header of an exact match or of set_field, with its length
	action uint32 // header in Nicira actions, with its length; it is the NXM header if the field has one
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
	needARP    = []need{{FieldEthType, etherARP}, {FieldEthType, etherRARP}}
	needMPLS   = []need{{FieldEthType, etherMPLS}, {FieldEthType, etherMPLSM}}
	needPBB    = []need{{FieldEthType, etherPBB}}
	needTCP    = []need{{FieldIPProto, ipTCP}}
	needUDP    = []need{{FieldIPProto, ipUDP}}
	needSCTP   = []need{{FieldIPProto, ipSCTP}}
	needICMP   = []need{{FieldIPProto, ipICMP}}
	needICMPv6 = []need{{FieldIPProto, ipICMPv6}}
	needNS     = []need{{FieldICMPv6Type, ndSolicit}}
	needNA     = []need{{FieldICMPv6Type, ndAdvert}}
	needND     = []need{{FieldICMPv6Type, ndSolicit}, {FieldICMPv6Type, ndAdvert}}
)

func nxm0(num uint32) uint32 { return classNXM0<<16 | num<<9 }
func nxm1(num uint32) uint32 { return classNXM1<<16 | num<<9 }

var fields = makeFields()

func makeFields() [numFields]fieldInfo {
	t := [numFields]fieldInfo{
		FieldRecircID:  {name: "recirc_id", nxm: "NXM_NX_RECIRC_ID", class: classNXM1, num: 36, width: 4, format: hexadecimal, noMask: true},
		FieldConjID:    {name: "conj_id", nxm: "NXM_NX_CONJ_ID", class: classNXM1, num: 37, width: 4, noMask: true},
		FieldInPort:    {name: "in_port", nxm: "OXM_OF_IN_PORT", class: classOXM, num: 0, width: 4, format: port, noMask: true, set: "in_port_oxm"},
		FieldInPhyPort: {name: "in_phy_port", nxm: "OXM_OF_IN_PHY_PORT", class: classOXM, num: 1, width: 4, format: port, noMask: true},
		FieldInPort16:  {name: "in_port", nxm: "NXM_OF_IN_PORT", class: classNXM0, num: 0, width: 2, format: port16, noMask: true, alias: true},

		FieldEthSrc:    {name: "dl_src", set: "eth_src", nxm: "NXM_OF_ETH_SRC", class: classOXM, num: 4, width: 6, alt: nxm0(2), format: ethernet},
		FieldEthDst:    {name: "dl_dst", set: "eth_dst", nxm: "NXM_OF_ETH_DST", class: classOXM, num: 3, width: 6, alt: nxm0(1), format: ethernet},
		FieldEthType:   {name: "dl_type", set: "eth_type", nxm: "NXM_OF_ETH_TYPE", class: classOXM, num: 5, width: 2, alt: nxm0(3), format: hexadecimal, noMask: true},
		FieldVLANVID:   {name: "vlan_vid", nxm: "OXM_OF_VLAN_VID", class: classOXM, num: 6, width: 2, bits: 13, sub: 12, format: hexadecimal},
		FieldVLANPCP:   {name: "dl_vlan_pcp", set: "vlan_pcp", nxm: "OXM_OF_VLAN_PCP", class: classOXM, num: 7, width: 1, bits: 3, noMask: true},
		FieldVLANTCI:   {name: "vlan_tci", nxm: "NXM_OF_VLAN_TCI", class: classNXM0, num: 4, width: 2, format: hexadecimal, alias: true},
		FieldMPLSTC:    {name: "mpls_tc", nxm: "OXM_OF_MPLS_TC", class: classOXM, num: 35, width: 1, bits: 3, needs: needMPLS, noMask: true},
		FieldMPLSBOS:   {name: "mpls_bos", nxm: "OXM_OF_MPLS_BOS", class: classOXM, num: 36, width: 1, bits: 1, needs: needMPLS, noMask: true},
		FieldMPLSTTL:   {name: "mpls_ttl", nxm: "NXM_NX_MPLS_TTL", class: classNXM1, num: 30, width: 1, needs: needMPLS, noMask: true},
		FieldMPLSLabel: {name: "mpls_label", nxm: "OXM_OF_MPLS_LABEL", class: classOXM, num: 34, width: 4, bits: 20, needs: needMPLS, noMask: true},
		FieldPBBISID:   {name: "pbb_isid", nxm: "OXM_OF_PBB_ISID", class: classOXM, num: 37, width: 3, format: hexadecimal, needs: needPBB}, // not in Open vSwitch

		FieldIPv4Src:    {name: "nw_src", set: "ip_src", nxm: "NXM_OF_IP_SRC", class: classOXM, num: 11, width: 4, alt: nxm0(7), format: ipv4, needs: needIPv4},
		FieldIPv4Dst:    {name: "nw_dst", set: "ip_dst", nxm: "NXM_OF_IP_DST", class: classOXM, num: 12, width: 4, alt: nxm0(8), format: ipv4, needs: needIPv4},
		FieldIPv6Src:    {name: "ipv6_src", nxm: "NXM_NX_IPV6_SRC", class: classOXM, num: 26, width: 16, alt: nxm1(19), format: ipv6, needs: needIPv6},
		FieldIPv6Dst:    {name: "ipv6_dst", nxm: "NXM_NX_IPV6_DST", class: classOXM, num: 27, width: 16, alt: nxm1(20), format: ipv6, needs: needIPv6},
		FieldIPFrag:     {name: "ip_frag", nxm: "NXM_NX_IP_FRAG", class: classNXM1, num: 26, width: 1, bits: 2, format: frag, needs: needIP},
		FieldIPDSCP:     {name: "ip_dscp", nxm: "OXM_OF_IP_DSCP", class: classOXM, num: 8, width: 1, bits: 6, needs: needIP, noMask: true},
		FieldIPTOS:      {name: "nw_tos", nxm: "NXM_OF_IP_TOS", class: classNXM0, num: 5, width: 1, needs: needIP, noMask: true, alias: true},
		FieldIPECN:      {name: "nw_ecn", nxm: "NXM_NX_IP_ECN", class: classOXM, num: 9, width: 1, bits: 2, alt: nxm1(28), needs: needIP, noMask: true},
		FieldIPTTL:      {name: "nw_ttl", nxm: "NXM_NX_IP_TTL", class: classNXM1, num: 29, width: 1, needs: needIP, noMask: true},
		FieldIPv6Label:  {name: "ipv6_label", nxm: "NXM_NX_IPV6_LABEL", class: classOXM, num: 28, width: 4, bits: 20, alt: nxm1(27), format: hexadecimal, needs: needIPv6},
		FieldIPv6ExtHdr: {name: "ipv6_exthdr", nxm: "OXM_OF_IPV6_EXTHDR", class: classOXM, num: 39, width: 2, bits: 9, format: hexadecimal, needs: needIPv6}, // not in Open vSwitch
		FieldIPProto:    {name: "nw_proto", nxm: "NXM_OF_IP_PROTO", class: classOXM, num: 10, width: 1, alt: nxm0(6), needs: needIP, noMask: true},

		FieldTCPSrc:     {name: "tp_src", set: "tcp_src", nxm: "NXM_OF_TCP_SRC", class: classOXM, num: 13, width: 2, alt: nxm0(9), needs: needTCP},
		FieldTCPDst:     {name: "tp_dst", set: "tcp_dst", nxm: "NXM_OF_TCP_DST", class: classOXM, num: 14, width: 2, alt: nxm0(10), needs: needTCP},
		FieldTCPFlags:   {name: "tcp_flags", nxm: "NXM_NX_TCP_FLAGS", class: classExp, num: 42, width: 2, bits: 12, alt: nxm1(34), format: tcpFlag, needs: needTCP},
		FieldUDPSrc:     {name: "tp_src", set: "udp_src", nxm: "NXM_OF_UDP_SRC", class: classOXM, num: 15, width: 2, alt: nxm0(11), needs: needUDP},
		FieldUDPDst:     {name: "tp_dst", set: "udp_dst", nxm: "NXM_OF_UDP_DST", class: classOXM, num: 16, width: 2, alt: nxm0(12), needs: needUDP},
		FieldSCTPSrc:    {name: "tp_src", set: "sctp_src", nxm: "OXM_OF_SCTP_SRC", class: classOXM, num: 17, width: 2, needs: needSCTP},
		FieldSCTPDst:    {name: "tp_dst", set: "sctp_dst", nxm: "OXM_OF_SCTP_DST", class: classOXM, num: 18, width: 2, needs: needSCTP},
		FieldICMPv4Type: {name: "icmp_type", nxm: "NXM_OF_ICMP_TYPE", class: classOXM, num: 19, width: 1, alt: nxm0(13), needs: needICMP, noMask: true},
		FieldICMPv4Code: {name: "icmp_code", nxm: "NXM_OF_ICMP_CODE", class: classOXM, num: 20, width: 1, alt: nxm0(14), needs: needICMP, noMask: true},
		FieldICMPv6Type: {name: "icmp_type", set: "icmpv6_type", nxm: "NXM_NX_ICMPV6_TYPE", class: classOXM, num: 29, width: 1, alt: nxm1(21), needs: needICMPv6, noMask: true},
		FieldICMPv6Code: {name: "icmp_code", set: "icmpv6_code", nxm: "NXM_NX_ICMPV6_CODE", class: classOXM, num: 30, width: 1, alt: nxm1(22), needs: needICMPv6, noMask: true},

		FieldNDReserved:    {name: "nd_reserved", nxm: "ERICOXM_OF_ICMPV6_ND_RESERVED", class: classEric, num: 1, width: 4, needs: needND, noMask: true},
		FieldNDTarget:      {name: "nd_target", nxm: "NXM_NX_ND_TARGET", class: classOXM, num: 31, width: 16, alt: nxm1(23), format: ipv6, needs: needND},
		FieldNDOptionsType: {name: "nd_options_type", nxm: "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", class: classEric, num: 2, width: 1, needs: needND, noMask: true},
		FieldNDSLL:         {name: "nd_sll", nxm: "NXM_NX_ND_SLL", class: classOXM, num: 32, width: 6, alt: nxm1(24), format: ethernet, needs: needNS},
		FieldNDTLL:         {name: "nd_tll", nxm: "NXM_NX_ND_TLL", class: classOXM, num: 33, width: 6, alt: nxm1(25), format: ethernet, needs: needNA},

		FieldARPOp:  {name: "arp_op", nxm: "NXM_OF_ARP_OP", class: classOXM, num: 21, width: 2, alt: nxm0(15), needs: needARP, noMask: true},
		FieldARPSPA: {name: "arp_spa", nxm: "NXM_OF_ARP_SPA", class: classOXM, num: 22, width: 4, alt: nxm0(16), format: ipv4, needs: needARP},
		FieldARPTPA: {name: "arp_tpa", nxm: "NXM_OF_ARP_TPA", class: classOXM, num: 23, width: 4, alt: nxm0(17), format: ipv4, needs: needARP},
		FieldARPSHA: {name: "arp_sha", nxm: "NXM_NX_ARP_SHA", class: classOXM, num: 24, width: 6, alt: nxm1(17), format: ethernet, needs: needARP},
		FieldARPTHA: {name: "arp_tha", nxm: "NXM_NX_ARP_THA", class: classOXM, num: 25, width: 6, alt: nxm1(18), format: ethernet, needs: needARP},

		FieldTunID:       {name: "tun_id", nxm: "NXM_NX_TUN_ID", class: classOXM, num: 38, width: 8, alt: nxm1(16), format: hexadecimal},
		FieldTunFlags:    {name: "tun_flags", nxm: "NXM_NX_TUN_FLAGS", class: classNXM1, num: 104, width: 2, bits: 1, format: tunFlag},
		FieldTunIPv4Src:  {name: "tun_src", nxm: "NXM_NX_TUN_IPV4_SRC", class: classNXM1, num: 31, width: 4, format: ipv4},
		FieldTunIPv4Dst:  {name: "tun_dst", nxm: "NXM_NX_TUN_IPV4_DST", class: classNXM1, num: 32, width: 4, format: ipv4},
		FieldTunIPv6Src:  {name: "tun_ipv6_src", nxm: "NXM_NX_TUN_IPV6_SRC", class: classNXM1, num: 109, width: 16, format: ipv6},
		FieldTunIPv6Dst:  {name: "tun_ipv6_dst", nxm: "NXM_NX_TUN_IPV6_DST", class: classNXM1, num: 110, width: 16, format: ipv6},
		FieldTunGBPID:    {name: "tun_gbp_id", nxm: "NXM_NX_TUN_GBP_ID", class: classNXM1, num: 38, width: 2},
		FieldTunGBPFlags: {name: "tun_gbp_flags", nxm: "NXM_NX_TUN_GBP_FLAGS", class: classNXM1, num: 39, width: 1, format: hexadecimal},

		FieldPktMark:   {name: "pkt_mark", nxm: "NXM_NX_PKT_MARK", class: classNXM1, num: 33, width: 4, format: hexadecimal},
		FieldCTState:   {name: "ct_state", nxm: "NXM_NX_CT_STATE", class: classNXM1, num: 105, width: 4, bits: 8, sub: 32, format: ctState},
		FieldCTZone:    {name: "ct_zone", nxm: "NXM_NX_CT_ZONE", class: classNXM1, num: 106, width: 2, format: hexadecimal, noMask: true},
		FieldCTMark:    {name: "ct_mark", nxm: "NXM_NX_CT_MARK", class: classNXM1, num: 107, width: 4, format: hexadecimal},
		FieldCTLabel:   {name: "ct_label", nxm: "NXM_NX_CT_LABEL", class: classNXM1, num: 108, width: 16, format: hexadecimal},
		FieldCTIPv4Src: {name: "ct_nw_src", nxm: "NXM_NX_CT_NW_SRC", class: classNXM1, num: 120, width: 4, format: ipv4, needs: needIPv4},
		FieldCTIPv6Src: {name: "ct_ipv6_src", nxm: "NXM_NX_CT_IPV6_SRC", class: classNXM1, num: 122, width: 16, format: ipv6, needs: needIPv6},
		FieldCTIPv4Dst: {name: "ct_nw_dst", nxm: "NXM_NX_CT_NW_DST", class: classNXM1, num: 121, width: 4, format: ipv4, needs: needIPv4},
		FieldCTIPv6Dst: {name: "ct_ipv6_dst", nxm: "NXM_NX_CT_IPV6_DST", class: classNXM1, num: 123, width: 16, format: ipv6, needs: needIPv6},
		FieldCTProto:   {name: "ct_nw_proto", nxm: "NXM_NX_CT_NW_PROTO", class: classNXM1, num: 119, width: 1, needs: needIP, noMask: true},
		FieldCTSrcPort: {name: "ct_tp_src", nxm: "NXM_NX_CT_TP_SRC", class: classNXM1, num: 124, width: 2, needs: needIP},
		FieldCTDstPort: {name: "ct_tp_dst", nxm: "NXM_NX_CT_TP_DST", class: classNXM1, num: 125, width: 2, needs: needIP},
		FieldMetadata:  {name: "metadata", nxm: "OXM_OF_METADATA", class: classOXM, num: 2, width: 8, format: hexadecimal},
	}
	register := func(first FieldID, n int, name, nxm string, class uint16, num uint8, width int) {
		for i := range n {
			t[first+FieldID(i)] = fieldInfo{name: fmt.Sprint(name, i), nxm: fmt.Sprint(nxm, i),
				class: class, num: num + uint8(i), width: width, format: hexadecimal, alias: width > 4}
		}
	}
	register(FieldReg0, 16, "reg", "NXM_NX_REG", classNXM1, 0, 4)
	register(FieldXReg0, 8, "xreg", "OXM_OF_PKT_REG", classOXM1, 0, 8)
	register(FieldXXReg0, 4, "xxreg", "NXM_NX_XXREG", classNXM1, 111, 16)
	for i := range t {
		if t[i].set == "" {
			t[i].set = t[i].name
		}
		if t[i].bits == 0 {
			t[i].bits = 8 * t[i].width
		}
		if t[i].sub == 0 {
			t[i].sub = t[i].bits
		}
		t[i].exact = t[i].header() | uint32(t[i].width+t[i].expLen())
		t[i].action = t[i].header() | uint32(t[i].width)
		if t[i].alt != 0 {
			t[i].action = t[i].alt | uint32(t[i].width)
		}
	}
	return t
}

// fieldByClass maps a class and a number to a field.
var fieldByClass = func() (t struct{ oxm, oxm1, nxm0, nxm1, eric [128]FieldID }) {
	add := func(hdr uint32, id FieldID) {
		num := hdr >> 9 & 0x7f
		switch hdr >> 16 {
		case classOXM:
			t.oxm[num] = id
		case classOXM1:
			t.oxm1[num] = id
		case classNXM0:
			t.nxm0[num] = id
		case classNXM1:
			t.nxm1[num] = id
		case classEric:
			t.eric[num] = id
		}
	}
	for id := FieldRaw + 1; id < numFields; id++ {
		add(fields[id].header(), id)
		if fields[id].alt != 0 {
			add(fields[id].alt, id)
		}
	}
	return t
}()

// fieldOf returns the field with an OXM header, or FieldRaw if the field is not in the table.
// It ignores the header's mask bit and length.
func fieldOf(hdr uint32) FieldID {
	num := hdr >> 9 & 0x7f
	switch hdr >> 16 {
	case classOXM:
		return fieldByClass.oxm[num]
	case classNXM1:
		return fieldByClass.nxm1[num]
	case classNXM0:
		return fieldByClass.nxm0[num]
	case classOXM1:
		return fieldByClass.oxm1[num]
	case classEric:
		return fieldByClass.eric[num]
	case classExp:
		if num == uint32(fields[FieldTCPFlags].num) {
			return FieldTCPFlags // valid only if the experimenter is the ONF
		}
	}
	return FieldRaw
}

// fieldAt returns the field and the header of the OXM TLV that s starts with.
func fieldAt[B []byte | string](s B) (id FieldID, hdr uint32) {
	hdr = uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
	id = fieldOf(hdr)
	if hdr>>16 == classExp && (len(s) < 8 || uint32(s[4])<<24|uint32(s[5])<<16|uint32(s[6])<<8|uint32(s[7]) != onfID) {
		id = FieldRaw
	}
	return id, hdr
}

// expLen returns the length of the experimenter ID in the field's TLV.
func (fi *fieldInfo) expLen() int {
	if fi.class == classExp {
		return 4
	}
	return 0
}

// header returns the OXM header with the mask bit and the length zero.
func (fi *fieldInfo) header() uint32 { return uint32(fi.class)<<16 | uint32(fi.num)<<9 }
