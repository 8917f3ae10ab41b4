package counters

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/ofproto"
)

// What a switch says that it has counted is added up for good, so it must be possible. A
// counter cannot grow by more than a link carries.

// A link of 1 Tbit/s carries this in a second: bytes, and packets of the smallest size with
// what is between them.
const (
	linkBytes   = 125e9
	linkPackets = 1.5e9
)

// countingDelay is by how much longer a counter may have grown than we know of: Open vSwitch
// adds what its datapath has counted after some time.
const countingDelay = time.Minute

// carried returns the most that a flow can count in d.
func carried(d time.Duration) Tally {
	s := (d + countingDelay).Seconds()
	return Tally{uint64(min(s*linkPackets, math.MaxInt64)), uint64(min(s*linkBytes, math.MaxInt64))}
}

// within reports whether t is at most limit.
func (t Tally) within(limit Tally) bool { return t.Packets <= limit.Packets && t.Bytes <= limit.Bytes }

// sinceBoot returns for how long this machine has run.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return math.MaxInt64 / 2 // of a kernel that is too old, nothing is known
	}
	return time.Duration(ts.Nano())
}

// A Jump is what was not added.
type Jump struct {
	flows int // that have counted too much
	first ofproto.Flow
	grown Tally // of the first
	in    time.Duration
}

// Flows returns the number of flows, or of sums, that have counted too much.
func (j *Jump) Flows() int { return j.flows }

func (j *Jump) String() string {
	plural := ""
	if j.flows != 1 {
		plural = "s"
	}
	if j.first == (ofproto.Flow{}) {
		return fmt.Sprintf("%d sum%s", j.flows, plural) + " since the daemon's restart"
	}
	return fmt.Sprintf("%d flow%s, of which the first has counted %d packets and %d bytes in %v: %v", j.flows, plural, j.grown.Packets, j.grown.Bytes, j.in.Round(time.Second), j.first)
}

// implausible notes a flow that has counted too much.
func (r *reading) implausible(f ofproto.Flow, grown Tally) {
	if r.jump == nil {
		r.jump = &Jump{first: f, grown: grown, in: r.elapsed}
	}
	r.jump.flows++
}

// goOn makes the sums of the first reading go on from where the daemon before this one has
// left them. What it has not told can be as old as the machine.
func (r *reading) goOn(kept *keptCounters) {
	since := r.at
	if kept.At < since {
		since -= kept.At
	}
	for about, sum := range r.sums.all() {
		told, known := kept.Told[about]
		limit := carried(r.at)
		if known {
			limit = carried(since)
		}
		packets, ok1 := continued(told.Packets, sum.Packets, limit.Packets)
		bytes, ok2 := continued(told.Bytes, sum.Bytes, limit.Bytes)
		if !ok1 || !ok2 {
			packets, bytes = told.Packets, told.Bytes
			if r.jump == nil {
				r.jump = &Jump{}
			}
			r.jump.flows++
		}
		r.sums.of(about)[about] = Tally{packets, bytes}
	}
}

// continued returns the sum of a subject, of which told was told before and sum follows from
// what the flows count now. It never goes back, and grows by limit at most, else it is not
// believed.
func continued(told, sum uint64, limit uint64) (next uint64, ok bool) {
	switch grown := sum - told; {
	case grown > math.MaxInt64: // negative: flows are gone
		return told, true
	case grown > limit:
		return told, false
	}
	return sum, true
}
