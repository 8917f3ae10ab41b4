package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The page is up to date with the stored results.
func TestPageMatchesResults(t *testing.T) {
	all, err := load(filepath.Join("../..", results))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != len(environments) {
		t.Errorf("got results of %d environments, want %d", len(all), len(environments))
	}
	got, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != render(all) {
		t.Errorf("%s is out of date with the results; write it with go run ./test/compat -page", page)
	}
}

// Each feature has tests, and they exist.
func TestFeaturesHaveTests(t *testing.T) {
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				there[fn.Name.Name] = true
			}
		}
	}
	for _, f := range features {
		if f.tests == "" {
			t.Errorf("%s: no tests", f.name)
		}
		for _, test := range strings.Fields(f.tests) {
			if !there[test] {
				t.Errorf("%s: there is no %s in test/e2e", f.name, test)
			}
		}
	}
	for _, test := range spanning {
		if !there[test] {
			t.Errorf("there is no %s in test/e2e", test)
		}
	}
}

const printed = `{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"guest: booting Linux 6.1.0-56-amd64, emulated\n"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA/sub","Output":"    a_test.go:7: differs here: zero is one\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: took 7 s\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: differs here: all is one\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:9: differs here: all is one\n"}
{"Action":"pass","Package":"p","Test":"TestA/sub"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:8: 2 lost, want 0\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:9: and more\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:8: needs the lab\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"run","Package":"p","Test":"TestD"}
{"Action":"fail","Package":"p"}
`

func TestRead(t *testing.T) {
	r := result{Tests: map[string]outcome{}}
	var log, progress strings.Builder
	if err := r.read(strings.NewReader(printed), &log, &progress); err != nil {
		t.Fatal(err)
	}
	want := map[string]outcome{
		"TestA": {Result: "pass", Differs: []string{"all is one", "zero is one"}},
		"TestB": {Result: "fail", Why: "2 lost, want 0"},
		"TestC": {Result: "skip", Why: "needs the lab"},
		"TestD": {},
	}
	if !reflect.DeepEqual(r.Tests, want) {
		t.Errorf("%+v, want %+v", r.Tests, want)
	}
	if r.Kernel != "6.1.0-56-amd64" {
		t.Errorf("the kernel is %q", r.Kernel)
	}
	if got, want := progress.String(), "  pass TestA\n  fail TestB\n  skip TestC\n"; got != want {
		t.Errorf("progress is\n%swant\n%s", got, want)
	}
	if !strings.Contains(log.String(), "=== RUN   TestA\n") {
		t.Errorf("the log is\n%s", log.String())
	}
	if err := r.read(strings.NewReader("{\n"), &log, &progress); err == nil {
		t.Error("reading truncated output returned no error")
	}
}

// A cell shows the worst result of its feature's tests. The notes have all reasons, each once.
func TestCell(t *testing.T) {
	r := result{Tests: map[string]outcome{
		"TestYes":     {Result: "pass"},
		"TestDiffers": {Result: "pass", Differs: []string{"all is one", "nothing is two"}},
		"TestAlso":    {Result: "pass", Differs: []string{"all is one"}},
		"TestNo":      {Result: "fail", Why: "2 lost"},
		"TestSkip":    {Result: "skip", Why: "no radvd"},
	}}
	var n notes
	for _, c := range []struct{ tests, want string }{
		{"TestYes", "yes"},
		{"TestYes TestDiffers", "differs ¹ ²"},
		{"TestDiffers TestAlso", "differs ¹ ²"},
		{"TestAlso", "differs ¹"},
		{"TestYes TestNo TestAlso TestSkip", "**no** ³ ¹ ⁴"},
		{"TestSkip TestYes", "not tested ⁴"},
		{"TestYes TestUnknown", "not tested"},
	} {
		if got := n.cell(feature{"", c.tests}, r); got != c.want {
			t.Errorf("%s: %q, want %q", c.tests, got, c.want)
		}
	}
	if got := n.cell(feature{"", "TestTCYes"}, r); got != "–" {
		t.Errorf("cell of the TC feature on the userspace datapath: %q", got)
	}
	want := notes{"All is one.", "Nothing is two.", "TestNo fails: `2 lost`", "No radvd."}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("%q, want %q", n, want)
	}
}
