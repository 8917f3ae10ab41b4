package ofproto

import (
	"encoding/binary"
	"fmt"
)

// Experimenter IDs and the ONF's bundle messages (ONF extension 230).
const (
	onfID            = 0x4f4e4600
	onfBundleControl = 2300
	onfBundleAdd     = 2301
)

// An Experimenter is an experimenter message that this package does not decode.
type Experimenter struct {
	ID, Type uint32
	Body     string
}

// BundleOp is the operation of a [BundleControl] (onf_bundle_ctrl_type). Requests have even
// numbers. The number of the reply is one more than the number of the request.
type BundleOp uint16

// The requests.
const (
	BundleOpen    BundleOp = 0
	BundleClose   BundleOp = 2
	BundleCommit  BundleOp = 4
	BundleDiscard BundleOp = 6
)

func (op BundleOp) String() string {
	names := [...]string{"open", "close", "commit", "discard"}
	if int(op/2) < len(names) {
		return names[op/2]
	}
	return fmt.Sprintf("operation %d", uint16(op))
}

// A BundleControl is a request to open, close, commit or discard a bundle, or the reply to
// such a request.
type BundleControl struct {
	ID    uint32 // chosen by the controller
	Op    BundleOp
	Flags BundleFlags
}

// BundleFlags are onf_bundle_flags.
type BundleFlags uint16

// With BundleAtomic, the switch applies all messages of the bundle or none. With
// BundleOrdered, it applies them in the order in which they were added.
const (
	BundleAtomic  BundleFlags = 1
	BundleOrdered BundleFlags = 2
)

// A BundleAdd adds a message to a bundle. Both have the same transaction ID, as
// Open vSwitch requires.
type BundleAdd struct {
	ID      uint32
	Flags   BundleFlags
	Message Message // a [FlowMod], [GroupMod], [PortMod] or [PacketOut]
}

const bundleAddLen = HeaderLen + 16 // bytes before the inner message

// Append implements [Message].
func (m BundleControl) Append(b []byte, xid uint32) []byte {
	be := binary.BigEndian
	b = appendHeader(b, typeExperimenter, HeaderLen+16, xid)
	b = be.AppendUint32(b, onfID)
	b = be.AppendUint32(b, onfBundleControl)
	b = be.AppendUint32(b, m.ID)
	b = be.AppendUint16(b, uint16(m.Op))
	return be.AppendUint16(b, uint16(m.Flags))
}

// Append implements [Message].
func (m BundleAdd) Append(b []byte, xid uint32) []byte {
	start := len(b)
	b = appendBundleAdd(b, 0, m.ID, m.Flags, xid)
	return setLength(m.Message.Append(b, xid), start)
}

// AppendBundled appends m wrapped in a bundle-add message. It does not allocate if
// b has enough capacity.
func (m *FlowMod) AppendBundled(b []byte, bundle uint32, flags BundleFlags, xid uint32) []byte {
	b = appendBundleAdd(b, bundleAddLen+m.wireLen(), bundle, flags, xid)
	return m.Append(b, xid)
}

func appendBundleAdd(b []byte, length int, bundle uint32, flags BundleFlags, xid uint32) []byte {
	be := binary.BigEndian
	b = appendHeader(b, typeExperimenter, length, xid)
	b = be.AppendUint32(b, onfID)
	b = be.AppendUint32(b, onfBundleAdd)
	b = be.AppendUint32(b, bundle)
	b = append(b, 0, 0)
	return be.AppendUint16(b, uint16(flags))
}

// Append implements [Message].
func (m Experimenter) Append(b []byte, xid uint32) []byte {
	b = appendHeader(b, typeExperimenter, HeaderLen+8+len(m.Body), xid)
	b = binary.BigEndian.AppendUint32(b, m.ID)
	b = binary.BigEndian.AppendUint32(b, m.Type)
	return append(b, m.Body...)
}

func decodeExperimenter(b []byte) (Message, error) {
	if len(b) < 8 {
		return nil, shortError("experimenter message", len(b), 8)
	}
	be := binary.BigEndian
	id, typ, body := be.Uint32(b), be.Uint32(b[4:]), b[8:]
	switch {
	case id == onfID && typ == onfBundleControl:
		if len(body) < 8 {
			return nil, shortError("bundle control", len(body), 8)
		}
		return BundleControl{be.Uint32(body), BundleOp(be.Uint16(body[4:])), BundleFlags(be.Uint16(body[6:]))}, nil
	case id == onfID && typ == onfBundleAdd:
		return decodeBundleAdd(body)
	case id == onfID && typ == onfFlowMonitor && len(body) == 4:
		return CancelMonitor{be.Uint32(body)}, nil
	case id == niciraID && typ == nxPacketIn2:
		return decodePacketIn2(body)
	case id == niciraID && typ == nxSetPacketInFormat && len(body) == 4:
		return SetPacketInFormat{be.Uint32(body)}, nil
	}
	return Experimenter{id, typ, string(body)}, nil
}

func decodeBundleAdd(b []byte) (Message, error) {
	be := binary.BigEndian
	if len(b) < 8+HeaderLen {
		return nil, shortError("bundle add", len(b), 8+HeaderLen)
	}
	m, err := Decode(b[8:])
	if err != nil {
		return nil, fmt.Errorf("bundle add: %w", err)
	}
	return BundleAdd{be.Uint32(b), BundleFlags(be.Uint16(b[6:])), m}, nil
}
