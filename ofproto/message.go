package ofproto

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A Message is an OpenFlow 1.3 message without its transaction ID.
type Message interface {
	// Append appends the encoded message with the given transaction ID to b.
	Append(b []byte, xid uint32) []byte
}

const version13 = 4 // OFP13_VERSION

// HeaderLen is the length of the header that every message starts with.
const HeaderLen = 8

// Message types (ofp_type, OpenFlow 1.3.5 §7.1.1).
const (
	typeHello            = 0
	typeError            = 1
	typeEchoRequest      = 2
	typeEchoReply        = 3
	typeExperimenter     = 4
	typeFeaturesRequest  = 5
	typeFeaturesReply    = 6
	typeGetConfigRequest = 7
	typeGetConfigReply   = 8
	typeSetConfig        = 9
	typePacketIn         = 10
	typeFlowRemoved      = 11
	typePortStatus       = 12
	typePacketOut        = 13
	typeFlowMod          = 14
	typeGroupMod         = 15
	typePortMod          = 16
	typeMultipartRequest = 18
	typeMultipartReply   = 19
	typeBarrierRequest   = 20
	typeBarrierReply     = 21
	typeRoleRequest      = 24
	typeRoleReply        = 25
	typeGetAsyncRequest  = 26
	typeGetAsyncReply    = 27
	typeSetAsync         = 28
	typeMeterMod         = 29
)

// A Header is the first eight bytes of every message (OpenFlow 1.3.5 §7.1.1).
type Header struct {
	Version, Type uint8
	Length        uint16 // length of the whole message, at least [HeaderLen]
	XID           uint32
}

// Errors about truncated input wrap ErrShort.
var ErrShort = errors.New("too short")

func shortError(what string, have, want int) error {
	return fmt.Errorf("%s: %w: %d bytes, want at least %d", what, ErrShort, have, want)
}

// DecodeHeader decodes the header that b starts with.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, shortError("header", len(b), HeaderLen)
	}
	be := binary.BigEndian
	h := Header{b[0], b[1], be.Uint16(b[2:]), be.Uint32(b[4:])}
	if h.Length < HeaderLen {
		return Header{}, fmt.Errorf("header has message length %d, want at least %d", h.Length, HeaderLen)
	}
	return h, nil
}

// Raw is a message that this package does not decode, without its header.
type Raw struct {
	Type uint8
	Body string
}

// Append implements [Message].
func (m Raw) Append(b []byte, xid uint32) []byte {
	return append(appendHeader(b, m.Type, HeaderLen+len(m.Body), xid), m.Body...)
}

// FeaturesRequest requests the [Features] (OFPT_FEATURES_REQUEST).
type FeaturesRequest struct{}

// BarrierRequest asks the switch to process all earlier messages before it replies
// (OFPT_BARRIER_REQUEST).
type BarrierRequest struct{}

// BarrierReply confirms that the switch has processed all messages before the
// [BarrierRequest] (OFPT_BARRIER_REPLY).
type BarrierReply struct{}

// Append implements [Message].
func (FeaturesRequest) Append(b []byte, xid uint32) []byte {
	return appendHeader(b, typeFeaturesRequest, HeaderLen, xid)
}

// Append implements [Message].
func (BarrierRequest) Append(b []byte, xid uint32) []byte {
	return appendHeader(b, typeBarrierRequest, HeaderLen, xid)
}

// Append implements [Message].
func (BarrierReply) Append(b []byte, xid uint32) []byte {
	return appendHeader(b, typeBarrierReply, HeaderLen, xid)
}

// Echo is an echo request or reply (OFPT_ECHO_REQUEST, OFPT_ECHO_REPLY).
type Echo struct {
	Reply bool
	Data  string // sent back unchanged
}

// Append implements [Message].
func (m Echo) Append(b []byte, xid uint32) []byte {
	typ := uint8(typeEchoRequest)
	if m.Reply {
		typ = typeEchoReply
	}
	return append(appendHeader(b, typ, HeaderLen+len(m.Data), xid), m.Data...)
}

// Features identifies a switch (OFPT_FEATURES_REPLY, OpenFlow 1.3.5 §7.3.1).
type Features struct {
	DPID         DPID
	Buffers      uint32 // packets that the switch can buffer for the controller
	Tables       uint8
	AuxiliaryID  uint8
	_            [2]byte
	Capabilities uint32 // ofp_capabilities
	_            [4]byte
}

// Append implements [Message].
func (m Features) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeFeaturesReply, HeaderLen+24, xid), m)
}

func appendHeader(b []byte, typ uint8, length int, xid uint32) []byte {
	b = append(b, version13, typ, byte(length>>8), byte(length))
	return binary.BigEndian.AppendUint32(b, xid)
}

// Decode decodes b, which is exactly one message. The result shares no memory with
// b. An unknown message type gives a [Raw]. Decode ignores the version in the
// header, except of a [Hello].
func Decode(b []byte) (Message, error) {
	h, err := DecodeHeader(b)
	if err != nil {
		return nil, err
	}
	if int(h.Length) != len(b) {
		return nil, fmt.Errorf("message of %d bytes has length %d in its header", len(b), h.Length)
	}
	body := b[HeaderLen:]
	switch h.Type {
	case typeHello:
		return decodeHello(h.Version, body), nil
	case typeError:
		return decodeError(body)
	case typeEchoRequest:
		return Echo{Data: string(body)}, nil
	case typeEchoReply:
		return Echo{Reply: true, Data: string(body)}, nil
	case typeExperimenter:
		return decodeExperimenter(body)
	case typeFeaturesRequest:
		return FeaturesRequest{}, nil
	case typeFeaturesReply:
		var m Features
		_, err := decodeFixed("features reply", body, &m)
		return m, err
	case typeGetConfigRequest:
		return GetConfigRequest{}, nil
	case typeGetConfigReply:
		return decodeSwitchConfig(body)
	case typeSetConfig:
		m, err := decodeSwitchConfig(body)
		return SetConfig{m}, err
	case typePacketIn:
		return decodePacketIn(body)
	case typeFlowRemoved:
		return decodeFlowRemoved(body)
	case typePortStatus:
		return decodePortStatus(body)
	case typePacketOut:
		return decodePacketOut(body)
	case typeFlowMod:
		return decodeFlowMod(body)
	case typeGroupMod:
		return decodeGroupMod(body)
	case typePortMod:
		return decodePortMod(body)
	case typeMultipartRequest:
		return decodeMultipart(body, false)
	case typeMultipartReply:
		return decodeMultipart(body, true)
	case typeBarrierRequest:
		return BarrierRequest{}, nil
	case typeBarrierReply:
		return BarrierReply{}, nil
	case typeRoleRequest:
		m, err := decodeRole(body)
		return RoleRequest(m), err
	case typeRoleReply:
		return decodeRole(body)
	case typeGetAsyncRequest:
		return GetAsyncRequest{}, nil
	case typeGetAsyncReply:
		return decodeAsync(body)
	case typeSetAsync:
		m, err := decodeAsync(body)
		return SetAsync{m}, err
	case typeMeterMod:
		return decodeMeterMod(body)
	}
	return Raw{h.Type, string(body)}, nil
}
