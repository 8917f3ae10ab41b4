package topology_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"github.com/ofdvr/ofdvr/routing/topology"
)

// Parse returns either a valid model or errors. Each error has a position in the file, and
// errors are sorted by position.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.txtar", "testdata/*.yaml", "testdata/*.json"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			if !strings.HasSuffix(name, ".txtar") {
				f.Add(data)
			}
			for _, file := range txtar.Parse(data).Files {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, warnings, err := topology.Parse("x", data)
		lines := strings.Split(string(data), "\n")
		check := func(p topology.Place) {
			if p.Line < 1 || p.Column < 1 || p.Line > len(lines)+strings.Count(string(data), "\r") {
				t.Errorf("%v is not a place in the file", p)
			}
		}
		if err == nil {
			if err := m.Validate(); err != nil {
				t.Errorf("model is not valid: %v", err)
			}
			for _, w := range warnings {
				check(w.Place)
			}
			return
		}
		if m != nil || warnings != nil {
			t.Error("something besides an error")
		}
		if !utf8.ValidString(err.Error()) {
			t.Errorf("message is not UTF-8: %q", err)
		}
		last := topology.Place{Line: 1, Column: 1}
		for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
			e, ok := errors.AsType[*topology.Error](err)
			if !ok {
				t.Fatalf("%T has no place", err)
			}
			check(e.Place)
			if e.Line < last.Line || e.Line == last.Line && e.Column < last.Column {
				t.Errorf("%v after %v", e, last)
			}
			last = e.Place
		}
	})
}
