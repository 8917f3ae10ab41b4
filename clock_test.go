package ofdvr_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// timed has the packages that depend on time.
var timed = []string{"./controller/...", "./ofproto/ofconn", "./ovsdb", "./internal/namespace", "./internal/bounded", "./internal/filewatch", "./internal/radvd", "./internal/sdnotify", "./metrics", "./cmd/..."}

// wallClock has the functions and methods of package time with results that lack a monotonic clock
// reading, or depend on the wall clock.
var wallClock = map[string]bool{
	"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "Date": true, "Parse": true, "ParseInLocation": true,
	"UTC": true, "Local": true, "In": true, "Round": true, "Truncate": true, "AddDate": true,
	"Clock": true, "Hour": true, "Minute": true, "Second": true, "Nanosecond": true,
}

// compares has the methods that compare times. The packages in printing read times from JSON. Such
// times have only a wall clock reading, so these packages may only print them.
var (
	compares = map[string]bool{"Before": true, "After": true, "Compare": true, "Equal": true, "Sub": true, "Since": true, "Until": true}
	printing = []string{"controller/api", "cmd/ofdvr"}
)

// TestClockMayJump checks that no decision of the daemon depends on the wall clock, which
// may be set forward or back at any time. A time.Time from time.Now carries a monotonic
// clock reading until one of the functions in wallClock strips it. Sub, Before, After,
// Compare, time.Since and time.Until use the monotonic readings if both times have one.
// Timers and the deadlines of contexts and connections are monotonic as well. The wall
// clock is used only for output (the log and the status) and for the validity of
// certificates. (The zero time.Time, which has no reading, is in the distant past by any
// clock.)
func TestClockMayJump(t *testing.T) {
	seen := 0
	fset := token.NewFileSet()
	exports, packages := compiled(t)
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("no export data for " + path)
		}
		return os.Open(exports[path])
	})
	for _, p := range packages {
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := types.Info{Uses: make(map[*ast.Ident]types.Object)}
		if _, err := (&types.Config{Importer: imports}).Check(p.ImportPath, fset, files, &info); err != nil {
			t.Fatal(err)
		}
		for id, object := range info.Uses {
			f, ok := object.(*types.Func)
			if !ok || f.Pkg() == nil || f.Pkg().Path() != "time" {
				continue
			}
			seen++
			recv := f.Signature().Recv()
			if recv != nil && recv.Type().String() != "time.Time" {
				continue // a Duration, a Timer
			}
			if wallClock[f.Name()] || compares[f.Name()] && slices.Contains(printing, strings.TrimPrefix(p.ImportPath, module)) {
				t.Errorf("%v: %s depends on the wall clock, which may jump", fset.Position(id.Pos()), f.FullName())
			}
		}
	}
	if seen == 0 {
		t.Error("no use of package time found: the test is broken")
	}
}

// A listed is a package in the output of go list.
type listed struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	DepOnly                 bool
}

// compiled returns the packages in timed, and the export data files of these packages and
// of all packages that they import.
func compiled(t *testing.T) (exports map[string]string, packages []listed) {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,DepOnly"}, timed...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	exports = make(map[string]string)
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			packages = append(packages, p)
		}
	}
	return exports, packages
}
