package ledger

import (
	"errors"
	"sort"
	"sync"
)

// ErrCompacted means that the changes since the given revision are no longer available, or
// that the revision is in the future. The client has to list everything and continue from the
// revision of the list.
var ErrCompacted = errors.New("the changes since that revision are no longer available: list everything again, and watch from the revision of the list")

// A history keeps the latest events. Its methods are safe for concurrent use.
type history struct {
	most int // number of events to keep

	mu    sync.Mutex
	since uint64    // the events after this revision are kept
	now   uint64    // the current revision
	steps [][]Event // one element for each revision, in order
	n     int       // number of events in steps
	more  chan struct{}
}

func newHistory(most int, revision uint64) *history {
	return &history{most: most, since: revision, now: revision, more: make(chan struct{})}
}

// add appends the events up to revision now.
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

// restart forgets all events, so that watchers list everything again at revision now.
func (h *history) restart(now uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since, h.now, h.steps, h.n = now, now, nil, 0
	close(h.more)
	h.more = make(chan struct{})
}

// after returns the events of the first revision after since that has events. It also returns a
// channel that is closed when more events exist. All callers share the events, so a watcher needs
// no copy. The error is ErrCompacted.
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
