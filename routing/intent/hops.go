package intent

import "github.com/ofdvr/ofdvr/routing"

// A route's next hops have two keys: nexthop if there is one of weight 1, else
// nexthops.

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
	var several []routing.NextHop
	c.hops.read(w, t, &several)
	if *v != nil && t[0].kind == kindList {
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
