// Command bench compares ofdvr with other programs and with physical limits, side by side
// in one run, and prints ratios with their spread. Run it with make bench, on an idle
// machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A benchmark is one section of the report.
type benchmark struct {
	name string
	run  func(ctx context.Context, rounds int) (section, error)
	// asked means that it runs only if it is named: it needs software that make bench does not
	// install.
	asked bool
}

var benchmarks = []benchmark{
	{name: "datapath", run: datapath},
	{name: "programming", run: programming},
	{name: "readback", run: readback},
	{name: "reconcile", run: reconciling},
	{name: "oneport", run: onePort},
	{name: "deltas", run: deltas},
	{name: "start", run: starting},
	{name: "hosts", run: betweenHosts},
	{name: "scale", run: scale},
	{name: "scrape", run: scraping},
	{name: "api", run: overAPI},
	{name: "encoding", run: encoding},
	{name: "hostile", run: underAttack, asked: true},
	{name: "neutron", run: underNeutron, asked: true},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	rounds := flag.Int("rounds", 12, "rounds of each comparison")
	only := flag.String("only", "", "run only the benchmark of this name")
	report := flag.String("report", "", "also write the tables into this Markdown `file`, between their markers")
	dump := flag.String("dump", "", "read flows back in this way; the benchmark readback runs each way in its own process")
	guest := flag.Bool("in-guest", false, "measure the kernel's datapath, as the benchmark datapath does in a guest")
	socket := flag.String("socket", "", "the bridge's management socket, for -dump")
	flag.Parse()
	if *dump != "" {
		return runDump(context.Background(), *dump, *socket)
	}
	if err := lab.Missing(); err != nil {
		return err
	}
	if err := lab.Isolate(); err != nil {
		return err
	}
	if known := func(b benchmark) bool { return b.name == *only }; *only != "" && !slices.ContainsFunc(benchmarks, known) {
		return fmt.Errorf("unknown benchmark %q", *only)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *guest {
		return runInGuest(ctx, *rounds)
	}
	for _, b := range benchmarks {
		if *only != "" && *only != b.name || *only == "" && b.asked {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %d rounds\n", b.name, *rounds)
		s, err := b.run(ctx, *rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Println(s)
		if *report == "" {
			continue
		}
		if err := writeReport(*report, b.name, fmt.Sprintf("%s\n%s, %s\n", s, time.Now().UTC().Format("2006-01-02"), machine())); err != nil {
			return err
		}
	}
	return nil
}
