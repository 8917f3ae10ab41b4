package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Mistakes that the daemon finds are reported with their positions, in each of several files.
func TestMistakesAreLocated(t *testing.T) {
	inDir(t, map[string]string{
		"a.yaml": "networks:\n  - {id: blue}\nports:\n  - {id: p, network: blue, mac: \"02:00:00:00:00:01\"}\n",
		"b.json": `{"ports": [{"id": "q", "network": "red", "mac": "02:00:00:00:00:02", "addresses": ["10.0.0.1", "10.0.0.2"]}]}`,
	})
	in, err := readFiles(t.Context(), []string{"a.yaml", "b.json"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var batch struct {
		Put struct{ Networks, Ports []struct{ ID string } }
	}
	if err := json.Unmarshal(in.body(false), &batch); err != nil || len(batch.Put.Networks) != 1 || len(batch.Put.Ports) != 2 || batch.Put.Ports[1].ID != "q" {
		t.Errorf("body %s, %v", in.body(false), err)
	}
	if got := deletions(in.ids(), false); len(got) != 1 || string(got[0].body) != `{"delete":{"networks":["blue"],"ports":["p","q"]}}` {
		t.Errorf("deletions %+v", got)
	}
	got := in.located(&api.Problem{Detail: "x", Errors: []api.Mistake{
		{Pointer: "/put/ports/1/addresses/1", Detail: "one"}, {Pointer: "/put/ports/0/mac", Detail: "two"},
		{Pointer: "/delete/networks/0", Detail: "three"}, {Pointer: "/put/networks/0", Detail: "four"},
	}})
	want := "/delete/networks/0: three\na.yaml:2:5: networks[0]: four\na.yaml:4:33: ports[0].mac: two\nb.json:1:96: ports[0].addresses[1]: one"
	if got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
	other := errors.New("other")
	if in.located(other) != other {
		t.Errorf("%v", in.located(other))
	}
}

// The topology files of a directory are read in order of their names. Errors of reading are
// reported.
func TestReadFiles(t *testing.T) {
	inDir(t, map[string]string{"n1.yaml": "networks: [{id: one}]\n"})
	for name, text := range map[string]string{"b.yml": "networks: [{id: b}]", "a.json": `{"networks": [{"id": "a"}]}`, ".hidden.yaml": "!", "README": "!"} {
		if err := os.MkdirAll("dir", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("dir", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := readFiles(t.Context(), []string{"n1.yaml", "dir", "-"}, strings.NewReader("networks: [{id: stdin}]"))
	if err != nil || strings.Join(idsOf(&in.model), " ") != "one a b stdin" {
		t.Errorf("%v, %v", idsOf(&in.model), err)
	}
	if err := os.Mkdir("empty", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{"none.yaml": "no such file", "empty": "directory empty has no *.yaml, *.yml or *.json files"} {
		if _, err := readFiles(t.Context(), []string{name}, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readFiles(t.Context(), []string{"-"}, strings.NewReader("networks: [{vlan: x}]")); err == nil || !strings.Contains(err.Error(), "standard input:1:12: networks[0]: missing key \"id\"") {
		t.Error(err)
	}
}

// A plan begins with its summary and is like a diff. With verbose it also has flows and rows.
func TestPrintPlan(t *testing.T) {
	p := &api.Written{
		Objects: []api.Outcome{{Kind: "port", ID: "a", Op: ledger.Created}, {Kind: "port", ID: "b", Op: ledger.Updated}, {Kind: "port", ID: "c", Op: ledger.Deleted}, {Kind: "port", ID: "d", Op: ledger.Unchanged}},
		Plan: &api.PlanDocument{
			Routers: []api.RouterPlan{{Router: "r1", Bridge: "rb-r1", Connected: true, Add: []string{"table=2"}, Modify: []string{"table=1"}, Delete: []string{"table=0"}}},
			OVSDB:   []api.RowChange{{Op: "insert", Table: "Port", Row: "pr-x", Columns: map[string]any{"tag": 7, "name": "pr-x"}}, {Op: "remove", Table: "Bridge", Row: "rb-y"}},
		},
		Warnings: []api.Mistake{{Detail: "careful"}},
	}
	before, after := new(routing.Model), new(routing.Model)
	before.Ports = []routing.Port{{ID: "b", Network: "n"}}
	after.Ports = []routing.Port{{ID: "b", Network: "m"}}
	const summary = "4 objects: 1 to create, 1 to update, 1 to delete, 1 unchanged; 3 flows and 2 rows to change\n"
	const objects = `+ port a
~ port b
-     network: "n"
+     network: "m"
- port c
`
	const short = summary + "in place of the daemon's topology file /etc/t.yaml\n" + objects + `@@ flows of bridge rb-r1, router r1: 1 to add, 1 to change, 1 to delete @@
@@ rows of Open vSwitch's database: 1 to insert, 0 to update, 1 to remove @@
! careful
`
	const long = summary + objects + `@@ flows of bridge rb-r1, router r1: 1 to add, 1 to change, 1 to delete @@
- table=0
~ table=1
+ table=2
@@ rows of Open vSwitch's database: 1 to insert, 0 to update, 1 to remove @@
+ Port pr-x name="pr-x" tag=7
- Bridge rb-y
! careful
`
	for _, tt := range []struct {
		view planView
		want string
	}{
		{planView{details: differences(before, after), file: "/etc/t.yaml"}, short},
		{planView{details: differences(before, after), verbose: true}, long},
	} {
		var plain bytes.Buffer
		tt.view.print(&plain, p)
		if plain.String() != tt.want {
			t.Errorf("got\n%s\nwant\n%s", &plain, tt.want)
		}
	}
	var coloured bytes.Buffer
	(&planView{colour: true}).print(&coloured, p)
	if got := coloured.String(); !strings.HasPrefix(got, summary+"\x1b[32m+ port a\x1b[0m\n\x1b[33m~ port b\x1b[0m\n\x1b[31m- port c\x1b[0m\n@@") {
		t.Errorf("got %q", got)
	}
	if !changes(p) || changes(&api.Written{Objects: p.Objects[3:], Plan: &api.PlanDocument{}}) {
		t.Error("changes returns the wrong result for a plan")
	}
	if colours(&coloured) {
		t.Error("a buffer shows colours")
	}
}

// Only objects that changed are listed. Other objects are counted.
func TestPrintOutcomes(t *testing.T) {
	objects := []api.Outcome{{Kind: "port", ID: "a", Op: ledger.Created}}
	for i := range 1000 {
		objects = append(objects, api.Outcome{Kind: "port", ID: fmt.Sprint(i), Op: ledger.Unchanged})
	}
	var out bytes.Buffer
	printOutcomes(&out, objects)
	if out.String() != "port/a created\n1000 objects unchanged\n" {
		t.Errorf("got %q", &out)
	}
}

// The manual has a page for each command. The pages do not depend on the time.
func TestManual(t *testing.T) {
	inDir(t, nil)
	for _, dir := range []string{"one", "two"} {
		t.Setenv(envAPI, "unix:/"+dir) // this value must not appear in the manual
		var out strings.Builder
		if status := run(t.Context(), []string{"man", dir}, &out, &out); status != 0 {
			t.Fatal(out.String())
		}
	}
	pages, err := filepath.Glob("one/*.1")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		a, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join("two", filepath.Base(page)))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs, %v", page, err)
		}
	}
	if err := errors.Join(os.WriteFile("theirs", []byte("theirs"), 0o600), os.Remove("two/ofdvr-serve.1"), os.Symlink("../theirs", "two/ofdvr-serve.1")); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if status := run(t.Context(), []string{"man", "two"}, &out, &out); status != 1 || !strings.Contains(out.String(), "two/ofdvr-serve.1 is a symbolic link") {
		t.Errorf("through a link: %d, %s", status, &out)
	}
	if text, err := os.ReadFile("theirs"); string(text) != "theirs" {
		t.Errorf("another file was overwritten: %v", err)
	}
}

// Every visible command has a long help text and an example. The texts fit on a terminal of 80
// columns.
func TestHelp(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				visit(sub)
			}
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		if cmd.Long == "" || cmd.Example == "" && !cmd.HasSubCommands() {
			t.Errorf("%v has no long text or no example", path)
		}
		var out strings.Builder
		if status := run(t.Context(), append(path, "--help"), &out, &out); status != 0 {
			t.Errorf("%v --help exits with %d", path, status)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimRight(line, "\n"); utf8.RuneCountInString(line) > 80 {
				t.Errorf("%v: a line of the help is too long: %s", path, line)
			}
		}
	}
	visit(newRoot())
}

// Each of several errors is printed, with its place or the name of the program.
func TestPrintErrors(t *testing.T) {
	_, _, inFile := topology.Parse("x.yaml", []byte("networks: [{id: blue, color: red}]"))
	var out strings.Builder
	printErrors(&out, errors.Join(inFile, errors.Join(errors.New("a"), fmt.Errorf("b: %w: %w", errors.New("c"), errors.New("d"))), nil))
	if got, want := out.String(), "x.yaml:1:23: networks[0]: unknown key \"color\"\nofdvr: a\nofdvr: b: c: d\n"; got != want {
		t.Errorf("printed\n%s\nwant\n%s", got, want)
	}
}
