package controller

import (
	"context"
	"slices"
	"sync"
)

// defaultMaxUnidentified is the maximum number of open connections with unidentified peers. A
// switch is identified within a few milliseconds. Each open connection takes some 100 kB.
const defaultMaxUnidentified = 512

// unidentified is the set of connections with peers that are not identified yet. They share
// one memory budget. If there are too many, the oldest is closed. Until it has ended, no other
// connection is accepted.
type unidentified struct {
	most  int
	slots chan struct{} // capacity: most, plus a few for connections that are ending

	mu      sync.Mutex
	members []*member // oldest first
}

// A member is a connection in the unidentified set.
type member struct {
	stop    func(error)
	evicted bool
	left    bool
}

func newUnidentified(most int) unidentified {
	return unidentified{most: most, slots: make(chan struct{}, most+most/8+1)}
}

// enter adds a connection as soon as there is room. stop ends it.
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

// endBy replaces the function that ends the connection.
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

// leave removes a connection that is identified or has ended.
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
