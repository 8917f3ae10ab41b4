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

// timed are the packages that act on time.
var timed = []string{"./controller/...", "./ofproto/ofconn", "./ovsdb", "./internal/namespace", "./internal/bounded", "./internal/filewatch", "./internal/radvd", "./internal/sdnotify", "./metrics", "./cmd/..."}

// wallClock are the functions and methods of package time whose result has no
// monotonic clock reading, or is a reading of the wall clock.
var wallClock = map[string]bool{
	"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "Date": true, "Parse": true, "ParseInLocation": true,
	"UTC": true, "Local": true, "In": true, "Round": true, "Truncate": true, "AddDate": true,
	"Clock": true, "Hour": true, "Minute": true, "Second": true, "Nanosecond": true,
}

// compares are those that compare times, and printing the packages that read
// times from JSON, which has none but of the wall clock. They may only print them.
var (
	compares = map[string]bool{"Before": true, "After": true, "Compare": true, "Equal": true, "Sub": true, "Since": true, "Until": true}
	printing = []string{"controller/api", "cmd/ofdvr"}
)

// TestClockMayJump proves that no decision of the daemon depends on the wall
// clock, so that it may be set forth or back at any moment. A time.Time that
// comes from time.Now and on which no such function was called carries a reading
// of the monotonic clock, and Sub, Before, After, Compare, time.Since and
// time.Until use just that if both times have it. Timers, the deadlines of
// contexts and those of connections are monotonic as well. What is left of the
// wall clock is for people to read: in the log, in the status, and in how long
// a certificate is valid. (The zero time.Time, which has no reading, is long ago by
// any clock.)
func TestClockMayJump(t *testing.T) {
	seen := 0
	fset := token.NewFileSet()
	exports, packages := compiled(t)
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("no export data of " + path)
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
		t.Error("package time is used nowhere: the test does not see what it should")
	}
}

// A listed is a package as go list describes it.
type listed struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	DepOnly                 bool
}

// compiled returns the packages that act on time, and for these and all that
// they import the files with their types.
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
