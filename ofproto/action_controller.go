package ofproto

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Controller sends the packet to the controllers with the given ID
// (NXAST_CONTROLLER and NXAST_CONTROLLER2).
type Controller struct {
	MaxLen   uint16 // bytes of the packet to send
	ID       uint16
	Reason   uint8 // ofp_packet_in_reason: 1 is "action"
	Userdata string
	Pause    bool   // pause the packet until the controller resumes it
	Meter    uint32 // rate-limiting meter; 0 for none
}

// reasonAction is OFPR_ACTION.
const reasonAction = 1

// reasonNames are ovs-ofctl's names of the reasons. ovs-ofctl prints other reasons as numbers.
var reasonNames = []string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"}

func (a Controller) String() string {
	var parts []string
	if int(a.Reason) >= len(reasonNames) {
		parts = append(parts, fmt.Sprint("reason=", a.Reason))
	} else if a.Reason != reasonAction {
		parts = append(parts, "reason="+reasonNames[a.Reason])
	}
	if a.MaxLen != 0xffff {
		parts = append(parts, fmt.Sprint("max_len=", a.MaxLen))
	}
	if a.ID != 0 {
		parts = append(parts, fmt.Sprint("id=", a.ID))
	}
	if a.Userdata != "" {
		parts = append(parts, "userdata="+dotted(a.Userdata))
	}
	if a.Pause {
		parts = append(parts, "pause")
	}
	if a.Meter != 0 {
		parts = append(parts, "meter_id="+strconv.FormatUint(uint64(a.Meter), 10))
	}
	return "controller(" + strings.Join(parts, ",") + ")"
}

// Properties of NXAST_CONTROLLER2 (nx_action_controller2_prop_type).
const (
	ctlMaxLen = iota
	ctlID
	ctlReason
	ctlUserdata
	ctlPause
	ctlMeter
)

func (a Controller) appendAction(b []byte) []byte {
	be, start := binary.BigEndian, len(b)
	if a.Userdata == "" && !a.Pause && a.Meter == 0 {
		b = be.AppendUint16(appendNX(b, nxController), a.MaxLen)
		b = be.AppendUint16(b, a.ID)
		return endAction(append(b, a.Reason, 0), start)
	}
	b = append(appendNX(b, nxController2), 0, 0, 0, 0, 0, 0)
	if a.MaxLen != 0xffff {
		b = appendProperty(b, ctlMaxLen, string(be16(a.MaxLen))+"\x00\x00")
	}
	if a.ID != 0 {
		b = appendProperty(b, ctlID, string(be16(a.ID))+"\x00\x00")
	}
	if a.Reason != reasonAction {
		b = appendProperty(b, ctlReason, string([]byte{a.Reason}))
	}
	if a.Userdata != "" {
		b = appendProperty(b, ctlUserdata, a.Userdata)
	}
	if a.Pause {
		b = appendProperty(b, ctlPause, "")
	}
	if a.Meter != 0 {
		b = appendProperty(b, ctlMeter, string(be32(a.Meter)))
	}
	return endAction(b, start)
}

// appendProperty appends a property (ofp_prop), which consists of the type, the length without
// padding, the value, and padding to a multiple of 8 bytes.
func appendProperty(b []byte, typ uint16, val string) []byte {
	n := 4 + len(val)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = append(append(b, byte(n>>8), byte(n)), val...)
	return append(b, zeros[:pad8(n)-n]...)
}

func decodeController(subtype uint16, r *reader) Action {
	if subtype == nxController {
		r.need(len(r.s) == 6)
		a := Controller{MaxLen: r.u16(), ID: r.u16(), Reason: r.u8()}
		return a
	}
	a := Controller{MaxLen: 0xffff, Reason: reasonAction}
	r.zeros(6)
	for seen := 0; r.s != "" && !r.bad; {
		typ, n := r.u16(), int(r.u16())
		r.need(typ <= ctlMeter && seen&(1<<typ) == 0 && n >= 4)
		seen |= 1 << typ
		val := reader{s: r.take(n - 4)}
		r.zeros(pad8(n) - n)
		switch typ {
		case ctlMaxLen:
			a.MaxLen = val.u16()
			val.zeros(2)
		case ctlID:
			a.ID = val.u16()
			val.zeros(2)
		case ctlReason:
			a.Reason = val.u8()
		case ctlUserdata:
			a.Userdata = val.take(len(val.s))
			val.need(a.Userdata != "")
		case ctlPause:
			a.Pause = true
		case ctlMeter:
			a.Meter = val.u32()
		}
		r.need(val.s == "" && !val.bad)
	}
	return a
}
