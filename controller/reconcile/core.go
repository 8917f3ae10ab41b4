package reconcile

import (
	"errors"
	"time"

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
	delta ofproto.Delta // commit
	plain bool          // commit: change by change, not in a bundle
	gen   uint64        // commit: of the program that delta leads to
	until time.Time     // idle: when to ask again; zero: when something happens
}

type kind uint8

const (
	idle   kind = iota
	claim       // ask for role
	read        // read everything back
	commit      // send delta
	purge       // delete all groups and meters
)

// A core decides what to do with one switch. It has no clock and does no I/O:
// it is told the time and what happened, and returns what to do next. While
// that is being done, next is not called.
type core struct {
	foreign Foreign
	partial bool // what is not wanted is left, because not all that is wanted is known
	ours    func(ofproto.Cookie) bool
	audit   time.Duration // from one reading to the next at the latest

	state State
	doing act

	lead    bool         // whether this daemon is to lead
	role    ofproto.Role // that the switch has given; RoleNoChange: none yet
	retryAt time.Time    // nothing is done before
	failed  int          // times in a row that something failed
	bare    bool         // the switch knows no bundles

	gen     uint64 // of want; 0: nothing is wanted yet
	want    ofproto.Set
	have    *ofproto.Set // what the switch holds; nil if that is not known
	reread  bool         // have may be wrong
	auditAt time.Time
	strays  int // groups and meters

	pending   []ofproto.FlowUpdate // what others did while the switch was being read
	disturbed bool                 // others did something since the last reading
	repairs   bucket
	settled   uint64 // the last gen that was
	confirmed uint64 // the last gen that the switch has held, but for what it refuses

	target    ofproto.Set // what the switch holds if the commit succeeds
	rounds    int         // refused commits in a row
	refused   map[ofproto.FlowKey]*refusal
	tries     map[ofproto.FlowKey]try
	installed int // wanted flows that the switch holds
	others    int // foreign flows that are left
}

// A refusal keeps a change that the switch does not take out of the way of the
// others.
type refusal struct {
	Refusal
	wait  time.Duration
	until time.Time
}

// A try is how often a flow looked different after it was sent.
type try struct {
	want, got ofproto.Flow // got is zero if the flow was not there
	n         int
}

func newCore(cfg Config) core {
	return core{ours: cfg.Ours, audit: cfg.Audit, lead: !cfg.Standby, refused: make(map[ofproto.FlowKey]*refusal)}
}

// wanted takes in what the switch should hold.
func (c *core) wanted(p *Program) {
	c.gen, c.want, c.foreign, c.partial = p.Generation, p.Flows, p.Foreign, p.Partial
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
	todo, retry := c.split(ofproto.Diff(*c.have, c.want), now)
	switch {
	case !c.lead:
		c.state = Standby
		return act{until: c.auditAt}
	case todo.Len() == 0 && c.strays > 0 && c.foreign == RemoveForeign && !c.partial:
		c.state = Committing
		return act{kind: purge}
	case todo.Len() == 0:
		c.believe(c.target)
		c.settled, c.confirmed, c.failed = c.gen, c.gen, 0
		c.state = Settled
		if len(c.refused) > 0 {
			c.state = Degraded
		}
		return act{until: earlier(c.auditAt, retry)}
	case c.settled == c.gen && !c.repairs.take(now): // what differs is others' doing
		c.state = Paused
		return act{until: earlier(c.auditAt, c.repairs.next)}
	}
	c.state = Committing
	return act{kind: commit, delta: todo, plain: c.bare || c.rounds >= maxRounds, gen: c.gen}
}

// split divides d, which leads from what the switch has to what is wanted, into
// what to do and what to leave: what others own, and what was refused lately.
// It sets target. retry is when the first of the refused is to be tried again,
// zero if there are none.
func (c *core) split(d ofproto.Delta, now time.Time) (todo ofproto.Delta, retry time.Time) {
	var undo []ofproto.FlowMod // of want, that lead to target
	refused := make(map[ofproto.FlowKey]*refusal, len(c.refused))
	held := func(m ofproto.FlowMod) bool {
		ref := c.refused[m.Flow.FlowKey]
		if ref == nil || !sameChange(ref.Mod, m) {
			return false // something else is wanted by now
		}
		refused[m.Flow.FlowKey] = ref
		if !now.Before(ref.until) {
			return false
		}
		retry = earlier(retry, ref.until)
		return true
	}
	keep := func(f ofproto.Flow) {
		if old, ok := c.have.Get(f.FlowKey); ok {
			undo = append(undo, ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: old})
		} else {
			undo = append(undo, ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f})
		}
	}
	missing := 0
	c.others = 0
	for _, f := range d.Delete {
		m := ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f}
		switch {
		case c.foreign != RemoveForeign && !c.ours(f.Cookie):
			c.others++
			keep(f)
		case c.partial:
			keep(f)
		case held(m):
			keep(f)
		default:
			todo.Delete = append(todo.Delete, f)
		}
	}
	sort := func(command ofproto.FlowCommand, fs []ofproto.Flow, out *[]ofproto.Flow) {
		missing += len(fs)
		for _, f := range fs {
			if held(ofproto.FlowMod{Command: command, Flow: f}) {
				keep(f)
			} else {
				*out = append(*out, f)
			}
		}
	}
	sort(ofproto.FlowModifyStrict, d.Modify, &todo.Modify)
	sort(ofproto.FlowAdd, d.Add, &todo.Add)
	c.refused = refused
	c.installed = c.want.Len() - missing
	c.target = c.want.Apply(undo)
	return todo, retry
}

// sameChange reports whether a and b lead to the same: it does not matter
// whether by adding or by modifying.
func sameChange(a, b ofproto.FlowMod) bool {
	return (a.Command == ofproto.FlowDeleteStrict) == (b.Command == ofproto.FlowDeleteStrict) && a.Flow == b.Flow
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
func (c *core) believe(have ofproto.Set) { c.have = &have }

// done notes that nothing is under way any more.
func (c *core) done() { c.doing = act{} }

// fail puts off everything.
func (c *core) fail(now time.Time) {
	c.failed++
	c.reread = true
	c.retryAt = now.Add(min(firstRetry<<min(c.failed-1, 20), lastRetry))
}

// committed takes in how a commit ended, and returns what was refused.
func (c *core) committed(now time.Time, err error) []*ofproto.RefusedError {
	defer c.done()
	d := c.doing.delta
	var refused *ofconn.CommitError
	var code ofproto.ErrorCode
	switch {
	case err == nil:
		c.believe(c.target)
		c.rounds = 0
		c.confirmed = c.doing.gen // also if something newer is wanted by now
		for _, ref := range c.refused {
			if len(d.Delete) > 0 && errors.Is(ref.Err, ofproto.ErrTableFull) {
				ref.until = now // there is room now
			}
		}
	case errors.Is(err, ofproto.ErrIsSlave):
		c.demoted(now)
	case errors.As(err, &refused):
		c.rounds++
		if errors.Is(err, ofconn.ErrUnknownOutcome) {
			c.have = nil
		} else if c.doing.plain {
			c.believe(c.have.Apply(without(d.Mods(), refused.Refused)))
			c.rounds = 0
		}
		c.quarantine(now, refused.Refused)
		return refused.Refused
	case errors.Is(err, ofconn.ErrUnknownOutcome):
		c.unknown(now)
	case !c.doing.plain && errors.Is(err, ofproto.ErrBadExperimenter):
		c.bare = true
	case errors.As(err, &code):
		c.state = Paused
		c.fail(now)
	default:
		c.unknown(now)
	}
	return nil
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

// without returns mods less those that were refused.
func without(mods []ofproto.FlowMod, refused []*ofproto.RefusedError) []ofproto.FlowMod {
	drop := make(map[ofproto.FlowKey]bool, len(refused))
	for _, e := range refused {
		drop[e.Mod.Flow.FlowKey] = true
	}
	out := mods[:0]
	for _, m := range mods {
		if !drop[m.Flow.FlowKey] {
			out = append(out, m)
		}
	}
	return out
}

// quarantine takes refused changes out of what is tried, each for a time that
// doubles with every refusal.
func (c *core) quarantine(now time.Time, errs []*ofproto.RefusedError) {
	for _, e := range errs {
		wait := firstRetry
		if old := c.refused[e.Mod.Flow.FlowKey]; old != nil && sameChange(old.Mod, e.Mod) {
			wait = min(2*old.wait, lastRetry)
		}
		c.refused[e.Mod.Flow.FlowKey] = &refusal{Refusal{e.Mod, e}, wait, now.Add(wait)}
	}
}

// purged takes in that groups and meters were deleted, or an error.
func (c *core) purged(now time.Time, err error) {
	defer c.done()
	c.strays, c.reread = 0, true // flows may have gone with them
	if err != nil {
		c.state = Paused
		c.fail(now)
	}
}
