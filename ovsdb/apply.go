package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// attempts is the number of plans that Apply tries. A plan fails if the database changes
// before it is carried out.
const attempts = 4

// stalePatience is the time that Apply waits for the update that made a plan stale.
const stalePatience = time.Second

// A Result has the operations that Apply carried out, and the problems that remain.
type Result struct {
	// Ops are the operations that were carried out, in one transaction. If the database
	// already was as desired, Ops is empty and nothing was sent.
	Ops []Op
	// Problems has the reasons why parts of the desired state were not realized.
	Problems []Problem
	// Cfg is 0 if Ops change no tag of a machine's port. Otherwise ovs-vswitchd
	// has applied these changes when the CurCfg of [State] is at least Cfg.
	Cfg int
}

// Count returns the number of operations with verb v that were carried out. The rows
// that ovsdb-server deletes together with a removed row are not counted.
func (r Result) Count(v Verb) int {
	n := 0
	for i := range r.Ops {
		if r.Ops[i].Verb == v {
			n++
		}
	}
	return n
}

// Apply changes the database so that it holds d. It carries out the operations of [Plan] in
// one transaction. If nothing differs, it sends no transaction. If the database changes in the
// meantime and the plan is stale, Apply plans again. If a port moves between bridges, Apply
// first only removes it, and returns a Problem of kind [Moving] for it. The next call of Apply
// after ovs-vswitchd has removed the port inserts it.
//
// A non-nil error means that the transaction did not happen, or that its outcome is unknown
// because no reply arrived. Test for ErrNotConnected and context.DeadlineExceeded with
// [errors.Is]. Call Apply again when the client is connected. Problems that need the operator
// are in the Result, not in the error. Apply does not wait for a connection, and returns
// within the configured timeout. Concurrent calls are carried out one after another.
func (c *Client) Apply(ctx context.Context, d Desired) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	select {
	case c.applying <- struct{}{}:
		defer func() { <-c.applying }()
	case <-ctx.Done():
		return Result{}, fmt.Errorf("wait for another change to OVSDB: %w", context.Cause(ctx))
	}
	s, err := c.current()
	if err != nil {
		return Result{}, err
	}
	var res Result
	for try := 1; ; try++ {
		state, planned, err := s.snapshot(ctx)
		if err != nil {
			return res, fmt.Errorf("read the state of OVSDB: %w", err)
		}
		c.moves.settle(state)
		ops, problems := Plan(state, d)
		ops, leaving, waiting := c.moves.hold(state, ops, c.renewed())
		res.Problems = append(problems, waiting...)
		if len(ops) == 0 {
			return res, nil
		}
		start := time.Now()
		t := compile(ops)
		tags := slices.ContainsFunc(ops, Op.tags)
		if len(leaving) > 0 || tags {
			t.incrementNextCfg(state.Root)
		}
		err = s.transact(ctx, t)
		c.cfg.Recorder.Transacted(resultOf(err), time.Since(start))
		if err == nil {
			res.Ops = ops
			if len(leaving) > 0 || tags {
				if state, _, err = s.snapshot(ctx); err != nil { // includes the transaction
					return res, fmt.Errorf("read the state of OVSDB: %w", err)
				}
				c.moves.wait(leaving, state)
			}
			if tags {
				res.Cfg = state.NextCfg
			}
			return res, nil
		}
		if resultOf(err) == "unknown" { // the transaction may have removed the ports
			c.moves.wait(leaving, State{NextCfg: state.NextCfg + 1})
		}
		if !errors.Is(err, errStale) || try == attempts || !s.refreshed(ctx, planned) {
			return res, fmt.Errorf("change OVSDB (%d operations): %w", len(ops), err)
		}
	}
}

// resultOf returns the result label of a transaction that ended with err.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errStale):
		return "stale"
	case errors.Is(err, ErrNotConnected), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "unknown"
	}
	return "error"
}

// refreshed waits up to stalePatience for a state that differs from old.
func (s *session) refreshed(ctx context.Context, old rows) bool {
	ctx, cancel := context.WithTimeout(ctx, stalePatience)
	defer cancel()
	return s.await(ctx, old) == nil
}

// Cleanup removes everything with our mark, and nothing else. It needs no integration
// bridge. It is [Client.Apply] with the zero Desired.
func (c *Client) Cleanup(ctx context.Context) (Result, error) { return c.Apply(ctx, Desired{}) }
