package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
)

// An Instruction says what a flow does with its packets (OpenFlow 1.3.5
// §7.2.4). The set of implementations is closed and every one is comparable.
type Instruction interface {
	fmt.Stringer // ovs-ofctl syntax
	appendInstruction(b []byte) []byte
}

// Apply carries out actions at once.
type Apply struct{ Actions Actions }

// Goto continues in a later table.
type Goto struct{ Table TableID }

// RawInstruction is an instruction that this package does not know, kept as it
// came, header included.
type RawInstruction struct{ Wire string }

// Instruction types (ofp_instruction_type).
const (
	insGoto  = 1
	insApply = 4
)

func (in Apply) String() string { return in.Actions.String() }
func (in Goto) String() string  { return fmt.Sprintf("goto_table:%d", in.Table) }
func (in RawInstruction) String() string {
	return "raw_instruction(" + hex.EncodeToString([]byte(in.Wire)) + ")"
}

func (in Apply) appendInstruction(b []byte) []byte {
	n := 8 + len(in.Actions.wire)
	b = append(b, 0, insApply, byte(n>>8), byte(n), 0, 0, 0, 0)
	return append(b, in.Actions.wire...)
}

func (in Goto) appendInstruction(b []byte) []byte {
	return append(b, 0, insGoto, 0, 8, byte(in.Table), 0, 0, 0)
}

func (in RawInstruction) appendInstruction(b []byte) []byte { return append(b, in.Wire...) }

// Instructions is what a flow does, held as on the wire. It is comparable; the
// zero value drops the packet.
type Instructions struct{ wire string }

// Do returns the given instructions, each kind at most once, in the order in
// which Open vSwitch sends them: meter, apply, clear, write, metadata, goto.
func Do(ins ...Instruction) Instructions {
	var b []byte
	for _, in := range ins {
		b = in.appendInstruction(b)
	}
	return Instructions{string(b)}
}

// ApplyActions is short for Do(Apply{ActionsOf(as...)}).
func ApplyActions(as ...Action) Instructions { return Do(Apply{ActionsOf(as...)}) }

// GotoTable is short for Do(Goto{t}).
func GotoTable(t TableID) Instructions { return Do(Goto{t}) }

// All returns the instructions in order.
func (ins Instructions) All() iter.Seq[Instruction] {
	return func(yield func(Instruction) bool) {
		for s := ins.wire; s != ""; {
			var first string
			first, s, _ = splitInstruction(s) // checked when ins was made
			if !yield(decodeInstruction(first)) {
				return
			}
		}
	}
}

// String returns the instructions in ovs-ofctl syntax: "drop" for none.
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

func decodeInstruction(s string) Instruction {
	switch typ := binary.BigEndian.Uint16([]byte(s[:2])); {
	case typ == insApply:
		return Apply{Actions{s[8:]}}
	case typ == insGoto && len(s) == 8:
		return Goto{TableID(s[4])}
	}
	return RawInstruction{s}
}

// decodeInstructions checks the instructions that s is and returns them with
// their actions in canonical form.
func decodeInstructions(s string) (Instructions, error) {
	var out []byte // what was read so far, once that differs from s
	differs := false
	for rest := s; rest != ""; {
		first, r, err := splitInstruction(rest)
		if err != nil {
			return Instructions{}, err
		}
		if in, ok := decodeInstruction(first).(Apply); ok {
			as, err := decodeActions(in.Actions.wire)
			if err != nil {
				return Instructions{}, err
			}
			if as != in.Actions && !differs {
				out, differs = []byte(s[:len(s)-len(rest)]), true
			}
			if differs {
				out = Apply{as}.appendInstruction(out)
			}
		} else if differs {
			out = append(out, first...)
		}
		rest = r
	}
	if differs {
		return Instructions{string(out)}, nil
	}
	return Instructions{s}, nil
}
