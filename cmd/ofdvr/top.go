package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ofdvr/ofdvr/controller/api"
)

func newTop() *cobra.Command {
	var c clientFlags
	var interval time.Duration
	var rounds int
	cmd := &cobra.Command{
		Use:   "top [routers|interfaces|ports]",
		Short: "Show what is routed at present, busiest first",
		Long: `Top shows how many packets and bits a second come in by each router interface,
are routed out of it, are answered in the router's name and are handed to the
kernel, as the switches have counted it; or the same for whole routers, or what
is routed to each port. It goes on until it is interrupted, in place on a
terminal.`,
		Example: `  ofdvr top
  ofdvr top ports --interval 5s`,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"routers", "interfaces", "ports"},
		RunE: func(cmd *cobra.Command, args []string) error {
			what := "interfaces"
			if len(args) > 0 {
				what = args[0]
			}
			if interval < time.Second {
				return usageError(fmt.Sprintf("--interval %v: want at least 1s: Open vSwitch adds up once a second", interval))
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			before, err := readCounted(ctx, client)
			if err != nil {
				return err
			}
			for i := 0; rounds == 0 || i < rounds; i++ {
				timer := time.NewTimer(interval)
				select {
				case <-ctx.Done():
					timer.Stop()
					return nil
				case <-timer.C:
				}
				now, err := readCounted(ctx, client)
				if errors.Is(err, context.Canceled) {
					return nil
				}
				if err != nil {
					return err
				}
				rows, header := rates(before, now, what)
				showTop(cmd.OutOrStdout(), i == 0, rows, header)
				before = now
			}
			return nil
		},
	}
	c.add(cmd)
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "`TIME` from one look to the next")
	cmd.Flags().IntVarP(&rounds, "rounds", "n", 0, "end after `N` looks; 0: when interrupted")
	return cmd
}

func readCounted(ctx context.Context, client *api.Client) (c api.Counters, err error) {
	_, err = client.Do(ctx, http.MethodGet, "/v1/counters", nil, &c)
	return c, err
}

// A rate is how much of everything there was in a second.
type rate struct {
	router, iface, port                       string
	in, inBits, out, outBits, answers, kernel float64
}

// rates returns the differences between two readings, busiest first, of what:
// routers, interfaces or ports. What was not there before has none yet.
func rates(before, now api.Counters, what string) (rows []rate, header table.Row) {
	seconds := now.At - before.At
	per := func(a, b uint64) float64 {
		if b < a || seconds <= 0 {
			return 0 // another daemon's
		}
		return float64(b-a) / seconds
	}
	if what == "ports" {
		type key struct{ router, iface, port string }
		last := make(map[key]api.PortCounters)
		for _, p := range before.Ports {
			last[key{p.Router, p.Interface, p.Port}] = p
		}
		for _, p := range now.Ports {
			if o, ok := last[key{p.Router, p.Interface, p.Port}]; ok {
				rows = append(rows, rate{router: p.Router, iface: p.Interface, port: p.Port, out: per(o.Packets, p.Packets), outBits: 8 * per(o.Bytes, p.Bytes)})
			}
		}
		sortRates(rows)
		return rows, table.Row{"ROUTER", "INTERFACE", "PORT", "PACKET/S", "BIT/S"}
	}
	type key struct{ router, iface string }
	last := make(map[key]api.InterfaceCounters)
	for _, i := range before.Interfaces {
		last[key{i.Router, i.Interface}] = i
	}
	byRouter := make(map[string]int) // index in rows
	for _, i := range now.Interfaces {
		o, ok := last[key{i.Router, i.Interface}]
		if !ok {
			continue
		}
		r := rate{
			router: i.Router, iface: i.Interface,
			in: per(o.ReceivedPackets, i.ReceivedPackets), inBits: 8 * per(o.ReceivedBytes, i.ReceivedBytes),
			out: per(o.RoutedPackets, i.RoutedPackets), outBits: 8 * per(o.RoutedBytes, i.RoutedBytes),
			answers: per(o.ARPReplies+o.NDReplies+o.EchoReplies, i.ARPReplies+i.NDReplies+i.EchoReplies),
		}
		for reason, n := range i.Fallback {
			r.kernel += per(o.Fallback[reason], n)
		}
		if what == "interfaces" {
			rows = append(rows, r)
			continue
		}
		n, ok := byRouter[i.Router]
		if !ok {
			n = len(rows)
			byRouter[i.Router] = n
			rows = append(rows, rate{router: i.Router})
		}
		sum := &rows[n]
		sum.in, sum.inBits, sum.out, sum.outBits = sum.in+r.in, sum.inBits+r.inBits, sum.out+r.out, sum.outBits+r.outBits
		sum.answers, sum.kernel = sum.answers+r.answers, sum.kernel+r.kernel
	}
	sortRates(rows)
	header = table.Row{"ROUTER", "INTERFACE", "IN PACKET/S", "IN BIT/S", "OUT PACKET/S", "OUT BIT/S", "ANSWERED/S", "KERNEL/S"}
	if what == "routers" {
		header = slices.Delete(header, 1, 2)
	}
	return rows, header
}

func sortRates(rows []rate) {
	slices.SortStableFunc(rows, func(a, b rate) int {
		return cmp.Or(cmp.Compare(b.in+b.out, a.in+a.out), cmp.Compare(b.kernel, a.kernel), cmp.Compare(a.router, b.router), cmp.Compare(a.iface, b.iface), cmp.Compare(a.port, b.port))
	})
}

// cells are the cells of a row under a header.
func (r rate) cells(header table.Row) (row table.Row) {
	for _, h := range header {
		switch h {
		case "ROUTER":
			row = append(row, r.router)
		case "INTERFACE":
			row = append(row, r.iface)
		case "PORT":
			row = append(row, r.port)
		case "IN PACKET/S":
			row = append(row, si(r.in))
		case "IN BIT/S":
			row = append(row, si(r.inBits))
		case "OUT PACKET/S", "PACKET/S":
			row = append(row, si(r.out))
		case "OUT BIT/S", "BIT/S":
			row = append(row, si(r.outBits))
		case "ANSWERED/S":
			row = append(row, si(r.answers))
		case "KERNEL/S":
			row = append(row, si(r.kernel))
		}
	}
	return row
}

// si writes a rate with three digits and a prefix of the SI.
func si(v float64) string {
	for _, p := range []struct {
		factor float64
		prefix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= 0.9995*p.factor {
			return fmt.Sprintf("%.3g%s", v/p.factor, p.prefix)
		}
	}
	if v < 10 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// showTop shows rows: on a terminal in place of those before, as many as fit,
// and elsewhere one table after the other.
func showTop(w io.Writer, first bool, rows []rate, header table.Row) {
	var b bytes.Buffer
	f, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd()))
	if terminal {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil && height > 2 && len(rows) > height-2 {
			rows = rows[:height-2]
		}
		b.WriteString("\x1b[H\x1b[J") // home, and clear what is below
	} else if !first {
		b.WriteString("\n")
	}
	lines := []table.Row{header}
	for _, r := range rows {
		lines = append(lines, r.cells(header))
	}
	printTable(&b, lines)
	if len(rows) == 0 {
		b.WriteString("nothing was counted yet\n")
	}
	w.Write(b.Bytes()) // an error here means that nobody looks any more
}
