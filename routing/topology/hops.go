package topology

import (
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A route's next hops have two keys: nexthop if there is one of weight 1, else
// nexthops. Files may have that one hop in nexthops too.

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
		w.bad(&t[0], "there is nexthops too: give one of them")
		return
	}
	h.Weight = nextHopKeys.initial.Weight
	*v = []routing.NextHop{h}
}

func (onlyHop) append(b []byte, v *[]routing.NextHop, s style) []byte {
	return address.append(b, &(*v)[0].Address, s)
}

// same is asked whether the key can be left out.
func (onlyHop) same(a, b *[]routing.NextHop) bool { return !isOnlyHop(*a) && !isOnlyHop(*b) }

type severalHops struct{ hops list[routing.NextHop] }

func (c severalHops) read(w *walker, t tree, v *[]routing.NextHop) {
	if t[0].kind == kindNull {
		return
	}
	var several []routing.NextHop
	c.hops.read(w, t, &several)
	if *v != nil {
		w.bad(&t[0], "there is nexthop too: give one of them")
		return
	}
	*v = several
}

func (c severalHops) append(b []byte, v *[]routing.NextHop, s style) []byte {
	return c.hops.append(b, v, s)
}

// same is asked whether the key can be left out.
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
	// It was not read, so whether there should be a next hop is not known.
	w.leave()
	w.enter(step{key: "nexthop"})
	w.breaks()
	w.leave()
	w.enter(step{key: "type"})
}

// asWritten returns path, in which routing calls the next hops of a route or
// the only one nexthop, with the keys that the file has for them.
func (w *walker) asWritten(path string) string {
	route, ok := strings.CutSuffix(path, ".nexthop")
	if !ok || w.find(path) != w.find(route) {
		return path
	}
	several := route + ".nexthops"
	list := w.find(several)
	switch {
	case list == w.find(route): // neither
		return path
	case list == w.find(several+"[0]"), list != w.find(several+"[1]"):
		return several
	}
	return several + "[0].address"
}
