package controller

import "context"

// post has the world take in an event some time, unless that has ended.
func (c *Controller) post(e event) {
	select {
	case c.events <- e:
	case <-c.stopped:
	}
}

// request has the world take in an event and returns the answer. The error is ctx's
// cause, or that of the world's end; the event may be taken in all the same, even later.
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

// ask runs f on the world's goroutine and returns what that returns, see [request]. As f
// may run later, it must not write what its caller reads.
func ask[T any](ctx context.Context, c *Controller, f func(*world) T) (T, error) {
	return request(ctx, c, func(answer chan<- T) event { return query(func(w *world) { answer <- f(w) }) })
}
