package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func noWatcher() (*fsnotify.Watcher, error) { return nil, unix.EMFILE }

// Each way in which the file cannot be read is told once, and that it can be
// again, even if nothing has changed.
func TestErrors(t *testing.T) {
	hasty := eager
	hasty.grace = soon
	for _, c := range []struct {
		name string
		lose func(t testing.TB)
		want string
		back func(t testing.TB)
	}{
		{"removed", func(t testing.TB) { must(t, os.Remove("d/f")) }, "no such file or directory",
			func(t testing.TB) { write(t, "d/f", "old") }},
		{"directory removed", func(t testing.TB) { must(t, os.RemoveAll("d")) }, "no such file or directory",
			func(t testing.TB) {
				must(t, os.Mkdir("d", 0o755))
				write(t, "d/f", "old")
			}},
		{"directory renamed", func(t testing.TB) { must(t, os.Rename("d", "e")) }, "no such file or directory",
			func(t testing.TB) { must(t, os.Rename("e", "d")) }},
		{"a directory in its place", func(t testing.TB) {
			must(t, os.Remove("d/f"))
			must(t, os.Mkdir("d/f", 0o755))
		}, "it is not a regular file", func(t testing.TB) {
			must(t, os.Remove("d/f"))
			write(t, "d/f", "old")
		}},
		{"a file instead of a directory", func(t testing.TB) {
			must(t, os.Rename("d", "e"))
			write(t, "d", "")
		}, "not a directory", func(t testing.TB) {
			must(t, os.Remove("d"))
			must(t, os.Rename("e", "d"))
		}},
		{"a link to itself", func(t testing.TB) {
			must(t, os.Rename("d/f", "d/g"))
			must(t, os.Symlink("f", "d/f"))
		}, "too many levels of symbolic links", func(t testing.TB) { must(t, os.Rename("d/g", "d/f")) }},
		{"a broken link", func(t testing.TB) {
			must(t, os.Remove("d/f"))
			must(t, os.Symlink("../e/f", "d/f"))
		}, "no such file or directory", func(t testing.TB) {
			must(t, os.Mkdir("e", 0o755))
			write(t, "e/f", "old")
		}},
		{"too big", func(t testing.TB) { must(t, os.Truncate("d/f", MaxSize+1)) }, "it has more than 34603008 bytes",
			func(t testing.TB) { write(t, "d/f", "old") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must(t, os.Mkdir("d", 0o755))
			write(t, "d/f", "old")
			h := watch(t, Watcher{Path: "d/f", pace: hasty}, []byte("old"))
			c.lose(t)
			// A step on the way may last, and then is told too.
			got := h.next()
			for got.err != nil && !strings.HasSuffix(got.err.Error(), ": "+c.want) {
				got = h.next()
			}
			if got.err == nil {
				t.Fatalf("told %q, want the error %q", got.data, c.want)
			}
			seen := h.reads.Load()
			must(t, os.Chmod(".", 0o700))
			eventually(t, "a look", func() bool { return h.reads.Load() > seen })
			h.nothing()
			c.back(t)
			got = h.next()
			for got.err != nil {
				got = h.next()
			}
			if got.data != "old" {
				t.Errorf("told %q, want the old content", got.data)
			}
		})
	}
}

// A path of which nothing exists yet is an error that is told, and the file when
// it comes.
func TestNothingYet(t *testing.T) {
	dir := t.TempDir()
	hasty := eager
	hasty.grace = soon
	h := watch(t, Watcher{Path: filepath.Join(dir, "a/b/c/f"), pace: hasty}, nil)
	h.expectError(fs.ErrNotExist)
	must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755))
	replace(t, filepath.Join(dir, "a/b/c/f"), "new")
	h.expect("new")
	h.nothing()
}

// Who asks is told again: what there is now and nothing older, changed or not,
// and not before it is whole.
func TestAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	again := make(chan struct{})
	gate := make(chan struct{})
	h := watch(t, Watcher{Path: path, Again: again, Changed: func([]byte, error) { <-gate }}, []byte("old"))
	again <- struct{}{}
	h.expect("old")
	gate <- struct{}{}

	replace(t, path, "2")
	h.expect("2")
	replace(t, path, "3") // while 2 is taken in
	go func() { gate <- struct{}{} }()
	again <- struct{}{}
	h.expect("3")
	gate <- struct{}{}

	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	again <- struct{}{}
	h.more(&h.busy, 2)
	h.nothing()
	must(t, f.Close())
	h.expect("3")
	close(gate)
	h.nothing()
}

// Without inotify, or when a limit of it is exhausted, changes are found by
// looking, and when there is inotify again no longer.
func TestLimitExhausted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	slow := eager
	slow.blind = soon
	var works, worked atomic.Bool
	h := watch(t, Watcher{Path: path, pace: slow, notify: func() (*fsnotify.Watcher, error) {
		if works.Load() {
			worked.Store(true)
			return fsnotify.NewWatcher()
		}
		return noWatcher()
	}}, []byte("old"))
	h.more(&h.skips, 3) // a look is only that while nothing changes
	h.nothing()
	replace(t, path, "one")
	h.expect("one")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("two") // of the same size
	must(t, err)
	must(t, f.Close())
	h.expect("two")
	if err := <-h.warned; !errors.Is(err, unix.EMFILE) || len(h.warned) > 0 {
		t.Errorf("warned of %v and %d others, want EMFILE once", err, len(h.warned))
	}
	works.Store(true)
	eventually(t, "another try", worked.Load)
	replace(t, path, "three")
	h.expect("three")
	h.nothing()
}

// When the kernel could not keep all events, the last change is found all the
// same.
func TestOverflow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	data, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	must(t, err)
	room, err := strconv.Atoi(strings.TrimSpace(string(data)))
	must(t, err)
	begun, flooded := make(chan bool), make(chan bool)
	var made atomic.Int64
	notify := func() (*fsnotify.Watcher, error) {
		made.Add(1)
		return fsnotify.NewWatcher()
	}
	watch := watch(t, Watcher{Path: path, notify: notify, Changed: func(data []byte, err error) {
		if string(data) == "one" {
			close(begun)
			<-flooded
		}
	}}, []byte("old"))
	replace(t, path, "one")
	<-begun
	// Run reads no events; the reader of fsnotify has taken 4096 of them at most.
	beside := []string{path + ".a", path + ".b"}
	for _, p := range beside {
		write(t, p, "")
	}
	for i := range room + 4096 + 1 {
		must(t, os.Chmod(beside[i%2], 0o600)) // the kernel drops one that is like the last
	}
	write(t, path, "two") // unseen
	before := made.Load()
	close(flooded)
	watch.expect("one")
	watch.expect("two")
	if made.Load() == before {
		t.Error("the watches were not made anew, and what happened to directories may be unseen too")
	}
	replace(t, path, "end")
	watch.expect("end")
	watch.nothing()
}

// When Run returns there is no goroutine and no file descriptor left, whatever
// it was about.
func TestRunLeavesNothing(t *testing.T) {
	before, files := goleak.IgnoreCurrent(), descriptors(t)
	for i := range 20 {
		dir := t.TempDir()
		path := filepath.Join(dir, "f")
		write(t, path, "old")
		h := watch(t, Watcher{Path: path}, nil)
		for n := range i {
			replace(t, path, fmt.Sprint(n))
		}
		h.end()
	}
	goleak.VerifyNone(t, before)
	if after := descriptors(t); after > files {
		t.Errorf("%d file descriptors, before it were %d", after, files)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}

// A working directory that has gone leads nowhere.
func TestNoWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	must(t, err)
	must(t, os.Remove(here))
	if err := (&Watcher{Path: "f"}).Run(t.Context(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Run returned %v, want that there is no working directory", err)
	}
}

// A watch that the kernel has removed without a word, as when a file system is
// unmounted, is made again.
func TestWatchRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	w := watches{notify: fsnotify.NewWatcher}
	defer w.close()
	for range 2 {
		if !w.follow(path) || !slices.Contains(w.watcher.WatchList(), filepath.Dir(path)) {
			t.Fatalf("watched are %v, %v", w.watcher.WatchList(), w.err)
		}
		must(t, w.watcher.Remove(filepath.Dir(path)))
	}
}

// The watches are made anew when something on the way has been replaced, also by
// what looks the same, and not when the file is written to.
func TestWatchesAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	write(t, path, "old")
	w := watches{notify: fsnotify.NewWatcher}
	defer w.close()
	for _, c := range []struct {
		event          fsnotify.Event
		concerns, anew bool
	}{
		{fsnotify.Event{Name: path, Op: fsnotify.Write}, true, false},
		{fsnotify.Event{Name: path, Op: fsnotify.Create}, true, true},
		{fsnotify.Event{Name: dir, Op: fsnotify.Rename}, true, true},
		{fsnotify.Event{Name: "//tmp", Op: fsnotify.Create}, strings.HasPrefix(dir, "/tmp/"), strings.HasPrefix(dir, "/tmp/")},
		{fsnotify.Event{Name: filepath.Join(dir, "g"), Op: fsnotify.Create}, false, false},
		{fsnotify.Event{Name: filepath.Join("/elsewhere", "f"), Op: fsnotify.Create}, true, false}, // a directory with two names
	} {
		w.follow(path)
		before := w.watcher
		if got := w.concerns(c.event); got != c.concerns {
			t.Errorf("%v concerns us: %v", c.event, got)
		}
		if w.follow(path); (w.watcher != before) != c.anew {
			t.Errorf("after %v the watches are anew: %v", c.event, w.watcher != before)
		}
	}
}

// If what is on the way changes all the time that the watches are made, they
// are made again, and the last content is told.
func TestChangesAllTheTime(t *testing.T) {
	t.Chdir(t.TempDir())
	const changes = 12
	made := func(n int) string { return fmt.Sprint("d", n) }
	for n := range changes + 1 {
		must(t, os.Mkdir(made(n), 0o755))
		write(t, filepath.Join(made(n), "f"), made(n))
	}
	must(t, os.Symlink(made(0), "d"))
	n := 0
	h := watch(t, Watcher{Path: "d/f", notify: func() (*fsnotify.Watcher, error) {
		if n < changes {
			n++
			relink(t, made(n), "d")
		}
		return fsnotify.NewWatcher()
	}}, nil)
	for h.next().data != made(changes) {
	}
	replace(t, "d/f", "end")
	h.expect("end")
}

// That a stamp is the same means nothing if the file has just changed: it may
// have changed again at that moment.
func TestStampOfOneMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	var told []string
	w := &Watcher{Changed: func(data []byte, _ error) { told = append(told, string(data)) }, lease: takeLease, pace: pace{apart: 1}}
	r := run{Watcher: w, path: path, watches: watches{notify: fsnotify.NewWatcher}, core: newCore(w.pace, nil, time.Now()), warned: make(map[warning]bool)}
	defer r.watches.close()
	r.look()
	write(t, path, "new")
	r.last = stampOf(os.Stat(path)) // as if it had this when it was read
	r.look()
	if got := strings.Join(told, " "); got != "old new" {
		t.Errorf("told %s", got)
	}
	if r.look(); !r.sure {
		t.Error("the same stamp later means nothing either")
	}
}

// All that lies on the way to a file is watched, and only that.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	real, err := filepath.EvalSymlinks(dir)
	must(t, err)
	t.Chdir(dir)
	chain(t)
	var got []string
	for _, p := range follow(dir + "/f").places {
		if rel, err := filepath.Rel(real, p.path); err == nil && !strings.HasPrefix(rel, "..") {
			got = append(got, rel)
		}
	}
	if want := ". links store store/1 store/1/f"; strings.Join(got, " ") != want {
		t.Errorf("watched are %v, want %s", got, want)
	}
}
