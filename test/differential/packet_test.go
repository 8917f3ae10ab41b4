package differential

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A packet is what a machine sends. It is one frame, or the fragments of what
// would be one.
type packet struct {
	n      int // from 1
	from   int // index of the machine
	what   string
	frames [][]byte

	// What it is made of; ip is empty where it is not about that.
	src, dst  mac
	ip        *header
	transport string // UDP, TCP, echo, …
	size      int    // of the IP packet
	flaw      string // what is wrong with it, if something is

	confined bool       // no router may let it out of its network
	known    netip.Addr // whose MAC address is the sender's; valid if the router has to know it
	detects  netip.Addr // whether anybody has this; the answer, to all, does not tell the number
}

func (p *packet) machine() *machine { return machines[p.from] }

// disturbs tells whether p can make the switch lose other packets that come at the
// same time, which depends on the order in which ports are read. Either it has the
// switch learn that a MAC address is at another port than it is, until its owner
// sends something; or it is larger than a port takes, and then what Open vSwitch
// sends together with it is lost too.
func (p *packet) disturbs() bool {
	return p.oversized() || p.src == p.machine().net.router() || slices.ContainsFunc(machines, func(m *machine) bool { return m != p.machine() && m.mac() == p.src })
}

// oversized tells whether what follows p in its frame is too much for the smallest
// MTU: Open vSwitch measures without it, and sends it.
func (p *packet) oversized() bool {
	return p.flaw == "trailer" && len(p.frames) == 1 && len(p.frames[0]) > 14+smallestMTU()
}

// A maker makes one packet by chance. Which one depends on the seed and the
// packet's number alone.
type maker struct {
	*rand.Rand
	*packet
}

func newPacket(seed uint64, n int) *packet {
	m := maker{rand.New(rand.NewPCG(seed, uint64(n))), &packet{n: n, ip: &header{}}}
	m.from = m.IntN(len(machines))
	m.packet.src, m.packet.dst = m.machine().mac(), m.machine().net.router()
	weighted(&m, []choice[func()]{{50, m.v4}, {36, m.v6}, {5, m.arp}, {6, m.neighbour}, {3, m.strangeFrame}})()
	return m.packet
}

// chance is true in one of n cases.
func (m *maker) chance(n int) bool { return m.IntN(n) == 0 }

func pick[T any](m *maker, of ...T) T { return of[m.IntN(len(of))] }

// A choice is one of several with different weights.
type choice[T any] struct {
	weight int
	value  T
}

func weighted[T any](m *maker, cs []choice[T]) T {
	total := 0
	for _, c := range cs {
		total += c.weight
	}
	at := m.IntN(total)
	for _, c := range cs {
		if at -= c.weight; at < 0 {
			return c.value
		}
	}
	panic("unreachable")
}

// elsewhere returns a network that is not the sender's.
func (m *maker) elsewhere() *network {
	for {
		if n := pick(m, networks...); n != m.machine().net {
			return n
		}
	}
}

// anyMachine returns a machine that is not the sender.
func (m *maker) anyMachine(on func(*machine) bool) *machine {
	for {
		if o := pick(m, machines...); o != m.machine() && on(o) {
			return o
		}
	}
}

func (m *maker) local(o *machine) bool  { return o.net == m.machine().net }
func (m *maker) remote(o *machine) bool { return o.net != m.machine().net }

// frame puts an IP packet into a frame.
func (m *maker) frame(ip []byte) {
	etherType := uint16(etherIPv4)
	if m.ip.src.Is6() {
		etherType = etherIPv6
	}
	m.frames = append(m.frames, ethernet(m.packet.dst, m.packet.src, etherType, ip))
}

// trailer adds bytes to a frame that are no part of the packet.
func (m *maker) trailer(ip []byte) []byte {
	return append(ip, bytes.Repeat([]byte{0xee}, min(1+m.IntN(20), m.machine().net.mtu-len(ip)))...)
}

// egressMTU is the MTU of the network by which the router reaches an address.
func egressMTU(a netip.Addr) int {
	for _, n := range networks {
		if p, _ := n.host4(0).Prefix(24); p.Contains(a) {
			return n.mtu
		}
		if p, _ := n.host6(0).Prefix(64); p.Contains(a) {
			return n.mtu
		}
	}
	for _, r := range routes {
		if r.destination.Contains(a) || r.destination6.Contains(a) {
			return r.hop.net.mtu
		}
	}
	return 1500
}

// ipSize returns a length for the IP packet: often a short one, and often one
// near what is possible.
func (m *maker) ipSize(least int) int {
	mtu, egress := m.machine().net.mtu, egressMTU(m.ip.dst)
	size := weighted(m, []choice[int]{
		{12, least + m.IntN(tokenSize+8)},
		{6, least + m.IntN(200)},
		{2, least + m.IntN(mtu)},
		{3, egress - 8 + m.IntN(17)},
		{1, mtu},
	})
	return max(least, min(size, mtu))
}

// own tells whether the sender says who it is. If it does not, an answer would
// not tell the number without a token in the payload.
func (m *maker) own() bool { return m.ip.src == m.machine().ip4() || m.ip.src == m.machine().ip6() }

// payload fills the packet up to a size of its choice, which has room for a
// token if the packet needs one.
func (m *maker) payload(transportHeader int) []byte {
	least := m.ip.size() + transportHeader
	m.size = m.ipSize(least)
	if !m.own() || m.flaw != "" || len(m.ip.options)+len(m.ip.extensions) > 0 {
		m.size = max(m.size, least+2*tokenSize) // a fragment may lose 7 bytes
	}
	return filler(m.n, m.size-least)
}

func (p *packet) String() string {
	return fmt.Sprintf("packet %d from %s: %s", p.n, p.machine(), p.what)
}
