package controller

import "context"

// ask runs f on the world's goroutine and returns what that returns. The error is ctx's
// cause, or that of the world's end; f may run all the same, even later, so it must not
// write what its caller reads.
func ask[T any](ctx context.Context, c *Controller, f func(*world) T) (none T, err error) {
	answer := make(chan T, 1)
	select {
	case c.events <- func(w *world) { answer <- f(w) }:
	case <-c.stopped:
		return none, errStopping
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	select {
	case v := <-answer:
		return v, nil
	case <-c.stopped:
		return none, errStopping
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// do is like [ask] for what returns nothing.
func (c *Controller) do(ctx context.Context, f func(*world)) error {
	_, err := ask(ctx, c, func(w *world) struct{} { f(w); return struct{}{} })
	return err
}
