package main

import (
	"context"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// surveyRetry is the time from a failure to the next attempt.
const surveyRetry = time.Second

// survey checks for a new store whether ofdvr has made bridges or namespaces on this host before.
// If not, the store lacks no objects, and survey marks it as complete. Then it closes surveyed. A
// complete store needs no survey. The survey begins when lead is closed, or at once if lead is nil.
func (k *intentKeeper) survey(ctx context.Context, lead <-chan struct{}, surveyed chan<- struct{}) error {
	if err := awaitLead(ctx, lead); err != nil {
		return err
	}
	if k.Intent().Whole || k.o.ovsdb == "" { // without a database, ofdvr makes no bridges
		close(surveyed)
		return nil
	}
	db, err := ovsdb.NewClient(ovsdb.Config{Endpoint: k.o.ovsdb})
	if err != nil {
		return err
	}
	connected, disconnect := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return db.Run(connected) })
	defer g.Wait()
	defer disconnect()
	last := ""
	again := time.NewTicker(surveyRetry)
	defer again.Stop()
	for {
		exists, err := k.exists(ctx, db)
		if err == nil && !exists {
			if err := k.complete(ctx); err != nil {
				k.log.Warn("could not mark the store as complete", zap.Error(err))
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			close(surveyed)
			return nil
		case err.Error() != last:
			last = err.Error()
			k.log.Warn("could not find out whether ofdvr has made bridges or namespaces on this host, will retry", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// complete marks the store as complete, unless it is in etcd and an import has not ended.
func (k *intentKeeper) complete(ctx context.Context) error {
	if k.member != nil {
		if importing, err := k.member.Importing(ctx); importing || err != nil {
			return err
		}
	}
	_, err := k.Write(ctx, ledger.Complete)
	return err
}

// exists reports whether bridges or namespaces of this instance of ofdvr exist. It waits for the
// database.
func (k *intentKeeper) exists(ctx context.Context, db *ovsdb.Client) (bool, error) {
	if err := db.Wait(ctx); err != nil {
		return false, err
	}
	state, err := db.State(ctx)
	if err != nil {
		return false, err
	}
	return lifecycle.Exists(state, instanceFile(k.o.runDir))
}
