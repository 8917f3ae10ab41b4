package ofconn

import "time"

// keepalive decides when to probe a silent switch and when to give up on it.
// It has no clock and does no I/O: the caller says what time it is. The zero
// value is not ready for use; set interval and call heard.
//
// A switch that has said nothing for interval is sent an echo request; one
// that stays silent for a second interval is dead (compare OVS's
// lib/reconnect.c, states ACTIVE and IDLE).
type keepalive struct {
	interval time.Duration
	last     time.Time // when we last heard anything
	probed   bool      // an echo request has been sent since last
}

type verdict uint8

const (
	wait verdict = iota
	probe
	dead
)

// heard notes when the latest message of any kind arrived.
func (k *keepalive) heard(at time.Time) {
	if at.After(k.last) {
		k.last, k.probed = at, false
	}
}

// check returns what to do now and when to call check again.
func (k *keepalive) check(now time.Time) (verdict, time.Time) {
	due := k.last.Add(k.interval)
	if k.probed {
		due = due.Add(k.interval)
	}
	switch {
	case now.Before(due):
		return wait, due
	case k.probed:
		return dead, time.Time{}
	}
	k.probed = true
	return probe, k.last.Add(2 * k.interval)
}
