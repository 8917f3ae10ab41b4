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
)

func newApply() *cobra.Command {
	var c clientFlags
	var files []string
	var all, allowEmpty, dryRun bool
	var w waitFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY|-",
		Short: "Make networks, routers and ports as files declare them",
		Long: `Apply reads topology files and has the daemon make their objects, or change
them, in one step: all of it or, if there is a mistake anywhere, nothing. What
the files do not have stays, unless --all says that they have everything. Apply
returns when the switches have confirmed it; it exits with 1 if they have not in
time.`,
		Example: `  ofdvr apply -f topology.yaml
  ofdvr apply -f /etc/ofdvr/ports.d --all
  generate | ofdvr apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in, err := readFiles(cmd.Context(), files, cmd.InOrStdin())
			if err != nil {
				return reported(cmd, err)
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			method, query := http.MethodPatch, w.query()
			if all {
				method = http.MethodPut
				if allowEmpty {
					query.Set("allow_empty", "true")
				}
			}
			if dryRun {
				query.Set("dry_run", "true")
			}
			done, err := write(cmd, client, &w, method, "/v1/topology", query, in.body(all))
			if err != nil {
				return in.reported(cmd, err)
			}
			if dryRun {
				printPlan(cmd.OutOrStdout(), done, nil, colours(cmd.OutOrStdout()))
				return nil
			}
			printOutcomes(cmd.OutOrStdout(), done.Objects)
			for _, err := range in.places(done.Warnings) {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %v\n", err)
			}
			return w.outcome(cmd, done)
		},
	}
	c.add(cmd)
	w.add(cmd)
	fileFlag(cmd, &files)
	cmd.Flags().BoolVar(&all, "all", false, "the files have everything: what they do not have is deleted")
	cmd.Flags().BoolVar(&allowEmpty, "allow-empty", false, "with --all: the files may declare nothing, which deletes everything")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would change")
	return cmd
}

func fileFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "topology `FILE`, a directory with such files (*.yaml, *.yml, *.json), or - for standard input; can be given several times")
	cmd.MarkFlagRequired("filename")
}

// waitFlags say whether to wait until a write is applied.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (w *waitFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", true, "return when the switches have confirmed it; --wait=false when it is on disk")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "how long to wait for that, at most 5m")
}

func (w *waitFlags) query() url.Values {
	if !w.wait {
		return url.Values{}
	}
	return url.Values{"wait": {"applied"}, "timeout": {w.timeout.String()}}
}

// showProgress shows on a terminal how far the daemon is, until stop is called.
func (w *waitFlags) showProgress(cmd *cobra.Command, client *api.Client, dryRun bool) (stop func()) {
	p := newProgress(cmd.ErrOrStderr())
	if dryRun || !w.wait {
		return p.busy(cmd.Context(), "waiting for ofdvr")
	}
	return p.during(cmd.Context(), 4*pollInterval, func(ctx context.Context) string {
		s, err := client.Status(ctx)
		if err != nil {
			return "" // whatever is wrong is told by the answer that is waited for
		}
		return "waiting: " + waitingFor(s)
	})
}

// outcome says what is pending, if anything is.
func (w *waitFlags) outcome(cmd *cobra.Command, done *api.Written) error {
	if done.Applied == nil || *done.Applied {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "it is written, but the switches did not confirm all of it within %v:\n", w.timeout)
	for _, p := range done.Pending {
		if p.Router != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "  router %s: %s\n", p.Router, p.Reason)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", p.Reason)
		}
	}
	return errReported
}

// reported prints err, which may be many lines, unless it says only that the command
// was interrupted.
func reported(cmd *cobra.Command, err error) error {
	if errors.Is(err, context.Cause(cmd.Context())) {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), err)
	return errReported
}

// printOutcomes prints what became of objects, and how many did not change.
func printOutcomes(w io.Writer, objects []api.Outcome) {
	unchanged := 0
	for _, o := range objects {
		if o.Op == "unchanged" {
			unchanged++
			continue
		}
		fmt.Fprintf(w, "%s/%s %s\n", o.Kind, o.ID, o.Op)
	}
	if unchanged > 0 {
		fmt.Fprintf(w, "%s unchanged\n", count(unchanged, "object"))
	}
}
