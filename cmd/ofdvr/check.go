package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Report every mistake in topology files",
		Long: `Check reads topology files and reports every mistake in them, each as
"file:line:column: path: what is wrong". It exits with 1 if there are any.
Warnings are reported too, but are no mistakes.`,
		Example: "  ofdvr check /etc/ofdvr/topology.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed error
			for _, name := range files {
				m, warnings, err := readTopology(cmd.Context(), name)
				for _, w := range warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "%v (warning)\n", w)
				}
				if cmd.Context().Err() != nil {
					return err
				}
				if err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), err)
					failed = errReported
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %s\n", name, summary(m))
			}
			return failed
		},
	}
}

func summary(m *routing.Model) string {
	return fmt.Sprintf("%s, %s, %s", count(len(m.Networks), "network"), count(len(m.Routers), "router"), count(len(m.Ports), "port"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// readTopology reads a topology file. The error lists all mistakes.
func readTopology(ctx context.Context, name string) (*routing.Model, []topology.Warning, error) {
	data, err := readFile(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("read topology: %w", err)
	}
	return topology.Parse(name, data)
}
