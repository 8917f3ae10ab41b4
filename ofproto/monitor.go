package ofproto

import (
	"encoding/binary"
	"fmt"
)

// onfFlowMonitor is the experimenter type of the ONF's flow monitor for
// OpenFlow 1.3 (ONF extension 187; OVS openflow-1.3.h).
const onfFlowMonitor = 1870

// Experimenter types of two messages of Open vSwitch. The first says that it
// paused the flow monitors, because the connection is too slow for them, and
// the second that it resumed them.
const (
	onfMonitorPaused  = 1871
	onfMonitorResumed = 1872
)

// MonitorGap reports whether m announces that flow monitors pause or resume.
// Updates may be missing in between.
func (m Experimenter) MonitorGap() bool {
	return m.ID == onfID && (m.Type == onfMonitorPaused || m.Type == onfMonitorResumed)
}

// MonitorFlags select the updates that a flow monitor sends.
type MonitorFlags uint16

// The first four flags select existing, added, deleted and modified flows. The next one selects
// their instructions. MonitorOwn selects full reports of changes by the monitor's own connection,
// instead of [FlowAbbreviated].
const (
	MonitorInitial MonitorFlags = 1 << iota
	MonitorAdd
	MonitorDelete
	MonitorModify
	MonitorInstructions
	MonitorOwn
)

// A FlowMonitor subscribes to changes of flows.
type FlowMonitor struct {
	ID      uint32 // chosen by the controller
	Flags   MonitorFlags
	OutPort PortNo  // only flows that output to this port; [PortAny] for all
	Table   TableID // or [AllTables]
	Match   Match   // only flows with this match or a more specific one
}

// A FlowMonitorRequest creates flow monitors. The reply has the existing flows, if requested.
// Changes follow in [FlowMonitorReply] messages with transaction ID 0.
type FlowMonitorRequest []FlowMonitor

// FlowMonitorReply is a list of updates from flow monitors.
type FlowMonitorReply []FlowUpdate

// FlowEvent is the kind of a [FlowUpdate].
type FlowEvent uint16

// The events. FlowAbbreviated is a change by this connection, and has only its transaction ID.
const (
	FlowAdded FlowEvent = iota
	FlowDeleted
	FlowModified
	FlowAbbreviated
)

// String returns the event as ovs-ofctl prints it.
func (e FlowEvent) String() string {
	return nameOf([]string{"ADDED", "DELETED", "MODIFIED", "ABBREV"}, int(e))
}

// A FlowUpdate reports one change.
type FlowUpdate struct {
	Event  FlowEvent
	Reason FlowRemovedReason // for FlowDeleted
	Flow   Flow              // without flags
	XID    uint32            // for FlowAbbreviated
}

// CancelMonitor ends a flow monitor.
type CancelMonitor struct{ ID uint32 }

const (
	flowMonitorLen = 16 // before the match
	flowUpdateLen  = 24 // before the match
)

// Append implements [Message].
func (m CancelMonitor) Append(b []byte, xid uint32) []byte {
	return Experimenter{ID: onfID, Type: onfFlowMonitor, Body: string(be32(m.ID))}.Append(b, xid)
}

func (FlowMonitorRequest) multipartType() uint16 { return multipartExperimenter }
func (FlowMonitorReply) multipartType() uint16   { return multipartExperimenter }

func appendFlowMonitorHeader(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, onfID)
	return binary.BigEndian.AppendUint32(b, onfFlowMonitor)
}

func isFlowMonitor(b []byte) bool {
	return len(b) >= 8 && binary.BigEndian.Uint32(b) == onfID && binary.BigEndian.Uint32(b[4:]) == onfFlowMonitor
}

func (m FlowMonitorRequest) appendBody(b []byte) []byte {
	be := binary.BigEndian
	b = appendFlowMonitorHeader(b)
	for _, f := range m {
		b = be.AppendUint32(b, f.ID)
		b = be.AppendUint16(b, uint16(f.Flags))
		b = be.AppendUint16(b, uint16(4+len(f.Match.oxm)))
		b = be.AppendUint32(b, uint32(f.OutPort))
		b = append(b, byte(f.Table), 0, 0, 0)
		b = f.Match.append(b)
	}
	return b
}

func decodeFlowMonitor(b []byte) (FlowMonitor, int, error) {
	if len(b) < flowMonitorLen {
		return FlowMonitor{}, 0, shortError("flow monitor", len(b), flowMonitorLen)
	}
	be := binary.BigEndian
	m, rest, err := decodeMatch(string(b[flowMonitorLen:]))
	return FlowMonitor{be.Uint32(b), MonitorFlags(be.Uint16(b[4:])), PortNo(be.Uint32(b[8:])), TableID(b[12]), m},
		len(b) - len(rest), err
}

func (m FlowMonitorReply) appendBody(b []byte) []byte {
	be := binary.BigEndian
	b = appendFlowMonitorHeader(b)
	for _, u := range m {
		if u.Event == FlowAbbreviated {
			b = append(b, 0, 8, 0, byte(u.Event))
			b = be.AppendUint32(b, u.XID)
			continue
		}
		f := &u.Flow
		b = be.AppendUint16(b, uint16(flowUpdateLen+f.Match.wireLen()+len(f.Do.wire)))
		b = be.AppendUint16(b, uint16(u.Event))
		b = be.AppendUint16(b, uint16(u.Reason))
		b = be.AppendUint16(b, f.Priority)
		b = be.AppendUint16(b, f.IdleTimeout)
		b = be.AppendUint16(b, f.HardTimeout)
		b = be.AppendUint16(b, uint16(4+len(f.Match.oxm)))
		b = append(b, byte(f.Table), 0)
		b = be.AppendUint64(b, uint64(f.Cookie))
		b = f.Match.append(b)
		b = append(b, f.Do.wire...)
	}
	return b
}

func decodeFlowUpdate(b []byte) (FlowUpdate, int, error) {
	n, err := entryLength("flow update", b, 8)
	if err != nil {
		return FlowUpdate{}, 0, err
	}
	be := binary.BigEndian
	u := FlowUpdate{Event: FlowEvent(be.Uint16(b[2:]))}
	switch {
	case u.Event == FlowAbbreviated:
		u.XID = be.Uint32(b[4:])
		return u, n, nil
	case u.Event > FlowAbbreviated:
		return u, 0, fmt.Errorf("flow update has unknown event %d", u.Event)
	case n < flowUpdateLen:
		return u, 0, shortError("flow update", n, flowUpdateLen)
	}
	u.Reason = FlowRemovedReason(be.Uint16(b[4:]))
	m, rest, err := decodeMatch(string(b[flowUpdateLen:n]))
	if err != nil {
		return u, 0, fmt.Errorf("flow update: %w", err)
	}
	do, err := decodeInstructions(rest)
	if err != nil {
		return u, 0, fmt.Errorf("flow update: %w", err)
	}
	u.Flow = Flow{
		FlowKey:     FlowKey{TableID(b[14]), be.Uint16(b[6:]), m},
		Cookie:      Cookie(be.Uint64(b[16:])),
		IdleTimeout: be.Uint16(b[8:]),
		HardTimeout: be.Uint16(b[10:]),
		Do:          do,
	}
	return u, n, nil
}
