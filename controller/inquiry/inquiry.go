// Package inquiry has the questions that the daemon of one host asks the daemons of others, and
// their answers, as they lie in etcd. A question only reads: each kind of question is a request of
// the API that changes nothing. Package etcd passes them on.
package inquiry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Question is a question to the daemons of other hosts.
type Question struct {
	Kind   string            `json:"kind"`
	Args   map[string]string `json:"args,omitempty"`
	To     []string          `json:"to,omitempty"` // IDs of hosts; all hosts if it is empty
	From   string            `json:"from"`         // ID of the host that asks, which does not answer
	Millis int64             `json:"within_ms"`    // the time in which an answer is of use
}

// Limits in bytes.
const (
	MaxQuestion = 64 << 10  // of a question
	MaxAnswer   = 128 << 10 // of an answer as it lies in etcd, compressed
	maxDecoded  = 32 << 20  // of a decoded answer
	compressed  = 512       // an answer of more bytes is compressed
)

// ParseQuestion parses the value of a question's key.
func ParseQuestion(value []byte) (q Question, err error) {
	if len(value) > MaxQuestion {
		return q, fmt.Errorf("it has %d bytes, and at most %d are allowed", len(value), MaxQuestion)
	}
	if err := json.Unmarshal(value, &q); err != nil {
		return q, err
	}
	if q.Kind == "" || q.From == "" || q.Millis <= 0 {
		return q, errors.New("a question has the keys kind, from and within_ms")
	}
	return q, nil
}

// Within returns the time in which an answer is of use.
func (q *Question) Within() time.Duration {
	return time.Duration(min(q.Millis, int64(5*time.Minute/time.Millisecond))) * time.Millisecond
}

// An Answer is the answer of one host.
type Answer struct {
	Host  string          `json:"-"`
	Came  time.Time       `json:"-"`              // when it came
	Body  json.RawMessage `json:"body,omitempty"` // nil if Error is not ""
	Cut   string          `json:"cut,omitempty"`  // what was left out of Body because it was too large
	Error string          `json:"error,omitempty"`
}

// Ago returns the time since the answer came.
func (a *Answer) Ago() time.Duration { return time.Since(a.Came) }

// A Reply is what a daemon answers.
type Reply struct {
	Body any // for package json
	// Shorten leaves out a part of Body, and returns a description of all that is left out. It
	// returns "" if Body cannot be shorter. It may be nil.
	Shorten func() string
}

// An Answerer answers questions.
type Answerer func(context.Context, Question) (Reply, error)

// Encode returns the value of an answer's key. The reply is shortened if the value has more than
// limit bytes.
func Encode(r Reply, failure error, limit int) []byte {
	var a Answer
	if failure != nil {
		return pack(Answer{Error: failure.Error()})
	}
	for {
		var err error
		if a.Body, err = json.Marshal(r.Body); err != nil {
			return pack(Answer{Error: err.Error()})
		}
		value := pack(a)
		if len(value) <= limit {
			return value
		}
		cut := ""
		if r.Shorten != nil {
			cut = r.Shorten()
		}
		if cut == "" {
			return pack(Answer{Error: fmt.Sprintf("the answer has %d bytes, and at most %d pass through etcd: ask on the host itself", len(value), limit)})
		}
		a.Cut = cut
	}
}

func pack(a Answer) []byte {
	text, err := json.Marshal(a)
	if err != nil || len(text) <= compressed {
		return text
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text) // a Buffer returns no errors
	w.Close()
	return b.Bytes()
}

// Decode parses the value of an answer's key.
func Decode(value []byte) (a Answer, err error) {
	if bytes.HasPrefix(value, []byte{0x1f, 0x8b}) {
		r, err := gzip.NewReader(bytes.NewReader(value))
		if err != nil {
			return a, err
		}
		if value, err = io.ReadAll(io.LimitReader(r, maxDecoded+1)); err != nil {
			return a, err
		}
	}
	if len(value) > maxDecoded {
		return a, fmt.Errorf("it has more than %d bytes", maxDecoded)
	}
	if err := json.Unmarshal(value, &a); err != nil {
		return a, err
	}
	if a.Error == "" && len(a.Body) == 0 {
		return a, errors.New("it is empty")
	}
	return a, nil
}

// ErrNotShared means that the hosts do not share their intent in etcd, so that they cannot be asked.
var ErrNotShared = errors.New("the daemon cannot ask other hosts, because they share no etcd: start the daemons with --etcd, or run the command on each host")

// ErrForbidden means that this daemon may not ask.
var ErrForbidden = errors.New("not permitted")
