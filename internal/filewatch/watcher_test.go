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

// Each cause of a failed read is reported once. The next successful read is also reported once,
// even if the content is unchanged.
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
		{"too big", func(t testing.TB) { must(t, os.Truncate("d/f", MaxSize+1)) }, "the file has more than 34603008 bytes",
			func(t testing.TB) { write(t, "d/f", "old") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			must(t, os.Mkdir("d", 0o755))
			write(t, "d/f", "old")
			h := watch(t, Watcher{Path: "d/f", pace: hasty}, []byte("old"))
			c.lose(t)
			// An error between the two states may last so long that it is reported too.
			got := h.next()
			for got.err != nil && !strings.HasSuffix(got.err.Error(), ": "+c.want) {
				got = h.next()
			}
			if got.err == nil {
				t.Fatalf("reported %q, want the error %q", got.data, c.want)
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
				t.Errorf("reported %q, want the old content", got.data)
			}
		})
	}
}

// A path without any existing part is reported as an error. The file is reported when it is
// created.
func TestMissingFile(t *testing.T) {
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

// A value from Again causes another report of the current state, even if the state is
// unchanged. The report is made only when the content is complete.
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
	replace(t, path, "3") // while 2 is being handled
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

// Without inotify, or when its limit is exceeded, changes are found by periodic looks, until inotify
// works again.
func TestInotifyLimit(t *testing.T) {
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
	h.more(&h.skips, 3) // looks do not read the file while it is unchanged
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
		t.Errorf("got warning %v and %d others, want one warning about EMFILE", err, len(h.warned))
	}
	works.Store(true)
	eventually(t, "another try", worked.Load)
	replace(t, path, "three")
	h.expect("three")
	h.nothing()
}

// If the kernel drops events, the last change is found nevertheless.
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
	// Run does not read events now, and fsnotify's reader has read at most 4096 of them.
	beside := []string{path + ".a", path + ".b"}
	for _, p := range beside {
		write(t, p, "")
	}
	for i := range room + 4096 + 1 {
		must(t, os.Chmod(beside[i%2], 0o600)) // two files, because the kernel merges equal consecutive events
	}
	write(t, path, "two") // without an event
	before := made.Load()
	close(flooded)
	watch.expect("one")
	watch.expect("two")
	if made.Load() == before {
		t.Error("the watches were not recreated, so changes of directories may be missed")
	}
	replace(t, path, "end")
	watch.expect("end")
	watch.nothing()
}

// When Run returns, no goroutine and no file descriptor is left.
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
		t.Errorf("got %d file descriptors after Run, %d before", after, files)
	}
}

func descriptors(t testing.TB) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}

// A deleted working directory is an error.
func TestNoWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	must(t, err)
	must(t, os.Remove(here))
	if err := (&Watcher{Path: "f"}).Run(t.Context(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Run returned %v, want an error about the working directory", err)
	}
}

// A watch that the kernel has removed without notification, as after an unmount, is recreated.
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

// The watches are recreated when a part of the path has been replaced, even by an equal part.
// They are not recreated when the file is written to.
func TestWatchesRecreated(t *testing.T) {
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
			t.Errorf("concerns(%v) = %v", c.event, got)
		}
		if w.follow(path); (w.watcher != before) != c.anew {
			t.Errorf("after %v, watches recreated: %v", c.event, w.watcher != before)
		}
	}
}

// If a part of the path changes while the watches are created, they are created again. At the end,
// the last content is reported.
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

// Shortly after a change, an equal stamp does not mean equal content: another change at the same
// time may not change the stamp.
func TestStampResolution(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	var reported []string
	w := &Watcher{Changed: func(data []byte, _ error) { reported = append(reported, string(data)) }, lease: takeLease, pace: pace{apart: 1}}
	r := run{Watcher: w, path: path, watches: watches{notify: fsnotify.NewWatcher}, core: newCore(w.pace, nil, time.Now()), warned: make(map[warning]bool)}
	defer r.watches.close()
	r.look()
	write(t, path, "new")
	r.last = stampOf(os.Stat(path)) // as if the file had this stamp when it was read
	r.look()
	if got := strings.Join(reported, " "); got != "old new" {
		t.Errorf("reported %s", got)
	}
	if r.look(); !r.sure {
		t.Error("later, an equal stamp does not count as equal content")
	}
}

// Every part of the path of a file is watched, and nothing else.
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
