package topology

import (
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A single next hop of weight 1 is written with the key nexthop; all other next hops are
// written with nexthops. Files may have a single next hop in nexthops too.

// isOnlyHop reports whether hops are written as nexthop.
func isOnlyHop(hops []routing.NextHop) bool {
	return len(hops) == 1 && hops[0].Weight == nextHopKeys.initial.Weight
}

type onlyHop struct{}

func (onlyHop) read(w *walker, t tree, v *[]routing.NextHop) {
	var h routing.NextHop
	if address.read(w, t, &h.Address); !h.Address.IsValid() {
		return
	}
	if *v != nil {
		w.bad(&t[0], "nexthop and nexthops are both given: give one of them")
		return
	}
	h.Weight = nextHopKeys.initial.Weight
	*v = []routing.NextHop{h}
}

func (onlyHop) append(b []byte, v *[]routing.NextHop, s style) []byte {
	return address.append(b, &(*v)[0].Address, s)
}

// same reports whether neither a nor b is written with the key nexthop, see isOnlyHop.
func (onlyHop) same(a, b *[]routing.NextHop) bool { return !isOnlyHop(*a) && !isOnlyHop(*b) }

type severalHops struct{ hops list[routing.NextHop] }

func (c severalHops) read(w *walker, t tree, v *[]routing.NextHop) {
	if t[0].kind == kindNull {
		return
	}
	var several []routing.NextHop
	c.hops.read(w, t, &several)
	if *v != nil {
		w.bad(&t[0], "nexthop and nexthops are both given: give one of them")
		return
	}
	*v = several
}

func (c severalHops) append(b []byte, v *[]routing.NextHop, s style) []byte {
	return c.hops.append(b, v, s)
}

// same reports whether neither a nor b is written with the key nexthops, see isOnlyHop.
func (c severalHops) same(a, b *[]routing.NextHop) bool {
	return (isOnlyHop(*a) || len(*a) == 0) && (isOnlyHop(*b) || len(*b) == 0)
}

// hopType is the codec of a route's type.
type hopType struct{ words[routing.RouteType] }

func (c hopType) read(w *walker, t tree, v *routing.RouteType) {
	c.words.read(w, t, v)
	if s := t[0].text; s == c.word(*v) && t[0].kind != kindNull {
		return
	}
	// If the type has an error, a missing next hop is not reported.
	w.leave()
	w.enter(step{key: "nexthop"})
	w.breaks()
	w.leave()
	w.enter(step{key: "type"})
}

// asWritten translates the key nexthop at the end of path to the key in the file. Package
// routing uses nexthop for all next hops of a route, in both forms.
func (w *walker) asWritten(path string) string {
	route, ok := strings.CutSuffix(path, ".nexthop")
	if !ok || w.find(path) != w.find(route) {
		return path
	}
	several := route + ".nexthops"
	list := w.find(several)
	switch {
	case list == w.find(route): // the file has neither key
		return path
	case list == w.find(several+"[0]"), list != w.find(several+"[1]"):
		return several
	}
	return several + "[0].address"
}
