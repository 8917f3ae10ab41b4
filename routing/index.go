package routing

import (
	"strings"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// An Index finds the parts of a [Model] by ID. It is immutable: a change of
// ports makes another Index, which shares with the first what is equal. To make
// one takes time in proportion to the Model; to change it, and to compile a
// router anew, takes time for what is changed and hardly any for the rest.
type Index struct {
	networks sorted.Set[members, byNetwork]
	homes    sorted.Set[home, byPort]
}

// members are a network and the ports on it.
type members struct {
	Network
	ports ports
}

type ports = sorted.Set[Port, byID]

// A home says which network a port is on.
type home struct{ port, network string }

type (
	byNetwork struct{}
	byID      struct{}
	byPort    struct{}
)

func (byNetwork) Compare(a, b members) int { return strings.Compare(a.ID, b.ID) }
func (byID) Compare(a, b Port) int         { return strings.Compare(a.ID, b.ID) }
func (byPort) Compare(a, b home) int       { return strings.Compare(a.port, b.port) }

// NewIndex returns the Index of m, which must be valid. Neither m nor what it
// refers to may be changed from then on.
func NewIndex(m *Model) *Index {
	networks := make([]members, len(m.Networks))
	for i, n := range m.Networks {
		networks[i].Network = n
	}
	x := &Index{networks: sorted.Of[members, byNetwork](networks)}
	return x.With(Change{Put: Model{Ports: m.Ports}})
}

// network returns the network called id and its ports; if there is none, one
// without ports.
func (x *Index) network(id string) members {
	key := members{Network: Network{ID: id}}
	if n, ok := x.networks.Get(key); ok {
		return n
	}
	return key
}

// Port returns the port called id.
func (x *Index) Port(id string) (Port, bool) {
	h, ok := x.homes.Get(home{port: id})
	if !ok {
		return Port{}, false
	}
	return x.network(h.network).ports.Get(Port{ID: id})
}

// A Change is what becomes of a [Model] in one step. The objects whose IDs are
// in Delete go, if they exist; then those in Put come, each in place of the
// object of its kind with its ID if there is one. Of two in Put with one ID the
// later one counts.
type Change struct {
	Put    Model
	Delete IDs
}

// IDs names objects of a [Model].
type IDs struct {
	Networks, Routers, Ports []string
}

// With returns the Index of the Model that c makes of the indexed one. That
// Model must be valid, and what c refers to may not be changed from then on.
func (x *Index) With(c Change) *Index {
	type edit struct{ leave, join []Port }
	edits := make(map[string]*edit) // by network
	on := func(network string) *edit {
		e := edits[network]
		if e == nil {
			e = &edit{}
			edits[network] = e
		}
		return e
	}
	var left, joined []home
	leave := func(id string) {
		if h, ok := x.homes.Get(home{port: id}); ok {
			e := on(h.network)
			e.leave, left = append(e.leave, Port{ID: id}), append(left, h)
		}
	}
	for _, id := range c.Delete.Ports {
		leave(id)
	}
	for p := range sorted.Of[Port, byID](c.Put.Ports).All() {
		leave(p.ID)
		e := on(p.Network)
		e.join, joined = append(e.join, p), append(joined, home{p.ID, p.Network})
	}
	touched := make([]members, 0, len(edits))
	for id, e := range edits {
		n := x.network(id)
		n.ports = n.ports.Without(e.leave...).With(e.join...)
		touched = append(touched, n)
	}
	return &Index{x.networks.With(touched...), x.homes.Without(left...).With(joined...)}
}
