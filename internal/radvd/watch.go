package radvd

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

func (k *Keeper) notify() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Run waits for the ends of processes and for their output, until ctx is done. The processes
// keep running. The error is never nil; it is ctx's cause if ctx was canceled.
func (k *Keeper) Run(ctx context.Context) error {
	logs := k.watchLogs()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.closeUnused()
		if logs >= 0 {
			unix.Close(logs)
		}
	}()
	buf := make([]byte, 1<<16)
	err := k.waiter.Run(ctx, func() ([]unix.PollFd, int) {
		fds, due := k.waitFor(logs)
		return fds, milliseconds(due)
	}, func(fds []unix.PollFd, _ bool) {
		if fds[0].Revents != 0 {
			unix.Read(logs, buf)
		}
		if k.look(fds[1:]) {
			k.notify()
		}
	})
	if ctx.Err() == nil {
		err = fmt.Errorf("watch radvd: %w", err)
	}
	return err
}

// watchLogs returns an inotify descriptor for the directory. If inotify is not available, it
// returns -1, and logs are read only when Ensure is called.
func (k *Keeper) watchLogs() int {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1
	}
	if err := ownfile.Dir(k.dir); err == nil {
		_, err = unix.InotifyAddWatch(fd, k.dir, unix.IN_MODIFY)
		if err == nil {
			return fd
		}
	}
	unix.Close(fd)
	return -1
}

// waitFor returns the descriptors to wait for, and the end of the wait. The first descriptor
// is logs. A zero time means no limit.
func (k *Keeper) waitFor(logs int) (fds []unix.PollFd, due time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closeUnused()
	due = k.again
	fds = []unix.PollFd{{Fd: int32(logs), Events: unix.POLLIN}}
	for _, s := range k.routers {
		if s.proc != nil && !s.exited {
			fds = append(fds, unix.PollFd{Fd: int32(s.proc.fd), Events: unix.POLLIN})
		}
		if s.proc == nil && !s.due.IsZero() && (due.IsZero() || s.due.Before(due)) {
			due = s.due
		}
	}
	return fds, due
}

// look reports whether one of the processes in fds has ended, or a retry is due.
func (k *Keeper) look(fds []unix.PollFd) (changed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ended := make(map[int]bool)
	for _, fd := range fds {
		ended[int(fd.Fd)] = fd.Revents != 0
	}
	for _, base := range k.sorted() {
		s := k.routers[base]
		k.follow(base, s)
		switch {
		case s.proc != nil && ended[s.proc.fd]:
			s.exited, changed = true, true
		case s.proc == nil && !s.due.IsZero() && !time.Now().Before(s.due):
			s.due, changed = time.Time{}, true
		}
	}
	if !k.again.IsZero() && !time.Now().Before(k.again) {
		k.again, changed = time.Time{}, true
	}
	return changed
}

// closeUnused closes unused descriptors. The caller holds mu, and Run is not waiting.
func (k *Keeper) closeUnused() {
	for _, fd := range k.unused {
		unix.Close(fd)
	}
	k.unused = nil
}

// milliseconds returns the poll timeout until due.
func milliseconds(due time.Time) int {
	if due.IsZero() {
		return -1
	}
	return int(max(0, time.Until(due)).Milliseconds()) + 1
}
