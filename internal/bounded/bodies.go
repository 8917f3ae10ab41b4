package bounded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"
)

// Bodies receives and holds request bodies within common limits. Create it with [NewBodies].
type Bodies struct {
	BodyLimits

	mu     sync.Mutex
	held   int            // memory in use, in bytes
	coming map[*Body]bool // incomplete bodies
	freed  chan struct{}  // closed when memory is freed
}

// BodyLimits has limits for the cost of request bodies.
type BodyLimits struct {
	Held  int           // maximum memory of all bodies, in bytes
	Time  time.Duration // maximum time to receive a body
	Start time.Duration // time before Rate applies
	Rate  int           // minimum average rate in bytes per second
	// Limited is called for each refused body. It may be nil.
	Limited func(r *http.Request, reason string)
}

// NewBodies returns Bodies within limits.
func NewBodies(l BodyLimits) *Bodies {
	return &Bodies{BodyLimits: l, coming: make(map[*Body]bool), freed: make(chan struct{})}
}

// The errors of [Bodies.Receive] wrap one of these errors, or an error of the connection
// or the context.
var (
	ErrTooLong = errors.New("the request body is too large")
	ErrTooSlow = errors.New("the request body arrived too slowly")
	ErrNoRoom  = errors.New("the bodies of all requests together are too large, and this one arrived the slowest; send it again later")
)

// firstRoom is the initial memory of a body, in bytes.
const firstRoom = 16 << 10

// A Body is the body of a request.
type Body struct {
	of      *Bodies
	r       *http.Request
	control *http.ResponseController
	text    []byte
	began   time.Time

	// Guarded by of.mu.
	room    int // memory reserved, in bytes
	n       int // bytes received
	refused bool
}

// Receive reads a request body of less than most bytes. The caller must call
// Release after using the body. If the memory is used up, one incomplete body
// is refused: the slowest of those that use more than an equal share of the
// memory. So small bodies are not refused because of large ones.
func (s *Bodies) Receive(ctx context.Context, w http.ResponseWriter, r *http.Request, most int) (*Body, error) {
	b := &Body{of: s, r: r, control: http.NewResponseController(w), began: time.Now()}
	err := tooLong(most)
	if r.ContentLength < int64(most) {
		s.mu.Lock()
		s.coming[b] = true
		s.mu.Unlock()
		err = b.read(ctx, most)
		s.mu.Lock()
		delete(s.coming, b)
		s.mu.Unlock()
	}
	if err != nil {
		b.Release()
		for _, l := range []struct {
			err    error
			reason string
		}{{ErrTooLong, ReasonBodyTooLarge}, {ErrTooSlow, ReasonBodyTimeout}, {ErrNoRoom, ReasonBodyMemory}} {
			if s.Limited != nil && errors.Is(err, l.err) {
				s.Limited(r, l.reason)
			}
		}
		return nil, err
	}
	b.control.SetReadDeadline(time.Time{}) // end the deadline; otherwise the server would cancel the request when it passes
	return b, nil
}

func tooLong(most int) error {
	return fmt.Errorf("%w: it must have fewer than %d bytes", ErrTooLong, most)
}

// Text returns the body.
func (b *Body) Text() []byte { return b.text }

// Release frees the memory of the body.
func (b *Body) Release() {
	b.text = nil
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.held -= b.room
	b.room = 0
	close(b.of.freed)
	b.of.freed = make(chan struct{})
}

// read reads the whole body into new memory.
func (b *Body) read(ctx context.Context, most int) error {
	for {
		if len(b.text) == cap(b.text) {
			if err := b.grow(ctx, most); err != nil {
				return err
			}
		}
		n, err := b.r.Body.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		if err := b.took(); err != nil {
			return err
		}
		switch {
		case len(b.text) >= most:
			return tooLong(most)
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w: %d bytes in %.0f s; send at least %d KiB/s, and everything within %v", ErrTooSlow, len(b.text), time.Since(b.began).Seconds(), b.of.Rate>>10, b.of.Time)
		case err != nil:
			return fmt.Errorf("read the body: %w", err)
		}
	}
}

// took records the number of bytes received, and extends the client's deadline.
func (b *Body) took() error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.n = len(b.text)
	if b.refused {
		return ErrNoRoom
	}
	within := min(b.of.Time, b.of.Start+time.Duration(b.n)*time.Second/time.Duration(b.of.Rate))
	b.control.SetReadDeadline(b.began.Add(within)) // ignore the error: only requests in tests have no connection
	return nil
}

// grow reserves memory for more of the body.
func (b *Body) grow(ctx context.Context, most int) error {
	want := max(firstRoom, 2*cap(b.text))
	if all := b.r.ContentLength; all >= 0 && int64(want) >= all/4 {
		want = int(all) + 1 // the last growth; the extra byte detects the end of the body
	}
	want = min(want, most)
	for {
		wait, err := b.take(want)
		if err != nil {
			return err
		}
		if wait == nil {
			break
		}
		since := time.Now()
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		b.waited(time.Since(since))
	}
	b.text = append(make([]byte, 0, want), b.text...)
	return b.took()
}

// waited extends the time for the body by d, which it has spent waiting for memory.
func (b *Body) waited(d time.Duration) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.began = b.began.Add(d)
}

// take reserves memory for a body. If the limit is reached, it refuses another incomplete body: the
// slowest of those that use more than an equal share. If no body uses more, it refuses the slowest
// of all. If there is no other incomplete body, take returns a channel that is closed when memory
// is freed.
func (b *Body) take(room int) (wait <-chan struct{}, err error) {
	s := b.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refused {
		return nil, ErrNoRoom
	}
	missing := s.held - b.room + room - s.Held
	if missing <= 0 {
		s.held += room - b.room
		b.room = room
		return nil, nil
	}
	var slowest *Body
	least, large, others := math.Inf(1), false, false
	share := s.Held / len(s.coming)
	for other := range s.coming {
		if other.refused {
			missing -= other.room // the refused body will free this memory
			continue
		}
		others = others || other != b
		use := other.room
		if other == b {
			use = room
		}
		over := use > share
		if r := float64(other.n) / time.Since(other.began).Seconds(); other.room > 0 && (over && !large || over == large && r < least) {
			slowest, least, large = other, r, over
		}
	}
	switch {
	case missing <= 0 || !others:
	case slowest == b:
		b.refused = true
		return nil, ErrNoRoom
	default:
		slowest.refused = true
		slowest.control.SetReadDeadline(time.Now()) // an error means that the client has disconnected
	}
	return s.freed, nil
}
