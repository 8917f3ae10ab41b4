package routing

import (
	"cmp"
	"iter"
	"reflect"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/internal/sorted"
)

// An Index is a [Model] in which objects are found by ID. It is immutable: a change makes
// another Index, which shares equal parts with the first. The time to make an Index is
// proportional to the size of the Model. The time to check a change, to apply it and to
// recompile a router depends almost only on the size of the change. The zero Index is empty.
type Index struct {
	hosts    sorted.Set[*Host, byHost]
	networks sorted.Set[*Members, byNetwork]
	routers  sorted.Set[*Router, byRouter]
	homes    sorted.Set[home, byPort]
	guests   sorted.Set[guest, byGuest]
	names    sorted.Set[claim, byClaim] // names and numbers that must be unique
}

// A home is the network of a port.
type home struct{ port, network string }

// A guest is a port and the host on which it is expected.
type guest struct{ host, port string }

// A Leg is an interface of a router.
type Leg struct {
	Router *Router
	*Interface
}

type (
	byHost    struct{}
	byNetwork struct{}
	byRouter  struct{}
	byID      struct{}
	byPort    struct{}
	byGuest   struct{}
)

func (byHost) Compare(a, b *Host) int       { return strings.Compare(a.ID, b.ID) }
func (byNetwork) Compare(a, b *Members) int { return strings.Compare(a.ID, b.ID) }
func (byRouter) Compare(a, b *Router) int   { return strings.Compare(a.ID, b.ID) }
func (byID) Compare(a, b Port) int          { return strings.Compare(a.ID, b.ID) }
func (byPort) Compare(a, b home) int        { return strings.Compare(a.port, b.port) }
func (byGuest) Compare(a, b guest) int {
	return cmp.Or(strings.Compare(a.host, b.host), strings.Compare(a.port, b.port))
}

// NewIndex returns the Index of m, which must be valid. Afterwards m, and everything that it
// refers to, must not be changed.
func NewIndex(m *Model) *Index { return new(Index).With(Change{Put: *m}) }

// Host returns the host called id, nil if it does not exist. It must not be changed.
func (x *Index) Host(id string) *Host {
	h, _ := x.hosts.Get(&Host{ID: id})
	return h
}

// Hosts returns the hosts with IDs not less than from, sorted by ID. They must not be changed.
func (x *Index) Hosts(from string) iter.Seq[*Host] { return x.hosts.From(&Host{ID: from}) }

// NumHosts returns the number of hosts.
func (x *Index) NumHosts() int { return x.hosts.Len() }

// Guests returns the sorted IDs of the ports that are expected on a host.
func (x *Index) Guests(host string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for g := range x.guests.From(guest{host: host}) {
			if g.host != host || !yield(g.port) {
				return
			}
		}
	}
}

// Carried returns the networks that hosts may carry. These are first the networks with a VNI,
// sorted by VNI. If hosts have uplinks, the networks with a VLAN follow, sorted by VLAN.
func (x *Index) Carried() iter.Seq[Network] {
	return func(yield func(Network) bool) {
		each := func(kind claimKind) bool {
			for c := range x.names.From(claim{kind: kind}) {
				if c.kind != kind {
					break
				}
				if n, ok := x.Network(c.by); ok && (kind == vniNumber || n.VNI == 0) && !yield(n) {
					return false
				}
			}
			return true
		}
		if each(vniNumber) && x.anyUplink("") != "" {
			each(vlanTag)
		}
	}
}

// Network returns the network called id.
func (x *Index) Network(id string) (Network, bool) {
	n, ok := x.networks.Get(&Members{Network: Network{ID: id}})
	if !ok {
		return Network{}, false
	}
	return n.Network, true
}

// Router returns the router called id, nil if it does not exist. It must not be changed. The
// pointer stays the same as long as the router is unchanged.
func (x *Index) Router(id string) *Router {
	r, _ := x.routers.Get(&Router{ID: id})
	return r
}

// Port returns the port called id.
func (x *Index) Port(id string) (Port, bool) {
	h, ok := x.homes.Get(home{port: id})
	if !ok {
		return Port{}, false
	}
	return x.Members(h.network).ports.Get(Port{ID: id})
}

// Len returns the numbers of networks, routers and ports.
func (x *Index) Len() (networks, routers, ports int) {
	return x.networks.Len(), x.routers.Len(), x.homes.Len()
}

// Networks returns the networks with IDs not less than from, sorted by ID.
func (x *Index) Networks(from string) iter.Seq[Network] {
	return func(yield func(Network) bool) {
		for n := range x.networks.From(&Members{Network: Network{ID: from}}) {
			if !yield(n.Network) {
				return
			}
		}
	}
}

// Routers returns the routers with IDs not less than from, sorted by ID. They must not be changed.
func (x *Index) Routers(from string) iter.Seq[*Router] { return x.routers.From(&Router{ID: from}) }

// Ports returns the ports with IDs not less than from, sorted by ID.
func (x *Index) Ports(from string) iter.Seq[Port] {
	return func(yield func(Port) bool) {
		for h := range x.homes.From(home{port: from}) {
			if p, ok := x.Members(h.network).ports.Get(Port{ID: h.port}); ok && !yield(p) {
				return
			}
		}
	}
}

// PortsOn returns the ports on a network with IDs not less than from, sorted by ID.
func (x *Index) PortsOn(network, from string) iter.Seq[Port] {
	return x.Members(network).ports.From(Port{ID: from})
}

// Legs returns the interfaces that routers have on a network.
func (x *Index) Legs(network string) []Leg { return x.Members(network).legs }

// Model returns all objects, sorted by ID. The objects must not be changed.
func (x *Index) Model() *Model {
	m := new(Model)
	for h := range x.Hosts("") {
		m.Hosts = append(m.Hosts, *h)
	}
	networks, routers, ports := x.Len()
	m.Networks, m.Routers, m.Ports = make([]Network, 0, networks), make([]Router, 0, routers), make([]Port, 0, ports)
	m.Networks = slices.AppendSeq(m.Networks, x.Networks(""))
	for r := range x.Routers("") {
		m.Routers = append(m.Routers, *r)
	}
	m.Ports = slices.AppendSeq(m.Ports, x.Ports(""))
	return m
}

// A Change changes a [Model] in one step. First the objects in Delete are deleted, if they
// exist. Then the objects in Put are added, or replace the objects of the same kind and ID. If
// Put has an ID twice, the later object counts.
type Change struct {
	Put    Model
	Delete IDs
}

// IDs identifies objects of a [Model].
type IDs struct {
	Hosts, Networks, Routers, Ports []string
}

// Len returns the number of objects in c.
func (c *Change) Len() int { return c.Put.Len() + c.Delete.Len() }

// Len returns the number of objects.
func (m *Model) Len() int { return len(m.Hosts) + len(m.Networks) + len(m.Routers) + len(m.Ports) }

// Len returns the number of IDs.
func (i *IDs) Len() int { return len(i.Hosts) + len(i.Networks) + len(i.Routers) + len(i.Ports) }

// Add adds the ID of a host, a network, a router or a port.
func (i *IDs) Add(kind Kind, id string) {
	switch kind {
	case KindHost:
		i.Hosts = append(i.Hosts, id)
	case KindNetwork:
		i.Networks = append(i.Networks, id)
	case KindRouter:
		i.Routers = append(i.Routers, id)
	case KindPort:
		i.Ports = append(i.Ports, id)
	}
}

// With returns the Index after c. The resulting Model must be valid, see [Index.Check].
// Afterwards the objects in c must not be changed.
func (x *Index) With(c Change) *Index {
	w := work{x: x, edits: make(map[string]*edit)}
	w.hosts(c.Delete.Hosts, c.Put.Hosts)
	w.networks(c.Delete.Networks, c.Put.Networks)
	w.routers(c.Delete.Routers, c.Put.Routers)
	w.ports(c.Delete.Ports, c.Put.Ports)
	return w.done()
}

// Touched returns the routers that c affects, including those that it adds or deletes, in no
// order and possibly more than once.
func (x *Index) Touched(c Change) []string {
	var out []string
	on := func(network string) {
		for _, l := range x.Legs(network) {
			out = append(out, l.Router.ID)
		}
	}
	if len(c.Delete.Hosts)+len(c.Put.Hosts) > 0 {
		for n := range x.Carried() {
			on(n.ID)
		}
	}
	for _, id := range c.Delete.Networks {
		on(id)
	}
	for i := range c.Put.Networks {
		on(c.Put.Networks[i].ID)
	}
	out = append(out, c.Delete.Routers...)
	for i := range c.Put.Routers {
		out = append(out, c.Put.Routers[i].ID)
	}
	last := ""
	port := func(network string) {
		if network != last { // saves look-ups, because most ports are on the same network as the previous port
			on(network)
			last = network
		}
	}
	moved := func(id string) {
		if h, ok := x.homes.Get(home{port: id}); ok {
			port(h.network)
		}
	}
	for _, id := range c.Delete.Ports {
		moved(id)
	}
	for i := range c.Put.Ports {
		moved(c.Put.Ports[i].ID)
		port(c.Put.Ports[i].Network)
	}
	return out
}

// Differs returns the part of c that changes something: puts of objects that differ, and
// deletes of objects that exist and are not put. Each object occurs once. [Index.Check] must
// have accepted c.
func (x *Index) Differs(c Change) (d Change) {
	put := make(map[owner]bool)
	for i := range c.Put.Hosts {
		h := &c.Put.Hosts[i]
		put[owner{KindHost, h.ID}] = true
		if old := x.Host(h.ID); old == nil || !old.Equal(h) {
			d.Put.Hosts = append(d.Put.Hosts, *h)
		}
	}
	for i := range c.Put.Networks {
		n := &c.Put.Networks[i]
		put[owner{KindNetwork, n.ID}] = true
		if old, ok := x.Network(n.ID); !ok || !old.Equal(n) {
			d.Put.Networks = append(d.Put.Networks, *n)
		}
	}
	for i := range c.Put.Routers {
		r := &c.Put.Routers[i]
		put[owner{KindRouter, r.ID}] = true
		if old := x.Router(r.ID); old == nil || !reflect.DeepEqual(old, r) {
			d.Put.Routers = append(d.Put.Routers, *r)
		}
	}
	for i := range c.Put.Ports {
		p := &c.Put.Ports[i]
		if len(c.Delete.Ports) > 0 {
			put[owner{KindPort, p.ID}] = true
		}
		if old, ok := x.Port(p.ID); !ok || !old.Equal(p) {
			d.Put.Ports = append(d.Put.Ports, *p)
		}
	}
	remaining := func(kind Kind, ids []string) (out []string) {
		for _, id := range ids {
			if who := (owner{kind, id}); !put[who] {
				put[who] = true // once
				out = append(out, id)
			}
		}
		return out
	}
	there := x.Having(c.Delete)
	d.Delete.Hosts = remaining(KindHost, there.Hosts)
	d.Delete.Networks = remaining(KindNetwork, there.Networks)
	d.Delete.Routers = remaining(KindRouter, there.Routers)
	d.Delete.Ports = remaining(KindPort, there.Ports)
	return d
}

// Having returns the IDs in ids that exist in x.
func (x *Index) Having(ids IDs) (out IDs) {
	for _, id := range ids.Hosts {
		if x.Host(id) != nil {
			out.Hosts = append(out.Hosts, id)
		}
	}
	for _, id := range ids.Networks {
		if _, ok := x.Network(id); ok {
			out.Networks = append(out.Networks, id)
		}
	}
	for _, id := range ids.Routers {
		if x.Router(id) != nil {
			out.Routers = append(out.Routers, id)
		}
	}
	for _, id := range ids.Ports {
		if _, ok := x.homes.Get(home{port: id}); ok {
			out.Ports = append(out.Ports, id)
		}
	}
	return out
}
