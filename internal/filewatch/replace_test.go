package filewatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A way is a method by which people or programs replace a file.
type way struct {
	name   string
	path   string             // path to watch, in an empty directory
	setup  func(t testing.TB) // creates the file with the content "old"; nil means to write it
	change func(t testing.TB) // changes the content to "new"
	whole  bool               // the change is atomic: the content is never incomplete
}

// Each of the ways runs in a new working directory.
var ways = []way{
	{name: "written in place", path: "f", change: func(t testing.TB) { write(t, "f", "new") }},
	{name: "written in place by another name", path: "f", setup: func(t testing.TB) {
		write(t, "f", "old")
		must(t, os.Mkdir("d", 0o755))
		must(t, os.Link("f", "d/other"))
	}, change: func(t testing.TB) { write(t, "d/other", "new") }},
	{name: "cut and appended to", path: "f", setup: func(t testing.TB) { write(t, "f", "old") }, change: func(t testing.TB) {
		f, err := os.OpenFile("f", os.O_RDWR|os.O_APPEND, 0)
		must(t, err)
		must(t, f.Truncate(0))
		for _, c := range "new" {
			_, err = f.WriteString(string(c))
			must(t, err)
		}
		must(t, f.Close())
	}},
	{name: "replaced by rename", path: "f", whole: true, change: func(t testing.TB) { replace(t, "f", "new") }},
	{name: "old file renamed to a backup, new file linked in its place", path: "f", whole: true, change: func(t testing.TB) {
		must(t, os.Rename("f", "f~"))
		write(t, ".f", "new")
		must(t, os.Link(".f", "f"))
		must(t, os.Remove(".f"))
	}},
	{name: "removed and created", path: "f", change: func(t testing.TB) {
		must(t, os.Remove("f"))
		write(t, "f", "new")
	}},
	{name: "removed and created many times", path: "f", change: func(t testing.TB) {
		for range 20 {
			must(t, os.Remove("f"))
			write(t, "f", "new") // the inode may be the old one
		}
	}},
	{name: "directory replaced by rename", path: "a/b/f", whole: true, setup: func(t testing.TB) {
		must(t, os.MkdirAll("a/b", 0o755))
		must(t, os.MkdirAll("a2/b", 0o755))
		write(t, "a/b/f", "old")
		write(t, "a2/b/f", "new")
	}, change: func(t testing.TB) {
		must(t, os.Rename("a", "a1"))
		must(t, os.Rename("a2", "a"))
	}},
	{name: "directory removed and created", path: "a/b/f", setup: func(t testing.TB) {
		must(t, os.MkdirAll("a/b", 0o755))
		write(t, "a/b/f", "old")
	}, change: func(t testing.TB) {
		must(t, os.RemoveAll("a"))
		must(t, os.MkdirAll("a/b", 0o755))
		write(t, "a/b/f", "new")
	}},
	{name: "symbolic link to the file replaced", path: "f", whole: true, setup: func(t testing.TB) {
		write(t, "old", "old")
		write(t, "new", "new")
		must(t, os.Symlink("old", "f"))
	}, change: func(t testing.TB) { relink(t, "new", "f") }},
	{name: "file behind a chain of links replaced", path: "f", whole: true, setup: func(t testing.TB) {
		chain(t)
	}, change: func(t testing.TB) { replace(t, "store/1/f", "new") }},
	{name: "link in the middle of a chain replaced", path: "f", whole: true, setup: func(t testing.TB) {
		chain(t)
	}, change: func(t testing.TB) {
		must(t, os.Mkdir("store/2", 0o755))
		write(t, "store/2/f", "new")
		relink(t, "store/2", "current")
	}},
	{name: "link to a dangling link, whose target is created", path: "f", whole: true, setup: func(t testing.TB) {
		chain(t)
	}, change: func(t testing.TB) {
		relink(t, "to/come", "current")
		must(t, os.MkdirAll("to", 0o755))
		must(t, os.Rename("store/1", "to/come"))
		replace(t, "to/come/f", "new")
	}},
	{name: "Kubernetes ConfigMap", path: "f", whole: true, setup: func(t testing.TB) {
		must(t, os.Mkdir("..1", 0o755))
		write(t, "..1/f", "old")
		must(t, os.Symlink("..1", "..data"))
		must(t, os.Symlink("..data/f", "f"))
	}, change: func(t testing.TB) {
		must(t, os.Mkdir("..2", 0o755))
		write(t, "..2/f", "new")
		must(t, os.Symlink("..2", "..data_tmp"))
		must(t, os.Rename("..data_tmp", "..data"))
		must(t, os.RemoveAll("..1"))
	}},
	{name: "path with dots behind a link", path: "f/../g/./f", whole: true, setup: func(t testing.TB) {
		must(t, os.MkdirAll("d/e", 0o755))
		must(t, os.MkdirAll("d/g", 0o755))
		must(t, os.Symlink("d/e", "f"))
		write(t, "d/g/f", "old")
	}, change: func(t testing.TB) { replace(t, "d/g/f", "new") }},
}

// chain makes f -> links/f -> (absolute) current/f, current -> store/1.
func chain(t testing.TB) {
	here, err := os.Getwd()
	must(t, err)
	must(t, os.MkdirAll("links", 0o755))
	must(t, os.MkdirAll("store/1", 0o755))
	write(t, "store/1/f", "old")
	must(t, os.Symlink("store/1", "current"))
	must(t, os.Symlink(filepath.Join(here, "current/f"), "links/f"))
	must(t, os.Symlink("links/f", "f"))
}

// Each method of replacing a file causes one report of the new content. Later contents are reported
// too. The watcher looks only after events, and does not report a short absence of the file as an
// error.
func TestReplaceFile(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			h := watch(t, w.prepare(t, Watcher{}), []byte("old"))
			w.check(t, h)
		})
	}
}

// The same holds without leases for the methods that do not need leases.
func TestReplaceFileWithoutLeases(t *testing.T) {
	for _, w := range ways {
		if !w.whole {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			h := watch(t, w.prepare(t, Watcher{lease: noLeases}), []byte("old"))
			w.check(t, h)
			if n := len(h.warned); n != 1 {
				t.Errorf("got %d warnings about missing leases, want 1", n)
			}
		})
	}
}

// Without events, changes are found by periodic looks.
func TestReplaceFileWithoutEvents(t *testing.T) {
	slow := eager
	slow.blind = soon
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			h := watch(t, w.prepare(t, Watcher{pace: slow, notify: noWatcher}), []byte("old"))
			w.check(t, h)
			if n := len(h.warned); n != 1 {
				t.Errorf("got %d warnings about missing events, want 1", n)
			}
		})
	}
}

func (w way) prepare(t *testing.T, watcher Watcher) Watcher {
	if w.setup == nil {
		write(t, w.path, "old")
	} else {
		w.setup(t)
	}
	watcher.Path = w.path
	return watcher
}

func (w way) check(t *testing.T, h *watched) {
	w.change(t)
	h.expect("new")
	end, err := filepath.EvalSymlinks(w.path)
	must(t, err)
	replace(t, end, "end")
	h.expect("end")
	h.nothing()
}

// Changes of a file's attributes and of files next to it are not reported.
func TestSameContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	h := watch(t, Watcher{Path: path}, []byte("old"))
	for _, change := range []func(){
		func() { must(t, os.Chtimes(path, time.Now(), time.Unix(1, 0))) },
		func() { must(t, os.Chmod(path, 0o600)) },
		func() { write(t, path, "old") },
		func() { replace(t, path, "old") },
	} {
		seen := h.reads.Load()
		change()
		eventually(t, "a look", func() bool { return h.reads.Load() > seen })
		h.nothing()
	}
	write(t, path+".bak", "other") // needs no wait, because expect below would receive a wrong report
	replace(t, path, "end")
	h.expect("end")
	h.nothing()
}

// If the caller has no content, the first content is reported, even if it is empty.
func TestFirstContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "")
	h := watch(t, Watcher{Path: path}, nil)
	h.expect("")
	h = watch(t, Watcher{Path: path}, []byte{})
	h.nothing()
	h = watch(t, Watcher{Path: path}, []byte("other"))
	h.expect("")
}
