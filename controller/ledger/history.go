package ledger

import (
	"errors"
	"sort"
	"sync"
)

// ErrCompacted says that what happened since the given revision is not known any
// more, or that there is no such revision yet: list everything and go on from
// there.
var ErrCompacted = errors.New("what happened since then is not known any more: list everything again, and go on from the revision of the list")

// A history remembers what happened last. Its methods may be called from any
// goroutine.
type history struct {
	most int // events that are kept

	mu    sync.Mutex
	since uint64    // the events after this revision are known
	now   uint64    // the present revision
	steps [][]Event // each of one revision, in their order
	n     int       // events in steps
	more  chan struct{}
}

func newHistory(most int, revision uint64) *history {
	return &history{most: most, since: revision, now: revision, more: make(chan struct{})}
}

// add appends what happened up to revision now.
func (h *history) add(events []Event, now uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
	for len(events) > 0 {
		revision := events[0].Revision
		end := sort.Search(len(events), func(i int) bool { return events[i].Revision > revision })
		h.steps, h.n = append(h.steps, events[:end:end]), h.n+end
		events = events[end:]
	}
	for h.n > h.most {
		h.since, h.n = h.steps[0][0].Revision, h.n-len(h.steps[0])
		h.steps[0], h.steps = nil, h.steps[1:]
	}
	close(h.more)
	h.more = make(chan struct{})
}

// after returns the events of the first revision after since that has some, and a
// channel that is closed when there are more. All callers share the events, so
// that a watcher costs no copy of them. The error is ErrCompacted.
func (h *history) after(since uint64) (events []Event, more <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if since < h.since || since > h.now {
		return nil, nil, ErrCompacted
	}
	first := sort.Search(len(h.steps), func(i int) bool { return h.steps[i][0].Revision > since })
	if first < len(h.steps) {
		events = h.steps[first]
	}
	return events, h.more, nil
}
