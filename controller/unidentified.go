package controller

import (
	"context"
	"slices"
	"sync"
)

// defaultMaxUnidentified is how many connections may be open that have not said whose they are. A
// switch needs a few milliseconds for that; each that does not costs some 100 kB.
const defaultMaxUnidentified = 512

// unidentified is the set of connections of peers that are not identified. When there are too many, the
// oldest has to go, and until it has gone nothing is accepted: they share one budget of memory.
type unidentified struct {
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

func newUnidentified(most int) unidentified {
	return unidentified{most: most, slots: make(chan struct{}, most+most/8+1)}
}

// enter makes a connection, which stop ends, a member as soon as there is room.
func (w *unidentified) enter(ctx context.Context, stop func(error)) (*member, error) {
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
		oldest.stop(errTooMany)
	}
	return m, nil
}

// endBy has stop end the connection from now on.
func (w *unidentified) endBy(m *member, stop func(error)) {
	if m == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.stop = stop; m.evicted {
		stop(errTooMany)
	}
}

// leave notes that a connection is identified, or has ended.
func (w *unidentified) leave(m *member) {
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
