package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The files of the hosts disagree about the place of a machine. Even then, a host never passes on a
// packet of another host. Each packet comes to the underlay from its sender's host only, once for
// each receiving host. The test is with and without the machine plugged in.
func TestDisagreeingHosts(t *testing.T) {
	t.Parallel()
	others := strings.Fields("b11 g11 b21 g21 b31 g31")
	f := newFleet(t, 3, blueAndGreen)
	believes := func(host int) string {
		return fleetTopology(3, blueAndGreen, append([]string{fmt.Sprintf("b19@h%d", host)}, others...))
	}
	f.serve(believes(1))
	for _, name := range others {
		f.plug(name)
	}
	f.settle()
	target := fleetMachine(0, "b19")
	number := 0
	for _, plugged := range []bool{false, true} {
		if plugged {
			f.plug("b19")
		}
		seen := f.watch(t, isProbe)
		for combination := range 27 {
			h1, h2, h3 := combination%3+1, combination/3%3+1, combination/9+1
			f.reload(believes(h1), believes(h2), believes(h3))
			single, many := make(map[int]string), make(map[int]string) // senders
			for range 3 {
				for _, from := range f.names() {
					d := datagram{eth: target.MAC, dst: address(target, 0), from: 7, to: 7}
					if from[0] == 'g' {
						d.eth = gatewayMAC(1)
					}
					if from == "b19" {
						d.eth, d.dst = f.machines["b21"].MAC, address(f.machines["b21"].MachineConfig, 0)
					}
					number++
					single[number] = from
					f.datagram(t, from, d, number)
					number++
					many[number] = from
					f.datagram(t, from, datagram{eth: broadcast, dst: "255.255.255.255", from: 7, to: 7}, number)
				}
			}
			arrives := make(map[int]string)
			for _, from := range others { // later packets on the same paths
				for _, to := range others {
					if from[1] != to[1] {
						number++
						arrives[number] = to
						f.send(t, from, to, 0, number)
					}
				}
			}
			seen.arrive(arrives)
			all := seen.sightings()
			for n, from := range single {
				checkPassedOnce(t, all[n], from, 1)
			}
			for n, from := range many {
				checkPassedOnce(t, all[n], from, 2)
			}
			if t.Failed() {
				t.Fatalf("the hosts believed that the machine was on h%d, h%d and h%d; plugged in on h1: %v", h1, h2, h3, plugged)
			}
		}
	}
}

// checkPassedOnce fails the test if a packet came to the underlay from another host than the
// sender's, came too often, or was delivered to a host twice.
func checkPassedOnce(t *testing.T, seen []sighting, from string, most int) {
	t.Helper()
	count := make(map[string]int)
	for _, s := range seen {
		if s.where[0] == 'h' {
			count[s.where]++
		}
	}
	host := "h" + from[1:2] + " sent"
	if count[host] > most {
		t.Errorf("a packet from %s was sent %d times: %v", from, count[host], places(seen))
	}
	delete(count, host)
	for where, n := range maps.All(count) {
		if strings.HasSuffix(where, " sent") {
			t.Errorf("a packet from %s was passed on: %v", from, places(seen))
		} else if n > 1 {
			t.Errorf("a packet from %s arrived twice: %v", from, places(seen))
		}
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
