package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ofdvr/ofdvr/internal/bounded"
)

// bodyLimits are the limits of all bodies.
var bodyLimits = bounded.BodyLimits{Held: maxBodies, Time: bodyTimeout, Start: bodyStart, Rate: bodyRate}

// Sent is the body of a request. It is embedded in an operation's input.
type Sent struct {
	r     *http.Request
	w     http.ResponseWriter
	body  *bounded.Body
	large chan struct{} // channel from which release receives; nil if the body has no turn
}

// Resolve implements huma.Resolver.
func (b *Sent) Resolve(ctx huma.Context) []error {
	b.r, b.w = humago.Unwrap(ctx)
	return nil
}

func (b *Sent) sent() *Sent { return b }

func (b *Sent) text() []byte { return b.body.Text() }

// receive reads the body of a request, which must have fewer than most bytes. If the body may have
// many objects, receive then waits for its turn. It waits after reading, so that a slow client does
// not block others. The caller must call release after use.
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

// release frees the memory of a body and ends its turn.
func (b *Sent) release() {
	if b.body != nil {
		b.body.Release()
	}
	if b.large != nil {
		<-b.large
		b.large = nil
	}
}
