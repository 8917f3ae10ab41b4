package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing/topology"
)

const pollInterval = 50 * time.Millisecond

func newStatus() *cobra.Command {
	var c clientFlags
	var output string
	var wait, exitCode, all bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of each router, and all problems",
		Long: `Status shows for each router its bridge, whether the bridge is connected, the
number of desired flows, and the number of flows that the switch has confirmed.
Then it shows all problems and warnings. With --wait it returns when all flows
are confirmed, and exits with 1 if that takes longer than --timeout. With
--exit-code it exits with 1 if there are problems. With --all-hosts it shows a
line for each host of those that share their intent in etcd, and all problems; a
host that does not answer is a problem too.`,
		Example: `  ofdvr status --wait --timeout 10s
  ofdvr status --all-hosts
  ofdvr status --exit-code >/dev/null || ofdvr doctor`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "table", "json"); err != nil {
				return err
			}
			if timeout < 0 {
				return misuse("--timeout %v: want a time from 0s", timeout)
			}
			if all && wait {
				return misuse("--wait waits for this host only: leave out --wait or --all-hosts")
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			if all {
				return statusOfAll(cmd, client, output, exitCode)
			}
			s, err := client.Status(cmd.Context())
			if wait {
				s, err = awaitSettled(cmd.Context(), client, timeout, newProgress(cmd.ErrOrStderr()))
			}
			if err != nil && s.Routers == nil {
				return err
			}
			if printErr := printStatus(cmd.OutOrStdout(), s, output, newNamer(cmd.Context(), client)); printErr != nil {
				return printErr
			}
			if err == nil && exitCode && hasProblems(s) {
				return errReported
			}
			return err
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, "table", "json")
	f := cmd.Flags()
	f.BoolVar(&wait, "wait", false, "wait until the switches have confirmed all flows")
	f.DurationVar(&timeout, "timeout", 30*time.Second, "how long --wait waits")
	f.BoolVar(&exitCode, "exit-code", false, "exit with 1 if there are problems")
	allHostsFlag(f, &all, "show the state of each host")
	return cmd
}

// hasProblems reports whether the daemon or a router has problems.
func hasProblems(s controller.Status) bool {
	return len(s.Problems) > 0 || s.Fabric != nil && len(s.Fabric.Problems) > 0 || slices.ContainsFunc(s.Routers, func(r controller.RouterStatus) bool { return len(r.Problems) > 0 })
}

// awaitSettled waits until all routers are settled and returns the status. After timeout it
// returns an error and, if the daemon has answered, the last status.
func awaitSettled(ctx context.Context, client *api.Client, timeout time.Duration, p *progress) (controller.Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not everything was confirmed within %v", timeout))
	defer cancel()
	defer p.clear()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last controller.Status
	var lastErr error
	for {
		s, err := client.Status(ctx)
		if err == nil && s.Settled {
			return s, nil
		}
		if err == nil {
			last, lastErr = s, nil
			p.show("waiting: " + waitingFor(s))
		} else if refused(err) {
			return last, err
		} else if ctx.Err() == nil {
			lastErr = err
			p.show("waiting for the daemon")
		}
		select {
		case <-ctx.Done():
			if lastErr == nil {
				return last, context.Cause(ctx)
			}
			return last, fmt.Errorf("%w: %w", context.Cause(ctx), lastErr)
		case <-tick.C:
		}
	}
}

// refused reports whether the daemon or its socket refuses this user. Then waiting does not help.
func refused(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return errors.Is(err, fs.ErrPermission) || ok && (p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden) || alert || untrusted
}

func waitingFor(s controller.Status) string {
	if f := s.Intent.File; f != nil && f.Changed {
		return "the topology file has changed and is about to be read"
	}
	settled, wanted, installed := 0, 0, 0
	for _, r := range s.Routers {
		wanted, installed = wanted+r.FlowsWanted, installed+r.FlowsInstalled
		if r.Settled {
			settled++
		}
	}
	return fmt.Sprintf("%d of %s ready, %d of %s confirmed", settled, count(len(s.Routers), "router"), installed, count(wanted, "flow"))
}

func printStatus(w io.Writer, s controller.Status, output string, objects *namer) error {
	if output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	source := func(what string, src *controller.SourceStatus) {
		fmt.Fprintf(w, "%s %s: %s\n", what, src.Name, counts(src.Hosts, src.Networks, src.Routers, src.Ports))
	}
	if s.Intent.File != nil {
		source("topology", s.Intent.File)
	}
	if st := s.Intent.Store; st != nil && (s.Intent.File == nil || st.Hosts+st.Networks+st.Routers+st.Ports > 0) {
		source("store", st)
	}
	if s.Intent.Hash != "" {
		fmt.Fprintf(w, "intent: revision %d, hash %.12s\n", s.Intent.Revision, s.Intent.Hash)
	}
	if s.Standby {
		fmt.Fprintln(w, "standby: another daemon leads, this one changes nothing")
	}
	if s.OVSDB != nil {
		fmt.Fprintf(w, "ovsdb %s: %s\n", s.OVSDB.Endpoint, connected(s.OVSDB.Connected))
	}
	for _, h := range s.Hosts {
		switch {
		case h.Self || h.Tunnel == "" && (h.Uplink == "" || h.InEtcd != nil):
		case h.Tunnel == "":
			fmt.Fprintf(w, "host %s: not known, it sends no messages by its uplink\n", h.ID)
		case h.Alive && h.Deaf:
			fmt.Fprintf(w, "host %s: one-way, its messages arrive here, and messages of this host do not arrive there; with %s\n", h.ID, count(h.Ports, "machine"))
		case h.Alive:
			fmt.Fprintf(w, "host %s: alive, with %s\n", h.ID, count(h.Ports, "machine"))
		default:
			fmt.Fprintf(w, "host %s: silent\n", h.ID)
		}
	}
	names := shownRouters(&s)
	rows := s.Routers
	if s.Fabric != nil {
		rows = append(slices.Clone(rows), *s.Fabric)
	}
	t := table.NewWriter()
	t.SetStyle(plainTable())
	t.AppendHeader(table.Row{"ROUTER", "BRIDGE", "SWITCH", "DESIRED", "INSTALLED", "STATE", "READY"})
	for i, r := range rows {
		name := names.of(r.ID)
		if i == len(s.Routers) {
			name = "(fabric)"
		}
		ready := "yes"
		switch {
		case len(r.Problems) > 0:
			ready = count(len(r.Problems), "problem")
		case !r.Settled:
			ready = "not yet"
		}
		t.AppendRow(table.Row{name, r.Bridge, connected(r.Connected), r.FlowsWanted, r.FlowsInstalled, r.State, ready})
	}
	for line := range strings.Lines(t.Render()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "problem: %s\n", objects.text(p))
	}
	for _, r := range s.Routers {
		for _, p := range r.Problems {
			fmt.Fprintf(w, "problem: router %s: %s\n", names.of(r.ID), objects.text(p))
		}
	}
	if s.Fabric != nil {
		for _, p := range s.Fabric.Problems {
			fmt.Fprintf(w, "problem: bridge %s: %s\n", s.Fabric.Bridge, objects.text(p))
		}
	}
	for _, l := range s.Limits {
		fmt.Fprintf(w, "warning: %v; %s\n", l, l.Remedy)
	}
	for _, text := range topology.Condense(s.Warnings) {
		fmt.Fprintf(w, "warning: %s\n", objects.text(text))
	}
	if s.Intent.File != nil {
		for _, p := range s.Intent.File.Warnings {
			fmt.Fprintf(w, "warning: %s\n", p)
		}
	}
	return nil
}

func connected(yes bool) string {
	if yes {
		return "connected"
	}
	return "not connected"
}

// plainTable returns a table style without borders, so that awk can split the columns.
func plainTable() table.Style {
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	return style
}
