package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Changes of the intent. They are not faults, but the same laws apply.

// load writes the topology file and signals the daemon to reload it.
func (s *site) load() error {
	if err := s.write(); err != nil {
		return err
	}
	return s.reload()
}

// change plans a change of the intent by edit. edit returns a description, and the pairs that may
// lose packets until the new intent is applied. The new intent need not connect these pairs.
func change(edit func(*document, *rand.Rand) (what string, takes scope)) func(*document, *rand.Rand) step {
	return func(t *document, r *rand.Rand) step {
		next := t.clone()
		what, takes := edit(next, r)
		return step{what: what, takes: takes, intent: next, do: func(_ context.Context, s *site) error { return s.load() }}
	}
}

// toggle removes the matching element from s, or adds x if no element matches.
func toggle[T any](s *[]T, x T, match func(T) bool) (added bool) {
	before := len(*s)
	*s = slices.DeleteFunc(*s, match)
	if len(*s) == before {
		*s = append(*s, x)
	}
	return len(*s) > before
}

func verb(added bool) string {
	if added {
		return "+ "
	}
	return "- "
}

// togglePort adds or removes the port of a machine. Without its port, the machine is reachable
// through the namespace.
func togglePort(t *document, r *rand.Rand) (string, scope) {
	n, k := 1+r.IntN(meshNetworks), 1+r.IntN(meshRouters)
	p := meshPort(n, k)
	if r.IntN(2) == 0 {
		p = remotePort(n, k)
	}
	added := toggle(&t.Ports, p, func(q port) bool { return q.ID == p.ID })
	return verb(added) + p.ID, nil
}

func changePort(t *document, r *rand.Rand) (string, scope) {
	n := 1 + r.IntN(meshNetworks)
	p := t.port(remotePort(n, 1).ID)
	if p == nil {
		return togglePort(t, r)
	}
	p.MAC = fmt.Sprintf("02:00:00:01:0%d:%02x", n, r.IntN(256))
	return p.ID + " " + p.MAC, nil
}

// A network is added with an interface of a router and a port.
func toggleNetwork(t *document, r *rand.Rand) (string, scope) {
	k := 1 + r.IntN(3)
	id := fmt.Sprintf("x%d", k)
	added := toggle(&t.Networks, network{ID: id, VLAN: 10 + k, MTU: 1500}, func(n network) bool { return n.ID == id })
	toggle(&t.Ports, port{ID: "p" + id, Network: id, MAC: fmt.Sprintf("02:00:00:00:3%d:01", k), Addresses: []string{fmt.Sprintf("10.1.%d.10", k)}},
		func(p port) bool { return p.Network == id })
	x := t.router(routerID(1 + k%meshRouters))
	toggle(&x.Interfaces, iface{x.ID + "-" + id, id, fmt.Sprintf("02:00:00:00:4%d:01", k), []string{fmt.Sprintf("10.1.%d.1/24", k)}},
		func(f iface) bool { return f.Network == id })
	return verb(added) + id, nil
}

// Packets to a network with a smaller MTU go through the namespace.
func changeMTU(t *document, r *rand.Rand) (string, scope) {
	n := &t.Networks[r.IntN(meshNetworks)]
	n.MTU = 1500 + 1400 - n.MTU
	return fmt.Sprintf("%s %d", n.ID, n.MTU), nil
}

func toggleRouter(t *document, _ *rand.Rand) (string, scope) {
	x := meshRouter(meshRouters+1, 2)
	return verb(toggle(&t.Routers, x, func(y router) bool { return y.ID == x.ID })) + x.ID, nil
}

// At most one interface of the mesh is missing.
func toggleInterface(t *document, r *rand.Rand) (string, scope) {
	for k := 1; k <= meshRouters; k++ {
		x := t.router(routerID(k))
		for n := 1; n <= meshNetworks; n++ {
			if f := meshInterface(k, n); x.on(f.Network) == nil {
				x.Interfaces = append(x.Interfaces, f)
				return "+ " + f.ID, nil
			}
		}
	}
	k := 1 + r.IntN(meshRouters)
	f := meshInterface(k, 1+r.IntN(meshNetworks))
	x := t.router(routerID(k))
	x.Interfaces = slices.DeleteFunc(x.Interfaces, func(g iface) bool { return g.ID == f.ID })
	return "- " + f.ID, nil
}

// Machines use the old MAC address until they resolve it again. A tap is down for a moment
// while its MAC address changes.
func changeInterface(t *document, r *rand.Rand) (string, scope) {
	k := 1 + r.IntN(meshRouters)
	x := t.router(routerID(k))
	f := &x.Interfaces[r.IntN(len(x.Interfaces))]
	f.MAC = fmt.Sprintf("02:00:00:02:%d%d:%02x", k, t.network(f.Network).VLAN%10, r.IntN(256))
	return f.ID + " " + f.MAC, throughInterface(x.ID, *f)
}

func toggleAddress(t *document, r *rand.Rand) (string, scope) {
	k := 1 + r.IntN(meshRouters)
	x := t.router(routerID(k))
	f := &x.Interfaces[r.IntN(len(x.Interfaces))]
	if len(f.Addresses) > 1 {
		f.Addresses = f.Addresses[:1]
		return "- a second of " + f.ID, nil
	}
	f.Addresses = append(f.Addresses, fmt.Sprintf("10.2.%d.%d/24", t.network(f.Network).VLAN, 100*k+r.IntN(55)))
	return "+ " + f.Addresses[1] + " of " + f.ID, nil
}

func toggleARP(t *document, r *rand.Rand) (string, scope) {
	x := t.router(routerID(1 + r.IntN(meshRouters)))
	x.ARPResponder = !x.ARPResponder
	return fmt.Sprintf("%s %v", x.ID, x.ARPResponder), nil
}
