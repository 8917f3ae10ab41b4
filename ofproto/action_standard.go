package ofproto

import (
	"encoding/binary"
	"fmt"
)

// Output sends the packet to a port.
type Output struct {
	Port   PortNo
	MaxLen uint16 // bytes to send to [PortController]; 0 for other ports
}

// A GroupID is the number of a group.
type GroupID uint32

// ToGroup sends the packet to a group.
type ToGroup struct{ ID GroupID }

// SetField overwrites a header field, or the bits that a mask selects. With a mask
// it is Nicira's NXAST_REG_LOAD2, because OpenFlow 1.3 allows no mask.
type SetField struct{ Field Field }

// PushVLAN adds a VLAN tag.
type PushVLAN struct{ EtherType uint16 } // 0x8100 or 0x88a8

// PopVLAN removes the outermost VLAN tag.
type PopVLAN struct{}

// PushMPLS adds an MPLS label.
type PushMPLS struct{ EtherType uint16 } // 0x8847 or 0x8848

// PopMPLS removes the outermost MPLS label.
type PopMPLS struct{ EtherType uint16 } // EtherType of the packet below the label

// DecTTL decrements the IPv4 TTL or IPv6 hop limit. Open vSwitch sends a packet with a TTL of 0 or
// 1 to the controller instead.
type DecTTL struct{}

// DecMPLSTTL decrements the TTL of the outermost MPLS label.
type DecMPLSTTL struct{}

// SetTTL sets the IPv4 TTL or IPv6 hop limit (OFPAT_SET_NW_TTL). ovs-ofctl
// calls it mod_nw_ttl.
type SetTTL struct{ TTL uint8 }

// SetQueue makes later outputs use a queue of their port.
type SetQueue struct{ ID uint32 }

// Types of standard actions (ofp_action_type).
const (
	actOutput     = 0
	actDecMPLSTTL = 16
	actPushVLAN   = 17
	actPopVLAN    = 18
	actPushMPLS   = 19
	actPopMPLS    = 20
	actSetQueue   = 21
	actGroup      = 22
	actSetTTL     = 23
	actDecTTL     = 24
	actSetField   = 25
)

func (a Output) String() string {
	switch {
	case a.Port == PortController:
		return fmt.Sprintf("CONTROLLER:%d", a.MaxLen)
	case a.Port.reserved():
		return a.Port.String()
	}
	return "output:" + a.Port.String()
}

func (a ToGroup) String() string { return fmt.Sprintf("group:%d", a.ID) }

func (a SetField) String() string {
	if a.Field.id == FieldRaw {
		return "set_field:" + a.Field.String()
	}
	fi := &fields[a.Field.id]
	if a.Field.isExact() {
		return "set_field:" + fi.text(a.Field.val) + "->" + fi.set
	}
	return "set_field:" + fi.text(a.Field.val) + "/" + fi.text(a.Field.mask) + "->" + fi.set
}

func (a PushVLAN) String() string { return fmt.Sprintf("push_vlan:0x%04x", a.EtherType) }
func (PopVLAN) String() string    { return "pop_vlan" }
func (a PushMPLS) String() string { return fmt.Sprintf("push_mpls:0x%04x", a.EtherType) }
func (a PopMPLS) String() string  { return fmt.Sprintf("pop_mpls:0x%04x", a.EtherType) }
func (DecTTL) String() string     { return "dec_ttl" }
func (DecMPLSTTL) String() string { return "dec_mpls_ttl" }
func (a SetTTL) String() string   { return fmt.Sprintf("mod_nw_ttl:%d", a.TTL) }
func (a SetQueue) String() string { return fmt.Sprintf("set_queue:%d", a.ID) }

func (a Output) appendAction(b []byte) []byte {
	b = append(b, 0, actOutput, 0, 16)
	b = binary.BigEndian.AppendUint32(b, uint32(a.Port))
	b = binary.BigEndian.AppendUint16(b, a.MaxLen)
	return append(b, 0, 0, 0, 0, 0, 0)
}

func (a ToGroup) appendAction(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, actGroup, 0, 8), uint32(a.ID))
}

func (a SetField) appendAction(b []byte) []byte {
	start := len(b)
	if a.Field.id != FieldRaw && !a.Field.isExact() {
		b = appendNX(b, nxRegLoad2)
		b = a.Field.appendActionOXM(b)
		return endAction(b, start)
	}
	b = append(b, 0, actSetField, 0, 0)
	return endAction(a.Field.appendOXM(b), start)
}

// appendActionOXM appends f as a TLV with a mask and the header that Nicira
// actions use.
func (f Field) appendActionOXM(b []byte) []byte {
	fi := &fields[f.id]
	b = binary.BigEndian.AppendUint32(b, fi.action+uint32(fi.width)|1<<8)
	b = append(b, f.val[:fi.width]...)
	return append(b, f.mask[:fi.width]...)
}

func appendShort(b []byte, typ byte, v uint16) []byte {
	return append(b, 0, typ, 0, 8, byte(v>>8), byte(v), 0, 0)
}

func (a PushVLAN) appendAction(b []byte) []byte { return appendShort(b, actPushVLAN, a.EtherType) }
func (PopVLAN) appendAction(b []byte) []byte    { return appendShort(b, actPopVLAN, 0) }
func (a PushMPLS) appendAction(b []byte) []byte { return appendShort(b, actPushMPLS, a.EtherType) }
func (a PopMPLS) appendAction(b []byte) []byte  { return appendShort(b, actPopMPLS, a.EtherType) }
func (DecTTL) appendAction(b []byte) []byte     { return appendShort(b, actDecTTL, 0) }
func (DecMPLSTTL) appendAction(b []byte) []byte { return appendShort(b, actDecMPLSTTL, 0) }
func (a SetTTL) appendAction(b []byte) []byte   { return appendShort(b, actSetTTL, uint16(a.TTL)<<8) }

func (a SetQueue) appendAction(b []byte) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, actSetQueue, 0, 8), a.ID)
}

// decodeStandard decodes the part of a standard action after its header. It returns nil for an
// unknown action.
func decodeStandard(typ uint16, r *reader) Action {
	if typ == actSetField {
		return decodeSetField(r)
	}
	if len(r.s) != 4 && (typ != actOutput || len(r.s) != 12) {
		return nil
	}
	switch typ {
	case actOutput:
		return Output{PortNo(r.u32()), r.u16()}
	case actGroup:
		return ToGroup{GroupID(r.u32())}
	case actPushVLAN:
		return PushVLAN{r.u16()}
	case actPopVLAN:
		return PopVLAN{}
	case actPushMPLS:
		return PushMPLS{r.u16()}
	case actPopMPLS:
		return PopMPLS{r.u16()}
	case actDecTTL:
		return DecTTL{}
	case actDecMPLSTTL:
		return DecMPLSTTL{}
	case actSetTTL:
		return SetTTL{r.u8()}
	case actSetQueue:
		return SetQueue{r.u32()}
	}
	return nil
}

// decodeSetField decodes OFPAT_SET_FIELD, which has no mask. A field that is not in the table
// of fields is kept as a raw field.
func decodeSetField(r *reader) Action {
	if len(r.s) < 4 {
		return nil
	}
	n := 4 + int(r.s[3])
	if pad8(4+n) != 4+len(r.s) {
		return nil
	}
	r.need(r.s[2]&1 == 0)
	return SetField{decodeOXM(r.take(n))}
}
