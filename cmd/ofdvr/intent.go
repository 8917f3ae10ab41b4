package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/intent"
)

// An intentKeeper is the ledger with the file that it is made of.
type intentKeeper struct {
	*ledger.Ledger
	o     serveOptions
	log   *zap.Logger
	close func()
}

// openIntent reads the topology file and, if this daemon leads, opens the store.
// One that stands by has what the one that leads says instead.
func openIntent(ctx context.Context, o serveOptions, leads bool, log *zap.Logger) (*intentKeeper, error) {
	k := &intentKeeper{o: o, log: log, close: func() {}}
	var file *ledger.File
	var err error
	if o.topology != "" {
		if file, err = k.readFile(); err != nil {
			return nil, err
		}
	}
	cfg := ledger.Config{Complete: file != nil || o.allowEmpty || o.ovsdb == "", Log: log}
	switch {
	case o.stateDir == "":
	case leads:
		if cfg.Store, err = k.openStore(); err != nil {
			return nil, err
		}
	default:
		cfg.Initial = k.askLeader(ctx)
	}
	if k.Ledger, err = ledger.Open(cfg, file); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
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

// readFile reads the topology file and logs its warnings.
func (k *intentKeeper) readFile() (*ledger.File, error) {
	m, warnings, err := readTopology(k.o.topology)
	if err != nil {
		return nil, err
	}
	if m.Len() == 0 && !k.o.allowEmpty {
		return nil, fmt.Errorf("%s: it has no networks, routers or ports; taking it in would remove everything that ofdvr has made, "+
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

// follow reads the topology file again at every hangup. A file with mistakes
// changes nothing.
func (k *intentKeeper) follow(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-hangup:
		}
		if k.o.topology == "" {
			continue
		}
		file, err := k.readFile()
		if err == nil {
			err = k.Declare(ctx, file)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			k.log.Error("did not take in the topology, the old one stays", zap.String("file", k.o.topology), zap.Error(err))
			if err := k.DeclareFailed(ctx, err); err != nil {
				return err
			}
		}
	}
}
