package ofproto

import (
	"slices"
	"strconv"
)

// ParseMatch parses a match in ovs-ofctl syntax, such as
// "in_port=1,ip,nw_dst=10.0.0.0/24". Errors are of type [*SyntaxError].
func ParseMatch(s string) (Match, error) {
	var p matchParser
	err := span{s, 0}.each(func(it item) error {
		if ok, err := p.item(it); ok || err != nil {
			return err
		}
		return it.unknown("a match")
	})
	if err != nil {
		return Match{}, err
	}
	return p.match()
}

// A matchParser collects the fields of a match.
type matchParser struct {
	fields []Field
	late   []item // items with a field that depends on the protocol, which may follow them
}

// item parses an item of a match. If the item is not part of a match, ok is false.
func (p *matchParser) item(it item) (ok bool, err error) {
	for _, w := range protocols {
		if it.key.s == w.name && it.val.s == "" {
			p.fields = append(p.fields, exact(FieldEthType, be16(w.etherType)))
			if !w.anyProtocol {
				p.fields = append(p.fields, IPProto(w.proto))
			}
			return true, nil
		}
	}
	switch name := it.key.s; name {
	case "tp_src", "tp_dst", "icmp_type", "icmp_code", "nw_src", "nw_dst", "dl_vlan_pcp", "vlan_pcp":
		p.late = append(p.late, it)
		return true, nil
	case "dl_vlan":
		n, err := it.val.uint(16)
		if err != nil {
			return true, err
		}
		switch {
		case n == 0xffff: // OFP10_VLAN_NONE
			p.fields = append(p.fields, Untagged())
		case n >= vlanPresent:
			return true, it.val.errorf("want a VLAN from 0 to 4095, or 0xffff for none")
		default:
			p.fields = append(p.fields, exact(FieldVLANVID, be16(uint16(n)|vlanPresent)))
		}
		return true, nil
	case "oxm":
		raw, err := it.val.hex()
		if err != nil {
			return true, err
		}
		if len(raw) < 4 || len(raw) != 4+int(raw[3]) || decodeOXM(raw).id != FieldRaw {
			return true, it.val.errorf("want the encoding of an unnamed field")
		}
		p.fields = append(p.fields, Field{raw: raw})
		return true, nil
	}
	id, known := matchNames[it.key.s]
	if !known {
		return false, nil
	}
	f, err := it.val.field(id)
	p.fields = append(p.fields, f)
	return true, err
}

// has reports whether the match has field id with the exact value n.
func (p *matchParser) has(id FieldID, n uint16) bool {
	return slices.Contains(p.fields, need{id, n}.asField())
}

// lateField returns the field with a name that depends on the protocol of the
// match.
func (p *matchParser) lateField(name string) FieldID {
	arp := p.has(FieldEthType, etherARP) || p.has(FieldEthType, etherRARP)
	proto := 0
	switch {
	case p.has(FieldIPProto, ipUDP):
		proto = 1
	case p.has(FieldIPProto, ipSCTP):
		proto = 2
	}
	v6 := p.has(FieldIPProto, ipICMPv6)
	switch name {
	case "tp_src":
		return [...]FieldID{FieldTCPSrc, FieldUDPSrc, FieldSCTPSrc}[proto]
	case "tp_dst":
		return [...]FieldID{FieldTCPDst, FieldUDPDst, FieldSCTPDst}[proto]
	case "icmp_type":
		if v6 {
			return FieldICMPv6Type
		}
		return FieldICMPv4Type
	case "icmp_code":
		if v6 {
			return FieldICMPv6Code
		}
		return FieldICMPv4Code
	case "nw_src":
		if arp {
			return FieldARPSPA
		}
		return FieldIPv4Src
	case "nw_dst":
		if arp {
			return FieldARPTPA
		}
		return FieldIPv4Dst
	}
	return FieldVLANPCP
}

// match returns the collected match.
func (p *matchParser) match() (Match, error) {
	for _, it := range p.late {
		id := p.lateField(it.key.s)
		f, err := it.val.field(id)
		if err != nil {
			return Match{}, err
		}
		p.fields = append(p.fields, f)
		if id == FieldVLANPCP && !slices.ContainsFunc(expand(p.fields), func(f Field) bool { return f.id == FieldVLANVID }) {
			p.fields = append(p.fields, masked(FieldVLANVID, be16(vlanPresent), be16(vlanPresent)))
		}
	}
	fs := expand(p.fields)
	slices.SortStableFunc(fs, compareFields)
	m := MatchOf(slices.Compact(fs)...) // a keyword and the same dl_type give the same field twice
	for i := range len(fs) - 1 {
		if fs[i].id == fs[i+1].id && fs[i] != fs[i+1] && fs[i].id != FieldRaw {
			return Match{}, &SyntaxError{0, m.String(), fields[fs[i].id].name + " is given twice"}
		}
	}
	if len(m.oxm) > maxMatch {
		return Match{}, &SyntaxError{0, "", "match is encoded in more than " + strconv.Itoa(maxMatch) + " bytes"}
	}
	return m, nil
}

// maxMatch is the maximum length of a match in a message.
const maxMatch = 1<<16 - 1 - flowStatsLen - 16
