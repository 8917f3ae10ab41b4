package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
)

// An Action changes or forwards a packet (OpenFlow 1.3.5 §7.2.5 and OVS
// lib/ofp-actions.c). The set of implementations is closed and every one is
// comparable.
type Action interface {
	fmt.Stringer // ovs-ofctl syntax
	appendAction(b []byte) []byte
}

// Output sends the packet to a port.
type Output struct {
	Port   PortNo
	MaxLen uint16 // bytes of the packet that [PortController] gets; 0 for other ports
}

// SetField overwrites a header field. The field must be exact.
type SetField struct{ Field Field }

// DecTTL decrements the IPv4 TTL or IPv6 hop limit. Open vSwitch sends a packet
// whose TTL is 0 or 1 to the controller instead.
type DecTTL struct{}

// Move copies bits of one field to as many of another (NXAST_REG_MOVE).
type Move struct{ Src, Dst Subfield }

// RawAction is an action that this package does not know, kept as it came,
// header and padding included.
type RawAction struct{ Wire string }

// Action types (ofp_action_type) and Nicira's subtypes.
const (
	actOutput   = 0
	actDecTTL   = 24
	actSetField = 25
	actVendor   = 0xffff

	niciraID    = 0x00002320
	nxRegMove   = 6
	nxActionLen = 24 // of NXAST_REG_MOVE
)

func (a Output) String() string {
	switch {
	case a.Port == PortController:
		return fmt.Sprintf("CONTROLLER:%d", a.MaxLen)
	case a.Port > PortMax:
		return a.Port.String()
	}
	return "output:" + a.Port.String()
}

func (a SetField) String() string {
	if a.Field.id == FieldRaw {
		return "set_field:" + a.Field.String()
	}
	fi := &fields[a.Field.id]
	return "set_field:" + fi.text(a.Field.val) + "->" + fi.set
}

func (DecTTL) String() string { return "dec_ttl" }

func (a Move) String() string { return "move:" + a.Src.String() + "->" + a.Dst.String() }

func (a RawAction) String() string { return "raw(" + hex.EncodeToString([]byte(a.Wire)) + ")" }

func (a Output) appendAction(b []byte) []byte {
	b = append(b, 0, actOutput, 0, 16)
	b = binary.BigEndian.AppendUint32(b, uint32(a.Port))
	b = binary.BigEndian.AppendUint16(b, a.MaxLen)
	return append(b, 0, 0, 0, 0, 0, 0)
}

func (a SetField) appendAction(b []byte) []byte {
	start := len(b)
	b = append(b, 0, actSetField, 0, 0)
	b = a.Field.appendOXM(b)
	n := len(b) - start
	b = append(b, zeros[:pad8(n)-n]...)
	binary.BigEndian.PutUint16(b[start+2:], uint16(pad8(n)))
	return b
}

func (DecTTL) appendAction(b []byte) []byte { return append(b, 0, actDecTTL, 0, 8, 0, 0, 0, 0) }

func (a Move) appendAction(b []byte) []byte {
	be := binary.BigEndian
	b = append(b, 0xff, 0xff, 0, nxActionLen)
	b = be.AppendUint32(b, niciraID)
	b = append(b, 0, nxRegMove)
	b = be.AppendUint16(b, a.Src.bits())
	b = be.AppendUint16(b, a.Src.Offset)
	b = be.AppendUint16(b, a.Dst.Offset)
	b = be.AppendUint32(b, a.Src.header())
	return be.AppendUint32(b, a.Dst.header())
}

func (a RawAction) appendAction(b []byte) []byte { return append(b, a.Wire...) }

// splitAction returns the first action in s and what follows it.
func splitAction(s string) (first, rest string, err error) {
	if len(s) < 8 {
		return "", "", shortError("action", len(s), 8)
	}
	n := int(s[2])<<8 | int(s[3])
	if n < 8 || n%8 != 0 || n > len(s) {
		return "", "", fmt.Errorf("action has length %d in %d bytes", n, len(s))
	}
	return s[:n], s[n:], nil
}

// decodeAction decodes the one action that s is, as split off by splitAction.
// What it does not know, or what is not in the form that we would send, is
// returned raw.
func decodeAction(s string) Action {
	b := []byte(s)
	be := binary.BigEndian
	switch typ := be.Uint16(b); {
	case typ == actOutput && len(s) == 16:
		return Output{PortNo(be.Uint32(b[4:])), be.Uint16(b[8:])}
	case typ == actDecTTL && len(s) == 8:
		return DecTTL{}
	case typ == actSetField && pad8(8+int(b[7])) == len(s):
		return SetField{decodeOXM(s[4 : 8+int(b[7])])}
	case typ == actVendor && len(s) >= 16 && be.Uint32(b[4:]) == niciraID:
		if m, ok := decodeMove(b); ok {
			return m
		}
	}
	return RawAction{s}
}

func decodeMove(b []byte) (Move, bool) {
	be := binary.BigEndian
	if be.Uint16(b[8:]) != nxRegMove || len(b) != nxActionLen {
		return Move{}, false
	}
	src, ok := subfieldOf(be.Uint32(b[16:]), be.Uint16(b[12:]), be.Uint16(b[10:]))
	dst, ok2 := subfieldOf(be.Uint32(b[20:]), be.Uint16(b[14:]), be.Uint16(b[10:]))
	return Move{src, dst}, ok && ok2
}

// Actions is a list of actions, held as on the wire. It is comparable; the
// zero value does nothing.
type Actions struct{ wire string }

// ActionsOf returns the list of as.
func ActionsOf(as ...Action) Actions {
	var b []byte
	for _, a := range as {
		b = a.appendAction(b)
	}
	return Actions{string(b)}
}

// All returns the actions in order.
func (as Actions) All() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for s := as.wire; s != ""; {
			var first string
			first, s, _ = splitAction(s) // checked when as was made
			if !yield(decodeAction(first)) {
				return
			}
		}
	}
}

// String returns the actions in ovs-ofctl syntax, separated by commas.
func (as Actions) String() string {
	var parts []string
	for a := range as.All() {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, ",")
}

// decodeActions checks the list of actions that s is and returns it in
// canonical form: as we would encode it ourselves.
func decodeActions(s string) (Actions, error) {
	canonical := true
	for rest := s; rest != ""; {
		first, r, err := splitAction(rest)
		if err != nil {
			return Actions{}, err
		}
		canonical = canonical && !aliased(first)
		rest = r
	}
	as := Actions{s}
	if canonical {
		return as, nil
	}
	var b []byte
	for a := range as.All() {
		b = a.appendAction(b)
	}
	return Actions{string(b)}, nil
}

// aliased reports whether the action names a field by a header that is not the
// canonical one, as Nicira's actions may.
func aliased(s string) bool {
	return len(s) == nxActionLen && s[0] == 0xff && s[1] == 0xff && s[9] == nxRegMove
}
