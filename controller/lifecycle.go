package controller

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// lifecycleRetry is how long after a failure another try is made, if nothing
// happens before.
const lifecycleRetry = time.Second

// A lifecycle keeps the bridges, ports, taps and namespaces of managed routers.
// Whenever the intent, the database or the kernel's links change it compares
// all of them with the intent and mends what differs.
type lifecycle struct {
	cfg    Config
	db     *ovsdb.Client
	log    *zap.Logger
	report func(lifecycleReport)
	wanted chan *routing.Model // capacity 1: the latest intent that has not been looked at
}

// A lifecycleReport is how far the lifecycle has come.
type lifecycleReport struct {
	Model     *routing.Model // the intent that it is about
	Connected bool           // to ovsdb-server
	Settled   bool           // everything is as intended
	Problems  map[string][]string // by router; "" is all of them
}

func newLifecycle(cfg Config, db *ovsdb.Client, report func(lifecycleReport), log *zap.Logger) *lifecycle {
	return &lifecycle{cfg: cfg, db: db, log: log, report: report, wanted: make(chan *routing.Model, 1)}
}

// lifecycleReported takes in how far the lifecycle has come.
func (c *Controller) lifecycleReported(r lifecycleReport) {
	c.post(func(w *world) {
		r.Settled = r.Settled && r.Model == w.topology.Model
		w.lifecycle = r
	})
}

// Want says what the intent is. It never blocks, and only the latest value
// counts. Only one goroutine may call it.
func (l *lifecycle) Want(m *routing.Model) {
	select {
	case <-l.wanted:
	default:
	}
	l.wanted <- m
}

// Run works until ctx is done. It does nothing before the first call of Want.
func (l *lifecycle) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.db.Run(ctx) })
	g.Go(func() error { return l.work(ctx) })
	return g.Wait()
}
