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

// Load waits, and logs so, while another process has the file open for writing.
func TestLoadWaitsForWriter(t *testing.T) {
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
	if got, want := <-warned, "another process has the topology open for writing, waiting until it is closed"; got != want {
		t.Errorf("warned %q, want %q", got, want)
	}
	if _, err := w.WriteString("  - {id: green}\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-done:
		t.Fatalf("Load returned %+v while another process was writing", got)
	default:
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err != nil || len(got.Model.Networks) != 2 || !got.Complete {
		t.Errorf("loaded %+v, want two networks", got)
	}
}

// Load fails for a file that does not exist or has no objects. Canceling its context ends it even
// while another process writes.
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
		t.Errorf("Load of a file without objects returned error %v and %+v", err, c)
	}
	w, err := os.OpenFile(path, os.O_WRONLY, 0) // stays open
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, stop := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	stop(enough)
	if _, err := f.Load(ctx); !errors.Is(err, enough) {
		t.Errorf("canceled: %v, want %v", err, enough)
	}
}
