package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A fleet is several hosts, called h1, h2 and so on, that an underlay connects. Each has a daemon
// with the same topology file. When the test ends, it checks the MAC tables of the integration
// bridges.
type fleet struct {
	t        *testing.T
	hosts    []*site
	links    []*lab.Link // of each host
	networks []fleetNetwork
	machines map[string]*lab.Machine // machines that are plugged in, by name
	ends     map[string]*end         // of machines
	moves    bool                    // machines move
	impostor bool                    // a machine uses the MAC address of a gateway
	tagged   bool                    // the hosts are connected by uplinks
}

// An end has the sockets of a machine.
type end struct {
	udp   [2]net.PacketConn // one socket for each of its addresses, at port 7
	raw   io.WriteCloser    // for frames
	spoke bool              // the integration bridge knows it
}

// A fleetNetwork is network number N of a fleet's topology. Its VNI is 5000+N. Its gateway has the
// addresses 10.0.N.1 and fd00:N::1, and a MAC address that ends in 0N:01.
type fleetNetwork struct {
	id      string // its first letter begins the names of its machines
	options string // further keys
}

// blueAndGreen are two networks.
var blueAndGreen = []fleetNetwork{{id: "blue"}, {id: "green"}}

// pairs has the names of twelve machines: two on each network of blueAndGreen and each of three
// hosts. A machine's name consists of its network, its host, and a number. Its addresses end in
// host and number.
var pairs = strings.Fields("b11 b12 g11 g12 b21 b22 g21 g22 b31 b32 g31 g32")

// fleetTopology is the topology of a fleet with a router on networks. A machine's host is in its
// name, or follows an @. "b12@" means no host.
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

// gatewayMAC returns the MAC address of the gateway of a network, given by its index.
func gatewayMAC(network int) string { return fmt.Sprintf("02:00:00:00:%02d:01", network+1) }

// fleetMachine returns the configuration of a machine on a network, given by its index.
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
	f := &fleet{t: t, networks: networks, machines: make(map[string]*lab.Machine), ends: make(map[string]*end)}
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
			f.checkTable(ctx, s)
		}
	})
	return f
}

// checkTable checks the MAC table of a host's integration bridge: no address has moved, and those of
// gateways are on the ports of their routers.
func (f *fleet) checkTable(ctx context.Context, s *site) {
	f.t.Helper()
	host := f.number(s.Host)
	moved, err := s.MovedAddresses(ctx, lab.IntegrationBridge)
	if err != nil {
		f.t.Error(err)
	} else if moved != 0 && !f.moves {
		f.t.Errorf("h%d: MAC addresses have moved %d times in the table of the integration bridge", host, moved)
	}
	table, err := s.Run(ctx, "ovs-appctl", "fdb/show", lab.IntegrationBridge)
	if err != nil {
		f.t.Error(err)
	}
	for i, n := range f.networks {
		port, err := s.Vsctl(ctx, "--if-exists", "get", "interface", "pi-r1-"+n.id, "ofport")
		if err != nil {
			f.t.Error(err)
		}
		for line := range strings.Lines(table) {
			if c := strings.Fields(line); len(c) == 4 && c[2] == gatewayMAC(i) && c[0] != strings.TrimSpace(port) && !f.impostor {
				f.t.Errorf("h%d: the gateway of %s is not on port %s of the integration bridge:\n%s", host, n.id, strings.TrimSpace(port), table)
			}
		}
	}
}

// readyFleet returns a fleet with machines that are plugged in. Its daemons have applied the
// topology.
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

// plug plugs in a machine on the host in its name.
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
	var e end
	for i, udp := range []string{"udp4", "udp6"} {
		var conn net.PacketConn
		lab.Eventually(f.t, patience, "the address of "+m.Name+" to be usable", func() (err error) { // the kernel adds the address later
			conn, err = m.ListenPacket(f.t.Context(), udp, addrPort(m, i).String())
			return err
		})
		f.t.Cleanup(func() { conn.Close() })
		e.udp[i] = conn
	}
	raw, err := m.Host.Sender(m.Name, m.Interface)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { raw.Close() })
	e.raw = raw
	f.machines[m.Name], f.ends[m.Name] = m, &e
	return m
}

// send sends a probe from one machine to the ith address of another.
func (f *fleet) send(t *testing.T, from, to string, i, number int) {
	t.Helper()
	if _, err := f.ends[from].udp[i].WriteTo(probe(number), net.UDPAddrFromAddrPort(addrPort(f.machines[to], i))); err != nil {
		t.Fatal(err)
	}
}

// unplug removes a machine.
func (f *fleet) unplug(name string) {
	f.t.Helper()
	if err := f.machines[name].Remove(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	e := f.ends[name]
	for _, c := range []io.Closer{e.udp[0], e.udp[1], e.raw} {
		c.Close()
	}
	delete(f.machines, name)
	delete(f.ends, name)
}

// network returns the index of a machine's network.
func (f *fleet) network(name string) int {
	return slices.IndexFunc(f.networks, func(n fleetNetwork) bool { return n.id[0] == name[0] })
}

// reload replaces the topologies of the hosts, and waits until all hosts have applied them. It
// ignores the problem that topologies differ.
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

// settle waits until all switches have confirmed their flows, and all machines speak.
func (f *fleet) settle() {
	f.t.Helper()
	for _, s := range f.hosts {
		s.settle()
	}
	f.speak()
}

// speak waits until all machines have the tags of their networks and get answers from their
// gateways. Then the integration bridges have learned the machines. Before that, they would flood
// packets for the machines.
func (f *fleet) speak() {
	f.t.Helper()
	for name, m := range f.machines {
		e := f.ends[name]
		if e.spoke {
			continue
		}
		e.spoke = true
		lab.Eventually(f.t, patience, "the tag of "+m.Name, func() error {
			out, err := m.Host.Vsctl(f.t.Context(), "get", "port", m.Name, "tag")
			if err == nil && out == "[]\n" {
				err = errors.New("it has none")
			}
			return err
		})
		at := record(f.t, m, all(came, isARP))
		gateway := fmt.Sprintf("10.0.%d.1", f.network(name)+1)
		lab.Eventually(f.t, patience, "the gateway to answer "+m.Name, func() error { // ovs-vswitchd applies the tag a moment later
			ask(f.t, m, broadcast, address(m.MachineConfig, 0), gateway)
			ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
			defer cancel()
			_, err := at.Await(ctx, "the gateway's answer", arpFor(layers.ARPReply, gateway))
			return err
		})
		at.Close()
	}
}

// names returns the names of the machines that are plugged in, sorted.
func (f *fleet) names() []string { return slices.Sorted(maps.Keys(f.machines)) }

// addrPort returns the ith address of a machine with a UDP port.
func addrPort(m *lab.Machine, i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address(m.MachineConfig, i)), 7)
}
