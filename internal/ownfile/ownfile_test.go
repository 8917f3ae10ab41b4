package ownfile

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// impostors creates objects that are not files of ours, one under each of the returned names. world
// returns their observable state, for comparison.
func impostors(t *testing.T, dir string) (names map[string]string, world func() string) {
	t.Helper()
	theirs := filepath.Join(t.TempDir(), "theirs")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(theirs, []byte("theirs"), 0o640))
	names = make(map[string]string)
	for _, in := range hostile.Impostors() {
		if path := filepath.Join(dir, in.Kind); os.Getuid() == 0 || !strings.Contains(in.Kind, "user") {
			must(in.Make("", path, theirs))
			names[in.Kind] = in.Says
		}
	}
	return names, func() string {
		var b strings.Builder
		for _, path := range append([]string{theirs}, must2(filepath.Glob(filepath.Join(dir, "*")))...) {
			info, err := os.Lstat(path)
			must(err)
			b.WriteString(path + " " + info.Mode().String() + " " + info.ModTime().String())
			if info.Mode().IsRegular() {
				b.Write(must2(os.ReadFile(path)))
			}
			b.WriteByte('\n')
		}
		return b.String()
	}
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A file that is not ours is named in the error. It is not read, written, truncated or
// removed.
func TestForeignFilesAreUnchanged(t *testing.T) {
	dir := t.TempDir()
	names, world := impostors(t, dir)
	before := world()
	for name, want := range names {
		path := filepath.Join(dir, name)
		for what, do := range map[string]func() error{
			"open":  func() error { _, err := Open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); return err },
			"read":  func() error { _, err := ReadFile(path); return err },
			"write": func() error { return WriteFile(path, []byte("ours"), 0o600) },
			"check": func() error { return Check(path) },
			"rm":    func() error { return Remove(path) },
			"listen": func() error {
				_, err := Listen(t.Context(), path)
				return err
			},
		} {
			want := want
			if what == "listen" && (name == "a hard link" || name == "another user's file") {
				want = "is a regular file, not a socket"
			}
			if err := do(); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s %s: %v, want %q", what, name, err, want)
			}
		}
	}
	if after := world(); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

func TestOwnFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if _, err := ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for _, text := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(path); string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if info := must2(os.Lstat(path)); info.Mode() != 0o640 {
		t.Error(info.Mode())
	}
	f := must2(Open(path, os.O_RDWR|os.O_TRUNC, 0))
	f.Close()
	if got := must2(ReadFile(path)); len(got) > 0 {
		t.Errorf("%q", got)
	}
	for range 2 {
		if err := Remove(path); err != nil {
			t.Error(err)
		}
	}
	if left := must2(os.ReadDir(filepath.Dir(path))); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A directory is not used if other users could create files in it or replace it.
func TestForeignDirectories(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string) (string, error)
		want string // "" if it can be used
	}{
		{"a new directory", func(d string) (string, error) { return d + "/a/b", nil }, ""},
		{"a directory of ours", func(d string) (string, error) { return d, nil }, ""},
		{"in a sticky directory", func(d string) (string, error) { return d + "/a", os.Chmod(d, 0o777|fs.ModeSticky) }, ""},
		{"by a link to its parent", func(d string) (string, error) {
			return d + "/link/a", errors.Join(os.Mkdir(d+"/real", 0o755), os.Symlink("real", d+"/link"))
		}, ""},
		{"written by all", func(d string) (string, error) { return d, os.Chmod(d, 0o777) }, "can be written by other users"},
		{"sticky", func(d string) (string, error) { return d, os.Chmod(d, 0o777|fs.ModeSticky) }, "can be written by other users"},
		{"in a directory for all", func(d string) (string, error) { return d + "/a", os.Chmod(d, 0o777) }, "can be replaced by other users"},
		{"a link", func(d string) (string, error) {
			return d + "/link", errors.Join(os.Mkdir(d+"/real", 0o755), os.Symlink("real", d+"/link"))
		}, "is a symbolic link"},
		{"a file", func(d string) (string, error) { return d + "/file", os.WriteFile(d+"/file", nil, 0o600) }, "not a directory"},
		{"of another user", func(d string) (string, error) { return d, os.Chown(d, 1234, -1) }, "can be written by other users"},
		{"in another user's", func(d string) (string, error) { return d + "/a", os.Chown(d, 1234, -1) }, "can be replaced by other users"},
		{"written by a group", func(d string) (string, error) {
			return d, errors.Join(os.Chown(d, -1, 1234), os.Chmod(d, 0o775))
		}, "can be written by other users"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.Contains(c.name, "user") || strings.Contains(c.name, "group") {
				if os.Getuid() != 0 {
					if os.Getenv("CI") == "true" {
						t.Fatal("needs root")
					}
					t.Skip("needs root")
				}
			}
			dir := must2(c.make(t.TempDir()))
			err := Dir(dir)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// A socket that a process uses is not replaced, even if the process does not respond. A stale
// socket is replaced.
func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	if err := first.SetAccess(0o660, -1); err != nil || must2(os.Lstat(path)).Mode().Perm() != 0o660 {
		t.Error(err, must2(os.Lstat(path)).Mode())
	}
	first.UnixListener.Close() // keeps the socket, as if the process had died
	second, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket still exists: %v", err)
	}
	for _, typ := range []int{syscall.SOCK_STREAM, syscall.SOCK_DGRAM, syscall.SOCK_SEQPACKET} { // only bound
		fd := must2(syscall.Socket(syscall.AF_UNIX, typ|syscall.SOCK_CLOEXEC, 0))
		if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(t.Context(), path); !errors.Is(err, ErrInUse) {
			t.Errorf("type %d: %v", typ, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
		syscall.Close(fd)
		os.Remove(path)
	}
	// This socket has a full backlog.
	fd := must2(syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0))
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		nc, err := net.Dial("unix", path)
		if err != nil {
			break
		}
		defer nc.Close()
	}
	if _, err := Listen(t.Context(), path); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
}

// If another file replaces the socket, the file is not removed with the listener. Its
// permissions are not changed.
func TestListenerKeepsReplacement(t *testing.T) {
	dir := t.TempDir()
	path, theirs := filepath.Join(dir, "s"), filepath.Join(dir, "theirs")
	l, err := Listen(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(theirs, nil, 0o600), os.Symlink(theirs, path)); err != nil {
		t.Fatal(err)
	}
	if err := l.SetAccess(0o666, -1); !errors.Is(err, ErrForeign) {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Error(info, err)
	}
}
