package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// topKinds are the kinds of objects that have counters.
var topKinds = []kindWord{kindWords[1], interfaceWord, kindWords[2]}

// topSorts are the names of topOrders.
var topSorts = []string{"packets", "bits", "replies", "kernel", "name"}

func newTop() *cobra.Command {
	var c clientFlags
	t := topView{kind: interfaceWord.plural}
	var interval time.Duration
	var rounds int
	cmd := &cobra.Command{
		Use:   "top [routers|interfaces|ports]",
		Short: "Show live packet and bit rates, busiest first",
		Long: `Top shows the packets and bits per second that each router interface receives
and sends, the replies of the router (ARP, neighbour discovery, echo), and the
packets that the interface hands to the kernel. For routers it shows the sums,
and for ports the packets and bits that are routed to them. If networks span
hosts, the last line has the packets between hosts. On a terminal it
updates in place until q is pressed; ? lists all keys. Otherwise it prints one
table after another.`,
		Example: `  ofdvr top
  ofdvr top ports --interval 5s --sort bits
  ofdvr top routers --busy -n 1`,
		Args:      arguments("[KIND]"),
		ValidArgs: []string{"routers", "interfaces", "ports"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				kind, err := kindAmong(topKinds, args[0])
				if err != nil {
					return err
				}
				t.kind = kind.plural
			}
			if interval < time.Second {
				return misuse("--interval %v: want at least 1s, as Open vSwitch updates its counters once a second", interval)
			}
			if rounds < 0 {
				return misuse("--rounds %d: want 0 or more", rounds)
			}
			if topOrders[t.order] == nil {
				return misuse("--sort %s: want %s%s", t.order, words(topSorts), didYouMean(t.order, topSorts))
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			keys, restore := readKeys(cmd.InOrStdin(), cmd.OutOrStdout())
			defer restore()
			return t.run(ctx, client, cmd.OutOrStdout(), keys, interval, rounds)
		},
	}
	c.add(cmd)
	f := cmd.Flags()
	f.DurationVar(&interval, "interval", 2*time.Second, "`TIME` between two updates")
	f.IntVarP(&rounds, "rounds", "n", 0, "end after `N` updates; 0: when interrupted")
	f.StringVar(&t.order, "sort", topSorts[0], "`ORDER` of rows: "+words(topSorts))
	f.BoolVar(&t.busy, "busy", false, "hide rows without packets")
	cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(topSorts, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func readCounted(ctx context.Context, client *api.Client) (c api.Counters, err error) {
	_, err = client.Do(ctx, http.MethodGet, "/v1/counters", nil, &c)
	return c, err
}

// readPorts returns a row without packets for each port and router interface on the same network.
// It also returns the texts to show for the ports.
func readPorts(ctx context.Context, client *api.Client) (rows []rate, names shownNames, err error) {
	routers, err := kindWords[1].fetch(ctx, client, nil, url.Values{})
	if err != nil {
		return nil, nil, err
	}
	ports, err := kindWords[2].fetch(ctx, client, nil, url.Values{})
	if err != nil {
		return nil, nil, err
	}
	on := make(map[string][]rate) // by network
	for _, r := range routers.Routers {
		for _, f := range r.Interfaces {
			on[f.Network] = append(on[f.Network], rate{router: r.ID, iface: f.ID})
		}
	}
	for _, p := range ports.Ports {
		for _, row := range on[p.Network] {
			row.port = p.ID
			rows = append(rows, row)
		}
	}
	return rows, shown(ports, routing.KindPort), nil
}

// run shows rates until ctx is done, q is pressed, or the display was updated rounds times. If
// rounds is 0, there is no limit.
func (t *topView) run(ctx context.Context, client *api.Client, out io.Writer, keys <-chan byte, interval time.Duration, rounds int) error {
	before, err := readCounted(ctx, client)
	if err != nil {
		return err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	t.routers = shownRouters(&status)
	t.terminal = isTerminal(out)
	if t.terminal {
		t.wait(out)
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; rounds == 0 || i < rounds; {
		select {
		case <-ctx.Done():
			return nil
		case key := <-keys:
			if t.press(key) {
				return nil
			}
			if t.idle, err = t.ports(ctx, client); err != nil {
				return err
			}
			t.draw(out)
			continue
		case <-tick.C:
		}
		now, err := readCounted(ctx, client)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.idle, err = t.ports(ctx, client); err != nil {
			return err
		}
		t.before, t.now, t.rounds = before, now, i
		t.draw(out)
		before = now
		i++
	}
	return nil
}

// ports reads the ports when they are shown for the first time.
func (t *topView) ports(ctx context.Context, client *api.Client) ([]rate, error) {
	if t.kind != "ports" || t.portNames != nil {
		return t.idle, nil
	}
	rows, names, err := readPorts(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("read the ports: %w", err)
	}
	t.portNames = names
	return rows, nil
}
