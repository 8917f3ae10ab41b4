package differential

import (
	"bytes"
	"net/netip"
	"slices"
)

// Each received frame shows the packet that caused it, because a packet has its number in as many
// places as possible:
//
//   - The payload repeats the number's token, so that each fragment, each error that
//     quotes it, and each echo reply has it.
//   - A packet with too little payload has the number in the IPv4 ID or the flow label of
//     IPv6, which errors quote; in the sequence number of an echo request, and in the
//     source port of TCP, for the reply.
//   - ARP requests have it in the sender's MAC address, and neighbour solicitations in the
//     source address.
const (
	token     = "\xfdofd"
	tokenSize = len(token) + 4
	echoID    = 0xfdd1 // of echo requests
)

// numberedMAC returns a MAC address that belongs to packet n.
func numberedMAC(n int) mac { return mac{6, 0xfd, 0xd1, 0, byte(n >> 8), byte(n)} }

// filler returns a payload of the given size that contains the number.
func filler(n, size int) []byte {
	one := big.AppendUint32([]byte(token), uint32(n))
	return bytes.Repeat(one, size/tokenSize+1)[:size]
}

// number returns the number of the packet that caused a frame, or 0 if the frame does not
// have it.
func number(frame []byte) int {
	if len(frame) < 14 {
		return 0
	}
	if _, after, found := bytes.Cut(frame[14:], []byte(token)); found && len(after) >= 4 {
		if n := int(big.Uint32(after)); n < 2*markers { // a larger number means that only a part of a token was found
			return n
		}
	}
	etherType, payload := big.Uint16(frame[12:]), frame[14:]
	for etherType == etherVLAN && len(payload) >= 4 {
		etherType, payload = big.Uint16(payload[2:]), payload[4:]
	}
	named := frame[:12]
	if etherType == etherARP {
		named = frame
	}
	for _, n := range []mac{numberedMAC(0), group(numberedMAC(0))} {
		if i := bytes.Index(named, n[:4]); i >= 0 && i+6 <= len(named) {
			return int(big.Uint16(named[i+4:]))
		}
	}
	switch etherType {
	case etherIPv4:
		return number4(payload)
	case etherIPv6:
		return number6(payload)
	}
	return 0
}

func number4(b []byte) int {
	if len(b) < 20 {
		return 0
	}
	id := int(big.Uint16(b[4:]))
	data := b[min(len(b), int(b[0]&15)*4):]
	if len(data) < 8 || big.Uint16(b[6:])&0x1fff != 0 {
		return id
	}
	switch src := netip.AddrFrom4([4]byte(b[12:16])); b[9] {
	case protoICMP:
		switch data[0] {
		case 0, 8:
			if big.Uint16(data[4:]) == echoID {
				return int(big.Uint16(data[6:]))
			}
		case 3, 11, 12:
			if n := number4(data[8:]); n != 0 {
				return n
			}
		}
	case protoTCP:
		if isRouter(src) {
			return int(big.Uint16(data[2:]))
		}
	}
	return id
}

func number6(b []byte) int {
	if len(b) < 40 {
		return 0
	}
	for _, a := range [][]byte{b[8:24], b[24:40]} { // the source and the destination
		if a[12] == 0xfd && a[13] == 0xd1 {
			return int(big.Uint16(a[14:]))
		}
	}
	flow, data := int(big.Uint32(b)&0xfffff), b[40:]
	if len(data) < 8 {
		return flow
	}
	switch src := netip.AddrFrom16([16]byte(b[8:24])); b[6] {
	case protoICMPv6:
		switch data[0] {
		case 128, 129:
			if big.Uint16(data[4:]) == echoID {
				return int(big.Uint16(data[6:]))
			}
		case 1, 2, 3, 4:
			if n := number6(data[8:]); n != 0 {
				return n
			}
		}
	case protoTCP:
		if isRouter(src) {
			return int(big.Uint16(data[2:]))
		}
	}
	return flow
}

// isRouter reports whether an address belongs to the router.
func isRouter(a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n *network) bool {
		return a == n.host4(1) || a == n.host6(1) || a == linkLocal(n.router())
	})
}
