package ofdvr_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Packages that make test runs without the race detector have no goroutines, and no data that
// goroutines could share.
func TestPackagesWithoutGoroutines(t *testing.T) {
	script, err := os.ReadFile("scripts/gotest.sh")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`(?m)^sequential="(.*)"$`).FindSubmatch(script)
	if list == nil {
		t.Fatal("scripts/gotest.sh has no list of packages")
	}
	for pkg := range strings.FieldsSeq(string(list[1])) {
		files, err := filepath.Glob(filepath.Join(pkg, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files, %v", pkg, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue // the goroutines of these packages only serve connections of ofproto/ofconn, which has its own tests
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, imp := range f.Imports {
				if path := strings.Trim(imp.Path.Value, `"`); path == "sync" || path == "sync/atomic" {
					t.Errorf("%s imports %s", file, path)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n.(type) {
				case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt:
					t.Errorf("%s starts goroutines or uses channels", file)
				}
				return true
			})
		}
	}
}
