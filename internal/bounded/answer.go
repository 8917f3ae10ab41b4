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

// chunkBytes is the size of the chunks in which an answer is stored and read.
const chunkBytes = 64 << 10

// An answer is a response that one handler writes and several clients read. The handler writes
// it with a [recorder].
type answer struct {
	owner   *Answers
	made    chan struct{} // closed when the answer is complete
	header  http.Header
	status  int
	refused string // error text for the client, if no answer could be made; else ""
	reason  string // the limit that refused the answer; else ""

	// Guarded by owner.mu.
	chunks  [][]byte
	size    int
	readers map[*reader]bool
	cut     bool // the memory of the answer was freed because its readers were too slow
}

// A reader is a client that reads an answer.
type reader struct {
	w       http.ResponseWriter
	control *http.ResponseController
	reads   bool // the client has begun to read
}

// A recorder writes an answer.
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

// Write implements [http.ResponseWriter]. Bytes beyond the limit are dropped.
func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.owner.mu.Lock()
	defer r.owner.mu.Unlock()
	if most := r.owner.Answer; r.size+len(b) > most {
		r.refused = fmt.Sprintf("the response is larger than the %d MiB that this address serves; use the API at the address of --api", most>>20)
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
			var chunk []byte // the first chunk grows
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

// makeRoom disconnects the readers of the oldest answers until the memory is within the
// limit. The caller holds mu.
func (a *Answers) makeRoom() {
	for len(a.made) > 0 && a.held > a.Held {
		a.made[0].end(true)
		a.made = a.made[1:]
	}
}

// end frees the memory of an answer. The caller holds owner.mu.
func (an *answer) end(cut bool) {
	an.cut = cut
	for rd := range an.readers {
		if rd.reads {
			rd.control.SetWriteDeadline(time.Now()) // an error means that the client has disconnected
		}
		if cut { // disconnect also readers that have not begun to read
			an.owner.Limited(ReasonResponseMemory)
		}
	}
	an.owner.held -= an.size
	an.chunks, an.size = nil, 0
}

// leave records that a client no longer reads an answer.
func (a *Answers) leave(an *answer, rd *reader) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(an.readers, rd)
	if len(an.readers) == 0 {
		an.end(an.cut)
		a.made = slices.DeleteFunc(a.made, func(other *answer) bool { return other == an })
	}
}

// write sends a complete answer to one client.
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
	if an.status != http.StatusNotModified {
		rd.w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	rd.w.WriteHeader(max(an.status, http.StatusOK))
	for i := 0; !head; i++ {
		chunk, more := a.chunk(an, rd, i, limit)
		if !more {
			break
		}
		if _, err := rd.w.Write(chunk); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				a.Limited(ReasonReadTimeout)
			}
			panic(http.ErrAbortHandler)
		}
	}
	rd.control.Flush() // flush before the deadline passes; an error means that the client has disconnected
}

// chunk returns chunk i of an answer and extends the client's deadline, but not beyond
// limit. It returns false after the last chunk.
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
	rd.control.SetWriteDeadline(deadline) // ignore the error: only writers in tests have no deadlines
	return an.chunks[i], true
}
