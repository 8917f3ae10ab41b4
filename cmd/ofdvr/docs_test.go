package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/topology"
)

var update = flag.Bool("update", false, "rewrite the generated parts of docs")

// A generated part of a page is between these comments. The words after "generated:" select
// the part.
var generatedPart = regexp.MustCompile(`(?s)(<!-- generated: ([^>]*) -->\n).*?(<!-- end -->\n)`)

// The tables of keys, flags, metrics, commands and cookies in docs match the code. Each metric is
// in exactly one table. With -update, the test writes the tables.
func TestGeneratedDocs(t *testing.T) {
	metrics := metricRows(t)
	for _, name := range []string{"docs/configuration.md", "docs/metrics.md", "docs/cli.md", "docs/flow-program.md"} {
		page := document(t, name)
		parts := 0
		want := generatedPart.ReplaceAllStringFunc(page, func(part string) string {
			parts++
			m := generatedPart.FindStringSubmatch(part)
			var text string
			switch what, selected, _ := strings.Cut(m[2], " "); what {
			case "keys":
				text = keyTable()
			case "flags":
				text = flagTable(newServe())
			case "metrics":
				text = metricTable(t, metrics, selected)
			case "cookies":
				text = cookieTable()
			case "commands":
				text = commandTable(newRoot())
			case "help":
				text = commandHelp(newRoot())
			default:
				t.Errorf("%s: unknown part %q", name, m[2])
			}
			return m[1] + "\n" + text + "\n" + m[3]
		})
		if parts == 0 {
			t.Errorf("%s has no generated part", name)
		}
		switch {
		case want == page:
		case *update:
			if err := os.WriteFile("../../"+name, []byte(want), 0o644); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("%s does not match the code: run make docs", name)
		}
	}
	for _, f := range metrics {
		if !f.used {
			t.Errorf("docs/metrics.md: %s is in no table", f.name)
		}
	}
}

// cell returns text with escapes for a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// code returns text as code. For "" it returns "".
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// keyTable lists the keys of a topology file. It takes them from the types of the documents.
func keyTable() string {
	var b strings.Builder
	b.WriteString("| key | values | default | meaning |\n| --- | --- | --- | --- |\n")
	addKeys(&b, reflect.TypeFor[topology.Topology](), "")
	return b.String()
}

func addKeys(b *strings.Builder, t reflect.Type, path string) {
	for f := range t.Fields() {
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		of, name := f.Type, path+key
		for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
			if of.Kind() == reflect.Slice {
				name += "[]"
			}
			of = of.Elem()
		}
		def := code(f.Tag.Get("default"))
		if options != "omitempty" && f.Tag.Get("required") != "false" {
			def = "required"
		}
		values := code(strings.ReplaceAll(f.Tag.Get("enum"), ",", "`, `"))
		if low := f.Tag.Get("minimum"); low != "" {
			values = low + "–" + f.Tag.Get("maximum")
		}
		if of.Kind() == reflect.Bool {
			values = "`true`, `false`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, values, def, cell(f.Tag.Get("doc")))
		if of.Kind() == reflect.Struct {
			addKeys(b, of, name+".")
		}
	}
}

// flagTable lists the flags of a command.
func flagTable(cmd *cobra.Command) string {
	var b strings.Builder
	b.WriteString("| flag | default | meaning |\n| --- | --- | --- |\n")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + value)
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, code(strings.Trim(f.DefValue, "[]")), cell(usage))
	})
	return b.String()
}

// available returns the commands below cmd that its help lists.
func available(cmd *cobra.Command) (all []*cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
			all = append(all, c)
		}
	}
	return all
}

// commandTable lists the commands with their short descriptions.
func commandTable(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("| command | does |\n| --- | --- |\n")
	for _, c := range available(root) {
		fmt.Fprintf(&b, "| [`%s`](#ofdvr-%s) | %s |\n", c.Name(), c.Name(), cell(c.Short))
	}
	return b.String()
}

// commandHelp has the help of each command, below a heading.
func commandHelp(root *cobra.Command) string {
	var all []string
	var add func(*cobra.Command)
	add = func(parent *cobra.Command) {
		for _, c := range available(parent) {
			c.InitDefaultHelpFlag()
			var b strings.Builder
			c.SetOut(&b)
			c.HelpFunc()(c, nil)
			all = append(all, "### "+c.CommandPath()+"\n\n```\n"+strings.TrimSpace(b.String())+"\n```\n")
			add(c)
		}
	}
	add(root)
	return strings.Join(all, "\n")
}

// A metricRow is a row of a table of metrics.
type metricRow struct {
	name, row string
	used      bool // a table has used it
}

// metricRows returns a row for each of our metrics, sorted by name.
func metricRows(t *testing.T) (all []*metricRow) {
	t.Helper()
	for _, f := range families(t) {
		if !strings.HasPrefix(f.GetName(), "ofdvr_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, code(l.GetName()))
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), cell(f.GetHelp()))
		all = append(all, &metricRow{name: f.GetName(), row: row})
	}
	return all
}

// metricTable lists the metrics with names that begin with ofdvr_ and one of the prefixes.
func metricTable(t *testing.T, metrics []*metricRow, prefixes string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, m := range metrics {
		for p := range strings.FieldsSeq(prefixes) {
			if !strings.HasPrefix(m.name, "ofdvr_"+p) {
				continue
			}
			if m.used {
				t.Errorf("docs/metrics.md: %s is in two tables", m.name)
			}
			m.used = true
			b.WriteString(m.row)
		}
	}
	return b.String()
}

// cookieTable lists the roles of flows, by the first two bytes of their cookies.
func cookieTable() string {
	var b strings.Builder
	b.WriteString("| cookie | the flow |\n| --- | --- |\n")
	for role := compile.Role(1); role < 0xff; role++ {
		o := routing.Object{Kind: routing.KindInterface, ID: "I", Interface: "I"}
		switch role {
		case compile.RoleProbe: // probes are deleted at once, so operators do not see them
			continue
		case compile.RoleTunnel, compile.RoleHello, compile.RoleUnreached:
			o = routing.Object{Kind: routing.KindHost, ID: "H"}
		case compile.RoleCarry, compile.RoleFlood, compile.RoleConfined, compile.RoleLearn, compile.RoleLearned, compile.RoleLearnedHere, compile.RoleCrowded, compile.RoleUplinkOut:
			o = routing.Object{Kind: routing.KindNetwork, ID: "N"}
		case compile.RoleDeliver, compile.RoleArrive, compile.RoleProxy, compile.RoleKnown, compile.RoleTunnelOut, compile.RoleSelf, compile.RoleImposter, compile.RoleAstray:
			o = routing.Object{Kind: routing.KindPort, ID: "P", Interface: "I"}
		case compile.RoleExtra, compile.RoleBlackhole, compile.RoleMeasure:
			o = routing.Object{Kind: routing.KindRoute, ID: "R", Interface: "I"}
		case compile.RoleForeign, compile.RoleMartian:
			o = routing.Object{Kind: routing.KindRouter, ID: "R"}
		}
		if text := role.Does(o); !strings.HasPrefix(text, "role ") {
			fmt.Fprintf(&b, "| `0xfd%02x…` | %s |\n", uint8(role), cell(text))
		}
	}
	return b.String()
}
