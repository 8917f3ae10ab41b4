// Package ownfile reads, writes and replaces the daemon's files in directories that other
// users may have written to. It first checks the existence, type and owner of a path. A file
// that is not ours is an error and stays unchanged.
//
// A file is ours if it is a regular file that belongs to root or to the user of this
// process and has no other name. Symbolic links are not followed.
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

// ErrForeign means that the file at a path is not ours. It stays unchanged.
var ErrForeign = errors.New("not a file of ofdvr, and left unchanged")

func foreign(path, format string, args ...any) error {
	return fmt.Errorf("%s %s: %w", path, fmt.Sprintf(format, args...), ErrForeign)
}

// Dir creates the directory path if it does not exist, and checks it with [CheckDir].
func Dir(path string) error {
	if err := MkdirAll(path); err != nil {
		return err
	}
	return CheckDir(path)
}

// MkdirAll creates the directory path and its parents if they do not exist. All users can read
// path, independently of the umask of the process.
func MkdirAll(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// CheckDir checks that only root and the user of this process can create files in the
// directory path, or replace the directory.
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
		return fmt.Errorf("%s is a symbolic link: use the directory that it points to", abs)
	}
	if open(info) {
		return fmt.Errorf("%s can be written by other users (mode %#o, owner %d:%d): run chmod go-w on it, and make root or the daemon's user its owner",
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
			return fmt.Errorf("%s can be replaced by other users, who can write %s (mode %#o, owner %d:%d): use another directory, or run chmod go-w on that one",
				abs, dir, info.Mode().Perm(), stat(info).Uid, stat(info).Gid)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// open reports whether other users can write to a directory.
func open(info fs.FileInfo) bool {
	mode, group := info.Mode().Perm(), stat(info).Gid
	return !ours(info) || mode&0o002 != 0 || mode&0o020 != 0 && group != 0 && int(group) != os.Getegid()
}

func stat(info fs.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

// ours reports whether root or the user of this process owns a file.
func ours(info fs.FileInfo) bool {
	return slices.Contains([]int{0, os.Geteuid()}, int(stat(info).Uid))
}

// check returns an error if the file with the given info is not ours.
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

// Kind returns a description of a file type.
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

// Check returns nil if path does not exist or is a file of ours.
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

// Open opens a file of ours, like os.OpenFile. It does not wait for the other end of a named
// pipe. With os.O_TRUNC the file is truncated after it has been checked.
func Open(path string, flag int, perm fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_TRUNC|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, perm)
	if err != nil {
		if foreign := Check(path); errors.Is(foreign, ErrForeign) { // foreign is more specific than the error of opening the file
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

// WriteFile creates a file, or replaces a file of ours, atomically.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	if err := Check(path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // always a new file
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

// Remove removes a file of ours. If the file does not exist, it returns nil.
func Remove(path string) error {
	if err := Check(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
