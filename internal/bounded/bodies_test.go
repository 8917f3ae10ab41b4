package bounded

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Each refused body is reported with the reason.
func TestRefusedBodiesAreReported(t *testing.T) {
	const most = 100 << 10
	for _, c := range []struct {
		reason string
		err    error
		limits BodyLimits
		length int
		sent   int
	}{
		{ReasonBodyTooLarge, ErrTooLong, BodyLimits{Held: 1 << 20, Time: limit, Start: limit, Rate: 1}, most, 0},
		{ReasonBodyTimeout, ErrTooSlow, BodyLimits{Held: 1 << 20, Time: 20 * time.Millisecond, Start: limit, Rate: 1}, most - 1, 1},
		{ReasonBodyMemory, ErrNoRoom, BodyLimits{Held: most, Time: limit, Start: limit, Rate: 1}, most - 1, 20 << 10},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var count tally
			c.limits.Limited = func(_ *http.Request, reason string) { count.limited(reason) }
			bodies := NewBodies(c.limits)
			refused := make(chan error, 2)
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b, err := bodies.Receive(r.Context(), w, r, most)
				if err == nil {
					b.Release()
				} else {
					refused <- err
				}
			}))
			first := dial(t, addr)
			fmt.Fprintf(first, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", c.length, strings.Repeat(" ", c.sent))
			if c.reason == ReasonBodyMemory { // the first body must keep its memory
				until(t, "the first body to have reserved memory", func() bool {
					bodies.mu.Lock()
					defer bodies.mu.Unlock()
					return bodies.held >= c.length
				})
				second := dial(t, addr)
				fmt.Fprintf(second, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", c.length, strings.Repeat(" ", c.length))
				second.want(http.StatusOK, "")
			}
			if err := <-refused; !errors.Is(err, c.err) || count.of(c.reason) != 1 || len(count.n) != 1 {
				t.Errorf("error %v, reported %v", err, count.n)
			}
		})
	}
}

// A small body is not refused because of large ones, even if it arrives slowly.
func TestSmallBodiesAreKept(t *testing.T) {
	s := NewBodies(BodyLimits{Held: 100})
	body := func(room, n int) *Body {
		b := &Body{of: s, control: http.NewResponseController(httptest.NewRecorder()), room: room, n: n, began: time.Now().Add(-time.Second)}
		s.coming[b] = true
		s.held += room
		return b
	}
	small, slow, fast := body(5, 0), body(40, 20), body(50, 50)
	if _, err := fast.take(80); err != nil || !slow.refused || small.refused {
		t.Errorf("the faster large body: %v; the slower large body was refused: %t; the small body was refused: %t", err, slow.refused, small.refused)
	}
	slow.Release()
	delete(s.coming, slow)
	if _, err := fast.take(100); !errors.Is(err, ErrNoRoom) || small.refused {
		t.Errorf("the large body: %v; the small body was refused: %t", err, small.refused)
	}
}
