package reconcile

import (
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// Foreign is the policy for flows, groups and meters of other programs. If a foreign flow has the
// same table, priority and match as one of ours, ours replaces it in any case.
type Foreign uint8

// The policies.
const (
	RemoveForeign Foreign = iota // delete them
	ReportForeign                // leave them alone and log their number
	IgnoreForeign                // leave them alone
)

// Limits and intervals.
const (
	firstRetry  = time.Second // pause after a refusal; doubles up to lastRetry
	lastRetry   = 5 * time.Minute
	maxRounds   = 5                // refused bundles in a row; then changes are sent one by one
	maxMisread  = 3                // failed readings in a row; then the connection is closed
	maxTries    = 3                // number of times that a flow is sent if the switch reports it differently
	demotion    = 30 * time.Second // pause before we claim the master role again after another controller took it
	verifyAfter = time.Second      // pause until the switch is read again after it reported a flow differently
	maxPending  = 10_000           // changes by other programs that are kept one by one

	// Repairs are limited to a burst, and then to one per interval.
	repairBurst    = 10
	repairInterval = 100 * time.Millisecond
)

// An act is the next action.
type act struct {
	kind  kind
	role  ofproto.Role  // for claim
	set   []ofproto.Mod // meters to add or modify; for commit, groups to add or modify
	delta ofproto.Delta // for commit
	drop  []ofproto.Mod // meters or groups to delete
	plain bool          // a commit sends each change by itself, not in a bundle
	gen   uint64        // generation of the program that the switch holds after the action; 0 before the first program
	until time.Time     // for idle, the time of the next call of method next; zero means after the next event
}

type kind uint8

const (
	idle   kind = iota
	claim       // request the role
	read        // read everything back
	meters      // change meters, one by one, because they cannot be in a bundle
	commit      // change groups and flows
)

// A core decides the next action for one switch. It has no clock and does no I/O. The caller
// provides the time and events, and executes the actions that the method next returns. The
// caller must not call next while it executes an action.
type core struct {
	foreign Foreign
	keep    func(ofproto.Cookie) bool // see [Program]
	partial bool                      // unwanted entries are left alone, because the intent is not completely known
	audit   time.Duration             // maximum time between readings

	ours      func(ofproto.Cookie) bool
	oursGroup func(ofproto.GroupID) bool
	oursMeter func(ofproto.MeterID) bool

	state State
	doing act

	lead     bool         // this daemon leads
	role     ofproto.Role // the role that the switch has granted; RoleNoChange before the first
	retryAt  time.Time    // no action before
	failed   int          // failures in a row
	noBundle bool         // the switch does not support bundles

	gen     uint64 // generation of want; 0 if there is no program yet
	want    Holdings
	have    *Holdings // contents of the switch; nil if not known
	beyond  Beyond    // entries of the switch that are not in have
	rest    int       // number of entries in beyond to delete, at the last call of readOn; else 0
	updated int       // bytes of flow updates since the last reading
	reread  bool      // read again, because have may be wrong
	unread  error     // the error of the last reading
	misread int       // failed readings in a row
	readAt  time.Time
	auditAt time.Time

	pending   []ofproto.FlowUpdate // changes by other programs during the current reading
	disturbed bool                 // another program has changed the switch since the last reading
	repairs   *rate.Limiter
	settled   uint64 // the last settled generation
	confirmed uint64 // the last generation that the switch has held, apart from refused changes

	target    Holdings         // the contents of the switch after the current steps
	rounds    int              // refused bundles in a row
	refused   map[any]*refusal // by [about]
	tries     map[any]try      // by [about]
	installed int              // desired flows that are installed
	others    int              // foreign entries that are left alone
}

// A refusal holds a refused change back, so that other changes can succeed.
type refusal struct {
	Refusal
	wait  time.Duration
	until time.Time
}

// A try counts the number of times that an entry was sent and then reported differently.
type try struct {
	want, got ofproto.Mod // the entry as sent and as reported, as additions; got is nil if the entry was missing
	n         int
}

func newCore(cfg Config) core {
	return core{ours: cfg.Ours, oursGroup: cfg.OursGroup, oursMeter: cfg.OursMeter, audit: cfg.Audit, lead: !cfg.Standby,
		refused: make(map[any]*refusal), repairs: rate.NewLimiter(rate.Every(repairInterval), repairBurst)}
}

// wanted sets the program.
func (c *core) wanted(p *Program) {
	before := c.deletable()
	c.gen, c.want, c.foreign, c.partial, c.keep = p.Generation, Holdings{p.Flows, p.Groups, p.Meters}, p.Foreign, p.Partial, p.Keep
	if c.deletable() > before {
		c.reread = true
	}
}

// next returns the next action.
func (c *core) next(now time.Time) act {
	c.doing = c.decide(now)
	return c.doing
}

func (c *core) decide(now time.Time) act {
	role := ofproto.RoleSlave
	if c.lead {
		role = ofproto.RoleMaster
	}
	switch {
	case c.gen == 0:
		c.state = Waiting
		return act{}
	case now.Before(c.retryAt):
		return act{until: c.retryAt} // keeps the state of the failed action
	case c.role != role:
		c.state = Claiming
		return act{kind: claim, role: role}
	case c.have == nil, c.reread, !now.Before(c.auditAt):
		c.state = Reading
		return act{kind: read}
	}
	todo := c.steps(now)
	switch {
	case !c.lead:
		c.state = Standby
		return act{until: c.auditAt}
	case todo.empty():
		c.setHave(c.target)
		c.settled, c.confirmed, c.failed = c.gen, c.gen, 0
		c.state = Settled
		if len(c.refused) > 0 {
			c.state = Degraded
		}
		return act{until: earlier(c.auditAt, todo.retry)}
	case c.settled == c.gen: // other programs have changed the switch
		repair := c.repairs.ReserveN(now, 1)
		if wait := repair.DelayFrom(now); wait > 0 {
			repair.CancelAt(now)
			c.state = Paused
			return act{until: earlier(c.auditAt, now.Add(wait))}
		}
	}
	c.state = Committing
	return c.first(todo)
}

// earlier returns the earlier of two times. A zero time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// claimed handles the answer to a claim.
func (c *core) claimed(now time.Time, err error) {
	defer c.done()
	if err != nil {
		c.fail(now)
		return
	}
	c.role, c.reread = c.doing.role, true
}

// demoted handles the event that another controller has become the switch's master.
func (c *core) demoted(now time.Time) {
	if c.role != ofproto.RoleMaster {
		return
	}
	c.role, c.state = ofproto.RoleNoChange, Standby
	c.retryAt = now.Add(demotion)
}

// setHave sets the contents of the switch.
func (c *core) setHave(have Holdings) { c.have = &have }

// done records that the current action has ended.
func (c *core) done() { c.doing = act{} }

// fail delays all further actions.
func (c *core) fail(now time.Time) {
	c.failed++
	c.reread = true
	c.retryAt = now.Add(min(firstRetry<<min(c.failed-1, 20), lastRetry))
}

// committed handles the result of a change of meters, or of groups and flows, and returns the
// refused changes.
func (c *core) committed(now time.Time, err error) []*ofproto.RefusedError {
	defer c.done()
	a := &c.doing
	bundled := a.kind == commit && !a.plain
	var refused *ofconn.CommitError
	var code ofproto.ErrorCode
	switch {
	case err == nil:
		c.succeeded(now)
	case errors.Is(err, ofproto.ErrIsSlave):
		c.demoted(now)
	case errors.As(err, &refused):
		if a.kind == commit {
			c.rounds++
		}
		if errors.Is(err, ofconn.ErrUnknownOutcome) {
			c.have = nil
		} else if !bundled {
			c.setHave(c.have.after(a, refused.Refused))
			if a.kind == commit {
				c.rounds = 0
			}
		}
		c.quarantine(now, refused.Refused)
		return refused.Refused
	case errors.Is(err, ofconn.ErrUnknownOutcome):
		c.unknown(now)
	case bundled && errors.Is(err, ofproto.ErrBadExperimenter):
		c.noBundle = true
	case errors.As(err, &code):
		c.state = Paused
		c.fail(now)
	default:
		c.unknown(now)
	}
	return nil
}

// succeeded handles a change without refusals. Changes that were refused because they depend
// on it are retried at once.
func (c *core) succeeded(now time.Time) {
	a := &c.doing
	if a.kind == commit {
		c.rounds = 0
	}
	if a.kind == commit && !a.plain {
		c.setHave(Holdings{c.target.Flows, c.target.Groups, c.have.Meters})
	} else {
		c.setHave(c.have.after(a, nil))
	}
	if c.deletable() > 0 && len(a.delta.Delete) > 0 {
		c.readOn()
	} else if a.gen != 0 {
		c.confirmed = a.gen // holds even if a newer program has arrived
	}
	for _, ref := range c.refused {
		if len(a.delta.Delete) > 0 && errors.Is(ref.Err, ofproto.ErrTableFull) || len(a.set) > 0 && lacks(ref.Err) {
			ref.until = now
		}
	}
}

// lacks reports whether a flow was refused because it refers to a group or meter that the
// switch does not have.
func lacks(err error) bool {
	var e *ofproto.RefusedError
	if !errors.As(err, &e) {
		return false
	}
	_, isFlow := e.Mod.(ofproto.FlowMod)
	return isFlow && (e.Code == ofproto.ErrBadOutGroup || e.Code == ofproto.ErrInvalidMeter || e.Code == ofproto.ErrUnknownMeter)
}

// after returns the contents of a switch after action a, if it held h before. Refused changes have
// no effect.
func (h *Holdings) after(a *act, refused []*ofproto.RefusedError) Holdings {
	next := Holdings{h.Flows.Apply(without(a.delta.Mods(), refused)), h.Groups, h.Meters}
	for _, mods := range [][]ofproto.Mod{a.set, a.drop} {
		mods = without(mods, refused)
		if a.kind == meters {
			next.Meters = meterTable.apply(next.Meters, mods)
		} else {
			next.Groups = groupTable.apply(next.Groups, mods)
		}
	}
	return next
}

// notRead handles a failed reading, which is retried after a pause. It reports whether to
// close the connection instead.
func (c *core) notRead(now time.Time, err error) (giveUp bool) {
	defer c.done()
	c.unread = err
	c.misread++
	c.fail(now)
	return c.misread == maxMisread
}

// unknown handles a commit with unknown outcome: the switch must be read again. This happens at
// once, unless the outcome of the previous commit was unknown too.
func (c *core) unknown(now time.Time) {
	c.have = nil
	if c.failed++; c.failed > 1 {
		c.failed--
		c.state = Paused
		c.fail(now)
	}
}

// quarantine holds refused changes back. The time doubles with every refusal of the same change.
func (c *core) quarantine(now time.Time, errs []*ofproto.RefusedError) {
	for _, e := range errs {
		key, wait := about(e.Mod), firstRetry
		if old := c.refused[key]; old != nil && sameChange(old.Mod, e.Mod) {
			wait = min(2*old.wait, lastRetry)
		}
		c.refused[key] = &refusal{Refusal{e.Mod, e}, wait, now.Add(wait)}
		if c.surprising(e) {
			c.readSoon()
		}
	}
}

// surprising reports whether error e shows that the groups or meters of the switch differ from
// c.have.
func (c *core) surprising(e *ofproto.RefusedError) bool {
	switch e.Code {
	case ofproto.ErrGroupExists, ofproto.ErrUnknownGroup, ofproto.ErrMeterExists:
		return true
	case ofproto.ErrUnknownMeter, ofproto.ErrInvalidMeter, ofproto.ErrBadOutGroup:
		f, ok := e.Mod.(ofproto.FlowMod)
		return !ok || c.has(f.Flow.Do)
	}
	return false
}

// has reports whether a flow refers to groups or meters and all of them are in target.
func (c *core) has(do ofproto.Instructions) bool {
	groups, meters := do.Refs()
	for _, id := range groups {
		if _, ok := groupTable.get(c.target.Groups, uint32(id)); !ok {
			return false
		}
	}
	for _, id := range meters {
		if _, ok := meterTable.get(c.target.Meters, uint32(id)); !ok {
			return false
		}
	}
	return len(groups)+len(meters) > 0
}

// readSoon schedules a reading, as soon as verifyAfter has passed since the last reading.
func (c *core) readSoon() { c.auditAt = earlier(c.auditAt, c.readAt.Add(verifyAfter)) }
