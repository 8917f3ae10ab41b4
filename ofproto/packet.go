package ofproto

import (
	"encoding/binary"
	"fmt"
)

// NoBuffer means that the switch has not buffered the packet (OFP_NO_BUFFER).
const NoBuffer uint32 = 0xffffffff

// PacketInReason is the reason of a [PacketIn] (ofp_packet_in_reason, OpenFlow
// 1.3.5 §7.4.1).
type PacketInReason uint8

// The reasons.
const (
	PacketInNoMatch PacketInReason = iota
	PacketInAction
	PacketInInvalidTTL
)

// A PacketIn is a packet that a switch sent to the controller (OFPT_PACKET_IN, or
// Nicira's NXT_PACKET_IN2 with its additions).
type PacketIn struct {
	Buffer   uint32 // or [NoBuffer]
	TotalLen uint32 // length of the packet; Data may have only the start of the packet
	Reason   PacketInReason
	Table    TableID
	Cookie   Cookie // cookie of the flow that sent the packet
	Match    Match  // metadata, including in_port
	Data     string

	Nicira       bool   // the message is an NXT_PACKET_IN2
	UserData     string // data from the controller action, in NXT_PACKET_IN2 only
	Continuation string // data to send back to resume the packet, in NXT_PACKET_IN2 only
}

// NXT_PACKET_IN2 and its properties (OVS nicira-ext.h, nx_packet_in2_prop_type).
const (
	nxPacketIn2    = 30
	pinPacket      = 0
	pinFullLen     = 1
	pinBuffer      = 2
	pinTable       = 3
	pinCookie      = 4
	pinReason      = 5
	pinMetadata    = 6
	pinUserData    = 7
	pinContinue    = 8
	packetInFixed  = 16 // standard message before the match
	packetInFiller = 2  // padding before the packet, which aligns its IP header
)

// Append implements [Message].
func (m PacketIn) Append(b []byte, xid uint32) []byte {
	be, start := binary.BigEndian, len(b)
	if m.Nicira {
		b = Experimenter{ID: niciraID, Type: nxPacketIn2, Body: string(m.properties())}.Append(b, xid)
		return b
	}
	b = appendHeader(b, typePacketIn, 0, xid)
	b = be.AppendUint32(b, m.Buffer)
	b = be.AppendUint16(b, uint16(m.TotalLen))
	b = append(b, byte(m.Reason), byte(m.Table))
	b = be.AppendUint64(b, uint64(m.Cookie))
	b = m.Match.append(b)
	b = append(b, make([]byte, packetInFiller)...)
	return setLength(append(b, m.Data...), start)
}

// setLength sets the length in the header of the message that starts at b[start:].
func setLength(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

func decodePacketIn(b []byte) (Message, error) {
	if len(b) < packetInFixed {
		return nil, shortError("packet-in", len(b), packetInFixed)
	}
	be := binary.BigEndian
	match, rest, err := decodeMatch(string(b[packetInFixed:]))
	if err != nil {
		return nil, fmt.Errorf("packet-in: %w", err)
	}
	if len(rest) < packetInFiller {
		return nil, shortError("packet-in's filler", len(rest), packetInFiller)
	}
	return PacketIn{
		Buffer: be.Uint32(b), TotalLen: uint32(be.Uint16(b[4:])), Reason: PacketInReason(b[6]), Table: TableID(b[7]),
		Cookie: Cookie(be.Uint64(b[8:])), Match: match, Data: rest[packetInFiller:],
	}, nil
}

func (m *PacketIn) properties() []byte {
	be := binary.BigEndian
	b := appendProperty(nil, pinPacket, m.Data)
	if int(m.TotalLen) != len(m.Data) {
		b = appendProperty(b, pinFullLen, string(be32(m.TotalLen)))
	}
	if m.Buffer != NoBuffer {
		b = appendProperty(b, pinBuffer, string(be32(m.Buffer)))
	}
	b = appendProperty(b, pinTable, string([]byte{byte(m.Table)}))
	b = appendProperty(b, pinCookie, string(be.AppendUint64(make([]byte, 4, 12), uint64(m.Cookie))))
	b = appendProperty(b, pinReason, string([]byte{byte(m.Reason)}))
	b = appendProperty(b, pinMetadata, m.Match.oxm)
	if m.UserData != "" {
		b = appendProperty(b, pinUserData, m.UserData)
	}
	if m.Continuation != "" {
		b = appendProperty(b, pinContinue, "\x00\x00\x00\x00"+m.Continuation)
	}
	return b
}

// decodePacketIn2 decodes the body of an NXT_PACKET_IN2. It ignores unknown
// properties.
func decodePacketIn2(b []byte) (Message, error) {
	be := binary.BigEndian
	m := PacketIn{Nicira: true, Buffer: NoBuffer}
	fullLen := false
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, shortError("packet-in property", len(b), 4)
		}
		typ, n := be.Uint16(b), int(be.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return nil, fmt.Errorf("packet-in property has length %d in %d bytes", n, len(b))
		}
		data := b[4:n]
		if want := map[uint16]int{pinFullLen: 4, pinBuffer: 4, pinTable: 1, pinCookie: 12, pinReason: 1, pinContinue: 4}[typ]; len(data) < want {
			return nil, shortError("packet-in property", len(data), want)
		}
		switch typ {
		case pinPacket:
			m.Data = string(data)
		case pinFullLen:
			m.TotalLen, fullLen = be.Uint32(data), true
		case pinBuffer:
			m.Buffer = be.Uint32(data)
		case pinTable:
			m.Table = TableID(data[0])
		case pinCookie:
			m.Cookie = Cookie(be.Uint64(data[4:]))
		case pinReason:
			m.Reason = PacketInReason(data[0])
		case pinMetadata:
			match, err := canonicalMatch(string(data))
			if err != nil {
				return nil, fmt.Errorf("packet-in metadata: %w", err)
			}
			m.Match = match
		case pinUserData:
			m.UserData = string(data)
		case pinContinue:
			m.Continuation = string(data[4:])
		}
		b = b[min(pad8(n), len(b)):]
	}
	if !fullLen {
		m.TotalLen = uint32(len(m.Data))
	}
	return m, nil
}

// SetPacketInFormat selects the format of packet-in messages (NXT_SET_PACKET_IN_FORMAT).
// Format 0 is OpenFlow's, 2 is NXT_PACKET_IN2.
type SetPacketInFormat struct{ Format uint32 }

const nxSetPacketInFormat = 16

// Append implements [Message].
func (m SetPacketInFormat) Append(b []byte, xid uint32) []byte {
	return Experimenter{ID: niciraID, Type: nxSetPacketInFormat, Body: string(be32(m.Format))}.Append(b, xid)
}

// A PacketOut makes the switch carry out actions on a packet (OFPT_PACKET_OUT,
// OpenFlow 1.3.5 §7.3.7).
type PacketOut struct {
	Buffer  uint32 // a packet that the switch has buffered, or [NoBuffer]
	InPort  PortNo // or [PortController]
	Actions Actions
	Data    string // the packet, if Buffer is [NoBuffer]
}

// Append implements [Message].
func (m PacketOut) Append(b []byte, xid uint32) []byte {
	be, start := binary.BigEndian, len(b)
	b = appendHeader(b, typePacketOut, 0, xid)
	b = be.AppendUint32(b, m.Buffer)
	b = be.AppendUint32(b, uint32(m.InPort))
	b = be.AppendUint16(b, uint16(len(m.Actions.wire)))
	b = append(b, 0, 0, 0, 0, 0, 0)
	b = append(b, m.Actions.wire...)
	return setLength(append(b, m.Data...), start)
}

func decodePacketOut(b []byte) (Message, error) {
	if len(b) < 16 {
		return nil, shortError("packet-out", len(b), 16)
	}
	be := binary.BigEndian
	n := int(be.Uint16(b[8:]))
	if len(b) < 16+n {
		return nil, shortError("packet-out's actions", len(b)-16, n)
	}
	as, err := decodeActions(string(b[16 : 16+n]))
	if err != nil {
		return nil, fmt.Errorf("packet-out: %w", err)
	}
	return PacketOut{be.Uint32(b), PortNo(be.Uint32(b[4:])), as, string(b[16+n:])}, nil
}

// FlowRemovedReason is the reason why a flow was removed (ofp_flow_removed_reason).
type FlowRemovedReason uint8

// The reasons (OpenFlow 1.3.5 §7.4.2).
const (
	RemovedIdle FlowRemovedReason = iota
	RemovedHard
	RemovedDelete
	RemovedGroupDelete
	RemovedMeterDelete
)

// A FlowRemoved reports that a flow with [SendFlowRemoved] was removed (OFPT_FLOW_REMOVED).
// Its Flow has no instructions and no flags.
type FlowRemoved struct {
	FlowStats
	Reason FlowRemovedReason
}

const flowRemovedLen = 40 // before the match

// Append implements [Message].
func (m FlowRemoved) Append(b []byte, xid uint32) []byte {
	be, start := binary.BigEndian, len(b)
	b = appendHeader(b, typeFlowRemoved, 0, xid)
	b = be.AppendUint64(b, uint64(m.Cookie))
	b = be.AppendUint16(b, m.Priority)
	b = append(b, byte(m.Reason), byte(m.Table))
	b = be.AppendUint32(b, m.Seconds)
	b = be.AppendUint32(b, m.Nanoseconds)
	b = be.AppendUint16(b, m.IdleTimeout)
	b = be.AppendUint16(b, m.HardTimeout)
	b = be.AppendUint64(b, m.Packets)
	b = be.AppendUint64(b, m.Bytes)
	return setLength(m.Match.append(b), start)
}

func decodeFlowRemoved(b []byte) (Message, error) {
	if len(b) < flowRemovedLen {
		return nil, shortError("flow-removed", len(b), flowRemovedLen)
	}
	be := binary.BigEndian
	match, _, err := decodeMatch(string(b[flowRemovedLen:]))
	if err != nil {
		return nil, fmt.Errorf("flow-removed: %w", err)
	}
	return FlowRemoved{
		FlowStats: FlowStats{
			Flow: Flow{
				FlowKey:     FlowKey{TableID(b[11]), be.Uint16(b[8:]), match},
				Cookie:      Cookie(be.Uint64(b)),
				IdleTimeout: be.Uint16(b[20:]),
				HardTimeout: be.Uint16(b[22:]),
			},
			Seconds: be.Uint32(b[12:]), Nanoseconds: be.Uint32(b[16:]),
			Packets: be.Uint64(b[24:]), Bytes: be.Uint64(b[32:]),
		},
		Reason: FlowRemovedReason(b[10]),
	}, nil
}
