package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A switch may hold far more than is wanted: flows of a larger topology, or of others. Or it
// says so. What it holds is read in memory for what is wanted and a number of others; when
// those have been deleted, the next ones are read.

const (
	// maxUnwanted is how many flows that are not wanted are known at a time, of ours and of
	// others each, and how many more than is wanted are read before they are looked at.
	maxUnwanted = 10_000
	// maxUnwantedBytes is how long their matches and instructions may be together.
	maxUnwantedBytes = 4 << 20
	// usualBytes is more than a wanted flow, group or meter has.
	usualBytes = 1 << 10
	// maxAgain is how many flows of those that are wanted a switch may tell of twice.
	maxAgain = 100
	// entryBytes is what a flow, group or meter takes besides its match and instructions.
	entryBytes = 128
	// ownBytes is what each switch may tell of besides the [ofconn.Budget] of all: at least one
	// flow, so that what is too much is deleted in the end.
	ownBytes = 1<<16 + entryBytes
)

// Known is what is known of a switch that is to be read.
type Known struct {
	Want      Holdings
	Ours      func(ofproto.Cookie) bool
	OursGroup func(ofproto.GroupID) bool
	OursMeter func(ofproto.MeterID) bool
	// Share is what takes memory for what is not wanted.
	Share *ofconn.Share

	most int // in tests, instead of maxUnwanted
}

// Beyond counts flows, groups and meters that a switch holds, that are not wanted, and that are
// not among its [Holdings] because these would be too many.
type Beyond struct{ Ours, Foreign int }

// A quota is how much of a kind may still be kept.
type quota struct {
	flows, bytes int
	own          int // of bytes: what is not taken of share
	share        *ofconn.Share
}

func (q *quota) take(bytes int) bool {
	switch cost := bytes + entryBytes; {
	case q.flows == 0 || q.bytes < bytes:
		return false
	case q.own >= cost:
		q.own -= cost
	case !q.share.Take(cost):
		return false
	}
	q.flows--
	q.bytes -= bytes
	return true
}

// A reader collects the flows, groups and meters of a switch.
type reader struct {
	Known
	flows  []ofproto.Flow
	groups []ofproto.GroupEntry
	meters []ofproto.MeterEntry
	all    quota // before the flows are looked at one by one

	strict        bool // they are
	equal, wanted quota
	ours, foreign quota
	beyond        Beyond
}

func newReader(k Known) *reader {
	n := k.Want.Flows.Len() + len(k.Want.Groups) + len(k.Want.Meters)
	some := quota{cmp.Or(k.most, maxUnwanted), maxUnwantedBytes, ownBytes, k.Share}
	known := quota{flows: n + maxAgain, bytes: (n + maxAgain) * usualBytes}
	return &reader{Known: k, all: quota{flows: 2 * n, bytes: 2 * n * usualBytes}, equal: known, wanted: known, ours: some, foreign: some}
}

// take takes in a part of the answer. It fails if the switch tells of a flow again and again.
func (r *reader) take(part []ofproto.FlowStats) error {
	for i := range part {
		f := part[i].Flow
		if !r.strict && r.all.take(f.Size()) {
			r.flows = append(r.flows, f)
			continue
		}
		if !r.strict {
			r.strict = true
			before := r.flows
			r.flows = nil
			for _, f := range before {
				if err := r.keep(f); err != nil {
					return err
				}
			}
		}
		if err := r.keep(f); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps a flow if there is room for it. One that is wanted takes no memory of its own.
func (r *reader) keep(f ofproto.Flow) error {
	w, ok := r.Want.Flows.Get(f.FlowKey)
	switch {
	case ok && w == f && r.equal.take(0):
		r.flows = append(r.flows, w)
	case ok && w != f && r.wanted.take(f.Size()):
		r.flows = append(r.flows, f)
	case ok:
		return errAgain
	case r.room(r.Ours(f.Cookie), f.Size()):
		r.flows = append(r.flows, f)
	}
	return nil
}

// room takes room for what is not wanted, and reports whether there was any.
func (r *reader) room(ours bool, bytes int) bool {
	q, beyond := &r.foreign, &r.beyond.Foreign
	if ours {
		q, beyond = &r.ours, &r.beyond.Ours
	}
	if q.take(bytes) {
		return true
	}
	*beyond++
	return false
}

// keepEntries appends the entries of a table for which there is room to held.
func keepEntries[E interface{ Equal(E) bool }](r *reader, t table[E], held, part, want []E, ours func(E) bool) ([]E, error) {
	for _, e := range part {
		switch w, ok := t.get(want, t.id(e)); {
		case ok && w.Equal(e) && r.equal.take(0):
			held = append(held, w)
		case ok && !w.Equal(e) && r.wanted.take(t.size(e)):
			held = append(held, e)
		case ok:
			return held, errAgain
		case r.room(ours(e), t.size(e)):
			held = append(held, e)
		}
	}
	return held, nil
}

// errAgain ends the connection of a switch that tells of what is wanted again and again.
var errAgain = fmt.Errorf("%w: it tells of the same flows, groups or meters again and again", ofconn.ErrTooLong)

// deletable returns how many of those beyond are to be deleted.
func (c *core) deletable() int {
	if c.have == nil || c.partial {
		return 0
	}
	if c.foreign == RemoveForeign {
		return c.beyond.Ours + c.beyond.Foreign
	}
	return c.beyond.Ours
}

// readOn has the switch read again after some of too many flows were deleted.
func (c *core) readOn() {
	c.rest = c.deletable()
	c.reread = true
}

// hasReadOn fails, so that the next attempt waits, if a switch that was read on has no fewer
// than before.
func (c *core) hasReadOn(now time.Time) {
	if c.rest > 0 && c.deletable() >= c.rest {
		c.fail(now)
	}
	c.rest = 0
}

// updateBytes is how long changes of flows that a switch tells of may be between two readings
// of it.
const updateBytes = 8 << 20

func sizeOf(updates []ofproto.FlowUpdate) (n int) {
	for i := range updates {
		n += updates[i].Flow.Size()
	}
	return n
}
