package ofproto

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Nicira's actions (OVS lib/ofp-actions.c).

// Move copies bits of one field to the same number of bits of another
// (NXAST_REG_MOVE).
type Move struct{ Src, Dst Subfield }

// Load sets at most 64 bits of a field (NXAST_REG_LOAD).
type Load struct {
	Value uint64
	Dst   Subfield
}

// Resubmit looks the packet up in another table, carries out the actions of that table, and
// then continues with the next action.
type Resubmit struct {
	Port  PortNo  // ingress port for the lookup; [PortInPort] for no change
	Table TableID // [AllTables] for the current table
	CT    bool    // look up the connection's original addresses and ports
}

// OutputReg sends the packet to the port with the number in a field (NXAST_OUTPUT_REG).
type OutputReg struct {
	Src    Subfield
	MaxLen uint16 // as in [Output]; ovs-ofctl cannot express it and uses 65535
}

// OutputTruncated sends the first MaxLen bytes, at least 14, of the packet to a
// port (NXAST_OUTPUT_TRUNC).
type OutputTruncated struct {
	Port   PortNo
	MaxLen uint32
}

// DecTTLTo is a [DecTTL] that sends packets with a TTL of 0 or 1 to the
// controllers with the given IDs (NXAST_DEC_TTL_CNT_IDS).
type DecTTLTo struct{ Controllers IDs }

// PopQueue undoes [SetQueue].
type PopQueue struct{}

// A Note has no effect and holds arbitrary bytes. It is padded with zeros to a length that is
// 6 more than a multiple of 8.
type Note struct{ Data string }

// A Conjunction makes the flow a member of one clause. A packet that matches a
// member of each clause also matches conj_id=ID (ovs-fields(7)).
type Conjunction struct {
	ID     uint32
	Clause uint8 // 1 to Of
	Of     uint8 // 2 to 64
}

// Push puts the value of a field on the stack.
type Push struct{ Src Subfield }

// Pop takes the value of a field from the stack.
type Pop struct{ Dst Subfield }

// Exit ends the actions, including the actions of the tables that resubmitted to this one.
type Exit struct{}

// CheckLarger sets a bit if the packet, with its Ethernet header, is longer
// than Len bytes, and clears it otherwise (NXAST_CHECK_PKT_LARGER).
type CheckLarger struct {
	Len uint16
	Dst Subfield // one bit
}

// FinTimeout changes the flow's timeouts when the flow matches a TCP FIN or RST.
type FinTimeout struct{ Idle, Hard uint16 } // seconds; 0 for no change

// IDs is a list of 16-bit numbers. It is comparable. The zero value is empty.
type IDs struct{ wire string }

// IDsOf returns the list of ids.
func IDsOf(ids ...uint16) IDs {
	var b []byte
	for _, id := range ids {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return IDs{string(b)}
}

// Len returns the number of IDs.
func (l IDs) Len() int { return len(l.wire) / 2 }

// At returns ID i.
func (l IDs) At(i int) uint16 { return uint16(l.wire[2*i])<<8 | uint16(l.wire[2*i+1]) }

// Subtypes (nx_action_subtype).
const (
	nxResubmit      = 1
	nxPopQueue      = 5
	nxRegMove       = 6
	nxRegLoad       = 7
	nxNote          = 8
	nxMultipath     = 10
	nxBundle        = 12
	nxBundleLoad    = 13
	nxResubmitTable = 14
	nxOutputReg     = 15
	nxLearn         = 16
	nxExit          = 17
	nxFinTimeout    = 19
	nxController    = 20
	nxDecTTLIDs     = 21
	nxStackPush     = 27
	nxStackPop      = 28
	nxSample        = 29
	nxOutputReg2    = 32
	nxRegLoad2      = 33
	nxConjunction   = 34
	nxCT            = 35
	nxNAT           = 36
	nxController2   = 37
	nxSample2       = 38
	nxOutputTrunc   = 39
	nxSample3       = 41
	nxClone         = 42
	nxCTClear       = 43
	nxResubmitCT    = 44
	nxLearn2        = 45
	nxCheckLarger   = 49
)

func (a Move) String() string { return "move:" + a.Src.String() + "->" + a.Dst.String() }
func (a Load) String() string { return fmt.Sprintf("load:%#x->%v", a.Value, a.Dst) }

func (a Resubmit) String() string {
	port, table := "", ""
	if a.Port != PortInPort {
		port = a.Port.String()
	}
	if a.Table == AllTables && !a.CT && port != "" {
		return "resubmit:" + port
	}
	if a.Table != AllTables {
		table = fmt.Sprint(a.Table)
	}
	if a.CT {
		table += ",ct"
	}
	return "resubmit(" + port + "," + table + ")"
}

func (a OutputReg) String() string { return "output:" + a.Src.String() }
func (a OutputTruncated) String() string {
	return fmt.Sprintf("output(port=%v,max_len=%d)", a.Port, a.MaxLen)
}

func (a DecTTLTo) String() string {
	var ids []string
	for i := range a.Controllers.Len() {
		ids = append(ids, fmt.Sprint(a.Controllers.At(i)))
	}
	return "dec_ttl(" + strings.Join(ids, ",") + ")"
}

func (PopQueue) String() string { return "pop_queue" }
func (a Note) String() string   { return "note:" + dotted(a.Data) }

// dotted formats bytes like ovs-ofctl, as two hexadecimal digits each, separated by dots.
func dotted(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(hex.EncodeToString([]byte{s[i]}))
	}
	return b.String()
}

func (a Conjunction) String() string {
	return fmt.Sprintf("conjunction(%d,%d/%d)", a.ID, a.Clause, a.Of)
}
func (a Push) String() string        { return "push:" + a.Src.String() }
func (a Pop) String() string         { return "pop:" + a.Dst.String() }
func (Exit) String() string          { return "exit" }
func (a CheckLarger) String() string { return fmt.Sprintf("check_pkt_larger(%d)->%v", a.Len, a.Dst) }

func (a FinTimeout) String() string {
	var parts []string
	if a.Idle != 0 {
		parts = append(parts, fmt.Sprint("idle_timeout=", a.Idle))
	}
	if a.Hard != 0 {
		parts = append(parts, fmt.Sprint("hard_timeout=", a.Hard))
	}
	return "fin_timeout(" + strings.Join(parts, ",") + ")"
}

func (a Move) appendAction(b []byte) []byte {
	be, start := binary.BigEndian, len(b)
	b = appendNX(b, nxRegMove)
	b = be.AppendUint16(b, a.Src.bits())
	b = be.AppendUint16(b, a.Src.Offset)
	b = be.AppendUint16(b, a.Dst.Offset)
	b = be.AppendUint32(b, a.Src.header())
	b = be.AppendUint32(b, a.Dst.header())
	return endAction(b, start)
}

func (a Load) appendAction(b []byte) []byte {
	start := len(b)
	b = a.Dst.appendRange(appendNX(b, nxRegLoad))
	b = binary.BigEndian.AppendUint32(b, a.Dst.header())
	b = binary.BigEndian.AppendUint64(b, a.Value)
	return endAction(b, start)
}

func (a Resubmit) appendAction(b []byte) []byte {
	start, subtype := len(b), uint16(nxResubmitTable)
	if a.CT {
		subtype = nxResubmitCT
	}
	b = binary.BigEndian.AppendUint16(appendNX(b, subtype), uint16(a.Port))
	return endAction(append(b, byte(a.Table)), start)
}

func (a OutputReg) appendAction(b []byte) []byte {
	start := len(b)
	b = a.Src.appendRange(appendNX(b, nxOutputReg))
	b = binary.BigEndian.AppendUint32(b, a.Src.header())
	b = binary.BigEndian.AppendUint16(b, a.MaxLen)
	return endAction(append(b, 0, 0, 0, 0, 0, 0), start)
}

func (a OutputTruncated) appendAction(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(appendNX(b, nxOutputTrunc), uint16(a.Port))
	return endAction(binary.BigEndian.AppendUint32(b, a.MaxLen), start)
}

func (a DecTTLTo) appendAction(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(appendNX(b, nxDecTTLIDs), uint16(a.Controllers.Len()))
	b = append(append(b, 0, 0, 0, 0), a.Controllers.wire...)
	return endAction(b, start)
}

func appendBareNX(b []byte, subtype uint16) []byte {
	start := len(b)
	return endAction(appendNX(b, subtype), start)
}

func (PopQueue) appendAction(b []byte) []byte { return appendBareNX(b, nxPopQueue) }
func (Exit) appendAction(b []byte) []byte     { return appendBareNX(b, nxExit) }

func (a Note) appendAction(b []byte) []byte {
	start := len(b)
	return endAction(append(appendNX(b, nxNote), a.Data...), start)
}

func (a Conjunction) appendAction(b []byte) []byte {
	start := len(b)
	b = append(appendNX(b, nxConjunction), a.Clause-1, a.Of)
	return endAction(binary.BigEndian.AppendUint32(b, a.ID), start)
}

func (a Push) appendAction(b []byte) []byte { return a.Src.appendStack(b, nxStackPush) }
func (a Pop) appendAction(b []byte) []byte  { return a.Dst.appendStack(b, nxStackPop) }

func (s Subfield) appendStack(b []byte, subtype uint16) []byte {
	be, start := binary.BigEndian, len(b)
	b = be.AppendUint16(appendNX(b, subtype), s.Offset)
	b = be.AppendUint32(b, s.header())
	return endAction(be.AppendUint16(b, s.bits()), start)
}

func (a CheckLarger) appendAction(b []byte) []byte {
	be, start := binary.BigEndian, len(b)
	b = be.AppendUint16(appendNX(b, nxCheckLarger), a.Len)
	b = be.AppendUint16(b, a.Dst.Offset)
	b = be.AppendUint32(b, a.Dst.header())
	return endAction(append(b, 0, 0, 0, 0, 0, 0), start)
}

func (a FinTimeout) appendAction(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint16(appendNX(b, nxFinTimeout), a.Idle)
	return endAction(binary.BigEndian.AppendUint16(b, a.Hard), start)
}
