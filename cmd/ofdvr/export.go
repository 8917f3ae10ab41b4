package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing/topology"
)

func newExport() *cobra.Command {
	var c clientFlags
	var output string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print all objects as a topology file",
		Long: `Export prints all hosts, networks, routers and ports of the daemon as a topology
file for apply and serve --topology. Objects of the daemon's topology file are
included. Quarantined objects, which the daemon cannot use, are left out, each
with a warning. Therefore 'apply --all' with this file deletes them.`,
		Example: "  ofdvr export > topology.yaml",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "yaml", "json"); err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "reading all objects")
			defer stop()
			var text json.RawMessage
			if _, err := client.Do(cmd.Context(), http.MethodGet, "/v1/topology", nil, &text); err != nil {
				return err
			}
			change, err := topology.DecodeTopology(text, nil)
			if err != nil {
				return fmt.Errorf("read the answer of ofdvr: %w", err)
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			stop()
			for _, q := range status.Intent.Quarantined {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s %q of %s is left out, because it is quarantined: %s\n", q.Kind, q.ID, q.Source, q.Reason)
			}
			for _, src := range []*controller.SourceStatus{status.Intent.File, status.Intent.Store} {
				if src != nil && src.Partial {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: objects of %s may be missing, because it could not be read: %s\n", src.Name, strings.Join(src.Mistakes, "; "))
				}
			}
			return printModel(cmd.OutOrStdout(), &change.Put, output)
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, "yaml", "json")
	return cmd
}
