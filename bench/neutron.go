package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
	"github.com/ofdvr/ofdvr/test/neutron"
)

// neutronBlocks is how often the extension is switched on and off.
const neutronBlocks = 4

// underNeutron compares traffic between machines of a real Neutron, on one host and on
// two. It measures within a network, and through a distributed router with and without
// ofdvr's extension. The extension is switched on and off several times.
func underNeutron(ctx context.Context, rounds int) (section, error) {
	a, err := newHost(ctx)
	if err != nil {
		return "", err
	}
	defer a.Close()
	b, err := newHost(ctx)
	if err != nil {
		return "", err
	}
	defer b.Close()
	for _, h := range []*lab.Host{a, b} {
		if err := h.AddBridge(ctx, lab.IntegrationBridge); err != nil {
			return "", err
		}
	}
	fmt.Fprintln(os.Stderr, "  starting Neutron on two hosts")
	c, hosts, err := neutron.Build(ctx, "../contrib/neutron", true, a, b)
	if err != nil {
		return "", err
	}
	n, err := newCloudPaths(ctx, c, hosts)
	if err != nil {
		return "", err
	}
	for block := range neutronBlocks {
		on := block%2 == 0
		if block > 0 {
			fmt.Fprintf(os.Stderr, "  the extension is switched: on is %v\n", on)
			if err := n.switchMode(ctx, on); err != nil {
				return "", err
			}
		}
		for round := range max(1, rounds/neutronBlocks) {
			if err := n.round(ctx, on, round); err != nil {
				return "", err
			}
		}
	}
	rows := [][]string{{"way", "Gbit/s", "of layer 2", "round trip, µs", "of layer 2"}}
	for _, where := range n.where {
		for _, row := range []struct {
			name    string
			of, off *path
		}{
			{"layer 2, " + where.name, &where.l2[1], &where.l2[1]},
			{"routed by ofdvr, " + where.name, &where.routed[1], &where.l2[1]},
			{"routed by Neutron's namespaces, " + where.name, &where.routed[0], &where.l2[0]},
		} {
			rows = append(rows, []string{row.name,
				row.of.Throughput.spread("%.2f"), row.of.Throughput.over(row.off.Throughput).spread("%.2f"),
				row.of.RTT.spread("%.0f"), row.of.RTT.over(row.off.RTT).spread("%.2f")})
		}
	}
	return table(rows), nil
}

// A place has two machines: on one host, or on two.
type place struct {
	name       string
	l2, routed [2]path // measurements without and with the extension
}

type cloudPaths struct {
	*neutron.Cloud
	hosts  []*neutron.Host
	router string
	where  []*place
}

// newCloudPaths makes two networks, a router and the machines.
func newCloudPaths(ctx context.Context, c *neutron.Cloud, hosts []*neutron.Host) (*cloudPaths, error) {
	n := &cloudPaths{Cloud: c, hosts: hosts}
	subnets := []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24"), netip.MustParsePrefix("10.0.2.0/24")}
	var nets []neutron.Network
	for i, s := range subnets {
		net, err := c.Network(ctx, fmt.Sprint("net", i), s)
		if err != nil {
			return nil, err
		}
		nets = append(nets, net)
	}
	machine := func(name string, host, net int) (*lab.Machine, error) {
		p, err := c.Port(ctx, nets[net], hosts[host].Name, nil)
		if err != nil {
			return nil, err
		}
		return c.Plug(ctx, hosts[host].Host, name, p, subnets[net])
	}
	var m [5]*lab.Machine // 0 is the sender; the others are on both hosts and both networks
	for i, at := range [][2]int{{0, 0}, {0, 0}, {0, 1}, {1, 0}, {1, 1}} {
		var err error
		if m[i], err = machine(fmt.Sprint("m", i), at[0], at[1]); err != nil {
			return nil, err
		}
	}
	var err error
	if n.router, err = c.Router(ctx, "r", nets...); err != nil {
		return nil, err
	}
	for i, name := range []string{"same host", "two hosts"} {
		w := &place{name: name}
		for mode := range 2 {
			w.l2[mode] = path{Name: "layer 2, " + name, from: m[0], to: m[2*i+1]}
			w.routed[mode] = path{Name: "routed, " + name, from: m[0], to: m[2*i+2]}
		}
		n.where = append(n.where, w)
	}
	return n, n.await(ctx, true)
}

// await waits until the machines reach each other in a mode, and the daemons have
// settled.
func (n *cloudPaths) await(ctx context.Context, on bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, w := range n.where {
		for _, p := range []*path{&w.l2[0], &w.routed[0]} {
			if err := lab.Await(ctx, p.to.Name+" to be reachable", func() error {
				_, err := p.from.Ping(ctx, p.to.IP(), lab.PingOptions{Wait: time.Second})
				return err
			}); err != nil {
				return err
			}
		}
	}
	for _, h := range n.hosts {
		if err := lab.Await(ctx, "the router to be in its mode", func() error {
			out, err := h.Ofdvr(ctx, "status", "-o", "json")
			if has := strings.Contains(out, `"id": "`+n.router+`"`); err == nil && (has != on || !strings.Contains(out, `"settled": true`)) {
				err = fmt.Errorf("ofdvr on %s has no router yet", h.Name)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// switchMode restarts the L3 agents with or without the extension.
func (n *cloudPaths) switchMode(ctx context.Context, on bool) error {
	for _, h := range n.hosts {
		h.Agents.L3.Kill()
		if !on {
			if _, err := h.Ofdvr(ctx, "delete", "router", n.router); err != nil {
				return err
			}
		}
		h.Agents.Extension(on)
		if err := h.Agents.StartL3(); err != nil {
			return err
		}
	}
	if err := n.AwaitAgents(ctx, 2*len(n.hosts)); err != nil {
		return err
	}
	return n.await(ctx, on)
}

// round measures every path once.
func (n *cloudPaths) round(ctx context.Context, on bool, round int) error {
	mode := 0
	if on {
		mode = 1
	}
	var paths []*path
	for _, w := range n.where {
		paths = append(paths, &w.l2[mode], &w.routed[mode])
	}
	for i := range paths {
		p := paths[(i+round)%len(paths)] // rotates the order, so that each path is measured first in some rounds
		if err := p.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		k := len(p.RTT) - 1
		fmt.Fprintf(os.Stderr, "  extension %-5v round %2d  %-24s %6.2f Gbit/s  %6.1f µs\n", on, round+1, p.Name, p.Throughput[k], p.RTT[k])
	}
	return nil
}
