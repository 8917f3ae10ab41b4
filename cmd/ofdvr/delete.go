package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
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
		Use:        "delete KIND ID|NAME... | KIND/ID... | -f FILE",
		SuggestFor: []string{"remove", "rm", "del"},
		Short:      "Delete networks, routers, ports or hosts",
		Long: `Delete deletes objects by their IDs, or all objects in topology files, in one
step. A network that has ports or router interfaces is not deleted. With
--cascade these are deleted with it, and networks are deleted one after another.
A host on which ports are expected is not deleted. With --cascade these ports
stay, without a host. IDs that do not exist are reported, and the other objects
are deleted.`,
		Example: `  ofdvr delete port vm1 vm2
  ofdvr delete network blue --cascade
  ofdvr delete network/blue port/vm1
  ofdvr delete -f topology.yaml`,
		ValidArgsFunction: c.complete(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case files != nil && len(args) > 0:
				return misuse("unexpected argument %q: with -f, the files name what is deleted", args[0])
			case files == nil && len(args) == 0:
				return misuse("missing argument KIND: network, router, port or host, and IDs; or -f FILE")
			}
			if err := w.check(&c); err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			ids, err := toDelete(cmd, client, args, files)
			if err != nil {
				return err
			}
			var failed error
			for _, q := range deletions(ids, cascade) {
				done, err := write(cmd, client, &w, q.method, q.path, q.query(&w), q.body)
				missing := q.id != "" && isNotFound(err) // the request has one ID; with several, the answer names the missing objects
				switch {
				case missing && ignore:
					continue
				case missing:
					fmt.Fprintf(cmd.ErrOrStderr(), "ofdvr: %s %q does not exist\n", q.kind.singular, q.id)
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
						fmt.Fprintf(cmd.ErrOrStderr(), "ofdvr: %s %q does not exist\n", o.Kind, o.ID)
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
	c.addEtcd(cmd)
	w.add(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&files, "filename", "f", nil, "delete all objects of this topology `FILE`")
	f.BoolVar(&cascade, "cascade", false, "with a network, also delete the ports and router interfaces on it; with a host, remove the key host from its ports")
	f.BoolVar(&ignore, "ignore-not-found", false, "ignore IDs that do not exist")
	return cmd
}

// toDelete returns the IDs of the objects to delete.
func toDelete(cmd *cobra.Command, client *api.Client, args, files []string) (ids topology.IDs, err error) {
	if files != nil {
		in, err := readFiles(cmd.Context(), files, cmd.InOrStdin())
		if err != nil {
			return ids, reported(cmd, err)
		}
		return in.ids(), nil
	}
	objects, err := selected(args)
	if err != nil {
		return ids, err
	}
	for _, s := range objects {
		if len(s.ids) == 0 {
			return ids, misuse("missing argument ID of a %s", s.singular)
		}
		for i, word := range s.ids {
			id, err := s.resolve(cmd.Context(), client, word)
			switch {
			case isNotFound(err): // the answer to the delete will report the missing object
			case err != nil:
				return ids, err
			default:
				s.ids[i] = id
			}
		}
		switch s.kind {
		case routing.KindHost:
			ids.Hosts = s.ids
		case routing.KindNetwork:
			ids.Networks = s.ids
		case routing.KindRouter:
			ids.Routers = s.ids
		case routing.KindPort:
			ids.Ports = s.ids
		}
	}
	return ids, nil
}

// A deletion is a request that deletes objects.
type deletion struct {
	method, path string
	body         []byte // has the IDs of the objects to delete in one step
	kind         kindWord
	id           string // if there is no body: the ID of the object to delete with cascade
}

func (q *deletion) query(w *waitFlags) url.Values {
	v := w.query()
	if q.id != "" {
		v.Set("cascade", "true")
	}
	return v
}

// deletions returns the requests that delete the objects with these IDs. Without cascade this is
// one request. With cascade, each network and each host has its own request, and the other objects
// share one.
func deletions(ids topology.IDs, cascade bool) (all []deletion) {
	var networks, hosts []string
	if cascade {
		networks, ids.Networks = ids.Networks, nil
		hosts, ids.Hosts = ids.Hosts, nil
	}
	if len(ids.Networks)+len(ids.Routers)+len(ids.Ports)+len(ids.Hosts) > 0 {
		body, _ := json.Marshal(topology.BatchBody{Delete: &ids}) // cannot fail, because the body has only strings
		all = append(all, deletion{method: http.MethodPatch, path: "/v1/topology", body: body})
	}
	one := func(kind kindWord, id string) {
		all = append(all, deletion{method: http.MethodDelete, path: kind.path(id), kind: kind, id: id})
	}
	for _, id := range networks {
		one(kindWords[0], id)
	}
	for _, id := range hosts {
		one(kindWords[3], id)
	}
	return all
}
