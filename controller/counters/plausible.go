package counters

import (
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/ofproto"
)

// The sums can never be corrected, so a counter from a switch is checked before it is added. It
// cannot grow by more than a link carries.

// A link of 1 Tbit/s carries at most these numbers of bytes and packets in a second. The packets
// have the smallest size, with the gaps between them.
const (
	linkBytes   = 125e9
	linkPackets = 1.5e9
)

// countingDelay is added to the time in which a counter may have grown, because Open vSwitch
// adds the datapath's counters with a delay.
const countingDelay = time.Minute

// carried returns the maximum that a flow can count in d.
func carried(d time.Duration) Tally {
	s := (d + countingDelay).Seconds()
	return Tally{uint64(min(s*linkPackets, math.MaxInt64)), uint64(min(s*linkBytes, math.MaxInt64))}
}

// within reports whether t is at most limit.
func (t Tally) within(limit Tally) bool { return t.Packets <= limit.Packets && t.Bytes <= limit.Bytes }

// sinceBoot returns the time since the start of this machine.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return math.MaxInt64 / 2 // an old kernel has no such clock
	}
	return time.Duration(ts.Nano())
}

// A Jump describes counters that were not added because they grew by an implausible amount.
type Jump struct {
	flows int // number of flows or sums
	first ofproto.Flow
	grown Tally         // growth of the first flow or sum
	in    time.Duration // the time of this growth
}

// Flows returns the number of flows, or of sums, with an implausible counter.
func (j *Jump) Flows() int { return j.flows }

func (j *Jump) String() string {
	plural := ""
	if j.flows != 1 {
		plural = "s"
	}
	if j.first == (ofproto.Flow{}) {
		return fmt.Sprintf("%d sum%s", j.flows, plural) + " since the daemon's restart"
	}
	return fmt.Sprintf("%d flow%s, the first of which counted %d packets and %d bytes in %v: %v", j.flows, plural, j.grown.Packets, j.grown.Bytes, j.in.Round(time.Second), j.first)
}

// implausible records a flow with an implausible counter.
func (r *reading) implausible(f ofproto.Flow, grown Tally) {
	if r.jump == nil {
		r.jump = &Jump{first: f, grown: grown, in: r.elapsed}
	}
	r.jump.flows++
}

// resume adds the values of the previous daemon to the sums of the first reading. If the previous
// daemon had not reported a subject, its packets may have been counted since the start of the
// machine.
func (r *reading) resume(kept *keptCounters) {
	since := r.at
	if kept.At < since {
		since -= kept.At
	}
	for about, sum := range r.sums.all() {
		reported, known := kept.Reported[about]
		limit := carried(r.at)
		if known {
			limit = carried(since)
		}
		packets, ok1 := continued(reported.Packets, sum.Packets, limit.Packets)
		bytes, ok2 := continued(reported.Bytes, sum.Bytes, limit.Bytes)
		if !ok1 || !ok2 {
			packets, bytes = reported.Packets, reported.Bytes
			if r.jump == nil {
				r.jump = &Jump{}
			}
			r.jump.flows++
		}
		r.sums.of(about)[about] = Tally{packets, bytes}
	}
}

// continued returns the next value of a counter. reported is its last reported value, and sum its
// value from the flows' current counters. A counter never decreases. If it grew by more than limit,
// continued returns reported, and ok is false.
func continued(reported, sum uint64, limit uint64) (next uint64, ok bool) {
	switch grown := sum - reported; {
	case grown > math.MaxInt64: // negative, because flows were deleted
		return reported, true
	case grown > limit:
		return reported, false
	}
	return sum, true
}
