package routing

import (
	"iter"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// A Piece is one object of an [Index], which must not be changed, or nothing.
type Piece struct {
	Host    *Host
	Network *Network
	Router  *Router
	Port    *Port
}

// Difference returns the objects in which x and y differ, each as it is in x and
// in y, in no order; nothing: it is not there. A port that is on another network is
// returned twice, as gone and as new. It takes time for these objects only, if one
// of the two was made from the other.
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
