// Package etcd keeps the intent of many hosts in etcd. Each host has a [Store], which is a
// [ledger.Store] with other writers.
//
// The keys, below a prefix such as /ofdvr/1/:
//
//	meta             JSON: the schema version, and whether the intent is complete
//	layout           written by each change of hosts, networks and routers
//	host/<host>      a host, as JSON in the topology language, like the following
//	net/<network>
//	rtr/<router>
//	port/<network>/<port>
//	own/id/<port>               the network of the port
//	own/mac/<network>/<MAC>     the port or interface that has the address
//	own/ip/<network>/<address>
//
// IDs are escaped as in the path of a URL. A transaction depends on the objects that the writer
// has seen: it fails if another writer has changed them in the meantime. The keys below own make
// addresses unique that different writers give to different ports. Changes of hosts, networks and
// routers exclude each other by the key layout.
package etcd

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// DefaultPrefix is the default of [Config.Prefix].
const DefaultPrefix = "/ofdvr/1/"

// ValidPrefix reports whether a text can be the prefix of keys.
func ValidPrefix(text string) bool {
	return len(text) > 1 && strings.HasPrefix(text, "/") && strings.HasSuffix(text, "/")
}

// schema is the version of the keys and values.
const schema = 1

// Config configures a [Store].
type Config struct {
	Endpoints []string // URLs of etcd's servers
	Prefix    string   // "" means DefaultPrefix
	TLS       *tls.Config
}

const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 5 * time.Second
	// keepAlive is the time without an answer after which a connection is probed, and after which
	// it is ended if the probe gets no answer.
	keepAlive = 5 * time.Second
	// page is the number of keys in an answer while the store is loaded.
	page = 5000
)

// A Store is the intent in etcd. Its methods are safe for concurrent use, except that Commit is
// called by one goroutine at a time.
type Store struct {
	cfg     Config
	client  *clientv3.Client // for requests
	watcher *clientv3.Client // for watches, on a connection of its own
}

// meta is the value of the key meta.
type meta struct {
	Schema   int  `json:"schema"`
	Complete bool `json:"complete"`
}

// Open returns a Store. It does not wait for a connection.
func Open(cfg Config) (*Store, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if !ValidPrefix(cfg.Prefix) {
		return nil, fmt.Errorf("etcd prefix %q does not begin and end with a slash, as %s does", cfg.Prefix, DefaultPrefix)
	}
	s := &Store{cfg: cfg}
	for _, to := range []**clientv3.Client{&s.client, &s.watcher} {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: cfg.Endpoints, TLS: cfg.TLS, Logger: zap.NewNop(),
			DialTimeout: dialTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAlive,
			DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second}, MinConnectTimeout: dialTimeout})},
		})
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("configure the client of etcd: %w", err)
		}
		*to = c
	}
	return s, nil
}

// Close closes the connections.
func (s *Store) Close() {
	for _, c := range []*clientv3.Client{s.client, s.watcher} {
		if c != nil {
			c.Close()
		}
	}
}

// Name returns a name for messages.
func (s *Store) Name() string {
	return "etcd at " + strings.Join(s.cfg.Endpoints, ",") + s.cfg.Prefix
}

// Role implements [ledger.Source].
func (s *Store) Role() ledger.Role { return ledger.Shared }

// ReadOnly implements [ledger.Store].
func (s *Store) ReadOnly() error { return nil }

// Load reads all objects at one revision.
func (s *Store) Load(ctx context.Context) (ledger.Contents, error) {
	c := ledger.Contents{Model: new(routing.Model), Loaded: time.Now()}
	if err := s.load(ctx, &c); err != nil {
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		c = ledger.Contents{Model: new(routing.Model), Err: fmt.Errorf("read %s: %w", s.Name(), err)}
	}
	return c, nil
}

func (s *Store) load(ctx context.Context, c *ledger.Contents) error {
	end := clientv3.GetPrefixRangeEnd(s.cfg.Prefix)
	for from := s.cfg.Prefix; ; {
		opts := []clientv3.OpOption{clientv3.WithRange(end), clientv3.WithLimit(page)}
		if c.Revision != 0 {
			opts = append(opts, clientv3.WithRev(int64(c.Revision)))
		}
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := s.client.Get(get, from, opts...)
		cancel()
		if err != nil {
			return err
		}
		if c.Revision == 0 {
			c.Revision = uint64(resp.Header.Revision)
		}
		for _, kv := range resp.Kvs {
			o := s.object(string(kv.Key))
			switch {
			case o.is(metaKey):
				m, err := parseMeta(kv.Value)
				if err != nil {
					return err
				}
				c.Complete = m.Complete
			case o.kind != 0:
				if err := o.parse(kv.Value, c.Model); err != nil {
					c.Unusable = append(c.Unusable, ledger.Unusable{Object: o.object(), Err: fmt.Errorf("key %s: %w", kv.Key, err)})
				}
			}
		}
		if !resp.More {
			return nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func parseMeta(value []byte) (m meta, err error) {
	if err := json.Unmarshal(value, &m); err != nil {
		return m, fmt.Errorf("parse the key meta: %w", err)
	}
	if m.Schema > schema {
		return m, fmt.Errorf("the keys have schema version %d, but this ofdvr supports versions up to %d: run a later ofdvr", m.Schema, schema)
	}
	return m, nil
}

// Follow implements [ledger.Source].
func (s *Store) Follow(ctx context.Context, since uint64, _ func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	if since == 0 {
		return s.reach(ctx)
	}
	complete, err := s.complete(ctx, since)
	if err != nil {
		return err
	}
	f := follower{Store: s, since: since, complete: complete, report: report}
	for {
		if err := f.watch(ctx); err != nil {
			return err
		}
	}
}

const (
	// askEvery is the time between requests for a sign of life of etcd.
	askEvery = 2 * time.Second
	// silence is the time without a sign of life after which etcd counts as away.
	silence = 6 * time.Second
)

// A follower reports the changes after revision since.
type follower struct {
	*Store
	since    uint64
	complete bool
	away     bool // it has been reported that etcd is away
	report   func(ledger.Update) error
}

// watch reports changes until the watch ends. It returns nil if another watch should begin.
func (f *follower) watch(ctx context.Context) error {
	parent := ctx
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watch := f.watcher.Watch(ctx, f.cfg.Prefix, clientv3.WithPrefix(), clientv3.WithRev(int64(f.since)+1), clientv3.WithProgressNotify())
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	heard := time.Now()
	for {
		select {
		case <-parent.Done():
			return context.Cause(parent)
		case <-ask.C:
			asking, cancel := context.WithTimeout(ctx, askEvery/2)
			f.watcher.RequestProgress(asking) // an error means that the connection is lost
			cancel()
			if quiet := time.Since(heard); quiet > silence && !f.away {
				f.away = true
				if err := f.report(ledger.Update{Err: fmt.Errorf("%s does not answer", f.Name())}); err != nil {
					return err
				}
			}
		case resp, ok := <-watch:
			if !ok {
				return nil
			}
			if resp.CompactRevision != 0 {
				return ledger.ErrCompacted
			}
			if err := resp.Err(); err != nil {
				f.away = true
				return f.report(ledger.Update{Err: fmt.Errorf("follow %s: %w", f.Name(), err)})
			}
			heard = time.Now()
			if err := f.changed(resp); err != nil {
				return err
			}
		}
	}
}

// changed reports the changes in resp, and that etcd is no longer away.
func (f *follower) changed(resp clientv3.WatchResponse) error {
	if len(resp.Events) == 0 && !f.away {
		return nil
	}
	u := ledger.Update{Revision: f.since, Loaded: time.Now(), Complete: f.complete}
	if len(resp.Events) > 0 {
		var err error
		if u.Revision, err = f.update(resp.Events, &u); err != nil {
			if err := f.report(ledger.Update{Err: err}); err != nil {
				return err
			}
			return ledger.ErrCompacted // the store is loaded again, and then says why it cannot be
		}
	}
	f.since, f.complete, f.away = u.Revision, u.Complete, false
	return f.report(u)
}

// reach waits until etcd answers, and returns [ledger.ErrCompacted], because nothing was loaded.
func (s *Store) reach(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := s.client.Get(get, s.cfg.Prefix+metaKey)
		cancel()
		if err == nil {
			return ledger.ErrCompacted
		}
	}
}

// complete returns whether the intent was complete at a revision.
func (s *Store) complete(ctx context.Context, at uint64) (bool, error) {
	for {
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := s.client.Get(get, s.cfg.Prefix+metaKey, clientv3.WithRev(int64(at)))
		cancel()
		switch {
		case err == nil && len(resp.Kvs) == 0:
			return false, nil
		case err == nil:
			m, err := parseMeta(resp.Kvs[0].Value)
			return m.Complete && err == nil, nil
		case ctx.Err() != nil:
			return false, context.Cause(ctx)
		case isCompacted(err):
			return false, ledger.ErrCompacted
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// update adds events to u, and returns the revision of the last one. The events are all events of
// their revisions.
func (s *Store) update(events []*clientv3.Event, u *ledger.Update) (uint64, error) {
	last := make(map[ledger.Object]*clientv3.Event) // the state of an object after the events
	var order []ledger.Object
	at := make(map[ledger.Object]key)
	for _, e := range events {
		o := s.object(string(e.Kv.Key))
		switch {
		case o.is(metaKey) && e.Type == clientv3.EventTypePut:
			m, err := parseMeta(e.Kv.Value)
			if err != nil {
				return u.Revision, err
			}
			u.Complete = m.Complete
		case o.is(metaKey):
			u.Complete = false
		case o.kind != 0:
			id := o.object()
			before, seen := last[id]
			if !seen {
				order = append(order, id)
			} else if e.Type == clientv3.EventTypeDelete && before.Type == clientv3.EventTypePut && string(before.Kv.Key) != string(e.Kv.Key) {
				continue // a port that has moved to another network
			}
			last[id], at[id] = e, o
		}
	}
	for _, id := range order {
		e := last[id]
		if e.Type == clientv3.EventTypeDelete {
			u.Change.Delete.Add(id.Kind, id.ID)
			continue
		}
		if err := at[id].parse(e.Kv.Value, &u.Change.Put); err != nil {
			u.Unusable = append(u.Unusable, ledger.Unusable{Object: id, Err: fmt.Errorf("key %s: %w", e.Kv.Key, err)})
		}
	}
	return uint64(events[len(events)-1].Kv.ModRevision), nil
}
