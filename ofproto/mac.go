package ofproto

import (
	"encoding/hex"
	"fmt"
)

// MAC is an Ethernet address. Unlike net.HardwareAddr it is comparable.
type MAC [6]byte

// String returns six colon-separated hexadecimal octets, such as
// "02:00:00:00:01:10".
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsMulticast reports whether m is a group address (IEEE 802-2014 §8.2.2); the
// broadcast address is one.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// ParseMAC parses six octets of two hexadecimal digits each, separated by
// colons.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	bad := fmt.Errorf("%q is not a MAC address: want six octets like 02:00:00:00:01:10", s)
	if len(s) != 17 {
		return MAC{}, bad
	}
	for i := range m {
		if i > 0 && s[3*i-1] != ':' {
			return MAC{}, bad
		}
		b, err := hex.DecodeString(s[3*i : 3*i+2])
		if err != nil {
			return MAC{}, bad
		}
		m[i] = b[0]
	}
	return m, nil
}
