package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A host drops and counts packets that other hosts send to it for machines that it does not have: those
// that its file has here, on another host, or not at all. It does not flood them to its own machines.
func TestPacketsForMachinesElsewhere(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	present := strings.Fields("b11 b21 g21")
	f.serve(fleetTopology(3, blueAndGreen, append([]string{"b28@h2", "b29@h2", "b27@h2"}, present...)))
	for _, name := range present {
		f.plug(name)
	}
	f.settle()
	sees := fleetTopology(3, blueAndGreen, append([]string{"b28@h2", "b29@h3"}, present...)) // and no b27
	f.hosts[1].write(sees)
	f.hosts[1].signal(syscall.SIGHUP)
	f.hosts[0].reportsProblem("host h2 has another intent than this host")
	f.hosts[1].settle()
	dropped := func() float64 {
		return f.hosts[1].scrape()[`ofdvr_fabric_dropped_packets_total{reason="elsewhere"}`]
	}
	at := record(t, f.machines["b21"], all(came, isProbe))
	defer at.Close()
	for i, to := range strings.Fields("b27 b28 b29") {
		before, c := dropped(), fleetMachine(0, to)
		f.hosts[1].eventually("packets for "+to+" to be counted", func() error {
			f.datagram(t, "b11", datagram{eth: c.MAC, dst: address(c, 0), from: 7, to: 7}, i)
			if dropped() == before {
				return errors.New("none was dropped")
			}
			return nil
		})
	}
	seen := f.watch(t, isProbe)
	f.send(t, "b11", "b21", 0, 100) // on the same path
	seen.arrive(map[int]string{100: "b21"})
	if n := at.Count(isProbe); n != 1 {
		t.Errorf("a machine of h2 got %d packets, want its own only", n)
	}
}

// A machine that no file has moves from another host to the host of a machine that sends to it through
// the router all the time. Its new host finds it there.
func TestUndeclaredMachineMovesHere(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, []fleetNetwork{{id: "blue", options: ", vlan: 1"}, {id: "green", options: ", vlan: 2"}})
	f.moves = true
	declared := strings.Fields("b11 g11 b21")
	f.serve(fleetTopology(2, f.networks, declared))
	for _, name := range declared {
		f.plug(name)
	}
	f.settle()
	c := fleetMachine(0, "b28")
	c.ID, c.VLAN = "", 1
	for _, host := range []int{2, 1, 2, 1} {
		f.add(host, c)
		f.speak()
		for _, from := range declared {
			for i := range 2 {
				lab.Eventually(t, patience, fmt.Sprintf("packets from %s to the machine on h%d", from, host), func() error {
					_, err := f.machines[from].Ping(t.Context(), address(c, i), lab.PingOptions{Wait: shortly})
					return err
				})
			}
		}
		f.unplug("b28")
	}
}

// A machine that sends from more MAC addresses than a host learns costs the machines of other hosts, and
// declared ones of its own host, nothing. The status of its host reports it.
func TestMachineWithManyAddresses(t *testing.T) {
	t.Parallel()
	if lab.OnKernel(t, "the test does not run: an emulated processor cannot send enough") {
		return
	}
	f := newFleet(t, 3, []fleetNetwork{{id: "blue", options: ", vlan: 1"}})
	declared := strings.Fields("b11 b21 b31")
	f.serve(fleetTopology(3, f.networks, declared))
	for _, name := range declared {
		f.plug(name)
	}
	f.settle()
	h1 := f.hosts[0]
	crowded := func() float64 {
		return h1.scrape()[`ofdvr_fabric_dropped_packets_total{reason="crowded"}`]
	}
	to := f.machines["b21"]
	h1.eventually("the limit of machines to be reached", func() error {
		for i := range 1500 {
			frame := slices.Concat(mac(to.MAC), mac(fmt.Sprintf("02:00:00:77:%02x:%02x", i>>8, i&0xff)), []byte{0x88, 0xb6}, make([]byte, 46))
			if _, err := f.ends["b11"].raw.Write(frame); err != nil {
				return err
			}
		}
		if crowded() == 0 {
			return errors.New("no packet was dropped")
		}
		return nil
	})
	h1.eventually("the status to report the limit", func() error {
		out, err := h1.Ofdvr(t.Context(), "status")
		if err == nil && !strings.Contains(out, "one network has more than 1024 of them on this host") {
			err = fmt.Errorf("the status is %s", out)
		}
		return err
	})
	c := fleetMachine(0, "b38") // only now: its host has learned nothing of it before
	c.ID, c.VLAN = "", 1
	f.add(3, c)
	for _, from := range declared {
		for i := range 2 {
			lab.Eventually(t, patience, "packets from "+from+" to the machine that is not declared", func() error {
				_, err := f.machines[from].Ping(t.Context(), address(c, i), lab.PingOptions{Wait: shortly})
				return err
			})
			ping(t, f.machines["b38"], address(f.machines[from].MachineConfig, i), lab.PingOptions{})
		}
	}
	for _, name := range []string{"b11", "b31"} {
		ping(t, f.machines["b21"], f.machines[name].IP(), lab.PingOptions{})
	}
}

// If no file has a machine, packets reach it through the namespace of the sender's host, on any
// host. Its own packets reach other machines.
func TestUndeclaredMachine(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, []fleetNetwork{{id: "blue", options: ", vlan: 1"}, {id: "green", options: ", vlan: 2"}})
	declared := strings.Fields("b11 g11 b21 g21 b31 g31")
	f.serve(fleetTopology(3, f.networks, declared))
	for _, name := range declared {
		f.plug(name)
	}
	undeclared := []string{"b28", "g38"}
	for _, name := range undeclared {
		c := fleetMachine(f.network(name), name)
		c.ID, c.VLAN = "", uint16(f.network(name)+1)
		f.add(int(name[1]-'0'), c)
	}
	f.settle()
	for _, name := range undeclared {
		for _, other := range slices.Concat(declared, undeclared) {
			if name == other {
				continue
			}
			for _, pair := range [][2]string{{other, name}, {name, other}} {
				for i := range 2 {
					t.Run(fmt.Sprintf("%s to %s, address %d", pair[0], pair[1], i), func(t *testing.T) {
						ttl := map[bool]int{true: 64, false: 63}[name[0] == other[0]]
						pingTTL(t, f.machines[pair[0]], address(f.machines[pair[1]].MachineConfig, i), ttl)
					})
				}
			}
		}
	}
	checkNamespaces(t, f)
}

// checkNamespaces checks that a namespace has resolved an undeclared machine only if a machine of
// its host has sent to it.
func checkNamespaces(t *testing.T, f *fleet) {
	t.Helper()
	for i, s := range f.hosts {
		if got := lab.Run(t, s.Host, "ip", "-n", netns, "neigh", "show", address(f.machines["b28"].MachineConfig, 0)); !strings.Contains(got, f.machines["b28"].MAC) {
			t.Errorf("the namespace on h%d has not resolved b28: %q", i+1, got)
		}
	}
}

// Namespaces on several hosts that ask for the same undeclared machine all get an answer to each of
// their requests, however close these are.
func TestUndeclaredMachineIsAskedFromSeveralHosts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, []fleetNetwork{{id: "blue", options: ", vlan: 1"}, {id: "green", options: ", vlan: 2"}})
	f.serve(fleetTopology(3, f.networks, strings.Fields("g11 g21 b31 g31")))
	f.askedFromSeveralHosts(t, f.plug)
}

// The same if uplinks connect the hosts.
func TestUndeclaredMachineIsAskedThroughUplinks(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	f.tagged = true
	f.uplinks()
	f.serve(uplinkTopology(3, blueAndGreen, strings.Fields("g11 g21 b31 g31")))
	f.askedFromSeveralHosts(t, f.plugTagged)
}

// askedFromSeveralHosts sends from machines on different hosts to a machine on h3 that is not declared,
// while the namespaces of the hosts do not know it.
func (f *fleet) askedFromSeveralHosts(t *testing.T, plug func(name string) *lab.Machine) {
	for _, name := range strings.Fields("g11 g21 b31 g31") {
		plug(name)
	}
	c := fleetMachine(0, "b38")
	c.ID, c.VLAN = "", 1
	if f.tagged {
		c.VLAN = 101
	}
	f.add(3, c)
	f.settle()
	versions := 2
	if f.tagged && lab.OnKernel(t, "an IPv6 machine that is not declared is not found through an uplink: the datapath cannot write the options of a solicitation") {
		versions = 1
	}
	tap := "qr-r1-blue"
	for i := range versions {
		target := address(c, i)
		request, answer := arpFor(layers.ARPRequest, target), arpFor(layers.ARPReply, target)
		if i == 1 {
			request, answer = all(isRequest, func(f lab.Frame) bool { return involves(f, target) }), advertised(target)
		}
		for range 3 {
			for _, from := range []string{"g11", "g21", "g31"} {
				s := f.hosts[from[1]-'1']
				lab.Run(t, s.Host, "ip", "-n", netns, "neigh", "flush", "to", target)
				at := s.recordIn(netns, tap, func(f lab.Frame) bool { return request(f) || answer(f) })
				pingTTL(t, f.machines[from], target, 63)
				lab.Eventually(t, patience, "an answer to each request", func() error {
					asked, answered := at.Count(all(request, func(f lab.Frame) bool { return f.Outgoing })), at.Count(all(came, answer))
					if asked == 0 || answered < asked {
						return fmt.Errorf("%d requests and %d answers", asked, answered)
					}
					return nil
				})
				at.Close()
			}
		}
	}
}
