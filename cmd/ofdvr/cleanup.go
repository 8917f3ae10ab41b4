package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/radvd"
	"github.com/ofdvr/ofdvr/ovsdb"
)

func newCleanup() *cobra.Command {
	var c cleaner
	var dryRun, yes bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove everything that ofdvr has made on this host",
		Long: `Cleanup removes the routing bridges, patch ports, taps and namespaces that have
ofdvr's mark, and stops the radvd processes of its routers. Nothing else is
changed. It refuses to run while a daemon runs, which would recreate them. On a
terminal it lists what it removes and asks first; --yes removes without asking,
--dry-run only lists.`,
		Example: `  ofdvr cleanup --dry-run
  ofdvr cleanup --yes`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.endpoint != "" {
				if err := ovsdb.CheckEndpoint(c.endpoint); err != nil {
					return misuse("--ovsdb: %v", err)
				}
			}
			c.out, c.progress = cmd.OutOrStdout(), newProgress(cmd.ErrOrStderr())
			if dryRun {
				c.dry = true
				return c.run(cmd.Context(), timeout)
			}
			lock, err := keepOut(c.runDir)
			if err != nil {
				return fmt.Errorf("clean up: %w", err)
			}
			defer lock.Close() // nil is allowed
			if !yes && isTerminal(cmd.InOrStdin()) {
				c.dry = true
				if err := c.run(cmd.Context(), timeout); err != nil {
					return err
				}
				c.dry = false
				if !confirmed(cmd.InOrStdin(), cmd.ErrOrStderr(), "Remove all this?") {
					return errors.New("nothing was removed")
				}
			}
			return c.run(cmd.Context(), timeout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.endpoint, "ovsdb", defaultOVSDB, "Open vSwitch database, `unix:PATH` or tcp:ADDRESS:PORT; \"\" for none")
	f.StringVar(&c.runDir, "run-dir", defaultRunDir, "the daemon's `DIRECTORY`, which names its radvd processes and its instance")
	f.DurationVar(&timeout, "timeout", 30*time.Second, "how long to try")
	f.BoolVar(&dryRun, "dry-run", false, "list what would be removed, and remove nothing; also while a daemon runs")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask on a terminal")
	return cmd
}

// confirmed asks a question and reports whether the answer is yes.
func confirmed(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n') // ignore the error: then the answer is not yes
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer)))
}

// A cleaner removes everything that ofdvr has made.
type cleaner struct {
	endpoint, runDir string
	dry              bool // only list the objects
	out              io.Writer
	progress         *progress
}

// say prints a step of the cleanup. did is a verb in the past tense, such as "deleted". With dry,
// it prints "would" and do, the infinitive.
func (c *cleaner) say(did, do, format string, args ...any) {
	verb := did
	if c.dry {
		verb = "would " + do
	}
	fmt.Fprintf(c.out, verb+" "+format+"\n", args...)
}

// note prints a line about objects that stay.
func (c *cleaner) note(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

func (c *cleaner) run(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done within %v (--timeout)", timeout))
	defer cancel()
	if err := c.advertisements(); err != nil { // must precede the removal of taps: radvd sends its final advertisements through them
		return err
	}
	var state ovsdb.State // before the cleanup
	if c.endpoint != "" {
		c.progress.show("connecting to Open vSwitch at " + c.endpoint)
		defer c.progress.clear()
		var err error
		if state, err = c.database(ctx); err != nil {
			return fmt.Errorf("clean up Open vSwitch: %w", err)
		}
	}
	instance, err := lifecycle.Instance(instanceFile(c.runDir), state)
	if err == nil {
		err = c.namespaces(instance, state.Routers())
	}
	if err != nil {
		return fmt.Errorf("clean up namespaces: %w", err)
	}
	return nil
}

func (c *cleaner) advertisements() error {
	find := radvd.StopAll
	if c.dry {
		find = radvd.Running
	}
	pids, err := find(radvdDir(c.runDir))
	for _, pid := range pids {
		c.say("stopped", "stop", "radvd, process %d", pid)
	}
	if err != nil {
		return fmt.Errorf("stop router advertisements: %w", err)
	}
	return nil
}

// database removes our rows from the database, and returns the state of the database before
// that.
func (c *cleaner) database(ctx context.Context) (state ovsdb.State, err error) {
	db, err := ovsdb.NewClient(ovsdb.Config{Endpoint: c.endpoint})
	if err != nil {
		return state, err
	}
	ctx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return db.Run(ctx) })
	defer g.Wait()
	defer stop()
	if err := db.Wait(ctx); err != nil {
		return state, err
	}
	c.progress.clear()
	if state, err = db.State(ctx); err != nil {
		return state, err
	}
	var res ovsdb.Result
	if c.dry {
		res.Ops, res.Problems = ovsdb.Plan(state, ovsdb.Desired{})
	} else if res, err = db.Cleanup(ctx); err != nil {
		return state, err
	}
	for _, op := range res.Ops {
		verb, object, _ := strings.Cut(op.String(), " ")
		c.say(verb+"d", verb, "%s", object) // remove or update
	}
	if len(res.Ops) == 0 {
		c.note("Open vSwitch has no objects of ofdvr")
	}
	for _, p := range res.Problems {
		c.note("left: %v", p)
	}
	return state, nil
}

// namespaces deletes the namespaces of an instance. The marks of earlier versions have no instance.
// A namespace with such a mark is deleted only if its router was in the database, or if no database
// was given.
func (c *cleaner) namespaces(instance string, routers []string) error {
	namespaces, err := namespace.List()
	if err != nil {
		return err
	}
	remove := namespace.Remove
	if c.dry {
		remove = namespace.Removable
	}
	ours := make(map[string]bool)
	for _, ns := range namespaces {
		if ns.Instance == "" && c.endpoint != "" && !slices.Contains(routers, ns.Router) {
			c.note("left: namespace %s of router %s, which an earlier version of ofdvr has made and which is not in Open vSwitch's database: if no other instance uses it, delete it with ip netns delete", ns.Name, ns.Router)
			continue
		}
		if ns.Instance != "" && ns.Instance != instance {
			c.note("left: namespace %s of router %s belongs to another instance of ofdvr, %s", ns.Name, ns.Router, ns.Instance)
			continue
		}
		ours[ns.Name] = true
		err := remove(ns.Name, instance)
		var kept *namespace.KeptError
		switch {
		case errors.As(err, &kept):
			c.note("left: %v", kept)
			ours[ns.Name] = false
		case err != nil:
			return err
		default:
			c.say("deleted", "delete", "namespace %s of router %s", ns.Name, ns.Router)
		}
	}
	if len(ours) == 0 {
		c.note("no namespace belongs to ofdvr")
	}
	return c.restore(instance, ours)
}

// restore restores the original settings of namespaces that still exist. gone has the deleted
// namespaces.
func (c *cleaner) restore(instance string, gone map[string]bool) error {
	backups := namespace.NewBackups(namespacesDir(c.runDir))
	names, err := backups.Names()
	errs := []error{err}
	for _, name := range names {
		if c.dry {
			if !gone[name] {
				c.say("", "restore", "the settings of namespace %s", name)
			}
			continue
		}
		changed, err := backups.Restore(name, instance)
		if len(changed) > 0 {
			c.say("restored", "", "the settings of namespace %s: %s", name, strings.Join(changed, ", "))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
