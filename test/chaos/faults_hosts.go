package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A layout is the state of a fleet that the plan of a fault depends on. (The plan also depends on
// the seed.)
type layout struct {
	hosts  int
	intent *document
	at     places
}

// A fleetFault is a kind of failure or change of a fleet.
type fleetFault struct {
	kind string
	plan func(l layout, r *rand.Rand) fleetStep
}

// A fleetStep is one planned fault. See [step] for the fields that both have.
type fleetStep struct {
	what     string
	takes    scope
	host     int // of survives
	survives func(bridge string, have ofproto.Set) ofproto.Set
	intent   *document
	at       places // where the machines are after the step; nil if none moves
	back     bool   // the intent changes, and changes back
	do       func(ctx context.Context, f *fleet) error
}

// fleetFaults has all faults of fleets.
var fleetFaults = []fleetFault{
	{"link down", linkDown},
	{"link lossy", linkLossy},
	{"daemon killed", func(l layout, r *rand.Rand) fleetStep { return onHost(l, r, daemonKilled, nothing) }},
	{"daemon restarted", func(l layout, r *rand.Rand) fleetStep { return onHost(l, r, daemonRestarted, nothing) }},
	{"all daemons killed", daemonsKilled},
	{"ovs-vswitchd killed", func(l layout, r *rand.Rand) fleetStep { return onHost(l, r, switchKilled, everything) }},
	{"ovsdb-server restarted", func(l layout, r *rand.Rand) fleetStep { return onHost(l, r, databaseRestarted, everything) }},
	{"machine moved", machineMoved},
	{"machine moved, daemon killed", machineMovedUnnoticed},
	{"machine moved, link down", machineRescued},
	{"machine's host changed in the file", machineExpected},
	{"machine's tag changed", machineRetagged},
	{"host removed and returned", hostRemoved},
	{"files differ for a while", filesDiffer},
	{"port added or removed", farPort},
	{"port added or removed, daemon killed", farPortUnnoticed},
	{"network added or removed", fleetNetwork},
	{"flows of the fabric bridge deleted", fabricFlowsDeleted},
	{"fabric bridge deleted", fabricDeleted},
	{"port of the fabric bridge deleted", fabricPortDeleted},
}

// These scopes are the traffic that faults of a host affect.

// crossing is the traffic between a host and others.
func (at places) crossing(host int) scope {
	return func(p *pair) bool { return (at[p.from.Name] == host) != (at[p.to.Name] == host) }
}

// involving is all traffic from or to a host.
func (at places) involving(host int) scope {
	return func(p *pair) bool { return at[p.from.Name] == host || at[p.to.Name] == host }
}

// of is the traffic of a machine.
func of(machine string) scope {
	return func(p *pair) bool { return p.from.Name == machine || p.to.Name == machine }
}

func either(scopes ...scope) scope {
	return func(p *pair) bool { return slices.ContainsFunc(scopes, func(s scope) bool { return s(p) }) }
}

// onHost plans a fault of one host. All traffic that involves the host is affected if takes is everything.
func onHost(l layout, r *rand.Rand, plan func(*document, *rand.Rand) step, takes scope) fleetStep {
	h := r.IntN(l.hosts)
	st := plan(l.intent, r)
	at := l.at.involving(h)
	return fleetStep{
		what:  hostID(h) + " " + st.what,
		takes: func(p *pair) bool { return takes(p) && at(p) },
		host:  h, survives: st.survives,
		do: func(ctx context.Context, f *fleet) error { return st.do(ctx, f.hosts[h]) },
	}
}

func linkDown(l layout, r *rand.Rand) fleetStep {
	h := r.IntN(l.hosts)
	return fleetStep{what: hostID(h), takes: l.at.crossing(h), do: func(ctx context.Context, f *fleet) error {
		if err := f.links[h].Down(ctx); err != nil {
			return err
		}
		return errors.Join(f.mesh.passes(ctx, rate/2), f.links[h].Up(ctx))
	}}
}

func linkLossy(l layout, r *rand.Rand) fleetStep {
	h, percent := r.IntN(l.hosts), 10+r.IntN(80)
	return fleetStep{what: fmt.Sprintf("%s %d %%", hostID(h), percent), takes: l.at.crossing(h), do: func(ctx context.Context, f *fleet) error {
		if err := f.links[h].Lossy(ctx, percent); err != nil {
			return err
		}
		return errors.Join(f.mesh.passes(ctx, rate), f.links[h].Lossy(ctx, 0))
	}}
}

func daemonsKilled(layout, *rand.Rand) fleetStep {
	return fleetStep{do: func(_ context.Context, f *fleet) error {
		for _, s := range f.hosts {
			if err := s.kill(); err != nil {
				return err
			}
		}
		for _, s := range f.hosts {
			if err := s.start(); err != nil {
				return err
			}
		}
		return nil
	}}
}

// move plans the move of a machine to another host. In the userspace datapath, Open vSwitch drops
// packets of tunnels while it reads the host's routes again, which it does after each change of a link.
func move(l layout, r *rand.Rand) (st fleetStep, from, to int) {
	name := pick(r, machines()).Name
	from = l.at[name]
	to = (from + 1 + r.IntN(l.hosts-1)) % l.hosts
	at := maps.Clone(l.at)
	at[name] = to
	st = fleetStep{what: fmt.Sprintf("%s from %s to %s", name, hostID(from), hostID(to)), at: at,
		takes: either(of(name), l.at.crossing(from), l.at.crossing(to))}
	st.do = func(ctx context.Context, f *fleet) error { return f.move(ctx, name, from, to) }
	return st, from, to
}

func (f *fleet) move(ctx context.Context, name string, from, to int) error {
	old, next := f.hosts[from], f.hosts[to]
	for m, plugged := range old.machine {
		if m.Name != name {
			continue
		}
		f.mesh.unplug(m)
		delete(old.machine, m)
		if err := plugged.Remove(ctx); err != nil {
			return err
		}
		if err := next.plug(ctx, m, fleetMachine(m)); err != nil {
			return err
		}
		return f.mesh.plug(ctx, m, next.machine[m])
	}
	return fmt.Errorf("move machine %s: it is not on host %s", name, hostID(from))
}

func machineMoved(l layout, r *rand.Rand) fleetStep {
	st, _, _ := move(l, r)
	return st
}

// The daemon of one of the two hosts does not run while a machine moves.
func machineMovedUnnoticed(l layout, r *rand.Rand) fleetStep {
	st, from, to := move(l, r)
	dead := []int{from, to}[r.IntN(2)]
	st.what += ", " + hostID(dead)
	inner := st.do
	st.do = func(ctx context.Context, f *fleet) error {
		if err := f.hosts[dead].kill(); err != nil {
			return err
		}
		if err := inner(ctx, f); err != nil {
			return err
		}
		return f.hosts[dead].start()
	}
	return st
}

// A machine moves from a host that is cut off.
func machineRescued(l layout, r *rand.Rand) fleetStep {
	st, from, _ := move(l, r)
	inner := st.do
	st.do = func(ctx context.Context, f *fleet) error {
		if err := f.links[from].Down(ctx); err != nil {
			return err
		}
		if err := inner(ctx, f); err != nil {
			return err
		}
		return errors.Join(f.mesh.passes(ctx, rate/2), f.links[from].Up(ctx))
	}
	return st
}

// load gives all hosts the same file.
func (f *fleet) load() error {
	for _, s := range f.hosts {
		s.intent = f.intent
		if err := s.load(); err != nil {
			return err
		}
	}
	return nil
}

func edited(l layout, what string, edit func(*document)) fleetStep {
	next := l.intent.clone()
	edit(next)
	return fleetStep{what: what, intent: next, do: func(_ context.Context, f *fleet) error { return f.load() }}
}

// A machine is where it is plugged in, whatever host the file names.
func machineExpected(l layout, r *rand.Rand) fleetStep {
	name, h := pick(r, machines()).Name, r.IntN(l.hosts+1)
	id := ""
	if h < l.hosts {
		id = hostID(h)
	}
	return edited(l, fmt.Sprintf("%s %q", name, id), func(t *document) { t.port(name).Host = id })
}

func machineRetagged(_ layout, r *rand.Rand) fleetStep {
	name := pick(r, machines()).Name
	return fleetStep{what: name, takes: of(name), do: func(ctx context.Context, f *fleet) error {
		return f.hosts[f.at[name]].vsctl(ctx, "set", "port", name, "tag=77")
	}}
}

// apart gives hosts other files for a while.
func (f *fleet) apart(ctx context.Context, files map[int]*document) error {
	for i, t := range files {
		f.hosts[i].intent = t
		if err := f.hosts[i].load(); err != nil {
			return err
		}
	}
	for i := range files {
		s := f.hosts[i]
		err := lab.Await(ctx, "host "+s.name+" to load another file", func() error {
			st, err := s.status(ctx)
			if err == nil && !st.Intent.File.Loaded.After(s.loaded) {
				err = errors.New("it has not yet")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := f.mesh.passes(ctx, rate/2); err != nil {
		return err
	}
	return f.load()
}

func hostRemoved(l layout, r *rand.Rand) fleetStep {
	h := r.IntN(l.hosts)
	without := l.intent.clone()
	without.Hosts = slices.DeleteFunc(without.Hosts, func(x host) bool { return x.ID == hostID(h) })
	for i := range without.Ports {
		if p := &without.Ports[i]; p.Host == hostID(h) {
			p.Host = ""
		}
	}
	files := make(map[int]*document)
	for i := range l.hosts {
		files[i] = without
	}
	return fleetStep{what: hostID(h), takes: l.at.crossing(h), back: true,
		do: func(ctx context.Context, f *fleet) error { return f.apart(ctx, files) }}
}

// In filesDiffer, the files of some hosts lack a machine, or name another host for it.
func filesDiffer(l layout, r *rand.Rand) fleetStep {
	name, on := pick(r, machines()).Name, r.Perm(l.hosts)[:1+r.IntN(l.hosts-1)]
	other := l.intent.clone()
	what := "lacks"
	if r.IntN(2) == 0 {
		other.Ports = slices.DeleteFunc(other.Ports, func(p port) bool { return p.ID == name })
	} else {
		h := r.IntN(l.hosts)
		what = "has on " + hostID(h)
		other.port(name).Host = hostID(h)
	}
	files := make(map[int]*document)
	for _, i := range on {
		files[i] = other
		what = hostID(i) + " " + what
	}
	return fleetStep{what: what + " " + name, takes: of(name), back: true,
		do: func(ctx context.Context, f *fleet) error { return f.apart(ctx, files) }}
}

// A port whose machine is plugged in nowhere.
func farPort(l layout, r *rand.Rand) fleetStep {
	p := remotePort(1+r.IntN(meshNetworks), 1+r.IntN(2))
	p.Host = hostID(r.IntN(l.hosts))
	added := false
	st := edited(l, "", func(t *document) {
		added = toggle(&t.Ports, p, func(q port) bool { return q.ID == p.ID })
	})
	st.what = verb(added) + p.ID
	return st
}

func farPortUnnoticed(l layout, r *rand.Rand) fleetStep {
	st, dead := farPort(l, r), r.IntN(l.hosts)
	st.what += ", " + hostID(dead)
	st.do = func(ctx context.Context, f *fleet) error {
		if err := f.hosts[dead].kill(); err != nil {
			return err
		}
		for i, s := range f.hosts {
			load := s.load
			if i == dead {
				load = s.write
			}
			if err := load(); err != nil {
				return err
			}
		}
		return f.hosts[dead].start()
	}
	return st
}

// A network and a router interface on it are added. So each host gets a new link, the tap of the interface.
func fleetNetwork(l layout, r *rand.Rand) fleetStep {
	what := ""
	st := edited(l, "", func(t *document) {
		what, _ = toggleNetwork(t, r)
		for i := range t.Networks {
			n := &t.Networks[i]
			n.MTU, n.VNI = fleetMTU, 5000+n.VLAN
		}
	})
	st.what, st.takes = what, func(p *pair) bool { return l.at[p.from.Name] != l.at[p.to.Name] }
	return st
}

// onFabric plans a fault of a host's fabric bridge.
func onFabric(l layout, r *rand.Rand, what string, all bool, do func(ctx context.Context, s *site) error) fleetStep {
	h := r.IntN(l.hosts)
	st := fleetStep{what: hostID(h) + what, takes: l.at.crossing(h), host: h, do: func(ctx context.Context, f *fleet) error { return do(ctx, f.hosts[h]) }}
	if all {
		st.survives = noneOf(routing.FabricBridge)
	}
	return st
}

func fabricFlowsDeleted(l layout, r *rand.Rand) fleetStep {
	return onFabric(l, r, "", true, func(ctx context.Context, s *site) error { return s.ofctl(ctx, "del-flows", routing.FabricBridge) })
}

func fabricDeleted(l layout, r *rand.Rand) fleetStep {
	return onFabric(l, r, "", true, func(ctx context.Context, s *site) error { return s.vsctl(ctx, "del-br", routing.FabricBridge) })
}

func fabricPortDeleted(l layout, r *rand.Rand) fleetStep {
	n, x := routing.Network{ID: networkID(1 + r.IntN(meshNetworks))}, routing.Router{ID: routerID(1 + r.IntN(meshRouters))}
	name := pick(r, []string{n.FabricPort(), n.FabricPeer(), x.FabricPort(), x.FabricPeer(), routing.TunnelGeneve.PortName()})
	st := onFabric(l, r, " "+name, false, func(ctx context.Context, s *site) error { return s.vsctl(ctx, "del-port", name) })
	st.back = true // flows that need the port are deleted, and added again
	return st
}
