package ownfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse means that a process uses a Unix socket.
var ErrInUse = errors.New("a process uses that socket")

// Listen listens on a Unix socket. It replaces a socket of ours if its process has ended. The error
// wraps [ErrInUse] if a process uses the socket, and [ErrForeign] if path is not a socket of ours.
func Listen(ctx context.Context, path string) (*Listener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	l := &Listener{UnixListener: ln.(*net.UnixListener), path: path}
	l.SetUnlinkOnClose(false) // Close removes the file, because another file may have the name by then
	if l.file, err = os.Lstat(path); err != nil {
		ln.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes a socket of ours that no process uses.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%w: remove it, or choose another path", foreign(path, "is %s, not a socket", Kind(info.Mode())))
	}
	nc, err := net.Dial("unix", path)
	if err == nil {
		nc.Close()
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if !errors.Is(err, unix.ECONNREFUSED) { // any other error means another socket type, or a full backlog
		return fmt.Errorf("%s: %w: %w", path, ErrInUse, err)
	}
	if bound(info) {
		return fmt.Errorf("%s: %w, and does not listen", path, ErrInUse)
	}
	if !ours(info) {
		return fmt.Errorf("%w: remove it, or choose another path", foreign(path, "is a socket of user %d", stat(info).Uid))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the stale socket: %w", err)
	}
	return nil
}

// bound reports whether a process in this network namespace has a socket bound to the file.
func bound(file fs.FileInfo) bool {
	sockets, _ := os.ReadFile("/proc/net/unix")
	for line := range strings.Lines(string(sockets)) {
		_, path, ok := strings.Cut(line, " /")
		if !ok {
			continue
		}
		if info, err := os.Lstat("/" + strings.TrimSuffix(path, "\n")); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}

// A Listener listens on a Unix socket.
type Listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // the socket file that Listen created
}

// Close closes l and removes its file, unless another file has its name.
func (l *Listener) Close() error {
	if info, err := os.Lstat(l.path); err == nil && os.SameFile(info, l.file) {
		os.Remove(l.path)
	}
	return l.UnixListener.Close()
}

// SetAccess sets the permissions of the socket and, unless gid is -1, its group.
func (l *Listener) SetAccess(perm fs.FileMode, gid int) error {
	fd, err := unix.Open(l.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: l.path, Err: err}
	}
	f := os.NewFile(uintptr(fd), l.path)
	defer f.Close()
	if info, err := f.Stat(); err != nil || !os.SameFile(info, l.file) {
		return foreign(l.path, "replaced the socket that was created")
	}
	self := fmt.Sprintf("/proc/self/fd/%d", fd) // the open file, not the file with the name
	if err := os.Chmod(self, perm); err != nil {
		return err
	}
	if gid < 0 {
		return nil
	}
	return os.Chown(self, -1, gid)
}
