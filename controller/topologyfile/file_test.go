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
	"github.com/ofdvr/ofdvr/routing"
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
		c, err := New(path, false, log).Load(t.Context(), (*routing.Model).Validate)
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

// A file that is not there, and one without anything in it, are errors, and so
// is to be told to end while somebody writes.
func TestLoadFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.yaml")
	f := New(path, false, zap.NewNop())
	if _, err := f.Load(t.Context(), (*routing.Model).Validate); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("networks: []\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Load(t.Context(), (*routing.Model).Validate); err == nil {
		t.Error("a file with nothing in it was loaded")
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0) // and nobody closes it
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	stop(enough)
	if _, err := f.Load(ctx, (*routing.Model).Validate); !errors.Is(err, enough) {
		t.Errorf("told to end: %v, want %v", err, enough)
	}
}
