package differential

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// A received is a frame that a machine received.
type received struct {
	at    *machine
	frame []byte
}

func (r received) String() string { return fmt.Sprintf("%-8s %s", r.at, words(r.frame)) }

// markers is the first number of packets that end a batch and are not part of the test.
const markers = 1 << 16

// An inbox has all frames that the machines of one side received, grouped by
// the packet that caused them.
type inbox struct {
	marks chan int // numbers of received markers

	// detected counts, for each network and address, the solicitations that check whether the
	// address is in use.
	detected map[detection]int

	mu    sync.Mutex
	by    map[int][]received
	parts map[string]int // numbers of packets that the router itself sent in fragments, by the common header fields of the fragments
	stray []received     // frames that no packet of the test caused
}

type detection struct {
	net    *network
	target netip.Addr
}

func newInbox(detected map[detection]int) *inbox {
	return &inbox{marks: make(chan int, 256), detected: detected, by: make(map[int][]received), parts: make(map[string]int)}
}

func (in *inbox) add(at *machine, frame []byte) {
	n := number(frame)
	if n >= markers {
		in.marks <- n
		return
	}
	if isNoise(frame) {
		return
	}
	if b := frame[14:]; n == 0 && big.Uint16(frame[12:]) == etherIPv6 && len(b) >= 64 && b[6] == protoICMPv6 && b[40] == advertisement {
		n = in.detected[detection{at.net, netip.AddrFrom16([16]byte(b[48:64]))}]
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	switch whole, first := fragmentOfRouter(frame); {
	case whole == "":
	case first:
		in.parts[whole] = n
	case in.parts[whole] != 0:
		n = in.parts[whole]
	}
	if n == 0 {
		in.stray = append(in.stray, received{at, frame})
		return
	}
	in.by[n] = append(in.by[n], received{at, frame})
}

// of returns the frames that a packet caused, normalized, in an order that does not depend
// on time.
func (in *inbox) of(p *packet) []received {
	in.mu.Lock()
	rs := slices.Clone(in.by[p.n])
	in.mu.Unlock()
	for i := range rs {
		rs[i].frame = normal(p, rs[i].frame)
	}
	slices.SortFunc(rs, func(a, b received) int {
		return cmp.Or(strings.Compare(a.at.name, b.at.name), bytes.Compare(a.frame, b.frame))
	})
	return rs
}

func (in *inbox) strays() []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.Clone(in.stray)
}

func same(a, b []received) bool {
	return slices.EqualFunc(a, b, func(a, b received) bool { return a.at == b.at && bytes.Equal(a.frame, b.frame) })
}

// isNoise reports whether the router sent a frame on its own. Such frames are neighbour
// resolution, group membership, and IPv6 redirects, which Linux rate-limits and cannot turn
// off.
func isNoise(f []byte) bool {
	if len(f) < 14 || !slices.ContainsFunc(networks, func(n *network) bool { return mac(f[6:12]) == n.router() }) {
		return false
	}
	switch b := f[14:]; big.Uint16(f[12:]) {
	case etherARP:
		return len(b) >= 8 && b[7] == 1
	case etherIPv6:
		if len(b) < 48 || !isRouter(netip.AddrFrom16([16]byte(b[8:24]))) && netip.AddrFrom16([16]byte(b[8:24])) != netip.IPv6Unspecified() {
			return false
		}
		if b[6] == protoHopByHop { // this header precedes a membership report
			return b[40] == protoICMPv6 && len(b) > 48 && (b[48] == 143 || b[48] == 131 || b[48] == 132)
		}
		return b[6] == protoICMPv6 && (b[40] == 135 || b[40] == 137)
	}
	return false
}

// fragmentOfRouter handles a frame with a fragment of a packet that the router itself sent. whole
// has the header fields that all fragments of the packet share. first reports whether this is the
// first fragment. If the frame is not such a fragment, whole is "".
func fragmentOfRouter(f []byte) (whole string, first bool) {
	switch b := f[14:]; {
	case big.Uint16(f[12:]) == etherIPv4 && len(b) >= 20 && b[9] == protoICMP && isRouter(netip.AddrFrom4([4]byte(b[12:16]))):
		if flags := big.Uint16(b[6:]); flags&0x3fff != 0 {
			return string(b[4:6]) + string(b[12:20]), flags&0x1fff == 0
		}
	case big.Uint16(f[12:]) == etherIPv6 && len(b) >= 48 && b[6] == protoFragment && isRouter(netip.AddrFrom16([16]byte(b[8:24]))):
		return string(b[44:48]) + string(b[8:40]), big.Uint16(b[42:])&^7 == 0
	}
	return "", false
}

// normal returns a frame without the fields that may differ between two routers. For a packet
// that the router itself sent, these are the ID and a correct checksum over it. For an ARP
// message, they are the bytes after the message.
func normal(p *packet, f []byte) []byte {
	if p.ip != nil && isRouter(p.ip.src) {
		return f // the packet of the test may look like a packet of the router
	}
	switch b := f[14:]; {
	case big.Uint16(f[12:]) == etherARP && len(b) > 28:
		return f[:14+28]
	case big.Uint16(f[12:]) == etherIPv4 && len(b) >= 20 && b[9] == protoICMP && isRouter(netip.AddrFrom4([4]byte(b[12:16]))):
		if header := int(b[0]&15) * 4; header >= 20 && header <= len(b) && sum(b[:header], 0) == 0xffff {
			f = slices.Clone(f)
			copy(f[14+4:], []byte{0, 0})
			copy(f[14+10:], []byte{0, 0})
		}
	case big.Uint16(f[12:]) == etherIPv6:
		if whole, _ := fragmentOfRouter(f); whole != "" {
			f = slices.Clone(f)
			copy(f[14+44:], []byte{0, 0, 0, 0})
		}
	}
	return f
}
