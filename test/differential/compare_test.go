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

// A received is a frame that came to a machine.
type received struct {
	at    *machine
	frame []byte
}

func (r received) String() string { return fmt.Sprintf("%-8s %s", r.at, words(r.frame)) }

// markers is where the numbers begin of what is no packet of the test, but ends
// a batch of them.
const markers = 1 << 16

// An inbox has all that came to the machines of one side, by the packet that
// has caused it.
type inbox struct {
	marks chan int // of markers that came; more than one batch has of them

	// detected has the packets that ask a network whether anybody has an address.
	detected map[detection]int

	mu    sync.Mutex
	by    map[int][]received
	parts map[string]int // of what the router itself sent in fragments, by what is common to them
	stray []received     // caused by nothing that was sent
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

// of returns what a packet has caused, made normal, in an order that does not
// depend on time.
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

// isNoise tells whether a frame is of the router's own accord: it looks for
// neighbours, joins groups, or tells of a better way in IPv6, which it does but
// so often and cannot be told not to.
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
		if b[6] == protoHopByHop { // before a report of membership
			return b[40] == protoICMPv6 && len(b) > 48 && (b[48] == 143 || b[48] == 131 || b[48] == 132)
		}
		return b[6] == protoICMPv6 && (b[40] == 135 || b[40] == 137)
	}
	return false
}

// fragmentOfRouter returns what is common to the fragments of a packet that is
// the router's own, "" if the frame has no such fragment; and whether it is the
// first.
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

// normal returns a frame without what two routers may do differently: the ID of
// a packet that is the router's own and the checksum over it, if that is right;
// and what follows an ARP message in its frame.
func normal(p *packet, f []byte) []byte {
	if p.ip != nil && isRouter(p.ip.src) {
		return f // what looks as if it were the router's own may be the packet itself
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
