package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopLimit is how long the daemon may take to end after SIGTERM. It is less than the 5 s that
// it promises.
const stopLimit = 4 * time.Second

// errNotStopped says that the daemon ends before it was done with what it did.
var errNotStopped = errors.New("something did not stop")

// boundStop returns what f does, or an error if f has not returned a while after ctx is done,
// so that nothing keeps the process from ending: what is durable is so already.
func boundStop(ctx context.Context, limit time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return fmt.Errorf("end after SIGTERM: %w in %v, ending nevertheless; the switch goes on forwarding", errNotStopped, limit)
	}
}
