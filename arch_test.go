package ofdvr_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ofdvr/ofdvr/"

// mayImport is the architecture: the packages of this module that each package may
// import. A package that is not listed here fails the test.
var mayImport = map[string]string{
	"ofproto":                 "internal/sorted",
	"ofproto/ofconn":          "ofproto",
	"ofproto/libof":           "ofproto",
	"routing":                 "internal/sorted ofproto",
	"routing/compile":         "internal/sorted ofproto routing",
	"routing/topology":        "ofproto routing",
	"routing/trace":           "ofproto routing routing/compile",
	"ovsdb":                   "",
	"internal/namespace":      "internal/flock internal/ownfile internal/poll",
	"controller/doctor":       "controller/counters controller/lifecycle controller/machines controller/reconcile internal/logging internal/namespace internal/ovstrace ofproto ofproto/ofconn ovsdb routing routing/compile",
	"controller/machines":     "internal/ovstrace ofproto ovsdb routing",
	"controller/counters":     "internal/ownfile ofproto ofproto/ofconn routing routing/compile",
	"controller/hosts":        "routing/compile",
	"controller/history":      "controller/counters routing/compile",
	"controller":              "controller/counters controller/doctor controller/hosts controller/ledger controller/lifecycle controller/machines controller/reconcile internal/credentials internal/logging internal/namespace internal/ovstrace internal/ownfile internal/peercred ofproto ofproto/ofconn ovsdb routing routing/compile routing/topology routing/trace",
	"controller/lifecycle":    "internal/logging internal/namespace internal/ovstrace internal/ownfile internal/radvd ofproto ovsdb routing routing/compile",
	"controller/reconcile":    "ofproto ofproto/ofconn",
	"controller/api":          "controller controller/counters controller/doctor controller/history controller/inquiry controller/ledger controller/machines internal/bounded internal/credentials internal/logging internal/ownfile ofproto routing routing/compile routing/topology routing/trace",
	"controller/page":         "",
	"controller/inquiry":      "",
	"controller/ledger":       "internal/sorted routing",
	"controller/etcd":         "controller/hosts controller/inquiry controller/ledger ofproto routing routing/topology",
	"controller/store":        "internal/ownfile ofproto routing routing/topology",
	"controller/localcopy":    "controller/ledger controller/store internal/ownfile routing",
	"controller/topologyfile": "controller/ledger internal/filewatch routing routing/topology",
	"metrics":                 "ofproto",
	"cmd/ofdvr":               "controller controller/api controller/counters controller/doctor controller/etcd controller/history controller/hosts controller/inquiry controller/ledger controller/lifecycle controller/localcopy controller/machines controller/page controller/store controller/topologyfile internal/bounded internal/credentials internal/flock internal/logging internal/namespace internal/ownfile internal/radvd internal/sdnotify metrics ofproto ovsdb routing routing/compile routing/topology routing/trace",
	"internal/sorted":         "",
	"internal/bounded":        "",
	"internal/credentials":    "",
	"internal/filewatch":      "",
	"internal/flock":          "",
	"internal/ownfile":        "",
	"internal/logging":        "",
	"internal/ovstrace":       "ofproto",
	"internal/poll":           "",
	"internal/peercred":       "",
	"internal/radvd":          "internal/namespace internal/ownfile internal/poll",
	"internal/sdnotify":       "",
	"test/lab":                "",
	"test/browser":            "test/lab",
	"test/hostile":            "test/lab ofproto",
	"test/demo":               "test/lab ofproto routing/compile",
	"test/guest":              "",
	"test/compat":             "",
	"test/neutron":            "test/lab",
	"test/chaos":              "controller test/lab ofproto ofproto/ofconn ovsdb routing routing/compile routing/topology",
}

// The results of functions in pure packages depend only on their arguments. Pure packages must not
// import the packages in impure.
var (
	pure   = []string{"internal/sorted", "ofproto", "routing", "routing/compile", "routing/trace"}
	impure = []string{"context", "log", "log/slog", "net", "net/http", "os", "sync", "time", "go.uber.org/zap"}
)

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{if .GoFiles}}{{.ImportPath}} {{join .Imports \" \"}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path == "" {
			continue // only test files
		}
		pkg := strings.TrimPrefix(path, module)
		seen++
		allowed, listed := mayImport[pkg]
		if !listed {
			t.Errorf("%s: not in the architecture table", pkg)
		}
		for imp := range strings.FieldsSeq(imports) {
			own, ours := strings.CutPrefix(imp, module)
			if ours && !slices.Contains(strings.Fields(allowed), own) {
				t.Errorf("%s must not import %s", pkg, own)
			}
			if slices.Contains(pure, pkg) && slices.Contains(impure, imp) {
				t.Errorf("%s is pure and must not import %s", pkg, imp)
			}
		}
	}
	if seen != len(mayImport) {
		t.Errorf("the architecture table has %d packages, the module %d", len(mayImport), seen)
	}
}

// The two documents that everyone reads first stay short.
func TestDocumentsAreShort(t *testing.T) {
	for name, limit := range map[string]struct{ lines, bytes int }{"README.md": {lines: 150}, "ARCHITECTURE.md": {bytes: 10 << 10}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); limit.lines > 0 && n > limit.lines {
			t.Errorf("%s has %d lines, more than %d", name, n, limit.lines)
		}
		if n := len(text); limit.bytes > 0 && n > limit.bytes {
			t.Errorf("%s has %d bytes, more than %d", name, n, limit.bytes)
		}
	}
}
