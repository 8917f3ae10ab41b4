package filewatch

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// writers are methods of writing a file in two parts. Each writes "he" and returns a function
// that writes "llo" and finishes.
var writers = []struct {
	name  string
	begin func(t testing.TB, path string) (finish func())
}{
	{"in place", func(t testing.TB, path string) func() {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		return appendTo(t, f, err)
	}},
	{"removed and created", func(t testing.TB, path string) func() {
		must(t, os.Remove(path))
		f, err := os.Create(path)
		return appendTo(t, f, err)
	}},
	{"renamed too early", func(t testing.TB, path string) func() {
		f, err := os.Create(path + ".new")
		finish := appendTo(t, f, err)
		must(t, os.Rename(path+".new", path))
		return finish
	}},
	{"mapped into memory", func(t testing.TB, path string) func() {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_TRUNC, 0)
		must(t, err)
		must(t, f.Truncate(5))
		m, err := unix.Mmap(int(f.Fd()), 0, 5, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, err)
		must(t, f.Close())
		copy(m, "he")
		return func() {
			copy(m[2:], "llo")
			must(t, unix.Munmap(m))
		}
	}},
}

func appendTo(t testing.TB, f *os.File, err error) (finish func()) {
	must(t, err)
	_, err = f.WriteString("he")
	must(t, err)
	return func() {
		_, err := f.WriteString("llo")
		must(t, err)
		must(t, f.Close())
	}
}

// While a process has the file open for writing, nothing is reported, even after many looks at
// the file and after other events. Afterwards the complete content is reported.
func TestHalfWritten(t *testing.T) {
	for _, w := range writers {
		t.Run(w.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			write(t, path, "old")
			h := watch(t, Watcher{Path: path}, []byte("old"))
			finish := w.begin(t, path)
			for _, provoke := range []func(){
				func() {},
				func() { must(t, os.Chmod(path, 0o600)) },
				func() { must(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0))) },
				func() { replace(t, path+".other", "other") },
			} {
				provoke()
				h.more(&h.busy, 3)
			}
			if data, err := Read(path); !errors.Is(err, ErrBusy) || data != nil {
				t.Errorf("Read returned %q, %v, want ErrBusy", data, err)
			}
			h.nothing()
			finish()
			h.expect("hello")
			replace(t, path, "end")
			h.expect("end")
			h.nothing()
		})
	}
}

// A process that has the file open for writing for long causes one warning.
func TestLongWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	hasty := eager
	hasty.long = soon
	h := watch(t, Watcher{Path: path, pace: hasty}, []byte("old"))
	for _, content := range []string{"one", "two"} {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		must(t, err)
		_, err = f.WriteString(content)
		must(t, err)
		eventually(t, "a warning", func() bool { return len(h.warned) > 0 })
		h.more(&h.busy, 3)
		must(t, f.Close())
		h.expect(content)
		if err := <-h.warned; !errors.Is(err, errWriter) || len(h.warned) > 0 {
			t.Errorf("got warning %v and %d others, want one warning about a writer", err, len(h.warned))
		}
	}
}

// A writer that arrives during a read waits until the read ends, and the result of the read is
// not reported. The kernel's signal about the writer is harmless.
func TestWriterDuringRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, unix.SIGIO, unix.SIGPWR)
	defer signal.Stop(signals)

	opened := make(chan error, 1)
	s := read(path, func(f *os.File) (func() bool, error) {
		release, err := takeLease(f)
		must(t, err)
		if sig, err := fcntl(f, unix.F_GETSIG, 0); sig != int(unix.SIGURG) {
			t.Errorf("got signal %v, %v, want SIGURG", unix.Signal(sig), err)
		}
		go func() { opened <- os.WriteFile(path, []byte("new"), 0) }()
		eventually(t, "the kernel breaks the lease", func() bool {
			held, err := fcntl(f, unix.F_GETLEASE, 0)
			must(t, err)
			return held != unix.F_RDLCK
		})
		if len(opened) > 0 {
			t.Error("the writer did not wait")
		}
		return release, nil
	})
	if !errors.Is(s.err, ErrBusy) || s.data != nil {
		t.Errorf("read %q, %v, want ErrBusy", s.data, s.err)
	}
	must(t, <-opened)
	if data, err := Read(path); string(data) != "new" || err != nil {
		t.Errorf("Read returned %q, %v, want the written content", data, err)
	}
	must(t, unix.Kill(os.Getpid(), unix.SIGPWR)) // delivered after SIGIO
	if got := <-signals; got != unix.SIGPWR {
		t.Errorf("got the signal %v", got)
	}
}

// If a lease ends before the read ends, the result of the read is not used.
func TestLeaseEndsDuringRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	s := read(path, func(f *os.File) (func() bool, error) {
		release, err := takeLease(f)
		must(t, err)
		_, err = fcntl(f, unix.F_SETLEASE, unix.F_UNLCK)
		must(t, err)
		return release, nil
	})
	if !errors.Is(s.err, ErrBusy) || s.data != nil {
		t.Errorf("read %q, %v, want ErrBusy", s.data, s.err)
	}
}

// A write lease of another process does not block a read.
func TestForeignWriteLease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	_, err = fcntl(f, unix.F_SETSIG, int(unix.SIGURG))
	must(t, err)
	_, err = fcntl(f, unix.F_SETLEASE, unix.F_WRLCK)
	must(t, err)
	if data, err := Read(path); !errors.Is(err, ErrBusy) {
		t.Errorf("read %q, %v, want ErrBusy", data, err)
	}
}

// A content that changes during a read without a lease is not used.
func TestChangesWhileReading(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	write(t, path, "old")
	f := &meddler{path: path, t: t}
	s := read(path, f.noLeases)
	if !errors.Is(s.err, ErrBusy) || s.data != nil {
		t.Errorf("read %q, %v, want ErrBusy", s.data, s.err)
	}
}

// A meddler writes to the file after it has been read.
type meddler struct {
	path string
	t    testing.TB
}

func (m *meddler) noLeases(*os.File) (func() bool, error) {
	return func() bool {
		write(m.t, m.path, "other")
		return true
	}, errNoLeases
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("file"), "content")
	must(t, os.Symlink("file", path("link")))
	write(t, path("big"), "")
	must(t, os.Truncate(path("big"), MaxSize))
	write(t, path("bigger"), "")
	must(t, os.Truncate(path("bigger"), MaxSize+1))
	must(t, unix.Mkfifo(path("pipe"), 0o600))
	must(t, os.Symlink("loop", path("loop")))
	for _, c := range []struct{ name, err string }{
		{"file", ""},
		{"link", ""},
		{"big", ""},
		{"bigger", "the file has more than 34603008 bytes"},
		{"pipe", "it is not a regular file"},
		{".", "it is not a regular file"},
		{"missing", "no such file or directory"},
		{"loop", "too many levels of symbolic links"},
	} {
		data, err := Read(path(c.name))
		if c.err == "" {
			want, readErr := os.ReadFile(path(c.name))
			if string(data) != string(want) || err != nil || readErr != nil {
				t.Errorf("%s: read %d bytes, %v, want %d, %v", c.name, len(data), err, len(want), readErr)
			}
			continue
		}
		if want := "read " + path(c.name) + ": " + c.err; err == nil || strings.TrimSuffix(err.Error(), "/.") != want || data != nil {
			t.Errorf("%s: read %d bytes, %v, want the error %q", c.name, len(data), err, want)
		}
	}
}

// Leases are used only on file systems that no other machine can write to.
func TestSharedType(t *testing.T) {
	cifs := uint32(unix.CIFS_SUPER_MAGIC)
	for fs, want := range map[int64]bool{
		unix.EXT4_SUPER_MAGIC: false, unix.XFS_SUPER_MAGIC: false, unix.BTRFS_SUPER_MAGIC: false, unix.TMPFS_MAGIC: false, unix.OVERLAYFS_SUPER_MAGIC: false,
		unix.NFS_SUPER_MAGIC: true, unix.FUSE_SUPER_MAGIC: true, unix.CIFS_SUPER_MAGIC: true, int64(int32(cifs)): true,
	} {
		if got := sharedType(fs); got != want {
			t.Errorf("sharedType(%#x) = %v, want %v", fs, got, want)
		}
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	if err := shared(f); err != nil {
		t.Errorf("the file system of this test: %v", err)
	}
}
