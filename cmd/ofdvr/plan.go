package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// errChanges ends ofdvr plan with exit status 2, which means that the plan has changes.
var errChanges = errors.New("there are changes")

func newPlan() *cobra.Command {
	var c clientFlags
	var files []string
	var o planOptions
	cmd := &cobra.Command{
		Use:     "plan FILE|DIRECTORY|-...",
		Aliases: []string{"diff"},
		Short:   "Show what apply would change, and change nothing",
		Long: `Plan shows what apply would change. It prints a summary, then each object, and
the numbers of changed flows of each bridge and of changed rows of Open
vSwitch's database; -v lists the flows and rows. It changes nothing. It exits
with 0 if nothing would change, with 2 if there are changes, and with 1 after an
error.

If FILE is the daemon's topology file (serve --topology), or changes objects of
that file, plan shows what would change if you saved FILE as the daemon's
topology file. With --as-topology it always shows that.`,
		Example: `  ofdvr plan topology.yaml
  ofdvr plan topology.yaml --all || test $? = 2
  ofdvr plan --as-topology new.yaml -v`,
		Args: arguments("[FILE...]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if files = append(files, args...); files == nil {
				return misuse("missing argument FILE")
			}
			if o.all && o.asFile {
				return misuse("--all and --as-topology cannot be used together: a topology file always has everything of it")
			}
			if err := checkOutput(o.output, "text", "json"); err != nil {
				return err
			}
			in, err := readFiles(cmd.Context(), files, cmd.InOrStdin())
			if err != nil {
				return reported(cmd, err)
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			return o.plan(cmd, client, in)
		},
	}
	c.add(cmd)
	c.addEtcd(cmd)
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "the same as an argument: topology `FILE`, directory, or - for standard input; may be given several times")
	cmd.Flags().BoolVar(&o.all, "all", false, "plan to delete all objects that are not in the files, as apply --all does")
	cmd.Flags().BoolVar(&o.asFile, "as-topology", false, "show what would change if the files replaced the daemon's topology file")
	verboseFlag(cmd, &o.verbose)
	outputFlag(cmd, &o.output, "text", "json")
	return cmd
}

func verboseFlag(cmd *cobra.Command, verbose *bool) {
	cmd.Flags().BoolVarP(verbose, "verbose", "v", false, "list each flow and each row of the database")
}

// planOptions are the flags of plan.
type planOptions struct {
	all, asFile, verbose bool
	output               string
}

// plan requests a plan and prints it.
func (o *planOptions) plan(cmd *cobra.Command, client *api.Client, in *inputs) error {
	stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "planning")
	defer stop()
	status, err := client.Status(cmd.Context())
	if err != nil {
		return err
	}
	file := ""
	if status.Intent.File != nil {
		file = status.Intent.File.Name
	}
	asFile := o.asFile || !o.all && in.are(file)
	p, err := o.ask(cmd.Context(), client, in, asFile)
	if refused, ok := errors.AsType[*api.Problem](err); ok && refused.Status == http.StatusForbidden && file != "" && !asFile && !o.all {
		asFile = true
		p, err = o.ask(cmd.Context(), client, in, asFile)
	}
	if err != nil {
		stop()
		return in.reported(cmd, err)
	}
	if o.output == "json" {
		stop()
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		enc.Encode(p) // an error means that the output is closed
	} else {
		before, err := changing(cmd.Context(), client, p.Objects)
		if err != nil {
			return err
		}
		stop()
		v := planView{details: differences(before, &in.model), verbose: o.verbose, colour: colours(cmd.OutOrStdout())}
		if asFile {
			v.file = file
		}
		v.print(cmd.OutOrStdout(), p)
	}
	switch {
	case changes(p):
		return errChanges
	case p.Plan != nil && len(p.Plan.Problems) > 0: // with these problems it is unknown whether anything would change
		return errReported
	}
	return nil
}

// ask requests the plan from the daemon. If asFile is true, the input replaces the daemon's
// topology file in the plan.
func (o *planOptions) ask(ctx context.Context, client *api.Client, in *inputs, asFile bool) (*api.Written, error) {
	method, query := http.MethodPatch, "?dry_run=true"
	if o.all || asFile {
		method = http.MethodPost
	}
	if asFile {
		query += "&as_file=true"
	}
	p := new(api.Written)
	_, err := client.Do(ctx, method, "/v1/topology"+query, in.body(o.all || asFile), p)
	return p, err
}

// changes reports whether a plan has changes.
func changes(p *api.Written) bool {
	return slices.ContainsFunc(p.Objects, func(o api.Outcome) bool { return o.Op != "unchanged" }) ||
		p.Plan != nil && len(p.Plan.Routers)+len(p.Plan.OVSDB) > 0
}

// maxCompared is the maximum number of objects that are shown key by key.
const maxCompared = 100

// changing returns the present state of the objects that would be updated.
func changing(ctx context.Context, c *api.Client, objects []api.Outcome) (*routing.Model, error) {
	m := new(routing.Model)
	n := 0
	for _, o := range objects {
		if o.Op != "updated" {
			continue
		}
		if n++; n > maxCompared {
			break
		}
		kind, err := kindOf(o.Kind)
		if err != nil {
			return nil, err
		}
		one, err := kind.fetch(ctx, c, []string{o.ID}, nil)
		if err != nil {
			return nil, err
		}
		add(m, one)
	}
	return m, nil
}

// differences compares two models. For each object of the first model, it returns the lines of the
// keys that differ. A key of the map is the object's kind and ID.
func differences(before, after *routing.Model) map[string][]string {
	out := make(map[string][]string)
	now := documents(after)
	for name, old := range documents(before) {
		keys := slices.Sorted(maps.Keys(old))
		for key := range now[name] {
			if _, known := old[key]; !known {
				keys = append(keys, key)
			}
		}
		for _, key := range keys {
			a, b := old[key], now[name][key]
			if bytes.Equal(a, b) {
				continue
			}
			if a != nil {
				out[name] = append(out[name], fmt.Sprintf("-     %s: %s", key, a))
			}
			if b != nil {
				out[name] = append(out[name], fmt.Sprintf("+     %s: %s", key, b))
			}
		}
	}
	return out
}

// documents returns the keys of each object of m, by kind and ID.
func documents(m *routing.Model) map[string]map[string]json.RawMessage {
	out := make(map[string]map[string]json.RawMessage)
	var text bytes.Buffer
	if printModel(&text, m, "json") != nil { // cannot fail when writing to memory
		return out
	}
	var all map[string][]map[string]json.RawMessage
	if json.Unmarshal(text.Bytes(), &all) != nil { // cannot fail, because printModel made the text
		return out
	}
	for plural, objects := range all {
		for _, o := range objects {
			var id string
			if json.Unmarshal(o["id"], &id) == nil {
				out[strings.TrimSuffix(plural, "s")+"/"+id] = o
			}
		}
	}
	return out
}
