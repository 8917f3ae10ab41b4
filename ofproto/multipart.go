package ofproto

import (
	"encoding/binary"
	"fmt"
)

// Multipart types (ofp_multipart_type, OpenFlow 1.3.5 §7.3.5).
const (
	multipartFlow     = 1
	multipartPortDesc = 13
)

// A PortDescRequest asks for the ports of a switch, which come in
// [PortDescReply] messages.
type PortDescRequest struct{}

// A FlowStatsRequest asks for the flows of a switch, which come in
// [FlowStatsReply] messages.
type FlowStatsRequest struct {
	Table      TableID // or [AllTables]
	Cookie     Cookie  // only flows with this cookie, in the bits of CookieMask
	CookieMask Cookie
}

// A PortDescReply is one part of the answer to a [PortDescRequest].
type PortDescReply struct {
	Ports []Port
	More  bool // further parts follow
}

// A FlowStatsReply is one part of the answer to a [FlowStatsRequest].
type FlowStatsReply struct {
	Flows []FlowStats
	More  bool // further parts follow
}

// A RawMultipart is one part of an answer that this package does not decode.
type RawMultipart struct {
	Type uint16
	Body string
	More bool // further parts follow
}

func appendMultipart(b []byte, typ uint8, mpType uint16, length int, more bool, xid uint32) []byte {
	b = appendHeader(b, typ, HeaderLen+8+length, xid)
	flags := byte(0)
	if more {
		flags = 1 // OFPMPF_REPLY_MORE
	}
	return append(b, byte(mpType>>8), byte(mpType), 0, flags, 0, 0, 0, 0)
}

// Append implements [Message].
func (PortDescRequest) Append(b []byte, xid uint32) []byte {
	return appendMultipart(b, typeMultipartRequest, multipartPortDesc, 0, false, xid)
}

// Append implements [Message].
func (m FlowStatsRequest) Append(b []byte, xid uint32) []byte {
	b = appendMultipart(b, typeMultipartRequest, multipartFlow, 40, false, xid)
	b = append(b, byte(m.Table), 0, 0, 0,
		0xff, 0xff, 0xff, 0xff, // out_port OFPP_ANY
		0xff, 0xff, 0xff, 0xff, // out_group OFPG_ANY
		0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Cookie))
	b = binary.BigEndian.AppendUint64(b, uint64(m.CookieMask))
	return Match{}.append(b)
}

// Append implements [Message].
func (m PortDescReply) Append(b []byte, xid uint32) []byte {
	b = appendMultipart(b, typeMultipartReply, multipartPortDesc, portLen*len(m.Ports), m.More, xid)
	for _, p := range m.Ports {
		b = p.append(b)
	}
	return b
}

// Append implements [Message].
func (m FlowStatsReply) Append(b []byte, xid uint32) []byte {
	start := len(b)
	b = appendMultipart(b, typeMultipartReply, multipartFlow, 0, m.More, xid)
	for i := range m.Flows {
		b = m.Flows[i].append(b)
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// Append implements [Message].
func (m RawMultipart) Append(b []byte, xid uint32) []byte {
	b = appendMultipart(b, typeMultipartReply, m.Type, len(m.Body), m.More, xid)
	return append(b, m.Body...)
}

func decodeMultipart(b []byte) (Message, error) {
	if len(b) < 8 {
		return nil, shortError("multipart reply", len(b), 8)
	}
	typ, more := binary.BigEndian.Uint16(b), b[3]&1 != 0
	body := b[8:]
	switch typ {
	case multipartPortDesc:
		if len(body)%portLen != 0 {
			return nil, fmt.Errorf("port description has %d bytes, want a multiple of %d", len(body), portLen)
		}
		m := PortDescReply{More: more}
		for ; len(body) > 0; body = body[portLen:] {
			m.Ports = append(m.Ports, decodePort(body))
		}
		return m, nil
	case multipartFlow:
		m := FlowStatsReply{More: more}
		for len(body) > 0 {
			fs, n, err := decodeFlowStats(body)
			if err != nil {
				return nil, fmt.Errorf("flow statistics, entry %d: %w", len(m.Flows), err)
			}
			m.Flows = append(m.Flows, fs)
			body = body[n:]
		}
		return m, nil
	}
	return RawMultipart{typ, string(body), more}, nil
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
