// Package poll waits for file descriptors on one goroutine. Other goroutines can end the wait. It
// is for descriptors that Go's runtime does not support well, such as pidfds and mountinfo.
package poll

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// A Waiter waits for file descriptors. The zero Waiter is ready for use.
type Waiter struct {
	mu   sync.Mutex
	wake int // eventfd that ends the wait; 0 if Run is not running
}

// Wake ends the current wait of [Waiter.Run], if it is running.
func (w *Waiter) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wake != 0 {
		unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only if a wake-up is pending
	}
}

// Running reports whether Run is running.
func (w *Waiter) Running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wake != 0
}

// Run waits repeatedly. Before each wait it calls prepare, which returns file descriptors and
// the maximum time in milliseconds, or -1 for no limit. After each wait it calls handle with
// the descriptors and whether Wake ended the wait. The error is never nil; it is ctx's cause
// if ctx was canceled.
func (w *Waiter) Run(ctx context.Context, prepare func() ([]unix.PollFd, int), handle func(fds []unix.PollFd, woken bool)) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("create an eventfd: %w", err)
	}
	w.set(wake)
	stop := context.AfterFunc(ctx, w.Wake)
	defer func() {
		stop()
		w.set(0)
		unix.Close(wake)
	}()
	for {
		fds, milliseconds := prepare()
		fds = append(fds, unix.PollFd{Fd: int32(wake), Events: unix.POLLIN})
		_, err := unix.Poll(fds, milliseconds)
		switch last := len(fds) - 1; {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("poll: %w", err)
		default:
			woken := fds[last].Revents != 0
			if woken {
				unix.Read(wake, make([]byte, 8))
			}
			handle(fds[:last], woken)
		}
	}
}

func (w *Waiter) set(wake int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wake = wake
}
