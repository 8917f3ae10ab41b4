package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A request returns the answer. If its context is done or the world has ended, before or
// during the request, it returns an error.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t)
		ctx, end := context.WithCancel(t.Context())
		go c.Run(ctx, &ledger.Intent{Index: new(routing.Index)})
		if got, err := ask(t.Context(), c, func(*world) int { return 7 }); got != 7 || err != nil {
			t.Errorf("%v, %v", got, err)
		}

		left, leave := context.WithCancel(t.Context())
		hold := make(chan struct{})
		errs := make(chan error, 3)
		begin := func(ctx context.Context) {
			go func() {
				_, err := ask(ctx, c, func(*world) string { <-hold; return "late" })
				errs <- err
			}()
			synctest.Wait()
		}
		begin(left)
		leave()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled request: %v", err)
		}
		begin(context.WithoutCancel(ctx))
		end()
		close(hold)
		<-c.stopped
		if _, err := ask(context.WithoutCancel(ctx), c, func(*world) int { return 7 }); !errors.Is(err, errStopping) {
			t.Errorf("request after the world has ended: %v", err)
		}
		if err := <-errs; err != nil && !errors.Is(err, errStopping) {
			t.Errorf("request while the world ends: %v", err)
		}
		if _, err := c.Await(context.WithoutCancel(ctx), ledger.Result{Intent: new(ledger.Intent)}); !errors.Is(err, errStopping) {
			t.Errorf("Await after the end: %v", err)
		}
	})
}
