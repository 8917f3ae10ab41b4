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

// Bodies hold the bodies of requests that come or are worked on within common limits.
// Create them with [NewBodies].
type Bodies struct {
	BodyLimits

	mu     sync.Mutex
	held   int            // bytes of memory
	coming map[*Body]bool // that have not come in full
	freed  chan struct{}  // closed when there is more room
}

// BodyLimits bound what bodies cost.
type BodyLimits struct {
	Held  int           // bytes of memory of all
	Time  time.Duration // for a body to come
	Start time.Duration // in which it need not come at Rate
	Rate  int           // bytes a second, on the average, from then on
	// Limited is called for each request whose body is refused; nil: nothing is.
	Limited func(r *http.Request, reason string)
}

// NewBodies returns Bodies within limits.
func NewBodies(l BodyLimits) *Bodies {
	return &Bodies{BodyLimits: l, coming: make(map[*Body]bool), freed: make(chan struct{})}
}

// The errors of [Bodies.Receive] wrap one of these, or are those of the connection or the
// context.
var (
	ErrTooLong = errors.New("the body is too long")
	ErrTooSlow = errors.New("the body came too slowly")
	ErrNoRoom  = errors.New("the bodies of all requests together are too long, and this one came slowest; send it again later")
)

// firstRoom is how many bytes of memory a body has that has just begun.
const firstRoom = 16 << 10

// A Body is the body of a request.
type Body struct {
	of      *Bodies
	r       *http.Request
	control *http.ResponseController
	text    []byte
	began   time.Time

	// These are guarded by of.mu.
	room    int // bytes of memory
	n       int // bytes that have come
	refused bool
}

// Receive reads the body of a request, of fewer than most bytes. The caller has to
// call Release when it is done with it. When there is no room for another body, the one that
// has come slowest until then is refused.
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
		}{{ErrTooLong, ReasonLongBody}, {ErrTooSlow, ReasonSlowBody}, {ErrNoRoom, ReasonBodies}} {
			if s.Limited != nil && errors.Is(err, l.err) {
				s.Limited(r, l.reason)
			}
		}
		return nil, err
	}
	b.control.SetReadDeadline(time.Time{}) // or the server takes the client for gone while the request is worked on
	return b, nil
}

func tooLong(most int) error { return fmt.Errorf("%w: fewer than %d bytes are read", ErrTooLong, most) }

// Text returns the body.
func (b *Body) Text() []byte { return b.text }

// Release gives back the memory of the body.
func (b *Body) Release() {
	b.text = nil
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.held -= b.room
	b.room = 0
	close(b.of.freed)
	b.of.freed = make(chan struct{})
}

// read reads all of the body into memory of its own.
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
			return fmt.Errorf("%w: %d bytes in %.0f s; it has to come at %d KiB/s, and within %v", ErrTooSlow, len(b.text), time.Since(b.began).Seconds(), b.of.Rate>>10, b.of.Time)
		case err != nil:
			return fmt.Errorf("read the body: %w", err)
		}
	}
}

// took notes how much has come, and gives the client time for more.
func (b *Body) took() error {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.n = len(b.text)
	if b.refused {
		return ErrNoRoom
	}
	within := min(b.of.Time, b.of.Start+time.Duration(b.n)*time.Second/time.Duration(b.of.Rate))
	b.control.SetReadDeadline(b.began.Add(within)) // a request without deadlines is no client's
	return nil
}

// grow makes room for more of the body.
func (b *Body) grow(ctx context.Context, most int) error {
	want := max(firstRoom, 2*cap(b.text))
	if all := b.r.ContentLength; all >= 0 && int64(want) >= all/4 {
		want = int(all) + 1 // and no copy any more; one byte more tells the end
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

// waited notes that the body could not come for a time.
func (b *Body) waited(d time.Duration) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.began = b.began.Add(d)
}

// take takes room for a body. If there is none, the body that has come slowest until
// now is refused. If only others are left that have come in full, take returns a channel
// that is closed when there is more room.
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
	least, others := math.Inf(1), false
	for other := range s.coming {
		if other.refused {
			missing -= other.room // which it is about to give back
			continue
		}
		others = others || other != b
		if r := float64(other.n) / time.Since(other.began).Seconds(); other.room > 0 && r < least {
			slowest, least = other, r
		}
	}
	switch {
	case missing <= 0 || !others:
	case slowest == b:
		b.refused = true
		return nil, ErrNoRoom
	default:
		slowest.refused = true
		slowest.control.SetReadDeadline(time.Now()) // an error means that it has gone
	}
	return s.freed, nil
}
