package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	fleetSize = 3

	// unrouted is the last digit of the number of an overlay's network that has no router.
	unrouted = 2

	// A port that is not plugged in anywhere has no host.
	noHost = -1
)

// A fleet is three hosts that an underlay connects, and overlays on them.
type fleet struct {
	hosts    []*lab.Host
	underlay *lab.Underlay
	others   []*lab.Host // hosts of an overlay's central programs
}

// An overlay is one of the programs that connect and route networks on all hosts of a fleet. Each
// has a router between the networks first and first+1, whose numbers end in 0 and 1, and the network
// first+2 without a router. Network N has the addresses 10.N.0.0/16.
type overlay interface {
	name() string
	bridge() string // the bridge that its machines are plugged into
	first() int

	// start starts the overlay on a fleet, and returns when the overlay has
	// confirmed the networks and the router.
	start(ctx context.Context, f *fleet) error

	// declare adds ports to the intent. With confirmed, it returns when all hosts have confirmed
	// them. A port that is plugged in is not confirmed before its host has noticed that.
	declare(ctx context.Context, ports []fleetPort, confirmed bool) error

	// withdraw removes ports, and returns when all hosts have confirmed that.
	withdraw(ctx context.Context, ports []fleetPort) error

	// settled returns when all hosts have confirmed everything.
	settled(ctx context.Context) error

	// agent returns the running agent of a host.
	agent(host int) *lab.Process

	// startAgent starts the agent of a host again.
	startAgent(host int) error
}

// A fleetPort is a port of one of an overlay's networks.
type fleetPort struct {
	id      string
	network int
	mac     string
	address string
	host    int // host on which the machine is expected; noHost if the intent does not say
}

// gateway returns the address and the MAC address of the router on a network.
func gateway(network int) (address, mac string) {
	return fmt.Sprintf("10.%d.0.1", network), fmt.Sprintf("02:00:00:00:%02x:01", network)
}

// newFleet returns a fleet with the given overlays, which share each host's Open vSwitch. Each has a
// bridge and an address in the underlay of its own: 192.168.77.N for the first, 192.168.78.N for the
// second.
func newFleet(ctx context.Context, overlays ...overlay) (f *fleet, err error) {
	f = &fleet{}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	dir, err := os.MkdirTemp("", "ofdvr-bench-")
	if err != nil {
		return f, err
	}
	if f.underlay, err = lab.NewUnderlay(ctx, dir, 0); err != nil {
		return f, err
	}
	var links []*lab.Link
	for i := range fleetSize {
		h, err := newHost(ctx)
		if err != nil {
			return f, err
		}
		f.hosts = append(f.hosts, h)
		if err := h.AddBridge(ctx, lab.IntegrationBridge); err != nil { // [lab.Host.AddMachine] connects a machine to this bridge first
			return f, err
		}
		l, err := f.underlay.Connect(ctx, h, i+1)
		if err != nil {
			return f, err
		}
		links = append(links, l)
	}
	if err := alias(ctx, links); err != nil {
		return f, err
	}
	for _, o := range overlays {
		for _, h := range f.hosts {
			if _, err := h.Vsctl(ctx, "--may-exist", "add-br", o.bridge(), "--", "set", "bridge", o.bridge(), "datapath_type="+lab.Datapath()); err != nil {
				return f, err
			}
		}
		if err := o.start(ctx, f); err != nil {
			return f, fmt.Errorf("start %s on %d hosts: %w", o.name(), fleetSize, err)
		}
	}
	return f, nil
}

// alias gives each host of a userspace datapath the second address 192.168.78.N in the underlay.
// Open vSwitch tells tunnels of the same type apart by their addresses.
func alias(ctx context.Context, links []*lab.Link) error {
	if lab.Datapath() != lab.Userspace {
		return errors.New("only the userspace datapath is supported")
	}
	const device = "br-phy"
	for i, l := range links {
		if _, err := l.Host.Run(ctx, "ip", "addr", "add", aliasOf(i)+"/24", "dev", device); err != nil {
			return err
		}
		for k, other := range links {
			if k == i {
				continue
			}
			if _, err := l.Host.Run(ctx, "ovs-appctl", "tnl/neigh/set", device, aliasOf(k), other.MAC); err != nil {
				return err
			}
		}
		err := lab.Await(ctx, "Open vSwitch to know the second address", func() error {
			out, err := l.Host.Run(ctx, "ovs-appctl", "ovs/route/show")
			if err == nil && !strings.Contains(out, "SRC "+aliasOf(i)+"\n") {
				err = fmt.Errorf("it has these routes: %s", out)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func aliasOf(host int) string { return fmt.Sprint("192.168.78.", host+1) }

func (f *fleet) close() {
	for _, h := range append(f.others, f.hosts...) {
		h.Close()
	}
	if f.underlay != nil {
		f.underlay.Close()
	}
}

// machine makes a machine on a host, for all given ports. It is not plugged in. Its neighbour table
// has the gateways, so that no measurement waits for its kernel to ask for an address.
func (f *fleet) machine(ctx context.Context, host int, name string, ports ...fleetPort) (*lab.Machine, error) {
	c := lab.MachineConfig{Name: name, MAC: ports[0].mac, MTU: 1400}
	for _, p := range ports {
		c.Addresses = append(c.Addresses, p.address+"/16")
	}
	h := f.hosts[host]
	m, err := h.AddMachine(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := unplug(ctx, m); err != nil {
		return nil, err
	}
	for _, p := range ports {
		if p.network%10 == unrouted {
			continue
		}
		via, mac := gateway(p.network)
		other := p.network ^ 1
		for _, args := range [][]string{
			{"neigh", "replace", via, "lladdr", mac, "dev", m.Interface, "nud", "permanent"},
			{"route", "replace", fmt.Sprintf("10.%d.0.0/16", other), "via", via, "src", p.address},
		} {
			if _, err := m.Run(ctx, "ip", args...); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// plug connects a machine to an overlay as one of its ports.
func plug(ctx context.Context, m *lab.Machine, o overlay, p fleetPort) error {
	if _, err := m.Host.Vsctl(ctx, "add-port", o.bridge(), m.Name, "--", "set", "interface", m.Name, "external_ids:iface-id="+p.id); err != nil {
		return err
	}
	return announce(ctx, m, p)
}

// announce sends a gratuitous ARP request of a machine now, and repeats it four times, after the
// pauses that QEMU makes when a virtual machine has moved.
func announce(ctx context.Context, m *lab.Machine, p fleetPort) error {
	mac, err := net.ParseMAC(p.mac)
	if err != nil {
		return err
	}
	address := netip.MustParseAddr(p.address).AsSlice()
	frame := slices.Concat([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, mac, address, make([]byte, 6), address)
	if err := m.Send(frame); err != nil {
		return err
	}
	go func() {
		for _, after := range []time.Duration{50, 150, 250, 350} {
			if pause(ctx, after*time.Millisecond) != nil {
				return
			}
			m.Send(frame) // the machine may be gone
		}
	}()
	return nil
}

// unplug removes a machine's port from its bridge, whichever it is.
func unplug(ctx context.Context, m *lab.Machine) error {
	_, err := m.Host.Vsctl(ctx, "--if-exists", "del-port", m.Name)
	return err
}
