package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newComplete() *cobra.Command {
	var c clientFlags
	var dryRun bool
	var w waitFlags
	cmd := &cobra.Command{
		Use:   "complete",
		Short: "Say that the daemon has been told everything",
		Long: `A daemon that starts with an empty store, on a host where ofdvr has made
something before, does not know whether its store was lost. Until it has been
told everything it makes what it is told, and removes nothing. Complete says
that this is so: bridges, ports, namespaces and flows of ofdvr that nobody has
asked for are removed. Applying files with --all says it too.`,
		Example: `  ofdvr complete --dry-run
  ofdvr complete`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.open()
			if err != nil {
				return err
			}
			query := w.query()
			if dryRun {
				query.Set("dry_run", "true")
			}
			done, err := write(cmd, client, &w, http.MethodPost, "/v1/complete", query, nil)
			if err != nil {
				return err
			}
			printPlan(cmd.OutOrStdout(), done, nil, colours(cmd.OutOrStdout()))
			if !dryRun {
				fmt.Fprintln(cmd.OutOrStdout(), "the intent is complete")
			}
			return w.outcome(cmd, done)
		},
	}
	c.add(cmd)
	w.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would be removed from Open vSwitch's database")
	return cmd
}
