package etcd

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// firstRest is the time between the end of all watches and the next attempt, at first.
const firstRest = 100 * time.Millisecond

// jitter returns a random time between half of d and d, so that hosts do not act at the same time.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// A watch is the watch of one key or directory.
type watch struct {
	key     string // below the prefix
	since   uint64 // events up to this revision are known already
	through uint64 // all events of revisions up to this one have arrived
	stop    context.CancelFunc

	joins  bool // the keys are not in the view yet
	keys   []*mvccpb.KeyValue
	home   string            // the value of a key with the network of a port
	events []*clientv3.Event // since keys were read
}

// begin starts the watches of all keys in the view.
func (f *follower) begin(ctx context.Context) {
	for _, key := range []string{metaKey, hostDir, networkDir, routerDir} {
		f.start(ctx, key, f.view.revision)
	}
	for dir := range f.view.dirs {
		f.start(ctx, dir, f.view.revision)
	}
	for id := range f.view.homes {
		f.start(ctx, homeOf(id), f.view.revision)
	}
}

// start starts a watch of the changes after a revision. etcd reports progress only when its revision
// has reached the first revision of each watch. So the watch begins with the revision itself, because
// the next one may not exist for a long time.
func (f *follower) start(ctx context.Context, key string, since uint64) *watch {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{key: key, since: since, through: since, stop: stop}
	f.watches[key] = w
	opts := []clientv3.OpOption{clientv3.WithRev(int64(since)), clientv3.WithProgressNotify()}
	if strings.HasSuffix(key, "/") {
		opts = append(opts, clientv3.WithPrefix())
	}
	f.group.Go(func() {
		deliver := func(r response) bool {
			select {
			case f.incoming <- r:
				return true
			case <-ctx.Done():
				return false
			}
		}
		for r := range f.watcher.Watch(ctx, f.cfg.Prefix+key, opts...) {
			if !deliver(response{WatchResponse: r, watch: w}) {
				return
			}
		}
		deliver(response{watch: w, last: true})
	})
	return w
}

// end ends the watch of a key.
func (f *follower) end(key string) {
	if w := f.watches[key]; w != nil {
		w.stop()
		delete(f.watches, key)
		f.joining = slices.DeleteFunc(f.joining, func(j *watch) bool { return j == w })
	}
}

// A reading reads more keys at the revision of the view.
type reading struct {
	at    uint64
	ports []string // machines whose networks are read
	dirs  []string
	homes map[string]string
	keys  map[string][]*mvccpb.KeyValue // by directory
	err   error
}

// readMore starts a reading.
func (f *follower) readMore(ctx context.Context, ports, dirs []string) {
	r := &reading{at: f.view.revision, ports: ports, dirs: dirs, keys: make(map[string][]*mvccpb.KeyValue)}
	f.reading = r
	f.group.Go(func() {
		r.homes, r.err = f.homes(ctx, ports, r.at)
		for _, dir := range dirs {
			if r.err != nil {
				break
			}
			r.err = f.list(ctx, dir, r.at, func(kv *mvccpb.KeyValue) { r.keys[dir] = append(r.keys[dir], kv) })
		}
		f.read <- r
	})
}

// haveRead starts the watches of the keys that a reading has read.
func (f *follower) haveRead(ctx context.Context, r *reading) error {
	f.reading, f.due = nil, r.err == nil
	switch {
	case isCompacted(r.err):
		return ledger.ErrCompacted
	case r.err != nil:
		return nil // steer begins another reading at the next tick
	}
	join := func(key string) *watch {
		w := f.start(ctx, key, r.at)
		w.joins = true
		f.joining = append(f.joining, w)
		return w
	}
	for _, id := range r.ports {
		join(homeOf(id)).home = r.homes[id]
	}
	for _, dir := range r.dirs {
		join(dir).keys = r.keys[dir]
	}
	return nil
}

// join adds to u and to the view the keys whose watches have passed the view's revision. It returns
// the directories that it has added.
func (f *follower) join(u *ledger.Update) (dirs []string) {
	for _, w := range f.joining {
		if w.through < f.view.revision {
			return nil // they join together
		}
	}
	for _, w := range f.joining {
		f.joinWatch(w, u)
		if strings.HasPrefix(w.key, portDir) {
			dirs = append(dirs, w.key)
		}
		f.pending, f.due = true, true
	}
	f.joining = nil
	return dirs
}

func (f *follower) joinWatch(w *watch, u *ledger.Update) {
	now := make(map[string]*mvccpb.KeyValue, len(w.keys))
	for _, kv := range w.keys {
		now[string(kv.Key)] = kv
	}
	for _, e := range w.events {
		switch {
		case uint64(e.Kv.ModRevision) > f.view.revision:
			f.waiting = append(f.waiting, e)
		case e.Type == clientv3.EventTypePut:
			now[string(e.Kv.Key)], w.home = e.Kv, string(e.Kv.Value)
		default:
			delete(now, string(e.Kv.Key))
			w.home = ""
		}
	}
	if strings.HasPrefix(w.key, homeDir) {
		for id := range f.machinesNow() {
			if homeOf(id) == w.key {
				f.view.homes[id] = w.home
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if k := f.object(name); k.kind == routing.KindPort && f.view.ports[k.id] != k.net { // else it is also in another directory
			f.put(f.view, now[name], u)
			u.Part = true
		}
	}
	w.joins, w.keys, w.events = false, nil, nil
}
