package ofproto

import "strconv"

// PortNo is an OpenFlow 1.3 port number (ofp_port_no).
type PortNo uint32

// Reserved port numbers (OpenFlow 1.3.5 §7.2.1).
const (
	PortMax        PortNo = 0xffffff00 // the largest number of a port that is not reserved
	PortInPort     PortNo = 0xfffffff8
	PortTable      PortNo = 0xfffffff9
	PortNormal     PortNo = 0xfffffffa
	PortFlood      PortNo = 0xfffffffb
	PortAll        PortNo = 0xfffffffc
	PortController PortNo = 0xfffffffd
	PortLocal      PortNo = 0xfffffffe
	PortAny        PortNo = 0xffffffff
)

var reservedPorts = map[PortNo]string{
	PortInPort:     "IN_PORT",
	PortTable:      "TABLE",
	PortNormal:     "NORMAL",
	PortFlood:      "FLOOD",
	PortAll:        "ALL",
	PortController: "CONTROLLER",
	PortLocal:      "LOCAL",
	PortAny:        "ANY",
}

// String returns the number, or ovs-ofctl's name of a reserved port.
func (p PortNo) String() string {
	if s, ok := reservedPorts[p]; ok {
		return s
	}
	return strconv.FormatUint(uint64(p), 10)
}

// widePort returns the port with a 16-bit number of OpenFlow 1.0 and Nicira actions. Numbers
// from 0xff00 are the reserved ports.
func widePort(p uint16) PortNo {
	if p >= uint16(PortMax&0xffff) {
		return PortNo(p) | 0xffff0000
	}
	return PortNo(p)
}

// reserved reports whether p has a name instead of a number.
func (p PortNo) reserved() bool {
	_, ok := reservedPorts[p]
	return ok
}
