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

// BundleOp is what a [BundleControl] asks or answers
// (onf_bundle_ctrl_type): requests are even, the reply to each is one more.
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

// A BundleControl opens, closes, commits or discards a bundle, or answers such
// a request.
type BundleControl struct {
	ID    uint32 // chosen by the controller
	Op    BundleOp
	Flags BundleFlags
}

// BundleFlags are onf_bundle_flags.
type BundleFlags uint16

// The flags: all of a bundle is applied or none; in the order in which it was
// added.
const (
	BundleAtomic  BundleFlags = 1
	BundleOrdered BundleFlags = 2
)

// A BundleAdd adds a message to a bundle. Both get the same transaction ID, as
// Open vSwitch demands.
type BundleAdd struct {
	ID    uint32
	Flags BundleFlags
	Mod   FlowMod
}

const bundleAddLen = HeaderLen + 16 // before the inner message

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

// Append implements [Message]. It does not allocate if b has room.
func (m BundleAdd) Append(b []byte, xid uint32) []byte {
	be := binary.BigEndian
	b = appendHeader(b, typeExperimenter, bundleAddLen+m.Mod.wireLen(), xid)
	b = be.AppendUint32(b, onfID)
	b = be.AppendUint32(b, onfBundleAdd)
	b = be.AppendUint32(b, m.ID)
	b = append(b, 0, 0)
	b = be.AppendUint16(b, uint16(m.Flags))
	return m.Mod.Append(b, xid)
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
	if id == onfID && typ == onfBundleControl {
		if len(body) < 8 {
			return nil, shortError("bundle control", len(body), 8)
		}
		return BundleControl{be.Uint32(body), BundleOp(be.Uint16(body[4:])), BundleFlags(be.Uint16(body[6:]))}, nil
	}
	return Experimenter{id, typ, string(body)}, nil
}
