package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

const topology = `networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2}
routers:
  - id: r1
    interfaces:
      - {id: blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
      - {id: green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
ports:
  - {id: a, network: blue, mac: "02:00:00:00:00:0a", addresses: [10.0.1.10]}
  - {id: b, network: green, mac: "02:00:00:00:00:0b", addresses: [10.0.2.10]}
`

// A path has the measurements between two machines.
type path struct {
	Name       string
	Throughput sample // Gbit/s
	RTT        sample // µs, the mean of a round
	from, to   *lab.Machine
	address    string // destination address of the measurement; "" means the first address of to
}

// A way is one setup of a path between two machines. All ways share the two machines. For
// each round, plugIn connects the machines to the way's bridge and networks.
type way struct {
	path
	bridge   string // the bridge into which the machines are plugged
	tags     [2]int // tags of the machines' ports; 0 for no tag
	networks [2]int // n of their networks 10.0.n.0/24; two machines on one network have addresses .10 and .11
}

// addressOf returns the address of a machine.
func (w *way) addressOf(machine int) string {
	last := 10
	if machine == 1 && w.networks[0] == w.networks[1] {
		last++
	}
	return fmt.Sprintf("10.0.%d.%d", w.networks[machine], last)
}

// datapath compares the same traffic in four setups on one switch: within a network,
// routed by ofdvr's flows, routed by a kernel namespace with taps on the integration
// bridge, like Neutron's, and routed by OVN's flows. It runs on the userspace datapath
// and, if possible, on the kernel's datapath.
func datapath(ctx context.Context, rounds int) (section, error) {
	paths, err := measurePaths(ctx, rounds)
	if err != nil {
		return "", err
	}
	kernel, err := measureInGuest(ctx, rounds)
	if err != nil {
		return "", fmt.Errorf("on the kernel's datapath: %w", err)
	}
	rows := [][]string{{"way", "Gbit/s", "of layer 2", "round trip, µs", "of layer 2"}}
	for i, p := range paths {
		rows = append(rows, append([]string{p.Name}, p.cells(paths[0])...))
		if kernel.Paths != nil {
			rows[i+1] = append(rows[i+1], kernel.Paths[i].cells(kernel.Paths[0])...)
		}
	}
	if kernel.Paths == nil {
		return table(rows), nil
	}
	mark := "kernel's"
	if kernel.Emulated {
		mark += ", emulated"
	}
	for _, title := range rows[0][1:] {
		rows[0] = append(rows[0], mark+": "+title)
	}
	return table(rows) + section("\nThe columns of the kernel's datapath: "+kernel.Machine+"\n"), nil
}

// cells returns p's columns, with ratios to layer 2.
func (p path) cells(layer2 path) []string {
	return []string{p.Throughput.spread("%.2f"), p.Throughput.over(layer2.Throughput).spread("%.2f"),
		p.RTT.spread("%.0f"), p.RTT.over(layer2.RTT).spread("%.2f")}
}

// measurePaths measures all setups on the lab's datapath. Layer 2 comes first.
func measurePaths(ctx context.Context, rounds int) ([]path, error) {
	h, err := newHost(ctx)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	machines, ways, err := buildWays(ctx, h)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		for i := range ways {
			w := &ways[(i+round)%len(ways)] // rotates the order, so that each setup is measured first in some rounds
			if err := w.round(ctx, machines, round%2); err != nil {
				return nil, fmt.Errorf("%s: %w", w.Name, err)
			}
			n := len(w.RTT) - 1
			fmt.Fprintf(os.Stderr, "  round %2d  %-24s %6.2f Gbit/s  %6.1f µs\n", round+1, w.Name, w.Throughput[n], w.RTT[n])
		}
	}
	paths := make([]path, len(ways))
	for i := range ways {
		paths[i] = ways[i].path
	}
	return paths, nil
}

func newHost(ctx context.Context) (*lab.Host, error) {
	dir, err := os.MkdirTemp("", "ofdvr-bench-")
	if err != nil {
		return nil, err
	}
	h, err := lab.NewHost(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := h.StartOVS(ctx); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// buildWays makes the two machines and the routers. Layer 2 comes first.
func buildWays(ctx context.Context, h *lab.Host) (machines [2]*lab.Machine, ways []way, err error) {
	ways = []way{
		{path: path{Name: "layer 2"}, bridge: lab.IntegrationBridge, tags: [2]int{5, 5}, networks: [2]int{5, 5}},
		{path: path{Name: "ofdvr"}, bridge: lab.IntegrationBridge, tags: [2]int{1, 2}, networks: [2]int{1, 2}},
		{path: path{Name: "kernel namespace"}, bridge: lab.IntegrationBridge, tags: [2]int{3, 4}, networks: [2]int{3, 4}},
		{path: path{Name: "OVN"}, bridge: ovnBridge, networks: [2]int{6, 7}},
	}
	for _, bridge := range []string{lab.IntegrationBridge, ovnBridge} {
		if err := h.AddBridge(ctx, bridge); err != nil {
			return machines, nil, err
		}
	}
	for i, name := range []string{"a", "b"} {
		c := lab.MachineConfig{Name: name, MAC: fmt.Sprintf("02:00:00:00:00:%02x", 0xa+i)}
		for k := range ways {
			c.Addresses = append(c.Addresses, ways[k].addressOf(i)+"/24")
		}
		m, err := h.AddMachine(ctx, c)
		if err != nil {
			return machines, nil, err
		}
		machines[i] = m
		for _, w := range ways[1:] {
			if _, err := m.Run(ctx, "ip", "route", "add", fmt.Sprintf("10.0.%d.0/24", w.networks[1-i]), "via", fmt.Sprintf("10.0.%d.1", w.networks[i])); err != nil {
				return machines, nil, err
			}
		}
	}
	for _, start := range []func(context.Context, *lab.Host) error{startOVN, startOfdvr, startKernelRouter} {
		if err := start(ctx, h); err != nil {
			return machines, nil, err
		}
	}
	return machines, ways, nil
}

// plugIn connects the two machines to the way's bridge and networks, and waits until
// packets pass.
func (w *way) plugIn(ctx context.Context, machines [2]*lab.Machine) error {
	h := machines[0].Host
	for _, m := range machines { // in separate transactions, because one transaction would leave the port unchanged
		if _, err := h.Vsctl(ctx, "del-port", m.Name); err != nil {
			return err
		}
	}
	for i, m := range machines {
		args := []string{"add-port", w.bridge, m.Name}
		if w.tags[i] != 0 {
			args = append(args, fmt.Sprintf("tag=%d", w.tags[i]))
		}
		args = append(args, "--", "set", "Interface", m.Name, "external_ids:iface-id="+m.Name)
		if _, err := h.Vsctl(ctx, args...); err != nil {
			return err
		}
	}
	return lab.Await(ctx, "packets to pass", func() error {
		_, err := machines[0].Ping(ctx, w.addressOf(1), lab.PingOptions{Wait: time.Second})
		return err
	})
}

func startOfdvr(ctx context.Context, h *lab.Host) error {
	file, err := h.WriteFile("topology.yaml", topology)
	if err != nil {
		return err
	}
	if _, err := h.StartDaemon("serve", "--topology", file); err != nil {
		return err
	}
	_, err = h.Ofdvr(ctx, "status", "--wait")
	return err
}

// startKernelRouter connects VLANs 3 and 4 with a namespace, whose taps are ports of
// the integration bridge.
func startKernelRouter(ctx context.Context, h *lab.Host) error {
	const ns = "kernel-router"
	if _, err := h.Run(ctx, "ip", "netns", "add", ns); err != nil {
		return err
	}
	if _, err := h.RunIn(ctx, ns, "sysctl", "-qw", "net.ipv4.ip_forward=1"); err != nil {
		return err
	}
	for _, vlan := range []string{"3", "4"} {
		tap := "kr-" + vlan
		if _, err := h.Vsctl(ctx, "add-port", lab.IntegrationBridge, tap, "tag="+vlan, "--", "set", "Interface", tap, "type=internal"); err != nil {
			return err
		}
		for _, command := range [][]string{
			{"ip", "link", "set", tap, "netns", ns},
			{"ip", "-n", ns, "addr", "add", "10.0." + vlan + ".1/24", "dev", tap},
			{"ip", "-n", ns, "link", "set", tap, "up"},
		} {
			if _, err := h.Run(ctx, command[0], command[1:]...); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	transferTime = "4" // seconds
	pings        = 200
	pingInterval = 5 * time.Millisecond
)

// round measures the setup once, from one machine to the other.
func (w *way) round(ctx context.Context, machines [2]*lab.Machine, from int) error {
	if err := w.plugIn(ctx, machines); err != nil {
		return err
	}
	w.from, w.to, w.address = machines[from], machines[1-from], w.addressOf(1-from)
	return w.measure(ctx)
}

// target returns the destination address of the measurement.
func (p *path) target() string { return cmp.Or(p.address, p.to.IP()) }

// measure appends one round to p.
func (p *path) measure(ctx context.Context) error {
	gbps, err := p.transfer(ctx)
	if err != nil {
		return err
	}
	ping, err := p.from.Ping(ctx, p.target(), lab.PingOptions{Count: pings, Interval: pingInterval})
	if err != nil {
		return err
	}
	var sum time.Duration
	for _, r := range ping.Replies {
		sum += r.RTT
	}
	p.Throughput = append(p.Throughput, gbps)
	p.RTT = append(p.RTT, float64(sum.Microseconds())/float64(len(ping.Replies)))
	return nil
}

// transfer returns the Gbit/s of one TCP connection.
func (p *path) transfer(ctx context.Context) (float64, error) {
	server, err := p.to.Start("iperf3", "--server", "--one-off")
	if err != nil {
		return 0, err
	}
	defer server.Kill()
	err = lab.Await(ctx, "iperf3 to listen", func() error {
		_, err := p.to.Run(ctx, "sh", "-c", "ss -Hltn sport = 5201 | grep -q .")
		return err
	})
	if err != nil {
		return 0, err
	}
	out, err := p.from.Run(ctx, "iperf3", "--client", p.target(), "--time", transferTime, "--json")
	if err != nil {
		return 0, err
	}
	var result struct {
		End struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		return 0, fmt.Errorf("read iperf3's report: %w", err)
	}
	return result.End.Received.BitsPerSecond / 1e9, nil
}
