package poll

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Run reports a ready file descriptor, a wake-up and a timeout separately. It ends with its
// context.
func TestRun(t *testing.T) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	type event struct{ readable, woken bool }
	events, wait := make(chan event), make(chan int)
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	var w Waiter
	w.Wake() // before it runs
	ended := make(chan error, 1)
	go func() {
		ended <- w.Run(ctx, func() ([]unix.PollFd, int) {
			return []unix.PollFd{{Fd: int32(pipe[0]), Events: unix.POLLIN}}, <-wait
		}, func(fds []unix.PollFd, woken bool) {
			unix.Read(pipe[0], make([]byte, 1))
			events <- event{fds[0].Revents != 0, woken}
		})
	}()
	wait <- 1
	if e := <-events; e != (event{}) {
		t.Errorf("after a millisecond: %+v", e)
	}
	if !w.Running() {
		t.Error("Run is not running")
	}
	unix.Write(pipe[1], []byte{1})
	wait <- -1
	if e := <-events; e != (event{readable: true}) {
		t.Errorf("after a byte: %+v", e)
	}
	w.Wake()
	wait <- -1
	if e := <-events; e != (event{woken: true}) {
		t.Errorf("after it was woken: %+v", e)
	}
	wait <- -1
	cancel(over)
	if err := <-ended; !errors.Is(err, over) {
		t.Error(err)
	}
	if w.Running() {
		t.Error("Run is still running")
	}
	w.Wake() // after it has run
}
