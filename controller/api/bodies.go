package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ofdvr/ofdvr/internal/bounded"
)

// bodyLimits are those of all bodies.
var bodyLimits = bounded.BodyLimits{Held: maxBodies, Time: bodyTimeout, Start: bodyStart, Rate: bodyRate}

// Sent is the body of a request, as a part of an operation's input.
type Sent struct {
	r     *http.Request
	w     http.ResponseWriter
	body  *bounded.Body
	large chan struct{} // to take from when it is done; nil: nothing
}

// Resolve is called by huma with the request.
func (b *Sent) Resolve(ctx huma.Context) []error {
	b.r, b.w = humago.Unwrap(ctx)
	return nil
}

func (b *Sent) sent() *Sent { return b }

func (b *Sent) text() []byte { return b.body.Text() }

// receive reads the body of a request, of fewer than most bytes, and then waits for its
// turn if it may have many objects: a body that comes slowly keeps no other one waiting. The
// caller has to call release when it is done with the body.
func (s *service) receive(ctx context.Context, b *Sent, most int) *Problem {
	var err error
	b.body, err = s.bodies.Receive(ctx, b.w, b.r, most)
	switch {
	case errors.Is(err, bounded.ErrTooLong):
		return problem(http.StatusRequestEntityTooLarge, "%v", err)
	case errors.Is(err, bounded.ErrTooSlow):
		return problem(http.StatusRequestTimeout, "%v", err)
	case errors.Is(err, bounded.ErrNoRoom):
		return problem(http.StatusServiceUnavailable, "%v", err)
	case err != nil:
		return problem(http.StatusBadRequest, "%v", err)
	case len(b.text()) == 0:
		return problem(http.StatusBadRequest, "request body is required")
	case most <= maxObject:
		return nil
	}
	select {
	case s.large <- struct{}{}:
		b.large = s.large
		return nil
	case <-ctx.Done():
		return failure(context.Cause(ctx))
	}
}

// release gives back the memory of a body, and its turn.
func (b *Sent) release() {
	if b.body != nil {
		b.body.Release()
	}
	if b.large != nil {
		<-b.large
		b.large = nil
	}
}
