package ofconn

import "time"

// keepalive decides when to probe a silent switch and when to give up on it. It has no clock
// and does no I/O. The caller passes the time. The zero value is not ready for use: set origin
// and interval, and call heard.
//
// If a switch has sent nothing for most of the time interval, keepalive sends an echo request.
// If it stays silent for twice interval, the switch is dead (compare OVS's lib/reconnect.c,
// states ACTIVE and IDLE).
//
// A probe can be due at origin, and then every fifth of an interval. Connections with the same
// origin are probed at the same times, so that a hundred idle connections wake the process only as
// often as one. The first probe is due three to four fifths of interval after the last message. OVS
// itself probes after 5 s of silence. With interval 5 s, our probes come first.
type keepalive struct {
	origin   time.Time
	interval time.Duration
	last     time.Time // time when the latest message arrived
	probed   bool      // an echo request has been sent since last
}

type verdict uint8

const (
	wait verdict = iota
	probe
	dead
)

// heard records the time when the latest message of any kind arrived.
func (k *keepalive) heard(at time.Time) {
	if at.After(k.last) {
		k.last, k.probed = at, false
	}
}

// check returns what to do at the time now, and when to call check again.
func (k *keepalive) check(now time.Time) (verdict, time.Time) {
	end, due := k.last.Add(2*k.interval), k.due(k.last)
	switch {
	case !k.probed && now.Before(due):
		return wait, due
	case !k.probed:
		k.probed = true
		return probe, k.due(now) // time of the next probe if the switch replies to this one
	case now.Before(end):
		return wait, end
	}
	return dead, time.Time{}
}

// due returns the time to probe a switch, if its latest message arrived at time heard.
func (k *keepalive) due(heard time.Time) time.Time {
	fifth := k.interval / 5
	at := heard.Add(4 * fifth)
	since := (at.Sub(k.origin)%fifth + fifth) % fifth // time since the latest multiple of a fifth; origin may be later than at
	return at.Add(-since)
}
