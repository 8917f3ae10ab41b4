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
	"github.com/ofdvr/ofdvr/routing/topology"
)

func newApply() *cobra.Command {
	var c clientFlags
	var files []string
	var all, allowEmpty, dryRun, verbose bool
	var w waitFlags
	cmd := &cobra.Command{
		Use:        "apply FILE|DIRECTORY|-...",
		SuggestFor: []string{"create", "edit", "patch", "replace", "load"},
		Short:      "Create and update objects from topology files",
		Long: `Apply creates and updates the objects of topology files in one step. If there is
a mistake anywhere, it changes nothing. If FILE is -, it reads standard input.
If FILE is a directory, it reads all *.yaml, *.yml and *.json files in it.
Objects that are not in the files stay as they are; with --all they are deleted.
Apply returns when the switches have confirmed the change. It exits with 1 if
they do not confirm it in time.`,
		Example: `  ofdvr apply topology.yaml
  ofdvr apply /etc/ofdvr/ports.d --all
  generate | ofdvr apply -`,
		Args: arguments("[FILE...]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if files = append(files, args...); files == nil {
				return misuse("missing argument FILE")
			}
			if err := w.check(&c); err != nil {
				return err
			}
			in, err := readFiles(cmd.Context(), files, cmd.InOrStdin())
			if err != nil {
				return reported(cmd, err)
			}
			client, err := c.open(cmd)
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
			if p, ok := errors.AsType[*api.Problem](err); ok && p.Status == http.StatusRequestEntityTooLarge && method == http.MethodPatch && !dryRun {
				fmt.Fprintf(cmd.ErrOrStderr(), "ofdvr: %s: it is applied in parts, and a part that fails does not undo earlier parts\n", p.Detail)
				done, err = applyParts(cmd, client, &w, query, in.model)
			}
			if err != nil {
				return in.reported(cmd, err)
			}
			if dryRun {
				v := planView{verbose: verbose, colour: colours(cmd.OutOrStdout())}
				v.print(cmd.OutOrStdout(), done)
				return nil
			}
			printOutcomes(cmd.OutOrStdout(), done.Objects)
			var warnings []string
			for _, err := range in.places(done.Warnings) {
				warnings = append(warnings, err.Error())
			}
			for _, text := range topology.Condense(warnings) {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", text)
			}
			return w.outcome(cmd, done)
		},
	}
	c.add(cmd)
	c.addEtcd(cmd)
	w.add(cmd)
	fileFlag(cmd, &files)
	cmd.Flags().BoolVar(&all, "all", false, "delete all objects that are not in the files")
	cmd.Flags().BoolVar(&allowEmpty, "allow-empty", false, "with --all: accept files without any object, which deletes everything")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would change, as 'ofdvr plan' does")
	verboseFlag(cmd, &verbose)
	return cmd
}

// applyParts puts the objects of m in parts: first hosts, networks and routers, which ports need.
func applyParts(cmd *cobra.Command, client *api.Client, w *waitFlags, query url.Values, m routing.Model) (*api.Written, error) {
	todo, all := parts(m), new(api.Written)
	for written := 0; len(todo) > 0; {
		part := todo[0]
		in := inputs{model: part}
		done, err := write(cmd, client, w, http.MethodPatch, "/v1/topology", query, in.body(false))
		if p, ok := errors.AsType[*api.Problem](err); ok && p.Status == http.StatusRequestEntityTooLarge {
			if a, b, ok := halves(part); ok {
				todo = append([]routing.Model{a, b}, todo[1:]...)
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("after %d of %s: %w", written, count(m.Len(), "object"), err)
		}
		written += part.Len()
		done.Objects = append(all.Objects, done.Objects...)
		done.Warnings = nil // their positions refer to the body of this part, not to the files
		all, todo = done, todo[1:]
	}
	return all, nil
}

func fileFlag(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "the same as an argument: topology `FILE`, directory, or - for standard input; may be given several times")
}

// waitFlags select whether a command waits until a write is applied.
type waitFlags struct {
	wait     bool
	timeout  time.Duration
	straight bool // the command works on etcd without a daemon, which could wait
}

func (w *waitFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.wait, "wait", true, "wait until the switches have confirmed the change; --wait=false returns when it is on disk. With --etcd it never waits")
	cmd.Flags().DurationVar(&w.timeout, "timeout", 30*time.Second, "how long to wait, at most 5m")
}

// maxWait is the longest time that the API waits for the switches.
const maxWait = 5 * time.Minute

// check returns an error if the flags have wrong values. It is called before the other methods.
func (w *waitFlags) check(c *clientFlags) error {
	w.straight = c.straight()
	if w.timeout < 0 || w.timeout > maxWait {
		return misuse("--timeout %v: want a time from 0s to %v", w.timeout, maxWait)
	}
	return nil
}

func (w *waitFlags) query() url.Values {
	if !w.wait || w.straight {
		return url.Values{}
	}
	return url.Values{"wait": {"applied"}, "timeout": {w.timeout.String()}}
}

// showProgress shows the progress of the daemon on a terminal, until stop is called.
func (w *waitFlags) showProgress(cmd *cobra.Command, client *api.Client, dryRun bool) (stop func()) {
	p := newProgress(cmd.ErrOrStderr())
	if dryRun || !w.wait || w.straight {
		return p.busy(cmd.Context(), "waiting for ofdvr")
	}
	return p.during(cmd.Context(), 4*pollInterval, func(ctx context.Context) string {
		s, err := client.Status(ctx)
		if err != nil {
			return "" // the answer to the write will have the error
		}
		return "waiting: " + waitingFor(s)
	})
}

// outcome prints the pending changes, if there are any, or that it is not known whether there are.
func (w *waitFlags) outcome(cmd *cobra.Command, done *api.Written) error {
	if w.straight && w.wait && changes(done) {
		fmt.Fprintln(cmd.ErrOrStderr(), "ofdvr: the change is in etcd. This command did not wait for hosts and switches to confirm it")
	}
	if done.Applied == nil || *done.Applied {
		return nil
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "ofdvr: the change is on disk, but the switches did not confirm all of it within %v:\n", w.timeout)
	for _, p := range done.Pending {
		if p.Router != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "  router %s: %s\n", p.Router, p.Reason)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "  %s\n", p.Reason)
		}
	}
	return errReported
}

// reported prints err, or the errors that it joins. It does not print the error of an interrupted
// command.
func reported(cmd *cobra.Command, err error) error {
	if errors.Is(err, context.Cause(cmd.Context())) {
		return err
	}
	printErrors(cmd.ErrOrStderr(), err)
	return errReported
}

// printErrors prints err, or the errors that it joins. An error in a file begins with its place, so
// that editors can jump to it. Any other error begins with the name of this program.
func printErrors(w io.Writer, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all := joined.Unwrap()
		if errors.Join(all...).Error() == err.Error() { // the join adds no text to its errors
			for _, err := range all {
				printErrors(w, err)
			}
			return
		}
	}
	if _, ok := errors.AsType[*topology.Error](err); ok {
		fmt.Fprintln(w, err)
		return
	}
	fmt.Fprintf(w, "ofdvr: %v\n", err)
}

// printOutcomes prints the changes of objects, and the number of unchanged objects.
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
