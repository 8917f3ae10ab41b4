package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing/intent"
)

func newDelete() *cobra.Command {
	var c clientFlags
	var files []string
	var cascade, ignore bool
	var w waitFlags
	cmd := &cobra.Command{
		Use:   "delete networks|routers|ports ID... | -f FILE",
		Short: "Delete networks, routers or ports",
		Long: `Delete deletes objects by their IDs, or those that topology files declare, in one
step. A network on which there are ports or interfaces of routers is not deleted,
unless --cascade says that these should go too.`,
		Example: `  ofdvr delete port vm1 vm2
  ofdvr delete network blue --cascade
  ofdvr delete -f topology.yaml`,
		ValidArgsFunction: c.complete(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) < 2) == (files == nil) {
				return usageError("say what to delete: a kind and IDs, or -f FILE")
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			requests, err := deletions(args, files, cascade, cmd)
			if err != nil {
				return err
			}
			missing := 0
			for _, q := range requests {
				var done api.Written
				if _, err := client.Do(cmd.Context(), q.method, q.path+"?"+w.query().Encode()+q.more, q.body, &done); err != nil {
					if ignore && isNotFound(err) {
						continue
					}
					return errors.New(strings.ReplaceAll(err.Error(), "cascade=true", "--cascade"))
				}
				for _, o := range done.Objects {
					if o.Op != "unchanged" {
						fmt.Fprintf(cmd.OutOrStdout(), "%s/%s %s\n", o.Kind, o.ID, o.Op)
					} else if !ignore {
						fmt.Fprintf(cmd.ErrOrStderr(), "there is no %s %q\n", o.Kind, o.ID)
						missing++
					}
				}
				if err := w.outcome(cmd, &done); err != nil {
					return err
				}
			}
			if missing > 0 {
				return errReported
			}
			return nil
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

// A deletion is a request that deletes something.
type deletion struct {
	method, path, more string
	body               []byte
}

// deletions returns the requests that delete what was asked for: one if
// possible.
func deletions(args, files []string, cascade bool, cmd *cobra.Command) ([]deletion, error) {
	if files != nil {
		in, err := readFiles(files, cmd.InOrStdin())
		if err != nil {
			return nil, reported(cmd, err)
		}
		return []deletion{{method: http.MethodPatch, path: "/v1/topology", body: in.deletion()}}, nil
	}
	kind, err := kindOf(args[0])
	if err != nil {
		return nil, err
	}
	if cascade {
		var all []deletion
		for _, id := range args[1:] {
			all = append(all, deletion{method: http.MethodDelete, path: kind.path(id), more: "&cascade=true"})
		}
		return all, nil
	}
	var ids intent.IDs
	*map[string]*[]string{"networks": &ids.Networks, "routers": &ids.Routers, "ports": &ids.Ports}[kind.plural] = args[1:]
	body, err := json.Marshal(intent.BatchBody{Delete: &ids})
	return []deletion{{method: http.MethodPatch, path: "/v1/topology", body: body}}, err
}
