//go:build neutron

package neutron

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// A site is a cloud with two machines on two networks, and a router between them.
type site struct {
	*Cloud
	t        *testing.T
	hosts    []*Host
	nets     []Network
	router   string
	vm1, vm2 *machine
}

// A machine is on a host and on a network of the site.
type machine struct {
	*lab.Machine
	on      *Host
	network int
	port    Port
}

// newSite makes a site with the given number of hosts. The first host has the server and vm1,
// the last host has vm2.
func newSite(t *testing.T, hosts int) *site {
	t.Helper()
	lab.Needs(t, "neutron-server")
	s := &site{t: t}
	var bare []*lab.Host
	for range hosts {
		bare = append(bare, lab.Boot(t))
	}
	var err error
	if s.Cloud, s.hosts, err = Build(t.Context(), "../../contrib/neutron", true, bare...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, h := range s.hosts {
			if t.Failed() {
				t.Logf("%s: last warnings and errors of the daemon and the L3 agent:\n%s\n%s", h.Name, complaints(h.Daemon.Log()), complaints(h.Agents.L3.Log()))
			}
		}
	})
	for i, subnet := range subnets {
		n, err := s.Network(t.Context(), fmt.Sprint("net", i), subnet)
		if err != nil {
			t.Fatal(err)
		}
		s.nets = append(s.nets, n)
	}
	s.vm1, s.vm2 = s.machine("vm1", s.hosts[0], 0, nil), s.machine("vm2", s.hosts[hosts-1], 1, nil)
	if s.router, err = s.Router(t.Context(), "r1", s.nets...); err != nil {
		t.Fatal(err)
	}
	return s
}

// complaints returns the last warnings and errors of a log.
func complaints(log string) string {
	var all []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "WARN") || strings.Contains(line, "ERROR") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return strings.Join(all[max(0, len(all)-6):], "\n")
}

var subnets = []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("10.0.2.0/24")}

// agentsReport waits until all agents have reported after the call.
func (s *site) agentsReport() {
	s.t.Helper()
	if err := s.AwaitAgents(s.t.Context(), 2*len(s.hosts)); err != nil {
		s.t.Fatal(err)
	}
}

// machine makes a machine on a host and a network.
func (s *site) machine(name string, h *Host, network int, more map[string]any) *machine {
	s.t.Helper()
	p, err := s.Port(s.t.Context(), s.nets[network], h.Name, more)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.plug(name, h, network, p)
}

func (s *site) plug(name string, h *Host, network int, p Port) *machine {
	s.t.Helper()
	m, err := s.Plug(s.t.Context(), h.Host, name, p, subnets[network])
	if err != nil {
		s.t.Fatal(err)
	}
	return &machine{m, h, network, p}
}

func (s *site) eventually(what string, f func() error) {
	s.t.Helper()
	lab.Eventually(s.t, patience, what, f)
}

// reaches waits until a machine reaches an address.
func (s *site) reaches(from *machine, to string) {
	s.t.Helper()
	s.eventually(from.Name+" to reach "+to, func() error {
		_, err := from.Ping(s.t.Context(), to, lab.PingOptions{Wait: time.Second})
		return err
	})
}

// vsctl runs ovs-vsctl and returns its output.
func vsctl(t *testing.T, h *Host, args ...string) string {
	t.Helper()
	out, err := h.Vsctl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// interfaces returns the router's port on each network.
func (s *site) interfaces() []Port {
	s.t.Helper()
	ports, err := s.Ports(s.t.Context(), "network:router_interface_distributed", s.router)
	if err != nil || len(ports) != len(s.nets) {
		s.t.Fatalf("the router has the ports %+v, %v", ports, err)
	}
	if ports[0].Network != s.nets[0].ID {
		slices.Reverse(ports)
	}
	return ports
}

// tap captures at the router's tap on a network of a host.
func (s *site) tap(h *Host, network int) *lab.Capture {
	s.t.Helper()
	name := "qr-" + s.interfaces()[network].ID[:11]
	var c *lab.Capture
	s.eventually("tap "+name+" on "+h.Name, func() (err error) {
		c, err = h.Capture("qrouter-"+s.router, name, isPing)
		return err
	})
	s.t.Cleanup(func() { c.Close() })
	return c
}

func isPing(f lab.Frame) bool {
	m, ok := f.Packet().Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	return ok && m.TypeCode.Type() == layers.ICMPv4TypeEchoRequest
}

// routed checks that the switch routes packets from one machine to another: the router's
// namespaces do not see them, and they arrive from the router's MAC address.
func (s *site) routed(from, to *machine) {
	s.t.Helper()
	for _, h := range []*Host{from.on, to.on} { // waits for both daemons, because before that the kernel may route
		s.eventually("ofdvr on "+h.Name+" to route", func() error {
			out, err := h.Ofdvr(s.t.Context(), "trace", "--from", from.port.ID, "--to", to.port.ID, "-o", "json")
			if err == nil && strings.Count(out, `"verdict": "routed"`) != 2 {
				err = errors.New(out)
			}
			return err
		})
	}
	s.reaches(from, to.IP())
	s.reaches(to, from.IP())
	var taps []*lab.Capture
	for _, h := range []*Host{from.on, to.on} {
		taps = append(taps, s.tap(h, from.network), s.tap(h, to.network))
	}
	at := lab.Record(s.t, to.Machine, func(f lab.Frame) bool { return !f.Outgoing && isPing(f) })
	s.settled(from.on, to.on)
	if _, err := from.Ping(s.t.Context(), to.IP(), lab.PingOptions{Count: 3, Wait: patience}); err != nil {
		s.t.Fatal(err)
	}
	for _, tap := range taps {
		if err := tap.Sync(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		if n := tap.Count(isPing); n > 0 {
			s.t.Errorf("%s to %s: %d pings passed through the router's namespace, want 0", from.Name, to.Name, n)
		}
		tap.Close()
	}
	f, err := at.Await(s.t.Context(), "the ping", isPing)
	if err != nil {
		s.t.Fatal(err)
	}
	eth := f.Packet().Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if want := s.interfaces()[to.network].MAC; eth.SrcMAC.String() != want {
		s.t.Errorf("%s to %s: the ping arrived from %v, want the router's %s", from.Name, to.Name, eth.SrcMAC, want)
	}
	at.Close()
}

// settled waits until the L2 agents of hosts are idle. An agent is idle when it has completed a
// round of its loop that began after the call and had no changes. When ports or groups change, and
// after a restart of ovs-vswitchd, an agent deletes flows of br-int and adds them again. In
// between, packets are lost.
func (s *site) settled(hosts ...*Host) {
	s.t.Helper()
	before := make(map[*Host]int)
	for _, h := range hosts {
		before[h] = len(h.Agents.L2.Log())
	}
	s.eventually("the L2 agents to be idle", func() error {
		for _, h := range hosts {
			if found := lastRound(h.Agents.L2.Log()[before[h]:]); found == "" || strings.ContainsAny(found, "123456789") {
				return fmt.Errorf("%s: last round: %s", h.Name, found)
			}
		}
		return nil
	})
}

var round = regexp.MustCompile(`rpc_loop - iteration:(\d+) (?:started|completed\. Processed ports statistics: (.*)\. Elapsed)`)

// lastRound returns the statistics of the last round of an L2 agent's loop from its log. It returns
// "" if the round is still running, or no round has begun.
func lastRound(log string) (found string) {
	var began string
	for _, m := range round.FindAllStringSubmatch(log, -1) {
		switch {
		case m[2] == "":
			began, found = m[1], ""
		case m[1] == began:
			found = m[2]
		}
	}
	return found
}

// bound checks that the L2 agent has bound the router's ports.
func (s *site) bound(when string) {
	s.t.Helper()
	for i, p := range s.interfaces() {
		s.eventually(when+": the port to be reported up", func() error {
			if now := s.interfaces()[i]; now.Status != "ACTIVE" {
				return errors.New(now.Status)
			}
			return nil
		})
		h, peer, vm := s.hosts[0], "pi-"+p.ID[:11], []*machine{s.vm1, s.vm2}[i]
		if got, want := vsctl(s.t, h, "get", "Port", peer, "tag"), vsctl(s.t, h, "get", "Port", vm.Name, "tag"); got != want || got == "4095" {
			s.t.Errorf("%s: %s has tag %s, and %s has %s", when, peer, got, vm.Name, want)
		}
		if got := vsctl(s.t, h, "get", "Port", peer, "vlan_mode", "trunks"); got != "[]\n[]" {
			s.t.Errorf("%s: %s has vlan_mode and trunks %q", when, peer, got)
		}
		s.eventually(when+": br-tun to have the DVR flows of the port", func() error {
			if dvr := lab.Run(s.t, h, "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "br-tun"); !strings.Contains(dvr, p.MAC) {
				return errors.New(dvr)
			}
			return nil
		})
	}
}

// An unmodified L2 agent binds the router's ports, and everything keeps working across
// restarts of each part.
func TestUnmodifiedL2Agent(t *testing.T) {
	s := newSite(t, 1)
	h := s.hosts[0]
	// Security groups apply to routed traffic. This group has no rule that allows such
	// traffic.
	var group, rule struct{ ID string }
	if err := s.create(t.Context(), "security-group", map[string]any{"name": "closed"}, &group); err != nil {
		t.Fatal(err)
	}
	closed := s.machine("closed", h, 1, map[string]any{"security_groups": []string{group.ID}})
	right := func(when string) {
		t.Helper()
		s.routed(s.vm1, s.vm2)
		s.bound(when)
		if r, err := s.vm1.Ping(t.Context(), closed.IP(), lab.PingOptions{}); !errors.Is(err, lab.ErrNoReply) {
			t.Errorf("%s: the security group allows pings: %+v, %v", when, r, err)
		}
	}
	right("at first")

	statuses := s.watchStatuses()
	if code, err := h.Daemon.Stop(t.Context()); err != nil || code != 0 {
		t.Fatalf("the daemon exited with status %d, %v", code, err)
	}
	s.reaches(s.vm1, s.vm2.IP())
	meanwhile := s.machine("meanwhile", h, 1, nil) // the agent binds its port after the restart
	h.Daemon = lab.Serve(t, h.Host, "serve")
	right("after a restart of the daemon")
	s.routed(s.vm1, meanwhile)
	h.Agents.L3.Kill()
	if err := h.Agents.StartL3(); err != nil {
		t.Fatal(err)
	}
	s.agentsReport()
	right("after a restart of the L3 agent")
	h.Agents.L2.Kill()
	if err := h.Agents.StartL2(); err != nil {
		t.Fatal(err)
	}
	s.agentsReport()
	right("after a restart of the L2 agent")
	h.Switch().Kill()
	if err := h.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := Underlay(t.Context(), h.Host, address(0)); err != nil {
		t.Fatal(err)
	}
	s.settled(h) // the agent adds flows for switching first, and replaces them by flows of security groups
	right("after a restart of ovs-vswitchd")
	if down := statuses(); len(down) > 0 {
		t.Errorf("the agents reported ports as down to the Neutron server: %v", down)
	}
	if err := s.create(t.Context(), "security-group-rule", map[string]any{"security_group_id": group.ID, "direction": "ingress", "protocol": "icmp"}, &rule); err != nil {
		t.Fatal(err)
	}
	s.reaches(s.vm1, closed.IP()) // the security group must have applied all the time

	// If a router is deleted while the L3 agent does not run, it is removed when the agent runs
	// again.
	h.Agents.L3.Kill()
	for _, n := range s.nets {
		if err := s.Leave(t.Context(), s.router, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Do(t.Context(), "DELETE", "/routers/"+s.router, nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.Agents.StartL3(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the routing bridge to be removed", func() error {
		if got := vsctl(t, h, "list-br"); strings.Contains(got, "rb-") {
			return errors.New(got)
		}
		return nil
	})
}

// Machines on the same host and on different hosts reach each other. The switch of the sender's
// host routes. This also holds for objects that are deleted and made again, and for ports that
// move. Without the extension, Neutron works as before.
func TestTwoHosts(t *testing.T) {
	s := newSite(t, 2)
	vm3 := s.machine("vm3", s.hosts[0], 1, nil)
	s.routed(s.vm1, vm3)
	s.routed(s.vm1, s.vm2)
	s.routed(s.vm2, s.vm1)

	// An interface is deleted and made again.
	if err := s.Leave(t.Context(), s.router, s.nets[1]); err != nil {
		t.Fatal(err)
	}
	s.eventually("vm1 not to reach vm2", func() error {
		if _, err := s.vm1.Ping(t.Context(), s.vm2.IP(), lab.PingOptions{Wait: time.Second}); !errors.Is(err, lab.ErrNoReply) {
			return fmt.Errorf("it still does: %w", err)
		}
		return nil
	})
	if err := s.Join(t.Context(), s.router, s.nets[1]); err != nil {
		t.Fatal(err)
	}
	s.routed(s.vm1, s.vm2)

	// A machine moves to the other host.
	lab.Run(t, s.vm2.on, "ovs-vsctl", "del-port", "br-int", "vm2")
	if err := s.Do(t.Context(), "PUT", "/ports/"+s.vm2.port.ID, map[string]any{"port": map[string]any{"binding:host_id": s.hosts[0].Name}}, nil); err != nil {
		t.Fatal(err)
	}
	s.vm2 = s.plug("vm2b", s.hosts[0], 1, s.vm2.port)
	s.routed(s.vm1, s.vm2)

	// From outside, through a floating IP, the namespaces route as always.
	lab.Run(t, s.hosts[0], "ip", "addr", "add", "203.0.113.1/24", "dev", "br-ex")
	fip, err := s.FloatingIP(t.Context(), s.router, s.vm1.port, netip.MustParsePrefix("203.0.113.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("the floating IP to answer", func() error {
		_, err := s.hosts[0].PingIn(t.Context(), "", fip, lab.PingOptions{Wait: time.Second})
		return err
	})
	s.routed(s.vm1, s.vm2)

	// Without the extension the kernel routes, as if the extension had never been installed. Then
	// the extension is used again.
	s.restartL3(s.hosts[0], false)
	tap := s.tap(s.hosts[0], 0)
	s.reaches(s.vm1, s.vm2.IP())
	s.eventually("the router's namespace to see the ping", func() error {
		if tap.Count(isPing) == 0 {
			return errors.New("it does not see it")
		}
		return nil
	})
	s.settled(s.hosts[0])
	if _, err := s.hosts[0].PingIn(t.Context(), "", fip, lab.PingOptions{Wait: patience}); err != nil {
		t.Error(err)
	}
	s.restartL3(s.hosts[0], true)
	s.routed(s.vm1, s.vm2)
}

// restartL3 restarts the L3 agent of a host with or without the extension, as docs/neutron.md
// describes.
func (s *site) restartL3(h *Host, extension bool) {
	s.t.Helper()
	h.Agents.L3.Kill()
	if !extension {
		if _, err := h.Ofdvr(s.t.Context(), "delete", "router", s.router); err != nil {
			s.t.Fatal(err)
		}
	}
	h.Agents.Extension(extension)
	if err := h.Agents.StartL3(); err != nil {
		s.t.Fatal(err)
	}
	s.agentsReport()
}

// watchStatuses watches the router's ports until the returned function is called. That function
// returns the statuses other than ACTIVE.
func (s *site) watchStatuses() func() []string {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan []string)
	go func() {
		var bad []string
		for ctx.Err() == nil {
			ports, err := s.Ports(ctx, "network:router_interface_distributed", s.router)
			for _, p := range ports {
				if err == nil && p.Status != "ACTIVE" {
					bad = append(bad, p.ID+" "+p.Status)
				}
			}
		}
		done <- bad
	}()
	return func() []string { cancel(); return <-done }
}
