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

// pairs are the allowed address pairs on a network. Those of several addresses
// come before those of one.
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

// isUp reports whether p can be reached at all.
func (p *Port) isUp() bool { return !p.Down && !p.Unbound }

func (p *Port) pairsOf() (out []pairOf) {
	if !p.isUp() {
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

// A place is where packets for an address go.
type place struct {
	mac  ofproto.MAC
	port string // ID of the port that has the address; "": it is not known
}

// at returns who is to be reached at a: the port whose own address it is, if that
// is up, else the one that alone claims it.
func (n *members) at(a netip.Addr) place {
	if o, ok := n.addrs.Get(addrOf{addr: a}); ok {
		if o.kind != KindPort {
			return place{}
		}
		if p, ok := n.ports.Get(Port{ID: o.id}); ok && p.isUp() {
			return place{p.MAC, p.ID}
		}
	}
	if n.pairs.Len() == 0 {
		return place{}
	}
	var found place
	for q := range n.pairs.From(pairOf{addrs: alone(a)}) {
		switch {
		case q.addrs != alone(a):
			return n.unless(found, a)
		case found.port == "":
			found = place{q.mac, q.port}
		case q.mac != found.mac:
			return place{} // by two: the kernel asks
		}
	}
	return n.unless(found, a)
}

// unless returns found, or nothing if another MAC address is allowed a range of
// addresses with a in it.
func (n *members) unless(found place, a netip.Addr) place {
	if found.port == "" {
		return found
	}
	for q := range n.pairs.All() {
		if q.addrs.IsSingleIP() {
			break
		}
		if q.addrs.Contains(a) && q.mac != found.mac {
			return place{}
		}
	}
	return found
}

// reached returns the addresses at which p is reached, each with its MAC address.
func (n *members) reached(p *Port) iter.Seq2[netip.Addr, ofproto.MAC] {
	return func(yield func(netip.Addr, ofproto.MAC) bool) {
		if !p.isUp() {
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
			if at := n.at(q.Addresses.Addr()); at.port == p.ID && !yield(q.Addresses.Addr(), at.mac) {
				return
			}
		}
	}
}
