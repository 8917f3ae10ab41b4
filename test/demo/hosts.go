package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

const hostsTopology = "examples/three-hosts/topology.yaml"

// A hostsDemo is a running demonstration of networks that span three hosts.
type hostsDemo struct {
	*screen
	hosts    []*demo // h1, h2 and h3
	underlay *lab.Underlay
	links    []*lab.Link
	machines map[string]*lab.Machine
}

// hostsSteps are the steps of the demonstration, in order.
var hostsSteps = []struct {
	title string
	run   func(*hostsDemo, context.Context) error
}{
	{"Three hosts, and a machine on each", (*hostsDemo).setUp},
	{"The intent: the same topology file on each host", (*hostsDemo).intent},
	{"A daemon on each host", (*hostsDemo).serve},
	{"Pings between hosts", (*hostsDemo).ping},
	{"Which hosts a packet passes", (*hostsDemo).path},
	{"A machine moves to another host", (*hostsDemo).move},
	{"A host dies: the others go on", (*hostsDemo).die},
	{"Clean up", (*hostsDemo).cleanUp},
}

const hostsNext = `
What next
  docs/many-hosts.md        the same on your own hosts, step by step
  examples/three-hosts      the topology file
  make demo                 the router of one host, flow by flow
`

// showHosts runs the demonstration on its own hosts, with their files in dir.
func showHosts(ctx context.Context, s *screen, dir string) (err error) {
	d := &hostsDemo{screen: s, machines: make(map[string]*lab.Machine)}
	defer func() {
		for _, h := range d.hosts {
			err = errors.Join(err, h.host.Close())
		}
		if d.underlay != nil {
			err = errors.Join(err, d.underlay.Close())
		}
	}()
	for i := range 3 {
		h, err := newDemo(ctx, s, filepath.Join(dir, fmt.Sprint("h", i+1)))
		if err != nil {
			return err
		}
		h.name = fmt.Sprint("h", i+1)
		d.hosts = append(d.hosts, h)
	}
	for _, step := range hostsSteps {
		s.title(step.title)
		if err := step.run(d, ctx); err != nil {
			s.clear()
			for _, h := range d.hosts {
				if h.daemon != nil {
					err = fmt.Errorf("%w\nthe log of the daemon of %s:\n%s", err, h.name, h.daemon.Log())
				}
			}
			return fmt.Errorf("step %d, %s: %w", s.step, step.title, err)
		}
	}
	io.WriteString(s.w, hostsNext)
	return nil
}

// hostsMachines are the machines of the topology file, in the order of their hosts.
var hostsMachines = []lab.MachineConfig{
	{Name: "b1", ID: "b1", MAC: "02:00:00:00:01:11", Addresses: []string{"10.0.1.11/24"}, Gateways: []string{"10.0.1.1"}, MTU: 1400},
	{Name: "b2", ID: "b2", MAC: "02:00:00:00:01:12", Addresses: []string{"10.0.1.12/24"}, Gateways: []string{"10.0.1.1"}, MTU: 1400},
	{Name: "g3", ID: "g3", MAC: "02:00:00:00:02:13", Addresses: []string{"10.0.2.13/24"}, Gateways: []string{"10.0.2.1"}, MTU: 1400},
}

func (d *hostsDemo) setUp(ctx context.Context) (err error) {
	d.say("Each of the hosts h1, h2 and h3 is a separate namespace with an Open vSwitch of its own. A\n" +
		"Linux bridge connects them: the underlay. On h1 is the “machine” (network namespace) b1, on h2\n" +
		"b2, both on the network blue. On h3 is g3, on the network green.")
	d.wait("starting Open vSwitch three times")
	if d.underlay, err = lab.NewUnderlay(ctx, filepath.Join(filepath.Dir(d.hosts[0].host.Dir()), "underlay"), 0); err != nil {
		return err
	}
	for i, h := range d.hosts {
		if err := h.host.StartOVS(ctx); err != nil {
			return err
		}
		if err := h.host.AddBridge(ctx, lab.IntegrationBridge); err != nil {
			return err
		}
		link, err := d.underlay.Connect(ctx, h.host, i+1)
		if err != nil {
			return err
		}
		d.links = append(d.links, link)
		if err := d.plug(ctx, i, hostsMachines[i]); err != nil {
			return err
		}
	}
	if _, err := d.hosts[0].try(ctx, "ovs-vsctl --columns=name,external_ids list interface b1", nil); err != nil {
		return err
	}
	d.say("The iface-id says which port of the intent a machine uses. No network spans the hosts yet:")
	out, err := d.hosts[0].try(ctx, "ip netns exec b1 ping -c 1 -W 0.5 10.0.1.12", grep("packets transmitted"))
	if err == nil || !strings.Contains(out, "100% packet loss") {
		return fmt.Errorf("the ping should have lost all packets (error: %v):\n%s", err, out)
	}
	return nil
}

// plug creates a machine on the host d.hosts[host].
func (d *hostsDemo) plug(ctx context.Context, host int, c lab.MachineConfig) error {
	m, err := d.hosts[host].host.AddMachine(ctx, c)
	if err != nil {
		return err
	}
	d.machines[c.Name] = m
	_, err = m.Run(ctx, "sh", "-c", noIPv6)
	return err
}

func (d *hostsDemo) intent(ctx context.Context) error {
	if _, err := d.hosts[0].try(ctx, "cat "+hostsTopology, nil); err != nil {
		return err
	}
	_, err := d.hosts[0].try(ctx, "ofdvr check "+hostsTopology, nil)
	return err
}

func (d *hostsDemo) serve(ctx context.Context) (err error) {
	for _, h := range d.hosts {
		line := "ofdvr serve --host " + h.name + " --topology " + hostsTopology
		h.command(line + " &")
		h.daemon, err = h.host.Start("env", append([]string{"--chdir=" + h.root, "PATH=" + h.path}, strings.Fields(line)...)...)
		if err != nil {
			return err
		}
	}
	d.wait("waiting until the hosts hear of each other")
	for _, h := range d.hosts {
		if _, err := h.quiet(ctx, "ofdvr status --wait"); err != nil {
			return err
		}
		if err := h.await(ctx, "ofdvr get hosts -o wide", `(?s)( alive +1 .*){2}`); err != nil {
			return err
		}
	}
	if _, err := d.hosts[0].try(ctx, "ofdvr get hosts -o wide", nil); err != nil {
		return err
	}
	d.say("Each daemon made the router's bridge, and a bridge with the tunnels to the other hosts, br-fabric.\n" +
		"The fabric bridge has a port to each network on br-int (fn-…) and to each router (fr-…).")
	_, err = d.hosts[0].try(ctx, "ovs-vsctl list-ports br-fabric", nil)
	return err
}

// await repeats a command line until its output matches.
func (d *demo) await(ctx context.Context, line, pattern string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return lab.Await(ctx, line, func() error {
		out, err := d.quiet(ctx, line)
		if err == nil && !regexp.MustCompile(pattern).MatchString(out) {
			err = fmt.Errorf("%s has printed %s", line, out)
		}
		return err
	})
}
