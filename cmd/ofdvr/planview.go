package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// colours reports whether w can show colours and should do so (https://no-color.org).
func colours(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }

// planSigns has the sign at the beginning of a line, by the change of the object.
var planSigns = map[string]string{"created": "+", "updated": "~", "deleted": "-"}

// A planView prints plans like a diff, after a summary.
type planView struct {
	details map[string][]string // lines about objects that change, by kind and ID
	file    string              // the topology file that the input replaces; "" for none
	verbose bool                // list flows and rows
	colour  bool
}

func (v *planView) print(w io.Writer, p *api.Written) {
	fmt.Fprintln(w, planSummary(p))
	if v.file != "" {
		fmt.Fprintf(w, "in place of the daemon's topology file %s\n", v.file)
	}
	for _, o := range p.Objects {
		if sign := planSigns[string(o.Op)]; sign != "" {
			v.line(w, fmt.Sprintf("%s %s %s", sign, o.Kind, o.ID))
			for _, d := range v.details[o.Kind+"/"+o.ID] {
				v.line(w, d)
			}
		}
	}
	if p.Plan != nil {
		for i := range p.Plan.Routers {
			v.router(w, &p.Plan.Routers[i])
		}
		v.rows(w, p.Plan.OVSDB)
		for _, problem := range p.Plan.Problems {
			v.line(w, "! "+problem)
		}
	}
	var warnings []string
	for _, m := range p.Warnings {
		warnings = append(warnings, m.Detail)
	}
	for _, text := range topology.Condense(warnings) {
		v.line(w, "! "+text)
	}
}

// planSummary counts the changes of a plan.
func planSummary(p *api.Written) string {
	n := make(map[string]int)
	for _, o := range p.Objects {
		n[string(o.Op)]++
	}
	text := fmt.Sprintf("%s: %d to create, %d to update, %d to delete, %d unchanged", count(len(p.Objects), "object"), n["created"], n["updated"], n["deleted"], n["unchanged"])
	if p.Plan == nil {
		return text + "; only a daemon knows the flows and rows"
	}
	flows := 0
	for _, r := range p.Plan.Routers {
		flows += len(r.Add) + len(r.Modify) + len(r.Delete)
	}
	return fmt.Sprintf("%s; %s and %s to change", text, count(flows, "flow"), count(len(p.Plan.OVSDB), "row"))
}

func (v *planView) router(w io.Writer, r *api.RouterPlan) {
	bridge := r.Bridge
	if r.Router != "" {
		bridge += ", router " + r.Router
	}
	where := fmt.Sprintf("@@ flows of bridge %s: %d to add, %d to change, %d to delete", bridge, len(r.Add), len(r.Modify), len(r.Delete))
	if !r.Connected {
		where += "; it is not connected, so these are all its flows"
	}
	v.line(w, where+" @@")
	if !v.verbose {
		return
	}
	for _, group := range []struct {
		sign  string
		flows []string
	}{{"-", r.Delete}, {"~", r.Modify}, {"+", r.Add}} {
		for _, f := range group.flows {
			v.line(w, group.sign+" "+f)
		}
	}
}

func (v *planView) rows(w io.Writer, rows []api.RowChange) {
	if len(rows) == 0 {
		return
	}
	n := make(map[string]int)
	for _, r := range rows {
		n[r.Op]++
	}
	v.line(w, fmt.Sprintf("@@ rows of Open vSwitch's database: %d to insert, %d to update, %d to remove @@", n["insert"], n["update"], n["remove"]))
	if !v.verbose {
		return
	}
	for _, r := range rows {
		sign := map[string]string{"insert": "+", "update": "~", "remove": "-"}[r.Op]
		v.line(w, strings.TrimRight(fmt.Sprintf("%s %s %s %s", sign, r.Table, r.Row, columns(r.Columns)), " "))
	}
}

// line prints a line, in the colour of its sign.
func (v *planView) line(w io.Writer, text string) {
	colour := map[byte]string{'+': "\x1b[32m", '-': "\x1b[31m", '~': "\x1b[33m"}[text[0]]
	if v.colour && colour != "" {
		text = colour + text + "\x1b[0m"
	}
	fmt.Fprintln(w, text)
}

// columns returns the columns of a row as text.
func columns(values map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		text, _ := json.Marshal(values[name]) // cannot fail, because the value was read from JSON
		parts = append(parts, name+"="+string(text))
	}
	return strings.Join(parts, " ")
}
