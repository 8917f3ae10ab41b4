// Package reconcile makes one switch hold the flows, groups and meters that it
// should.
//
// It believes nothing of a new connection: it reads what is there and sends
// only what differs, in one atomic bundle. From then on it knows what the
// switch holds: by the confirmation of each commit, by what the switch tells
// of changes that others make, and by reading everything again once in a
// while. An answer that did not come means that nothing is known.
package reconcile

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A Switch is a connected switch as a [Reconciler] sees it.
type Switch interface {
	// Claim asks for the role of master or of slave.
	Claim(context.Context, ofproto.Role) error
	// Read returns what the switch holds: everything, or what is wanted and some of the rest.
	Read(context.Context, Known) (Holdings, Beyond, error)
	// Commit carries out all of the changes, of flows and groups, at once or, on
	// error, none, unless the error wraps [ofconn.ErrUnknownOutcome].
	Commit(context.Context, []ofproto.Mod) error
	// Program carries out the changes, of flows, groups and meters, one by one,
	// but for those that are refused: an [*ofconn.CommitError].
	Program(context.Context, []ofproto.Mod) error
}

// Holdings are what a switch holds.
type Holdings struct {
	Flows  ofproto.Set
	Groups []ofproto.GroupEntry // by ID
	Meters []ofproto.MeterEntry // by ID
}

// A Recorder is told what a [Reconciler] does. Its methods may be called from
// any goroutine.
type Recorder interface {
	// Committed is told of each commit to a router's bridge: how long it took,
	// what it changed, and how it ended.
	Committed(router string, took time.Duration, d ofproto.Delta, err error)
	// Reconciled is told how long it took from when a program was wanted that the
	// switch did not have, or was not known to have, to its confirmation.
	Reconciled(router string, took time.Duration)
	// SwitchError is told of each error message from a router's bridge; router
	// is "" if it belongs to no request.
	SwitchError(router string, code ofproto.ErrorCode)
	// Drifted is told of flows that others changed.
	Drifted(router string, deleted, altered, added int)
	// DriftedTables is told of groups and meters that others changed.
	DriftedTables(router string, groups, meters int)
}

// Config is what a [Reconciler] is told at its start.
type Config struct {
	Router  string
	Switch  Switch
	Ours    func(ofproto.Cookie) bool // whether a flow with this cookie is ours
	Audit   time.Duration             // from one reading of the switch to the next
	Standby bool                      // do not lead until [Reconciler.Lead]
	// OursGroup and OursMeter say whether a group or meter with this ID is ours.
	OursGroup func(ofproto.GroupID) bool
	OursMeter func(ofproto.MeterID) bool
	// Budget is what all switches share for what is not wanted; nil has no bounds.
	Budget *ofconn.Budget
	Bridge string // to which it says so when it is used up
	// Report is called with each change of what is known; it must not block for
	// long.
	Report   func(Report)
	Recorder Recorder
	Log      *zap.Logger

	maxUnwanted int // for tests, see [Known]
}

// A Program is what a switch should hold. It is immutable. Programs that share
// lists of groups and meters, or of buckets, are compared quickly.
type Program struct {
	Generation uint64 // grows with each change; not 0
	Flows      ofproto.Set
	Groups     []ofproto.GroupEntry // by ID
	Meters     []ofproto.MeterEntry // by ID
	Foreign    Foreign              // what to do with flows, groups and meters of others
	Partial    bool                 // there may be more that is wanted: nothing is deleted
	// Keep selects flows of which there may be more that are wanted; nil: none.
	Keep     func(ofproto.Cookie) bool
	Describe func(ofproto.Mod) string // the object that a flow, group or meter serves
}

// A Report is what a [Reconciler] knows about its switch.
type Report struct {
	State      State
	Generation uint64 // of the program that it is about
	Confirmed  uint64 // of the latest program that the switch is known to have held, but for what it refuses
	Wanted     int    // flows that the switch should hold
	Installed  int    // of those, flows that it is known to hold
	Foreign    int    // flows, groups and meters that are not ours and are left
	Demoted    bool   // another controller is master although this daemon should lead
	Unread     error  // why the switch could not be read the last time; nil: it could
	Refused    []Refusal
}

// A Refusal is a change that is kept back for a while.
type Refusal struct {
	Mod ofproto.Mod // an [ofproto.FlowMod], [ofproto.GroupMod] or [ofproto.MeterMod]
	Err error       // an [*ofproto.RefusedError] or an [*UnstableError]
}

const (
	switchTimeout = 30 * time.Second // for one request to a switch
	repairsLogged = time.Second      // between two lines about repairs
	maxLogged     = 10               // refused changes of one commit that are logged one by one
)

// A Reconciler makes one switch hold what it should. Create it with
// [New], then call [Reconciler.Run]. The other methods never block and may be
// called from any goroutine.
type Reconciler struct {
	cfg  Config
	log  *zap.Logger
	core core
	last Report

	describe func(ofproto.Mod) string
	since    time.Time // that the wanted program, which is not confirmed, was taken in; else zero
	drift    Drift     // that was not logged yet
	logged   time.Time // when it was

	held *ofconn.Share // of what was read

	mu      sync.Mutex
	mail    mail
	news    quota         // of what the switch tells until it is read again
	arrived chan struct{} // capacity 1: there is mail
}

// mail is what the goroutine of Run has not looked at yet.
type mail struct {
	program *Program // the latest
	updates []ofproto.FlowUpdate
	bytes   int  // of updates
	lost    bool // more updates
	lead    bool
	demoted bool
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	return &Reconciler{cfg: cfg, log: cfg.Log, core: newCore(cfg), arrived: make(chan struct{}, 1),
		news: quota{math.MaxInt, math.MaxInt, ownBytes, cfg.Budget.Share(cfg.Bridge)}}
}

func (r *Reconciler) post(f func(*mail)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.mail)
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// Want says what the switch should hold. Only the latest program counts.
func (r *Reconciler) Want(p Program) { r.post(func(m *mail) { m.program = &p }) }

// Noticed takes in changes of flows that the switch told of.
func (r *Reconciler) Noticed(updates []ofproto.FlowUpdate) {
	r.post(func(m *mail) {
		n := sizeOf(updates)
		m.bytes += n
		if len(m.updates)+len(updates) > maxPending || m.bytes > updateBytes || n > 0 && !r.news.take(n) {
			m.updates, m.bytes, m.lost = nil, 0, true
			return
		}
		m.updates = append(m.updates, updates...)
	})
}

// Lost says that there were changes of which the switch did not tell.
func (r *Reconciler) Lost() { r.post(func(m *mail) { m.updates, m.bytes, m.lost = nil, 0, true }) }

// Lead ends the standby.
func (r *Reconciler) Lead() { r.post(func(m *mail) { m.lead = true }) }

// Demoted says that another controller has become the switch's master.
func (r *Reconciler) Demoted() { r.post(func(m *mail) { m.demoted = true }) }

// Close gives back what was taken of the budget. No other method may be called any more.
func (r *Reconciler) Close() {
	r.held.Free()
	r.news.share.Free()
}

// Run reconciles until ctx is done, the connection has ended, or the switch can time and
// again not be read. It does nothing before the first call of Want.
func (r *Reconciler) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		r.open()
		a := r.core.next(time.Now())
		r.publish()
		if a.kind != idle {
			if err := r.do(ctx, a); err != nil {
				return err
			}
			continue
		}
		if timer.Stop(); !a.until.IsZero() {
			timer.Reset(time.Until(a.until))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.arrived:
		case <-timer.C:
		}
	}
}

// open reads the mail.
func (r *Reconciler) open() {
	r.mu.Lock()
	m := r.mail
	r.mail = mail{}
	r.mu.Unlock()
	now := time.Now()
	if p := m.program; p != nil {
		r.core.wanted(p)
		r.describe = p.Describe
		if r.since.IsZero() {
			r.since = now
		}
	}
	if m.updates != nil || m.lost {
		r.drifted(r.core.noticed(m.updates, m.lost))
	}
	r.core.lead = r.core.lead || m.lead
	if m.demoted {
		r.log.Warn("another controller has become the bridge's master, standing by", zap.Duration("retry", demotion))
		r.core.demoted(now)
	}
}

func (r *Reconciler) drifted(d Drift) {
	r.drift.add(d)
	if d.Flows() > 0 {
		r.cfg.Recorder.Drifted(r.cfg.Router, d.Deleted, d.Altered, d.Added)
	}
	if d.Groups+d.Meters > 0 {
		r.cfg.Recorder.DriftedTables(r.cfg.Router, d.Groups, d.Meters)
	}
}

// publish tells of what has changed since the last time.
func (r *Reconciler) publish() {
	rep := r.core.report()
	settled := rep.State == Settled || rep.State == Degraded
	if settled && !r.since.IsZero() {
		r.cfg.Recorder.Reconciled(r.cfg.Router, time.Since(r.since))
		r.since = time.Time{}
	}
	if rep.equal(r.last) {
		return
	}
	if rep.Foreign > r.last.Foreign && r.core.foreign == ReportForeign {
		r.log.Warn("the bridge has flows, groups or meters that are not ours, they stay", zap.Int("number", rep.Foreign))
	}
	r.last = rep
	r.cfg.Report(rep)
}

func (c *core) report() Report {
	rep := Report{State: c.state, Generation: c.gen, Confirmed: c.confirmed, Wanted: c.want.Flows.Len(), Installed: c.installed, Foreign: c.others}
	if c.have == nil {
		rep.Installed = 0
	}
	rep.Demoted = c.lead && c.state == Standby
	rep.Unread = c.unread
	for _, ref := range c.refused {
		rep.Refused = append(rep.Refused, ref.Refusal)
	}
	return rep
}

// equal reports whether a and b say the same; refusals are compared by number,
// as another commit lies between any two different ones.
func (a Report) equal(b Report) bool {
	return a.State == b.State && a.Generation == b.Generation && a.Confirmed == b.Confirmed && a.Wanted == b.Wanted && a.Installed == b.Installed &&
		a.Foreign == b.Foreign && a.Demoted == b.Demoted && (a.Unread == nil) == (b.Unread == nil) && len(a.Refused) == len(b.Refused)
}

// do carries out a and tells the core how it ended. An error is returned only
// if the connection is of no more use.
func (r *Reconciler) do(ctx context.Context, a act) error {
	limit, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	start := time.Now()
	var held Holdings
	var beyond Beyond
	var err error
	switch a.kind {
	case claim:
		err = r.cfg.Switch.Claim(limit, a.role)
	case read:
		share := r.cfg.Budget.Share(r.cfg.Bridge)
		held, beyond, err = r.cfg.Switch.Read(limit, Known{r.core.want, r.core.ours, r.core.oursGroup, r.core.oursMeter, share, r.cfg.maxUnwanted})
		if err != nil {
			share.Free()
			break
		}
		r.held.Free()
		r.held = share
	case meters:
		err = r.cfg.Switch.Program(limit, a.mods())
	case commit:
		if a.plain {
			err = r.cfg.Switch.Program(limit, a.mods())
		} else {
			err = r.cfg.Switch.Commit(limit, a.mods())
		}
		r.cfg.Recorder.Committed(r.cfg.Router, time.Since(start), a.delta, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, ofconn.ErrClosed) {
		return err
	}
	r.open() // what the switch told before it answered
	now := time.Now()
	switch a.kind {
	case claim:
		r.core.claimed(now, err)
		if err != nil {
			r.log.Warn("could not become "+a.role.String()+" of the bridge, trying again", zap.Error(err))
		}
	case read:
		if err != nil {
			if r.core.notRead(now, err) {
				return err
			}
			r.log.Warn("could not read the flows of the bridge, trying again", zap.Error(err))
			break
		}
		r.drifted(r.core.hasRead(now, held, beyond))
		r.mu.Lock()
		r.news.share.Free()
		r.news.own = ownBytes
		r.mu.Unlock()
		if beyond != (Beyond{}) {
			r.log.Info("the bridge has more flows than are wanted, looking at some of them at a time", zap.Int("ours", beyond.Ours), zap.Int("others", beyond.Foreign))
		}
		r.log.Debug("read flows back", zap.Int("flows", held.Flows.Len()), zap.Int("groups", len(held.Groups)),
			zap.Int("meters", len(held.Meters)), zap.Duration("took", now.Sub(start)))
	case meters, commit:
		r.told(a, now.Sub(start), err)
		r.refused(r.core.committed(now, err))
	}
	return nil
}
