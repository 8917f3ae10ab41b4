package ofproto

import (
	"maps"
	"slices"
)

// DecodeMatch decodes an ofp_match structure.
func DecodeMatch(b []byte) (Match, error) {
	m, _, err := decodeMatch(string(b))
	return m, err
}

// AllErrorCodes returns the codes that have a name.
func AllErrorCodes() []ErrorCode { return slices.Sorted(maps.Keys(errorMeanings)) }

// EveryField returns matches on each field that Open vSwitch supports, with the field's
// prerequisites. Each field has an exact match and, if possible, a masked match.
func EveryField() (ms []Match) {
	for id := FieldRaw + 1; id < numFields; id++ {
		if id == FieldInPhyPort || id == FieldPBBISID || id == FieldIPv6ExtHdr || id == FieldRecircID || id == FieldIPTOS || id == FieldInPort16 {
			continue // skips fields that Open vSwitch lacks, or that controllers cannot use
		}
		fi := &fields[id]
		ones := fi.ones()
		var val [16]byte
		for i := range fi.bits {
			if i%3 != 1 {
				val[fi.width-1-i/8] |= 1 << (i % 8)
			}
		}
		with := func(f Field) {
			fs := append(Needed(id), f)
			if id == FieldVLANPCP {
				fs = append(fs, exact(FieldVLANVID, be16(vlanPresent|5)))
			}
			ms = append(ms, MatchOf(fs...))
		}
		switch fi.format {
		case frag:
			val = [16]byte{1}
		case ctState:
			val = [16]byte{0, 0, 0, 0x22}
			with(masked(id, val[:4], be32(0x3a)))
			with(exact(id, val[:4]))
			continue
		case tunFlag:
			with(masked(id, be16(1), be16(1)))
			with(masked(id, be16(0), be16(1)))
			continue
		case tcpFlag:
			with(masked(id, be16(0x12), be16(0x17)))
			continue
		}
		switch id {
		case FieldEthType:
			val = [16]byte{0x88, 0xcc}
		case FieldARPOp:
			val = [16]byte{0, 2} // Open vSwitch knows 8 bits
		case FieldInPort:
			val = [16]byte{0, 0, 0, 7}
		case FieldVLANVID:
			val = [16]byte{vlanPresent >> 8, 5}
		}
		with(exact(id, val[:fi.width]))
		if !fi.noMask {
			mask := ones
			mask[fi.width-1] = 0x03
			if fi.format == frag {
				mask[0] = 1
			}
			with(masked(id, val[:fi.width], mask[:fi.width]))
		}
	}
	return ms
}

// ParsedField returns the last field of the match s.
func ParsedField(s string) Field {
	m, err := ParseMatch(s)
	if err != nil {
		panic(err)
	}
	fs := slices.Collect(m.Fields())
	return fs[len(fs)-1]
}

// Needed returns the prerequisites of a match on a field.
func Needed(id FieldID) (fs []Field) {
	for last := id; len(fields[last].needs) > 0; {
		need := fields[last].needs[0].asField()
		fs, last = append(fs, need), need.id
	}
	// If an IP protocol allows both IPv4 and IPv6, IPv4 is used. ICMPv6 needs IPv6.
	if i := slices.Index(fs, IPProto(ipICMPv6)); i >= 0 {
		fs[i+1] = IPv6()
	}
	switch {
	case id >= FieldCTIPv4Src && id <= FieldCTDstPort:
		fs = append(fs, masked(FieldCTState, be32(0x22), be32(0x22)))
		if id >= FieldCTSrcPort {
			fs = append(fs, exact(FieldCTProto, []byte{ipTCP}))
		}
	}
	return fs
}

// AllFields returns every field that Open vSwitch supports, except recirc_id.
func AllFields() (ids []FieldID) {
	for id := FieldRaw + 1; id < numFields; id++ {
		if id != FieldInPhyPort && id != FieldPBBISID && id != FieldIPv6ExtHdr && id != FieldRecircID {
			ids = append(ids, id)
		}
	}
	return ids
}

// FieldName returns the name of a field in set_field, and its number of bits.
func FieldName(id FieldID) (string, uint16) { return fields[id].set, uint16(fields[id].sub) }

// AnyValue returns the field with an arbitrary value that can be set.
func AnyValue(id FieldID) Field {
	switch id {
	case FieldVLANVID, FieldVLANTCI:
		return exact(id, be16(vlanPresent|5))
	case FieldEthType:
		return exact(id, be16(0x88cc))
	case FieldInPort, FieldIPv6Label, FieldNDReserved:
		return exact(id, be32(7))
	case FieldIPTOS:
		return exact(id, []byte{0x20})
	case FieldARPOp:
		return exact(id, be16(2))
	}
	var val [16]byte
	val[fields[id].width-1] = 1
	return exact(id, val[:])
}

// DecodeInstructions decodes a list of instructions.
func DecodeInstructions(s string) (Instructions, error) { return decodeInstructions(s) }

// InstructionsWire returns the encoding of ins.
func InstructionsWire(ins Instructions) string { return ins.wire }

// DecodeFlows decodes the body of a flow statistics reply.
func DecodeFlows(b []byte) ([]FlowStats, error) {
	var fs []FlowStats
	for len(b) > 0 {
		f, n, err := decodeFlowStats(b)
		if err != nil {
			return nil, err
		}
		fs, b = append(fs, f), b[n:]
	}
	return fs, nil
}

// DecodeFlowStats decodes one entry of flow statistics.
func DecodeFlowStats(b []byte) (FlowStats, error) {
	fs, _, err := decodeFlowStats(b)
	return fs, err
}
