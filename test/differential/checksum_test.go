package differential

import (
	"fmt"
	"net/netip"
)

// cut reports whether an IP packet in a frame is truncated.
func cut(f []byte) bool {
	switch b := f[14:]; {
	case big.Uint16(f[12:]) == etherIPv4 && len(b) >= 20:
		return len(b) < int(big.Uint16(b[2:]))
	case big.Uint16(f[12:]) == etherIPv6 && len(b) >= 40:
		return len(b)-40 < int(big.Uint16(b[4:]))
	}
	return false
}

// unsound returns an error if a checksum of a frame is wrong. It can check neither fragments nor
// normalized IPv4 headers.
func unsound(f []byte) error {
	switch b := f[14:]; {
	case big.Uint16(f[12:]) == etherIPv4 && len(b) >= 20:
		header := min(len(b), int(b[0]&15)*4)
		if b[10]|b[11] != 0 && sum(b[:header], 0) != 0xffff {
			return fmt.Errorf("the header's checksum is wrong")
		}
		if big.Uint16(b[6:])&0x3fff != 0 {
			return nil
		}
		length := max(header, min(len(b), int(big.Uint16(b[2:]))))
		return unsoundTransport(netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9], b[header:length])
	case big.Uint16(f[12:]) == etherIPv6 && len(b) >= 40:
		return unsoundTransport(netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), b[6], b[40:])
	}
	return nil
}

func unsoundTransport(src, dst netip.Addr, proto uint8, b []byte) error {
	s := pseudo(src, dst, proto, len(b))
	switch proto {
	case protoICMP:
		s = 0
	case protoTCP, protoUDP, protoICMPv6:
	default:
		return nil
	}
	if proto == protoUDP && len(b) >= 8 && b[6]|b[7] == 0 && src.Is4() {
		return nil // the packet has no checksum
	}
	if sum(b, s) != 0xffff {
		return fmt.Errorf("the checksum of protocol %d is wrong", proto)
	}
	return nil
}
