package etcd

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// MemberConfig configures a [Member].
type MemberConfig struct {
	Host string // ID of this host
	// Tunnel is what the host registers. If the address is not valid, the host does not register
	// itself.
	Tunnel   routing.Tunnel
	KeepType bool // an existing object of this host keeps the type of its tunnel
	Version  string
	API      []string // endpoints of the daemon's API
	Log      *zap.Logger
}

// A Node is the part of the daemon that a [Member] reports about.
type Node interface {
	// State returns the state of this host.
	State(context.Context) (State, error)
	// StoredClaims receives the claims of all hosts, and StoredClaimsChanged later changes of them.
	StoredClaims(hosts.Stored)
	StoredClaimsChanged([]hosts.StoredChange)
}

// A State is the state of a host at one time.
type State struct {
	Confirmed bool // the switches have confirmed the intent
	Machines  int  // plugged in
	Problems  int
}

// A Member is this host among the hosts that share their intent in etcd. It writes only keys of this
// host:
//
//	host/<host>    the host's object, see [MemberConfig].Tunnel
//	alive/<host>   the state of the daemon, with a lease
//	on/<host>/<network>/<port>   JSON, see [hosts.Claim]: the machine of the port is plugged in here
//
// As a [ledger.Store], it is the checked Store.
type Member struct {
	ledger.Store
	keys     *Store
	cfg      MemberConfig
	run      uint64 // a random number
	started  time.Time
	progress progress
	problems problems
	others   cache[map[string]Liveness]
	claims   claims
}

// NewMember returns a Member that is not running.
func NewMember(s *Store, cfg MemberConfig) *Member {
	return &Member{Store: Checked(s, cfg.Log), keys: s, cfg: cfg, run: rand.Uint64(), started: time.Now(), claims: claims{wake: make(chan struct{}, 1)}}
}

// Run registers this host and reports its state until ctx is done. Without etcd it tries again.
func (m *Member) Run(ctx context.Context, node Node) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.register(ctx) })
	g.Go(func() error { return m.live(ctx, node) })
	g.Go(func() error { return m.followClaims(ctx, node) })
	g.Go(func() error { return m.writeClaims(ctx) })
	return g.Wait()
}

// Importing reports whether an import has begun and not ended.
func (m *Member) Importing(ctx context.Context) (bool, error) { return m.keys.Importing(ctx) }

// Problems returns what is wrong with this host's keys.
func (m *Member) Problems() []string { return m.problems.list() }

// Follow implements [ledger.Source]. It also notes which revision the ledger has.
func (m *Member) Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	m.progress.reach(since)
	return m.Store.Follow(ctx, since, compare, func(u ledger.Update) error {
		err := report(u)
		if err == nil && u.Err == nil {
			m.progress.reach(u.Revision)
		}
		return err
	})
}

// retry calls f until it returns nil or ctx is done. The error of f is a problem meanwhile. The
// pauses grow from 1 s to 30 s.
func (m *Member) retry(ctx context.Context, what string, f func(context.Context) error) error {
	for pause := time.Second; ; pause = min(2*pause, maxPause) {
		err := f(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if m.problems.set(what, err) && err != nil {
			m.cfg.Log.Warn("could not write this host's keys in etcd, will retry", zap.Error(err))
		}
		if err == nil {
			return nil
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

const maxPause = 30 * time.Second

// wait waits for about a time.
func wait(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(pause*3/4 + rand.N(pause/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// progress is the revision of etcd that the ledger has.
type progress struct {
	mu      sync.Mutex
	at      uint64
	reached chan struct{} // closed when at grows; nil if nothing waits
}

func (p *progress) reach(revision uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if revision <= p.at {
		return
	}
	p.at = revision
	if p.reached != nil {
		close(p.reached)
		p.reached = nil
	}
}

func (p *progress) now() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at
}

// problems has a text for each part of the work that fails.
type problems struct {
	mu   sync.Mutex
	text map[string]string
}

// set sets or, if err is nil, removes the problem of a part. It reports whether the text has changed.
func (p *problems) set(part string, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.text[part]
	if err == nil {
		delete(p.text, part)
		return before != ""
	}
	if p.text == nil {
		p.text = make(map[string]string)
	}
	p.text[part] = err.Error()
	return before != err.Error()
}

func (p *problems) has(part string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text[part] != ""
}

func (p *problems) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Values(p.text))
}

// A cache holds a value that was read from etcd.
type cache[T any] struct {
	mu    sync.Mutex // held while the value is read
	value T
	err   error
	at    time.Time // of the end of the last reading
}

const (
	// fresh is the age up to which a value is not read again.
	fresh = time.Second
	// readTimeout limits the reading of a value for a request that can be answered without it.
	readTimeout = time.Second
)

// get returns the value, which is read if it is not fresh. If it cannot be read, get returns the
// last value with the error.
func (c *cache[T]) get(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < fresh {
		return c.value, c.err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	value, err := read(ctx)
	if c.err, c.at = err, time.Now(); err == nil {
		c.value = value
	}
	return c.value, c.err
}
