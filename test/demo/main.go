// Command demo shows ofdvr's main function on a real Open vSwitch. There are two machines on two
// networks, and a router between them that consists of flows. Run it with make demo, from the top
// of the repository. It runs the command lines that it prints after a $. Their output may be
// shortened, but is real. The program itself plugs machines, starts the daemon, signals it, and
// fetches the metrics, because curl may be missing. It checks each claim, and exits with status 1
// if a claim is false. At the end it removes all objects that it has made. With the argument hosts,
// it shows networks that span three hosts (make demo-hosts).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/term"

	"github.com/ofdvr/ofdvr/test/lab"
)

func main() { os.Exit(run()) }

// run is main with an exit status.
func run() int {
	if err := lab.Isolate(); err != nil { // returns only inside a bubble
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	tty := term.IsTerminal(int(os.Stdout.Fd()))
	s := &screen{w: os.Stdout, tty: tty, colour: tty && os.Getenv("NO_COLOR") == ""}
	what := show
	if len(os.Args) > 1 && os.Args[1] == "hosts" {
		what = showHosts
	}
	err := what(ctx, s, filepath.Join(os.TempDir(), "demo"))
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything that it started has ended")
		return 130
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// show runs the demonstration on its own host, with its files in dir.
func show(ctx context.Context, s *screen, dir string) (err error) {
	d, err := newDemo(ctx, s, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.host.Close()) }()
	for _, step := range steps {
		s.title(step.title)
		if err := step.run(d, ctx); err != nil {
			s.clear()
			if p := d.daemon; p != nil {
				err = fmt.Errorf("%w\nthe daemon's log:\n%s", err, p.Log())
			}
			return fmt.Errorf("step %d, %s: %w", s.step, step.title, err)
		}
	}
	io.WriteString(s.w, next)
	return nil
}

const next = `
What next
  examples/two-networks     the same on your own Open vSwitch
  examples/external-bridge  a bridge that you make and own
  examples/mininet          in mininet
  bin/ofdvr --help          the commands; docs says how to configure and operate it
  make test                 every test, on a real Open vSwitch
`
