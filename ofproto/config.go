package ofproto

import "encoding/binary"

// GetConfigRequest requests the [SwitchConfig] (OFPT_GET_CONFIG_REQUEST).
type GetConfigRequest struct{}

// A SwitchConfig configures the handling of fragments, and the number of bytes of a packet
// that the switch sends to the controller (OFPT_GET_CONFIG_REPLY, OFPT_SET_CONFIG, OpenFlow
// 1.3.5 §7.3.2).
type SwitchConfig struct {
	Flags       uint16 // ofp_config_flags
	MissSendLen uint16 // bytes
}

// SetConfig sets the [SwitchConfig] (OFPT_SET_CONFIG).
type SetConfig struct{ SwitchConfig }

// Append implements [Message].
func (GetConfigRequest) Append(b []byte, xid uint32) []byte {
	return appendHeader(b, typeGetConfigRequest, HeaderLen, xid)
}

// Append implements [Message].
func (m SwitchConfig) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeGetConfigReply, HeaderLen+4, xid), m)
}

// Append implements [Message].
func (m SetConfig) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeSetConfig, HeaderLen+4, xid), m)
}

func decodeSwitchConfig(b []byte) (SwitchConfig, error) {
	var m SwitchConfig
	_, err := decodeFixed("switch configuration", b, &m)
	return m, err
}

// Role is a controller's role at a switch (ofp_controller_role, OpenFlow 1.3.5
// §7.3.9).
type Role uint32

// The roles.
const (
	RoleNoChange Role = iota
	RoleEqual
	RoleMaster
	RoleSlave
)

func (r Role) String() string {
	names := [...]string{"nochange", "equal", "master", "slave"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown role"
}

// A RoleRequest requests a role (OFPT_ROLE_REQUEST). The switch refuses a master or
// slave request as stale if another controller sent a newer generation.
type RoleRequest struct {
	Role       Role
	_          [4]byte
	Generation uint64
}

// A RoleReply reports the controller's current role (OFPT_ROLE_REPLY).
type RoleReply struct {
	Role       Role
	_          [4]byte
	Generation uint64
}

// onfRoleStatus is the experimenter type of the ONF's role status for OpenFlow
// 1.3 (ONF extension 191; OVS ofp-msgs.h).
const onfRoleStatus = 1911

// RoleStatus returns the role that m reports. If m is not a role status, ok is false. A switch
// sends a role status without a request when another controller becomes master.
func (m Experimenter) RoleStatus() (role Role, ok bool) {
	if m.ID != onfID || m.Type != onfRoleStatus || len(m.Body) < 16 {
		return RoleNoChange, false
	}
	return Role(binary.BigEndian.Uint32([]byte(m.Body))), true
}

// Append implements [Message].
func (m RoleRequest) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeRoleRequest, HeaderLen+16, xid), m)
}

// Append implements [Message].
func (m RoleReply) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeRoleReply, HeaderLen+16, xid), m)
}

func decodeRole(b []byte) (RoleReply, error) {
	var m RoleReply
	_, err := decodeFixed("role", b, &m)
	return m, err
}

// An AsyncConfig selects the messages that a switch sends without a request. Each kind of
// message has two bitmaps of reasons. The first bitmap is for the master and equal roles, the
// second for the slave role (OFPT_GET_ASYNC_REPLY, OpenFlow 1.3.5 §7.3.10).
type AsyncConfig struct {
	PacketIn    [2]uint32 // 1 << PacketInReason
	PortStatus  [2]uint32 // 1 << PortReason
	FlowRemoved [2]uint32 // 1 << FlowRemovedReason
}

// GetAsyncRequest requests the [AsyncConfig] (OFPT_GET_ASYNC_REQUEST).
type GetAsyncRequest struct{}

// SetAsync sets the [AsyncConfig] (OFPT_SET_ASYNC).
type SetAsync struct{ AsyncConfig }

// Append implements [Message].
func (GetAsyncRequest) Append(b []byte, xid uint32) []byte {
	return appendHeader(b, typeGetAsyncRequest, HeaderLen, xid)
}

// Append implements [Message].
func (m AsyncConfig) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeGetAsyncReply, HeaderLen+24, xid), m)
}

// Append implements [Message].
func (m SetAsync) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typeSetAsync, HeaderLen+24, xid), m)
}

func decodeAsync(b []byte) (AsyncConfig, error) {
	var m AsyncConfig
	_, err := decodeFixed("asynchronous configuration", b, &m)
	return m, err
}
