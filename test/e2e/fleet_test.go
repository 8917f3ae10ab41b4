package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A fleet is several hosts, called h1, h2 and so on, that an underlay connects. Each has a daemon
// with the same topology file. When the test ends, no MAC address must have moved in a table of an
// integration bridge.
type fleet struct {
	t        *testing.T
	hosts    []*site
	links    []*lab.Link // of each host
	networks []fleetNetwork
	machines map[string]*lab.Machine      // that are plugged in, by name
	sockets  map[string][2]net.PacketConn // of machines, for each of their addresses, at port 7
	moves    bool                         // machines move
}

// A fleetNetwork is the Nth network of a fleet's topology: its VNI is 5000+N, and its gateway has
// the addresses 10.0.N.1 and fd00:N::1 and a MAC address that ends in 0N:01.
type fleetNetwork struct {
	id      string // its first letter begins the names of its machines
	options string // further keys
}

// blueAndGreen are two networks.
var blueAndGreen = []fleetNetwork{{id: "blue"}, {id: "green"}}

// pairs are the names of two machines on each of blueAndGreen and of three hosts. A machine's name
// has its network, its host, and a number. Its addresses end in the last two.
var pairs = strings.Fields("b11 b12 g11 g12 b21 b22 g21 g22 b31 b32 g31 g32")

// fleetTopology is the topology of a fleet whose router joins networks. A machine's host is that of
// its name, or the one after an @; "b12@" has none.
func fleetTopology(hosts int, networks []fleetNetwork, machines []string) string {
	var b strings.Builder
	fmt.Fprintln(&b, "hosts:")
	for h := range hosts {
		fmt.Fprintf(&b, "  - {id: h%d, tunnel: {address: 192.168.77.%d}}\n", h+1, h+1)
	}
	fmt.Fprintln(&b, "networks:")
	for i, n := range networks {
		fmt.Fprintf(&b, "  - {id: %s, vni: %d, mtu: 1400%s}\n", n.id, 5001+i, n.options)
	}
	fmt.Fprintln(&b, "routers:\n  - id: r1\n    interfaces:")
	for i, n := range networks {
		fmt.Fprintf(&b, "      - {id: r1-%s, network: %s, mac: %q, addresses: [10.0.%d.1/24, \"fd00:%d::1/64\"]}\n", n.id, n.id, gatewayMAC(i), i+1, i+1)
	}
	fmt.Fprintln(&b, "ports:")
	for _, m := range machines {
		m, host, other := strings.Cut(m, "@")
		if !other {
			host = "h" + m[1:2]
		}
		if host != "" {
			host = ", host: " + host
		}
		n := slices.IndexFunc(networks, func(n fleetNetwork) bool { return n.id[0] == m[0] })
		c := fleetMachine(n, m)
		fmt.Fprintf(&b, "  - {id: %s, network: %s, mac: %q, addresses: [%s, %q]%s}\n", m, networks[n].id, c.MAC, address(c, 0), address(c, 1), host)
	}
	return b.String()
}

// gatewayMAC returns the MAC address of the gateway of the network with an index.
func gatewayMAC(network int) string { return fmt.Sprintf("02:00:00:00:%02d:01", network+1) }

// fleetMachine describes a machine on the network with an index.
func fleetMachine(network int, name string) lab.MachineConfig {
	c := dual(name, fmt.Sprintf("10.0.%d.%s", network+1, name[1:]))
	c.VLAN, c.ID, c.MTU = 0, name, 1400
	return c
}

// address returns a machine's ith address, without the prefix length.
func address(c lab.MachineConfig, i int) string {
	a, _, _ := strings.Cut(c.Addresses[i], "/")
	return a
}

// newFleet returns a fleet with an underlay, but without machines and daemons.
func newFleet(t *testing.T, hosts int, networks []fleetNetwork) *fleet {
	t.Helper()
	f := &fleet{t: t, networks: networks, machines: make(map[string]*lab.Machine), sockets: make(map[string][2]net.PacketConn)}
	var bare []*lab.Host
	for range hosts {
		bare = append(bare, lab.Boot(t))
		f.hosts = append(f.hosts, &site{Host: bare[len(bare)-1], t: t})
	}
	_, f.links = lab.Connect(t, 0, bare...)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, s := range f.hosts {
			out, err := s.Run(ctx, "ovs-appctl", "fdb/stats-show", lab.IntegrationBridge)
			if err != nil {
				t.Error(err)
			} else if !regexp.MustCompile(`moved MAC entries *: 0\n`).MatchString(out) && !f.moves {
				t.Errorf("h%d: MAC addresses have moved:\n%s", f.number(s.Host), out)
			}
		}
	})
	return f
}

// readyFleet returns a fleet whose daemons have applied the topology, and whose machines are plugged
// in.
func readyFleet(t *testing.T, hosts int, networks []fleetNetwork, machines []string) *fleet {
	t.Helper()
	f := newFleet(t, hosts, networks)
	f.serve(fleetTopology(hosts, networks, machines))
	for _, m := range machines {
		f.plug(m)
	}
	f.settle()
	return f
}

// number returns the number of a host.
func (f *fleet) number(h *lab.Host) int {
	return 1 + slices.IndexFunc(f.hosts, func(s *site) bool { return s.Host == h })
}

// serve starts the daemons with a topology.
func (f *fleet) serve(topology string) {
	f.t.Helper()
	for i, s := range f.hosts {
		s.write(topology)
		s.serve("--host", fmt.Sprint("h", i+1))
	}
}

// plug plugs in a machine on the host that its name says.
func (f *fleet) plug(name string) *lab.Machine { return f.plugAt(int(name[1]-'0'), name) }

// plugAt plugs in a machine on a host.
func (f *fleet) plugAt(host int, name string) *lab.Machine {
	f.t.Helper()
	return f.add(host, fleetMachine(f.network(name), name))
}

// add adds a machine to a host. It receives probes.
func (f *fleet) add(host int, c lab.MachineConfig) *lab.Machine {
	f.t.Helper()
	m := f.hosts[host-1].plug(c)
	f.machines[m.Name] = m
	var sockets [2]net.PacketConn
	for i, udp := range []string{"udp4", "udp6"} {
		var conn net.PacketConn
		lab.Eventually(f.t, patience, "the address of "+m.Name+" to be usable", func() (err error) { // the kernel makes it so later
			conn, err = m.ListenPacket(f.t.Context(), udp, addrPort(m, i).String())
			return err
		})
		f.t.Cleanup(func() { conn.Close() })
		sockets[i] = conn
	}
	f.sockets[m.Name] = sockets
	return m
}

// send sends a probe from one machine to the ith address of another.
func (f *fleet) send(t *testing.T, from, to string, i, number int) {
	t.Helper()
	if _, err := f.sockets[from][i].WriteTo(probe(number), net.UDPAddrFromAddrPort(addrPort(f.machines[to], i))); err != nil {
		t.Fatal(err)
	}
}

// unplug removes a machine.
func (f *fleet) unplug(name string) {
	f.t.Helper()
	if err := f.machines[name].Remove(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	for _, conn := range f.sockets[name] {
		conn.Close()
	}
	delete(f.machines, name)
	delete(f.sockets, name)
}

// network returns the index of a machine's network.
func (f *fleet) network(name string) int {
	return slices.IndexFunc(f.networks, func(n fleetNetwork) bool { return n.id[0] == name[0] })
}

// reload replaces the topologies of the hosts, and waits until all have applied theirs. If they
// differ, that is a problem in the status, which it ignores.
func (f *fleet) reload(topologies ...string) {
	f.t.Helper()
	before := make([]time.Time, len(f.hosts))
	for i, s := range f.hosts {
		before[i] = s.status().Intent.File.Loaded
		s.write(topologies[i%len(topologies)])
		s.signal(syscall.SIGHUP)
	}
	for i, s := range f.hosts {
		s.eventually("the topology to be applied", func() error {
			st, err := s.readStatus()
			if err != nil {
				return err
			}
			applied := st.Intent.File.Loaded.After(before[i]) && st.Fabric != nil && st.Fabric.Settled
			for _, r := range st.Routers {
				applied = applied && r.Settled
			}
			if !applied {
				err = fmt.Errorf("the status is %+v", st)
			}
			return err
		})
	}
	f.speak()
}

// settle waits until all switches have confirmed everything, and all machines speak.
func (f *fleet) settle() {
	f.t.Helper()
	for _, s := range f.hosts {
		s.settle()
	}
	f.speak()
}

// speak waits until all machines have the tags of their networks and get answers from their
// gateways. Then the integration bridges know them; before, they would send packets to them out of
// all ports.
func (f *fleet) speak() {
	f.t.Helper()
	for name, m := range f.machines {
		lab.Eventually(f.t, patience, "the tag of "+m.Name, func() error {
			out, err := m.Host.Vsctl(f.t.Context(), "get", "port", m.Name, "tag")
			if err == nil && out == "[]\n" {
				err = errors.New("it has none")
			}
			return err
		})
		at := record(f.t, m, all(came, isARP))
		gateway := fmt.Sprintf("10.0.%d.1", f.network(name)+1)
		ask(f.t, m, broadcast, address(m.MachineConfig, 0), gateway)
		await(f.t, at, "the gateway's answer", arpFor(layers.ARPReply, gateway))
		at.Close()
	}
}

// names returns the names of the machines that are plugged in, sorted.
func (f *fleet) names() []string { return slices.Sorted(maps.Keys(f.machines)) }

// unwrap returns the Ethernet frame, and the VNI, in a frame of the underlay. ok is false if f is
// not a tunnel's.
func unwrap(f lab.Frame) (inside lab.Frame, vni uint32, ok bool) {
	p := f.Packet()
	if g, is := p.Layer(layers.LayerTypeGeneve).(*layers.Geneve); is {
		return lab.Frame{Time: f.Time, Outgoing: f.Outgoing, Data: g.Payload}, g.VNI, true
	}
	if v, is := p.Layer(layers.LayerTypeVXLAN).(*layers.VXLAN); is {
		return lab.Frame{Time: f.Time, Outgoing: f.Outgoing, Data: v.Payload}, v.VNI, true
	}
	return lab.Frame{}, 0, false
}

// inTunnel is true for a frame of the underlay with a frame inside that matches.
func inTunnel(match condition) condition {
	return func(f lab.Frame) bool {
		inside, _, ok := unwrap(f)
		return ok && match(inside)
	}
}

// A lookout records the frames that match at all machines and at the links of all hosts.
type lookout struct {
	t        *testing.T
	fleet    *fleet
	machines map[string]*lab.Capture
	links    []*lab.Capture
}

// watch returns a lookout that ends with the test.
func (f *fleet) watch(t *testing.T, match condition) *lookout {
	t.Helper()
	l := &lookout{t: t, fleet: f, machines: make(map[string]*lab.Capture)}
	for name, m := range f.machines {
		l.machines[name] = record(t, m, match)
	}
	for _, link := range f.links {
		c, err := link.Capture(match)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		l.links = append(l.links, c)
	}
	return l
}

// A sighting is one frame at one place.
type sighting struct {
	where string // "b11 sent", "b11 got", "h1 sent" or "h1 got"; a host's are on the underlay
	frame lab.Frame
}

// probeMark begins the payload of a probe; its number follows.
var probeMark = []byte("ofdvr-probe-")

// probe returns the payload of a probe.
func probe(number int) []byte { return fmt.Appendf(bytes.Clone(probeMark), "%06d", number) }

// isProbe is true for a frame with a probe, even inside a tunnel.
func isProbe(f lab.Frame) bool { return bytes.Contains(f.Data, probeMark) }

// sightings returns the sightings of each probe so far.
func (l *lookout) sightings() map[int][]sighting {
	l.t.Helper()
	out := make(map[int][]sighting)
	add := func(c *lab.Capture, where string, outgoing bool) {
		if err := c.Sync(within(l.t)); err != nil {
			l.t.Fatal(err)
		}
		for _, f := range c.Frames() {
			var number int
			if _, err := fmt.Sscanf(string(f.Data[bytes.Index(f.Data, probeMark)+len(probeMark):]), "%06d", &number); err != nil {
				l.t.Fatal(err)
			}
			verb := " got"
			if f.Outgoing == outgoing {
				verb = " sent"
			}
			out[number] = append(out[number], sighting{where + verb, f})
		}
	}
	for name, c := range l.machines {
		add(c, name, true)
	}
	for i, c := range l.links {
		add(c, fmt.Sprint("h", i+1), false) // at the far end of the link
	}
	return out
}

// places returns where the frames were seen, sorted.
func places(seen []sighting) []string {
	var out []string
	for _, s := range seen {
		out = append(out, s.where)
	}
	slices.Sort(out)
	return out
}

// arrive waits until the probes with the given numbers are at the machines that should get them.
func (l *lookout) arrive(at map[int]string) {
	l.t.Helper()
	lab.Eventually(l.t, patience, "the probes to arrive", func() error {
		seen := l.sightings()
		for number, name := range at {
			if !slices.Contains(places(seen[number]), name+" got") {
				return fmt.Errorf("probe %d is missing at %s, and was seen at %v", number, name, places(seen[number]))
			}
		}
		return nil
	})
}

// addrPort returns the ith address of a machine with a UDP port.
func addrPort(m *lab.Machine, i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address(m.MachineConfig, i)), 7)
}
