package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	dashboardFile = "../../contrib/grafana/ofdvr.json"
	rulesFile     = "../../contrib/prometheus/ofdvr.rules.yml"
	ruleTestsFile = "../../contrib/prometheus/ofdvr_test.yml"
)

// A rule is an alert or a recording rule of rulesFile.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func rules(t *testing.T) (out []rule) {
	t.Helper()
	data, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) == 0 {
		t.Fatal("there are no rules")
	}
	return out
}

// A query is a PromQL expression with its position.
type query struct {
	where, expr, legend string
}

// queries returns the queries of the dashboard.
func queries(t *testing.T) (out []query) {
	t.Helper()
	data, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool) // titles of the panels so far, after the title of their row
	at := ""
	for _, p := range d.Panels {
		if p.Type == "row" {
			at = p.Title
		}
		where := at + "/" + p.Title
		if seen[where] {
			t.Errorf("the dashboard has %s twice", where)
		}
		seen[where] = true
		for _, target := range p.Targets {
			out = append(out, query{where, target.Expr, target.LegendFormat})
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition == "" {
			continue // the data source
		}
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition)
		if m == nil {
			t.Fatalf("variable %s of the dashboard has type %s", v.Name, v.Definition)
		}
		out = append(out, query{"variable " + v.Name, m[1], "{{" + m[2] + "}}"})
	}
	if len(out) == 0 {
		t.Fatal("the dashboard has no queries")
	}
	return out
}

var (
	selector  = regexp.MustCompile(`\b((?:\w+:)*(?:ofdvr|go|process)_\w+(?::\w+)*)(?:\{([^}]*)\})?`)
	labelName = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping  = regexp.MustCompile(`\b(?:by|on)\s*\(([^)]*)\)`)
	legend    = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
)

// series returns the metrics that queries can use, with their labels. Labels that Prometheus
// adds are not included.
func series(t *testing.T) map[string][]string {
	t.Helper()
	known := make(map[string][]string)
	for _, f := range families(t) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		known[f.GetName()] = labels
		if f.GetMetric()[0].GetHistogram() != nil {
			delete(known, f.GetName())
			known[f.GetName()+"_sum"], known[f.GetName()+"_count"] = labels, labels
			known[f.GetName()+"_bucket"] = append(slices.Clone(labels), "le")
		}
	}
	return known
}

// check reports names in q that do not exist.
func (q query) check(t *testing.T, known map[string][]string) {
	t.Helper()
	labels := []string{"job", "instance"}
	used := 0
	for _, m := range selector.FindAllStringSubmatch(q.expr, -1) {
		has, ok := known[m[1]]
		if !ok {
			t.Errorf("%s: there is no metric %s", q.where, m[1])
			continue
		}
		used++
		for _, l := range labelName.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append([]string{"job", "instance"}, has...), l[1]) {
				t.Errorf("%s: %s has no label %s", q.where, m[1], l[1])
			}
		}
		labels = append(labels, has...)
	}
	if used == 0 && !strings.Contains(q.expr, "up{") {
		t.Errorf("%s: no metric found in %s", q.where, q.expr)
	}
	var names []string
	for _, m := range grouping.FindAllStringSubmatch(q.expr, -1) {
		names = append(names, strings.Split(m[1], ", ")...)
	}
	for _, m := range legend.FindAllStringSubmatch(q.legend, -1) {
		names = append(names, m[1])
	}
	for _, name := range names {
		if !slices.Contains(labels, name) {
			t.Errorf("%s: no metric has the label %s", q.where, name)
		}
	}
}

// The dashboard and the rules use metrics and labels that exist.
func TestQueriesNameMetricsThatExist(t *testing.T) {
	known := series(t)
	all := queries(t)
	for _, r := range rules(t) {
		if r.Record != "" {
			by := grouping.FindStringSubmatch(r.Expr)
			known[r.Record] = strings.Split(strings.ReplaceAll(by[1], ", le", ""), ", ")
		}
		all = append(all, query{"rule " + r.Record + r.Alert, r.Expr, r.Annotations["summary"] + r.Annotations["description"]})
	}
	for _, q := range all {
		q.check(t, known)
	}
}

// Every metric of ofdvr is on the dashboard.
func TestDashboardHasAllMetrics(t *testing.T) {
	var text strings.Builder
	for _, q := range queries(t) {
		text.WriteString(q.expr + "\n")
	}
	for _, f := range families(t) {
		if name := f.GetName(); strings.HasPrefix(name, "ofdvr_") && !regexp.MustCompile(`\b`+name+`(_bucket)?\b`).MatchString(text.String()) {
			if name != "ofdvr_standby" { // a standby has no metrics yet
				t.Errorf("no panel has %s", name)
			}
		}
	}
}

// Each alert has a summary, a link to its runbook, and a test.
func TestAlertsAreComplete(t *testing.T) {
	tests, err := os.ReadFile(ruleTestsFile)
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			if !bytes.Contains(tests, []byte("expr: "+r.Record+"\n")) {
				t.Errorf("%s has no test", r.Record)
			}
			continue
		}
		if want := "https://github.com/ofdvr/ofdvr/blob/main/docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: the runbook is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !bytes.Contains(manual, []byte("\n### "+r.Alert+"\n")) {
			t.Errorf("docs/operations.md does not mention %s", r.Alert)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s lacks a summary, a description or a severity", r.Alert)
		}
		for _, name := range []string{r.Alert, "no " + r.Alert} {
			if !bytes.Contains(tests, []byte("name: "+name+"\n")) {
				t.Errorf("there is no test %q", name)
			}
		}
	}
}

func promtool(t *testing.T, input string, args ...string) {
	t.Helper()
	lab.Needs(t, "promtool")
	cmd := exec.Command("promtool", args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil || len(args) == 2 && args[1] == "metrics" && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestRules(t *testing.T) {
	promtool(t, "", "check", "rules", rulesFile)
	promtool(t, "", "test", "rules", ruleTestsFile)
}

// Prometheus can parse the dashboard's queries.
func TestDashboardQueriesParse(t *testing.T) {
	values := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*", "$router", ".*")
	var list []map[string]string
	for i, q := range queries(t) {
		list = append(list, map[string]string{"record": fmt.Sprintf("q:%d", i), "expr": values.Replace(q.expr)})
	}
	data, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": list}}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "dashboard.rules.yml")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", name)
}

// promtool reports no problems in the metrics.
func TestScrapeIsLinted(t *testing.T) {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registered(t), promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	promtool(t, w.Body.String(), "check", "metrics")
}
