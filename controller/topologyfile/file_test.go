package topologyfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/ofdvr/ofdvr/controller/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The first reading waits, and says so, until nobody writes any more.
func TestLoadWaitsForTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.yaml")
	w, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("networks:\n  - {id: blue}\n"); err != nil {
		t.Fatal(err)
	}
	warned := make(chan string, 10)
	log := zap.NewExample(zap.Hooks(func(e zapcore.Entry) error {
		warned <- e.Message
		return nil
	}))
	type loaded struct {
		ledger.Contents
		err error
	}
	done := make(chan loaded, 1)
	go func() {
		c, err := New(path, false, log).Load(t.Context())
		done <- loaded{c, err}
	}()
	if got, want := <-warned, "somebody has the topology open for writing, waiting until it is closed"; got != want {
		t.Errorf("warned %q, want %q", got, want)
	}
	if _, err := w.WriteString("  - {id: green}\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-done:
		t.Fatalf("loaded %+v while it was being written", got)
	default:
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || len(got.Model.Networks) != 2 || !got.Complete {
		t.Errorf("loaded %+v, want two networks", got)
	}
}

// A file that does not exist, and one without any objects, cannot be used. Load
// ends with its context while another process writes.
func TestLoadFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.yaml")
	f := New(path, false, zap.NewNop())
	if c, err := f.Load(t.Context()); err != nil || !errors.Is(c.Err, fs.ErrNotExist) || c.Model.Len() > 0 {
		t.Errorf("no file: %v, %+v", err, c)
	}
	if err := os.WriteFile(path, []byte("networks: []\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := f.Load(t.Context()); err != nil || c.Err == nil {
		t.Errorf("a file with nothing in it was loaded: %v, %+v", err, c)
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0) // and nobody closes it
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	stop(enough)
	if _, err := f.Load(ctx); !errors.Is(err, enough) {
		t.Errorf("told to end: %v, want %v", err, enough)
	}
}
