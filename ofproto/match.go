package ofproto

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A Match selects packets. It is stored in its canonical encoding, with fields in a fixed
// order, without wildcards and without masks of all ones. Therefore it is an immutable,
// comparable value, usable with == and as a map key. The zero Match matches every packet.
type Match struct{ oxm string }

// MatchOf returns the conjunction of fields. It never fails; call
// [Match.Validate] to check prerequisites.
func MatchOf(fs ...Field) Match {
	fs = expand(fs)
	slices.SortStableFunc(fs, compareFields)
	var b []byte
	for _, f := range fs {
		b = f.appendOXM(b)
	}
	return Match{string(b)}
}

// expand replaces alias fields by the fields of a canonical match, like Open vSwitch. It
// replaces vlan_tci by vlan_vid and, if vlan_tci matches the priority of a tagged packet, also
// by vlan_pcp. It replaces nw_tos by ip_dscp, and wide registers by the narrow registers that
// they overlay. OpenFlow 1.3 cannot match a part of the priority, so such a vlan_tci stays.
func expand(fs []Field) []Field {
	out := fs[:0:0]
	for _, f := range fs {
		switch {
		case f.id == FieldVLANTCI && (f.mask[0]&0xe0 == 0 || f.mask[0]&0xe0 == 0xe0):
			vid := masked(FieldVLANVID, f.val[:2], []byte{f.mask[0] & 0x1f, f.mask[1]})
			out = append(out, vid)
			if f.mask[0]&0xe0 != 0 && vid.val != [16]byte{} {
				out = append(out, exact(FieldVLANPCP, []byte{f.val[0] >> 5}))
			}
		case f.id == FieldInPort16:
			out = append(out, InPort(widePort(uint16(f.val[0])<<8|uint16(f.val[1]))))
		case f.id == FieldIPTOS:
			out = append(out, exact(FieldIPDSCP, []byte{f.val[0] >> 2}))
		case f.id >= FieldXReg0 && f.id <= FieldXXReg3:
			n := fields[f.id].width / 4
			first := FieldReg0 + FieldID(n)*(f.id-FieldXReg0)
			if f.id >= FieldXXReg0 {
				first = FieldReg0 + FieldID(n)*(f.id-FieldXXReg0)
			}
			for i := range n {
				out = append(out, masked(first+FieldID(i), f.val[4*i:4*i+4], f.mask[4*i:4*i+4]))
			}
		default:
			out = append(out, f)
		}
	}
	return slices.DeleteFunc(out, Field.wildcard)
}

// compareFields orders fields by the table of fields. Raw fields come last.
func compareFields(a, b Field) int {
	return cmp.Or(cmp.Compare(a.id-1, b.id-1), strings.Compare(a.raw, b.raw)) // FieldRaw-1 wraps to the largest ID
}

// Fields returns the fields of m in canonical order.
func (m Match) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for s := m.oxm; s != ""; {
			n := 4 + int(s[3])
			if !yield(decodeOXM(s[:n])) {
				return
			}
			s = s[n:]
		}
	}
}

// Errors of [Match.Validate] wrap ErrPrerequisite.
var ErrPrerequisite = errors.New("match prerequisite not met")

// Validate returns an error for the first field that is given twice or lacks its prerequisite, such
// as nw_dst without dl_type=0x800. Open vSwitch would refuse it with OFPBMC_DUP_FIELD or
// OFPBMC_BAD_PREREQ.
func (m Match) Validate() error {
	var have [numFields]Field
	for f := range m.Fields() {
		if f.id == FieldRaw {
			continue
		}
		if have[f.id].id == f.id {
			return fmt.Errorf("match %v: %s is given twice", m, fields[f.id].name)
		}
		have[f.id] = f
		needs := fields[f.id].needs
		met := len(needs) == 0
		for _, n := range needs {
			met = met || have[n.field] == n.asField()
		}
		if !met {
			return fmt.Errorf("%w: %v needs %v", ErrPrerequisite, f, needs[0].asField())
		}
	}
	return nil
}

func (n need) asField() Field {
	if fields[n.field].width == 1 {
		return exact(n.field, []byte{byte(n.value)})
	}
	return exact(n.field, be16(n.value))
}

// Overlaps reports whether a packet can match both m and n, because they do not require
// different values of any bit.
func (m Match) Overlaps(n Match) bool {
	for f := range m.Fields() {
		for g := range n.Fields() {
			if f.id != g.id || f.id == FieldRaw {
				continue
			}
			for i := range f.val {
				if (f.val[i]^g.val[i])&f.mask[i]&g.mask[i] != 0 {
					return false
				}
			}
		}
	}
	return true
}

// protocols are ovs-ofctl's keywords for an EtherType, or for an EtherType and an IP protocol.
// The most specific keywords come first.
var protocols = []struct {
	name        string
	etherType   uint16
	proto       uint8
	anyProtocol bool
}{
	{"tcp", etherIPv4, ipTCP, false},
	{"udp", etherIPv4, ipUDP, false},
	{"sctp", etherIPv4, ipSCTP, false},
	{"icmp", etherIPv4, ipICMP, false},
	{"tcp6", etherIPv6, ipTCP, false},
	{"udp6", etherIPv6, ipUDP, false},
	{"sctp6", etherIPv6, ipSCTP, false},
	{"icmp6", etherIPv6, ipICMPv6, false},
	{"ip", etherIPv4, 0, true},
	{"ipv6", etherIPv6, 0, true},
	{"arp", etherARP, 0, true},
	{"rarp", etherRARP, 0, true},
	{"mpls", etherMPLS, 0, true},
	{"mplsm", etherMPLSM, 0, true},
	{"ipv4", etherIPv4, 0, true}, // this keyword and the following ones are parsed but not printed
	{"ip4", etherIPv4, 0, true},
	{"ip6", etherIPv6, 0, true},
}

// String returns m in ovs-ofctl syntax. For the zero Match it returns "".
func (m Match) String() string {
	fs := slices.Collect(m.Fields())
	var parts []string
	for _, p := range protocols {
		ether, proto := exact(FieldEthType, be16(p.etherType)), IPProto(p.proto)
		if slices.Contains(fs, ether) && (p.anyProtocol || slices.Contains(fs, proto)) {
			parts = append(parts, p.name)
			fs = slices.DeleteFunc(fs, func(f Field) bool { return f == ether || f == proto && !p.anyProtocol })
			break
		}
	}
	for _, f := range fs {
		parts = append(parts, f.String())
	}
	return strings.Join(parts, ",")
}

// matchLen returns the length of the ofp_match structure of m, padding included.
func (m Match) wireLen() int { return pad8(4 + len(m.oxm)) }

// append appends the ofp_match structure, which consists of the header, the fields, and
// padding to a multiple of 8 bytes (OpenFlow 1.3.5 §7.2.3.1). The length in the header
// excludes the padding.
func (m Match) append(b []byte) []byte {
	n := 4 + len(m.oxm)
	b = append(b, 0, 1, byte(n>>8), byte(n)) // OFPMT_OXM
	b = append(b, m.oxm...)
	return append(b, zeros[:pad8(n)-n]...)
}

var zeros [8]byte

// pad8 rounds n up to a multiple of 8.
func pad8(n int) int { return (n + 7) &^ 7 }

// decodeMatch decodes the ofp_match structure at the start of s, and returns the rest of s
// after its padding. The match shares memory with s.
func decodeMatch(s string) (m Match, rest string, err error) {
	if len(s) < 8 {
		return Match{}, "", shortError("ofp_match", len(s), 8)
	}
	typ, n := binary.BigEndian.Uint16([]byte(s[:2])), int(binary.BigEndian.Uint16([]byte(s[2:4])))
	if typ != 1 {
		return Match{}, "", fmt.Errorf("ofp_match has type %d, want OFPMT_OXM", typ)
	}
	if n < 4 || pad8(n) > len(s) {
		return Match{}, "", fmt.Errorf("ofp_match has length %d in %d bytes", n, len(s))
	}
	m, err = canonicalMatch(s[4:n])
	return m, s[pad8(n):], err
}

// canonicalMatch returns the match that oxm encodes. If oxm is already canonical,
// as Open vSwitch sends it, nothing is allocated.
func canonicalMatch(oxm string) (Match, error) {
	canonical, last, n := true, FieldRaw, 0
	for s := oxm; s != ""; n++ {
		if len(s) < 4 || len(s) < 4+int(s[3]) {
			return Match{}, fmt.Errorf("OXM field is cut off: % x", s)
		}
		first := s[:4+int(s[3])]
		id, ok := canonicalTLV(first)
		canonical = canonical && ok && id > last
		last, s = id, s[len(first):]
	}
	if canonical {
		return Match{oxm}, nil
	}
	return sortedMatch(oxm, n), nil
}

// sortedMatch returns the match that n well-formed TLVs encode.
func sortedMatch(oxm string, n int) Match {
	type tlv struct {
		id FieldID
		s  string
	}
	all := make([]tlv, 0, n)
	for s := oxm; s != ""; {
		first := s[:4+int(s[3])]
		s = s[len(first):]
		if id, ok := canonicalTLV(first); ok || id == FieldRaw {
			all = append(all, tlv{id, first})
			continue
		}
		for _, f := range expand([]Field{decodeOXM(first)}) {
			all = append(all, tlv{f.id, string(f.appendOXM(nil))})
		}
	}
	slices.SortStableFunc(all, func(a, b tlv) int {
		if c := cmp.Compare(a.id-1, b.id-1); c != 0 || a.id != FieldRaw { // as in compareFields
			return c
		}
		return strings.Compare(a.s, b.s)
	})
	var b strings.Builder
	b.Grow(len(oxm))
	for _, t := range all {
		b.WriteString(t.s)
	}
	return Match{b.String()}
}

// canonicalTLV returns the field of a TLV. The second result is true if the field is known and
// the TLV is the encoding that this package produces.
func canonicalTLV(s string) (FieldID, bool) {
	id, hdr := fieldAt(s)
	fi := &fields[id]
	return id, id != FieldRaw && !fi.alias && (hdr == fi.exact || fi.canonicalMask(s, hdr))
}

// canonicalMask reports whether the mask in the TLV s of the field is canonical. A canonical
// mask is not zero and not all ones, and the value has no bits outside the mask.
func (fi *fieldInfo) canonicalMask(s string, hdr uint32) bool {
	if hdr != fi.header()|1<<8|uint32(2*fi.width+fi.expLen()) {
		return false
	}
	val := s[len(s)-2*fi.width:]
	mask := val[fi.width:]
	all, none := true, true
	for i := range fi.width {
		has := fi.significant(i)
		if val[i]&^mask[i] != 0 || mask[i]&^has != 0 {
			return false
		}
		all = all && mask[i] == has
		none = none && mask[i] == 0
	}
	return !all && !none
}
