package reconcile

import (
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Drift counts changes by other programs.
type Drift struct {
	Deleted int // desired flows that are missing
	Altered int // desired flows that differ
	Added   int // unwanted flows

	Groups, Meters int // groups and meters that are missing, different or added
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

// noticed handles flow updates from the switch. lost means that some updates are missing.
func (c *core) noticed(updates []ofproto.FlowUpdate, lost bool) Drift {
	c.updated += sizeOf(updates)
	if lost || len(c.pending)+len(updates) > maxPending || c.updated > updateBytes {
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
		c.reread = true // the order of the changes is unknown
		return Drift{}
	}
	if c.have == nil {
		return Drift{}
	}
	have := Holdings{applied(c.have.Flows, updates), c.have.Groups, c.have.Meters}
	d := c.drift(&have)
	c.have = &have
	if c.lostReferrer(updates) {
		c.readSoon()
	}
	return d
}

// lostReferrer reports whether a desired flow was deleted that refers to a group or meter. Perhaps
// the group or meter was deleted too. Switches do not report that.
func (c *core) lostReferrer(updates []ofproto.FlowUpdate) bool {
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

// foreign returns the updates that were not caused by this connection.
func foreign(updates []ofproto.FlowUpdate) (out []ofproto.FlowUpdate) {
	for _, u := range updates {
		if u.Event != ofproto.FlowAbbreviated {
			out = append(out, u)
		}
	}
	return out
}

// applied returns the result of applying the updates to s.
func applied(s ofproto.Set, updates []ofproto.FlowUpdate) ofproto.Set {
	latest := make(map[ofproto.FlowKey]ofproto.FlowMod, len(updates))
	for _, u := range updates {
		m := ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: u.Flow}
		if u.Event == ofproto.FlowDeleted {
			m.Command = ofproto.FlowDeleteStrict
		} else if old, ok := s.Get(u.Flow.FlowKey); ok {
			m.Flow.Flags = old.Flags // updates have no flags
		}
		latest[u.Flow.FlowKey] = m
	}
	mods := make([]ofproto.FlowMod, 0, len(latest))
	for _, m := range latest {
		mods = append(mods, m)
	}
	return s.Apply(mods)
}

// drift returns the changes of the switch by other programs, from a comparison of its contents
// with have and want.
func (c *core) drift(now *Holdings) (d Drift) {
	if !c.lead {
		return d // while another daemon leads, its changes are no drift
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

// drifted counts the entries of a table that have changed and now differ from want.
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

// hasRead handles the result of a reading.
func (c *core) hasRead(now time.Time, held Holdings, beyond Beyond) Drift {
	defer c.done()
	c.unread, c.misread = nil, 0
	held.Flows = applied(held.Flows, c.pending)
	d := Drift{}
	quiet := !c.disturbed && len(c.pending) == 0
	lost := c.lostReferrer(c.pending)
	if c.have != nil {
		d = c.drift(&held)
		if c.beyond != (Beyond{}) || beyond != (Beyond{}) {
			d.Added = 0 // the last reading returned other unwanted flows
		}
		c.compare(now, &held, quiet)
	}
	c.have, c.beyond, c.updated = &held, beyond, 0
	c.pending, c.reread, c.disturbed = nil, false, false
	c.readAt, c.auditAt = now, now.Add(c.audit)
	if len(c.tries) > 0 {
		c.auditAt = now.Add(min(verifyAfter, c.audit))
	}
	c.hasReadOn(now)
	if lost { // the lost changes may have happened after the groups were read
		c.readSoon()
	}
	return d
}

// compare finds entries that the switch always reports differently from what was sent, although no
// other program changes them. It holds these entries back. If another program has changed the
// switch in the meantime, compare ignores the reading.
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
	seen := ofproto.Diff(held.Flows, c.have.Flows) // differs from have
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

// is has the entries of the new reading, and expected the entries that the reading should have. If
// an expected entry equals its entry in want, but differs in is, oddities calls odd.
func oddities[E interface{ Equal(E) bool }](t table[E], is, expected, want []E, odd func(want, got ofproto.Mod)) {
	for now, before := range t.diff(is, expected) {
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
