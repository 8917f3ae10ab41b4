package etcd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

const (
	// askEvery is the time between requests for a sign of life of etcd.
	askEvery = 2 * time.Second
	// askAgain is the time after which a request for progress is repeated while changes wait.
	askAgain = 50 * time.Millisecond
	// silence is the time without a sign of life after which etcd counts as away.
	silence = 6 * time.Second
	// restPause is the longest time between the end of all watches and the next attempt.
	restPause = 3 * time.Second
)

// Follow implements [ledger.Source].
//
// Each directory has a watch of its own. A transaction may change several directories, so a change
// waits until all watches have passed its revision. All watches are on one stream of etcd, which
// reports that on request.
func (s *Store) Follow(ctx context.Context, since uint64, _ func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	s.mu.Lock()
	v := s.view
	s.mu.Unlock()
	if v == nil || since == 0 {
		return s.reach(ctx)
	}
	if v.revision != since {
		return ledger.ErrCompacted // another load came in between
	}
	f := follower{Store: s, view: v, report: report, lapse: make(map[string]time.Time)}
	writing, stop := context.WithCancel(ctx)
	defer f.writing.Wait()
	defer stop()
	f.writing.Go(func() { s.writeSpan(writing) })
	for rest := firstRest; ; rest = min(2*rest, restPause) {
		began := time.Now()
		if err := f.watch(ctx); err != nil {
			return err
		}
		if time.Since(began) > silence {
			rest = firstRest
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(jitter(rest)):
		}
	}
}

// A follower reports the changes after the view's revision.
type follower struct {
	*Store
	view   *view
	report func(ledger.Update) error

	away    bool                 // it has been reported that etcd is away
	pending bool                 // the view has changed since the last report
	due     bool                 // steer must be called
	wanted  *routing.Span        // the span of the intent, as last computed; nil if it is not known
	lapse   map[string]time.Time // when parts of the reported span that are no longer wanted leave it

	// For the time of one call of watch:
	watches  map[string]*watch // by directory or key below the prefix
	incoming chan response     // unbuffered: etcd's client has buffers
	asks     chan struct{}     // capacity 1; full if etcd is to be asked for progress
	asked    time.Time         // zero if no request for progress is open
	silent   int               // ticks since etcd was heard. Time in which the follower itself was busy does not count
	waiting  []*clientv3.Event // changes that some watches may not have passed yet
	read     chan *reading     // capacity 1
	reading  *reading          // the reading of more keys that runs, or nil
	joining  []*watch          // watches of keys that have been read and are not in the view yet
	group    sync.WaitGroup

	writing sync.WaitGroup // of the span
}

// A response is what etcd sends for a watch; last means that the watch has ended.
type response struct {
	clientv3.WatchResponse
	watch *watch
	last  bool
}

// watch reports changes until a watch ends. It returns nil if all should begin again.
func (f *follower) watch(parent context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(parent))
	defer f.group.Wait()
	defer cancel()
	f.watches, f.incoming, f.asks, f.read = make(map[string]*watch), make(chan response), make(chan struct{}, 1), make(chan *reading, 1)
	f.waiting, f.reading, f.joining, f.silent, f.asked = nil, nil, nil, 0, time.Time{}
	f.group.Go(func() { f.askForProgress(ctx) })
	f.begin(ctx)
	f.due = true
	every := min(askEvery, f.cfg.Linger, f.cfg.HoldLinger)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var again <-chan time.Time // when to ask again
	lastAsk := time.Now()
	for {
		if err := f.advance(); err != nil {
			return err
		}
		for f.due {
			f.due = false
			if err := f.steer(ctx); err != nil {
				return err
			}
		}
		again = nil
		if len(f.waiting)+len(f.joining) > 0 {
			if time.Since(f.asked) >= askAgain {
				f.ask()
			}
			again = time.After(askAgain)
		}
		select {
		case <-parent.Done():
			return context.Cause(parent)
		case <-again:
		case <-f.wrote:
			f.ask()
		case <-f.wake:
			f.due = true
		case <-tick.C:
			f.due = true
			if time.Since(lastAsk) >= askEvery {
				lastAsk = time.Now()
				f.ask()
			}
			if f.silent++; time.Duration(f.silent)*every <= silence {
				continue
			}
			if !f.away {
				if err := f.gone(fmt.Errorf("%s does not answer", f.Name())); err != nil {
					return err
				}
			}
			// After the connection was lost, etcd's client goes on with watches that begin with the next
			// revision. etcd reports no progress to these until the next write. Begin new ones.
			return nil
		case r := <-f.read:
			if err := f.haveRead(ctx, r); err != nil {
				return err
			}
		case r := <-f.incoming:
			switch over, err := f.received(r); {
			case err != nil:
				return err
			case over:
				return nil
			}
		}
	}
}

// gone reports that etcd is away.
func (f *follower) gone(err error) error {
	f.away = true
	return f.report(ledger.Update{Err: err})
}

// ask asks etcd for a response to all watches that have passed the current revision.
func (f *follower) ask() {
	f.asked = time.Now()
	signal(f.asks)
}

func (f *follower) askForProgress(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.asks:
		}
		asking, cancel := context.WithTimeout(ctx, askEvery/2)
		f.watcher.RequestProgress(asking) // an error means that the connection is lost
		cancel()
	}
}

// received handles a response. If over is true, all watches must begin again.
func (f *follower) received(r response) (over bool, err error) {
	w := r.watch
	switch {
	case f.watches[w.key] != w: // it was stopped
		return false, nil
	case r.last:
		return true, nil
	case r.CompactRevision != 0:
		return false, ledger.ErrCompacted
	case r.Err() != nil:
		return true, f.gone(fmt.Errorf("follow %s: %w", f.Name(), r.Err()))
	}
	f.silent = 0
	f.pending = f.pending || f.away
	if r.IsProgressNotify() {
		f.asked = time.Time{}
		w.through = max(w.through, uint64(r.Header.Revision))
		return false, nil
	}
	r.Events = slices.DeleteFunc(r.Events, func(e *clientv3.Event) bool { return uint64(e.Kv.ModRevision) <= w.since })
	if len(r.Events) == 0 {
		return false, nil
	}
	f.events.Add(int64(len(r.Events)))
	w.through = max(w.through, uint64(r.Events[len(r.Events)-1].Kv.ModRevision))
	if w.joins {
		w.events = append(w.events, r.Events...)
	} else {
		f.waiting = append(f.waiting, r.Events...)
	}
	return false, nil
}

// advance applies and reports the changes that all watches have passed.
func (f *follower) advance() error {
	low := ^uint64(0)
	for _, w := range f.watches {
		if !w.joins {
			low = min(low, w.through)
		}
	}
	u := ledger.Update{}
	if low > f.view.revision {
		slices.SortStableFunc(f.waiting, func(a, b *clientv3.Event) int { return cmp.Compare(a.Kv.ModRevision, b.Kv.ModRevision) })
		n := 0
		for n < len(f.waiting) && uint64(f.waiting[n].Kv.ModRevision) <= low {
			n++
		}
		if err := f.apply(f.waiting[:n], &u); err != nil {
			if err := f.report(ledger.Update{Err: err}); err != nil {
				return err
			}
			return ledger.ErrCompacted // the store is loaded again, and then says why it cannot be
		}
		f.waiting = slices.Delete(f.waiting, 0, n)
		f.view.revision, f.pending = low, true
	}
	joined := f.join(&u)
	if !f.pending {
		return nil
	}
	if err := f.tell(u); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, dir := range joined {
		f.view.dirs[dir] = true
	}
	return nil
}

// tell reports the view after a change.
func (f *follower) tell(u ledger.Update) error {
	v := f.view
	u.Revision, u.Complete, u.Loaded, u.Span, u.Loading = v.revision, v.complete, time.Now(), v.span, f.loading(v)
	if u.Loading {
		u.Span = new(routing.Span)
	}
	f.away, f.pending = false, false
	return f.report(u)
}

// apply adds events, which are all events of their revisions, to u and to the view.
func (f *follower) apply(events []*clientv3.Event, u *ledger.Update) error {
	last := make(map[ledger.Object]*clientv3.Event) // the state of an object after the events
	var order []ledger.Object
	at := make(map[ledger.Object]key)
	for _, e := range events {
		o := f.object(string(e.Kv.Key))
		switch {
		case o.is(metaKey) && e.Type == clientv3.EventTypePut:
			m, err := parseMeta(e.Kv.Value)
			if err != nil {
				return err
			}
			f.view.complete = m.Complete
		case o.is(metaKey):
			f.view.complete = false
		case strings.HasPrefix(o.text, homeDir):
			f.rehome(o.text, e)
		case o.kind != 0:
			id := o.object()
			before, seen := last[id]
			sameRevision := seen && before.Kv.ModRevision == e.Kv.ModRevision
			switch {
			case e.Type == clientv3.EventTypeDelete && sameRevision && before.Type == clientv3.EventTypePut:
				continue // a port that has moved to another network
			case e.Type == clientv3.EventTypeDelete && o.kind == routing.KindPort && f.portAt(id, last, at) != o.net:
				continue // not the object's current key
			case !seen:
				order = append(order, id)
			}
			last[id], at[id] = e, o
		}
	}
	for _, id := range order {
		e := last[id]
		if e.Type == clientv3.EventTypeDelete {
			u.Change.Delete.Add(id.Kind, id.ID)
			if id.Kind == routing.KindPort {
				delete(f.view.ports, id.ID)
			}
			continue
		}
		f.put(f.view, e.Kv, u)
	}
	return nil
}

// portAt returns the network of a port after the events in last.
func (f *follower) portAt(id ledger.Object, last map[ledger.Object]*clientv3.Event, at map[ledger.Object]key) string {
	if e := last[id]; e != nil && e.Type == clientv3.EventTypePut {
		return at[id].net
	} else if e != nil {
		return ""
	}
	return f.view.ports[id.ID]
}

// rehome records the network of a machine's port.
func (f *follower) rehome(text string, e *clientv3.Event) {
	for id := range f.view.homes {
		if homeOf(id) == text {
			f.view.homes[id] = ""
			if e.Type == clientv3.EventTypePut {
				f.view.homes[id] = string(e.Kv.Value)
			}
			f.due = true
		}
	}
}

// reach waits until etcd answers, and returns [ledger.ErrCompacted], because nothing was loaded.
func (s *Store) reach(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(jitter(time.Second)):
		}
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := s.client.Get(get, s.cfg.Prefix+metaKey)
		cancel()
		if err == nil {
			return ledger.ErrCompacted
		}
	}
}
