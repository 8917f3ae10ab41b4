package topologyfile

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
)

// The file is current while it has the content that was reported last, whatever its times are.
func TestCurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.yaml")
	old := time.Now().Add(-time.Hour)
	write := func(content string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f := New(path, false, zap.NewNop())
	is := func(want bool, when string) {
		t.Helper()
		for range 2 { // the second time, the content need not be read
			if got := f.Current(); got != want {
				t.Errorf("%s: current: %v", when, got)
			}
		}
	}
	write("networks: [{id: blue}]\n", old)
	if _, err := f.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	is(true, "loaded")
	write("networks: [{id: blue}]\n", time.Now())
	is(true, "written again")
	write("networks: [{id: grey}]\n", time.Now())
	is(false, "changed")
	f.version.reported([]byte("networks: [{id: grey}]\n"), nil)
	is(true, "reported")
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	is(false, "being written")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	is(false, "written")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	is(false, "removed")
	f.version.reported(nil, os.ErrNotExist)
	is(true, "reported as removed")
	write("networks: [{id: grey}]\n", old)
	is(false, "back")
}
