package ofconn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A CommitError lists the changes that the switch refused. If [Conn.Commit] returns it, no change
// was applied.
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

// The error of a commit wraps ErrUnknownOutcome if the commit was sent but not confirmed. The
// switch may or may not have applied it.
var ErrUnknownOutcome = errors.New("outcome of the commit is unknown")

const (
	bundleFlags    = ofproto.BundleAtomic | ofproto.BundleOrdered
	discardTimeout = time.Second
)

// MaxBundle is the maximum number of changes in one bundle. Open vSwitch takes about 0.1 s to
// commit so many changes, and does nothing else in that time.
const MaxBundle = 100_000

// Commit carries out mods in one atomic, ordered bundle. On error no change is applied, unless the
// error wraps [ErrUnknownOutcome]. If the switch refuses some changes, the error is a
// [*CommitError]. Commits on one connection may run concurrently, in undefined order.
//
// Commit splits more than [MaxBundle] changes into several atomic bundles, which it commits one
// after another. If a bundle fails after others were applied, the error also wraps
// [ErrUnknownOutcome].
func (c *Conn) Commit(ctx context.Context, mods []ofproto.FlowMod) error {
	return c.commitAll(ctx, changes{flows: mods})
}

// CommitMods is [Conn.Commit] for changes of flows and groups. Open vSwitch does not
// accept an [ofproto.MeterMod] in a bundle.
func (c *Conn) CommitMods(ctx context.Context, mods []ofproto.Mod) error {
	return c.commitAll(ctx, changes{mods: mods})
}

// changes is a list of messages. The usual, fast case is a list of only flow changes.
type changes struct {
	flows []ofproto.FlowMod
	mods  []ofproto.Mod // used if flows is nil
}

func (cs *changes) len() int { return len(cs.flows) + len(cs.mods) }

func (cs *changes) at(i int) ofproto.Mod {
	if cs.flows != nil {
		return &cs.flows[i]
	}
	return cs.mods[i]
}

// cut returns the first n changes and the rest.
func (cs *changes) cut(n int) (first, rest changes) {
	if cs.flows != nil {
		return changes{flows: cs.flows[:n]}, changes{flows: cs.flows[n:]}
	}
	return changes{mods: cs.mods[:n]}, changes{mods: cs.mods[n:]}
}

func (c *Conn) commitAll(ctx context.Context, all changes) error {
	for first := true; all.len() > 0; first = false {
		var some changes
		some, all = all.cut(min(all.len(), MaxBundle))
		err := c.commit(ctx, some)
		switch {
		case err != nil && !first:
			return fmt.Errorf("%w: some of its bundles were applied: %w", ErrUnknownOutcome, err)
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *Conn) commit(ctx context.Context, cs changes) error {
	n := cs.len()
	b := bundle{n: n, changes: cs, added: make(chan struct{})}
	cl, err := c.begin(ctx, n+3, c.cfg.MaxAnswer, b.deliver)
	if err != nil {
		return fmt.Errorf("commit bundle: %w", err)
	}
	defer c.calls.drop(cl)
	b.id = cl.first
	err = c.sendRange(ctx, cl, 0, n+2, b.encode)
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
	if err := c.sendRange(ctx, cl, n+2, n+3, b.encode); err != nil {
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

// discard makes the switch discard a bundle. This is not strictly necessary, because the
// switch also discards a bundle that has been idle for 10 s.
func (c *Conn) discard(ctx context.Context, id uint32) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	c.Call(ctx, ofproto.BundleControl{ID: id, Op: ofproto.BundleDiscard, Flags: bundleFlags})
}

// A bundle is a commit of n changes in progress. Its messages are numbered. Message 0 opens
// the bundle, message i+1 adds change i, then come a barrier and the commit. All errors about
// earlier messages arrive before the barrier's reply.
type bundle struct {
	id uint32
	n  int // number of changes
	changes

	added     chan struct{} // closed when the barrier was answered
	addErr    error         // set before added is closed
	commitErr error         // set before the call is complete

	// Owned by the reader's goroutine until added is closed.
	barrier bool
	closed  error // the reason why the bundle was not opened; it also causes the errors about changes
	refused []*ofproto.RefusedError
	failed  error // any other error that is not about a change
}

func (b *bundle) encode(buf []byte, i int, xid uint32) []byte {
	switch i - b.n {
	default:
		if i > 0 {
			m := b.at(i - 1)
			if f, ok := m.(*ofproto.FlowMod); ok { // the common case
				return f.AppendBundled(buf, b.id, bundleFlags, xid)
			}
			return ofproto.BundleAdd{ID: b.id, Flags: bundleFlags, Message: m}.Append(buf, xid)
		}
		return ofproto.BundleControl{ID: b.id, Op: ofproto.BundleOpen, Flags: bundleFlags}.Append(buf, xid)
	case 1:
		return ofproto.BarrierRequest{}.Append(buf, xid)
	case 2:
		return ofproto.BundleControl{ID: b.id, Op: ofproto.BundleCommit, Flags: bundleFlags}.Append(buf, xid)
	}
}

// deliver handles the reply m to message i. It runs on the reader's goroutine.
func (b *bundle) deliver(i int, m ofproto.Message) bool {
	if e, ok := m.(ofproto.ErrorMessage); ok {
		if i == 0 {
			b.closed = e.Code
		} else if i <= b.n && len(b.refused) >= b.n { // one error per change
			b.failed = e.Code
		} else if i <= b.n {
			b.refused = append(b.refused, ofproto.Refused(b.at(i-1), e.Code))
		} else {
			b.failed = e.Code
		}
	}
	switch i - b.n {
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

// Program carries out mods one by one, without a bundle, and waits for a barrier. Refused
// changes are returned in a [*CommitError]. Unlike with [Conn.Commit], all other changes are
// applied. If the error wraps [ErrUnknownOutcome], any of the changes may have been applied.
func (c *Conn) Program(ctx context.Context, mods []ofproto.FlowMod) error {
	return c.programAll(ctx, changes{flows: mods})
}

// ProgramMods is [Conn.Program] for changes of flows, groups and meters.
func (c *Conn) ProgramMods(ctx context.Context, mods []ofproto.Mod) error {
	return c.programAll(ctx, changes{mods: mods})
}

func (c *Conn) programAll(ctx context.Context, cs changes) error {
	n := cs.len()
	var refused []*ofproto.RefusedError // owned by the reader's goroutine until the call is complete
	cl, err := c.begin(ctx, n+1, c.cfg.MaxAnswer, func(i int, m ofproto.Message) bool {
		if e, ok := m.(ofproto.ErrorMessage); ok && i < n && len(refused) < n {
			refused = append(refused, ofproto.Refused(cs.at(i), e.Code))
		}
		return i == n
	})
	if err != nil {
		return fmt.Errorf("change one by one: %w", err)
	}
	defer c.calls.drop(cl)
	err = c.sendRange(ctx, cl, 0, n+1, func(b []byte, i int, xid uint32) []byte {
		if i == n {
			return ofproto.BarrierRequest{}.Append(b, xid)
		}
		return cs.at(i).Append(b, xid)
	})
	if err == nil {
		err = cl.wait(ctx)
	}
	switch {
	case err != nil:
		return fmt.Errorf("change one by one: %w: %w", ErrUnknownOutcome, err)
	case refused != nil:
		return fmt.Errorf("change one by one: %w", &CommitError{refused})
	}
	return nil
}
