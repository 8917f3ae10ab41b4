package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
)

// An intentKeeper is the ledger with the file that it is made of.
type intentKeeper struct {
	*ledger.Ledger
	o     serveOptions
	log   *zap.Logger
	close func()
}

// openIntent opens the store and reads the topology file.
func openIntent(o serveOptions, log *zap.Logger) (*intentKeeper, error) {
	k := &intentKeeper{o: o, log: log, close: func() {}}
	var file *ledger.File
	if o.topology != "" {
		var err error
		if file, err = k.readFile(); err != nil {
			return nil, err
		}
	}
	var err error
	k.Ledger, err = ledger.Open(ledger.Config{Complete: file != nil || o.allowEmpty || o.ovsdb == "", Log: log}, file)
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
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
