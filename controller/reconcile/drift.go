package reconcile

import (
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Drift counts flows that others changed.
type Drift struct {
	Deleted int // wanted, and not there any more
	Altered int // wanted, and different from that
	Added   int // not wanted
}

// Len returns the number of flows.
func (d Drift) Len() int { return d.Deleted + d.Altered + d.Added }

func (d *Drift) add(e Drift) {
	d.Deleted += e.Deleted
	d.Altered += e.Altered
	d.Added += e.Added
}

// noticed takes in changes that the switch told of. With lost, it could not
// tell all.
func (c *core) noticed(updates []ofproto.FlowUpdate, lost bool) Drift {
	if lost || len(c.pending)+len(updates) > maxPending {
		c.reread, c.disturbed = true, true
		return Drift{}
	}
	if updates = foreign(updates); len(updates) == 0 {
		return Drift{}
	}
	c.disturbed = true
	switch c.doing.kind {
	case read:
		c.pending = append(c.pending, updates...)
		return Drift{}
	case commit, purge:
		c.reread = true // which came first is not known
		return Drift{}
	}
	if c.have == nil {
		return Drift{}
	}
	have := applied(*c.have, updates)
	d := c.drift(have)
	c.have = &have
	return d
}

// foreign returns the updates that do not come from this connection.
func foreign(updates []ofproto.FlowUpdate) (out []ofproto.FlowUpdate) {
	for _, u := range updates {
		if u.Event != ofproto.FlowAbbreviated {
			out = append(out, u)
		}
	}
	return out
}

// applied returns s with updates.
func applied(s ofproto.Set, updates []ofproto.FlowUpdate) ofproto.Set {
	latest := make(map[ofproto.FlowKey]ofproto.FlowMod, len(updates))
	for _, u := range updates {
		m := ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: u.Flow}
		if u.Event == ofproto.FlowDeleted {
			m.Command = ofproto.FlowDeleteStrict
		} else if old, ok := s.Get(u.Flow.FlowKey); ok {
			m.Flow.Flags = old.Flags // of which the switch does not tell
		}
		latest[u.Flow.FlowKey] = m
	}
	mods := make([]ofproto.FlowMod, 0, len(latest))
	for _, m := range latest {
		mods = append(mods, m)
	}
	return s.Apply(mods)
}

// drift compares what the switch holds with what it was believed to hold, and
// counts what differs from what is wanted.
func (c *core) drift(now ofproto.Set) (d Drift) {
	if !c.lead {
		return d // the leader changes what it likes
	}
	seen := ofproto.Diff(*c.have, now)
	for _, f := range seen.Delete {
		if _, ok := c.want.Get(f.FlowKey); ok {
			d.Deleted++
		}
	}
	for _, fs := range [][]ofproto.Flow{seen.Modify, seen.Add} {
		for _, f := range fs {
			switch w, ok := c.want.Get(f.FlowKey); {
			case !ok:
				d.Added++
			case w != f:
				d.Altered++
			}
		}
	}
	return d
}

// hasRead takes in what the switch holds, and how many groups and meters.
func (c *core) hasRead(now time.Time, flows ofproto.Set, strays int) Drift {
	defer c.done()
	flows = applied(flows, c.pending)
	d := Drift{}
	quiet := !c.disturbed && len(c.pending) == 0
	if c.have != nil {
		d = c.drift(flows)
		c.compare(now, flows, quiet)
	}
	c.have, c.strays = &flows, strays
	c.pending, c.reread, c.disturbed = nil, false, false
	c.auditAt = now.Add(c.audit)
	if len(c.tries) > 0 {
		c.auditAt = now.Add(min(verifyAfter, c.audit))
	}
	return d
}

// compare finds flows that look different every time they have been sent,
// although nobody touches them, and gives up on them for a while. What others
// did in the meantime proves nothing.
func (c *core) compare(now time.Time, flows ofproto.Set, quiet bool) {
	tries := make(map[ofproto.FlowKey]try)
	defer func() { c.tries = tries }()
	if !quiet || !c.lead {
		return
	}
	seen := ofproto.Diff(flows, *c.have) // what was believed, and is not so
	for _, fs := range [][]ofproto.Flow{seen.Modify, seen.Add} {
		for _, f := range fs {
			if w, ok := c.want.Get(f.FlowKey); !ok || w != f {
				continue
			}
			got, _ := flows.Get(f.FlowKey)
			t := c.tries[f.FlowKey]
			if t.want != f || t.got != got {
				t = try{want: f, got: got}
			}
			t.n++
			if t.n < maxTries {
				tries[f.FlowKey] = t
				continue
			}
			m := ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: f}
			c.refused[f.FlowKey] = &refusal{Refusal{m, &UnstableError{Want: f, Got: got, Tries: t.n}}, lastRetry, now.Add(lastRetry)}
		}
	}
}

// A bucket lets a burst through, then one at a time.
type bucket struct {
	level int       // that were let through and not yet made up for
	next  time.Time // when the level falls by one, if it is not 0
}

// take reports whether another one may go through now.
func (b *bucket) take(now time.Time) bool {
	for b.level > 0 && !now.Before(b.next) {
		b.level--
		b.next = b.next.Add(repairInterval)
	}
	if b.level >= repairBurst {
		return false
	}
	if b.level == 0 {
		b.next = now.Add(repairInterval)
	}
	b.level++
	return true
}
