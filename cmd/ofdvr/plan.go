package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// errChanges ends ofdvr plan with exit status 2: there are changes.
var errChanges = errors.New("there are changes")

func newPlan() *cobra.Command {
	var c clientFlags
	var files []string
	var all bool
	var output string
	cmd := &cobra.Command{
		Use:   "plan FILE...",
		Short: "Show what applying topology files would change",
		Long: `Plan shows what apply would change, and changes nothing: objects, the flows of
each router's bridge, and rows of Open vSwitch's database. It exits with 0 if
that is nothing, with 2 if there are changes, and with 1 if something is wrong.`,
		Example: `  ofdvr plan topology.yaml
  ofdvr plan topology.yaml --all || test $? = 2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if files = append(files, args...); files == nil {
				return usageError("name a topology file")
			}
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			in, err := readFiles(cmd.Context(), files, cmd.InOrStdin())
			if err != nil {
				return reported(cmd, err)
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			method := http.MethodPatch
			if all {
				method = http.MethodPost
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "planning")
			defer stop()
			var p api.Written
			if _, err := client.Do(cmd.Context(), method, "/v1/topology?dry_run=true", in.body(all), &p); err != nil {
				stop()
				return in.reported(cmd, err)
			}
			if output == "json" {
				stop()
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				enc.Encode(p) // an error here means that nobody reads any more
			} else {
				before, err := changing(cmd.Context(), client, p.Objects)
				if err != nil {
					return err
				}
				stop()
				printPlan(cmd.OutOrStdout(), &p, differences(before, &in.model), colours(cmd.OutOrStdout()))
			}
			switch {
			case changes(&p):
				return errChanges
			case p.Plan != nil && len(p.Plan.Problems) > 0: // printed: that nothing would change is not known
				return errReported
			}
			return nil
		},
	}
	c.add(cmd)
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "topology `FILE`, a directory with such files, or - for standard input")
	cmd.Flags().BoolVar(&all, "all", false, "the files have everything: what they do not have would be deleted")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// changes reports whether a plan has any.
func changes(p *api.Written) bool {
	return slices.ContainsFunc(p.Objects, func(o api.Outcome) bool { return o.Op != "unchanged" }) ||
		p.Plan != nil && len(p.Plan.Routers)+len(p.Plan.OVSDB) > 0
}

// maxCompared is how many objects are shown key by key.
const maxCompared = 100

// changing returns the objects that would be updated as they are now.
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
		m.Networks, m.Routers, m.Ports = append(m.Networks, one.Networks...), append(m.Routers, one.Routers...), append(m.Ports, one.Ports...)
	}
	return m, nil
}

// differences returns, by kind and ID of each object of before, the lines that
// tell how it is in after.
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
	if printModel(&text, m, "json") != nil { // into memory
		return out
	}
	var all map[string][]map[string]json.RawMessage
	if json.Unmarshal(text.Bytes(), &all) != nil { // it was just made
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

// colours reports whether w shows colours and wants to (https://no-color.org).
func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
}

// printPlan prints a plan like a diff. details are lines about objects that
// change, by kind and ID.
func printPlan(w io.Writer, p *api.Written, details map[string][]string, colour bool) {
	line := func(text string) {
		if colour {
			switch text[0] {
			case '+':
				text = "\x1b[32m" + text + "\x1b[0m"
			case '-':
				text = "\x1b[31m" + text + "\x1b[0m"
			case '~':
				text = "\x1b[33m" + text + "\x1b[0m"
			}
		}
		fmt.Fprintln(w, text)
	}
	signs := map[string]string{"created": "+", "updated": "~", "deleted": "-"}
	n := make(map[string]int)
	for _, o := range p.Objects {
		op := string(o.Op)
		n[op]++
		if signs[op] == "" {
			continue
		}
		line(fmt.Sprintf("%s %s %s", signs[op], o.Kind, o.ID))
		for _, d := range details[o.Kind+"/"+o.ID] {
			line(d)
		}
	}
	flows, rows := 0, 0
	if p.Plan != nil {
		for _, r := range p.Plan.Routers {
			where := fmt.Sprintf("@@ flows of bridge %s, router %s", r.Bridge, r.Router)
			if !r.Connected {
				where += "; it is not connected, so all are listed"
			}
			line(where + " @@")
			for _, group := range []struct {
				sign  string
				flows []string
			}{{"-", r.Delete}, {"~", r.Modify}, {"+", r.Add}} {
				for _, f := range group.flows {
					line(group.sign + " " + f)
					flows++
				}
			}
		}
		if len(p.Plan.OVSDB) > 0 {
			line("@@ rows of Open vSwitch's database @@")
		}
		for _, r := range p.Plan.OVSDB {
			sign := map[string]string{"insert": "+", "update": "~", "remove": "-"}[r.Op]
			line(strings.TrimRight(fmt.Sprintf("%s %s %s %s", sign, r.Table, r.Row, columns(r.Columns)), " "))
			rows++
		}
		for _, problem := range p.Plan.Problems {
			line("! " + problem)
		}
	}
	for _, m := range p.Warnings {
		line("! " + m.Detail)
	}
	fmt.Fprintf(w, "%s: %d to create, %d to update, %d to delete, %d unchanged; %s and %s to change\n",
		count(len(p.Objects), "object"), n["created"], n["updated"], n["deleted"], n["unchanged"], count(flows, "flow"), count(rows, "row"))
}

// columns renders the columns of a row.
func columns(values map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text, _ := json.Marshal(values[name]) // of what was read from JSON
		parts = append(parts, name+"="+string(text))
	}
	return strings.Join(parts, " ")
}
