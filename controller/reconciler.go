package controller

import (
	"context"
	"errors"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A Switch is a connected switch as a reconciler sees it.
type Switch interface {
	// Flows returns the flows that the filter selects, as the switch reports them.
	Flows(context.Context, ofproto.FlowFilter) ([]ofproto.FlowStats, error)
	// Commit carries out all of the changes or, on error, none, unless the
	// error wraps [ofconn.ErrUnknownOutcome].
	Commit(context.Context, []ofproto.FlowMod) error
}

// A Recorder is told what the controller does. Package metrics implements it.
type Recorder interface {
	// All methods may be called from any goroutine.
	// Committed is told of each commit to a router's bridge: how long it took,
	// what it changed, and how it ended.
	Committed(router string, took time.Duration, d ofproto.Delta, err error)
	// Reconciled is told how long it took from a wanted program to its
	// confirmation by the switch.
	Reconciled(router string, took time.Duration)
	// SwitchError is told of each error message from a router's bridge; router
	// is "" if it belongs to no request.
	SwitchError(router string, code ofproto.ErrorCode)
	// Disconnected is told of each connection that has ended, but for those that
	// the controller ended without being given cause, and of those that were
	// refused: one of the words of refusalReasons, or closed.
	Disconnected(reason string)
}

// A Report is what a reconciler knows about its switch.
type Report struct {
	Generation uint64 // of the program that it is about
	Wanted     int    // flows that the switch should hold
	Installed  int    // of those, flows that it is known to hold
	Settled    bool   // all that was wanted last is confirmed or refused
	Refused    []*ofproto.RefusedError
}

const (
	switchTimeout = 30 * time.Second // for one request to a switch
	firstRetry    = time.Second      // of refused flows; doubles up to lastRetry
	lastRetry     = 5 * time.Minute
	maxLogged     = 10 // refused flows of one commit that are logged one by one
)

// A reconciler makes one switch hold the flows that it should. It believes
// nothing of a new connection: it first reads the flows that are there and then
// changes only what differs.
type reconciler struct {
	router string
	sw     Switch
	log    *zap.Logger
	rec    Recorder
	report func(Report)
	wanted chan wanted // capacity 1: the latest that has not been looked at

	gen     uint64
	want    ofproto.Set
	have    *ofproto.Set // what the switch holds; nil if that is not known
	refused map[ofproto.FlowKey]*refusal
}

// wanted is what a switch should hold, and a number that grows with each change.
type wanted struct {
	gen   uint64
	flows ofproto.Set
}

// A refusal keeps a flow that the switch does not take out of the way of the
// others.
type refusal struct {
	err   *ofproto.RefusedError
	wait  time.Duration
	until time.Time
}

func newReconciler(router string, sw Switch, rec Recorder, report func(Report), log *zap.Logger) *reconciler {
	return &reconciler{
		router:  router,
		sw:      sw,
		log:     log,
		rec:     rec,
		report:  report,
		wanted:  make(chan wanted, 1),
		refused: make(map[ofproto.FlowKey]*refusal),
	}
}

// Want says what flows the switch should hold. It never blocks, and only the
// latest value counts. Only one goroutine may call it.
func (r *reconciler) Want(gen uint64, flows ofproto.Set) {
	select {
	case <-r.wanted:
	default:
	}
	r.wanted <- wanted{gen, flows}
}

// Run reconciles until ctx is done or the switch cannot be read. It does
// nothing before the first call of Want.
func (r *reconciler) Run(ctx context.Context) error {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	known := false // something is wanted
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case w := <-r.wanted:
			r.gen, r.want, known = w.gen, w.flows, true
		case <-retry.C:
		}
		if !known {
			continue
		}
		next, err := r.converge(ctx)
		if err != nil {
			return err
		}
		if retry.Stop(); !next.IsZero() {
			retry.Reset(time.Until(next))
		}
	}
}

// converge moves the switch to what is wanted, less what it refuses, and
// returns when to try those again: the zero time if there are none.
func (r *reconciler) converge(ctx context.Context) (time.Time, error) {
	start := time.Now()
	for {
		if r.have == nil {
			if err := r.read(ctx); err != nil {
				return time.Time{}, err
			}
		}
		now := time.Now()
		target, next := r.target(now)
		d := ofproto.Diff(*r.have, target)
		if d.Len() == 0 && r.forgive(now) {
			continue
		}
		if d.Len() == 0 {
			r.rec.Reconciled(r.router, time.Since(start))
			r.report(r.state(target, true))
			return next, nil
		}
		r.report(r.state(target, false))
		if err := r.commit(ctx, d, target); err != nil {
			return time.Time{}, err
		}
	}
}

// target returns what to try for now: what is wanted, but for the changes that
// the switch refused lately. It also returns when the first of these is to be
// tried again.
func (r *reconciler) target(now time.Time) (ofproto.Set, time.Time) {
	var next time.Time
	var undeletable []ofproto.Flow
	for key, ref := range r.refused {
		f, wanted := r.want.Get(key)
		deleting := ref.err.Mod.Command == ofproto.FlowDeleteStrict
		switch {
		case deleting == wanted, wanted && f != ref.err.Mod.Flow:
			delete(r.refused, key) // something else is wanted by now
			continue
		case now.Before(ref.until) && deleting:
			undeletable = append(undeletable, ref.err.Mod.Flow)
		}
		if next.IsZero() || ref.until.Before(next) {
			next = ref.until
		}
	}
	if len(r.refused) == 0 {
		return r.want, time.Time{}
	}
	target := r.want.Without(func(f ofproto.Flow) bool {
		ref, ok := r.refused[f.FlowKey]
		return ok && now.Before(ref.until)
	})
	return target.With(undeletable...), next
}

// forgive forgets the refusals of what target has included and the switch turns
// out to hold, and reports whether there were any.
func (r *reconciler) forgive(now time.Time) bool {
	n := len(r.refused)
	maps.DeleteFunc(r.refused, func(_ ofproto.FlowKey, ref *refusal) bool { return !now.Before(ref.until) })
	return len(r.refused) < n
}

func (r *reconciler) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	stats, err := r.sw.Flows(ctx, ofproto.AllFlows())
	if err != nil {
		return err
	}
	flows := make([]ofproto.Flow, len(stats))
	for i := range stats {
		flows[i] = stats[i].Flow
	}
	have := ofproto.SetOf(flows)
	r.have = &have
	r.log.Debug("read flows back", zap.Int("flows", have.Len()))
	return nil
}

// commit sends d, which leads from what the switch has to target. An error is
// returned only if the connection is of no more use.
func (r *reconciler) commit(ctx context.Context, d ofproto.Delta, target ofproto.Set) error {
	ctx, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	start := time.Now()
	err := r.sw.Commit(ctx, d.Mods())
	took := time.Since(start)
	r.rec.Committed(r.router, took, d, err)
	var refused *ofconn.CommitError
	switch {
	case err == nil:
		r.have = &target
		for _, m := range d.Mods() {
			delete(r.refused, m.Flow.FlowKey) // taken after all
		}
		r.log.Info("changed flows", zap.Int("added", len(d.Add)), zap.Int("modified", len(d.Modify)),
			zap.Int("deleted", len(d.Delete)), zap.Int("total", target.Len()), zap.Duration("took", took))
		return nil
	case ctx.Err() != nil:
		return err
	}
	unknown := errors.Is(err, ofconn.ErrUnknownOutcome)
	if unknown {
		r.have = nil
	}
	if errors.As(err, &refused) {
		r.quarantine(refused.Refused)
	} else if !unknown {
		return err
	}
	return nil
}

// quarantine takes refused flows out of what is tried, each for a time that
// doubles with every refusal.
func (r *reconciler) quarantine(errs []*ofproto.RefusedError) {
	for i, e := range errs {
		r.rec.SwitchError(r.router, e.Code)
		ref := r.refused[e.Mod.Flow.FlowKey]
		if ref == nil || ref.err.Mod.Flow != e.Mod.Flow {
			ref = &refusal{wait: firstRetry / 2}
			r.refused[e.Mod.Flow.FlowKey] = ref
		}
		ref.err = e
		ref.wait = min(2*ref.wait, lastRetry)
		ref.until = time.Now().Add(ref.wait)
		if i < maxLogged {
			r.log.Error("switch refused a flow, the others go on", zap.Stringer("flow", e.Mod),
				zap.String("code", e.Code.Name()), zap.String("meaning", e.Code.Error()), zap.Duration("retry", ref.wait))
		}
	}
	if n := len(errs) - maxLogged; n > 0 {
		r.log.Error("switch refused more flows", zap.Int("flows", n))
	}
}

func (r *reconciler) state(target ofproto.Set, settled bool) Report {
	rep := Report{Generation: r.gen, Wanted: r.want.Len(), Settled: settled}
	if settled {
		rep.Installed = target.Len()
	} else {
		for f := range r.want.All() {
			if g, ok := r.have.Get(f.FlowKey); ok && f == g {
				rep.Installed++
			}
		}
	}
	for _, ref := range r.refused {
		rep.Refused = append(rep.Refused, ref.err)
	}
	return rep
}
