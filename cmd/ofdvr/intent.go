package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/localcopy"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/controller/topologyfile"
	"github.com/ofdvr/ofdvr/metrics"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// An intentKeeper is the ledger with its sources.
type intentKeeper struct {
	*ledger.Ledger
	o      serveOptions
	log    *zap.Logger
	file   *topologyfile.File // nil if not configured
	first  *ledger.Contents   // contents of file, until the ledger has loaded them
	close  func()
	shared *etcd.Store     // nil without etcd
	member *etcd.Member    // nil without etcd
	copy   *localcopy.Copy // nil without etcd or --state-dir

	commit  func(func() error) error    // calls a function that commits to the store, and records the commit
	store   atomic.Pointer[store.Store] // nil if not open
	noStore atomic.Pointer[error]       // error of the last attempt to open the store
}

// newIntent reads the topology file.
func newIntent(ctx context.Context, o serveOptions, log *zap.Logger) (*intentKeeper, error) {
	k := &intentKeeper{o: o, log: log, close: func() {}}
	if o.topology == "" {
		return k, nil
	}
	k.file = topologyfile.New(o.topology, o.allowEmpty, log)
	c, err := k.file.Load(ctx)
	k.first = &c
	return k, err
}

// open opens the store, if this daemon leads, and the Ledger. A standby daemon reads the
// objects from the API of the leader instead.
func (k *intentKeeper) open(ctx context.Context, leads bool) error {
	cfg := ledger.Config{Complete: k.file != nil || k.o.allowEmpty || k.o.ovsdb == "", Log: k.log}
	if k.file != nil {
		cfg.Sources = append(cfg.Sources, declared{k.file, k})
	}
	switch {
	case len(k.o.etcd.endpoints) > 0:
		var err error
		if k.member, err = k.openMember(ctx); err != nil {
			return err
		}
		cfg.Write = k.member
		if k.o.stateDir != "" {
			k.copy = localcopy.New(filepath.Join(k.o.stateDir, "etcd"), localcopy.Origin{Endpoints: k.o.etcd.endpoints, Prefix: k.o.etcd.prefix}, k.log)
			cfg.Write = k.copy.Over(k.member)
		}
		cfg.Sources = append(cfg.Sources, cfg.Write)
	case k.o.stateDir == "":
	case leads:
		cfg.Write = stored{k}
		cfg.Sources = append(cfg.Sources, cfg.Write)
	default:
		cfg.Sources = append(cfg.Sources, leader{k})
	}
	var err error
	k.Ledger, err = ledger.Open(ctx, cfg)
	return err
}

// Run runs the ledger. Each intent goes to the controller and to the copy.
func (k *intentKeeper) Run(ctx context.Context, c ledger.Reader) error {
	if k.copy == nil {
		return k.Ledger.Run(ctx, c)
	}
	return k.Ledger.Run(ctx, readers{c, k.copy})
}

type readers []ledger.Reader

// Load implements [ledger.Reader].
func (all readers) Load(in *ledger.Intent, touched []string) {
	for _, r := range all {
		r.Load(in, touched)
	}
}

// runCopy writes the copy, if there is one, from the time when this daemon leads.
func (k *intentKeeper) runCopy(ctx context.Context, lead <-chan struct{}) error {
	if k.copy == nil {
		return nil
	}
	if err := awaitLead(ctx, lead); err != nil {
		return err
	}
	return k.copy.Run(ctx, k.Intent)
}

// awaitLead waits until this daemon leads. lead is nil if it leads already.
func awaitLead(ctx context.Context, lead <-chan struct{}) error {
	if lead == nil {
		return nil
	}
	select {
	case <-lead:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// current returns a function that reports whether the latest version of the topology file was read.
// Without a topology file it returns nil.
func (k *intentKeeper) current() func() bool {
	if k.file == nil {
		return nil
	}
	return k.file.Current
}

// declared is the topology file. It was loaded before the ledger was opened.
type declared struct {
	*topologyfile.File
	k *intentKeeper
}

// Load implements [ledger.Source].
func (d declared) Load(ctx context.Context) (ledger.Contents, error) {
	if c := d.k.first; c != nil {
		d.k.first = nil
		return *c, nil
	}
	return d.File.Load(ctx)
}

// reloadOn reloads the topology file at every signal from hangup, even if the file has not changed.
func (k *intentKeeper) reloadOn(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-hangup:
			if k.file != nil {
				k.file.Reload()
			}
		}
	}
}

// opened returns the store, and opens it if necessary. The function k.close closes it.
func (k *intentKeeper) opened() (*store.Store, error) {
	if s := k.store.Load(); s != nil {
		return s, nil
	}
	s, err := store.Open(k.o.stateDir)
	if err != nil {
		k.noStore.Store(&err)
		return nil, err
	}
	k.close = func() { s.Close() } // all writes have ended when close is called
	if err := s.ReadOnly(); err != nil {
		k.log.Error("the store is read-only, using its objects", zap.Error(err))
	}
	k.store.Store(s)
	return s, nil
}

// size returns the size of the store, and false if it is not open.
func (k *intentKeeper) size() (store.Size, bool) {
	if s := k.store.Load(); s != nil {
		return s.Size(), true
	}
	return store.Size{}, false
}

// etcdState returns the state of etcd, nil without etcd.
func (k *intentKeeper) etcdState() *metrics.Etcd {
	for _, s := range k.Intent().Sources {
		if s.Role == ledger.Shared {
			return &metrics.Etcd{Connected: s.Err == nil, CopyUsed: k.copy != nil && k.copy.Used(), Revision: s.Revision, Events: k.shared.Events()}
		}
	}
	return nil
}

// adopt opens the store of the former leader and makes the ledger use it.
func (k *intentKeeper) adopt(ctx context.Context) error {
	if k.o.stateDir == "" || len(k.o.etcd.endpoints) > 0 {
		return nil
	}
	return k.Adopt(ctx, stored{k})
}

// stored makes the store a [ledger.Store].
type stored struct{ *intentKeeper }

func (s stored) Name() string      { return filepath.Join(s.o.stateDir, store.FileName) }
func (s stored) Role() ledger.Role { return ledger.Own }

// ReadOnly implements [ledger.Store].
func (s stored) ReadOnly() error {
	if open := s.store.Load(); open != nil {
		return open.ReadOnly()
	}
	if why := s.noStore.Load(); why != nil {
		return *why
	}
	return nil
}

// Commit implements [ledger.Store].
func (s stored) Commit(_ context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	open, err := s.opened()
	if err != nil {
		return 0, err
	}
	return b.Revision, s.commit(func() error { return open.Commit(b.Revision, b.Complete, changes...) })
}

// Load returns all objects that can be read, even from a damaged store. It is an error if
// another process has the store open.
func (s stored) Load(context.Context) (ledger.Contents, error) {
	var c store.Contents
	open, err := s.opened()
	if err == nil {
		c, err = open.Load(nil)
	}
	if errors.Is(err, store.ErrLocked) {
		return ledger.Contents{}, err
	}
	if err != nil {
		c = store.Salvage(s.o.stateDir)
	}
	return ledger.Contents{Revision: c.Revision, Complete: c.Complete, Loaded: time.Now(), Model: c.Model, Err: err}, nil
}

// Follow reports nothing, because the store is locked against other processes.
func (s stored) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), _ func(ledger.Update) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// leader is the source of a standby daemon. It has the objects of the leader.
type leader struct{ *intentKeeper }

func (l leader) Name() string      { return "the daemon that leads" }
func (l leader) Role() ledger.Role { return ledger.Own }

// Load returns no objects if the leader does not answer. This daemon reads the store when it
// takes over.
func (l leader) Load(ctx context.Context) (ledger.Contents, error) {
	return ledger.Contents{Loaded: time.Now(), Model: l.askLeader(ctx)}, nil
}

// Follow reports nothing.
func (l leader) Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), tell func(ledger.Update) error) error {
	return stored(l).Follow(ctx, since, compare, tell)
}

// leaderTimeout is the time limit for an answer of the leader.
const leaderTimeout = 10 * time.Second

// askLeader returns the objects of the leader. If the leader does not answer, it returns no
// objects.
func (k *intentKeeper) askLeader(ctx context.Context) *routing.Model {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	for _, e := range k.o.api {
		client, err := api.NewClient(api.Endpoint(e), api.Access{})
		if err != nil || !strings.HasPrefix(e, "unix:") {
			continue
		}
		var body json.RawMessage
		var c routing.Change
		_, err = client.Do(ctx, http.MethodGet, "/v1/topology", nil, &body)
		if err == nil {
			c, err = topology.DecodeTopology(body, nil)
		}
		if err == nil {
			return &c.Put
		}
		k.log.Warn("could not read the objects of the leading daemon, going on without them", zap.Error(err))
	}
	return new(routing.Model)
}
