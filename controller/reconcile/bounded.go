package reconcile

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A switch may report far more entries than desired, for example flows of an earlier, larger
// topology or of other programs. One reading keeps the desired entries and a limited number of
// unwanted entries. After these are deleted, another reading keeps the next unwanted entries.

const (
	// maxUnwanted is the number of unwanted flows that are kept at a time. It applies to our
	// flows and to foreign flows separately.
	maxUnwanted = 10_000
	// maxUnwantedBytes is the maximum total length of their matches and instructions.
	maxUnwantedBytes = 4 << 20
	// usualBytes is more than the size of any desired flow, group or meter.
	usualBytes = 1 << 10
	// maxAgain is the number of desired flows that a switch may return twice.
	maxAgain = 100
	// entryBytes is the memory of a flow, group or meter besides its match and instructions.
	entryBytes = 128
	// ownBytes is the memory of each switch in addition to the shared [ofconn.Budget]. It is enough
	// for at least one flow. So in the end all unwanted flows are deleted.
	ownBytes = 1<<16 + entryBytes
)

// Known has the desired entries. A reader compares the contents of the switch with them.
type Known struct {
	Want      Holdings
	Ours      func(ofproto.Cookie) bool
	OursGroup func(ofproto.GroupID) bool
	OursMeter func(ofproto.MeterID) bool
	// Share provides memory for unwanted entries.
	Share *ofconn.Share

	most int // replaces maxUnwanted in tests
}

// Beyond has the numbers of unwanted flows, groups and meters that did not fit into a switch's
// [Holdings].
type Beyond struct{ Ours, Foreign int }

// A quota is the number of entries and bytes that may still be kept.
type quota struct {
	flows, bytes int
	own          int // the switch's own memory, used before memory from share
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
	all    quota // quota for flows that have not been compared yet

	strict        bool // flows are compared one by one
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

// take adds a part of the answer. It fails if the switch returns the same flow repeatedly.
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

// keep keeps a flow if there is room for it. Desired flows need no additional memory.
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

// room reserves memory for an unwanted entry, and reports whether there was enough.
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

// keepEntries appends the entries of part to held, as far as they fit.
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

// errAgain ends the connection of a switch that returns the same entries repeatedly.
var errAgain = fmt.Errorf("%w: it returned the same flows, groups or meters again and again", ofconn.ErrTooLong)

// deletable returns the number of entries outside the holdings that have to be deleted.
func (c *core) deletable() int {
	if c.have == nil || c.partial {
		return 0
	}
	if c.foreign == RemoveForeign {
		return c.beyond.Ours + c.beyond.Foreign
	}
	return c.beyond.Ours
}

// readOn schedules another reading after the unwanted entries of the last reading were deleted.
func (c *core) readOn() {
	c.rest = c.deletable()
	c.reread = true
}

// hasReadOn delays the next attempt if the number of entries to delete has not become smaller.
func (c *core) hasReadOn(now time.Time) {
	if c.rest > 0 && c.deletable() >= c.rest {
		c.fail(now)
	}
	c.rest = 0
}

// updateBytes is the maximum size of flow updates between two readings.
const updateBytes = 8 << 20

func sizeOf(updates []ofproto.FlowUpdate) (n int) {
	for i := range updates {
		n += updates[i].Flow.Size()
	}
	return n
}
