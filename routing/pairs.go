package routing

import (
	"bytes"
	"cmp"
	"iter"
	"net/netip"
	"strings"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
)

// pairs are the allowed address pairs on a network, prefixes before single addresses.
type pairs = sorted.Set[pairOf, byPair]

type pairOf struct {
	addrs netip.Prefix
	mac   ofproto.MAC
	port  string // its ID
}

type byPair struct{}

func (byPair) Compare(a, b pairOf) int {
	return cmp.Or(a.compareKind(b), a.addrs.Compare(b.addrs), bytes.Compare(a.mac[:], b.mac[:]), strings.Compare(a.port, b.port))
}

func (a pairOf) compareKind(b pairOf) int {
	switch single := a.addrs.IsSingleIP(); {
	case single == b.addrs.IsSingleIP():
		return 0
	case single:
		return 1
	}
	return -1
}

// IsUp reports whether p can receive packets.
func (p *Port) IsUp() bool { return !p.Down && !p.Unbound }

func (p *Port) pairsOf() (out []pairOf) {
	if !p.IsUp() {
		return nil
	}
	for _, q := range p.Pairs {
		mac := q.MAC
		if mac == (ofproto.MAC{}) {
			mac = p.MAC
		}
		out = append(out, pairOf{q.Addresses, mac, p.ID})
	}
	return out
}

// single returns the prefix that contains only a.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// A Place is where packets for an address go.
type Place struct {
	MAC  ofproto.MAC
	Port string // ID of the port with the address; "" if unknown
}

// At returns the place of address a. This is the port that has a as its own address, if it is
// up. Otherwise it is the port that may use a by an allowed address pair, if only one MAC
// address may use a.
func (n *Members) At(a netip.Addr) Place {
	if o, ok := n.addrs.Get(addrOf{addr: a}); ok {
		if o.kind != KindPort {
			return Place{}
		}
		if p, ok := n.ports.Get(Port{ID: o.id}); ok && p.IsUp() {
			return Place{p.MAC, p.ID}
		}
	}
	if n.pairs.Len() == 0 {
		return Place{}
	}
	var found Place
	for q := range n.pairs.From(pairOf{addrs: single(a)}) {
		switch {
		case q.addrs != single(a):
			return n.unless(found, a)
		case found.Port == "":
			found = Place{q.mac, q.port}
		case q.mac != found.MAC:
			return Place{} // two MAC addresses may use the address, so the kernel resolves it
		}
	}
	return n.unless(found, a)
}

// unless returns found, or the zero Place if another MAC address is allowed to use a range
// that contains a.
func (n *Members) unless(found Place, a netip.Addr) Place {
	if found.Port == "" {
		return found
	}
	for q := range n.pairs.All() {
		if q.addrs.IsSingleIP() {
			break
		}
		if q.addrs.Contains(a) && q.mac != found.MAC {
			return Place{}
		}
	}
	return found
}

// Reached returns the addresses at which packets reach p, each with its MAC address.
func (n *Members) Reached(p *Port) iter.Seq2[netip.Addr, ofproto.MAC] {
	return func(yield func(netip.Addr, ofproto.MAC) bool) {
		if !p.IsUp() {
			return
		}
		for _, a := range p.Addresses {
			if !yield(a, p.MAC) {
				return
			}
		}
		for _, q := range p.Pairs {
			if !q.Addresses.IsSingleIP() {
				continue
			}
			if at := n.At(q.Addresses.Addr()); at.Port == p.ID && !yield(q.Addresses.Addr(), at.MAC) {
				return
			}
		}
	}
}
