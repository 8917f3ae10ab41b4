package ofproto

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
)

// These are the field names in a match, in set_field and learn, and in subfields.
var matchNames, setNames, subfieldNames = makeNames()

// otherNames are the names that ovs-ofctl accepts but does not print.
var otherNames = map[string]FieldID{
	"nw_frag": FieldIPFrag, "ip_ecn": FieldIPECN, "ip_proto": FieldIPProto, "tunnel_id": FieldTunID,
	"eth_type": FieldEthType, "icmpv4_type": FieldICMPv4Type, "icmpv4_code": FieldICMPv4Code,
}

func makeNames() (match, set, sub map[string]FieldID) {
	match, set, sub = map[string]FieldID{}, map[string]FieldID{}, map[string]FieldID{}
	add := func(m map[string]FieldID, name string, id FieldID) {
		if _, have := m[name]; !have {
			m[name] = id
		}
	}
	for id := FieldRaw + 1; id < numFields; id++ {
		add(match, fields[id].name, id)
		add(set, fields[id].set, id)
		add(sub, fields[id].nxm, id)
	}
	for id := FieldRaw + 1; id < numFields; id++ {
		add(match, fields[id].set, id)
		add(set, fields[id].name, id)
	}
	for name, id := range otherNames {
		add(match, name, id)
		add(set, name, id)
	}
	for name, id := range set {
		add(sub, name, id)
	}
	return match, set, sub
}

// field parses a value for a field, optionally with a mask.
func (a span) field(id FieldID) (Field, error) {
	fi := &fields[id]
	switch fi.format {
	case frag:
		for _, w := range fragWords {
			if a.s == w.word {
				return masked(id, []byte{w.val}, []byte{w.mask}), nil
			}
		}
	case ctState:
		return a.flags(id, ctStateNames)
	case tunFlag:
		return a.flags(id, tunFlagNames)
	case tcpFlag:
		return a.flags(id, tcpFlagNames)
	}
	return a.number(id)
}

// number parses value or value/mask.
func (a span) number(id FieldID) (Field, error) {
	fi := &fields[id]
	v, m, hasMask := a.cut("/")
	val, err := fi.parse(v, fi.bits)
	if err != nil {
		return Field{}, err
	}
	if !hasMask {
		return exact(id, val[:]), nil
	}
	if bits, err := strconv.Atoi(m.s); err == nil && (fi.format == ipv4 || fi.format == ipv6) {
		if bits < 0 || bits > fi.bits {
			return Field{}, m.errorf("want a prefix length of at most %d", fi.bits)
		}
		ones := [16]byte{}
		for i := range bits {
			ones[i/8] |= 0x80 >> (i % 8)
		}
		return masked(id, val[:], ones[:]), nil
	}
	if fi.format == port || fi.format == port16 {
		return Field{}, m.errorf("a port has no mask")
	}
	mask, err := fi.parse(m, 8*fi.width)
	if err != nil {
		return Field{}, err
	}
	f := masked(id, val[:], mask[:])
	if fi.noMask && !f.isExact() && !f.wildcard() {
		return Field{}, m.errorf("%s cannot be matched in part", fi.name)
	}
	return f, nil
}

// parse parses a value of the field, of at most the given number of bits, and
// returns it left aligned.
func (fi *fieldInfo) parse(a span, bits int) (v [16]byte, err error) {
	switch fi.format {
	case ethernet:
		mac, err := ParseMAC(a.s)
		if err != nil {
			return v, a.errorf("want a MAC address like 02:00:00:00:01:10")
		}
		copy(v[:], mac[:])
		return v, nil
	case ipv4, ipv6:
		ip, err := netip.ParseAddr(a.s)
		if err != nil || ip.Is4() != (fi.format == ipv4) || ip.Zone() != "" {
			return v, a.errorf("want an IPv%d address", map[format]int{ipv4: 4, ipv6: 6}[fi.format])
		}
		copy(v[:], ip.AsSlice())
		return v, nil
	case port, port16:
		p, err := a.port()
		copy(v[:], be32(uint32(p))[4-fi.width:])
		return v, err
	}
	if digits, ok := strings.CutPrefix(a.s, "0x"); ok && fi.width == 16 && len(digits) > 0 && len(digits) <= 32 {
		b, err := hex.DecodeString(strings.Repeat("0", 32-len(digits)) + digits)
		if err != nil {
			return v, a.errorf("want a hexadecimal number")
		}
		copy(v[:], b)
		return v, nil
	}
	n, err := a.uint(min(bits, 64))
	if fi.width == 16 {
		copy(v[8:], be64(n))
	} else {
		copy(v[:], be64(n)[8-fi.width:])
	}
	return v, err
}

// flags parses words with + or -, words separated by |, or numbers.
func (a span) flags(id FieldID, names []string) (Field, error) {
	if a.s == "" || '0' <= a.s[0] && a.s[0] <= '9' {
		return a.number(id)
	}
	var val, mask uint64
	rest, every := a, a.s[0] != '+' && a.s[0] != '-'
	for rest.s != "" {
		sign := byte('+')
		if !every {
			sign, rest = rest.s[0], rest.from(1)
		}
		n := strings.IndexAny(rest.s, "+-|")
		if n < 0 {
			n = len(rest.s)
		}
		if sign == '-' && rest.s[:n] == "[Unknown]" { // Open vSwitch prints this in learn for unnamed bits
			rest = rest.from(n)
			continue
		}
		i, err := span{rest.s[:n], rest.at}.word(names)
		if err != nil {
			return Field{}, err
		}
		bit := uint64(1) << i
		if mask&bit != 0 {
			return Field{}, rest.errorf("flag is given twice")
		}
		mask |= bit
		if sign == '+' {
			val |= bit
		}
		rest = rest.from(n)
		if every && rest.s != "" {
			rest = rest.from(1)
		}
	}
	if every {
		mask = 1<<64 - 1
	}
	w := fields[id].width
	return masked(id, be64(val)[8-w:], be64(mask)[8-w:]), nil
}
