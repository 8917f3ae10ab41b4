package reconcile

import (
	"errors"
	"time"

	"golang.org/x/time/rate"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// Foreign is what to do with flows, groups and meters that are not ours. A
// flow that is in the way of one of ours, with its table, priority and match,
// is replaced in any case.
type Foreign uint8

// The policies.
const (
	RemoveForeign Foreign = iota // delete them
	ReportForeign                // leave them and say so
	IgnoreForeign                // leave them
)

// Limits of what is tried.
const (
	firstRetry  = time.Second // of what was refused; doubles up to lastRetry
	lastRetry   = 5 * time.Minute
	maxRounds   = 5                // commits in a row that may be refused; the next goes change by change
	maxMisread  = 3                // times in a row that the switch cannot be read; then its connection is given up
	maxTries    = 3                // times that a flow which then looks different is sent
	demotion    = 30 * time.Second // until a master that another controller has replaced asks to be one again
	verifyAfter = time.Second      // until a flow that looked different is looked at again
	maxPending  = 10_000           // changes by others that are remembered one by one

	// Repairs of what others did: so many at once, then one in so long.
	repairBurst    = 10
	repairInterval = 100 * time.Millisecond
)

// An act is what to do next.
type act struct {
	kind  kind
	role  ofproto.Role  // claim
	set   []ofproto.Mod // meters: to add or modify; commit: groups to add or modify
	delta ofproto.Delta // commit
	drop  []ofproto.Mod // meters or groups to delete
	plain bool          // commit: change by change, not in a bundle
	gen   uint64        // the program that the switch holds when it is done; 0: none yet
	until time.Time     // idle: when to ask again; zero: when something happens
}

type kind uint8

const (
	idle   kind = iota
	claim       // ask for role
	read        // read everything back
	meters      // change meters, one by one: they cannot be in a bundle
	commit      // change groups and flows
)

// A core decides what to do with one switch. It has no clock and does no I/O:
// it is told the time and what happened, and returns what to do next. While
// that is being done, next is not called.
type core struct {
	foreign Foreign
	keep    func(ofproto.Cookie) bool // see [Program]
	partial bool                      // what is not wanted is left, because not all that is wanted is known
	audit   time.Duration             // from one reading to the next at the latest

	ours      func(ofproto.Cookie) bool
	oursGroup func(ofproto.GroupID) bool
	oursMeter func(ofproto.MeterID) bool

	state State
	doing act

	lead    bool         // whether this daemon is to lead
	role    ofproto.Role // that the switch has given; RoleNoChange: none yet
	retryAt time.Time    // nothing is done before
	failed  int          // times in a row that something failed
	bare    bool         // the switch knows no bundles

	gen     uint64 // of want; 0: nothing is wanted yet
	want    Holdings
	have    *Holdings // what the switch holds; nil if that is not known
	beyond  Beyond    // what it holds besides have
	rest    int       // of that, what was to be deleted when the switch was to be read on; else 0
	told    int       // bytes of changes that the switch has told of since the last reading
	reread  bool      // have may be wrong
	unread  error     // why the switch could not be read the last time
	misread int       // times in a row that it could not
	readAt  time.Time
	auditAt time.Time

	pending   []ofproto.FlowUpdate // what others did while the switch was being read
	disturbed bool                 // others did something since the last reading
	repairs   *rate.Limiter
	settled   uint64 // the last gen that was
	confirmed uint64 // the last gen that the switch has held, but for what it refuses

	target    Holdings         // what the switch holds when all that is to be done now has succeeded
	rounds    int              // refused commits in a row
	refused   map[any]*refusal // by what they are about
	tries     map[any]try      // the same
	installed int              // wanted flows that the switch holds
	others    int              // foreign flows, groups and meters that are left
}

// A refusal keeps a change that the switch does not take out of the way of the
// others.
type refusal struct {
	Refusal
	wait  time.Duration
	until time.Time
}

// A try is how often a flow, group or meter looked different after it was sent.
type try struct {
	want, got ofproto.Mod // that add it; got is nil if it was not there
	n         int
}

func newCore(cfg Config) core {
	return core{ours: cfg.Ours, oursGroup: cfg.OursGroup, oursMeter: cfg.OursMeter, audit: cfg.Audit, lead: !cfg.Standby,
		refused: make(map[any]*refusal), repairs: rate.NewLimiter(rate.Every(repairInterval), repairBurst)}
}

// wanted takes in what the switch should hold.
func (c *core) wanted(p *Program) {
	before := c.deletable()
	c.gen, c.want, c.foreign, c.partial, c.keep = p.Generation, Holdings{p.Flows, p.Groups, p.Meters}, p.Foreign, p.Partial, p.Keep
	if c.deletable() > before {
		c.reread = true
	}
}

// next returns what to do now.
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
		return act{until: c.retryAt} // the state is that of what failed
	case c.role != role:
		c.state = Claiming
		return act{kind: claim, role: role}
	case c.have == nil, c.reread, !now.Before(c.auditAt):
		c.state = Reading
		return act{kind: read}
	}
	todo := c.plan(now)
	switch {
	case !c.lead:
		c.state = Standby
		return act{until: c.auditAt}
	case todo.empty():
		c.believe(c.target)
		c.settled, c.confirmed, c.failed = c.gen, c.gen, 0
		c.state = Settled
		if len(c.refused) > 0 {
			c.state = Degraded
		}
		return act{until: earlier(c.auditAt, todo.retry)}
	case c.settled == c.gen: // what differs is others' doing
		repair := c.repairs.ReserveN(now, 1)
		if wait := repair.DelayFrom(now); wait > 0 {
			repair.CancelAt(now)
			c.state = Paused
			return act{until: earlier(c.auditAt, now.Add(wait))}
		}
	}
	c.state = Committing
	return c.step(todo)
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// claimed takes in the answer to a claim.
func (c *core) claimed(now time.Time, err error) {
	defer c.done()
	if err != nil {
		c.fail(now)
		return
	}
	c.role, c.reread = c.doing.role, true
}

// demoted takes in that another controller has become the switch's master.
func (c *core) demoted(now time.Time) {
	if c.role != ofproto.RoleMaster {
		return
	}
	c.role, c.state = ofproto.RoleNoChange, Standby
	c.retryAt = now.Add(demotion)
}

// believe notes what the switch holds.
func (c *core) believe(have Holdings) { c.have = &have }

// done notes that nothing is under way any more.
func (c *core) done() { c.doing = act{} }

// fail puts off everything.
func (c *core) fail(now time.Time) {
	c.failed++
	c.reread = true
	c.retryAt = now.Add(min(firstRetry<<min(c.failed-1, 20), lastRetry))
}

// committed takes in how a change of meters, or of groups and flows, ended, and
// returns what was refused.
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
			c.believe(c.have.after(a, refused.Refused))
			if a.kind == commit {
				c.rounds = 0
			}
		}
		c.quarantine(now, refused.Refused)
		return refused.Refused
	case errors.Is(err, ofconn.ErrUnknownOutcome):
		c.unknown(now)
	case bundled && errors.Is(err, ofproto.ErrBadExperimenter):
		c.bare = true
	case errors.As(err, &code):
		c.state = Paused
		c.fail(now)
	default:
		c.unknown(now)
	}
	return nil
}

// succeeded takes in that all of what was done was accepted. What was refused for
// want of it is tried again at once.
func (c *core) succeeded(now time.Time) {
	a := &c.doing
	if a.kind == commit {
		c.rounds = 0
	}
	if a.kind == commit && !a.plain {
		c.believe(Holdings{c.target.Flows, c.target.Groups, c.have.Meters})
	} else {
		c.believe(c.have.after(a, nil))
	}
	if c.deletable() > 0 && len(a.delta.Delete) > 0 {
		c.readOn()
	} else if a.gen != 0 {
		c.confirmed = a.gen // also if something newer is wanted by now
	}
	for _, ref := range c.refused {
		if len(a.delta.Delete) > 0 && errors.Is(ref.Err, ofproto.ErrTableFull) || len(a.set) > 0 && lacks(ref.Err) {
			ref.until = now
		}
	}
}

// lacks reports whether a flow was refused because it refers to a group or
// meter that the switch does not have.
func lacks(err error) bool {
	var e *ofproto.RefusedError
	if !errors.As(err, &e) {
		return false
	}
	_, isFlow := e.Mod.(ofproto.FlowMod)
	return isFlow && (e.Code == ofproto.ErrBadOutGroup || e.Code == ofproto.ErrInvalidMeter || e.Code == ofproto.ErrUnknownMeter)
}

// after returns h when a has been carried out but for what was refused.
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

// notRead takes in that the switch could not be read: it is tried again in a while. It
// reports whether to give the connection up instead.
func (c *core) notRead(now time.Time, err error) (giveUp bool) {
	defer c.done()
	c.unread = err
	c.misread++
	c.fail(now)
	return c.misread == maxMisread
}

// unknown takes in that nobody knows how a commit ended: the switch is read
// again, at once if that did not happen the last time too.
func (c *core) unknown(now time.Time) {
	c.have = nil
	if c.failed++; c.failed > 1 {
		c.failed--
		c.state = Paused
		c.fail(now)
	}
}

// quarantine takes refused changes out of what is tried, each for a time that
// doubles with every refusal.
func (c *core) quarantine(now time.Time, errs []*ofproto.RefusedError) {
	for _, e := range errs {
		key, wait := about(e.Mod), firstRetry
		if old := c.refused[key]; old != nil && sameChange(old.Mod, e.Mod) {
			wait = min(2*old.wait, lastRetry)
		}
		c.refused[key] = &refusal{Refusal{e.Mod, e}, wait, now.Add(wait)}
		if c.surprising(e) {
			c.doubt()
		}
	}
}

// surprising reports whether e says that the switch holds other groups or
// meters than is believed.
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

// has reports whether the switch is believed to have, or to be about to have,
// all groups and meters that a flow refers to, of which there is at least one.
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

// doubt has the switch read soon: at once if that was not done just now.
func (c *core) doubt() { c.auditAt = earlier(c.auditAt, c.readAt.Add(verifyAfter)) }
