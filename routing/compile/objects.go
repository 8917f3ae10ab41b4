package compile

import (
	"cmp"
	"iter"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Objects has the object of each cookie in a [Program]. It is immutable. The zero Objects is
// empty. If two objects have the same hash, only one of them is in Objects.
type Objects struct {
	set sorted.Set[labelled, byCookie]
}

type labelled struct {
	cookie ofproto.Cookie
	routing.Object
}

type byCookie struct{}

func (byCookie) Compare(a, b labelled) int { return cmp.Compare(a.cookie, b.cookie) }

// Get returns the object of c.
func (o Objects) Get(c ofproto.Cookie) (routing.Object, bool) {
	l, ok := o.set.Get(labelled{cookie: c})
	return l.Object, ok
}

// Len returns the number of cookies.
func (o Objects) Len() int { return o.set.Len() }

// All returns the cookies, in ascending order, with their objects.
func (o Objects) All() iter.Seq2[ofproto.Cookie, routing.Object] {
	return func(yield func(ofproto.Cookie, routing.Object) bool) {
		for l := range o.set.All() {
			if !yield(l.cookie, l.Object) {
				return
			}
		}
	}
}
