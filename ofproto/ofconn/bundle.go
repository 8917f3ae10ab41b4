package ofconn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A CommitError lists the changes that the switch refused. Nothing of a
// [Conn.Commit] was applied.
type CommitError struct{ Refused []*ofproto.RefusedError }

func (e *CommitError) Error() string {
	if n := len(e.Refused) - 1; n > 0 {
		return fmt.Sprintf("%v (and %d more)", e.Refused[0], n)
	}
	return e.Refused[0].Error()
}

// Unwrap returns the refusals.
func (e *CommitError) Unwrap() []error {
	errs := make([]error, len(e.Refused))
	for i, r := range e.Refused {
		errs[i] = r
	}
	return errs
}

// ErrUnknownOutcome is wrapped when a commit was sent but not answered: the
// switch may or may not have applied it.
var ErrUnknownOutcome = errors.New("outcome of the commit is unknown")

const (
	bundleFlags    = ofproto.BundleAtomic | ofproto.BundleOrdered
	discardTimeout = time.Second
)

// MaxBundle is how many changes go into one bundle. Open vSwitch commits that
// many in some 0.1 s, during which it does nothing else.
const MaxBundle = 100_000

// Commit carries out mods in one atomic, ordered bundle: all of them or, on
// error, none, unless the error wraps [ErrUnknownOutcome]. If the switch
// refuses some, the error is a [*CommitError]. Commits on one connection may
// run at the same time, but then their order is not known.
//
// More than 100,000 changes go into several bundles, each of them atomic, one
// after the other. If one of these fails after others were applied, the error
// wraps [ErrUnknownOutcome] too.
func (c *Conn) Commit(ctx context.Context, mods []ofproto.FlowMod) error {
	for first := true; len(mods) > 0; first = false {
		n := min(len(mods), MaxBundle)
		err := c.commit(ctx, mods[:n])
		switch {
		case err != nil && !first:
			return fmt.Errorf("%w: parts of it were applied: %w", ErrUnknownOutcome, err)
		case err != nil:
			return err
		}
		mods = mods[n:]
	}
	return nil
}

func (c *Conn) commit(ctx context.Context, mods []ofproto.FlowMod) error {
	b := bundle{mods: mods, added: make(chan struct{})}
	cl, err := c.begin(ctx, len(mods)+3, c.cfg.MaxAnswer, b.deliver)
	if err != nil {
		return fmt.Errorf("commit bundle: %w", err)
	}
	defer c.calls.drop(cl)
	b.id = cl.first
	err = c.send(ctx, cl, 0, len(mods)+2, b.encode)
	if err == nil {
		select {
		case <-b.added:
			err = b.addErr
		case <-cl.done:
			err = cl.err
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		c.discard(ctx, b.id)
		return fmt.Errorf("add to bundle: %w", err)
	}
	if err := c.send(ctx, cl, len(mods)+2, len(mods)+3, b.encode); err != nil {
		return fmt.Errorf("commit bundle: %w: %w", ErrUnknownOutcome, err)
	}
	if err := cl.wait(ctx); err != nil {
		return fmt.Errorf("commit bundle: %w: %w", ErrUnknownOutcome, err)
	}
	if err := b.commitErr; err != nil {
		return fmt.Errorf("commit bundle: %w", err)
	}
	return nil
}

// discard tells the switch to forget a bundle. It is a courtesy: the switch
// also forgets a bundle that has been idle for 10 s.
func (c *Conn) discard(ctx context.Context, id uint32) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	c.Call(ctx, ofproto.BundleControl{ID: id, Op: ofproto.BundleDiscard, Flags: bundleFlags})
}

// A bundle is one commit under way. Its messages are: 0 opens, i+1 adds
// mods[i], then a barrier, by which all errors of the former have come, and
// the commit.
type bundle struct {
	id   uint32
	mods []ofproto.FlowMod

	added     chan struct{} // closed when the barrier was answered
	addErr    error         // set before added is closed
	commitErr error         // set before the call is complete

	// What the reader's goroutine collects.
	barrier bool
	closed  error // why the bundle was not opened: the errors about mods follow from that
	refused []*ofproto.RefusedError
	failed  error // another error that is about none of mods
}

func (b *bundle) encode(buf []byte, i int, xid uint32) []byte {
	switch i - len(b.mods) {
	default:
		if i > 0 {
			return b.mods[i-1].AppendBundled(buf, b.id, bundleFlags, xid)
		}
		return ofproto.BundleControl{ID: b.id, Op: ofproto.BundleOpen, Flags: bundleFlags}.Append(buf, xid)
	case 1:
		return ofproto.BarrierRequest{}.Append(buf, xid)
	case 2:
		return ofproto.BundleControl{ID: b.id, Op: ofproto.BundleCommit, Flags: bundleFlags}.Append(buf, xid)
	}
}

// deliver runs on the reader's goroutine.
func (b *bundle) deliver(i int, m ofproto.Message) bool {
	if e, ok := m.(ofproto.ErrorMessage); ok {
		if i == 0 {
			b.closed = e.Code
		} else if i <= len(b.mods) {
			b.refused = append(b.refused, &ofproto.RefusedError{Mod: b.mods[i-1], Code: e.Code})
		} else {
			b.failed = e.Code
		}
	}
	switch i - len(b.mods) {
	case 1:
		if !b.barrier {
			b.barrier, b.addErr = true, b.err()
			close(b.added)
		}
	case 2:
		b.commitErr = b.err()
		return true
	}
	return false
}

func (b *bundle) err() error {
	if b.closed != nil {
		return b.closed
	}
	if len(b.refused) > 0 {
		return &CommitError{b.refused}
	}
	return b.failed
}

// Program carries out mods one by one, without a bundle, and waits for a
// barrier. What the switch refuses is in the [*CommitError]; unlike with
// [Conn.Commit] all the rest is applied. An error that wraps
// [ErrUnknownOutcome] says that any of them may have been.
func (c *Conn) Program(ctx context.Context, mods []ofproto.FlowMod) error {
	var refused []*ofproto.RefusedError // the reader's until the call is complete
	cl, err := c.begin(ctx, len(mods)+1, c.cfg.MaxAnswer, func(i int, m ofproto.Message) bool {
		if e, ok := m.(ofproto.ErrorMessage); ok && i < len(mods) {
			refused = append(refused, &ofproto.RefusedError{Mod: mods[i], Code: e.Code})
		}
		return i == len(mods)
	})
	if err != nil {
		return fmt.Errorf("program flows: %w", err)
	}
	defer c.calls.drop(cl)
	err = c.send(ctx, cl, 0, len(mods)+1, func(b []byte, i int, xid uint32) []byte {
		if i == len(mods) {
			return ofproto.BarrierRequest{}.Append(b, xid)
		}
		return mods[i].Append(b, xid)
	})
	if err == nil {
		err = cl.wait(ctx)
	}
	switch {
	case err != nil:
		return fmt.Errorf("program flows: %w: %w", ErrUnknownOutcome, err)
	case refused != nil:
		return fmt.Errorf("program flows: %w", &CommitError{refused})
	}
	return nil
}
