package main

import (
	"context"
	"errors"
	"fmt"
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
	var endpoint, runDir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove everything that ofdvr made on this host",
		Long: `Cleanup removes the routing bridges, patch ports, taps and namespaces that carry
ofdvr's mark, ends the radvd of each router that sends router advertisements,
and does nothing else. It refuses while a daemon runs, which would make them
again.`,
		Example: "  ofdvr cleanup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			lock, err := keepOut(runDir)
			if err != nil {
				return fmt.Errorf("clean up: %w", err)
			}
			defer lock.Close() // nil is fine
			say := func(format string, args ...any) { fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...) }
			if err := cleanAdvertisements(runDir, say); err != nil { // while the taps are there
				return err
			}
			var state ovsdb.State // as it was
			if endpoint != "" {
				p := newProgress(cmd.ErrOrStderr())
				p.show("connecting to Open vSwitch at " + endpoint)
				defer p.clear()
				var err error
				if state, err = cleanDatabase(ctx, endpoint, p, say); err != nil {
					return err
				}
			}
			instance, err := lifecycle.Instance(instanceFile(runDir), state)
			if err != nil {
				return fmt.Errorf("clean up namespaces: %w", err)
			}
			if err := cleanNamespaces(instance, endpoint == "", state.Routers(), say); err != nil {
				return err
			}
			return undoNamespaces(namespacesDir(runDir), instance, say)
		},
	}
	cmd.Flags().StringVar(&endpoint, "ovsdb", defaultOVSDB, "Open vSwitch database, `unix:PATH` or tcp:ADDRESS:PORT; \"\" for none")
	cmd.Flags().StringVar(&runDir, "run-dir", defaultRunDir, "the daemon's `DIRECTORY`, in which it says what radvd it has started")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to try")
	return cmd
}

func cleanAdvertisements(runDir string, say func(string, ...any)) error {
	stopped, err := radvd.StopAll(radvdDir(runDir))
	for _, s := range stopped {
		say("ended radvd, process %d", s)
	}
	if err != nil {
		return fmt.Errorf("end router advertisements: %w", err)
	}
	return nil
}

// cleanDatabase removes what is ours from the database, and returns what that had.
func cleanDatabase(ctx context.Context, endpoint string, p *progress, say func(string, ...any)) (state ovsdb.State, err error) {
	db, err := ovsdb.NewClient(ovsdb.Config{Endpoint: endpoint})
	if err != nil {
		return state, err
	}
	ctx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return db.Run(ctx) })
	defer g.Wait()
	defer stop()
	if err := db.Wait(ctx); err != nil {
		return state, fmt.Errorf("clean up Open vSwitch: %w", err)
	}
	p.clear()
	if state, err = db.State(ctx); err != nil {
		return state, fmt.Errorf("clean up Open vSwitch: %w", err)
	}
	res, err := db.Cleanup(ctx)
	if err != nil {
		return state, fmt.Errorf("clean up Open vSwitch: %w", err)
	}
	for _, op := range res.Ops {
		say("%v", op)
	}
	if len(res.Ops) == 0 {
		say("Open vSwitch holds nothing of ofdvr")
	}
	for _, p := range res.Problems {
		say("left: %v", p)
	}
	return state, nil
}

// cleanNamespaces deletes the namespaces of an instance. One with the mark of a version that told no
// instance is deleted if the database had its router, or if there is none to ask.
func cleanNamespaces(instance string, all bool, routers []string, say func(string, ...any)) error {
	namespaces, err := namespace.List()
	if err != nil {
		return fmt.Errorf("clean up namespaces: %w", err)
	}
	ours := 0
	for _, ns := range namespaces {
		if ns.Instance == "" && !all && !slices.Contains(routers, ns.Router) {
			say("left: namespace %s of router %s, which an earlier version has made and Open vSwitch knows nothing of: if it is no other instance's, ip netns delete it", ns.Name, ns.Router)
			continue
		}
		if ns.Instance != "" && ns.Instance != instance {
			say("left: namespace %s of router %s: it is that of another instance of ofdvr, %s", ns.Name, ns.Router, ns.Instance)
			continue
		}
		ours++
		err := namespace.Remove(ns.Name, instance)
		var kept *namespace.KeptError
		switch {
		case errors.As(err, &kept):
			say("left: %v", kept)
		case err != nil:
			return fmt.Errorf("clean up namespaces: %w", err)
		default:
			say("deleted namespace %s of router %s", ns.Name, ns.Router)
		}
	}
	if ours == 0 {
		say("no namespace is ofdvr's")
	}
	return nil
}

// undoNamespaces gives namespaces that are still there what they had before.
func undoNamespaces(dir, instance string, say func(string, ...any)) error {
	before := namespace.NewBackups(dir)
	names, err := before.Names()
	errs := []error{err}
	for _, name := range names {
		changed, err := before.Restore(name, instance)
		if len(changed) > 0 {
			say("undid what was set in namespace %s: %s", name, strings.Join(changed, ", "))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up namespaces: %w", err)
	}
	return nil
}
