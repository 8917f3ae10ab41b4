package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// An Action changes or forwards a packet (OpenFlow 1.3.5 §7.2.5 and OVS lib/ofp-actions.c).
// Only this package implements it, and every implementation is comparable.
type Action interface {
	fmt.Stringer // ovs-ofctl syntax
	appendAction(b []byte) []byte
}

// A RawAction is an action that this package cannot decode, or would encode in another way. It is
// kept unchanged, with its header and padding.
type RawAction struct{ Wire string }

func (a RawAction) String() string { return "raw(" + hex.EncodeToString([]byte(a.Wire)) + ")" }

func (a RawAction) appendAction(b []byte) []byte { return append(b, a.Wire...) }

// actExperimenter is the type of experimenter actions, such as Nicira's
// (OFPAT_EXPERIMENTER).
const actExperimenter = 0xffff

// niciraID is Nicira's experimenter ID.
const niciraID = 0x00002320

// appendNX appends the header of a Nicira action; endAction completes it.
func appendNX(b []byte, subtype uint16) []byte {
	b = append(b, 0xff, 0xff, 0, 0)
	b = binary.BigEndian.AppendUint32(b, niciraID)
	return binary.BigEndian.AppendUint16(b, subtype)
}

// endAction pads the action that starts at b[start:] and fills in its length.
func endAction(b []byte, start int) []byte {
	n := len(b) - start
	b = append(b, zeros[:pad8(n)-n]...)
	binary.BigEndian.PutUint16(b[start+2:], uint16(pad8(n)))
	return b
}

// splitAction returns the first action in s and the rest of s.
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

// maxNesting is the maximum depth of actions within actions.
const maxNesting = 16

var errNesting = errors.New("actions are nested too deeply")

// decodeAction decodes s, which is exactly one action. Unknown actions, and
// actions with nonzero bytes where zeros are required, are returned raw. Two
// encodings with the same meaning are decoded to the same value.
func decodeAction(s string, depth int) (Action, error) {
	r := reader{s: s[4:]}
	typ := uint16(s[0])<<8 | uint16(s[1])
	var a Action
	var err error
	if typ == actExperimenter {
		if r.u32() != niciraID || len(s) < 16 {
			return RawAction{s}, nil
		}
		a, err = decodeNX(r.u16(), &r, depth)
	} else {
		a = decodeStandard(typ, &r)
	}
	if err != nil {
		return nil, err
	}
	if a == nil || !r.end() {
		return RawAction{s}, nil
	}
	return a, nil
}

// decodeNX decodes the part of a Nicira action after its subtype. It returns nil for an
// unknown action.
func decodeNX(subtype uint16, r *reader, depth int) (Action, error) {
	switch subtype {
	case nxCT:
		return decodeCT(r, depth)
	case nxClone:
		return decodeClone(r, depth)
	case nxLearn, nxLearn2:
		return decodeLearn(subtype, r), nil
	case nxController, nxController2:
		return decodeController(subtype, r), nil
	case nxMultipath:
		return decodeMultipath(r), nil
	case nxBundle, nxBundleLoad:
		return decodeBundle(subtype, r), nil
	case nxSample, nxSample2, nxSample3:
		return decodeSample(subtype, r), nil
	case nxNAT:
		return decodeNAT(r), nil
	}
	return decodeSimpleNX(subtype, r), nil
}

// Actions is a list of actions in wire encoding. It is comparable. The zero value is the empty
// list.
type Actions struct{ wire string }

// ActionsOf returns the list of the given actions.
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
			first, rest, err := splitAction(s)
			if err != nil { // happens only if as contains a malformed RawAction
				return
			}
			a, err := decodeAction(first, 0)
			if err != nil {
				a = RawAction{first}
			}
			if !yield(a) {
				return
			}
			s = rest
		}
	}
}

// Len returns the length of the encoded list in bytes.
func (as Actions) Len() int { return len(as.wire) }

// String returns the actions in ovs-ofctl syntax, separated by commas.
func (as Actions) String() string {
	var parts []string
	for a := range as.All() {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, ",")
}

// decodeActions checks the encoded list of actions s and returns it in canonical form, which
// is the encoding that this package produces. If s is already canonical, as Open vSwitch sends
// it, the result shares memory with s.
func decodeActions(s string) (Actions, error) { return decodeNested(s, 0) }

// decodeNested decodes actions. depth is the number of actions around them.
func decodeNested(s string, depth int) (Actions, error) {
	if depth > maxNesting {
		return Actions{}, errNesting
	}
	var changed []byte // the canonical form so far; nil while it equals s
	for rest := s; rest != ""; {
		first, r, err := splitAction(rest)
		if err != nil {
			return Actions{}, err
		}
		if changed == nil && plain(first) {
			rest = r
			continue
		}
		a, err := decodeAction(first, depth)
		if err != nil {
			return Actions{}, err
		}
		if raw, ok := a.(RawAction); ok && changed == nil && raw.Wire == first {
			rest = r
			continue
		}
		if changed != nil {
			changed = a.appendAction(changed)
		} else if b := a.appendAction(nil); string(b) != first {
			changed = append(append(changed, s[:len(s)-len(rest)]...), b...)
		}
		rest = r
	}
	if changed != nil {
		return Actions{string(changed)}, nil
	}
	return Actions{s}, nil
}

// plain reports whether the action is known to be canonical or raw. It recognizes standard
// actions, and the most common Nicira actions if they use canonical field headers. It may
// return false for other canonical actions.
func plain(s string) bool {
	typ := uint16(s[0])<<8 | uint16(s[1])
	if typ == actSetField {
		id, hdr := fieldAt(s[4:])
		return fields[id].exact == hdr && id != FieldRaw
	}
	if typ != actExperimenter {
		return true
	}
	if len(s) != 24 || s[4] != 0 || s[5] != 0 || s[6] != 0x23 || s[7] != 0x20 || s[8] != 0 {
		return false
	}
	switch s[9] {
	case nxRegMove:
		return plainHeader(s[16:]) && plainHeader(s[20:])
	case nxRegLoad:
		return plainHeader(s[12:])
	}
	return false
}

// plainHeader reports whether s starts with a canonical field header for actions.
func plainHeader(s string) bool {
	hdr := uint32(s[0])<<24 | uint32(s[1])<<16 | uint32(s[2])<<8 | uint32(s[3])
	id := fieldOf(hdr)
	return id != FieldRaw && fields[id].action == hdr
}
