package bounded

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits has limits for the cost of answers.
type Limits struct {
	Answer int // maximum size of an answer in bytes
	Held   int // maximum total size of all answers being written or read, in bytes
	// Patience is a time limit. It applies to the wait of a request for its turn, to the writing of
	// an answer, and to the reading of each part by a client.
	Patience time.Duration
	// Rate is the minimum rate at which a client must read, in bytes per second.
	Rate int
	// Refuse sends an error response.
	Refuse func(w http.ResponseWriter, status int, detail string)
	// Limited is called for each client that is refused or disconnected.
	Limited func(reason string)
}

// Answers serves the answers of several handlers within common limits. Create it with [New].
type Answers struct {
	Limits

	mu   sync.Mutex
	made []*answer // answers being read, oldest first
	held int       // total size of answers in bytes
}

// New returns Answers within limits.
func New(l Limits) *Answers { return &Answers{Limits: l} }

// One returns a handler that runs h for one request at a time. After each request it pauses for
// share times the duration of the request. Equal requests that arrive before h begins share one
// answer. The answer is kept in memory until all clients have read it. A client that reads too
// slowly is disconnected. If a new answer does not fit into memory, the readers of the oldest
// answers are disconnected.
func (a *Answers) One(h http.Handler, share int) http.Handler {
	return &line{answers: a, handler: h, share: share, turn: make(chan struct{}, 1), next: make(map[key]*answer)}
}

// A line is a queue of requests to one handler.
type line struct {
	answers *Answers
	handler http.Handler
	share   int
	turn    chan struct{} // capacity 1; full while an answer is being written or the line pauses

	next map[key]*answer // answers that have not begun yet; guarded by answers.mu
}

// A key identifies requests that share an answer.
type key struct{ method, uri, accept, encoding, unless string }

// ServeHTTP implements [http.Handler].
func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := key{r.Method, r.RequestURI, r.Header.Get("Accept"), r.Header.Get("Accept-Encoding"), strings.Join(r.Header.Values("If-None-Match"), ",")}
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

// join adds a reader to the answer for k that has not begun yet. If first is true, the caller must
// make the answer.
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

// make makes an answer. It continues if r's client disconnects, because other clients
// may wait for it.
func (l *line) make(k key, an *answer, r *http.Request) {
	an.refused = "the response could not be created; try again later"
	defer close(an.made)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), l.answers.Patience)
	defer cancel()
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		l.begin(k)
		an.refused, an.reason = "too many requests are waiting; try again later", ReasonQueueTimeout
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
		an.reason = ReasonResponseTooLarge
	}
}

// AtMost returns a handler that runs h for at most n requests at a time. It refuses other
// requests.
func (a *Answers) AtMost(n int, h http.Handler) http.Handler {
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			h.ServeHTTP(w, r)
		default:
			a.refuse(w, ReasonTooManyClients, "too many clients are connected; try again later")
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
