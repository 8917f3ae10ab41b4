// Package reconcile makes one switch hold the desired flows, groups and meters.
//
// After a switch has connected, the reconciler reads its contents and sends only the difference, in
// one atomic bundle. From then on it keeps a copy of the contents up to date. It uses the
// confirmation of each commit, the switch's reports of changes by other controllers, and a periodic
// complete reading. If a commit is not answered, it reads the switch again.
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

// A Switch is a connected switch.
type Switch interface {
	// Claim requests the role of master or slave.
	Claim(context.Context, ofproto.Role) error
	// Read returns the contents of the switch. If it holds too many unwanted entries, Read returns
	// the desired entries and some of the others.
	Read(context.Context, Known) (Holdings, Beyond, error)
	// Commit applies changes of flows and groups atomically. If it returns an error, no change is
	// applied, unless the error wraps [ofconn.ErrUnknownOutcome].
	Commit(context.Context, []ofproto.Mod) error
	// Program applies changes of flows, groups and meters one by one. If the switch refuses some
	// changes, the others are applied, and the error is an [*ofconn.CommitError].
	Program(context.Context, []ofproto.Mod) error
}

// Holdings are the flows, groups and meters of a switch.
type Holdings struct {
	Flows  ofproto.Set
	Groups []ofproto.GroupEntry // by ID
	Meters []ofproto.MeterEntry // by ID
}

// A Recorder records the work of a [Reconciler]. Its methods may be called from any goroutine.
type Recorder interface {
	// Committed records a commit to a router's bridge: the time it took, its changes, and its
	// error.
	Committed(router string, took time.Duration, d ofproto.Delta, err error)
	// Reconciled records the time until a switch confirmed the program. The time starts when the
	// switch began to differ from the program, or when its contents became unknown.
	Reconciled(router string, took time.Duration)
	// SwitchError records an error message of a router's bridge. If the message answers no
	// request, router is "".
	SwitchError(router string, code ofproto.ErrorCode)
	// Drifted records flows that other programs changed.
	Drifted(router string, deleted, altered, added int)
	// DriftedTables records groups and meters that other programs changed.
	DriftedTables(router string, groups, meters int)
}

// Config configures a [Reconciler].
type Config struct {
	Router  string
	Switch  Switch
	Ours    func(ofproto.Cookie) bool // reports whether a flow with this cookie is ours
	Audit   time.Duration             // time between two readings of the switch
	Standby bool                      // do not lead until [Reconciler.Lead] is called
	// OursGroup and OursMeter report whether a group or meter with this ID is ours.
	OursGroup func(ofproto.GroupID) bool
	OursMeter func(ofproto.MeterID) bool
	// Budget is the memory that all switches share for unwanted entries. nil means no limit.
	Budget *ofconn.Budget
	Bridge string // name of the bridge in reports that Budget is used up
	// Report is called with each change of the report. It must not block for long.
	Report   func(Report)
	Recorder Recorder
	Log      *zap.Logger

	maxUnwanted int // for tests, see [Known]
}

// A Program has the desired flows, groups and meters of a switch. It is immutable. Programs that
// share lists of groups, meters or buckets can be compared fast.
type Program struct {
	Generation uint64 // grows with each change; not 0
	Flows      ofproto.Set
	Groups     []ofproto.GroupEntry // by ID
	Meters     []ofproto.MeterEntry // by ID
	Foreign    Foreign              // policy for flows, groups and meters of other programs
	Partial    bool                 // the intent is not completely known, so nothing is deleted
	// Keep selects flows that must not be deleted now. nil selects no flows.
	Keep     func(ofproto.Cookie) bool
	Describe func(ofproto.Mod) string // describes the object of a flow, group or meter
}

// A Report describes the state of a [Reconciler] and its switch.
type Report struct {
	State      State
	Generation uint64 // of the program
	Confirmed  uint64 // the latest program that the switch has confirmed, apart from refused changes
	Wanted     int    // number of desired flows
	Installed  int    // number of desired flows that are installed
	Foreign    int    // flows, groups and meters of other programs that are left alone
	Demoted    bool   // another controller is master although this daemon leads
	Unread     error  // error of the last reading of the switch; nil if it succeeded
	Refused    []Refusal
}

// A Refusal is a change that is not retried for a while.
type Refusal struct {
	Mod ofproto.Mod // an [ofproto.FlowMod], [ofproto.GroupMod] or [ofproto.MeterMod]
	Err error       // an [*ofproto.RefusedError] or an [*UnstableError]
}

const (
	switchTimeout = 30 * time.Second // for one request
	repairsLogged = time.Second      // minimum time between log lines about repairs
	maxLogged     = 10               // refused changes of one commit that are logged one by one
)

// A Reconciler makes one switch hold a [Program]. Create it with [New], then call
// [Reconciler.Run]. The other methods never block and may be called from any goroutine.
type Reconciler struct {
	cfg  Config
	log  *zap.Logger
	core core
	last Report

	describe func(ofproto.Mod) string
	since    time.Time // start of the time to report as Reconciled; zero if the program is confirmed
	drift    Drift     // not logged yet
	logged   time.Time // the last log line about drift

	held *ofconn.Share // memory of the entries that were read

	mu      sync.Mutex
	inbox   inbox
	updates quota         // quota for flow updates until the next reading
	arrived chan struct{} // capacity 1; full if inbox is not empty
}

// An inbox has the events that the goroutine of Run has not handled yet.
type inbox struct {
	program *Program // the latest
	updates []ofproto.FlowUpdate
	bytes   int  // of updates
	lost    bool // updates are missing
	lead    bool
	demoted bool
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	return &Reconciler{cfg: cfg, log: cfg.Log, core: newCore(cfg), arrived: make(chan struct{}, 1),
		updates: quota{math.MaxInt, math.MaxInt, ownBytes, cfg.Budget.Share(cfg.Bridge)}}
}

func (r *Reconciler) post(f func(*inbox)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.inbox)
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// Want sets the program. Only the latest one counts.
func (r *Reconciler) Want(p Program) { r.post(func(m *inbox) { m.program = &p }) }

// Noticed adds flow updates that the switch reported.
func (r *Reconciler) Noticed(updates []ofproto.FlowUpdate) {
	r.post(func(m *inbox) {
		n := sizeOf(updates)
		m.bytes += n
		if len(m.updates)+len(updates) > maxPending || m.bytes > updateBytes || n > 0 && !r.updates.take(n) {
			m.updates, m.bytes, m.lost = nil, 0, true
			return
		}
		m.updates = append(m.updates, updates...)
	})
}

// Lost records that the switch did not report some changes.
func (r *Reconciler) Lost() { r.post(func(m *inbox) { m.updates, m.bytes, m.lost = nil, 0, true }) }

// Lead makes a standby lead.
func (r *Reconciler) Lead() { r.post(func(m *inbox) { m.lead = true }) }

// Demoted records that another controller has become the switch's master.
func (r *Reconciler) Demoted() { r.post(func(m *inbox) { m.demoted = true }) }

// Close releases the memory budget. It must be the last call.
func (r *Reconciler) Close() {
	r.held.Free()
	r.updates.share.Free()
}

// Run reconciles until ctx is done, the connection has ended, or reading the switch has failed
// maxMisread times in a row. It does nothing before the first call of Want.
func (r *Reconciler) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		r.handleInbox()
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

// handleInbox handles the contents of the inbox.
func (r *Reconciler) handleInbox() {
	r.mu.Lock()
	m := r.inbox
	r.inbox = inbox{}
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
		r.log.Warn("another controller has become the bridge's master, waiting before claiming it again", zap.Duration("retry", demotion))
		r.core.demoted(now)
	}
}

// drifted counts drift.
func (r *Reconciler) drifted(d Drift) {
	r.drift.add(d)
	if d.Flows() > 0 {
		r.cfg.Recorder.Drifted(r.cfg.Router, d.Deleted, d.Altered, d.Added)
	}
	if d.Groups+d.Meters > 0 {
		r.cfg.Recorder.DriftedTables(r.cfg.Router, d.Groups, d.Meters)
	}
}

// publish sends a report if it differs from the last report.
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
		r.log.Warn("the bridge has flows, groups or meters of other programs, they stay unchanged", zap.Int("number", rep.Foreign))
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

// equal reports whether a and b are equal. It compares only the number of refusals. This is enough,
// because the set of refusals changes only with a commit.
func (a Report) equal(b Report) bool {
	return a.State == b.State && a.Generation == b.Generation && a.Confirmed == b.Confirmed && a.Wanted == b.Wanted && a.Installed == b.Installed &&
		a.Foreign == b.Foreign && a.Demoted == b.Demoted && (a.Unread == nil) == (b.Unread == nil) && len(a.Refused) == len(b.Refused)
}

// do executes a and reports the result to the core. It returns an error only if the connection
// is unusable.
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
	r.handleInbox() // updates that came before the answer
	now := time.Now()
	switch a.kind {
	case claim:
		r.core.claimed(now, err)
		if err != nil {
			r.log.Warn("could not become "+a.role.String()+" of the bridge, will retry", zap.Error(err))
		}
	case read:
		if err != nil {
			if r.core.notRead(now, err) {
				return err
			}
			r.log.Warn("could not read the flows of the bridge, will retry", zap.Error(err))
			break
		}
		r.drifted(r.core.hasRead(now, held, beyond))
		r.mu.Lock()
		r.updates.share.Free()
		r.updates.own = ownBytes
		r.mu.Unlock()
		if beyond != (Beyond{}) {
			r.log.Info("the bridge has too many unwanted flows, handling them in parts", zap.Int("ours", beyond.Ours), zap.Int("others", beyond.Foreign))
		}
		r.log.Debug("read flows back", zap.Int("flows", held.Flows.Len()), zap.Int("groups", len(held.Groups)),
			zap.Int("meters", len(held.Meters)), zap.Duration("took", now.Sub(start)))
	case meters, commit:
		r.logChange(a, now.Sub(start), err)
		r.logRefused(r.core.committed(now, err))
	}
	return nil
}
