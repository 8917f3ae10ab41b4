// Package etcd keeps the intent of many hosts in etcd. Each host has a [Store], which is a
// [ledger.Store] with other writers.
//
// The keys, below a prefix such as /ofdvr/1/:
//
//	meta             JSON: the schema version, and whether the intent is complete
//	cluster          written once, by ofdvr etcd init: a random ID of this prefix
//	layout           written by each change of hosts, networks and routers
//	host/<host>      a host, as JSON in the topology language, like the following
//	net/<network>
//	rtr/<router>
//	port/<network>/<port>
//	own/id/<port>               the network of the port
//	own/mac/<network>/<MAC>     the port or interface that has the address
//	own/ip/<network>/<address>
//	span/<host>                 JSON, see [Held]: the networks whose ports the host has
//
// IDs are escaped as in the path of a URL. A transaction depends on the objects that the writer
// has seen: it fails if another writer has changed them in the meantime. The keys below own make
// addresses unique that different writers give to different ports. Changes of hosts, networks and
// routers exclude each other by the key layout.
//
// A host reads and watches hosts, networks and routers, and the ports of the networks that it needs,
// see [routing.SpanOf] and [Store.Hold].
package etcd

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
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
	// Host is the ID of this host among the hosts of the intent. The store then has only the ports of
	// networks in the host's span, and of networks that are held. "" means that it has all ports.
	Host string
	// Linger is the time for which the ports of a network stay when this host no longer needs them,
	// and HoldLinger that after the last request about them. 0 means 30 s, and 3 minutes.
	Linger, HoldLinger time.Duration
	Log                *zap.Logger // nil means no log
}

const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 5 * time.Second
	// keepAlive is the time without an answer after which a connection is probed, and after which
	// it is ended if the probe gets no answer.
	keepAlive = 5 * time.Second
)

// A Store is the intent in etcd. Its methods are safe for concurrent use, except that Commit is
// called by one goroutine at a time.
type Store struct {
	cfg     Config
	client  *clientv3.Client // for requests
	watcher *clientv3.Client // for watches, on a connection of its own

	wake   chan struct{} // capacity 1; full if the follower must steer
	wrote  chan struct{} // capacity 1; full if this host has written
	spans  chan struct{} // capacity 1; full if spanValue has changed
	events atomic.Int64  // see [Store.Events]

	mu       sync.Mutex
	view     *view           // what was loaded last
	machines map[string]bool // iface-ids on this host; nil if not known
	index    *routing.Index  // the intent; nil before it is known
	layout   uint64          // see [ledger.Intent].Layout
	needs    map[string]need // what this host needs and holds, by directory below the prefix
	holds    map[*hold]bool  // requests that wait

	spanValue string // of the key span/<host>; "" if not known yet
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
	cfg.Linger, cfg.HoldLinger = cmp.Or(cfg.Linger, 30*time.Second), cmp.Or(cfg.HoldLinger, 3*time.Minute)
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	s := &Store{cfg: cfg, wake: make(chan struct{}, 1), wrote: make(chan struct{}, 1), spans: make(chan struct{}, 1), needs: make(map[string]need), holds: make(map[*hold]bool)}
	if cfg.Host == "" {
		s.needs[portDir] = need{spanned: true}
	}
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

// Machines sets the iface-ids of the machines that are plugged in on this host, including those
// that are not in the intent.
func (s *Store) Machines(ids iter.Seq[string]) {
	machines := make(map[string]bool)
	for id := range ids {
		machines[id] = true
	}
	s.mu.Lock()
	changed := s.machines == nil || !maps.Equal(s.machines, machines)
	s.machines = machines
	s.mu.Unlock()
	if changed {
		signal(s.wake)
	}
}

// Note implements [ledger.Limited].
func (s *Store) Note(in *ledger.Intent) {
	s.mu.Lock()
	changed := s.index == nil || s.layout != in.Layout
	s.index, s.layout = in.Index, in.Layout
	s.mu.Unlock()
	if changed {
		signal(s.wake)
	}
}

// signal fills a channel of capacity 1.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // already signaled
	}
}

// Events returns the number of changed keys that etcd has reported.
func (s *Store) Events() int64 { return s.events.Load() }

func parseMeta(value []byte) (m meta, err error) {
	if err := json.Unmarshal(value, &m); err != nil {
		return m, fmt.Errorf("parse the key meta: %w", err)
	}
	if m.Schema > schema {
		return m, fmt.Errorf("the keys have schema version %d, but this ofdvr supports versions up to %d: run a later ofdvr", m.Schema, schema)
	}
	return m, nil
}
