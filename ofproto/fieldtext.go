package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// String returns the field as a match in ovs-ofctl syntax, such as
// "nw_dst=10.0.0.0/24".
func (f Field) String() string {
	if f.id == FieldRaw {
		return "oxm(" + hex.EncodeToString([]byte(f.raw)) + ")"
	}
	fi := &fields[f.id]
	switch {
	case f.id == FieldVLANVID && f.isExact() && f.val[0]&(vlanPresent>>8) != 0:
		return "dl_vlan=" + strconv.Itoa(int(binary.BigEndian.Uint16(f.val[:])&^vlanPresent))
	case f.id == FieldVLANVID: // dl_vlan cannot express a mask or an untagged packet
		return fmt.Sprintf("vlan_tci=0x%04x/0x%04x", binary.BigEndian.Uint16(f.val[:]), binary.BigEndian.Uint16(f.mask[:])&0x1fff)
	case fi.format == frag:
		return fi.name + "=" + fragWord(f.val[0], f.mask[0])
	case fi.format == ctState:
		return fi.name + "=" + flagWords(ctStateNames, binary.BigEndian.Uint32(f.val[:]), binary.BigEndian.Uint32(f.mask[:]))
	case fi.format == tunFlag:
		return fi.name + "=" + flagWords(tunFlagNames, uint32(binary.BigEndian.Uint16(f.val[:])), uint32(binary.BigEndian.Uint16(f.mask[:])))
	case fi.format == tcpFlag:
		return fi.name + "=" + flagWords(tcpFlagNames, uint32(binary.BigEndian.Uint16(f.val[:])), uint32(binary.BigEndian.Uint16(f.mask[:])))
	}
	s := fi.name + "=" + fi.text(f.val)
	if f.isExact() {
		return s
	}
	if fi.format == ipv4 || fi.format == ipv6 {
		if bits, ok := prefixLen(f.mask[:fi.width]); ok {
			return s + "/" + strconv.Itoa(bits)
		}
	}
	return s + "/" + fi.text(f.mask)
}

// Names of flags, from the lowest bit.
var (
	ctStateNames = []string{"new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"}
	tunFlagNames = []string{"oam"}
	tcpFlagNames = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"}
)

// flagWords formats each flag in mask with + or -, such as "+est-inv". If mask has
// a bit without a name, it formats numbers.
func flagWords(names []string, val, mask uint32) string {
	if known := uint32(1)<<len(names) - 1; mask == 0xffff || mask == 0xffffffff {
		mask = known // exact
	} else if mask > known {
		return fmt.Sprintf("%#x/%#x", val, mask)
	}
	var b strings.Builder
	for i, name := range names {
		switch bit := uint32(1) << i; {
		case mask&bit == 0:
		case val&bit != 0:
			b.WriteString("+" + name)
		default:
			b.WriteString("-" + name)
		}
	}
	return b.String()
}

// fragWords are the words for values and masks of ip_frag. Bit 0 means that the packet is a
// fragment, and bit 1 that it is not the first one.
var fragWords = []struct {
	word      string
	val, mask uint8
}{
	{"no", 0, 3}, {"no", 0, 1}, {"yes", 1, 1}, {"first", 1, 3}, {"later", 3, 3}, {"later", 2, 2}, {"not_later", 0, 2},
}

func fragWord(val, mask uint8) string {
	for _, w := range fragWords {
		if w.val == val && w.mask == mask&3 {
			return w.word
		}
	}
	return fmt.Sprintf("%#x/%#x", val, mask)
}

// prefixLen returns the number of leading ones. If a one follows a zero, ok is false.
func prefixLen(mask []byte) (int, bool) {
	n, zeros := 0, false
	for _, b := range mask {
		for bit := byte(0x80); bit != 0; bit >>= 1 {
			switch {
			case b&bit == 0:
				zeros = true
			case zeros:
				return 0, false
			default:
				n++
			}
		}
	}
	return n, true
}

// text formats a value, without a mask.
func (fi *fieldInfo) text(v [16]byte) string {
	switch fi.format {
	case ethernet:
		return MAC(v[:6]).String()
	case ipv4:
		return netip.AddrFrom4([4]byte(v[:4])).String()
	case ipv6:
		return netip.AddrFrom16(v).String()
	case port:
		return PortNo(binary.BigEndian.Uint32(v[:4])).String()
	case port16:
		return widePort(binary.BigEndian.Uint16(v[:2])).String()
	}
	if fi.width == 16 {
		s := strings.TrimLeft(hex.EncodeToString(v[:]), "0")
		if s == "" {
			s = "0"
		}
		return "0x" + s
	}
	var n uint64
	for _, b := range v[:fi.width] {
		n = n<<8 | uint64(b)
	}
	if fi.format == decimal {
		return strconv.FormatUint(n, 10)
	}
	return fmt.Sprintf("%#x", n)
}
