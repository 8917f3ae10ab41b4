package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// attempts is how often Apply makes a plan before it gives up: a plan fails
// if the database changes while it is being carried out.
const attempts = 4

// stalePatience is how long Apply waits for the change that made a plan fail.
const stalePatience = time.Second

// A Result says what Apply did and what it could not do.
type Result struct {
	// Ops are the operations that were carried out, in one transaction. None
	// means that the database was as desired and nothing was sent.
	Ops []Op
	// Problems are what keeps parts of the desired state from coming true.
	Problems []Problem
}

// Count returns how many operations with verb v were carried out. A row that
// is removed takes the rows below it with it; they are not counted.
func (r Result) Count(v Verb) int {
	n := 0
	for i := range r.Ops {
		if r.Ops[i].Verb == v {
			n++
		}
	}
	return n
}

// Apply makes the database hold what d desires, as [Plan] says, in one
// transaction or, if nothing differs, in none. If the database changes
// meanwhile so that the plan does not fit any more, it plans again. A port that
// moves from one bridge to another is only removed; a Problem of kind [Moving]
// names it, and a call after ovs-vswitchd has removed it inserts it.
//
// A non-nil error means that the transaction did not happen, or that its
// outcome is unknown because no reply came: [errors.Is] ErrNotConnected or
// context.DeadlineExceeded. Apply again when the client is connected; problems
// that somebody else has to solve are no errors but in the Result. Apply does
// not wait for a connection, and returns within the configured timeout.
// Several calls are carried out one after the other.
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
		if len(leaving) > 0 {
			t.askToo(state.Root)
		}
		err = s.transact(ctx, t)
		c.cfg.Recorder.Transacted(resultOf(err), time.Since(start))
		if err == nil {
			res.Ops = ops
			if len(leaving) > 0 {
				if state, _, err = s.snapshot(ctx); err != nil { // has the effect
					return res, fmt.Errorf("read the state of OVSDB: %w", err)
				}
				c.moves.wait(leaving, state)
			}
			return res, nil
		}
		if resultOf(err) == "unknown" { // then perhaps they are removed
			c.moves.wait(leaving, State{NextCfg: state.NextCfg + 1})
		}
		if !errors.Is(err, errStale) || try == attempts || !s.refreshed(ctx, planned) {
			return res, fmt.Errorf("change OVSDB (%d operations): %w", len(ops), err)
		}
	}
}

// resultOf returns the word for how a transaction has ended.
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

// refreshed waits a while for the state to become another than old.
func (s *session) refreshed(ctx context.Context, old rows) bool {
	ctx, cancel := context.WithTimeout(ctx, stalePatience)
	defer cancel()
	return s.await(ctx, old) == nil
}

// Cleanup removes everything that carries our mark, and nothing else. It needs
// no integration bridge. It is [Client.Apply] of the zero Desired.
func (c *Client) Cleanup(ctx context.Context) (Result, error) { return c.Apply(ctx, Desired{}) }
