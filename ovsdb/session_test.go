package ovsdb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A request to monitor outlives its context by a moment, and no longer.
func TestOutlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		out, end := outlive(ctx, time.Second)
		defer end()
		cancel(stopped)
		synctest.Wait()
		if out.Err() != nil {
			t.Error("it ends with its context")
		}
		began := time.Now()
		<-out.Done()
		if took := time.Since(began); took != time.Second || context.Cause(out) != stopped {
			t.Errorf("it ended after %v: %v", took, context.Cause(out))
		}
	})
}
