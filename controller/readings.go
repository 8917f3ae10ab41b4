package controller

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

const (
	// countersMaxAge is how old a reading may be that is told as the present.
	countersMaxAge = time.Second
	// A switch that cannot be read while somebody waits is read at an interval as
	// long as somebody was interested of late: at most for one part in
	// countersShare of the time.
	countersInterval = 10 * time.Second
	countersShare    = 5
	countersInterest = 2 * time.Minute
	// slice is how many flows are asked for at a time. While a switch answers, it
	// does nothing else, so a change of flows may have to wait for that. Then it is
	// left alone for sliceRest times as long as that took.
	slice     = 2048
	sliceRest = 4
)

// readings are when the counters of a session's switch are read. Its methods may
// be called from any goroutine.
type readings struct {
	asked chan struct{} // capacity 1: somebody waits for one

	mu       sync.Mutex    // protects what follows
	interest time.Time     // when somebody wanted to know last
	began    time.Time     // the latest reading; zero: none, or it has failed
	pause    time.Duration // from then on, in which nobody needs another
	now      chan struct{} // closed when the reading ends that is under way; nil: none is
	next     chan struct{} // closed when the one after that ends
}

func newReadings() readings {
	return readings{asked: make(chan struct{}, 1), next: make(chan struct{})}
}

// ask says that somebody wants to know. It returns what is closed when there is
// a reading worth waiting for; nil: there was one of late.
func (r *readings) ask() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interest = time.Now()
	if r.young() {
		return r.now // nil if it has ended
	}
	select {
	case r.asked <- struct{}{}:
	default: // somebody else waits for the same
	}
	return r.next
}

// young reports whether nobody needs another reading.
func (r *readings) young() bool { return !r.began.IsZero() && time.Since(r.began) < r.pause }

// due reports whether a reading that was asked for is still needed.
func (r *readings) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.young()
}

func (r *readings) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.pause = time.Now(), max(r.pause, countersMaxAge)
	r.now, r.next = r.next, make(chan struct{})
}

// end notes that the reading has ended, and returns when the next one should
// begin without being asked for; zero: it should not. One that has failed does
// not count.
func (r *readings) end(ok bool) (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.now)
	r.now, r.pause = nil, countersMaxAge
	if !ok {
		r.began = time.Time{}
		return next
	}
	if took := time.Since(r.began); took > countersBudget {
		r.pause = max(countersInterval, countersShare*took)
		if time.Since(r.interest) < countersInterest {
			next = r.began.Add(r.pause)
		}
	}
	return next
}

// followCounters reads the counters of a session's switch when somebody wants to
// know them.
func (c *Controller) followCounters(ctx context.Context, s *session) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.reads.asked:
			if !s.reads.due() {
				continue
			}
		case <-timer.C:
		}
		s.reads.begin()
		ok, err := c.readCounters(ctx, s)
		if err != nil && ctx.Err() == nil {
			s.log.Debug("could not read counters", zap.Error(err))
		}
		if next := s.reads.end(ok); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// readCounters reads the switch of a session and adds what it has counted, and
// reports whether it did. After an error nothing is added: half a reading would be
// counted twice the next time.
func (c *Controller) readCounters(ctx context.Context, s *session) (bool, error) {
	type counted struct {
		router  *routing.Router
		program routing.Program
		index   *routing.Index
	}
	now, err := ask(ctx, c, func(w *world) counted {
		for _, st := range w.routers {
			if st.session == s && st.gen != 0 { // else it is not known yet what its flows are for
				return counted{st.router, st.program, w.intent.Index}
			}
		}
		return counted{}
	})
	if err != nil || now.router == nil {
		return false, err
	}
	router, program, index := now.router, now.program, now.index
	t := &c.counters
	t.mu.Lock()
	c.loadCounters()
	rc := t.of(router.ID)
	t.mu.Unlock()
	select {
	case rc.turn <- struct{}{}:
		defer func() { <-rc.turn }()
	case <-ctx.Done(): // an earlier session of the router
		return false, context.Cause(ctx)
	}
	r := rc.begin()
	halves := bits.Len(uint(program.Flows.Len() / slice))
	for i := range 1 << halves {
		start := time.Now()
		err := s.countedFlows(ctx, i, halves, func(part []ofproto.FlowStats) error {
			rc.take(r, part, program.Objects, t.ports)
			return enoughFlows(len(r.last), program, manyCounting)
		})
		if err != nil {
			return false, err
		}
		if i+1 < 1<<halves {
			if err := rest(ctx, sliceRest*time.Since(start)); err != nil {
				return false, err
			}
		}
	}
	limited, err := s.limited(ctx, program)
	if err != nil {
		return false, err
	}
	rc.take(r, limited, program.Objects, t.ports)
	routes := make(map[string]bool, len(router.Routes))
	for i := range router.Routes {
		routes[router.Routes[i].Destination.String()] = true
	}
	if !rc.taken.IsZero() { // else it may have been long ago
		c.packetsLimited(router.ID, r.counted.few)
	}
	rc.sum(r, t.ports, func(about subject) bool {
		if about.kind == routing.KindRoute {
			return routes[about.id]
		}
		_, ok := index.Port(about.id)
		return ok
	})
	t.mu.Lock()
	rc.settle(r)
	t.news = true
	t.mu.Unlock()
	if r.jump != nil {
		c.jumped(s, router.ID, r.jump)
	}
	s.log.Debug("read counters", zap.Int("parts", 1<<halves), zap.Int("counting", len(r.last)), zap.Duration("took", time.Since(r.began)))
	return true, nil
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// countedFlows reads part i of 2^halves of the switch's flows, when no change of
// flows is under way.
func (s *session) countedFlows(ctx context.Context, i, halves int, take func([]ofproto.FlowStats) error) error {
	if err := s.changes.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, countersTimeout)
	defer cancel()
	filter := ofproto.AllFlows()
	filter.Cookie, filter.CookieMask = routing.CookieSlice(i, halves)
	return s.conn.EachFlow(ctx, filter, take)
}

// meterTable is a table that no flow is in. What a meter has dropped is counted as
// if it were a flow there, with the meter's number as its priority.
const meterTable ofproto.TableID = 0xfe

// limited returns what the meters of a program have dropped.
func (s *session) limited(ctx context.Context, p routing.Program) (out []ofproto.FlowStats, err error) {
	if len(p.Meters) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, countersTimeout)
	defer cancel()
	err = s.conn.Multipart(ctx, ofproto.MeterStatsRequest{Meter: ofproto.MeterAll}, func(body ofproto.MultipartBody) bool {
		stats, ok := body.(ofproto.MeterStatsReply)
		for _, m := range stats {
			iface, role, ours := p.OfMeter(m.Meter)
			if !ours || len(out) >= 2*len(p.Meters) {
				continue
			}
			fs := ofproto.FlowStats{Flow: ofproto.Flow{
				FlowKey: ofproto.FlowKey{Table: meterTable, Priority: uint16(m.Meter)}, Cookie: routing.CookieOf(iface, role),
			}}
			for _, b := range m.Bands {
				fs.Packets += b.Packets
				fs.Bytes += b.Bytes
			}
			out = append(out, fs)
		}
		return ok
	})
	return out, err
}

// changes count the changes of flows that are under way, for which the reading of
// counters waits.
type changes struct {
	mu    sync.Mutex
	open  int
	ended chan struct{} // closed when open is 0 again; nil if it is
}

// begin notes that a change begins, and returns what notes its end.
func (c *changes) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open++; c.ended == nil {
		c.ended = make(chan struct{})
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.open--; c.open == 0 {
			close(c.ended)
			c.ended = nil
		}
	}
}

// wait returns when no change is under way.
func (c *changes) wait(ctx context.Context) error {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended == nil {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// How many flows more than are wanted a switch may tell of: when it is asked for all of them, and
// of ours that have counted something.
const (
	manyFlows    = 50_000
	manyCounting = 5_000
)

// enoughFlows fails if a switch tells of more flows than it should have, by far.
func enoughFlows(n int, p routing.Program, many int) error {
	if most := 2*p.Flows.Len() + many; n > most {
		return fmt.Errorf("%w: it tells of more than %d flows, and should have %d", ofconn.ErrTooLong, most, p.Flows.Len())
	}
	return nil
}
