package ofproto

import (
	"encoding/binary"
	"fmt"
)

// A FlowFilter selects flows.
type FlowFilter struct {
	Table      TableID // or [AllTables]
	OutPort    PortNo  // only flows that output to this port; [PortAny] for all
	OutGroup   GroupID // only flows that refer to this group; [GroupAny] for all
	Cookie     Cookie  // only flows with a cookie that equals Cookie in the bits of CookieMask
	CookieMask Cookie
	Match      Match // only flows with this match or a more specific one
}

// AllFlows selects every flow.
func AllFlows() FlowFilter {
	return FlowFilter{Table: AllTables, OutPort: PortAny, OutGroup: GroupAny}
}

// A FlowStatsRequest requests flows with their counters. The reply is a [FlowStatsReply].
type FlowStatsRequest FlowFilter

// FlowStatsReply has flows with their counters.
type FlowStatsReply []FlowStats

// An AggregateRequest requests the sums of flow counters. The reply is an [Aggregate].
type AggregateRequest FlowFilter

// An Aggregate has the sums of flow counters.
type Aggregate struct {
	Packets, Bytes uint64
	Flows          uint32
	_              [4]byte
}

func (FlowStatsRequest) multipartType() uint16 { return multipartFlow }
func (FlowStatsReply) multipartType() uint16   { return multipartFlow }
func (AggregateRequest) multipartType() uint16 { return multipartAggregate }
func (Aggregate) multipartType() uint16        { return multipartAggregate }

func (m FlowStatsRequest) appendBody(b []byte) []byte { return FlowFilter(m).append(b) }
func (m AggregateRequest) appendBody(b []byte) []byte { return FlowFilter(m).append(b) }
func (m Aggregate) appendBody(b []byte) []byte        { return appendFixed(b, m) }
func (m FlowStatsReply) appendBody(b []byte) []byte {
	for i := range m {
		b = m[i].append(b)
	}
	return b
}

const flowFilterLen = 32 // ofp_flow_stats_request before the match

func (f FlowFilter) append(b []byte) []byte {
	be := binary.BigEndian
	b = append(b, byte(f.Table), 0, 0, 0)
	b = be.AppendUint32(b, uint32(f.OutPort))
	b = be.AppendUint32(b, uint32(f.OutGroup))
	b = append(b, 0, 0, 0, 0)
	b = be.AppendUint64(b, uint64(f.Cookie))
	b = be.AppendUint64(b, uint64(f.CookieMask))
	return f.Match.append(b)
}

func decodeFlowFilter(b []byte) (FlowFilter, error) {
	if len(b) < flowFilterLen {
		return FlowFilter{}, shortError("flow statistics request", len(b), flowFilterLen)
	}
	be := binary.BigEndian
	m, _, err := decodeMatch(string(b[flowFilterLen:]))
	if err != nil {
		return FlowFilter{}, err
	}
	return FlowFilter{TableID(b[0]), PortNo(be.Uint32(b[4:])), GroupID(be.Uint32(b[8:])),
		Cookie(be.Uint64(b[16:])), Cookie(be.Uint64(b[24:])), m}, nil
}

const flowStatsLen = 48 // ofp_flow_stats before the match

// decodeFlowStats decodes the ofp_flow_stats at the start of b and returns its
// length (OpenFlow 1.3.5 §7.3.5.2).
func decodeFlowStats(b []byte) (FlowStats, int, error) {
	if len(b) < flowStatsLen+8 {
		return FlowStats{}, 0, shortError("ofp_flow_stats", len(b), flowStatsLen+8)
	}
	be := binary.BigEndian
	n := int(be.Uint16(b))
	if n < flowStatsLen+8 || n > len(b) {
		return FlowStats{}, 0, fmt.Errorf("ofp_flow_stats has length %d in %d bytes", n, len(b))
	}
	m, rest, err := decodeMatch(string(b[flowStatsLen:n]))
	if err != nil {
		return FlowStats{}, 0, err
	}
	do, err := decodeInstructions(rest)
	if err != nil {
		return FlowStats{}, 0, err
	}
	return FlowStats{
		Flow: Flow{
			FlowKey:     FlowKey{TableID(b[2]), be.Uint16(b[12:]), m},
			IdleTimeout: be.Uint16(b[14:]),
			HardTimeout: be.Uint16(b[16:]),
			Flags:       FlowFlags(be.Uint16(b[18:])),
			Cookie:      Cookie(be.Uint64(b[24:])),
			Do:          do,
		},
		Seconds:     be.Uint32(b[4:]),
		Nanoseconds: be.Uint32(b[8:]),
		Packets:     be.Uint64(b[32:]),
		Bytes:       be.Uint64(b[40:]),
	}, n, nil
}

// append appends fs as an ofp_flow_stats.
func (fs *FlowStats) append(b []byte) []byte {
	be := binary.BigEndian
	n := flowStatsLen + fs.Match.wireLen() + len(fs.Do.wire)
	b = append(b, byte(n>>8), byte(n), byte(fs.Table), 0)
	b = be.AppendUint32(b, fs.Seconds)
	b = be.AppendUint32(b, fs.Nanoseconds)
	b = be.AppendUint16(b, fs.Priority)
	b = be.AppendUint16(b, fs.IdleTimeout)
	b = be.AppendUint16(b, fs.HardTimeout)
	b = be.AppendUint16(b, uint16(fs.Flags))
	b = append(b, 0, 0, 0, 0)
	b = be.AppendUint64(b, uint64(fs.Cookie))
	b = be.AppendUint64(b, fs.Packets)
	b = be.AppendUint64(b, fs.Bytes)
	b = fs.Match.append(b)
	return append(b, fs.Do.wire...)
}
