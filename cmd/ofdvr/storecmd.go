package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
)

func newStore() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Export, import or check the store while no daemon runs",
		Long: `The store is the file intent.db in --state-dir, with the objects that were
written through the API. These commands work only while no other process has the
store open. While a daemon runs, use 'ofdvr export' and 'ofdvr apply --all'.`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&dir, "state-dir", defaultStateDir, "`DIRECTORY` of the store")
	var output string
	var allowEmpty bool
	export := &cobra.Command{
		Use: "export", Short: "Print all objects of the store as a topology file",
		Long:    "Export prints all objects in the store as a topology file.",
		Example: "  ofdvr store export > backup.yaml",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "yaml", "json"); err != nil {
				return err
			}
			return withStore(cmd, dir, func(_ *store.Store, c store.Contents) error {
				return printModel(cmd.OutOrStdout(), c.Model, output)
			})
		},
	}
	outputFlag(export, &output, "yaml", "json")
	imports := &cobra.Command{
		Use: "import FILE", Short: "Replace all objects of the store by the objects of a file",
		Long: `Import replaces all objects of the store by the objects of a topology file. A
file with errors changes nothing. Afterwards the store counts as complete.`,
		Example: "  ofdvr store import backup.yaml",
		Args:    arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, warnings, err := readTopology(cmd.Context(), args[0])
			printWarnings(cmd.ErrOrStderr(), warnings)
			if err != nil {
				return reported(cmd, err)
			}
			return withStore(cmd, dir, func(s *store.Store, c store.Contents) error {
				p, err := ledger.ReplaceAll(*m, allowEmpty)(&ledger.Intent{Index: routing.NewIndex(c.Model)})
				if err != nil {
					return fmt.Errorf("import %s: %w; use --allow-empty if that is meant", args[0], err)
				}
				if err := s.Commit(c.Revision+1, true, p.Change); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: now has %s\n", s.Path(), summary(m))
				return nil
			})
		},
	}
	imports.Flags().BoolVar(&allowEmpty, "allow-empty", false, "accept a file without any object, which deletes everything")
	check := &cobra.Command{
		Use: "check", Short: "Look for damage in the store",
		Long: `Check reads the store. It reports all damage of the file and of objects, and all
objects that contradict each other. It changes nothing. It exits with 1 if it
finds damage or contradictions.`,
		Example: "  ofdvr store check --state-dir /var/lib/ofdvr",
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := store.Check(dir)
			if err != nil {
				return err
			}
			for _, p := range r.Problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", r.Path, p)
			}
			if r.More > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: and %d more\n", r.Path, r.More)
			}
			if len(r.Problems) > 0 {
				return errReported
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: schema version %d, revision %d, %s\n", r.Path, r.Version, r.Revision,
				counts(r.Hosts, r.Networks, r.Routers, r.Ports))
			return nil
		},
	}
	cmd.AddCommand(export, imports, check)
	return cmd
}

// withStore calls f with the open store and its contents.
func withStore(cmd *cobra.Command, dir string, f func(*store.Store, store.Contents) error) error {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close() // all transactions have ended when Close is called
	p := newProgress(cmd.ErrOrStderr())
	c, err := s.Load(func(done, total int) {
		p.show(fmt.Sprintf("reading the store: %d of %s", done, count(total, "object")))
	})
	p.clear()
	if err != nil {
		return err
	}
	return f(s, c)
}
