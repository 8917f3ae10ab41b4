package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	wire "github.com/ovn-kubernetes/libovsdb/ovsdb"
	"go.uber.org/zap"
)

// A session is one connection to ovsdb-server with a monitor on it. A session does not
// reconnect. Instead, a new session with an empty cache replaces it. (libovsdb's own reconnect
// empties its cache without notice, and returns stale rows while there is no server.)
type session struct {
	lib   client.Client
	gone  chan struct{} // closed when the connection has ended
	fresh chan struct{} // capacity 1; full if something has changed since the last receive

	mu    sync.Mutex // protects rows and state
	rows  rows       // the rows that state was built from
	state State

	callMu  sync.Mutex // protects closing
	closing bool       // no more calls are allowed
	calls   sync.WaitGroup
}

// open connects to endpoint and waits until the whole state has arrived. Then the session
// calls notify after each change. notify must not block. The caller must close the session.
func open(ctx context.Context, endpoint string, log *zap.Logger, notify func()) (*session, error) {
	schema, err := dbModel()
	if err != nil {
		return nil, fmt.Errorf("describe the schema: %w", err)
	}
	logger := logr.New(&sink{log})
	lib, err := client.NewOVSDBClient(schema, client.WithEndpoint(endpoint), client.WithLogger(&logger))
	if err != nil {
		return nil, err
	}
	s := &session{lib: lib, gone: make(chan struct{}), fresh: make(chan struct{}, 1)}
	failed := make(chan struct{})
	go func() { // must run before Connect: libovsdb notifies only existing listeners
		select {
		case <-lib.DisconnectNotify():
			close(s.gone)
		case <-failed:
		}
	}()
	if err := lib.Connect(ctx); err != nil {
		close(failed)
		return nil, err
	}
	changed := func() {
		select {
		case s.fresh <- struct{}{}:
		default:
		}
		notify()
	}
	if err := s.monitor(ctx, changed); err != nil {
		s.close()
		return nil, fmt.Errorf("monitor the database: %w", err)
	}
	return s, nil
}

func (s *session) monitor(ctx context.Context, changed func()) error {
	c := s.lib.Cache()
	if c == nil {
		return client.ErrNotConnected
	}
	c.AddEventHandler(&cache.EventHandlerFuncs{ // runs on libovsdb's event queue and must not block
		AddFunc:    func(string, model.Model) { changed() },
		UpdateFunc: func(string, model.Model, model.Model) { changed() },
		DeleteFunc: func(string, model.Model) { changed() },
	})
	m := s.lib.NewMonitor(monitored()...)
	// If an update is inconsistent with its cache, libovsdb disconnects with monitor_cond.
	// With monitor_cond_since, it would drop the update without an error.
	m.Method = wire.ConditionalMonitorRPC
	ctx, end := outlive(ctx, monitorGrace)
	defer end()
	_, err := s.lib.Monitor(ctx, m)
	return err
}

// monitorGrace is the time that a monitor request may take after its context is done. Without
// it, libovsdb could read the reply while it is being written, which is a data race. A working
// server replies within this time.
const monitorGrace = time.Second

// outlive returns a context that ends after ctx, by the given duration. The function end releases
// its resources.
func outlive(ctx context.Context, by time.Duration) (out context.Context, end func()) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(by, func() { cancel(context.Cause(ctx)) })
	})
	return out, func() { stop(); cancel(nil) }
}

// patience is the time that close waits for libovsdb.
const patience = time.Second

// close closes the connection and waits until it has ended. It returns false if it stops
// waiting. This happens if ovsdb-server does not read a message that libovsdb has begun to
// write, because libovsdb cannot abort the write. Such a session ends by itself when
// ovsdb-server resumes or ends.
func (s *session) close() bool {
	s.callMu.Lock()
	s.closing = true
	s.callMu.Unlock()
	closed := make(chan struct{})
	go func() {
		s.lib.Close()
		<-s.gone
		s.calls.Wait()
		close(closed)
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-closed:
		return true
	case <-t.C:
		return false
	}
}

// transactRaw carries out ops. Unlike libovsdb, which blocks until a message is written, it
// always returns when ctx is done.
func (s *session) transactRaw(ctx context.Context, ops ...wire.Operation) ([]wire.OperationResult, error) {
	type reply struct {
		results []wire.OperationResult
		err     error
	}
	s.callMu.Lock()
	if s.closing {
		s.callMu.Unlock()
		return nil, ErrNotConnected
	}
	s.calls.Add(1)
	s.callMu.Unlock()
	got := make(chan reply, 1)
	go func() {
		defer s.calls.Done()
		results, err := s.lib.Transact(ctx, ops...)
		got <- reply{results, err}
	}()
	select {
	case r := <-got:
		return r.results, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run returns when ctx is done, the connection has ended, or ovsdb-server does not reply to a
// probe. At each interval it sends an empty transaction as a probe. It does not use libovsdb's
// Echo: after a timeout, Echo may read the reply while it is being written.
func (s *session) run(ctx context.Context, interval, timeout time.Duration) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.gone:
			return errors.New("ovsdb-server closed the connection")
		case <-t.C:
			pctx, cancel := context.WithTimeout(ctx, timeout)
			_, err := s.transactRaw(pctx)
			cancel()
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("ovsdb-server does not reply: %w", err)
			}
		}
	}
}

// snapshot returns the state after the latest received transaction, and the rows that
// it was built from.
//
// libovsdb locks its whole cache while it applies a transaction, but a reader locks only one
// table. Therefore snapshot reads all tables twice. Between the two reads it acquires and
// releases the cache's lock. If both reads are equal, neither saw a transaction that was
// applied in part.
func (s *session) snapshot(ctx context.Context) (State, rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ctx.Err() == nil {
		c := s.lib.Cache()
		if c == nil {
			return State{}, nil, ErrNotConnected
		}
		before := collect(c)
		c.Tables() // waits until the current transaction is applied
		if after := collect(c); !after.equal(before) {
			continue
		}
		if s.rows == nil || !before.equal(s.rows) {
			s.rows, s.state = before, before.state()
			s.state.stamp = new(stamp)
		}
		return s.state, s.rows, nil
	}
	return State{}, nil, context.Cause(ctx)
}

func collect(c *cache.TableCache) rows {
	r := rows{}
	for _, t := range []Table{TableRoot, TableBridge, TablePort, TableInterface, TableController} {
		r[t] = map[string]model.Model{}
		if table := c.Table(string(t)); table != nil {
			r[t] = table.RowsShallow()
		}
	}
	return r
}

// transact carries out t. When it returns nil, the cache includes t's changes, because
// ovsdb-server sends updates before the reply (RFC 7047 §4.1.6), and libovsdb processes
// messages in order.
func (s *session) transact(ctx context.Context, t transaction) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-s.gone:
			cancel(ErrNotConnected)
		case <-stop:
		}
	}()
	results, err := s.transactRaw(ctx, t.wire...)
	switch {
	case err == nil:
		return t.check(results)
	case errors.Is(err, client.ErrNotConnected), errors.Is(err, ErrNotConnected):
		return ErrNotConnected
	case ctx.Err() != nil:
		return fmt.Errorf("ovsdb-server did not reply, so the outcome is unknown: %w", context.Cause(ctx))
	}
	return err
}

// await waits until the state differs from old, ctx is done, or the connection has
// ended.
func (s *session) await(ctx context.Context, old rows) error {
	for {
		_, now, err := s.snapshot(ctx)
		if err != nil {
			return err
		}
		if !now.equal(old) {
			return nil
		}
		select {
		case <-s.fresh:
		case <-s.gone:
			return ErrNotConnected
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
