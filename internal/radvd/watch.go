package radvd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// rouse must be called with mu held.
func (k *Keeper) rouse() {
	if k.wake >= 0 {
		unix.Write(k.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only when it is awake anyhow
	}
}

func (k *Keeper) notify() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Run waits for the ends of processes and for what they print, until ctx is
// done. They go on. The error is never nil; it is ctx's cause if ctx was canceled.
func (k *Keeper) Run(ctx context.Context) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch radvd: create an eventfd: %w", err)
	}
	k.mu.Lock()
	k.wake = wake
	k.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.rouse()
	})
	logs := k.watchLogs()
	defer func() {
		stop()
		k.mu.Lock()
		defer k.mu.Unlock()
		k.closeUnused()
		k.wake = -1
		unix.Close(wake)
		if logs >= 0 {
			unix.Close(logs)
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		fds, due := k.waitFor(wake, logs)
		_, err := unix.Poll(fds, milliseconds(due))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch radvd: poll: %w", err)
		}
		if err != nil {
			continue
		}
		for _, fd := range fds[:2] {
			if fd.Revents != 0 {
				unix.Read(int(fd.Fd), buf)
			}
		}
		if k.look(fds[2:]) {
			k.notify()
		}
	}
}

// watchLogs returns an inotify descriptor for the directory, -1 if there is
// none to be had: then what radvd prints is read when Ensure is called.
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

// waitFor returns the descriptors to wait for, of which the first two are wake
// and logs, and until when; zero is for ever.
func (k *Keeper) waitFor(wake, logs int) (fds []unix.PollFd, due time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closeUnused()
	due = k.again
	fds = []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}, {Fd: int32(logs), Events: unix.POLLIN}}
	for _, s := range k.routers {
		if s.proc != nil && !s.over {
			fds = append(fds, unix.PollFd{Fd: int32(s.proc.fd), Events: unix.POLLIN})
		}
		if s.proc == nil && !s.due.IsZero() && (due.IsZero() || s.due.Before(due)) {
			due = s.due
		}
	}
	return fds, due
}

// look reports whether one of the processes fds has ended, or one that had to
// wait may be tried again.
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
			s.over, changed = true, true
		case s.proc == nil && !s.due.IsZero() && !time.Now().Before(s.due):
			s.due, changed = time.Time{}, true
		}
	}
	if !k.again.IsZero() && !time.Now().Before(k.again) {
		k.again, changed = time.Time{}, true
	}
	return changed
}

// closeUnused must be called with mu held, while Run does not wait.
func (k *Keeper) closeUnused() {
	for _, fd := range k.unused {
		unix.Close(fd)
	}
	k.unused = nil
}

// milliseconds is how long to poll until due.
func milliseconds(due time.Time) int {
	if due.IsZero() {
		return -1
	}
	return int(max(0, time.Until(due)).Milliseconds()) + 1
}
