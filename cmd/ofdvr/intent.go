package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/internal/filewatch"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/intent"
)

// An intentKeeper is the ledger with the file that it is made of.
type intentKeeper struct {
	*ledger.Ledger
	o       serveOptions
	log     *zap.Logger
	first   *ledger.File // as it was read first; nil if there is none, or the Ledger has it
	content []byte       // of first
	close   func()
}

// newIntent reads the topology file.
func newIntent(ctx context.Context, o serveOptions, log *zap.Logger) (*intentKeeper, error) {
	k := &intentKeeper{o: o, log: log, close: func() {}}
	if o.topology == "" {
		return k, nil
	}
	var err error
	k.first, err = k.readFile(ctx)
	return k, err
}

// open opens the store, if this daemon leads; one that stands by has what the one
// that leads says instead. Then there is a Ledger.
func (k *intentKeeper) open(ctx context.Context, leads bool) error {
	cfg := ledger.Config{Complete: k.first != nil || k.o.allowEmpty || k.o.ovsdb == "", Log: k.log}
	var err error
	switch {
	case k.o.stateDir == "":
	case leads:
		if cfg.Store, err = k.openStore(); err != nil {
			return err
		}
	default:
		cfg.Initial = k.askLeader(ctx)
	}
	k.Ledger, err = ledger.Open(cfg, k.first)
	k.first = nil
	return err
}

// openStore opens the store, which ends with close.
func (k *intentKeeper) openStore() (ledger.Store, error) {
	s, err := store.Open(k.o.stateDir)
	if err != nil {
		return nil, err
	}
	k.close = func() { s.Close() } // nothing is written any more
	if err := s.ReadOnly(); err != nil {
		k.log.Error("the store cannot be written to, going on with what it has", zap.Error(err))
	}
	return stored{s}, nil
}

// adopt takes over the store of a daemon that has ended.
func (k *intentKeeper) adopt(ctx context.Context) error {
	if k.o.stateDir == "" {
		return nil
	}
	s, err := k.openStore()
	if err != nil {
		return err
	}
	return k.Adopt(ctx, s)
}

// stored is a store as the ledger sees it.
type stored struct{ *store.Store }

func (s stored) Name() string { return s.Path() }

func (s stored) Load() (ledger.Contents, error) {
	c, err := s.Store.Load(nil)
	return ledger.Contents(c), err
}

// leaderTimeout is how long the daemon that leads may take to say what it has.
const leaderTimeout = 10 * time.Second

// askLeader returns what the daemon that leads says should be there, nil if it
// says nothing: then it becomes known when this one takes over.
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
			c, err = intent.DecodeTopology(body, nil)
		}
		if err == nil {
			return &c.Put
		}
		k.log.Warn("could not learn what the daemon that leads has, going on without", zap.Error(err))
	}
	return nil
}

// bare takes in that nothing is on the switch which a new store could lack.
func (k *intentKeeper) bare(ctx context.Context) {
	if _, err := k.Write(ctx, ledger.Complete); err != nil {
		k.log.Warn("could not note that the store is complete", zap.Error(err))
	}
}

// firstLook is how often a file is looked at that somebody writes while the daemon
// starts.
const firstLook = 50 * time.Millisecond

// readFile reads the topology file, when nobody writes to it any more.
func (k *intentKeeper) readFile(ctx context.Context) (*ledger.File, error) {
	tick := time.NewTicker(firstLook)
	defer tick.Stop()
	for told := false; ; told = true {
		data, err := filewatch.Read(k.o.topology)
		if err == nil {
			k.content = data
			return k.parseFile(data)
		}
		if !errors.Is(err, filewatch.ErrBusy) {
			return nil, fmt.Errorf("read topology: %w", err)
		}
		if !told {
			k.log.Warn("somebody has the topology open for writing, waiting until it is closed", zap.String("file", k.o.topology))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// parseFile reads a version of the topology file and logs its warnings.
func (k *intentKeeper) parseFile(data []byte) (*ledger.File, error) {
	check := (*routing.Model).Validate
	if k.Ledger != nil { // what there is besides is known
		check = k.CheckFile
	}
	m, warnings, err := intent.ParseFor(k.o.topology, data, check)
	if err != nil {
		return nil, err
	}
	if m.Len() == 0 && !k.o.allowEmpty {
		return nil, fmt.Errorf("%s: it has no networks, routers or ports; taking it in would remove everything that it has declared, "+
			"so nothing was changed: use --allow-empty if you mean it", k.o.topology)
	}
	debug.FreeOSMemory() // reading a file takes several times what it leaves
	file := &ledger.File{Name: k.o.topology, Loaded: time.Now(), Model: m}
	for _, w := range warnings {
		k.log.Warn("topology", zap.Stringer("warning", w))
		file.Warnings = append(file.Warnings, w.String())
	}
	return file, nil
}

// follow takes in the topology file again whenever it changes, and at every
// hangup. A file with mistakes changes nothing.
func (k *intentKeeper) follow(ctx context.Context, hangup <-chan os.Signal) error {
	if k.o.topology == "" {
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-hangup:
			}
		}
	}
	type version struct {
		data []byte
		err  error
	}
	versions := make(chan version) // none: the file is not looked at while one is taken in
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		w := filewatch.Watcher{
			Path: k.o.topology,
			Changed: func(data []byte, err error) {
				select {
				case versions <- version{data, err}:
				case <-ctx.Done():
				}
			},
			Warn: func(err error) { k.log.Warn("changes of the topology may come late", zap.Error(err)) },
		}
		have := k.content
		k.content = nil // it is of no more use
		return w.Run(ctx, have)
	})
	g.Go(func() error {
		for {
			var v version
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case v = <-versions:
			case <-hangup:
				if v.data, v.err = filewatch.Read(k.o.topology); errors.Is(v.err, filewatch.ErrBusy) {
					continue // the watcher tells when it is closed
				}
			}
			if err := k.take(ctx, v.data, v.err); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}

// take makes data, unless it could not be read because of readErr, the topology
// file, and logs why it cannot if it has mistakes.
func (k *intentKeeper) take(ctx context.Context, data []byte, readErr error) error {
	err := readErr
	var file *ledger.File
	if err == nil {
		file, err = k.parseFile(data)
	}
	if err == nil {
		err = k.Declare(ctx, file)
	}
	if err == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k.log.Error("did not take in the topology, the old one stays", zap.String("file", k.o.topology), zap.Error(err))
	return k.DeclareFailed(ctx, err)
}
