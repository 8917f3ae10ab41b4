package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// machinePrefix begins the names of machines.
const machinePrefix = "vm"

const (
	portTrials = 40
	killTrials = 3
	moveTrials = 20
	loadRounds = 1
)

// betweenHosts compares ofdvr with OVN on three hosts.
func betweenHosts(ctx context.Context, rounds int) (section, error) {
	ways, trials, err := sharedHosts(ctx, rounds)
	if err != nil {
		return "", err
	}
	var loads []*load2000
	for _, o := range []overlay{&ofdvrOverlay{}, &ovnOverlay{}} {
		l, err := loaded(ctx, o, loadRounds)
		if err != nil {
			return "", fmt.Errorf("%s, %d ports: %w", o.name(), loadPorts, err)
		}
		loads = append(loads, l)
	}
	return ways + "\n" + compared(trials, loads), nil
}

// sharedHosts measures both overlays on the same three hosts.
func sharedHosts(ctx context.Context, rounds int) (section, []*trial, error) {
	overlays := []overlay{&ofdvrOverlay{}, &ovnOverlay{}}
	f, err := newFleet(ctx, overlays...)
	if err != nil {
		return "", nil, err
	}
	defer f.close()
	p, err := newHostPaths(ctx, f, overlays)
	if err != nil {
		return "", nil, err
	}
	ways, err := p.measure(ctx, max(1, rounds/2))
	if err != nil {
		return "", nil, err
	}
	var trials []*trial
	for _, o := range overlays {
		t, err := newTrial(ctx, f, o)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", o.name(), err)
		}
		defer t.close()
		trials = append(trials, t)
	}
	inTurn := func(times int, what string, f func(*trial) error) error {
		for i := range times {
			for k := range trials {
				t := trials[(i+k)%len(trials)]
				if err := f(t); err != nil {
					return fmt.Errorf("%s: %s: %w", t.overlay.name(), what, err)
				}
			}
		}
		return nil
	}
	err = inTurn(max(2, portTrials*rounds/12), "one more port", func(t *trial) error { return t.onePort(ctx) })
	if err == nil {
		err = inTurn(1, "plug in", func(t *trial) error { return t.settle(ctx) })
	}
	if err == nil {
		err = inTurn(max(2, moveTrials*rounds/12), "move", func(t *trial) error { return t.move(ctx) })
	}
	if err == nil {
		err = inTurn(max(1, killTrials*rounds/10), "kill the agents", func(t *trial) error { return t.kill(ctx) })
	}
	return ways, trials, err
}

// compared returns the table of all measurements except traffic.
func compared(trials []*trial, loads []*load2000) section {
	rows := [][]string{{"what", "ofdvr", "OVN", "OVN over ofdvr"}}
	add := func(what, format string, a, b sample) {
		ratio := "–"
		if slices.Min(a) > 0 && slices.Min(b) > 0 { // differences of times may be negative
			ratio = b.over(a).spread("%.1f")
		}
		rows = append(rows, []string{what, a.spread(format), b.spread(format), ratio})
	}
	quantiles := func(what string, a, b sample) {
		add(what+", ms: median", "%.0f", a, b)
		x, y, ratio := a.quantile(0.99), b.quantile(0.99), "–"
		if x > 0 && y > 0 {
			ratio = fmt.Sprintf("%.1f", y/x)
		}
		rows = append(rows, []string{what + ", ms: p99", fmt.Sprintf("%.0f", x), fmt.Sprintf("%.0f", y), ratio})
	}
	ports := func(size string, a, b *trial) {
		quantiles("one more port"+size+", until all hosts have confirmed it", a.confirmed, b.confirmed)
		quantiles("one more port"+size+", until another host reaches it", a.reachable, b.reachable)
		rows = append(rows, []string{"packets lost while all agents are killed and start again" + size, a.losses(), b.losses(), "–"})
	}
	a, b := trials[0], trials[1]
	ports("", a, b)
	quantiles("move to another host: outage minus the time without a port", a.moved, b.moved)
	x, y := loads[0], loads[1]
	size := ", with " + thousands(loadPorts) + " ports"
	add(thousands(loadPorts)+" ports, until all hosts have confirmed them, s", "%.2f", x.took, y.took)
	add("resident memory of the agent of each host"+size+", MB", "%.0f", x.memory, y.memory)
	rows = append(rows, []string{"resident memory of the central programs" + size + ", MB", "–", fmt.Sprintf("%.0f", y.central), "–"})
	ports(size, x.trial, y.trial)
	return table(rows)
}

// A hostWay is a path between the two machines of [hostPaths].
type hostWay struct {
	path
	overlay overlay
	ports   [2]fleetPort
}

// hostPaths are two machines on two hosts, and the ways between them. As in [datapath], all ways
// share the machines, which are plugged in again for each.
type hostPaths struct {
	machines [2]*lab.Machine
	ways     []hostWay
}

func newHostPaths(ctx context.Context, f *fleet, overlays []overlay) (*hostPaths, error) {
	p := &hostPaths{}
	var ports [2][]fleetPort
	for _, o := range overlays {
		for _, w := range []struct {
			name     string
			networks [2]int
		}{{"layer 2", [2]int{unrouted, unrouted}}, {"routed", [2]int{0, 1}}} {
			way := hostWay{path: path{Name: o.name() + ", " + w.name}, overlay: o}
			for i := range way.ports {
				n := o.first() + w.networks[i]
				way.ports[i] = fleetPort{id: fmt.Sprintf("%s%d-%d", machinePrefix, i+1, n), network: n, mac: macAddress(2, i+1),
					address: fmt.Sprintf("10.%d.0.%d", n, 11+i), host: noHost}
				ports[i] = append(ports[i], way.ports[i])
			}
			p.ways = append(p.ways, way)
		}
		all := append(p.ways[len(p.ways)-2].ports[:], p.ways[len(p.ways)-1].ports[:]...)
		if err := o.declare(ctx, all, true); err != nil {
			return nil, err
		}
	}
	for i := range p.machines {
		m, err := f.machine(ctx, i, fmt.Sprint(machinePrefix, i+1), ports[i]...)
		if err != nil {
			return nil, err
		}
		p.machines[i] = m
	}
	return p, nil
}

// measure measures TCP and round trips.
func (p *hostPaths) measure(ctx context.Context, rounds int) (section, error) {
	for round := range rounds {
		for i := range p.ways {
			w := &p.ways[(i+round)%len(p.ways)] // rotates the order, so that each way is measured first in some rounds
			if err := w.round(ctx, p.machines, round%2); err != nil {
				return "", fmt.Errorf("%s: %w", w.Name, err)
			}
			n := len(w.RTT) - 1
			fmt.Fprintf(os.Stderr, "  round %2d  %-16s %6.2f Gbit/s  %6.1f µs\n", round+1, w.Name, w.Throughput[n], w.RTT[n])
		}
	}
	rows := [][]string{{"way", "Gbit/s", "of ofdvr's layer 2", "of OVN, routed", "round trip, µs", "of ofdvr's layer 2", "of OVN, routed"}}
	first, last := &p.ways[0], &p.ways[len(p.ways)-1]
	for i := range p.ways {
		w := &p.ways[i]
		rows = append(rows, []string{w.Name,
			w.Throughput.spread("%.2f"), w.Throughput.over(first.Throughput).spread("%.2f"), w.Throughput.over(last.Throughput).spread("%.2f"),
			w.RTT.spread("%.0f"), w.RTT.over(first.RTT).spread("%.2f"), w.RTT.over(last.RTT).spread("%.2f")})
	}
	return table(rows), nil
}

// round measures the way once, from one machine to the other.
func (w *hostWay) round(ctx context.Context, machines [2]*lab.Machine, from int) error {
	if err := w.plugIn(ctx, machines); err != nil {
		return err
	}
	w.from, w.to, w.address = machines[from], machines[1-from], w.ports[1-from].address
	return w.path.measure(ctx)
}

// plugIn plugs both machines into the way's networks, and waits until packets pass.
func (w *hostWay) plugIn(ctx context.Context, machines [2]*lab.Machine) error {
	for i, m := range machines {
		if err := unplug(ctx, m); err != nil {
			return err
		}
		if err := plug(ctx, m, w.overlay, w.ports[i]); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return lab.Await(ctx, "packets to pass", func() error {
		_, err := machines[0].Ping(ctx, w.ports[1].address, lab.PingOptions{Wait: 200 * time.Millisecond})
		return err
	})
}
