package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// When the file changes, packets of other machines are not lost, and each host sends only the flow
// mods of the difference. The test adds and removes a port, and a host with its machines.
func TestFleetReloads(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	all := f.hosts
	f.hosts = all[:2]
	machines := strings.Fields("b11 g11 b21 g21")
	f.serve(fleetTopology(2, blueAndGreen, machines))
	for _, m := range machines {
		f.plug(m)
	}
	// In the userspace datapath, Open vSwitch drops packets of tunnels while it reads the host's
	// routes, which it does after each change of a link. So this one is plugged in before.
	b22 := fleetMachine(0, "b22")
	b22.VLAN = 4095
	f.add(2, b22)
	f.ends["b22"].spoke = true
	f.settle()
	f.acquainted(2)
	traffic := f.courier(t, strings.Fields("b11>g21 g21>b11 b11>b21 g11>b11 b21>g21 g21>g11")...)
	traffic.passes(50)
	// change loads a topology on all hosts. It checks that each added or deleted flow contains one
	// of the words, and took one flow mod.
	change := func(what, topology string, added, deleted []string) {
		t.Helper()
		before, mods := f.agedPrograms(), make([]float64, len(f.hosts))
		for i, s := range f.hosts {
			mods[i] = s.flowMods()
		}
		traffic.begins(what)
		f.reload(topology)
		traffic.passes(50)
		after := f.programs()
		want := make([]float64, len(f.hosts))
		for i := range f.hosts {
			total := 0
			for _, b := range []string{bridge, "br-fabric"} {
				where := fmt.Sprintf("h%d %s", i+1, b)
				come, gone := strange(before[where], after[where]), strange(after[where], before[where])
				mustConcern(t, what+": new flow on "+where, come, added)
				mustConcern(t, what+": deleted flow on "+where, gone, deleted)
				total += len(come) + len(gone)
				want[i] += float64(len(come)+len(gone)) + ofNeighbours(before[where]) + ofNeighbours(after[where])
				if err := untouched(before[where], after[where], func(key string) bool { _, stays := after[where].flows[key]; return stays }); err != nil {
					t.Errorf("%s: %s: %v", what, where, err)
				}
			}
			if total == 0 {
				t.Errorf("%s: h%d has no other flows", what, i+1)
			}
		}
		for i, s := range f.hosts {
			if n := s.flowMods() - mods[i]; n > want[i] {
				t.Errorf("%s: h%d sent %v flow mods, want %v", what, i+1, n, want[i])
			}
		}
	}
	none := []string(nil)
	words := func(name string) []string {
		c := fleetMachine(f.network(name), name)
		return []string{c.MAC, address(c, 0), address(c, 1)}
	}
	host3 := []string{"tun_src=192.168.77.3"}

	change("a port is added", fleetTopology(2, blueAndGreen, append(machines, "b22")), words("b22"), none)
	f.ends["b22"].spoke = false
	f.settle()
	ping(t, f.machines["g11"], address(b22, 0), lab.PingOptions{})
	change("a port is removed", fleetTopology(2, blueAndGreen, machines), none, words("b22"))

	change("a host is added", fleetTopology(3, blueAndGreen, machines), host3, none)
	f.hosts = all
	h3 := f.hosts[2]
	h3.write(fleetTopology(3, blueAndGreen, machines))
	h3.serve("--host", "h3")
	f.settle()
	traffic.passes(50)
	change("a port on the new host is added", fleetTopology(3, blueAndGreen, append(machines, "g31")), words("g31"), none)
	f.plug("g31")
	f.settle()
	ping(t, f.machines["b11"], address(f.machines["g31"].MachineConfig, 0), lab.PingOptions{})
	ping(t, f.machines["g31"], address(f.machines["b21"].MachineConfig, 1), lab.PingOptions{})

	f.unplug("g31")
	change("a port on the host is removed", fleetTopology(3, blueAndGreen, machines), none, words("g31"))
	h3.stop()
	f.hosts = all[:2]
	change("the host is removed", fleetTopology(2, blueAndGreen, machines), none, host3)
	traffic.end()
}

// Hosts with running daemons become a fleet when the file lists them all. Their machines were
// plugged in before, and the file does not name the machines' hosts. Still each host finds its own
// machines.
func TestHostsJoin(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	machines := strings.Fields("b11@ g12@h2 b21@ g22@")
	f.serve(strings.ReplaceAll(fleetTopology(1, blueAndGreen, machines), ", host: h2", ""))
	for _, m := range machines {
		f.plug(m[:3])
	}
	for _, m := range f.machines {
		lab.Eventually(t, patience, "the tag of "+m.Name, func() error {
			out, err := m.Host.Vsctl(t.Context(), "get", "port", m.Name, "tag")
			if err == nil && out == "[]\n" {
				err = errors.New("it has none")
			}
			return err
		})
	}
	f.reload(fleetTopology(2, blueAndGreen, machines))
	f.acquainted(2)
	for name, m := range f.machines {
		if f.hosts[f.number(m.Host)-1].flows("br-fabric").find("table=13,", "dl_src="+m.MAC+" actions=drop") == nil {
			t.Errorf("packets of tunnels from the MAC address of %s are not dropped on its own host", name)
		}
	}
	for _, pair := range [][2]string{{"b11", "b21"}, {"b11", "g22"}, {"g12", "g22"}, {"g12", "b21"}} {
		for i := range 2 {
			ping(t, f.machines[pair[0]], address(f.machines[pair[1]].MachineConfig, i), lab.PingOptions{})
			ping(t, f.machines[pair[1]], address(f.machines[pair[0]].MachineConfig, i), lab.PingOptions{})
		}
	}
}

// strange returns the flows of the second table that the first lacks, without those of neighbours.
func strange(known, t flowTable) (keys []string) {
	for _, key := range t.find() {
		if _, ok := known.flows[key]; !ok && !ofNeighbour(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// mustConcern fails the test unless each flow contains one of the words.
func mustConcern(t *testing.T, what string, flows, words []string) {
	t.Helper()
	for _, key := range flows {
		concerns := false
		for _, w := range words {
			concerns = concerns || strings.Contains(key, w)
		}
		if !concerns {
			t.Errorf("%s: %s", what, key)
		}
	}
}
