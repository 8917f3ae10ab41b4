package ovsdb

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The context of a monitor request is done shortly after its parent.
func TestOutlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		out, end := outlive(ctx, time.Second)
		defer end()
		cancel(stopped)
		synctest.Wait()
		if out.Err() != nil {
			t.Error("the context was done as soon as its parent")
		}
		began := time.Now()
		<-out.Done()
		if took := time.Since(began); took != time.Second || context.Cause(out) != stopped {
			t.Errorf("the context ended after %v: %v", took, context.Cause(out))
		}
	})
}
