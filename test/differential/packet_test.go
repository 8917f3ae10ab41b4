package differential

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A packet is sent by a machine as one frame, or as fragments.
type packet struct {
	n      int // from 1
	from   int // index of the sender
	what   string
	frames [][]byte

	// The parts of the packet. ip is empty if it is not IP.
	src, dst  mac
	ip        *header
	transport string // UDP, TCP, echo, …
	size      int    // size of the IP packet
	flaw      string // the flaw of the packet; "" if it is valid

	confined bool       // the packet must not leave its network
	known    netip.Addr // the sender's address, if the router must know it; else invalid
	detects  netip.Addr // the address for which it detects duplicates; the reply goes to all nodes and does not have the number
}

func (p *packet) machine() *machine { return machines[p.from] }

// disturbs reports whether p can make the switch lose other packets that arrive at the same time.
// Such losses depend on the order in which ports are read. They have two causes. The switch may
// learn a MAC address at the wrong port, until the owner of the address sends a packet. Or p is
// larger than a port's MTU, and Open vSwitch also loses the packets that it sends together with p.
func (p *packet) disturbs() bool {
	return p.oversized() || p.src == p.machine().net.router() || slices.ContainsFunc(machines, func(m *machine) bool { return m != p.machine() && m.mac() == p.src })
}

// oversized reports whether p with its trailer exceeds the smallest MTU. Open vSwitch
// checks the length without the trailer, but sends the packet with it.
func (p *packet) oversized() bool {
	return p.flaw == "trailer" && len(p.frames) == 1 && len(p.frames[0]) > 14+smallestMTU()
}

// A maker makes one random packet, which depends only on the seed and the packet's
// number.
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

// chance is true with a probability of 1/n.
func (m *maker) chance(n int) bool { return m.IntN(n) == 0 }

func pick[T any](m *maker, of ...T) T { return of[m.IntN(len(of))] }

// A choice is a value with a weight.
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

// elsewhere returns a network other than the sender's.
func (m *maker) elsewhere() *network {
	for {
		if n := pick(m, networks...); n != m.machine().net {
			return n
		}
	}
}

// anyMachine returns a machine other than the sender.
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

// trailer appends bytes to a frame that are not part of the packet.
func (m *maker) trailer(ip []byte) []byte {
	return append(ip, bytes.Repeat([]byte{0xee}, min(1+m.IntN(20), m.machine().net.mtu-len(ip)))...)
}

// egressMTU returns the MTU of the network through which the router reaches an address.
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

// ipSize returns a length for the IP packet: often a short one, and often one near the
// limits.
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

// own reports whether the packet has the sender's own source address. Otherwise the reply has the
// number only if the payload has a token.
func (m *maker) own() bool { return m.ip.src == m.machine().ip4() || m.ip.src == m.machine().ip6() }

// payload fills the packet up to a random size, which has room for a token if the packet
// needs one.
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
