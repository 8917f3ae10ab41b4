package ofproto

import (
	"encoding/binary"
	"fmt"
)

// An ErrorCode is the type (high 16 bits) and code (low 16 bits) of an OFPT_ERROR message
// (OpenFlow 1.3.5 §7.4.4). It is itself an error, so that errors.Is(err, ofproto.ErrTableFull)
// works on errors that wrap it. The codes of experimenters have type 0xffff.
type ErrorCode uint32

// Codes that ofdvr compares with.
const (
	ErrHelloIncompatible ErrorCode = 0                 // OFPHFC_INCOMPATIBLE
	ErrHelloPermission   ErrorCode = 1                 // OFPHFC_EPERM
	ErrBadExperimenter   ErrorCode = 1<<16 | 3         // OFPBRC_BAD_EXPERIMENTER
	ErrIsSlave           ErrorCode = 1<<16 | 10        // OFPBRC_IS_SLAVE
	ErrBadOutGroup       ErrorCode = 2<<16 | 9         // OFPBAC_BAD_OUT_GROUP
	ErrBadPrereq         ErrorCode = 4<<16 | 9         // OFPBMC_BAD_PREREQ
	ErrTableFull         ErrorCode = 5<<16 | 1         // OFPFMFC_TABLE_FULL
	ErrGroupExists       ErrorCode = 6 << 16           // OFPGMFC_GROUP_EXISTS
	ErrUnknownGroup      ErrorCode = 6<<16 | 8         // OFPGMFC_UNKNOWN_GROUP
	ErrStaleRole         ErrorCode = 11 << 16          // OFPRRFC_STALE
	ErrMeterExists       ErrorCode = 12<<16 | 1        // OFPMMFC_METER_EXISTS
	ErrInvalidMeter      ErrorCode = 12<<16 | 2        // OFPMMFC_INVALID_METER
	ErrUnknownMeter      ErrorCode = 12<<16 | 3        // OFPMMFC_UNKNOWN_METER
	ErrBundleUnsupported ErrorCode = 0xffff<<16 | 2310 // ONFBFC_MSG_UNSUP
	ErrBundleMessage     ErrorCode = 0xffff<<16 | 2313 // ONFBFC_MSG_FAILED
)

// Name returns the specification's name of the code, such as "OFPFMFC_TABLE_FULL". For a code
// without a name, it returns the type and code in decimal.
func (c ErrorCode) Name() string {
	if m, ok := errorMeanings[c]; ok {
		return m.name
	}
	return fmt.Sprintf("type %d code %d", c>>16, c&0xffff)
}

// Known reports whether the specification names the code.
func (c ErrorCode) Known() bool {
	_, ok := errorMeanings[c]
	return ok
}

// TypeName returns the specification's name of the code's type, such as "OFPET_FLOW_MOD_FAILED".
// For a type without a name, it returns the number in decimal.
func (c ErrorCode) TypeName() string {
	typ := int(c >> 16)
	switch {
	case typ == 0xffff:
		return "OFPET_EXPERIMENTER"
	case typ < len(errorTypes):
		return "OFPET_" + errorTypes[typ]
	}
	return fmt.Sprintf("type %d", typ)
}

// Error returns the meaning of the code, followed by its name in parentheses.
func (c ErrorCode) Error() string {
	if m, ok := errorMeanings[c]; ok {
		return m.text + " (" + m.name + ")"
	}
	return "OpenFlow error " + c.Name()
}

// An ErrorMessage is an OFPT_ERROR message.
type ErrorMessage struct {
	Code         ErrorCode
	Experimenter uint32 // experimenter ID, if the code's type is 0xffff
	Data         string // at least 64 bytes of the request that failed, or text
}

// Append implements [Message].
func (m ErrorMessage) Append(b []byte, xid uint32) []byte {
	n := HeaderLen + 4 + len(m.Data)
	if m.Experimenter != 0 {
		n += 4
	}
	b = appendHeader(b, typeError, n, xid)
	b = binary.BigEndian.AppendUint32(b, uint32(m.Code))
	if m.Experimenter != 0 {
		b = binary.BigEndian.AppendUint32(b, m.Experimenter)
	}
	return append(b, m.Data...)
}

func decodeError(b []byte) (Message, error) {
	if len(b) < 4 {
		return nil, shortError("error message", len(b), 4)
	}
	m := ErrorMessage{Code: ErrorCode(binary.BigEndian.Uint32(b))}
	b = b[4:]
	if m.Code>>16 == 0xffff {
		if len(b) < 4 {
			return nil, shortError("experimenter error message", len(b), 4)
		}
		m.Experimenter = binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	m.Data = string(b)
	return m, nil
}
