package api

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	firstRoom = 16 << 10 // bytes of memory for a body that has just begun
	bodyStart = 5 * time.Second
	bodyRate  = 64 << 10 // bytes a second, on the average, that have to come after bodyStart
)

// bodies hold the bodies of requests that come or are worked on, in maxBodies
// bytes of memory. Create them with newBodies.
type bodies struct {
	large chan struct{} // capacity maxLarge: a body with many objects is worked on

	mu     sync.Mutex
	held   int            // bytes of memory
	coming map[*Sent]bool // that have not come in full
	freed  chan struct{}  // closed when there is more room
}

func newBodies() bodies {
	return bodies{large: make(chan struct{}, maxLarge), coming: make(map[*Sent]bool), freed: make(chan struct{})}
}

// Sent is the body of a request, as a part of an operation's input.
type Sent struct {
	r       *http.Request
	control *http.ResponseController
	of      *bodies

	text  []byte
	began time.Time
	large bool // it is worked on as one of few

	// These are guarded by of.mu.
	room    int // bytes of memory
	n       int // bytes that have come
	refused bool
}

// Resolve is called by huma with the request.
func (b *Sent) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	b.r, b.control = r, http.NewResponseController(w)
	return nil
}

func (b *Sent) sent() *Sent { return b }

// receive reads the body of a request, of fewer than most bytes, and then waits for its
// turn if it may have many objects: a body that comes slowly keeps no other one waiting. The
// caller has to call release when it is done with the body.
func (s *bodies) receive(ctx context.Context, b *Sent, most int) *Problem {
	b.of, b.began = s, time.Now()
	if b.r.ContentLength >= int64(most) {
		return tooLong(most)
	}
	s.mu.Lock()
	s.coming[b] = true
	s.mu.Unlock()
	p := b.read(ctx, most)
	s.mu.Lock()
	delete(s.coming, b)
	s.mu.Unlock()
	switch {
	case p != nil:
		return p
	case len(b.text) == 0:
		return problem(http.StatusBadRequest, "request body is required")
	case most <= maxObject:
		return nil
	}
	select {
	case s.large <- struct{}{}:
		b.large = true
		return nil
	case <-ctx.Done():
		return failure(context.Cause(ctx))
	}
}

func tooLong(most int) *Problem {
	return problem(http.StatusRequestEntityTooLarge, "the body is too long: fewer than %d bytes are read", most)
}

// release gives back the memory of a body, and its turn.
func (b *Sent) release() {
	if b.large {
		<-b.of.large
		b.large = false
	}
	b.text = nil
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.held -= b.room
	b.room = 0
	close(b.of.freed)
	b.of.freed = make(chan struct{})
}

// read reads all of the body into memory of its own.
func (b *Sent) read(ctx context.Context, most int) *Problem {
	for {
		if len(b.text) == cap(b.text) {
			if p := b.grow(ctx, most); p != nil {
				return p
			}
		}
		n, err := b.r.Body.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		if p := b.took(); p != nil {
			return p
		}
		switch {
		case len(b.text) >= most:
			return tooLong(most)
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return problem(http.StatusRequestTimeout, "the body came too slowly: %d bytes in %v; it has to come at %d KiB/s, and within %v",
				len(b.text), time.Since(b.began).Round(time.Second), bodyRate>>10, bodyTimeout)
		case err != nil:
			return problem(http.StatusBadRequest, "read the body: %v", err)
		}
	}
}

// took notes how much has come, and gives the client time for more.
func (b *Sent) took() *Problem {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.n = len(b.text)
	if b.refused {
		return noRoom()
	}
	within := min(bodyTimeout, bodyStart+time.Duration(b.n)*time.Second/bodyRate)
	b.control.SetReadDeadline(b.began.Add(within)) // a request without deadlines is no client's
	return nil
}

func noRoom() *Problem {
	return problem(http.StatusServiceUnavailable, "the bodies of all requests together have more than %d MiB, and this one came slowest; send it again later", maxBodies>>20)
}

// grow makes room for more of the body.
func (b *Sent) grow(ctx context.Context, most int) *Problem {
	want := max(firstRoom, 2*cap(b.text))
	if all := b.r.ContentLength; all >= 0 && int64(want) >= all/4 {
		want = int(all) + 1 // and no copy any more; one byte more tells the end
	}
	want = min(want, most)
	for {
		p, wait := b.take(want)
		if p != nil {
			return p
		}
		if wait == nil {
			break
		}
		since := time.Now()
		select {
		case <-wait:
		case <-ctx.Done():
			return failure(context.Cause(ctx))
		}
		b.waited(time.Since(since))
	}
	b.text = append(make([]byte, 0, want), b.text...)
	return b.took()
}

// waited notes that the body could not come for a time.
func (b *Sent) waited(d time.Duration) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.began = b.began.Add(d)
}

// take takes room for a body. If there is none, the body that has come slowest until
// now is refused. If only others are left that have come in full, take returns a channel
// that is closed when there is more room.
func (b *Sent) take(room int) (p *Problem, wait <-chan struct{}) {
	s := b.of
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.refused {
		return noRoom(), nil
	}
	missing := s.held - b.room + room - maxBodies
	if missing <= 0 {
		s.held += room - b.room
		b.room = room
		return nil, nil
	}
	var slowest *Sent
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
		return noRoom(), nil
	default:
		slowest.refused = true
		slowest.control.SetReadDeadline(time.Now()) // an error means that it has gone
	}
	return nil, s.freed
}
