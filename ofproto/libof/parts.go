package libof

import (
	"encoding/binary"
	"fmt"

	"github.com/contiv/libOpenflow/openflow13"
)

// appendMatch appends the ofp_match structure for m.
func appendMatch(b []byte, m *openflow13.Match) ([]byte, error) {
	start := len(b)
	b = append(b, 0, openflow13.MatchType_OXM, 0, 0)
	for i := range m.Fields {
		var err error
		if b, err = appendField(b, &m.Fields[i]); err != nil {
			return nil, fmt.Errorf("match field %d: %w", i, err)
		}
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return pad(b, start), nil
}

// appendField appends the OXM TLV for f. It corrects two faults of libOpenflow. libOpenflow leaves
// out the experimenter ID. It also uses the numbers of OpenFlow 1.5 for two fields that are ONF
// experimenter fields in OpenFlow 1.3.
func appendField(b []byte, f *openflow13.MatchField) ([]byte, error) {
	if f == nil || f.Value == nil || f.HasMask && f.Mask == nil {
		return nil, &EncodingError{f, "the value or the mask is missing"}
	}
	class, experimenter := f.Class, f.ExperimenterID
	if class == openflow13.OXM_CLASS_OPENFLOW_BASIC && (f.Field == openflow13.OXM_FIELD_TCP_FLAGS || f.Field == openflow13.OXM_FIELD_ACTSET_OUTPUT) {
		class, experimenter = openflow13.OXM_CLASS_EXPERIMENTER, openflow13.ONF_EXPERIMENTER_ID
	}
	num := f.Field << 1
	if f.HasMask {
		num |= 1
	}
	start := len(b)
	b = append(b, byte(class>>8), byte(class), num, 0)
	if class == openflow13.OXM_CLASS_EXPERIMENTER {
		b = binary.BigEndian.AppendUint32(b, experimenter)
	}
	value, err := marshal(f.Value)
	if err != nil {
		return nil, err
	}
	b = append(b, value...)
	if f.HasMask {
		mask, err := marshal(f.Mask)
		if err != nil {
			return nil, err
		}
		if len(mask) != len(value) {
			return nil, &EncodingError{f, fmt.Sprintf("the mask has %d bytes, the value %d", len(mask), len(value))}
		}
		empty := true
		for i, m := range mask {
			if value[i]&^m != 0 {
				return nil, &EncodingError{f, "the value has bits outside of the mask, which a switch refuses; NewNXRange(0, 0) returns an empty mask"}
			}
			empty = empty && m == 0
		}
		if empty {
			return nil, &EncodingError{f, "the mask is empty; NewNXRange(0, 0) returns an empty mask"}
		}
		b = append(b, mask...)
	}
	n := len(b) - start - 4
	if n > 0xff {
		return nil, &EncodingError{f, fmt.Sprintf("%d bytes are too long for a match field", n)}
	}
	b[start+3] = byte(n)
	return b, nil
}

// appendInstructions appends the encoding of ins.
func appendInstructions(b []byte, ins []openflow13.Instruction) ([]byte, error) {
	for i, in := range ins {
		start := len(b)
		var err error
		if as, ok := in.(*openflow13.InstrActions); ok && as != nil {
			b = binary.BigEndian.AppendUint16(b, as.Type)
			b = append(b, 0, 0, 0, 0, 0, 0)
			b, err = appendActions(b, as.Actions)
		} else {
			var wire []byte
			wire, err = marshal(in)
			b = append(b, wire...)
		}
		if err != nil {
			return nil, fmt.Errorf("instruction %d: %w", i, err)
		}
		if len(b)-start > maxMessage {
			return nil, &EncodingError{in, "too many actions"}
		}
		binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	}
	return b, nil
}

// appendActions appends the encoding of actions.
func appendActions(b []byte, as []openflow13.Action) ([]byte, error) {
	for i, a := range as {
		start := len(b)
		var err error
		if b, err = appendAction(b, a); err != nil {
			return nil, fmt.Errorf("action %d: %w", i, err)
		}
		if b = pad(b, start); len(b)-start > maxMessage {
			return nil, &EncodingError{a, "the action is too long"}
		}
		binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	}
	return b, nil
}

// appendAction appends the encoding of a, before its length and padding are set.
func appendAction(b []byte, a openflow13.Action) ([]byte, error) {
	for _, f := range headers(a) {
		if f != nil && f.Class == openflow13.OXM_CLASS_NXM_1 && f.Field == openflow13.NXM_NX_IPV6_LABEL && f.Length < 4 {
			return nil, &EncodingError{a, "NXM_NX_IPV6_LABEL has length 1 instead of 4; use OXM_OF_IPV6_FLABEL"}
		}
	}
	switch a := a.(type) {
	case *openflow13.ActionSetField:
		return appendField(append(b, 0, openflow13.ActionType_SetField, 0, 0), &a.Field)
	case *openflow13.NXActionRegLoad2:
		if a.DstField != nil && !a.DstField.HasMask { // a switch converts it to this form
			return appendField(append(b, 0, openflow13.ActionType_SetField, 0, 0), a.DstField)
		}
		b = append(b, 0xff, 0xff, 0, 0)
		b = binary.BigEndian.AppendUint32(b, openflow13.NxExperimenterID)
		return appendField(append(b, 0, openflow13.NXAST_REG_LOAD2), a.DstField)
	case *openflow13.NXActionDecTTL: // OpenFlow 1.3 has its own action for it
		return append(b, 0, openflow13.ActionType_DecNwTtl, 0, 0), nil
	case *openflow13.ActionNwTtl:
		return append(b, 0, openflow13.ActionType_SetNwTtl, 0, 0, a.NwTtl), nil
	case *openflow13.ActionMplsTtl:
		return append(b, 0, openflow13.ActionType_SetMplsTtl, 0, 0, a.MplsTtl), nil
	}
	wire, err := marshal(a)
	if err != nil {
		return nil, err
	}
	switch a := a.(type) {
	case *openflow13.ActionOutput:
		if a.Port != openflow13.P_CONTROLLER {
			binary.BigEndian.PutUint16(wire[8:], 0) // max_len, 256 by default
		}
	case *openflow13.NXActionResubmit: // libOpenflow gives it the type of experimenter messages
		binary.BigEndian.PutUint16(wire, openflow13.ActionType_Experimenter)
	case *openflow13.NXActionConnTrack:
		if err := checkNested(a, wire); err != nil {
			return nil, err
		}
	}
	return append(b, wire...), nil
}

// checkNested checks the actions in a, which is encoded as wire. libOpenflow uses the lengths
// that actions had when they were added, and truncates actions that became longer.
func checkNested(a *openflow13.NXActionConnTrack, wire []byte) error {
	const fixed, portMin, portMax = 24, openflow13.NX_NAT_RANGE_PROTO_MIN, openflow13.NX_NAT_RANGE_PROTO_MAX
	be := binary.BigEndian
	for s := wire[fixed:]; len(s) > 0; {
		if len(s) < 8 {
			return &EncodingError{a, "a nested action was changed after it was added"}
		}
		n := int(be.Uint16(s[2:]))
		if n < 8 || n%8 != 0 || n > len(s) {
			return &EncodingError{a, "a nested action was changed after it was added"}
		}
		nat := n >= 16 && be.Uint16(s[8:]) == openflow13.NXAST_NAT && be.Uint32(s[4:]) == openflow13.NxExperimenterID
		if nat && be.Uint16(s[14:])&(portMin|portMax) == portMax {
			return &EncodingError{a, "NAT has a last port without a first one, which the encoding leaves out"}
		}
		s = s[n:]
	}
	return nil
}

// headers returns the fields that the encoding of a contains as a header only, without a value.
func headers(a openflow13.Action) []*openflow13.MatchField {
	switch a := a.(type) {
	case *openflow13.NXActionRegLoad:
		return []*openflow13.MatchField{a.DstReg}
	case *openflow13.NXActionRegMove:
		return []*openflow13.MatchField{a.SrcField, a.DstField}
	case *openflow13.NXActionOutputReg:
		return []*openflow13.MatchField{a.SrcField}
	case *openflow13.NXActionLearn:
		var fs []*openflow13.MatchField
		for _, s := range a.LearnSpecs {
			if s == nil {
				continue // marshal reports it
			}
			for _, f := range []*openflow13.NXLearnSpecField{s.SrcField, s.DstField} {
				if f != nil {
					fs = append(fs, f.Field)
				}
			}
		}
		return fs
	}
	return nil
}

// pad appends zeros until the length of b[start:] is a multiple of 8.
func pad(b []byte, start int) []byte {
	for (len(b)-start)%8 != 0 {
		b = append(b, 0)
	}
	return b
}
