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
		Short: "Declare that the store has all objects",
		Long: `A daemon that starts with an empty store, on a host where ofdvr has made bridges
before, cannot know whether the store was lost. Therefore it creates applied
objects, and removes nothing. Complete declares that all objects are in the
store. Then bridges, ports, namespaces and flows of ofdvr that belong to no
object are removed. 'ofdvr apply --all' declares the same.`,
		Example: `  ofdvr complete --dry-run
  ofdvr complete`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.check(&c); err != nil {
				return err
			}
			client, err := c.open(cmd)
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
			v := planView{verbose: true, colour: colours(cmd.OutOrStdout())}
			v.print(cmd.OutOrStdout(), done)
			if !dryRun {
				fmt.Fprintln(cmd.OutOrStdout(), "the intent is complete")
			}
			return w.outcome(cmd, done)
		},
	}
	c.add(cmd)
	c.addEtcd(cmd)
	w.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would be removed from Open vSwitch's database")
	return cmd
}
