package lab

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// inNetns calls f in the network namespace at path and returns its error. Sockets that f opens stay
// in that namespace and may be used anywhere. f must not open them on other goroutines.
func inNetns(path string, f func() error) error {
	done := make(chan error, 1) // room for the result, so that the goroutine never blocks
	go func() {
		// The thread is never unlocked, because it is in another namespace. It ends with the
		// goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The namespace of the main thread counts as that of the program: killing the processes
			// of a machine ("ip netns pids") would kill the program. So the main thread is blocked
			// here, and another thread is used.
			defer runtime.UnlockOSThread()
			done <- inNetns(path, f)
			return
		}
		ns, err := os.Open(path)
		if err != nil {
			done <- fmt.Errorf("open network namespace: %w", err)
			return
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter network namespace %s: %w", path, err)
			return
		}
		done <- f()
	}()
	return <-done
}
