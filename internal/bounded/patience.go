package bounded

import (
	"errors"
	"net/http"
	"os"
	"time"
)

// Patient returns a handler that disconnects clients that take longer than patience to read a part
// of h's response. The server needs a WriteTimeout, and h must start its response within that time.
// limited is called for each disconnected client.
func Patient(h http.Handler, patience time.Duration, limited func(reason string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&patient{ResponseWriter: w, control: http.NewResponseController(w), patience: patience, limited: limited}, r)
	})
}

type patient struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	limited  func(reason string)
}

// Write implements [http.ResponseWriter].
func (p *patient) Write(b []byte) (n int, err error) {
	for {
		if err := p.control.SetWriteDeadline(time.Now().Add(p.patience)); err != nil {
			return n, err
		}
		part := b[n:min(len(b), n+chunkBytes)]
		written, err := p.ResponseWriter.Write(part)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.limited(ReasonReadTimeout)
		}
		if n += written; err != nil || n == len(b) {
			return n, err
		}
	}
}

// Unwrap returns the wrapped ResponseWriter, for [http.ResponseController].
func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
