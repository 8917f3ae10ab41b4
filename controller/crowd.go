package controller

import (
	"context"
	"slices"
	"sync"
)

// defaultMaxMute is how many connections may be open that have not said whose they are. A
// switch needs a few milliseconds for that; each that does not costs some 100 kB.
const defaultMaxMute = 512

// A crowd is the connections of peers that are not identified. When there are too many, the
// oldest has to go, and until it has gone nothing is accepted: they share one budget of memory.
type crowd struct {
	most  int
	slots chan struct{} // capacity: most, and some that are ending

	mu      sync.Mutex
	members []*member // oldest first
}

// A member is a connection that is not identified.
type member struct {
	stop    func(error)
	evicted bool
	left    bool
}

func newCrowd(most int) crowd { return crowd{most: most, slots: make(chan struct{}, most+most/8+1)} }

// enter makes a connection, which stop ends, a member as soon as there is room.
func (w *crowd) enter(ctx context.Context, stop func(error)) (*member, error) {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &member{stop: stop}
	w.members = append(w.members, m)
	if len(w.members) > w.most {
		oldest := w.members[0]
		w.members = w.members[1:]
		oldest.evicted = true
		oldest.stop(errCrowd)
	}
	return m, nil
}

// endBy has stop end the connection from now on.
func (w *crowd) endBy(m *member, stop func(error)) {
	if m == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.stop = stop; m.evicted {
		stop(errCrowd)
	}
}

// leave notes that a connection is identified, or has ended.
func (w *crowd) leave(m *member) {
	if m == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.left {
		return
	}
	m.left = true
	if i := slices.Index(w.members, m); i >= 0 {
		w.members = slices.Delete(w.members, i, i+1)
	}
	<-w.slots
}
