package ofproto

import "strings"

// ParseActions parses a list of actions in the syntax of ovs-ofctl, such as
// "dec_ttl,output:3". Errors are of type [*SyntaxError].
func ParseActions(s string) (Actions, error) { return span{s, 0}.actions(0) }

// ParseInstructions parses the text after "actions=" in a flow, which has actions and
// instructions. Errors are of type [*SyntaxError].
func ParseInstructions(s string) (Instructions, error) { return span{s, 0}.instructions() }

// maxActions is the maximum length of the list of actions in an instruction or action.
const maxActions = 1<<16 - 8 - 8

// A listParser collects encoded actions.
type listParser struct {
	b     []byte
	depth int
}

// add parses an action and appends it to the list.
func (l *listParser) add(it item) error {
	if it.key.s == "drop" && it.val.s == "" {
		return nil
	}
	a, err := it.action(l.depth)
	if err != nil {
		return err
	}
	l.b = a.appendAction(l.b)
	if len(l.b) > maxActions {
		return it.key.errorf("actions are encoded in more than %d bytes", maxActions)
	}
	return nil
}

// actions parses a list of actions. depth is the number of lists around it.
func (a span) actions(depth int) (Actions, error) {
	if depth > maxNesting {
		return Actions{}, a.errorf("%v", errNesting)
	}
	l := listParser{depth: depth}
	if err := a.each(l.add); err != nil {
		return Actions{}, err
	}
	return Actions{string(l.b)}, nil
}

// instructions parses a list of actions and instructions.
func (a span) instructions() (Instructions, error) {
	var l listParser
	var ins []Instruction
	seen := map[string]bool{}
	err := a.each(func(it item) error {
		in, err := it.instruction()
		if err != nil {
			return err
		}
		if in == nil {
			return l.add(it)
		}
		if seen[it.key.s] && it.key.s != "raw_instruction" {
			return it.key.errorf("instruction is given twice")
		}
		seen[it.key.s] = true
		ins = append(ins, in)
		return nil
	})
	if err != nil {
		return Instructions{}, err
	}
	do := Do(append(ins, Apply{Actions{string(l.b)}})...)
	if len(do.wire) > maxActions {
		return Instructions{}, a.errorf("instructions are encoded in more than %d bytes", maxActions)
	}
	return do, nil
}

// instruction parses an instruction. It returns nil if the item is an action.
func (it item) instruction() (Instruction, error) {
	switch it.key.s {
	case "meter":
		var in Meter
		err := setUint(it.val, &in.ID)
		return in, err
	case "clear_actions":
		return Clear{}, nil
	case "write_actions":
		as, err := it.val.actions(0)
		return Write{as}, err
	case "write_metadata":
		val, mask, masked := it.val.cut("/")
		in := WriteMetadata{Mask: 1<<64 - 1}
		err := setUint(val, &in.Value)
		if err == nil && masked {
			err = setUint(mask, &in.Mask)
		}
		return in, err
	case "goto_table":
		var in Goto
		err := setUint(it.val, &in.Table)
		return in, err
	case "raw_instruction":
		wire, err := it.val.hex()
		if err != nil {
			return nil, err
		}
		first, rest, err := splitInstruction(wire)
		if err == nil && rest == "" {
			if in, err := decodeInstruction(first); err == nil && in == (RawInstruction{wire}) {
				return in, nil
			}
		}
		return nil, it.val.errorf("want the encoding of an unnamed instruction")
	}
	return nil, nil
}

// action parses an action. depth is the number of actions around it.
func (it item) action(depth int) (Action, error) {
	switch name := strings.ToLower(it.key.s); name {
	case "output":
		return it.output()
	case "controller":
		return it.controller()
	case "ct":
		return it.ct(depth)
	case "nat":
		return it.val.nat()
	case "clone":
		as, err := it.val.actions(depth + 1)
		return Clone{as}, err
	case "learn":
		return it.val.learn()
	case "raw":
		return it.raw(depth)
	default:
		if a, err := it.numberAction(name); a != nil || err != nil {
			return a, err
		}
		if a, err := it.fieldAction(name); a != nil || err != nil {
			return a, err
		}
		if a, err := it.listAction(name); a != nil || err != nil {
			return a, err
		}
	}
	p, err := it.key.port()
	if err != nil || it.val.s != "" {
		return nil, it.key.errorf("want an action")
	}
	return Output{Port: p}, nil
}

// raw parses the encoding of an action that has no name.
func (it item) raw(depth int) (Action, error) {
	wire, err := it.val.hex()
	if err != nil {
		return nil, err
	}
	first, rest, err := splitAction(wire)
	if err == nil && rest == "" {
		if a, err := decodeAction(first, depth); err == nil && a == (RawAction{wire}) {
			return a, nil
		}
	}
	return nil, it.val.errorf("want the encoding of an unnamed action")
}
