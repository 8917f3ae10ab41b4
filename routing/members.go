package routing

import (
	"iter"
	"slices"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// Members are a network with the ports and interfaces on it. They are immutable.
type Members struct {
	Network
	ports ports
	macs  sorted.Set[macOf, byMAC]
	addrs sorted.Set[addrOf, byAddr]
	pairs pairs // address pairs of ports that are up and bound
	legs  []Leg // sorted by router, then in the router's order
}

type ports = sorted.Set[Port, byID]

// Members returns the network called id with its members. If the network does not exist, the
// result is empty.
func (x *Index) Members(id string) *Members {
	key := &Members{Network: Network{ID: id}}
	if n, ok := x.networks.Get(key); ok {
		return n
	}
	return key
}

// Len returns the number of ports.
func (n *Members) Len() int { return n.ports.Len() }

// Legs returns the interfaces of routers, sorted by router.
func (n *Members) Legs() []Leg { return n.legs }

// Port returns the port called id, if it is on the network.
func (n *Members) Port(id string) (Port, bool) { return n.ports.Get(Port{ID: id}) }

// Ports returns the ports, by ID.
func (n *Members) Ports() iter.Seq[Port] { return n.ports.All() }

// HasPairs reports whether a port that is up and bound has allowed address pairs.
func (n *Members) HasPairs() bool { return n.pairs.Len() > 0 }

// Changed returns the ports that differ between n and m, sorted by ID. Each pair is the port in n
// and the port in m, nil if the port does not exist there. If m was derived from n, the time
// depends only on the number of these ports.
func (n *Members) Changed(m *Members) iter.Seq2[*Port, *Port] {
	return func(yield func(*Port, *Port) bool) {
		for p, q := range sorted.Diff(n.ports, m.ports) {
			if p != nil && q != nil && p.Equal(q) {
				continue
			}
			if !yield(p, q) {
				return
			}
		}
	}
}

// Equal reports whether p and q are equal.
func (p *Port) Equal(q *Port) bool {
	return p.ID == q.ID && p.Network == q.Network && p.MAC == q.MAC && p.Down == q.Down && p.Unbound == q.Unbound && p.NoFastPath == q.NoFastPath && p.Host == q.Host &&
		slices.Equal(p.Addresses, q.Addresses) && slices.Equal(p.Pairs, q.Pairs) && p.Meta.Equal(q.Meta)
}
