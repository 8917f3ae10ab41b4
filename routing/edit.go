package routing

import (
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// work collects the edits of a [Change] by network, so that each set is rebuilt once.
type work struct {
	x            *Index
	edits        map[string]*edit // by network
	lost, found  []*Host
	gone, come   []*Router
	left, joined []home
	quit, lodged []guest
	freed, taken []claim
}

// An edit is the change of one network and of the objects on it.
type edit struct {
	network *Network // new value; nil if unchanged
	gone    bool     // deleted by the Change and not in its Put

	leave, join []Port
	out, in     []Leg
}

func (w *work) on(network string) *edit {
	e := w.edits[network]
	if e == nil {
		e = &edit{}
		w.edits[network] = e
	}
	return e
}

func (w *work) hosts(remove []string, put []Host) {
	latest := make(map[string]*Host, len(remove)+len(put))
	for _, id := range remove {
		latest[id] = nil
		w.lost = append(w.lost, &Host{ID: id})
	}
	for i := range put {
		latest[put[i].ID] = &put[i]
		w.found = append(w.found, &put[i])
	}
	for id, h := range latest {
		if old := w.x.Host(id); old != nil {
			w.freed = append(w.freed, hostClaims(old)...)
		}
		if h != nil {
			w.taken = append(w.taken, hostClaims(h)...)
		}
	}
}

func (w *work) networks(remove []string, put []Network) {
	for _, id := range remove {
		if old, ok := w.x.Network(id); ok {
			w.on(id).gone = true
			w.freed = append(w.freed, networkClaims(&old)...)
		}
	}
	for i := range put {
		n := &put[i]
		e := w.on(n.ID)
		if e.network == nil && !e.gone {
			if old, ok := w.x.Network(n.ID); ok {
				w.freed = append(w.freed, networkClaims(&old)...)
			}
		}
		e.network, e.gone = n, false
	}
	for _, e := range w.edits {
		if e.network != nil {
			w.taken = append(w.taken, networkClaims(e.network)...)
		}
	}
}

func (w *work) routers(remove []string, put []Router) {
	var removed map[string]bool
	leave := func(id string) {
		old := w.x.Router(id)
		if old == nil || removed[id] {
			return
		}
		if removed == nil {
			removed = make(map[string]bool)
		}
		removed[id] = true
		w.gone = append(w.gone, old)
		w.freed = append(w.freed, routerClaims(old)...)
		for _, l := range legsOf(old) {
			e := w.on(l.Network)
			e.out = append(e.out, l)
		}
	}
	for _, id := range remove {
		leave(id)
	}
	latest := make(map[string]*Router, len(put))
	for i := range put {
		latest[put[i].ID] = &put[i]
	}
	for i := range put {
		r := &put[i]
		if latest[r.ID] != r {
			continue
		}
		leave(r.ID)
		w.come = append(w.come, r)
		w.taken = append(w.taken, routerClaims(r)...)
		for _, l := range legsOf(r) {
			e := w.on(l.Network)
			e.in = append(e.in, l)
		}
	}
}

func legsOf(r *Router) []Leg {
	legs := make([]Leg, len(r.Interfaces))
	for i := range r.Interfaces {
		legs[i] = Leg{r, &r.Interfaces[i]}
	}
	return legs
}

func (w *work) ports(remove []string, put []Port) {
	leave := func(id string) {
		if h, ok := w.x.homes.Get(home{port: id}); ok {
			if p, ok := w.x.Members(h.network).ports.Get(Port{ID: id}); ok {
				e := w.on(h.network)
				e.leave, w.left = append(e.leave, p), append(w.left, h)
				if p.Host != "" {
					w.quit = append(w.quit, guest{p.Host, p.ID})
				}
			}
		}
	}
	for _, id := range remove {
		leave(id)
	}
	for p := range sorted.Of[Port, byID](put).All() {
		leave(p.ID)
		e := w.on(p.Network)
		e.join, w.joined = append(e.join, p), append(w.joined, home{p.ID, p.Network})
		if p.Host != "" {
			w.lodged = append(w.lodged, guest{p.Host, p.ID})
		}
	}
}

func (w *work) done() *Index {
	var gone, touched []*Members
	for id, e := range w.edits {
		n := *w.x.Members(id)
		e.apply(&n)
		if e.gone {
			gone = append(gone, &n)
		} else {
			touched = append(touched, &n)
		}
	}
	return &Index{
		hosts:    w.x.hosts.Without(w.lost...).With(w.found...),
		networks: w.x.networks.Without(gone...).With(touched...),
		routers:  w.x.routers.Without(w.gone...).With(w.come...),
		homes:    sorted.Exchange(w.x.homes, w.left, w.joined),
		guests:   sorted.Exchange(w.x.guests, w.quit, w.lodged),
		names:    sorted.Exchange(w.x.names, w.freed, w.taken),
	}
}

func (e *edit) apply(n *Members) {
	if e.network != nil {
		n.Network = *e.network
	}
	n.ports = n.ports.Without(sorted.Minus[Port, byID](e.leave, e.join)...).With(e.join...)
	freed, taken := ownedBy(e.out, e.leave), ownedBy(e.in, e.join)
	n.macs = sorted.Exchange(n.macs, freed.macs, taken.macs)
	n.addrs = sorted.Exchange(n.addrs, freed.addrs, taken.addrs)
	n.pairs = sorted.Exchange(n.pairs, freed.pairs, taken.pairs)
	if len(e.out)+len(e.in) == 0 {
		return
	}
	legs := slices.DeleteFunc(slices.Clone(n.legs), func(l Leg) bool {
		return slices.ContainsFunc(e.out, func(o Leg) bool { return o.Interface == l.Interface })
	})
	n.legs = append(legs, e.in...)
	slices.SortStableFunc(n.legs, func(a, b Leg) int { return strings.Compare(a.Router.ID, b.Router.ID) })
}

// owned has the MAC and IP addresses of interfaces and ports of one network.
type owned struct {
	macs  []macOf
	addrs []addrOf
	pairs []pairOf
}

func ownedBy(legs []Leg, ports []Port) (o owned) {
	if len(legs)+len(ports) == 0 {
		return o
	}
	o.macs = make([]macOf, 0, len(legs)+len(ports))
	o.addrs = make([]addrOf, 0, len(legs)+len(ports))
	for _, l := range legs {
		who := owner{KindInterface, l.ID}
		o.macs = append(o.macs, macOf{l.MAC, who})
		for _, p := range l.Addresses {
			o.addrs = append(o.addrs, addrOf{p.Addr(), who})
		}
	}
	for i := range ports {
		p := &ports[i]
		who := owner{KindPort, p.ID}
		o.macs = append(o.macs, macOf{p.MAC, who})
		for _, a := range p.Addresses {
			o.addrs = append(o.addrs, addrOf{a, who})
		}
		o.pairs = append(o.pairs, p.pairsOf()...)
	}
	return o
}
