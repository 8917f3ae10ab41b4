package controller

import "context"

// post sends an event to the world. It drops the event if the world has ended.
func (c *Controller) post(e event) {
	select {
	case c.events <- e:
	case <-c.stopped:
	}
}

// request sends an event to the world and returns the answer. The error is ctx's cause, or
// errStopping if the world has ended. Even if an error is returned, the event may still be
// handled.
func request[T any](ctx context.Context, c *Controller, of func(answer chan<- T) event) (none T, err error) {
	answer := make(chan T, 1)
	select {
	case c.events <- of(answer):
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

// ask runs f on the world's goroutine and returns its result, see [request]. f may run after
// ask has returned, so it must not write variables of the caller.
func ask[T any](ctx context.Context, c *Controller, f func(*world) T) (T, error) {
	return request(ctx, c, func(answer chan<- T) event { return query(func(w *world) { answer <- f(w) }) })
}
