package ofproto

import (
	"encoding/binary"
	"fmt"
)

// A Subfield is a range of bits of a field: the source or destination of an action.
type Subfield struct {
	Field  FieldID
	Offset uint16 // offset of the lowest bit
	Bits   uint16 // number of bits; 0 means the whole field
}

// Whole returns the whole field f.
func Whole(f FieldID) Subfield { return Subfield{Field: f} }

// BitRange returns a range of bits of field f, which ovs-ofctl writes as f[first..last].
func BitRange(f FieldID, first, last uint16) Subfield {
	return Subfield{f, first, last - first + 1}.normalize()
}

// Bit returns one bit of field f.
func Bit(f FieldID, n uint16) Subfield { return Subfield{f, n, 1}.normalize() }

// normalize sets Bits to 0 if s is the whole field.
func (s Subfield) normalize() Subfield {
	if s.Offset == 0 && int(s.Bits) == fields[s.Field].sub {
		s.Bits = 0
	}
	return s
}

// bits returns the number of bits of s.
func (s Subfield) bits() uint16 {
	if s.Bits == 0 {
		return uint16(fields[s.Field].sub)
	}
	return s.Bits
}

// header returns the field's header in Nicira actions, including its length.
func (s Subfield) header() uint32 { return fields[s.Field].action }

// appendRange appends the offset and length of s in 16 bits, as most Nicira actions
// encode them: (offset << 6) | (bits - 1).
func (s Subfield) appendRange(b []byte) []byte {
	return binary.BigEndian.AppendUint16(b, s.Offset<<6|(s.bits()-1)&0x3f)
}

// subfieldOf returns the subfield of n bits, from offset ofs, of the field with the given
// header. If the field is unknown or has fewer bits, ok is false.
func subfieldOf(hdr uint32, ofs, n uint16) (Subfield, bool) {
	id := fieldOf(hdr)
	fi := &fields[id]
	if id == FieldRaw || hdr>>16 == classExp || hdr&0x1ff != uint32(fi.width) || n == 0 || int(ofs)+int(n) > fi.sub {
		return Subfield{}, false
	}
	return Subfield{id, ofs, n}.normalize(), true
}

// subfield reads a header and returns n bits of that field, from offset ofs.
func (r *reader) subfield(ofs, n uint16) Subfield {
	s, ok := subfieldOf(r.u32(), ofs, n)
	r.need(ok)
	return s
}

// ranged reads a range in the encoding of appendRange, and then a header.
func (r *reader) ranged() Subfield {
	rng := r.u16()
	return r.subfield(rng>>6, rng&0x3f+1)
}

// String returns s in ovs-ofctl syntax, such as "NXM_NX_REG0[0..7]".
func (s Subfield) String() string {
	name := fields[s.Field].nxm
	switch s.Bits {
	case 0:
		return name + "[]"
	case 1:
		return fmt.Sprintf("%s[%d]", name, s.Offset)
	}
	return fmt.Sprintf("%s[%d..%d]", name, s.Offset, s.Offset+s.Bits-1)
}
