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

	Groups, Meters int // the same of groups and of meters
}

// Flows returns the number of flows.
func (d Drift) Flows() int { return d.Deleted + d.Altered + d.Added }

// Len returns the number of flows, groups and meters.
func (d Drift) Len() int { return d.Flows() + d.Groups + d.Meters }

func (d *Drift) add(e Drift) {
	d.Deleted += e.Deleted
	d.Altered += e.Altered
	d.Added += e.Added
	d.Groups += e.Groups
	d.Meters += e.Meters
}

// noticed takes in changes that the switch told of. With lost, it could not
// tell all.
func (c *core) noticed(updates []ofproto.FlowUpdate, lost bool) Drift {
	c.told += sizeOf(updates)
	if lost || len(c.pending)+len(updates) > maxPending || c.told > updateBytes {
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
	case commit, meters:
		c.reread = true // which came first is not known
		return Drift{}
	}
	if c.have == nil {
		return Drift{}
	}
	have := Holdings{applied(c.have.Flows, updates), c.have.Groups, c.have.Meters}
	d := c.drift(&have)
	c.have = &have
	if c.bereft(updates) {
		c.doubt()
	}
	return d
}

// bereft reports whether a flow vanished that is wanted and refers to a group or
// a meter: that may be why, and the switch does not tell of these.
func (c *core) bereft(updates []ofproto.FlowUpdate) bool {
	if len(c.want.Groups)+len(c.want.Meters) == 0 {
		return false
	}
	for _, u := range updates {
		if w, ok := c.want.Flows.Get(u.Flow.FlowKey); ok && u.Event == ofproto.FlowDeleted {
			if groups, meters := w.Do.Refs(); len(groups)+len(meters) > 0 {
				return true
			}
		}
	}
	return false
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
func (c *core) drift(now *Holdings) (d Drift) {
	if !c.lead {
		return d // the leader changes what it likes
	}
	seen := ofproto.Diff(c.have.Flows, now.Flows)
	for _, f := range seen.Delete {
		if _, ok := c.want.Flows.Get(f.FlowKey); ok {
			d.Deleted++
		}
	}
	for _, fs := range [][]ofproto.Flow{seen.Modify, seen.Add} {
		for _, f := range fs {
			switch w, ok := c.want.Flows.Get(f.FlowKey); {
			case !ok:
				d.Added++
			case w != f:
				d.Altered++
			}
		}
	}
	d.Groups = drifted(groupTable, c.have.Groups, now.Groups, c.want.Groups)
	d.Meters = drifted(meterTable, c.have.Meters, now.Meters, c.want.Meters)
	return d
}

// drifted counts the entries of a table that are not as they were and not as
// they are wanted.
func drifted[E interface{ Equal(E) bool }](t table[E], was, is, want []E) (n int) {
	for before, now := range t.diff(was, is) {
		if now == nil {
			if _, ok := t.get(want, t.id(*before)); ok {
				n++
			}
		} else if w, ok := t.get(want, t.id(*now)); !ok || !w.Equal(*now) {
			n++
		}
	}
	return n
}

// hasRead takes in what the switch holds.
func (c *core) hasRead(now time.Time, held Holdings, beyond Beyond) Drift {
	defer c.done()
	c.unread, c.misread = nil, 0
	held.Flows = applied(held.Flows, c.pending)
	d := Drift{}
	quiet := !c.disturbed && len(c.pending) == 0
	bereft := c.bereft(c.pending)
	if c.have != nil {
		d = c.drift(&held)
		if c.beyond != (Beyond{}) || beyond != (Beyond{}) {
			d.Added = 0 // others were looked at the last time
		}
		c.compare(now, &held, quiet)
	}
	c.have, c.beyond, c.told = &held, beyond, 0
	c.pending, c.reread, c.disturbed = nil, false, false
	c.readAt, c.auditAt = now, now.Add(c.audit)
	if len(c.tries) > 0 {
		c.auditAt = now.Add(min(verifyAfter, c.audit))
	}
	c.hasReadOn(now)
	if bereft { // after groups were read, perhaps
		c.doubt()
	}
	return d
}

// compare finds what looks different every time it has been sent, although
// nobody touches it, and gives up on it for a while. What others did in the
// meantime proves nothing.
func (c *core) compare(now time.Time, held *Holdings, quiet bool) {
	last := c.tries
	c.tries = nil
	if !quiet || !c.lead {
		return
	}
	tries := make(map[any]try)
	odd := func(want, got ofproto.Mod) {
		key := about(want)
		t := last[key]
		if t.n == 0 || !sameChange(t.want, want) || (t.got == nil) != (got == nil) || got != nil && !sameChange(t.got, got) {
			t = try{want: want, got: got}
		}
		if t.n++; t.n < maxTries {
			tries[key] = t
			return
		}
		c.refused[key] = &refusal{Refusal{want, &UnstableError{Want: want, Got: got, Tries: t.n}}, lastRetry, now.Add(lastRetry)}
	}
	seen := ofproto.Diff(held.Flows, c.have.Flows) // what was believed, and is not so
	for _, fs := range [][]ofproto.Flow{seen.Modify, seen.Add} {
		for _, f := range fs {
			if w, ok := c.want.Flows.Get(f.FlowKey); !ok || w != f {
				continue
			}
			var got ofproto.Mod
			if g, ok := held.Flows.Get(f.FlowKey); ok {
				got = ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: g}
			}
			odd(ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: f}, got)
		}
	}
	oddities(groupTable, held.Groups, c.have.Groups, c.want.Groups, odd)
	oddities(meterTable, held.Meters, c.have.Meters, c.want.Meters, odd)
	c.tries = tries
}

// oddities calls odd for the entries of a table that were believed to be as they
// are wanted, and are not.
func oddities[E interface{ Equal(E) bool }](t table[E], is, believed, want []E, odd func(want, got ofproto.Mod)) {
	for now, before := range t.diff(is, believed) {
		if before == nil {
			continue
		}
		if w, ok := t.get(want, t.id(*before)); ok && w.Equal(*before) {
			var got ofproto.Mod
			if now != nil {
				got = t.mod(added, *now)
			}
			odd(t.mod(added, w), got)
		}
	}
}
