package page

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// Two examinations begin at least examineEvery apart, and at least examineShare times the
	// duration of the first.
	examineEvery = time.Minute
	examineShare = 20
	// examineWait is the time for which a request waits for an examination.
	examineWait = 10 * time.Second
	// examineLimit is the time limit of an examination.
	examineLimit = time.Minute
)

// Examination returns a handler that answers all requests with a shared examination, made by
// handler api. One examination runs at a time. The next one starts when the latest is at least a
// minute old, and at least 20 times as old as its duration. So many viewers cost no more than one
// viewer. The header Age of an answer has the age of the examination in seconds.
func Examination(api http.Handler) http.Handler { return &examination{api: api} }

type examination struct {
	api http.Handler

	mu     sync.Mutex
	now    chan struct{} // closed when the running examination ends; nil if no examination runs
	latest *examined     // nil before the first
}

// An examined is the answer of a finished examination.
type examined struct {
	status int
	header http.Header
	body   bytes.Buffer
	ended  time.Time
	pause  time.Duration // minimum time until the next examination
}

// ServeHTTP implements [http.Handler].
func (x *examination) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	switch {
	case x.now == nil && (x.latest == nil || time.Since(x.latest.ended) >= x.latest.pause):
		x.now = make(chan struct{})
		x.mu.Unlock()
		x.make(r)
	case x.now != nil:
		now := x.now
		x.mu.Unlock()
		timer := time.NewTimer(examineWait)
		defer timer.Stop()
		select {
		case <-now:
		case <-timer.C:
			w.Header().Set("Retry-After", "10")
			refuse(w, http.StatusServiceUnavailable, "the examination is not finished; ask again later")
			return
		case <-r.Context().Done():
			return
		}
	default:
		x.mu.Unlock()
	}
	x.mu.Lock()
	e := x.latest
	x.mu.Unlock()
	if e == nil {
		refuse(w, http.StatusServiceUnavailable, "the examination failed; ask again later")
		return
	}
	for name, values := range e.header {
		w.Header()[name] = values
	}
	w.Header().Set("Age", strconv.Itoa(int(time.Since(e.ended).Seconds())))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(e.status)
	w.Write(e.body.Bytes()) // an error means that the client has disconnected
}

// make makes an examination. It continues after the client of r has disconnected, because other
// clients may wait for it. It does not pass on the client's headers and body, because all clients
// get the answer.
func (x *examination) make(r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), examineLimit)
	defer cancel()
	q := r.Clone(ctx)
	q.Method, q.URL.RawQuery, q.RequestURI = http.MethodGet, "", "/v1/examination"
	q.Header = http.Header{"Accept": {"application/json"}}
	q.Body = http.NoBody
	began := time.Now()
	e := &examined{status: http.StatusOK, header: make(http.Header)}
	done := false
	defer func() { // also if it panics
		x.mu.Lock()
		defer x.mu.Unlock()
		close(x.now)
		x.now = nil
		if done {
			e.ended = time.Now()
			e.pause = max(examineEvery, examineShare*e.ended.Sub(began))
			x.latest = e
		}
	}()
	x.api.ServeHTTP(&examinedWriter{e, false}, q)
	done = true
}

// An examinedWriter stores an answer.
type examinedWriter struct {
	*examined
	begun bool
}

func (w *examinedWriter) Header() http.Header { return w.header }

func (w *examinedWriter) WriteHeader(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
}

func (w *examinedWriter) Write(b []byte) (int, error) {
	w.begun = true
	return w.body.Write(b)
}
