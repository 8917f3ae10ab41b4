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
	// maxEntries is how many groups or meters more than is wanted a switch may hold.
	maxEntries = 1 << 16
	// maxEntryBytes is how many bytes these may have.
	maxEntryBytes = 8 << 20
)

// Known is what is known of a switch that is to be read.
type Known struct {
	Want Holdings
	Ours func(ofproto.Cookie) bool

	most int // in tests, instead of maxUnwanted
}

// Beyond counts flows that a switch holds, that are not wanted, and that are not among its
// [Holdings] because these would be too many.
type Beyond struct{ Ours, Foreign int }

// A quota is how much of a kind may still be kept.
type quota struct{ flows, bytes int }

func (q *quota) take(bytes int) bool {
	if q.flows == 0 || q.bytes < bytes {
		return false
	}
	q.flows--
	q.bytes -= bytes
	return true
}

// A flowReader collects the flows of a switch.
type flowReader struct {
	Known
	flows []ofproto.Flow
	all   quota // before the flows are looked at one by one

	strict        bool // they are
	equal, wanted quota
	ours, foreign quota
	beyond        Beyond
}

func newFlowReader(k Known) *flowReader {
	n, most := k.Want.Flows.Len(), cmp.Or(k.most, maxUnwanted)
	some := quota{most, maxUnwantedBytes}
	known := quota{n + most, n*usualBytes + maxUnwantedBytes}
	return &flowReader{Known: k, all: quota{2*n + most, 2*n*usualBytes + maxUnwantedBytes},
		equal: known, wanted: known, ours: some, foreign: some}
}

// take takes in a part of the answer. It fails if the switch tells of a flow again and again.
func (r *flowReader) take(part []ofproto.FlowStats) error {
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
func (r *flowReader) keep(f ofproto.Flow) error {
	w, ok := r.Want.Flows.Get(f.FlowKey)
	switch {
	case ok && w == f && r.equal.take(0):
		r.flows = append(r.flows, w)
	case ok && w != f && r.wanted.take(f.Size()):
		r.flows = append(r.flows, f)
	case ok:
		return fmt.Errorf("%w: it tells of flows again and again", ofconn.ErrTooLong)
	case r.Ours(f.Cookie):
		if r.ours.take(f.Size()) {
			r.flows = append(r.flows, f)
		} else {
			r.beyond.Ours++
		}
	case r.foreign.take(f.Size()):
		r.flows = append(r.flows, f)
	default:
		r.beyond.Foreign++
	}
	return nil
}

// deletable returns how many of the flows beyond are to be deleted.
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
// flows than before.
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
