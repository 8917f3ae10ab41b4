package differential

import (
	"fmt"
	"net/netip"
	"strings"
)

// words returns a description of a frame in one line.
func words(frame []byte) string {
	if len(frame) < 14 {
		return fmt.Sprintf("% x", frame)
	}
	s := fmt.Sprintf("%v → %v", mac(frame[6:12]), mac(frame[:6]))
	etherType, b := big.Uint16(frame[12:]), frame[14:]
	for etherType == etherVLAN && len(b) >= 4 {
		s += fmt.Sprintf(" | VLAN %d, priority %d", big.Uint16(b)&0xfff, b[0]>>5)
		etherType, b = big.Uint16(b[2:]), b[4:]
	}
	switch etherType {
	case etherIPv4, etherIPv6:
		return s + " | " + wordsIP(b)
	case etherARP:
		if len(b) >= 28 {
			return s + fmt.Sprintf(" | ARP op %d, %v is at %v, for %v at %v", big.Uint16(b[6:]),
				netip.AddrFrom4([4]byte(b[14:18])), mac(b[8:14]), netip.AddrFrom4([4]byte(b[24:28])), mac(b[18:24]))
		}
	}
	return s + fmt.Sprintf(" | type %#04x, %d bytes", etherType, len(b))
}

func wordsIP(b []byte) string {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		return words4(b)
	case len(b) >= 40 && b[0]>>4 == 6:
		return words6(b)
	}
	return fmt.Sprintf("% x", b)
}

func words4(b []byte) string {
	header := max(20, min(len(b), int(b[0]&15)*4))
	s := fmt.Sprintf("IPv4 %v → %v ttl %d tos %#02x id %d length %d (has %d)", netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])),
		b[8], b[1], big.Uint16(b[4:]), big.Uint16(b[2:]), len(b))
	flags := big.Uint16(b[6:])
	for i, name := range []string{"RF", "DF", "MF"} {
		if flags&(0x8000>>i) != 0 {
			s += " " + name
		}
	}
	if flags&0x1fff != 0 {
		s += fmt.Sprintf(" offset %d", flags&0x1fff*8)
	}
	if sum(b[:header], 0) != 0xffff {
		s += " BAD CHECKSUM"
	}
	if header > 20 {
		s += fmt.Sprintf(" options % x", b[20:header])
	}
	if flags&0x1fff != 0 {
		return s + fmt.Sprintf(" | protocol %d, %d bytes", b[9], len(b)-header)
	}
	return s + " | " + wordsTransport(b[9], b[header:])
}

func words6(b []byte) string {
	s := fmt.Sprintf("IPv6 %v → %v hop limit %d class %#02x flow %d payload %d (has %d)", netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])),
		b[7], big.Uint16(b)>>4&0xff, big.Uint32(b)&0xfffff, big.Uint16(b[4:]), len(b)-40)
	next, b := b[6], b[40:]
	for len(b) >= 8 {
		length := 8 * (1 + int(b[1]))
		switch next {
		case protoFragment:
			length = 8
			s += fmt.Sprintf(" | fragment at %d, more %d, id %d", big.Uint16(b[2:])&^7, b[3]&1, big.Uint32(b[4:]))
			if big.Uint16(b[2:])&^7 != 0 {
				return s + fmt.Sprintf(" | protocol %d, %d bytes", b[0], len(b)-8)
			}
		case protoHopByHop, protoDestOpts, protoRouting:
			s += fmt.Sprintf(" | extension %d: % x", next, b[:min(length, len(b), 24)])
		default:
			return s + " | " + wordsTransport(next, b)
		}
		next, b = b[0], b[min(length, len(b)):]
	}
	return s + " | " + wordsTransport(next, b)
}

func wordsTransport(proto uint8, b []byte) string {
	switch {
	case proto == protoUDP && len(b) >= 8:
		return fmt.Sprintf("UDP %d → %d, %d bytes", big.Uint16(b), big.Uint16(b[2:]), len(b)-8)
	case proto == protoTCP && len(b) >= 20:
		return fmt.Sprintf("TCP %d → %d flags %#02x seq %d ack %d, %d bytes", big.Uint16(b), big.Uint16(b[2:]), b[13], big.Uint32(b[4:]), big.Uint32(b[8:]), len(b)-20)
	case (proto == protoICMP || proto == protoICMPv6) && len(b) >= 8:
		s := fmt.Sprintf("ICMP type %d code %d, %#08x, %d bytes", b[0], b[1], big.Uint32(b[4:]), len(b)-8)
		if quoted := wordsIP(b[8:]); !strings.Contains(s, "echo") && (len(b) >= 28 && b[8] == 0x45 || len(b) >= 48 && b[8]>>4 == 6) {
			s += ", quotes " + quoted
		}
		return s
	}
	return fmt.Sprintf("protocol %d, %d bytes", proto, len(b))
}
