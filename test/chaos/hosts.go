package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A fleet is several hosts that an underlay connects. The mesh's machines are plugged in on all of
// them, and all have the same topology file.
type fleet struct {
	Options
	hosts  []*site
	links  []*lab.Link // of each host
	mesh   *mesh
	intent *document
	at     places
	etcd   *cluster // has the intent instead of files; may be nil
	report Report
}

// places has the index of the host of each machine, by the machine's name.
type places map[string]int

func hostID(i int) string { return fmt.Sprintf("h%d", i+1) }

// fleetMachine describes m on a host of a fleet. It gets its tag from the daemon.
func fleetMachine(m *machine) lab.MachineConfig {
	c := m.MachineConfig
	c.VLAN, c.ID, c.MTU = 4095, c.Name, fleetMTU
	return c
}

const fleetMTU = 1400

// fleetTopology returns the initial intent of a fleet, and the places of its machines. For some
// machines, the intent names the right host, for some, another host, and for some, no host.
func fleetTopology(hosts int) (*document, places) {
	t, at := meshTopology(), make(places)
	for i := range hosts {
		t.Hosts = append(t.Hosts, host{hostID(i), tunnel{fmt.Sprintf("192.168.77.%d", i+1)}})
	}
	for i := range t.Networks {
		t.Networks[i].MTU, t.Networks[i].VNI = fleetMTU, 5000+t.Networks[i].VLAN
	}
	for i, m := range machines() {
		at[m.Name] = i % hosts
		t.port(m.Name).Host = []string{hostID(i % hosts), hostID((i + 1) % hosts), ""}[i/2%3]
	}
	for n := 1; n <= meshNetworks; n++ {
		t.port(remotePort(n, 1).ID).Host = hostID(n % hosts)
	}
	return t, at
}

// HostKinds returns the number of kinds of faults of [PlayHosts].
func HostKinds() int { return len(fleetFaults) }

// PlayHosts is [Play] for faults of, and between, several hosts. Each has an Open vSwitch and an
// integration bridge; links are their links to the underlay, as hosts 1, 2 and so on.
func PlayHosts(ctx context.Context, hosts []*lab.Host, links []*lab.Link, o Options) (*Report, error) {
	script := newFleetScript(o, len(hosts), fleetFaults)
	if len(script.all) == 0 {
		return &Report{}, nil
	}
	f, err := newFleet(ctx, hosts, links, nil, o)
	if err != nil {
		return nil, err
	}
	err = f.play(ctx, script, f.step)
	return &f.report, err
}

// play plays the steps of a script.
func (f *fleet) play(ctx context.Context, script *fleetScript, step func(ctx context.Context, n int, kind string, st fleetStep) error) error {
	helpers := []func(context.Context) error{f.mesh.run}
	for _, s := range f.hosts {
		helpers = append(helpers, s.watch.run)
	}
	return during(ctx, func(ctx context.Context) error {
		if err := f.begin(ctx); err != nil {
			return err
		}
		for n := 1; n <= f.Faults; n++ {
			kind, st := script.next()
			if err := step(ctx, n, kind, st); err != nil {
				return fmt.Errorf("fault %d of %d, %s: %w", n, f.Faults, kind, err)
			}
		}
		return nil
	}, helpers...)
}

// newFleet plugs in the machines and starts the daemons. They share their intent in etcd, unless it is
// nil.
func newFleet(ctx context.Context, hosts []*lab.Host, links []*lab.Link, etcd *cluster, o Options) (*fleet, error) {
	f := &fleet{Options: o, links: links, etcd: etcd}
	f.intent, f.at = fleetTopology(len(hosts))
	for i, h := range hosts {
		s := &site{Host: h, name: hostID(i), machine: make(map[*machine]*lab.Machine), intent: f.intent, etcd: etcd}
		s.watch = &watch{s: s}
		f.hosts = append(f.hosts, s)
	}
	f.place()
	order, plugged := machines(), make(map[*machine]*lab.Machine)
	for _, m := range order {
		s := f.hosts[f.at[m.Name]]
		if err := s.plug(ctx, m, fleetMachine(m)); err != nil {
			return nil, err
		}
		plugged[m] = s.machine[m]
	}
	for _, s := range f.hosts {
		if err := s.write(); err != nil {
			return nil, err
		}
		if err := s.start(); err != nil {
			return nil, err
		}
	}
	var err error
	f.mesh, err = newMesh(ctx, plugged, order)
	for _, s := range f.hosts {
		s.mesh = f.mesh
	}
	return f, err
}

// place sets the places of machines in each site.
func (f *fleet) place() {
	at := make(map[string]string)
	for name, i := range f.at {
		at[name] = hostID(i)
	}
	for _, s := range f.hosts {
		s.places = at
	}
}

// begin waits until everything is as intended and all traffic flows.
func (f *fleet) begin(ctx context.Context) error {
	if err := f.converge(ctx); err != nil {
		return err
	}
	if err := f.mesh.flows(ctx, everything); err != nil {
		return err
	}
	_, _, _, err := f.mesh.cut(ctx, everything, everything)
	f.mesh.doubled()
	return err
}

// converge waits until everything is as intended on all hosts.
func (f *fleet) converge(ctx context.Context) error {
	for _, s := range f.hosts {
		if err := s.converge(ctx); err != nil {
			return fmt.Errorf("host %s: %w", s.name, err)
		}
	}
	return nil
}

// step injects one fault, waits until it is repaired, and checks the result against the laws.
func (f *fleet) step(ctx context.Context, n int, kind string, st fleetStep) error {
	type past struct {
		daemon *lab.Process
		mods   int
		flows  map[string]ofproto.Set
		moved  int // MAC addresses in the table of the integration bridge
	}
	var before []past
	for _, s := range f.hosts {
		scraped, err := s.watch.look(ctx)
		if err != nil {
			return err
		}
		moved, err := s.MovedAddresses(ctx, lab.IntegrationBridge)
		if err != nil {
			return err
		}
		before = append(before, past{s.running(), scraped.flowMods(), s.flows, moved})
	}
	old := f.intent
	if st.intent != nil {
		f.intent = st.intent
		for _, s := range f.hosts {
			s.intent = f.intent
		}
	}
	begin := time.Now()
	if err := st.do(ctx, f); err != nil {
		return fmt.Errorf("%s: %w", st.what, err)
	}
	if st.at != nil {
		f.at = st.at
		f.place()
	}
	over := time.Now()
	if err := f.converge(ctx); err != nil {
		return fmt.Errorf("%s: %w", st.what, err)
	}
	o := outcome{kind: kind, took: time.Since(over)}

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := f.mesh.flows(ctx, f.intent.connects); err != nil {
		return fmt.Errorf("%s: %w", st.what, err)
	}
	for _, s := range f.hosts {
		if err := s.fallback(ctx); err != nil {
			return fmt.Errorf("%s: host %s: %w", st.what, s.name, err)
		}
	}
	if st.takes == nil {
		st.takes = nothing
	}
	connected := func(p *pair) bool { return old.connects(p) && f.intent.connects(p) }
	sent, lost, wrong, err := f.mesh.cut(ctx, connected, st.takes)
	if err != nil {
		return err
	}
	o.sent, o.lost = sent, lost
	name := fmt.Sprintf("fault %d, %s", n, kind)
	for i, s := range f.hosts {
		after, err := s.watch.look(ctx)
		if err != nil {
			return err
		}
		mods := after.flowMods()
		if s.running() == before[i].daemon {
			mods -= before[i].mods
		}
		survives := st.survives
		if i != st.host {
			survives = nil
		}
		least, known := least(before[i].flows, survives, s.flows), known(before[i].flows)+known(s.flows)
		if least == 0 && !st.back && mods > 2*known {
			f.report.addBroken(name, "%d flow mods were sent on host %s although no flow had to change", mods, s.name)
		}
		moved, err := s.MovedAddresses(ctx, lab.IntegrationBridge)
		if err != nil {
			return err
		}
		if moved > before[i].moved && st.at == nil {
			f.report.addBroken(name, "on host %s, MAC addresses have moved %d times although no machine did", s.name, moved-before[i].moved)
		}
		for _, b := range s.watch.wentBack() {
			f.report.addBroken(name, "host %s: %s", s.name, b)
		}
		o.mods, o.least, o.known = o.mods+mods, o.least+least, o.known+known
	}
	f.report.add(o)
	f.Log("%3d/%d %-36s %-40s %s", n, f.Faults, kind, st.what, o)
	f.report.losses(name, wrong, begin)
	if twice := f.mesh.doubled(); len(twice) > 0 {
		f.report.addBroken(name, "packets arrived twice: %v", twice)
	}
	return nil
}

// A fleetScript selects the steps. It depends only on the options and the number of hosts.
type fleetScript struct {
	all, left []fleetFault
	rand      *rand.Rand
	layout    layout // after the steps so far
}

func newFleetScript(o Options, hosts int, faults []fleetFault) *fleetScript {
	s := &fleetScript{rand: rand.New(rand.NewPCG(o.Seed, 2)), layout: layout{hosts: hosts}}
	s.layout.intent, s.layout.at = fleetTopology(hosts)
	for _, f := range faults {
		if o.Only == nil || o.Only.MatchString(f.kind) {
			s.all = append(s.all, f)
		}
	}
	return s
}

// next returns the next step and its kind. In each round, each fault occurs once.
func (s *fleetScript) next() (kind string, st fleetStep) {
	if len(s.left) == 0 {
		s.left = append(s.left, s.all...)
		s.rand.Shuffle(len(s.left), func(i, k int) { s.left[i], s.left[k] = s.left[k], s.left[i] })
	}
	f := s.left[0]
	s.left = s.left[1:]
	at := s.layout
	at.at = maps.Clone(at.at)
	st = f.plan(at, s.rand)
	if st.intent != nil {
		s.layout.intent = st.intent
	}
	if st.at != nil {
		s.layout.at = st.at
	}
	return f.kind, st
}
