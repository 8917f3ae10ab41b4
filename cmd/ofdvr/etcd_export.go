package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/ledger"
)

func newEtcdExport(o *etcdOptions) *cobra.Command {
	var output, file string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print all objects in etcd as a topology file",
		Long: `Export prints all objects in etcd, at one revision, as a topology file for
import, check, and serve --topology. Objects that hosts cannot use are left out,
each with a warning.`,
		Example: `  ofdvr etcd export --etcd http://127.0.0.1:2379 > backup.yaml
  ofdvr etcd export --etcd http://127.0.0.1:2379 --file backup.yaml`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "yaml", "json"); err != nil {
				return err
			}
			s, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			return withLedger(cmd, s, func(_ context.Context, l *ledger.Ledger) error {
				in := l.Intent()
				if !in.Whole {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: the intent in etcd is not complete: objects may be missing\n")
				}
				for _, q := range in.Quarantined() {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: left out: %v\n", &q)
				}
				if file == "" {
					return printModel(cmd.OutOrStdout(), in.Index.Model(), output)
				}
				var b bytes.Buffer
				if err := printModel(&b, in.Index.Model(), output); err != nil {
					return err
				}
				return replaceFile(file, b.Bytes())
			})
		},
	}
	outputFlag(cmd, &output, "yaml", "json")
	cmd.Flags().StringVar(&file, "file", "", "write to this `FILE`, which is replaced when all is written, instead of standard output")
	return cmd
}

// replaceFile writes a file with a new name, and then renames it.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
