package ofproto

import "fmt"

// MAC is an Ethernet address. Unlike net.HardwareAddr it is comparable.
type MAC [6]byte

// String returns six colon-separated hexadecimal octets, such as
// "02:00:00:00:01:10".
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// IsMulticast reports whether m is a group address (IEEE 802-2014 §8.2.2). The broadcast
// address is a group address too.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// ParseMAC parses six octets of two hexadecimal digits each, separated by
// colons.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	ok := len(s) == 17
	for i := 0; ok && i < len(m); i++ {
		high, low := hexDigit(s[3*i]), hexDigit(s[3*i+1])
		ok = high < 16 && low < 16 && (i == 0 || s[3*i-1] == ':')
		m[i] = high<<4 | low
	}
	if !ok {
		return MAC{}, fmt.Errorf("%q is not a MAC address: want six octets like 02:00:00:00:01:10", s)
	}
	return m, nil
}

// hexDigit returns the value of a hexadecimal digit, or 255 for any other c.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
