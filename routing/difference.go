package routing

import (
	"iter"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// A Piece is one object of an [Index]. At most one field is set. The object must not be
// changed.
type Piece struct {
	Host    *Host
	Network *Network
	Router  *Router
	Port    *Port
}

// Difference returns the objects that differ between x and y, each as a pair: the object in x,
// and the object in y. If an object is in one of them only, the other Piece of the pair is
// zero. A port that moved to another network gives two pairs, one for its deletion and one for
// its addition. The order is undefined. If one Index was made from the other, the time depends
// only on the number of differences.
func (x *Index) Difference(y *Index) iter.Seq2[Piece, Piece] {
	return func(yield func(Piece, Piece) bool) {
		for h, i := range sorted.Diff(x.hosts, y.hosts) {
			var old, now Piece
			if h != nil {
				old.Host = *h
			}
			if i != nil {
				now.Host = *i
			}
			if old.Host != now.Host && !yield(old, now) {
				return
			}
		}
		for r, s := range sorted.Diff(x.routers, y.routers) {
			var old, now Piece
			if r != nil {
				old.Router = *r
			}
			if s != nil {
				now.Router = *s
			}
			if old.Router != now.Router && !yield(old, now) {
				return
			}
		}
		for n, m := range sorted.Diff(x.networks, y.networks) {
			old, now := new(Members), new(Members)
			var a, b Piece
			if n != nil {
				old = *n
				a.Network = &old.Network
			}
			if m != nil {
				now = *m
				b.Network = &now.Network
			}
			if old == now {
				continue
			}
			if !(n != nil && m != nil && old.Network.Equal(&now.Network)) && !yield(a, b) {
				return
			}
			for p, q := range old.Changed(now) {
				if !yield(Piece{Port: p}, Piece{Port: q}) {
					return
				}
			}
		}
	}
}

// ChangeTo returns the change from x to y.
func (x *Index) ChangeTo(y *Index) (c Change) {
	for old, now := range x.Difference(y) {
		switch {
		case now.Host != nil:
			c.Put.Hosts = append(c.Put.Hosts, *now.Host)
		case now.Network != nil:
			c.Put.Networks = append(c.Put.Networks, *now.Network)
		case now.Router != nil:
			c.Put.Routers = append(c.Put.Routers, *now.Router)
		case now.Port != nil:
			c.Put.Ports = append(c.Put.Ports, *now.Port)
		case old.Host != nil:
			c.Delete.Hosts = append(c.Delete.Hosts, old.Host.ID)
		case old.Network != nil:
			c.Delete.Networks = append(c.Delete.Networks, old.Network.ID)
		case old.Router != nil:
			c.Delete.Routers = append(c.Delete.Routers, old.Router.ID)
		case old.Port != nil:
			c.Delete.Ports = append(c.Delete.Ports, old.Port.ID)
		}
	}
	return c
}
