package ofproto

import "fmt"

// A Subfield is a range of bits of a field, as source or destination of an
// action.
type Subfield struct {
	Field  FieldID
	Offset uint16 // of the lowest bit
	Bits   uint16 // how many; 0 means all of the field
}

// Whole returns all of field f.
func Whole(f FieldID) Subfield { return Subfield{Field: f} }

// bits returns how many bits s has.
func (s Subfield) bits() uint16 {
	if s.Bits == 0 {
		return uint16(fields[s.Field].bits)
	}
	return s.Bits
}

// header returns the field's OXM header, with its length.
func (s Subfield) header() uint32 {
	fi := &fields[s.Field]
	return fi.header() | uint32(fi.width)
}

// subfieldOf returns the subfield of n bits from ofs of the field with the
// given OXM header, and whether there is such a field with so many bits.
func subfieldOf(hdr uint32, ofs, n uint16) (Subfield, bool) {
	id := fieldOf(hdr)
	bits := fields[id].bits
	if id == FieldRaw || n == 0 || int(ofs)+int(n) > bits {
		return Subfield{}, false
	}
	if int(n) == bits {
		n = 0
	}
	return Subfield{id, ofs, n}, true
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
