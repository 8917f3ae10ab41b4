package bounded

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"
)

// chunkBytes is how large the parts are in which an answer is kept and read.
const chunkBytes = 64 << 10

// An answer is made by one handler, which writes to it as an
// [http.ResponseWriter], and read by several clients.
type answer struct {
	owner   *Answers
	made    chan struct{} // closed when it is complete
	header  http.Header
	status  int
	refused string // why there is no answer; "" if there is one
	reason  string // for which it was refused

	// These are guarded by owner.mu.
	chunks  [][]byte
	size    int
	readers map[*reader]bool
	cut     bool // its readers have been too slow
}

// A reader is a client that reads an answer.
type reader struct {
	w       http.ResponseWriter
	control *http.ResponseController
	reads   bool // it has begun
}

// A recorder has an answer made.
type recorder struct {
	*answer
	refused string
}

// Header implements [http.ResponseWriter].
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
}

// Write implements [http.ResponseWriter]. What does not fit is dropped.
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	if most := r.owner.Answer; r.size+len(b) > most {
		r.refused = fmt.Sprintf("the answer has more than %d MiB, which this address does not serve; use the API at the address that --api names", most>>20)
	}
	if r.refused == "" {
		r.add(b)
		r.owner.makeRoom()
	}
	return len(b), nil
}

// add appends b. The caller holds owner.mu.
func (an *answer) add(b []byte) {
	an.size += len(b)
	an.owner.held += len(b)
	for len(b) > 0 {
		n := len(an.chunks)
		if n == 0 || len(an.chunks[n-1]) == chunkBytes {
			var chunk []byte // the first one grows
			if n > 0 {
				chunk = make([]byte, 0, chunkBytes)
			}
			an.chunks = append(an.chunks, chunk)
			n++
		}
		last := &an.chunks[n-1]
		part := b[:min(len(b), chunkBytes-len(*last))]
		*last, b = append(*last, part...), b[len(part):]
	}
}

// makeRoom disconnects the clients that read the oldest answers. The caller holds
// mu.
func (a *Answers) makeRoom() {
	for len(a.made) > 0 && a.held > a.Held {
		a.made[0].end(true)
		a.made = a.made[1:]
	}
}

// end gives back the memory of an answer. The caller holds owner.mu.
func (an *answer) end(cut bool) {
	an.cut = cut
	for rd := range an.readers {
		if rd.reads {
			rd.control.SetWriteDeadline(time.Now()) // an error means that it has gone
		}
		if cut { // also one that is about to begin
			an.owner.Limited(ReasonNoRoom)
		}
	}
	an.owner.held -= an.size
	an.chunks, an.size = nil, 0
}

// leave takes note that a client does not read an answer any more.
func (a *Answers) leave(an *answer, rd *reader) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(an.readers, rd)
	if len(an.readers) == 0 {
		an.end(an.cut)
		a.made = slices.DeleteFunc(a.made, func(other *answer) bool { return other == an })
	}
}

// write writes an answer that has been made to one client.
func (a *Answers) write(an *answer, rd *reader, head bool) {
	if an.refused != "" {
		a.refuse(rd.w, an.reason, an.refused)
		return
	}
	a.mu.Lock()
	size := an.size
	if !slices.Contains(a.made, an) && !an.cut {
		a.made = append(a.made, an)
	}
	a.mu.Unlock()
	limit := time.Now().Add(a.Patience + time.Duration(size/max(a.Rate, 1))*time.Second)
	for name, values := range an.header {
		rd.w.Header()[name] = values
	}
	rd.w.Header().Set("Content-Length", strconv.Itoa(size))
	rd.w.WriteHeader(max(an.status, http.StatusOK))
	for i := 0; !head; i++ {
		chunk, more := a.chunk(an, rd, i, limit)
		if !more {
			break
		}
		if _, err := rd.w.Write(chunk); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				a.Limited(ReasonSlow)
			}
			panic(http.ErrAbortHandler)
		}
	}
	rd.control.Flush() // within the time; an error means that the client has gone
}

// chunk returns chunk i of an answer, and gives the client time to read it, but not
// beyond limit. It returns false if there is none.
func (a *Answers) chunk(an *answer, rd *reader, i int, limit time.Time) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if an.cut {
		panic(http.ErrAbortHandler)
	}
	if i == len(an.chunks) {
		return nil, false
	}
	deadline := time.Now().Add(a.Patience)
	if deadline.After(limit) {
		deadline = limit
	}
	rd.reads = true
	rd.control.SetWriteDeadline(deadline) // a writer without deadlines has no slow client
	return an.chunks[i], true
}
