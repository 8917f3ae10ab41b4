// Package ownfile reads, writes and replaces files of ours in directories that others
// may have been in before. The existence, kind and owner of what a name stands for are
// checked first; what is not ours is an error, and stays as it is.
//
// A file is ours if it is a regular file that belongs to root or to the user of this
// process and has no other name. No symbolic link is followed.
package ownfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrForeign says that what has a name is not ours. It was left as it is.
var ErrForeign = errors.New("not a file of ours, and left as it is")

func foreign(path, format string, args ...any) error {
	return fmt.Errorf("%s %s: %w", path, fmt.Sprintf(format, args...), ErrForeign)
}

// Dir makes the directory path if there is none, and checks it.
func Dir(path string) error {
	if err := MkdirAll(path); err != nil {
		return err
	}
	return CheckDir(path)
}

// MkdirAll makes the directory path, and those above it, if there is none. All users may
// look into path, whatever the process's umask.
func MkdirAll(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// CheckDir checks that nobody but root and the user of this process can put files into
// the directory path, or another directory in its place.
func CheckDir(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	info, err := os.Lstat(abs)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a symbolic link: give the directory that it leads to", abs)
	}
	if open(info) {
		return fmt.Errorf("%s can be written by other users (mode %#o, owner %d:%d): chmod go-w it, and have root or the daemon's user own it",
			abs, info.Mode().Perm(), stat(info).Uid, stat(info).Gid)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return err
	}
	for dir := parent; ; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err != nil {
			return err
		}
		if open(info) && (info.Mode()&fs.ModeSticky == 0 || !ours(info)) {
			return fmt.Errorf("%s can be replaced by other users, who can write %s (mode %#o, owner %d:%d): use another directory, or chmod go-w that one",
				abs, dir, info.Mode().Perm(), stat(info).Uid, stat(info).Gid)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// open reports whether others can write a directory.
func open(info fs.FileInfo) bool {
	mode, group := info.Mode().Perm(), stat(info).Gid
	return !ours(info) || mode&0o002 != 0 || mode&0o020 != 0 && group != 0 && int(group) != os.Getegid()
}

func stat(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

// ours reports whether root or the user of this process owns a file.
func ours(info fs.FileInfo) bool {
	return slices.Contains([]int{0, os.Geteuid()}, int(stat(info).Uid))
}

// check reports what is wrong with a file that should be ours.
func check(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return foreign(path, "is %s", Kind(info.Mode()))
	case !ours(info):
		return foreign(path, "belongs to user %d", stat(info).Uid)
	case stat(info).Nlink > 1:
		return foreign(path, "is a hard link, one of %d names of a file", stat(info).Nlink)
	}
	return nil
}

// Kind returns the word for the kind of a file.
func Kind(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a regular file"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

// Check returns nil if nothing is called path, or a file of ours.
func Check(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return check(path, info)
}

// Open opens a file of ours, as os.OpenFile does. It does not wait for the other end of a
// named pipe. With os.O_TRUNC the file is emptied when it is known to be ours.
func Open(path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, perm)
	if err != nil {
		if foreign := Check(path); errors.Is(foreign, ErrForeign) { // this says more
			err = foreign
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err == nil && flag&os.O_TRUNC != 0 {
		err = f.Truncate(0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ReadFile returns the content of a file of ours.
func ReadFile(path string) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// WriteFile makes a file, or replaces one of ours, at once: it is never seen half written.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	if err := Check(path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // a new one always
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(perm), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Remove removes a file of ours. That there is none is no error.
func Remove(path string) error {
	if err := Check(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
