package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stopLimit is the maximum time in which the daemon ends after SIGTERM. It is less than the
// documented 5 s.
const stopLimit = 4 * time.Second

// errNotStopped means that the daemon ends before all its work has stopped.
var errNotStopped = errors.New("not everything stopped")

// boundStop returns the result of f. If f does not return within limit after ctx is done, boundStop
// returns an error, so that the process ends in any case. Durable data is on disk already.
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
		return fmt.Errorf("end after SIGTERM: %w within %v, ending anyway; the switch goes on forwarding", errNotStopped, limit)
	}
}
