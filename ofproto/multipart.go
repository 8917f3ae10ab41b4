package ofproto

import (
	"encoding/binary"
	"fmt"
)

// Multipart types (ofp_multipart_type, OpenFlow 1.3.5 §7.3.5).
const (
	multipartDesc          = 0
	multipartFlow          = 1
	multipartAggregate     = 2
	multipartTable         = 3
	multipartPort          = 4
	multipartGroup         = 6
	multipartGroupDesc     = 7
	multipartGroupFeatures = 8
	multipartMeter         = 9
	multipartMeterConfig   = 10
	multipartMeterFeatures = 11
	multipartTableFeatures = 12
	multipartPortDesc      = 13
	multipartExperimenter  = 0xffff
)

// A Multipart is one part of a request or reply that may consist of several parts
// (OFPT_MULTIPART_REQUEST, OFPT_MULTIPART_REPLY).
type Multipart struct {
	Reply bool
	More  bool // further parts with the same transaction ID follow
	Body  MultipartBody
}

// A MultipartBody is the content of a [Multipart]. Types named …Request are
// requests, the others replies.
type MultipartBody interface {
	multipartType() uint16
	appendBody(b []byte) []byte
}

// A RawMultipart is the body of a part that this package does not decode.
type RawMultipart struct {
	Type uint16
	Data string
}

func (m RawMultipart) multipartType() uint16      { return m.Type }
func (m RawMultipart) appendBody(b []byte) []byte { return append(b, m.Data...) }

// Append implements [Message].
func (m Multipart) Append(b []byte, xid uint32) []byte {
	start, typ, flags := len(b), uint8(typeMultipartRequest), byte(0)
	if m.Reply {
		typ = typeMultipartReply
	}
	if m.More {
		flags = 1 // OFPMPF_REQ_MORE, OFPMPF_REPLY_MORE
	}
	b = appendHeader(b, typ, 0, xid)
	b = binary.BigEndian.AppendUint16(b, m.Body.multipartType())
	b = append(b, 0, flags, 0, 0, 0, 0)
	return setLength(m.Body.appendBody(b), start)
}

// Request returns a multipart request with the given body, in one part.
func Request(body MultipartBody) Multipart { return Multipart{Body: body} }

func decodeMultipart(b []byte, reply bool) (Message, error) {
	if len(b) < 8 {
		return nil, shortError("multipart message", len(b), 8)
	}
	typ, more := binary.BigEndian.Uint16(b), b[3]&1 != 0
	decode := decodeMultipartRequest
	if reply {
		decode = decodeMultipartReply
	}
	body, err := decode(typ, b[8:])
	if err != nil {
		return nil, fmt.Errorf("multipart message of type %d: %w", typ, err)
	}
	return Multipart{reply, more, body}, nil
}

func decodeMultipartReply(typ uint16, b []byte) (MultipartBody, error) {
	switch typ {
	case multipartFlow:
		return decodeEntries(b, decodeFlowStats, func(s []FlowStats) MultipartBody { return FlowStatsReply(s) })
	case multipartDesc:
		return decodeDescription(b)
	case multipartAggregate:
		return decodeOne[Aggregate](b)
	case multipartTable:
		return decodeEntries(b, fixedEntry[TableStats], func(s []TableStats) MultipartBody { return TableStatsReply(s) })
	case multipartPort:
		return decodeEntries(b, fixedEntry[PortStats], func(s []PortStats) MultipartBody { return PortStatsReply(s) })
	case multipartPortDesc:
		return decodeEntries(b, decodePortEntry, func(s []Port) MultipartBody { return PortDescReply(s) })
	case multipartGroup:
		return decodeEntries(b, decodeGroupStats, func(s []GroupStats) MultipartBody { return GroupStatsReply(s) })
	case multipartGroupDesc:
		return decodeEntries(b, decodeGroupDesc, func(s []GroupEntry) MultipartBody { return GroupDescReply(s) })
	case multipartGroupFeatures:
		return decodeOne[GroupFeatures](b)
	case multipartMeter:
		return decodeEntries(b, decodeMeterStats, func(s []MeterStats) MultipartBody { return MeterStatsReply(s) })
	case multipartMeterConfig:
		return decodeEntries(b, decodeMeterConfig, func(s []MeterEntry) MultipartBody { return MeterConfigReply(s) })
	case multipartMeterFeatures:
		return decodeOne[MeterFeatures](b)
	case multipartExperimenter:
		if isFlowMonitor(b) {
			return decodeEntries(b[8:], decodeFlowUpdate, func(s []FlowUpdate) MultipartBody { return FlowMonitorReply(s) })
		}
	}
	return RawMultipart{typ, string(b)}, nil
}

func decodeMultipartRequest(typ uint16, b []byte) (MultipartBody, error) {
	switch typ {
	case multipartDesc:
		return DescriptionRequest{}, nil
	case multipartFlow:
		f, err := decodeFlowFilter(b)
		return FlowStatsRequest(f), err
	case multipartAggregate:
		f, err := decodeFlowFilter(b)
		return AggregateRequest(f), err
	case multipartTable:
		return TableStatsRequest{}, nil
	case multipartPort:
		return decodeOne[PortStatsRequest](b)
	case multipartPortDesc:
		return PortDescRequest{}, nil
	case multipartGroup:
		return decodeOne[GroupStatsRequest](b)
	case multipartGroupDesc:
		return GroupDescRequest{}, nil
	case multipartGroupFeatures:
		return GroupFeaturesRequest{}, nil
	case multipartMeter:
		return decodeOne[MeterStatsRequest](b)
	case multipartMeterConfig:
		return decodeOne[MeterConfigRequest](b)
	case multipartMeterFeatures:
		return MeterFeaturesRequest{}, nil
	case multipartExperimenter:
		if isFlowMonitor(b) {
			return decodeEntries(b[8:], decodeFlowMonitor, func(s []FlowMonitor) MultipartBody { return FlowMonitorRequest(s) })
		}
	}
	return RawMultipart{typ, string(b)}, nil
}

// decodeOne decodes a body that is a single T of fixed layout.
func decodeOne[T MultipartBody](b []byte) (MultipartBody, error) {
	var v T
	if _, err := decodeFixed(fmt.Sprintf("%T", v), b, &v); err != nil {
		return nil, err
	}
	return v, nil
}

// decodeEntries decodes a body that is a list of T. entry decodes the first T of its argument and
// returns its length.
func decodeEntries[T any](b []byte, entry func([]byte) (T, int, error), body func([]T) MultipartBody) (MultipartBody, error) {
	var list []T
	for len(b) > 0 {
		v, n, err := entry(b)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(list), err)
		}
		if list == nil {
			list = make([]T, 0, len(b)/n) // most entries have the same length
		}
		list = append(list, v)
		b = b[n:]
	}
	return body(list), nil
}

// fixedEntry decodes a T of fixed layout.
func fixedEntry[T any](b []byte) (T, int, error) {
	var v T
	rest, err := decodeFixed(fmt.Sprintf("%T", v), b, &v)
	return v, len(b) - len(rest), err
}
