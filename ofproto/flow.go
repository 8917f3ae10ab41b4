package ofproto

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// TableID is the number of a flow table. Packets start in table 0.
type TableID uint8

// AllTables means all tables in a delete or a statistics request.
const AllTables TableID = 0xff

// A Cookie marks a flow. Switches store it and report it back but never interpret it.
type Cookie uint64

// A FlowKey identifies a flow. A switch holds at most one flow with each key, and adding
// another flow replaces it (OpenFlow 1.3.5 §6.4).
type FlowKey struct {
	Table    TableID
	Priority uint16
	Match    Match
}

// A Flow is one flow-table entry without its counters. Two flows with the same effect in a
// switch are equal with ==.
type Flow struct {
	FlowKey
	Cookie      Cookie
	IdleTimeout uint16 // seconds; 0 for never
	HardTimeout uint16 // seconds; 0 for never
	Flags       FlowFlags
	Do          Instructions
}

// Size returns the length in bytes of f's encoded match and instructions.
func (f *Flow) Size() int { return len(f.Match.oxm) + len(f.Do.wire) }

// FlowFlags are ofp_flow_mod_flags.
type FlowFlags uint16

// The flags (OpenFlow 1.3.5 §7.3.4.1).
const (
	SendFlowRemoved FlowFlags = 1 << iota
	CheckOverlap
	ResetCounts
	NoPacketCounts
	NoByteCounts
)

var flagNames = []string{"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}

// String returns f in the syntax that ovs-ofctl add-flows accepts.
func (f Flow) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cookie=%#x, table=%d, ", uint64(f.Cookie), f.Table)
	if f.IdleTimeout != 0 {
		fmt.Fprintf(&b, "idle_timeout=%d, ", f.IdleTimeout)
	}
	if f.HardTimeout != 0 {
		fmt.Fprintf(&b, "hard_timeout=%d, ", f.HardTimeout)
	}
	for i, name := range flagNames {
		if f.Flags&(1<<i) != 0 {
			b.WriteString(name + " ")
		}
	}
	fmt.Fprintf(&b, "priority=%d", f.Priority)
	if m := f.Match.String(); m != "" {
		b.WriteString("," + m)
	}
	b.WriteString(" actions=" + f.Do.String())
	return b.String()
}

// FlowCommand is an ofp_flow_mod_command.
type FlowCommand uint8

// The commands (OpenFlow 1.3.5 §7.3.4.1).
const (
	FlowAdd FlowCommand = iota
	FlowModify
	FlowModifyStrict
	FlowDelete
	FlowDeleteStrict
)

func (c FlowCommand) String() string {
	names := [...]string{"add", "modify", "modify_strict", "delete", "delete_strict"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("command %d", uint8(c))
}

// A FlowMod asks a switch to change flows (OFPT_FLOW_MOD). A command that is not strict changes all
// flows with a match that is equal to the match of Flow or more specific.
type FlowMod struct {
	Command FlowCommand
	Flow    Flow

	// CookieMask limits modifications and deletions to flows with a cookie that equals the cookie
	// of Flow in these bits.
	CookieMask Cookie
	// OutPort and OutGroup limit a deletion to flows that output to the port or refer to the
	// group. 0 means no limit. Port 0 is invalid, and a limit to group 0 cannot be expressed.
	OutPort  PortNo
	OutGroup GroupID
}

func (m FlowMod) String() string { return m.Command.String() + " " + m.Flow.String() }

const flowModLen = 48 // ofp_flow_mod before the match

// wireLen returns the length of the encoded message.
func (m *FlowMod) wireLen() int {
	n := flowModLen + m.Flow.Match.wireLen()
	if m.Command < FlowDelete {
		n += len(m.Flow.Do.wire)
	}
	return n
}

// Append appends the OFPT_FLOW_MOD message with the given transaction ID to b (OpenFlow 1.3.5
// §7.3.4.1). It does not allocate if b has enough capacity. Deletions have no instructions.
func (m FlowMod) Append(b []byte, xid uint32) []byte {
	be := binary.BigEndian
	n := m.wireLen()
	b = append(b, version13, typeFlowMod, byte(n>>8), byte(n))
	b = be.AppendUint32(b, xid)
	b = be.AppendUint64(b, uint64(m.Flow.Cookie))
	b = be.AppendUint64(b, uint64(m.CookieMask))
	b = append(b, byte(m.Flow.Table), byte(m.Command))
	b = be.AppendUint16(b, m.Flow.IdleTimeout)
	b = be.AppendUint16(b, m.Flow.HardTimeout)
	b = be.AppendUint16(b, m.Flow.Priority)
	b = append(b, 0xff, 0xff, 0xff, 0xff) // OFP_NO_BUFFER
	b = be.AppendUint32(b, orAny(uint32(m.OutPort)))
	b = be.AppendUint32(b, orAny(uint32(m.OutGroup)))
	b = be.AppendUint16(b, uint16(m.Flow.Flags))
	b = append(b, 0, 0)
	b = m.Flow.Match.append(b)
	if m.Command < FlowDelete {
		b = append(b, m.Flow.Do.wire...)
	}
	return b
}

// orAny returns OFPP_ANY for 0, 0 for OFPP_ANY, and any other n unchanged.
// OFPG_ANY is the same number as OFPP_ANY.
func orAny(n uint32) uint32 {
	switch n {
	case 0:
		return uint32(PortAny)
	case uint32(PortAny):
		return 0
	}
	return n
}

// decodeFlowMod returns a [Raw] if a [FlowMod] cannot express the message: it is for a buffered
// packet, or is limited to port or group 0.
func decodeFlowMod(b []byte) (Message, error) {
	const fixed = flowModLen - HeaderLen
	if len(b) < fixed {
		return nil, shortError("flow-mod", len(b), fixed)
	}
	be := binary.BigEndian
	outPort, outGroup := be.Uint32(b[28:]), be.Uint32(b[32:])
	if be.Uint32(b[24:]) != NoBuffer || outPort == 0 || outGroup == 0 {
		return Raw{typeFlowMod, string(b)}, nil
	}
	match, rest, err := decodeMatch(string(b[fixed:]))
	if err != nil {
		return nil, fmt.Errorf("flow-mod: %w", err)
	}
	do, err := decodeInstructions(rest)
	if err != nil {
		return nil, fmt.Errorf("flow-mod: %w", err)
	}
	return FlowMod{
		Command: FlowCommand(b[17]),
		Flow: Flow{
			FlowKey:     FlowKey{TableID(b[16]), be.Uint16(b[22:]), match},
			Cookie:      Cookie(be.Uint64(b)),
			IdleTimeout: be.Uint16(b[18:]),
			HardTimeout: be.Uint16(b[20:]),
			Flags:       FlowFlags(be.Uint16(b[36:])),
			Do:          do,
		},
		CookieMask: Cookie(be.Uint64(b[8:])),
		OutPort:    PortNo(orAny(outPort)),
		OutGroup:   GroupID(orAny(outGroup)),
	}, nil
}

// FlowStats is a flow with its counters, as a switch reports it.
type FlowStats struct {
	Flow
	Seconds     uint32 // whole seconds since the flow was added
	Nanoseconds uint32 // and the fraction
	Packets     uint64
	Bytes       uint64
}
