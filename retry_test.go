package ofdvr_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Messages about another attempt all say "will retry", so that one search in a log finds them.
func TestOneWordForRetries(t *testing.T) {
	others := regexp.MustCompile(`trying again|tries again|try again in|retrying|, retry in`)
	for _, dir := range []string{"cmd", "controller", "internal", "metrics", "ovsdb", "ofproto", "routing"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && others.MatchString(lit.Value) {
					t.Errorf("%s: %s: want \"will retry\"", path, lit.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
