package bounded

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Limits bound what answers cost.
type Limits struct {
	Answer int // bytes of one answer
	Held   int // bytes of all that are being made or read
	// Patience is how long a request waits for its turn, how long an answer may be
	// in the making, and how long a client may take to read a part of it.
	Patience time.Duration
	// Rate is how many bytes a second a client has to read on the whole.
	Rate int
	// Refuse answers a request with an error.
	Refuse func(w http.ResponseWriter, status int, detail string)
	// Limited is called for each client that is refused or disconnected.
	Limited func(reason string)
}

// Answers hold the answers of several handlers within common limits. Create them
// with [New].
type Answers struct {
	Limits

	mu   sync.Mutex
	made []*answer // that are being read, oldest first
	held int       // bytes of answers
}

// New returns Answers within limits.
func New(l Limits) *Answers { return &Answers{Limits: l} }

// One returns a handler that has h make one answer at a time and then rest for
// share times as long as that took. An answer is kept in memory until all
// clients have read it that had sent the same request before it was begun. A
// client that reads too slowly is disconnected, and the clients that read the oldest
// answer are when there is no room for a new one.
func (a *Answers) One(h http.Handler, share int) http.Handler {
	return &line{answers: a, handler: h, share: share, turn: make(chan struct{}, 1), next: make(map[key]*answer)}
}

// A line of requests wait for their turn.
type line struct {
	answers *Answers
	handler http.Handler
	share   int
	turn    chan struct{} // capacity 1: an answer is in the making, or the line rests

	next map[key]*answer // that are not begun; guarded by answers.mu
}

// A key is what an answer depends on.
type key struct{ method, uri, accept, encoding string }

// ServeHTTP implements [http.Handler].
func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := key{r.Method, r.RequestURI, r.Header.Get("Accept"), r.Header.Get("Accept-Encoding")}
	rd := &reader{w: w, control: http.NewResponseController(w)}
	an, first := l.join(k, rd)
	defer l.answers.leave(an, rd)
	if first {
		l.make(k, an, r)
	}
	select {
	case <-an.made:
		l.answers.write(an, rd, r.Method == http.MethodHead)
	case <-r.Context().Done():
	}
}

// join returns the answer that is not begun yet, and whether the caller has to
// make it.
func (l *line) join(k key, rd *reader) (an *answer, first bool) {
	l.answers.mu.Lock()
	defer l.answers.mu.Unlock()
	an, ok := l.next[k]
	if !ok {
		an = &answer{owner: l.answers, header: make(http.Header), made: make(chan struct{}), readers: make(map[*reader]bool)}
		l.next[k] = an
	}
	an.readers[rd] = true
	return an, !ok
}

func (l *line) begin(k key) {
	l.answers.mu.Lock()
	defer l.answers.mu.Unlock()
	delete(l.next, k)
}

// make makes an answer. It goes on if the client of r has gone: others may wait.
func (l *line) make(k key, an *answer, r *http.Request) {
	an.refused = "the answer could not be made; try again later"
	defer close(an.made)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), l.answers.Patience)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		l.begin(k)
		an.refused, an.reason = "too many requests wait; try again later", ReasonBusy
		return
	}
	l.begin(k)
	ctx, cancel = context.WithTimeout(context.WithoutCancel(r.Context()), l.answers.Patience)
	defer cancel()
	began := time.Now()
	defer func() {
		rest := min(time.Duration(l.share)*time.Since(began), l.answers.Patience/4)
		time.AfterFunc(rest, func() { <-l.turn })
	}()
	w := &recorder{answer: an}
	l.handler.ServeHTTP(w, r.WithContext(ctx))
	if an.refused = w.refused; an.refused != "" {
		an.reason = ReasonTooLarge
	}
}

// AtMost returns a handler that has h answer at most n requests at a time and
// refuses the others.
func (a *Answers) AtMost(n int, h http.Handler) http.Handler {
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h.ServeHTTP(w, r)
		default:
			a.refuse(w, ReasonClients, "too many clients are connected; try again later")
		}
	})
}

func (a *Answers) refuse(w http.ResponseWriter, reason, detail string) {
	if reason != "" {
		a.Limited(reason)
	}
	w.Header().Set("Retry-After", "5")
	a.Refuse(w, http.StatusServiceUnavailable, detail)
}
