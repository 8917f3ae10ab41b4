package filewatch

import (
	"crypto/sha256"
	"errors"
	"time"
)

// A pace has the time constants of a Watcher.
type pace struct {
	quiet time.Duration // time between an event and the look at the file
	burst time.Duration // maximum delay of that look by further events
	grace time.Duration // time that an error must last; an editor may remove and recreate the file
	apart time.Duration // time between the two reads that must be equal if there are no leases
	busy  time.Duration // first delay until the next look at a file that is open for writing; the delay doubles each time
	slow  time.Duration // maximum of that delay, which is needed because closing a file causes no event
	long  time.Duration // time after which a writer is reported
	poll  time.Duration // interval of looks without events, in case an event was missed
	blind time.Duration // interval of looks if the kernel sends no events
}

var usual = pace{
	quiet: 20 * time.Millisecond,
	burst: 200 * time.Millisecond,
	grace: 100 * time.Millisecond,
	apart: time.Second,
	busy:  50 * time.Millisecond,
	slow:  time.Second,
	long:  10 * time.Second,
	poll:  5 * time.Second,
	blind: time.Second,
}

// A state is a report about a file: its content or an error. The zero state has neither.
type state struct {
	known bool
	sum   [sha256.Size]byte // hash of the content
	err   string            // "" if the file was read
}

func contentState(data []byte) state { return state{known: true, sum: sha256.Sum256(data)} }

// state returns the state that s found.
func (s sight) state() state {
	if s.err != nil {
		return state{known: true, err: s.err.Error()}
	}
	return contentState(s.data)
}

// A core decides when to look at the file and whether to report the result. It has no clock
// and does no I/O. The caller passes the time, the events and the results of looks.
type core struct {
	pace
	reported state // the last state reported
	blind    bool  // the kernel does not report every change; set by the caller

	due   time.Time // time of the next look without events
	idles bool      // the look at due has no reason but pace.poll

	dirty        bool      // there were events since the last look
	first, quiet time.Time // time of the first event, and time of the look after the events; unused unless dirty

	doubt     doubt         // the result that must be confirmed before it is reported
	backoff   time.Duration // time until the next look at a file that is open for writing
	busySince time.Time     // zero if the file is not open for writing
}

// A doubt is a result that must be confirmed by another look. The zero doubt means no such result.
type doubt struct {
	failed bool  // the file could not be read, with any error
	state  state // the state that was read, unless failed
	stamp  stamp
	since  time.Time
}

// newCore returns the core for a caller that already has the content have, or nil. The first look
// is due immediately.
func newCore(p pace, have []byte, now time.Time) core {
	c := core{pace: p, due: now}
	if have != nil {
		c.reported = contentState(have)
	}
	return c
}

// event records a change of the file or of a directory or link on its path.
func (c *core) event(now time.Time) {
	if !c.dirty {
		c.dirty, c.first = true, now
	}
	c.quiet = now.Add(c.pace.quiet)
	if last := c.first.Add(c.burst); c.quiet.After(last) {
		c.quiet = last
	}
	c.backoff = 0
	if !c.doubt.failed {
		c.doubt = doubt{}
	}
}

// forget makes the core report the next state even if it is unchanged.
func (c *core) forget(now time.Time) {
	c.reported = state{}
	c.event(now)
}

// next returns the time of the next look.
func (c *core) next() time.Time {
	if c.dirty && c.quiet.Before(c.due) {
		return c.quiet
	}
	return c.due
}

// idle reports whether a look at this time would have no reason but pace.poll.
func (c *core) idle(now time.Time) bool { return c.idles && !c.dirty && !now.Before(c.due) }

// same records that a look found no change.
func (c *core) same(now time.Time) {
	c.dirty, c.idles = false, true
	if c.due = now.Add(c.poll); c.blind {
		c.due = now.Add(c.pace.blind)
	}
}

// saw records the result of a look, and reports whether the caller must report it.
func (c *core) saw(now time.Time, s sight) bool {
	c.same(now)
	if errors.Is(s.err, ErrBusy) {
		c.doubt = doubt{}
		c.backoff = min(max(c.busy, 2*c.backoff), c.slow)
		c.again(now.Add(c.backoff))
		if c.busySince.IsZero() {
			c.busySince = now
		}
		return false
	}
	c.backoff, c.busySince = 0, time.Time{}
	saw := s.state()
	if saw == c.reported {
		c.doubt = doubt{}
		return false
	}
	if !c.certain(now, s, saw) {
		return false
	}
	c.doubt, c.reported = doubt{}, saw
	return true
}

// certain reports whether s is reliable, either by itself or because an earlier look had the
// same result. The earlier look must be old enough, with no events since then. If s is not
// reliable, certain schedules another look.
func (c *core) certain(now time.Time, s sight, saw state) bool {
	d, wait := doubt{since: now}, time.Duration(0)
	switch {
	case s.err != nil:
		d.failed, wait = true, c.grace
	case s.noLease != nil:
		d.state, d.stamp, wait = saw, s.stamp, c.apart
	default:
		return true
	}
	if d.since = c.doubt.since; d != c.doubt {
		d.since = now
	}
	c.doubt = d
	if at := d.since.Add(wait); now.Before(at) {
		c.again(at)
		return false
	}
	return true
}

// again schedules a look at the given time, unless a look is due earlier.
func (c *core) again(at time.Time) {
	c.idles = false
	if at.Before(c.due) {
		c.due = at
	}
}

// tooLong returns err if the file has been open for writing for too long, otherwise nil.
func (c *core) tooLong(now time.Time, err error) error {
	if c.busySince.IsZero() || now.Sub(c.busySince) < c.long {
		return nil
	}
	return err
}
