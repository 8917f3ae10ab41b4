package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/lab"
)

// uplinkTopology is [fleetTopology] with uplinks instead of tunnels, and VLANs from 101 on instead
// of VNIs.
func uplinkTopology(hosts int, networks []fleetNetwork, machines []string) string {
	s := fleetTopology(hosts, networks, machines)
	for i := range hosts {
		s = strings.Replace(s, fmt.Sprintf("tunnel: {address: 192.168.77.%d}", i+1), "uplink: "+lab.UplinkNIC, 1)
	}
	for i := range networks {
		s = strings.Replace(s, fmt.Sprintf("vni: %d,", 5001+i), fmt.Sprintf("vlan: %d,", 101+i), 1)
	}
	return s
}

// plugTagged plugs in a machine and gives its port the tag of its network.
func (f *fleet) plugTagged(name string) *lab.Machine {
	f.t.Helper()
	n := f.network(name)
	c := fleetMachine(n, name)
	c.VLAN = uint16(101 + n)
	return f.add(int(name[1]-'0'), c)
}

// A switch connects the uplinks of three hosts, which together route like one host.
func TestFabricUplink(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	f.tagged = true
	u := f.uplinks()
	f.serve(uplinkTopology(3, blueAndGreen, pairs))
	for _, m := range pairs {
		f.plugTagged(m)
	}
	f.settle()
	for _, s := range f.hosts {
		if got := s.vsctl("list-ports", "br-fabric"); got != "eth1\nfn-blue\nfn-green\nfr-r1" {
			t.Errorf("ports of br-fabric: %q", got)
		}
	}
	for name, m := range f.machines { // the switch learns the machine's place
		at := record(t, f.machines[name[:1]+string('1'+name[1]%3)+"1"], all(came, isARP))
		ask(t, m, broadcast, address(m.MachineConfig, 0), fmt.Sprintf("10.0.%d.99", f.network(name)+1))
		await(t, at, "the request", arpFor(layers.ARPRequest, fmt.Sprintf("10.0.%d.99", f.network(name)+1)))
		at.Close()
	}
	t.Run("EveryPair", f.everyPair)
	t.Run("OneAnswer", f.oneAnswer)
	t.Run("Errors", f.nearErrors)
	t.Run("Gratuitous", f.gratuitous)
	t.Run("Undeclared", f.undeclaredBehindUplink)
	now, err := u.Addresses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.machines {
		if want := fmt.Sprintf("uplink%d", f.number(m.Host)); !slices.Equal(now[m.MAC], []string{want}) {
			t.Errorf("the switch knows %s (%s) on ports %v, want %s", m.Name, m.MAC, now[m.MAC], want)
		}
	}
	for i := range f.hosts {
		if mac := uplinkMAC(i+1, f, 0); now[mac] == nil {
			t.Errorf("the switch has not learned %s, with which h%d routes", mac, i+1)
		}
	}
}

// An uplink with addresses of the host does not become a port, and the status says why. It becomes one
// when the addresses are gone.
func TestUplinkWithAddresses(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	f.uplinks()
	h1 := f.hosts[0]
	h1.sh("", "ip address add 198.51.100.7/24 dev "+lab.UplinkNIC)
	f.serve(uplinkTopology(2, blueAndGreen, nil))
	ports := func() string { return h1.vsctl("list-ports", "br-fabric") }
	h1.eventually("the problem", func() error {
		out, err := h1.Ofdvr(t.Context(), "status")
		if err == nil && !strings.Contains(out, "it has addresses of this host (198.51.100.7/24), which the host would lose") {
			err = fmt.Errorf("the status is %s", out)
		}
		return err
	})
	if got := ports(); got != "fn-blue\nfn-green\nfr-r1" {
		t.Errorf("ports of br-fabric: %q", got)
	}
	h1.sh("", "ip address flush dev "+lab.UplinkNIC)
	h1.settle()
	if got := ports(); got != "eth1\nfn-blue\nfn-green\nfr-r1" {
		t.Errorf("ports of br-fabric without the addresses: %q", got)
	}
}

// A pulled cable of the uplink is a problem in status and doctor. Doctor says what it does not know
// about other hosts, as they send no messages by uplinks; so does the status.
func TestUplinkWithoutLink(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	f.uplinks()
	f.serve(uplinkTopology(2, blueAndGreen, nil))
	h1 := f.hosts[0]
	h1.settle()
	const problem = "has no link, so no packets pass to other hosts"
	mustHave(t, h1.ofdvr(0, "status"), "host h2: not known, it sends no messages by its uplink\n")
	mustHave(t, h1.ofdvr(0, "doctor"), "note     hosts: uplinks carry no messages of hosts: whether packets pass to 1 host, whether they have the same intent, and whether two hosts have the same machine, is not known: h2\n")
	if err := f.links[0].Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	h1.reportsProblem("uplink " + lab.UplinkNIC + " " + problem)
	mustHave(t, h1.ofdvr(1, "doctor"), "PROBLEM  uplink "+lab.UplinkNIC+": "+problem)
	if err := f.links[0].Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	h1.eventually("the problem to go", func() error {
		out, err := h1.Ofdvr(t.Context(), "status")
		if err == nil && strings.Contains(out, problem) {
			err = fmt.Errorf("the status is %s", out)
		}
		return err
	})
	h1.ofdvr(0, "doctor")
}

// inside is like [inTunnel], but also for a fleet without tunnels.
func (f *fleet) inside(match condition) condition {
	if f.tagged {
		return match
	}
	return inTunnel(match)
}

// routedTagged is like routed, for an uplink: there a routed packet has the MAC address that only
// the sender's host uses for the gateway.
func (f *fleet) routedTagged(s sighting, from, to string) error {
	if s.where == from+" sent" {
		return nil
	}
	p := s.frame.Packet()
	n := f.network(to)
	src, ttl := f.machines[from].MAC, 64
	wire := s.where[0] == 'h'
	if from[0] != to[0] {
		src, ttl = gatewayMAC(n), 63
		if wire {
			src = uplinkMAC(int(from[1]-'0'), f, n)
		}
	}
	if tag, is := p.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q); is != wire || wire && int(tag.VLANIdentifier) != 101+n {
		return fmt.Errorf("the tag is %v", tag)
	}
	got := 0
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		got = int(ip.TTL)
	case *layers.IPv6:
		got = int(ip.HopLimit)
	}
	eth := p.LinkLayer().(*layers.Ethernet)
	if eth.SrcMAC.String() != src || eth.DstMAC.String() != f.machines[to].MAC || got != ttl {
		return fmt.Errorf("from %v to %v with TTL %d, want from %s to %s with %d", eth.SrcMAC, eth.DstMAC, got, src, f.machines[to].MAC, ttl)
	}
	return nil
}

// undeclaredBehindUplink sends to machines that are not declared, on the same host and on another.
// The namespace of the sender's host routes the packets. Each arrives once and nowhere else, and leaves
// the host only if the machine is on another.
func (f *fleet) undeclaredBehindUplink(t *testing.T) {
	gateway, err := ofproto.ParseMAC(gatewayMAC(0))
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	for _, name := range []string{"b17", "b27"} {
		c := fleetMachine(0, name)
		c.ID, c.VLAN = "", 101
		f.add(int(name[1]-'0'), c)
		arps, probes := f.watch(t, isARP), f.watch(t, isProbe)
		for _, from := range []string{"g11", "g31", "b11", "b31"} {
			ttl := 63
			if from[0] == 'b' {
				ttl = 64
			}
			for i := range 2 {
				if i == 1 && lab.OnKernel(t, "an IPv6 machine that is not declared is not found through an uplink: the datapath cannot write the options of a solicitation") {
					continue
				}
				pingTTL(t, f.machines[from], address(c, i), ttl)
				first := number
				for range 2 { // when the second has arrived, copies of the first have too
					f.send(t, from, name, i, number)
					probes.arrive(map[int]string{number: name})
					number++
				}
				want := []string{name + " got", from + " sent"}
				if from[1] != name[1] {
					want = append(want, fmt.Sprintf("h%c sent", from[1]), fmt.Sprintf("h%c got", name[1]))
				}
				slices.Sort(want)
				if got := places(probes.sightings()[first]); !slices.Equal(got, want) {
					t.Errorf("a packet from %s to %s (address %d) was seen at %v, want %v", from, name, i, got, want)
				}
			}
		}
		for _, l := range arps.links {
			if n := l.Count(func(f lab.Frame) bool { return bytes.Contains(f.Data, gateway[:]) }); n > 0 {
				t.Errorf("%d ARP packets of the uplink have the gateway's MAC address", n)
			}
		}
	}
}

// A machine that moves to another host is reached there, also if the file names its former host. The
// death of a host costs machines elsewhere no packet, and broadcasts cross the uplinks as the networks
// say.
func TestUplinkFaults(t *testing.T) {
	t.Parallel()
	networks := []fleetNetwork{{id: "blue"}, {id: "green", options: ", broadcast: dhcp"}, {id: "red", options: ", broadcast: none"}}
	f := newFleet(t, 3, networks)
	f.tagged, f.moves = true, true
	f.uplinks()
	machines := strings.Fields("b11 g11 r11 g21 b31 g31 r31")
	f.serve(uplinkTopology(3, networks, machines))
	for _, m := range machines {
		f.plugTagged(m)
	}
	f.settle()
	reached := func(from ...string) {
		t.Helper()
		for _, name := range from {
			for i := range 2 {
				lab.Eventually(t, patience, fmt.Sprintf("%s to reach b11 (address %d)", name, i), func() error {
					_, err := f.machines[name].Ping(t.Context(), address(f.machines["b11"].MachineConfig, i), lab.PingOptions{Wait: shortly})
					return err
				})
			}
		}
	}
	reached("g11", "g21", "b31", "g31")
	for _, host := range []int{2, 3, 1} {
		c := f.machines["b11"].MachineConfig
		f.unplug("b11")
		f.add(host, c)
		f.settle()
		reached("g11", "g21", "b31", "g31")
	}
	seen := f.watch(t, isProbe)
	want := make(map[int][]string)
	number := 0
	for _, c := range []struct {
		d       datagram
		crosses string // initials of the networks in which other hosts get it
	}{
		{datagram{eth: broadcast, dst: "255.255.255.255", from: 7, to: 7}, "b"},
		{datagram{eth: broadcast, src: "0.0.0.0", dst: "255.255.255.255", from: 68, to: 67}, "bg"},
	} {
		for _, from := range []string{"b11", "g11", "r11"} {
			number++
			f.datagram(t, from, c.d, number)
			if strings.Contains(c.crosses, from[:1]) {
				want[number] = append(want[number], from[:1]+"31 got")
			}
		}
	}
	for i, to := range []string{"b31", "g31", "r31"} { // later packets on the same paths
		f.send(t, to[:1]+"11", to, 0, 100+i)
		seen.arrive(map[int]string{100 + i: to})
	}
	for n, all := range seen.sightings() {
		if n >= 100 {
			continue
		}
		got := slices.DeleteFunc(places(all), func(p string) bool { return !strings.HasSuffix(p, "31 got") })
		if !slices.Equal(got, want[n]) {
			t.Errorf("broadcast %d was seen at %v, want %v", n, got, want[n])
		}
	}
	seen.close()
	traffic := f.courier(t, "g11>b31", "b31>g11")
	traffic.passes(50)
	f.hosts[1].Switch().Kill()
	traffic.passes(50)
	f.hosts[1].daemon.Kill()
	traffic.passes(50)
	if err := f.hosts[1].StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	traffic.passes(50)
	traffic.end()
}
