package ofproto

import (
	"fmt"
	"strconv"
)

// A DPID is a datapath ID (OpenFlow 1.3.5 §7.3.1). Zero is not a valid DPID.
type DPID uint64

// String returns 16 hexadecimal digits, as ovs-ofctl show does.
func (d DPID) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// ParseDPID parses 16 hexadecimal digits, with or without a leading 0x. Zero is
// an error.
func ParseDPID(s string) (DPID, error) {
	t := s
	if len(t) == 18 && t[:2] == "0x" {
		t = t[2:]
	}
	v, err := strconv.ParseUint(t, 16, 64)
	if err != nil || len(t) != 16 || v == 0 {
		return 0, fmt.Errorf("%q is not a datapath ID: want 16 hexadecimal digits, not all zero", s)
	}
	return DPID(v), nil
}
