package ofproto

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// A Port describes a port of a switch (ofp_port, OpenFlow 1.3.5 §7.2.1).
type Port struct {
	No     PortNo
	MAC    MAC
	Name   string // at most 16 bytes
	Config PortConfig
	State  uint32 // ofp_port_state

	// Sets of ofp_port_features: features in use, features that the port advertises, features that
	// it supports, and features that the other end of its link advertises.
	Current, Advertised, Supported, Peer uint32
	CurrentSpeed, MaxSpeed               uint32 // kbit/s
}

// PortConfig has the administrative settings of a port (ofp_port_config). All bits are zero
// unless a controller or ovs-ofctl mod-port sets them.
type PortConfig uint32

// The bits (OpenFlow 1.3.5 §7.2.1).
const (
	PortConfigDown       PortConfig = 1 << 0 // port is administratively down
	PortConfigNoReceive  PortConfig = 1 << 2 // drop all packets received by the port
	PortConfigNoForward  PortConfig = 1 << 5 // drop packets forwarded to the port
	PortConfigNoPacketIn PortConfig = 1 << 6 // send no packet-in messages for the port
)

// String returns ovs-ofctl mod-port's names of the bits.
func (c PortConfig) String() string {
	var words []string
	for _, w := range []struct {
		bit  PortConfig
		word string
	}{{PortConfigDown, "down"}, {PortConfigNoReceive, "no-receive"}, {PortConfigNoForward, "no-forward"}, {PortConfigNoPacketIn, "no-packet-in"}} {
		if c&w.bit != 0 {
			words, c = append(words, w.word), c&^w.bit
		}
	}
	if c != 0 {
		words = append(words, fmt.Sprintf("%#x", uint32(c)))
	}
	return strings.Join(words, ",")
}

const portLen = 64 // sizeof(struct ofp_port)

// decodePort decodes an ofp_port; b has at least portLen bytes.
func decodePort(b []byte) Port {
	be := binary.BigEndian
	return Port{PortNo(be.Uint32(b)), MAC(b[8:14]), text(b[16:32]), PortConfig(be.Uint32(b[32:])), be.Uint32(b[36:]),
		be.Uint32(b[40:]), be.Uint32(b[44:]), be.Uint32(b[48:]), be.Uint32(b[52:]), be.Uint32(b[56:]), be.Uint32(b[60:])}
}

func (p Port) append(b []byte) []byte {
	be := binary.BigEndian
	start := len(b)
	b = append(b, make([]byte, portLen)...)
	w := b[start:]
	be.PutUint32(w, uint32(p.No))
	copy(w[8:], p.MAC[:])
	copy(w[16:32], p.Name)
	for i, v := range []uint32{uint32(p.Config), p.State, p.Current, p.Advertised, p.Supported, p.Peer, p.CurrentSpeed, p.MaxSpeed} {
		be.PutUint32(w[32+4*i:], v)
	}
	return b
}

// PortReason is the change that a [PortStatus] reports (ofp_port_reason).
type PortReason uint8

// The reasons (OpenFlow 1.3.5 §7.4.3).
const (
	PortAdded PortReason = iota
	PortDeleted
	PortModified
)

func (r PortReason) String() string {
	names := [...]string{"added", "deleted", "modified"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// PortStatus reports that a port was added, deleted or modified
// (OFPT_PORT_STATUS).
type PortStatus struct {
	Reason PortReason
	Port   Port
}

// Append implements [Message].
func (m PortStatus) Append(b []byte, xid uint32) []byte {
	b = appendHeader(b, typePortStatus, HeaderLen+8+portLen, xid)
	b = append(b, byte(m.Reason), 0, 0, 0, 0, 0, 0, 0)
	return m.Port.append(b)
}

func decodePortStatus(b []byte) (Message, error) {
	if len(b) < 8+portLen {
		return nil, shortError("port status", len(b), 8+portLen)
	}
	return PortStatus{PortReason(b[0]), decodePort(b[8:])}, nil
}

// A PortMod asks a switch to change a port (OFPT_PORT_MOD, OpenFlow 1.3.5
// §7.3.4.3).
type PortMod struct {
	Port         PortNo
	_            [4]byte
	MAC          MAC // MAC address of the port; the switch refuses any other
	_            [2]byte
	Config, Mask PortConfig // the new bits, and the mask of bits to change
	Advertise    uint32     // 0 for no change
	_            [4]byte
}

// Append implements [Message].
func (m PortMod) Append(b []byte, xid uint32) []byte {
	return appendFixed(appendHeader(b, typePortMod, HeaderLen+32, xid), m)
}

func decodePortMod(b []byte) (Message, error) {
	var m PortMod
	_, err := decodeFixed("port-mod", b, &m)
	return m, err
}
