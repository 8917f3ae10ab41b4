package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// scattered are machines on three hosts. For some, the topology names the right host, for one,
// another host, and for some, no host.
var scattered = strings.Fields("b11 g12@ b21 g22@ b31@h1 g31@")

// scatteredFleet returns a fleet with [scattered]. All hosts know where the machines are.
func scatteredFleet(t *testing.T) *fleet {
	t.Helper()
	f := newFleet(t, 3, blueAndGreen)
	f.serve(fleetTopology(3, blueAndGreen, scattered))
	for _, m := range scattered {
		name, _, _ := strings.Cut(m, "@")
		f.plug(name)
	}
	f.settle()
	f.acquainted(2)
	return f
}

// acquainted waits until each host has heard of a number of machines on each host.
func (f *fleet) acquainted(machines int) {
	f.t.Helper()
	for i, s := range f.hosts {
		s.eventually(fmt.Sprintf("h%d to hear of all machines", i+1), func() error {
			st, err := s.readStatus()
			if err != nil {
				return err
			}
			for _, h := range st.Hosts {
				if !h.Alive || h.Machines != machines {
					return fmt.Errorf("%+v", st.Hosts)
				}
			}
			return nil
		})
	}
	f.settle()
}

// programs returns the flows of each host's routing bridge and fabric bridge, except learned ones, by
// host and bridge.
func (f *fleet) programs() map[string]flowTable {
	f.t.Helper()
	out := make(map[string]flowTable)
	for i, s := range f.hosts {
		for _, b := range []string{bridge, "br-fabric"} {
			flows := s.flows(b)
			maps.DeleteFunc(flows.flows, func(key string, _ flow) bool { return b == "br-fabric" && isLearned.MatchString(key) })
			out[fmt.Sprintf("h%d %s", i+1, b)] = flows
		}
	}
	return out
}

// isLearned is for keys of a fabric bridge's flowTable.
var isLearned = regexp.MustCompile(`^table=(6|8),.*priority=100`)

// agedPrograms waits until all flows are old enough to be compared, and then calls programs.
func (f *fleet) agedPrograms() map[string]flowTable {
	f.t.Helper()
	for _, s := range f.hosts {
		s.aged(bridge)
		s.aged("br-fabric")
	}
	return f.programs()
}

// mustBeSame fails the test if a flow has changed.
func mustBeSame(t *testing.T, before, after map[string]flowTable) {
	t.Helper()
	for where := range before {
		t.Run(where, func(t *testing.T) { mustBeUntouched(t, before[where], after[where]) })
	}
}

// ofNeighbours returns the number of flows of neighbours that a host's namespace has resolved.
func ofNeighbours(t flowTable) (n float64) {
	for key := range t.flows {
		if ofNeighbour(key) {
			n++
		}
	}
	return n
}

// crossing are pairs of scattered in both directions between h1 and the other hosts.
var crossing = strings.Fields("b11>b21 b21>b11 g12>b21 b21>g12 b11>g22 g22>b11 b11>b31 b31>b11 g12>g31 g31>g12")

// When a daemon is killed and started again, no packet is lost and no flow mod is sent. The test
// has senders and receivers on the daemon's host, and files that name the wrong host of a machine,
// or none. Other daemons need not run, although only they see the machines of their hosts.
func TestOwnDaemonRestarts(t *testing.T) {
	t.Parallel()
	f := scatteredFleet(t)
	h1, h2 := f.hosts[0], f.hosts[1]
	traffic := f.courier(t, crossing...)
	traffic.passes(50)
	before, mods := f.agedPrograms(), f.hosts[2].flowMods()
	restart := func(s *site) {
		t.Helper()
		s.daemon.Kill()
		traffic.passes(50)
		s.serve(s.flags...)
		s.settle()
		traffic.passes(50)
	}
	sent := func(s *site) {
		t.Helper()
		where := fmt.Sprintf("h%d ", f.number(s.Host)) + bridge
		allowed := ofNeighbours(before[where]) + ofNeighbours(s.flows(bridge)) // the kernel forgets some neighbours, and resolves them again
		if n := s.flowMods(); n > allowed {
			t.Errorf("h%d sent %v flow mods", f.number(s.Host), n)
		}
	}
	for _, s := range []*site{h1, h2} {
		restart(s)
		f.acquainted(2)
		sent(s)
	}
	h2.daemon.Kill()
	restart(h1)
	sent(h1)
	h2.serve(h2.flags...)
	f.acquainted(2)
	traffic.passes(50)
	sent(h1)
	sent(h2)
	if n := f.hosts[2].flowMods() - mods; n > 2*ofNeighbours(before["h3 "+bridge]) {
		t.Errorf("h3 sent %v flow mods", n)
	}
	traffic.end()
	mustBeSame(t, before, f.programs())
}

// A daemon that starts, and cannot read the database yet, changes no flow. Before, it took machines for
// plugged in that only the topology expects on its host.
func TestDaemonStartsBeforeTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	f.serve(fleetTopology(2, blueAndGreen, []string{"b11", "b21@h1", "g12@h1"}))
	for _, m := range []string{"b11", "b21"} { // not g12
		f.plug(m)
	}
	f.settle()
	f.acquainted(1)
	h1 := f.hosts[0]
	before := f.agedPrograms()
	for _, s := range f.hosts {
		s.daemon.Kill()
	}
	h1.Database().Signal(syscall.SIGSTOP)
	h1.serve(h1.flags...)
	h1.eventually("the switches to have all flows", func() error {
		st := h1.status()
		if r := st.Routers[0]; st.OVSDB.Connected || !r.Connected || r.FlowsInstalled == 0 || r.FlowsInstalled != r.FlowsWanted {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	mods := h1.flowMods()
	h1.Database().Signal(syscall.SIGCONT)
	f.hosts[1].serve(f.hosts[1].flags...)
	f.acquainted(1)
	mustBeSame(t, before, f.programs())
	if allowed := 2 * ofNeighbours(before["h1 "+bridge]); mods > allowed {
		t.Errorf("%v flow mods before the database answered", mods)
	}
}

// When the database of a host ends and starts again, no flow changes. Machines of other hosts lose
// no packet.
func TestOwnDatabaseRestarts(t *testing.T) {
	t.Parallel()
	f := scatteredFleet(t)
	h1 := f.hosts[0]
	across, others := f.courier(t, crossing...), f.courier(t, "b21>g31", "g31>b21", "g22>b31")
	across.passes(50)
	others.passes(50)
	before, transactions, mods := f.agedPrograms(), len(h1.transactions()), h1.flowMods()
	h1.Database().Kill()
	h1.eventually("the daemon to lose the database", func() error {
		if st := h1.status(); st.OVSDB.Connected {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if err := h1.StartDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.acquainted(2)
	across.passes(50)
	others.end()
	if lab.Datapath() == lab.Kernel { // the userspace datapath forwards only with its database
		across.end()
	}
	mustBeSame(t, before, f.programs())
	if n := h1.flowMods() - mods; n > 2*ofNeighbours(before["h1 "+bridge]) {
		t.Errorf("%v flow mods", n)
	}
	if n := len(h1.transactions()) - transactions; n != 0 {
		t.Errorf("%d transactions", n)
	}
}

// After a host's switch is killed and started again, each of its flows is sent once. No flow of
// another host is sent.
func TestOwnSwitchRestarts(t *testing.T) {
	t.Parallel()
	f := scatteredFleet(t)
	h1 := f.hosts[0]
	across, others := f.courier(t, crossing...), f.courier(t, "b21>g31", "g31>b21", "g22>b31")
	across.passes(50)
	others.passes(50)
	before, mods := f.agedPrograms(), h1.flowMods()
	h1.Switch().Kill()
	h1.eventually("the daemon to lose the switch", func() error {
		if st := h1.status(); st.Settled || st.Fabric.Settled {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if err := h1.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.acquainted(2)
	across.passes(50)
	others.end()
	after := f.programs()
	want := 0.0
	for where := range before {
		b, a := before[where], after[where]
		if !strings.HasPrefix(where, "h1 ") {
			mustBeUntouched(t, b, a)
			continue
		}
		for key := range b.flows {
			if _, ok := a.flows[key]; !ok && !ofNeighbour(key) {
				t.Errorf("%s: flow is gone: %s", where, key)
			}
		}
		want += float64(len(a.flows)) + ofNeighbours(a)
	}
	if n := h1.flowMods() - mods; n > want {
		t.Errorf("%v flow mods, want %v", n, want)
	}
}

// When the leader is killed, the standby daemon takes over. No packet is lost and no flow changes,
// even for machines that have moved in the meantime.
func TestStandbyTakesOverTheFabric(t *testing.T) {
	t.Parallel()
	f := scatteredFleet(t)
	f.moves = true
	h1 := f.hosts[0]
	second := h1.standby()
	f.unplug("g31")
	f.plugAt(2, "g31")
	f.settle()
	ping(t, f.machines["b11"], address(f.machines["g31"].MachineConfig, 0), lab.PingOptions{Count: 3})
	traffic := f.courier(t, crossing...)
	traffic.passes(50)
	before := f.agedPrograms()
	h1.daemon.Kill()
	h1.daemon = second
	h1.settle()
	traffic.passes(50)
	h1.eventually("messages of the other hosts", func() error {
		for _, h := range h1.status().Hosts {
			if !h.Alive {
				return fmt.Errorf("host %s is not heard", h.ID)
			}
		}
		return nil
	})
	h1.settle()
	traffic.passes(50)
	traffic.end()
	mustBeSame(t, before, f.programs())
	if n := h1.flowMods(); n > 2*ofNeighbours(before["h1 "+bridge]) {
		t.Errorf("%v flow mods", n)
	}
}

// The same holds for hosts with uplinks to one switch.
func TestOwnDaemonRestartsWithUplinks(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	f.tagged = true
	f.uplinks()
	f.serve(uplinkTopology(3, blueAndGreen, scattered))
	for _, m := range scattered {
		name, _, _ := strings.Cut(m, "@")
		f.plugTagged(name)
	}
	f.settle()
	for _, pair := range crossing {
		from, to, _ := strings.Cut(pair, ">")
		for i := range 2 {
			ping(t, f.machines[from], address(f.machines[to].MachineConfig, i), lab.PingOptions{})
		}
	}
	traffic := f.courier(t, crossing...)
	traffic.passes(50)
	before := f.agedPrograms()
	for _, s := range f.hosts[:2] {
		s.daemon.Kill()
		traffic.passes(50)
		s.serve(s.flags...)
		s.settle()
		traffic.passes(50)
		where := fmt.Sprintf("h%d ", f.number(s.Host)) + bridge
		if n := s.flowMods(); n > 2*ofNeighbours(before[where]) {
			t.Errorf("h%d sent %v flow mods", f.number(s.Host), n)
		}
	}
	traffic.end()
	mustBeSame(t, before, f.programs())
}
