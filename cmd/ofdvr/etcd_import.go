package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
)

func newEtcdImport(o *etcdOptions) *cobra.Command {
	var all, allowEmpty, incomplete, dryRun bool
	cmd := &cobra.Command{
		Use:   "import FILE|DIRECTORY",
		Short: "Write the objects of a file or a store to etcd",
		Long: `Import creates and updates the objects of a topology file, or of the store in
the --state-dir of one host, which no daemon may have open. Objects in etcd that
are not in the file stay as they are; with --all they are deleted. In the end
the intent in etcd counts as complete, unless --incomplete is given. Until then,
hosts remove nothing that they have.

A file with errors changes nothing. If the change is too large for one
transaction of etcd, it is written in parts. If import is interrupted, the parts
written so far stay, and hosts use them. The same command goes on where it
stopped.`,
		Example: `  ofdvr etcd import topology.yaml --etcd http://127.0.0.1:2379
  ofdvr etcd import /var/lib/ofdvr --etcd http://127.0.0.1:2379`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := readImport(cmd, args[0])
			if err != nil {
				return err
			}
			s, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			return withLedger(cmd, s, func(ctx context.Context, l *ledger.Ledger) error {
				edit := importing(*m, all, allowEmpty, !incomplete)
				if dryRun {
					_, r, err := l.Try(edit)
					if err != nil {
						return importError(err, args[0])
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s: would have %s\n", s.Name(), outcomes(r.Objects))
					return nil
				}
				w := importer{store: s, ledger: l, progress: newProgress(cmd.ErrOrStderr())}
				if incomplete {
					if err := w.begin(ctx); err != nil {
						return err
					}
				}
				r, err := l.Write(ctx, edit)
				if w.done = r.Objects; errors.Is(err, ledger.ErrTooLarge) {
					fmt.Fprintf(cmd.ErrOrStderr(), "ofdvr: %s are too many for one transaction of etcd: they are written in parts, and hosts use each part at once\n", count(m.Len(), "object"))
					err = w.all(ctx, edit, m, !incomplete)
					w.progress.clear()
				}
				if err == nil && !incomplete {
					err = s.EndImport(ctx)
				}
				if err != nil {
					if ctx.Err() != nil {
						err = errors.New("interrupted")
					}
					return fmt.Errorf("%w; so far %s. Run the same command again to go on", importError(err, args[0]), outcomes(w.done))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", s.Name(), outcomes(w.done))
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "delete all objects in etcd that are not in the file")
	f.BoolVar(&allowEmpty, "allow-empty", false, "with --all: accept a file without any object, which deletes everything")
	f.BoolVar(&incomplete, "incomplete", false, "do not declare the intent complete, because more objects will be imported")
	f.BoolVar(&dryRun, "dry-run", false, "change nothing, and print the number of objects that would change")
	return cmd
}

// readImport reads a topology file, or a store if name is that of its file or its directory.
func readImport(cmd *cobra.Command, name string) (*routing.Model, error) {
	dir := name
	if filepath.Base(name) == store.FileName {
		dir = filepath.Dir(name)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		m, warnings, err := readTopology(cmd.Context(), name)
		printWarnings(cmd.ErrOrStderr(), warnings)
		if err != nil {
			return nil, reported(cmd, err)
		}
		return m, nil
	}
	if _, err := os.Stat(filepath.Join(dir, store.FileName)); err != nil {
		return nil, fmt.Errorf("read the store: %w", err) // store.Open would create it
	}
	var m *routing.Model
	err := withStore(cmd, dir, func(_ *store.Store, c store.Contents) error {
		m = c.Model
		return m.Validate()
	})
	return m, err
}

// withLedger calls f with a running ledger that has only the intent in etcd.
func withLedger(cmd *cobra.Command, s *etcd.Store, f func(context.Context, *ledger.Ledger) error) error {
	l, err := readEtcd(cmd, s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx, noReader{}) }()
	defer func() {
		cancel()
		<-ended
	}()
	return f(ctx, l)
}

// importing returns the edit of the whole import.
func importing(m routing.Model, all, allowEmpty, complete bool) ledger.Edit {
	return func(s *ledger.Intent) (p ledger.Proposal, err error) {
		p.Change.Put = m
		if all {
			p, err = ledger.ReplaceAll(m, allowEmpty)(s)
		}
		p.Complete = complete
		return p, err
	}
}

func importError(err error, name string) error {
	if errors.Is(err, ledger.ErrEmpty) {
		return fmt.Errorf("import %s: %w; use --allow-empty if that is meant", name, err)
	}
	return err
}

// outcomes counts the changes of objects.
func outcomes(objects []ledger.Outcome) string {
	n := make(map[ledger.Op]int)
	for _, o := range objects {
		n[o.Op]++
	}
	return fmt.Sprintf("%s created, %d updated, %d deleted, %d unchanged", count(n[ledger.Created], "object"), n[ledger.Updated], n[ledger.Deleted], n[ledger.Unchanged])
}

// maxDeletions is the number of objects in a part of a deletion.
const maxDeletions = 20

// An importer writes a model to etcd in parts.
type importer struct {
	store    *etcd.Store
	ledger   *ledger.Ledger
	progress *progress
	done     []ledger.Outcome
	total    int
}

// all writes the objects of m, and makes the deletions of edit.
func (w *importer) all(ctx context.Context, edit ledger.Edit, m *routing.Model, complete bool) error {
	_, r, err := w.ledger.Try(edit)
	if err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.total = len(r.Objects)
	var gone routing.IDs
	for _, o := range r.Objects {
		if o.Op == ledger.Deleted {
			gone.Add(o.Object.Kind, o.Object.ID)
		}
	}
	later, err := w.puts(ctx, parts(*m))
	if err != nil {
		return err
	}
	if err := w.deletions(ctx, gone); err != nil {
		return err
	}
	for len(later) > 0 { // objects that needed an address, a VLAN or a VNI which another object had
		before := len(later)
		if later, err = w.puts(ctx, parts(join(later))); err != nil {
			return err
		}
		if len(later) == before {
			if err := w.write(ctx, routing.Change{Put: join(later)}); err != nil { // which says what is the matter
				return err
			}
			break
		}
	}
	if complete {
		_, err = w.ledger.Write(ctx, ledger.Complete)
	}
	return err
}

// begin declares an intent without objects incomplete, because hosts may have declared it complete.
func (w *importer) begin(ctx context.Context) error {
	if n, routers, ports := w.ledger.Intent().Index.Len(); n+routers+ports > 0 {
		return nil
	}
	return w.store.BeginImport(ctx)
}

// puts writes parts, and returns those that the rules of the intent do not allow now.
func (w *importer) puts(ctx context.Context, parts []routing.Model) (later []routing.Model, err error) {
	for _, part := range parts {
		err := w.write(ctx, routing.Change{Put: part})
		if _, invalid := errors.AsType[*routing.PathError](err); invalid {
			later = append(later, part)
			continue
		}
		if a, b, ok := halves(part); ok && errors.Is(err, ledger.ErrTooLarge) {
			more, err := w.puts(ctx, []routing.Model{a, b})
			if err != nil {
				return nil, err
			}
			later = append(later, more...)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return later, nil
}

// deletions deletes objects: first those that refer to others.
func (w *importer) deletions(ctx context.Context, gone routing.IDs) error {
	var all []routing.IDs
	for ids := range slices.Chunk(gone.Ports, maxDeletions) {
		all = append(all, routing.IDs{Ports: ids})
	}
	for _, id := range gone.Routers {
		all = append(all, routing.IDs{Routers: []string{id}})
	}
	for ids := range slices.Chunk(gone.Networks, maxDeletions) {
		all = append(all, routing.IDs{Networks: ids})
	}
	for ids := range slices.Chunk(gone.Hosts, maxDeletions) {
		all = append(all, routing.IDs{Hosts: ids})
	}
	for _, ids := range all {
		if err := w.write(ctx, routing.Change{Delete: ids}); err != nil {
			return err
		}
	}
	return nil
}

func (w *importer) write(ctx context.Context, c routing.Change) error {
	r, err := w.ledger.Write(ctx, ledger.Apply(c))
	if err != nil {
		return err
	}
	w.done = append(w.done, r.Objects...)
	w.progress.show(fmt.Sprintf("writing to etcd: %d of %s", len(w.done), count(w.total, "object")))
	return nil
}
