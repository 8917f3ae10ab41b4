package ofproto

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// An Instruction is a part of a flow's effect on its packets (OpenFlow 1.3.5 §7.2.4). Only
// this package implements it, and every implementation is comparable.
type Instruction interface {
	fmt.Stringer // ovs-ofctl syntax
	appendInstruction(b []byte) []byte
}

// Meter drops the packet if it exceeds the rate of a meter.
type Meter struct{ ID MeterID }

// Apply carries out actions immediately.
type Apply struct{ Actions Actions }

// Clear empties the action set, which is carried out at the end of the pipeline.
type Clear struct{}

// Write adds to the action set, which is carried out at the end of the pipeline.
type Write struct{ Actions Actions }

// WriteMetadata sets the bits of the metadata that Mask selects.
type WriteMetadata struct{ Value, Mask uint64 }

// Goto continues in a later table.
type Goto struct{ Table TableID }

// RawInstruction is an instruction that this package cannot decode, or would encode in another way.
// It is kept unchanged, with its header and padding.
type RawInstruction struct{ Wire string }

// Instruction types (ofp_instruction_type).
const (
	insGoto          = 1
	insWriteMetadata = 2
	insWrite         = 3
	insApply         = 4
	insClear         = 5
	insMeter         = 6
)

// order returns the position of an instruction type in a list. Open vSwitch sends instructions
// in that order, and switches carry them out in that order.
func order(typ uint16) int {
	switch typ {
	case insMeter:
		return 0
	case insApply:
		return 1
	case insClear:
		return 2
	case insWrite:
		return 3
	case insWriteMetadata:
		return 4
	case insGoto:
		return 5
	}
	return 6
}

func (in Meter) String() string { return fmt.Sprintf("meter:%d", in.ID) }
func (in Apply) String() string { return in.Actions.String() }
func (Clear) String() string    { return "clear_actions" }
func (in Write) String() string { return "write_actions(" + in.Actions.String() + ")" }
func (in WriteMetadata) String() string {
	if in.Mask == 1<<64-1 {
		return fmt.Sprintf("write_metadata:%#x", in.Value)
	}
	return fmt.Sprintf("write_metadata:%#x/%#x", in.Value, in.Mask)
}
func (in Goto) String() string { return fmt.Sprintf("goto_table:%d", in.Table) }
func (in RawInstruction) String() string {
	return "raw_instruction(" + hex.EncodeToString([]byte(in.Wire)) + ")"
}

func (in Meter) appendInstruction(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, insMeter, 0, 8), uint32(in.ID))
}

func (in Apply) appendInstruction(b []byte) []byte { return in.Actions.append(b, insApply) }
func (Clear) appendInstruction(b []byte) []byte    { return append(b, 0, insClear, 0, 8, 0, 0, 0, 0) }
func (in Write) appendInstruction(b []byte) []byte { return in.Actions.append(b, insWrite) }

func (as Actions) append(b []byte, typ byte) []byte {
	n := 8 + len(as.wire)
	b = append(b, 0, typ, byte(n>>8), byte(n), 0, 0, 0, 0)
	return append(b, as.wire...)
}

func (in WriteMetadata) appendInstruction(b []byte) []byte {
	b = append(b, 0, insWriteMetadata, 0, 24, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, in.Value)
	return binary.BigEndian.AppendUint64(b, in.Mask)
}

func (in Goto) appendInstruction(b []byte) []byte {
	return append(b, 0, insGoto, 0, 8, byte(in.Table), 0, 0, 0)
}

func (in RawInstruction) appendInstruction(b []byte) []byte { return append(b, in.Wire...) }

// Instructions is a list of instructions in wire encoding. It is comparable. The zero value
// drops the packet.
type Instructions struct{ wire string }

// Do returns the list of the given instructions, which must have each kind at most once. They
// are in the order in which they are carried out: meter, apply, clear, write, metadata, goto.
// Like Open vSwitch, it leaves out [Apply] and [Write] without actions.
func Do(ins ...Instruction) Instructions {
	var parts []string
	for _, in := range ins {
		if b := in.appendInstruction(nil); !empty(string(b)) {
			parts = append(parts, string(b))
		}
	}
	slices.SortStableFunc(parts, func(a, b string) int { return cmp.Compare(orderOf(a), orderOf(b)) })
	return Instructions{strings.Join(parts, "")}
}

// orderOf returns the order of the encoded instruction s.
func orderOf(s string) int {
	if len(s) < 2 {
		return order(0)
	}
	return order(uint16(s[0])<<8 | uint16(s[1]))
}

// empty reports whether the encoded instruction s is an [Apply] or [Write] without
// actions.
func empty(s string) bool {
	return s == "\x00\x03\x00\x08\x00\x00\x00\x00" || s == "\x00\x04\x00\x08\x00\x00\x00\x00"
}

// ApplyActions is short for Do(Apply{ActionsOf(as...)}).
func ApplyActions(as ...Action) Instructions { return Do(Apply{ActionsOf(as...)}) }

// GotoTable is short for Do(Goto{t}).
func GotoTable(t TableID) Instructions { return Do(Goto{t}) }

// All returns the instructions in order.
func (ins Instructions) All() iter.Seq[Instruction] {
	return func(yield func(Instruction) bool) {
		for s := ins.wire; s != ""; {
			first, rest, err := splitInstruction(s)
			if err != nil { // happens only if ins contains a malformed RawInstruction
				return
			}
			in, err := decodeInstruction(first)
			if err != nil {
				in = RawInstruction{first}
			}
			if !yield(in) {
				return
			}
			s = rest
		}
	}
}

// Refs returns the groups and meters that the instructions refer to. A switch refuses a flow
// that refers to a missing group or meter. When the group or meter is deleted, the switch
// deletes the flow too.
func (ins Instructions) Refs() (groups []GroupID, meters []MeterID) {
	for in := range ins.All() {
		switch in := in.(type) {
		case Meter:
			meters = append(meters, in.ID)
		case Apply:
			groups = in.Actions.appendGroups(groups)
		case Write:
			groups = in.Actions.appendGroups(groups)
		}
	}
	return groups, meters
}

func (as Actions) appendGroups(groups []GroupID) []GroupID {
	for a := range as.All() {
		switch a := a.(type) {
		case ToGroup:
			groups = append(groups, a.ID)
		case Clone:
			groups = a.Actions.appendGroups(groups)
		}
	}
	return groups
}

// String returns the instructions in ovs-ofctl syntax, or "drop" for an empty list.
func (ins Instructions) String() string {
	var parts []string
	for in := range ins.All() {
		if s := in.String(); s != "" {
			parts = append(parts, s)
		}
	}
	if parts == nil {
		return "drop"
	}
	return strings.Join(parts, ",")
}

func splitInstruction(s string) (first, rest string, err error) {
	if len(s) < 8 {
		return "", "", shortError("instruction", len(s), 8)
	}
	n := int(s[2])<<8 | int(s[3])
	if n < 8 || n%8 != 0 || n > len(s) {
		return "", "", fmt.Errorf("instruction has length %d in %d bytes", n, len(s))
	}
	return s[:n], s[n:], nil
}

// decodeInstruction decodes the encoded instruction s. The result has its actions
// in canonical form.
func decodeInstruction(s string) (Instruction, error) {
	r := reader{s: s[4:]}
	var in Instruction
	switch uint16(s[0])<<8 | uint16(s[1]) {
	case insMeter:
		r.need(len(s) == 8)
		in = Meter{MeterID(r.u32())}
	case insApply, insWrite:
		r.zeros(4)
		as, err := decodeActions(r.take(len(r.s)))
		if err != nil {
			return nil, err
		}
		in = Apply{as}
		if s[1] == insWrite {
			in = Write{as}
		}
	case insClear:
		r.need(len(s) == 8)
		in = Clear{}
	case insWriteMetadata:
		r.need(len(s) == 24)
		r.zeros(4)
		in = WriteMetadata{r.u64(), r.u64()}
	case insGoto:
		r.need(len(s) == 8)
		in = Goto{TableID(r.u8())}
	}
	if in == nil || !r.end() {
		return RawInstruction{s}, nil
	}
	return in, nil
}

// decodeInstructions checks the encoded instructions s and returns them in
// canonical form. If s is already canonical, as Open vSwitch sends it, the result
// shares memory with s.
func decodeInstructions(s string) (Instructions, error) {
	canonical, last := true, -1
	for rest := s; rest != ""; {
		first, r, err := splitInstruction(rest)
		if err != nil {
			return Instructions{}, err
		}
		if typ := uint16(first[0])<<8 | uint16(first[1]); typ == insApply || typ == insWrite {
			as, err := decodeActions(first[8:])
			if err != nil {
				return Instructions{}, err
			}
			canonical = canonical && as.wire == first[8:] && !empty(first)
		}
		canonical = canonical && last <= orderOf(first)
		last, rest = orderOf(first), r
	}
	if canonical {
		return Instructions{s}, nil
	}
	return Do(slices.Collect(Instructions{s}.All())...), nil
}
