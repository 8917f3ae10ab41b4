package main

import (
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
  - {id: a, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}
  - {id: b, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10]}
`

// A path is a way from one machine to another.
type path struct {
	Name       string
	Throughput sample // Gbit/s
	RTT        sample // µs, the mean of a round
	from, to   *lab.Machine
}

// datapath compares the same traffic over three ways through one switch: within
// a network, routed by ofdvr's flows, and routed by a kernel namespace whose
// taps are on the integration bridge, as Neutron's are. It does so on the
// userspace datapath and, where it can, on the kernel's.
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

// measurePaths measures the ways on the lab's datapath. Layer 2 comes first.
func measurePaths(ctx context.Context, rounds int) ([]path, error) {
	h, err := newHost(ctx)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	paths, err := buildPaths(ctx, h)
	if err != nil {
		return nil, err
	}
	for round := range rounds {
		for i := range paths {
			p := &paths[(i+round)%len(paths)] // no way is always the first of a round
			if err := p.measure(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			n := len(p.RTT) - 1
			fmt.Fprintf(os.Stderr, "  round %2d  %-24s %6.2f Gbit/s  %6.1f µs\n", round+1, p.Name, p.Throughput[n], p.RTT[n])
		}
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

// buildPaths makes the machines and both routers. Layer 2 comes first.
func buildPaths(ctx context.Context, h *lab.Host) ([]path, error) {
	if err := h.AddBridge(ctx, lab.IntegrationBridge); err != nil {
		return nil, err
	}
	var machines []*lab.Machine
	for i, vlan := range []int{1, 2, 3, 4, 5, 5} { // a and b are ofdvr's, c and d the kernel's, e and f neighbours
		m, err := h.AddMachine(ctx, lab.MachineConfig{
			Name: string(rune('a' + i)), VLAN: uint16(vlan), MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", vlan, 0x10+i/5),
			Addresses: []string{fmt.Sprintf("10.0.%d.%d/24", vlan, 10+i/5)},
			Gateways:  []string{fmt.Sprintf("10.0.%d.1", vlan)},
		})
		if err != nil {
			return nil, err
		}
		machines = append(machines, m)
	}
	if err := startOfdvr(ctx, h); err != nil {
		return nil, err
	}
	if err := startKernelRouter(ctx, h); err != nil {
		return nil, err
	}
	return []path{
		{Name: "layer 2", from: machines[4], to: machines[5]},
		{Name: "ofdvr", from: machines[0], to: machines[1]},
		{Name: "kernel namespace", from: machines[2], to: machines[3]},
	}, nil
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

// startKernelRouter joins VLANs 3 and 4 by a namespace, whose taps are ports of
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

// measure appends one round to p.
func (p *path) measure(ctx context.Context) error {
	gbps, err := p.transfer(ctx)
	if err != nil {
		return err
	}
	ping, err := p.from.Ping(ctx, p.to.IP(), lab.PingOptions{Count: pings, Interval: pingInterval})
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

// transfer returns the Gbit/s that one TCP connection brings.
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
	out, err := p.from.Run(ctx, "iperf3", "--client", p.to.IP(), "--time", transferTime, "--json")
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
