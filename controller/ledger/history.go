package ledger

import (
	"errors"
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

	mu     sync.Mutex
	since  uint64  // the events after this revision are known
	now    uint64  // the present revision
	events []Event // by revision; those of one revision are all there or none
	more   chan struct{}
}

func newHistory(most int, revision uint64) *history {
	return &history{most: most, since: revision, now: revision, more: make(chan struct{})}
}

// add appends what happened up to revision now.
func (h *history) add(events []Event, now uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
	h.events = append(h.events, events...)
	if n := len(h.events); n > h.most {
		cut := n - h.most/2 // some at a time, so that copying costs little
		h.since = h.events[cut-1].Revision
		for cut < n && h.events[cut].Revision == h.since {
			cut++
		}
		h.events = append([]Event(nil), h.events[cut:]...)
	}
	close(h.more)
	h.more = make(chan struct{})
}

// after returns up to most events after revision since, but all of the last
// revision among them, and a channel that is closed when there are more. The
// error is ErrCompacted.
func (h *history) after(since uint64, most int) ([]Event, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if since < h.since || since > h.now {
		return nil, nil, ErrCompacted
	}
	lo, hi := 0, len(h.events)
	for lo < hi {
		if mid := (lo + hi) / 2; h.events[mid].Revision <= since {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	end := min(lo+most, len(h.events))
	for end > lo && end < len(h.events) && h.events[end].Revision == h.events[end-1].Revision {
		end++
	}
	return h.events[lo:end:end], h.more, nil
}
