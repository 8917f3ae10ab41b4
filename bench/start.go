package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// startPart divides the number of rounds, because starts take long and vary little.
const startPart = 4

// starting measures the time from the start of a daemon until all of its routers are confirmed, on
// a host where nothing exists and on a host where everything exists. The baseline is ovs-vswitchd,
// which makes the same bridges and ports in one transaction, followed by ip(8), which makes the
// namespaces and moves the taps there. The baseline has no flows, addresses and settings.
func starting(ctx context.Context, rounds int) (section, error) {
	rows := [][]string{{"routers", "ovs-vswitchd alone", "and ip(8)", "ofdvr, from nothing", "of ovs-vswitchd alone", "of it and ip(8)", "ofdvr, with everything in place"}}
	for _, n := range []int{idleRouters, manyRouters} {
		var alone, moved, first, again sample
		for range max(1, rounds/startPart) {
			made, all, err := withoutDaemon(ctx, n)
			if err != nil {
				return "", err
			}
			alone, moved = append(alone, made.Seconds()), append(moved, all.Seconds())
			d, err := startDaemon(ctx, routersTopology(n))
			if err != nil {
				return "", err
			}
			first = append(first, d.settled.Seconds())
			err = d.restart(ctx)
			d.close()
			if err != nil {
				return "", err
			}
			again = append(again, d.settled.Seconds())
			fmt.Fprintf(os.Stderr, "  %d routers: ovs-vswitchd alone %.1f s, and ip %.1f s; from nothing %.1f s, with everything in place %.1f s\n",
				n, made.Seconds(), all.Seconds(), first[len(first)-1], again[len(again)-1])
		}
		rows = append(rows, []string{fmt.Sprint(n), alone.spread("%.1f s"), moved.spread("%.1f s"), first.spread("%.1f s"),
			first.over(alone).spread("%.2f"), first.over(moved).spread("%.2f"), again.spread("%.1f s")})
	}
	return table(rows), nil
}

// restart ends the daemon and starts it again.
func (d *daemon) restart(ctx context.Context) error {
	if _, err := d.p.Stop(ctx); err != nil {
		return err
	}
	return d.serve(ctx)
}

// withoutDaemon returns the time that ovs-vswitchd takes to make the bridges and ports of n
// routers of [routersTopology], and the time until ip(8) has also moved the taps into namespaces.
func withoutDaemon(ctx context.Context, n int) (made, all time.Duration, err error) {
	h, err := newHost(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer h.Close()
	if err := h.AddBridge(ctx, lab.IntegrationBridge); err != nil {
		return 0, 0, err
	}
	args := []string{"--timeout=300"}
	add := func(command string, more ...string) { args = append(append(args, "--", command), more...) }
	var moves strings.Builder
	for r := range n {
		bridge, netns := fmt.Sprint("rb-r", r+1), fmt.Sprint("qrouter-r", r+1)
		add("add-br", bridge)
		add("set", "bridge", bridge, "datapath_type="+lab.Datapath(), "fail_mode=secure", "protocols=OpenFlow13",
			"other_config:disable-in-band=true", fmt.Sprintf("other_config:datapath-id=%016x", r+1))
		fmt.Fprintf(&moves, "netns add %s\n", netns)
		for k := range 2 {
			patch, peer, tap := fmt.Sprintf("pr-n%d-%d", r, k), fmt.Sprintf("pi-n%d-%d", r, k), fmt.Sprintf("qr-n%d-%d", r, k)
			add("add-port", bridge, patch)
			add("set", "interface", patch, "type=patch", "options:peer="+peer)
			add("add-port", lab.IntegrationBridge, peer, fmt.Sprint("tag=", 1+(2*r+k)%4094))
			add("set", "interface", peer, "type=patch", "options:peer="+patch)
			add("add-port", bridge, tap)
			add("set", "interface", tap, "type=internal")
			fmt.Fprintf(&moves, "link set %s netns %s\n", tap, netns)
		}
	}
	batch, err := h.WriteFile("moves", moves.String())
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if _, err = h.Run(ctx, "ovs-vsctl", args...); err != nil { // returns when ovs-vswitchd has applied it
		return 0, 0, err
	}
	made = time.Since(start)
	_, err = h.Run(ctx, "ip", "-batch", batch)
	return made, time.Since(start), err
}
