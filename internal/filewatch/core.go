package filewatch

import (
	"crypto/sha256"
	"errors"
	"time"
)

// A pace says how fast things go.
type pace struct {
	quiet time.Duration // after an event, until the file is looked at
	burst time.Duration // the most that further events put this off
	grace time.Duration // that an error must last; an editor may remove the file and create it again
	apart time.Duration // between the two readings that must be equal where there are no leases
	busy  time.Duration // until a file that was open for writing is looked at again, then twice that and so on
	slow  time.Duration // the most of these; no event tells that a file was closed
	long  time.Duration // after which a writer is worth a warning
	poll  time.Duration // until the file is looked at without an event, in case none came
	blind time.Duration // the same where none will come
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

// A state is what a caller can be told of a file: a content, an error, or, the
// zero state, nothing.
type state struct {
	known bool
	sum   [sha256.Size]byte // of the content
	err   string            // "" if there is a content
}

func contentState(data []byte) state { return state{known: true, sum: sha256.Sum256(data)} }

// state returns what s would tell.
func (s sight) state() state {
	if s.err != nil {
		return state{known: true, err: s.err.Error()}
	}
	return contentState(s.data)
}

// A core decides when to look at the file and whether to tell what was found.
// It has no clock and does no I/O: the caller says what time it is, what the
// kernel told and what a look found.
type core struct {
	pace
	told  state // what the caller has
	blind bool  // set by the caller: the kernel does not tell of every change

	due   time.Time // of the next look, if no events come
	idles bool      // due is for no other reason than pace.poll

	dirty        bool      // there were events since the last look
	first, quiet time.Time // if dirty: the first of them, and when the look after them is due

	doubt     doubt         // what must be seen again before it is told
	backoff   time.Duration // until the next look at a file that is open for writing
	busySince time.Time     // zero: it was not
}

// A doubt is what was seen once and must be seen again. The zero doubt is none.
type doubt struct {
	failed bool  // the file could not be read, for any reason
	state  state // otherwise what was read
	stamp  stamp
	since  time.Time
}

// newCore returns the core for a caller that has the content have, or none if
// it is nil. The first look is due at once.
func newCore(p pace, have []byte, now time.Time) core {
	c := core{pace: p, due: now}
	if have != nil {
		c.told = contentState(have)
	}
	return c
}

// event takes in that something has happened to the file or on the way to it.
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

// forget takes in that the caller wants to be told again.
func (c *core) forget(now time.Time) {
	c.told = state{}
	c.event(now)
}

// next returns when the file is to be looked at.
func (c *core) next() time.Time {
	if c.dirty && c.quiet.Before(c.due) {
		return c.quiet
	}
	return c.due
}

// idle reports whether a look at now has no other reason than that some time
// has passed.
func (c *core) idle(now time.Time) bool { return c.idles && !c.dirty && !now.Before(c.due) }

// same takes in that a look found nothing new.
func (c *core) same(now time.Time) {
	c.dirty, c.idles = false, true
	if c.due = now.Add(c.poll); c.blind {
		c.due = now.Add(c.pace.blind)
	}
}

// saw takes in what a look has found, and reports whether the caller is to be
// told of it.
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
	if saw == c.told {
		c.doubt = doubt{}
		return false
	}
	if !c.certain(now, s, saw) {
		return false
	}
	c.doubt, c.told = doubt{}, saw
	return true
}

// certain reports whether s is to be believed: it is by itself, or was seen
// before, long enough ago and with nothing in between. If not, it sees to it
// that there is another look.
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

// again says that there is a reason to look again at the time given, if it is
// not done before.
func (c *core) again(at time.Time) {
	c.idles = false
	if at.Before(c.due) {
		c.due = at
	}
}

// tooLong returns err if the file has been open for writing for long.
func (c *core) tooLong(now time.Time, err error) error {
	if c.busySince.IsZero() || now.Sub(c.busySince) < c.long {
		return nil
	}
	return err
}
