package filewatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The pace eager is fast. During a test it looks only after events and while there is a
// writer, and it does not report errors.
var eager = pace{
	quiet: 2 * time.Millisecond,
	burst: 50 * time.Millisecond,
	grace: time.Hour,
	apart: 20 * time.Millisecond,
	busy:  2 * time.Millisecond,
	slow:  20 * time.Millisecond,
	long:  time.Hour,
	poll:  time.Hour,
	blind: time.Hour,
}

// soon is a duration that passes within a test.
const soon = 5 * time.Millisecond

var errNoLeases = errors.New("no leases here")

func noLeases(*os.File) (func() bool, error) { return nil, errNoLeases }

// A report is one call of Changed.
type report struct {
	data string
	err  error
}

// A watched is a running Watcher.
type watched struct {
	t       testing.TB
	reports chan report  // capacity larger than any test needs
	warned  chan error   // capacity larger than any test needs
	reads   atomic.Int64 // looks that tried to read the file
	busy    atomic.Int64 // looks that found a writer
	skips   atomic.Int64 // looks that did not read the file
	stop    context.CancelCauseFunc
	done    chan error // result of Run
}

var errStop = errors.New("enough")

// watch runs w until the test ends, and returns after its first look.
func watch(t testing.TB, w Watcher, have []byte) *watched {
	t.Helper()
	h := &watched{t: t, reports: make(chan report, 10_000), warned: make(chan error, 10_000), done: make(chan error, 1)}
	changed := w.Changed
	w.Changed = func(data []byte, err error) {
		h.reports <- report{string(data), err}
		if changed != nil {
			changed(data, err)
		}
	}
	w.Warn = func(err error) { h.warned <- err }
	w.looked = func(s *sight) {
		switch {
		case s == nil:
			h.skips.Add(1)
			return
		case errors.Is(s.err, ErrBusy):
			h.busy.Add(1)
		}
		h.reads.Add(1)
	}
	if w.pace == (pace{}) {
		w.pace = eager
	}
	ctx, stop := context.WithCancelCause(context.Background())
	h.stop = stop
	go func() { h.done <- w.Run(ctx, have) }()
	t.Cleanup(func() { h.end() })
	eventually(t, "the first look", func() bool { return h.reads.Load() > 0 })
	return h
}

// end stops the Watcher.
func (h *watched) end() {
	h.stop(errStop)
	if err := <-h.done; err != errStop {
		h.t.Errorf("Run returned %v, want the cause of ctx", err)
	}
	h.done <- errStop // result for another call of end
}

// next returns the next report.
func (h *watched) next() report {
	h.t.Helper()
	select {
	case got := <-h.reports:
		return got
	case <-time.After(20 * time.Second):
		h.t.Fatal("no report within 20 s")
		panic("not reached")
	}
}

// expect fails the test unless the next report is the content want.
func (h *watched) expect(want string) {
	h.t.Helper()
	if got := h.next(); got.data != want || got.err != nil {
		h.t.Fatalf("reported %.40q, %v, want %.40q", got.data, got.err, want)
	}
}

// expectError fails the test unless the next report is an error like want.
func (h *watched) expectError(want error) {
	h.t.Helper()
	if got := h.next(); !errors.Is(got.err, want) || got.data != "" {
		h.t.Fatalf("reported %.40q, %v, want the error %v", got.data, got.err, want)
	}
}

// nothing fails the test if there was a report.
func (h *watched) nothing() {
	h.t.Helper()
	select {
	case got := <-h.reports:
		h.t.Fatalf("reported %.40q, %v, want nothing", got.data, got.err)
	default:
	}
}

// more waits until counter has grown by n or more.
func (h *watched) more(counter *atomic.Int64, n int64) {
	h.t.Helper()
	want := counter.Load() + n
	eventually(h.t, fmt.Sprintf("%d more looks", n), func() bool { return counter.Load() >= want })
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// must fails the test if err is not nil.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write writes a file in place.
func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// replace writes a file next to path and renames it to path.
func replace(t testing.TB, path, content string) {
	t.Helper()
	beside := filepath.Join(filepath.Dir(path), ".new")
	write(t, beside, content)
	must(t, os.Rename(beside, path))
}

// relink creates a symbolic link next to path and renames it to path.
func relink(t testing.TB, target, path string) {
	t.Helper()
	beside := filepath.Join(filepath.Dir(path), ".link")
	must(t, os.Symlink(target, beside))
	must(t, os.Rename(beside, path))
}
