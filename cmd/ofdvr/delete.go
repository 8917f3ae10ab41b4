package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

func newDelete() *cobra.Command {
	var c clientFlags
	var files []string
	var cascade, ignore bool
	var w waitFlags
	cmd := &cobra.Command{
		Use:   "delete networks|routers|ports ID... | -f FILE",
		Short: "Delete networks, routers or ports",
		Long: `Delete deletes objects by their IDs, or those that topology files declare, in
one step. A network on which there are ports or interfaces of routers is not
deleted, unless --cascade says that these should go too; then networks are
deleted one after the other. What does not exist is named, and the rest is
deleted nevertheless.`,
		Example: `  ofdvr delete port vm1 vm2
  ofdvr delete network blue --cascade
  ofdvr delete -f topology.yaml`,
		ValidArgsFunction: c.complete(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if files == nil && len(args) < 2 || files != nil && len(args) > 0 {
				return usageError("say what to delete: a kind and IDs, or -f FILE")
			}
			ids, err := toDelete(cmd, args, files)
			if err != nil {
				return err
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			var failed error
			for _, q := range deletions(ids, cascade) {
				done, err := write(cmd, client, &w, q.method, q.path, q.query(&w), q.body)
				missing := q.network != "" && isNotFound(err) // of several, the answer names those that are
				switch {
				case missing && ignore:
					continue
				case missing:
					fmt.Fprintf(cmd.ErrOrStderr(), "there is no network %q\n", q.network)
					failed = errReported
					continue
				case errors.Is(err, errReported):
					return err
				case err != nil:
					return err
				}
				for _, o := range done.Objects {
					if o.Op != ledger.Unchanged {
						fmt.Fprintf(cmd.OutOrStdout(), "%s/%s %s\n", o.Kind, o.ID, o.Op)
					} else if !ignore {
						fmt.Fprintf(cmd.ErrOrStderr(), "there is no %s %q\n", o.Kind, o.ID)
						failed = errReported
					}
				}
				if err := w.outcome(cmd, done); err != nil {
					failed = err
				}
			}
			return failed
		},
	}
	c.add(cmd)
	w.add(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&files, "filename", "f", nil, "delete what this topology `FILE` declares")
	f.BoolVar(&cascade, "cascade", false, "delete too what refers to it: of a network the ports on it and the interfaces that routers have on it")
	f.BoolVar(&ignore, "ignore-not-found", false, "what does not exist is no failure")
	return cmd
}

// toDelete returns the IDs of what was asked for.
func toDelete(cmd *cobra.Command, args, files []string) (ids topology.IDs, err error) {
	if files != nil {
		in, err := readFiles(cmd.Context(), files, cmd.InOrStdin())
		if err != nil {
			return ids, reported(cmd, err)
		}
		return in.ids(), nil
	}
	kind, err := kindOf(args[0])
	switch kind.kind {
	case routing.KindNetwork:
		ids.Networks = args[1:]
	case routing.KindRouter:
		ids.Routers = args[1:]
	case routing.KindPort:
		ids.Ports = args[1:]
	}
	return ids, err
}

// A deletion is a request that deletes something.
type deletion struct {
	method, path string
	body         []byte // of what is deleted in one step
	network      string // or the network that is deleted with what refers to it
}

func (q *deletion) query(w *waitFlags) url.Values {
	v := w.query()
	if q.network != "" {
		v.Set("cascade", "true")
	}
	return v
}

// deletions returns the requests that delete what has IDs: one step, but with
// cascade one more for each network.
func deletions(ids topology.IDs, cascade bool) (all []deletion) {
	var networks []string
	if cascade {
		networks, ids.Networks = ids.Networks, nil
	}
	if len(ids.Networks)+len(ids.Routers)+len(ids.Ports) > 0 {
		body, _ := json.Marshal(topology.BatchBody{Delete: &ids}) // of strings, which is always possible
		all = append(all, deletion{method: http.MethodPatch, path: "/v1/topology", body: body})
	}
	for _, id := range networks {
		all = append(all, deletion{method: http.MethodDelete, path: kindWords[0].path(id), network: id})
	}
	return all
}
