package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// Who asks learns the answer, or that its context is done, or that the world has ended:
// before it was asked, and while it was about to answer.
func TestAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controllerOfTest(t)
		ctx, end := context.WithCancel(t.Context())
		go c.Run(ctx, &ledger.State{Index: new(routing.Index)})
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
			t.Errorf("who leaves is told %v", err)
		}
		begin(context.WithoutCancel(ctx))
		end()
		close(hold)
		<-c.stopped
		if _, err := ask(context.WithoutCancel(ctx), c, func(*world) int { return 7 }); !errors.Is(err, errStopping) {
			t.Errorf("who asks afterwards is told %v", err)
		}
		if err := <-errs; err != nil && !errors.Is(err, errStopping) {
			t.Errorf("who had asked is told %v", err)
		}
		if _, err := c.Await(context.WithoutCancel(ctx), ledger.Result{State: new(ledger.State)}); !errors.Is(err, errStopping) {
			t.Errorf("who waits for switches is told %v", err)
		}
	})
}
