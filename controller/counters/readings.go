package counters

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
	"github.com/ofdvr/ofdvr/routing/compile"
)

const (
	// maxAge is how old a reading may be that is told as the present.
	maxAge = time.Second
	// A switch that takes longer to read than a request waits is read at an interval
	// while there were requests lately: at most for one part in
	// share of the time.
	interval = 10 * time.Second
	share    = 5
	interest = 2 * time.Minute
	// glanceShare is the same as share for [Book.Glance].
	glanceShare = 20
	// slice is how many flows are asked for at a time. While a switch answers, it
	// does nothing else, so a change of flows may have to wait for that. Then it is
	// left alone for sliceRest times as long as that took.
	slice     = 2048
	sliceRest = 4
)

// readings are when the counters of a session's switch are read. Its methods may
// be called from any goroutine.
type readings struct {
	asked chan struct{} // capacity 1: a reading is requested

	mu     sync.Mutex    // protects what follows
	wanted time.Time     // when the latest request came
	began  time.Time     // the latest reading; zero: none, or it has failed
	pause  time.Duration // from then on, in which no other is needed
	now    chan struct{} // closed when the reading ends that is under way; nil: none is
	next   chan struct{} // closed when the one after that ends
}

func newReadings() readings {
	return readings{asked: make(chan struct{}, 1), next: make(chan struct{})}
}

// ask requests a reading and returns a channel that is closed when one is ready; nil: the
// latest is young enough.
func (r *readings) ask() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = time.Now()
	return r.request()
}

// glance is ask for [Book.Glance]: a switch that takes long is left alone for longer, and is
// not read again without another request.
func (r *readings) glance() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slow := r.pause > maxAge; slow && !r.began.IsZero() && time.Since(r.began) < glanceShare/share*r.pause {
		return nil
	}
	return r.request()
}

// request is ask for a caller that holds mu.
func (r *readings) request() <-chan struct{} {
	if r.young() {
		return r.now // nil if it has ended
	}
	select {
	case r.asked <- struct{}{}:
	default: // another caller waits for the same
	}
	return r.next
}

// young reports whether the latest reading is young enough.
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
	r.began, r.pause = time.Now(), max(r.pause, maxAge)
	r.now, r.next = r.next, make(chan struct{})
}

// end notes that the reading has ended, and returns when the next one should
// begin without being asked for; zero: it should not. One that has failed does
// not count.
func (r *readings) end(ok bool) (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.now)
	r.now, r.pause = nil, maxAge
	if !ok {
		r.began = time.Time{}
		return next
	}
	if took := time.Since(r.began); took > budget {
		r.pause = max(interval, share*took)
		if time.Since(r.wanted) < interest {
			next = r.began.Add(r.pause)
		}
	}
	return next
}

// A Reader reads the counters of one connected switch. Create it with [Book.Reader],
// then call [Reader.Run].
type Reader struct {
	book    *Book
	conn    *ofconn.Conn
	changes *Changes
	about   func(context.Context) (About, error)
	log     *zap.Logger
	readings
}

// About is what the flows of a switch are for.
type About struct {
	Router  *routing.Router // nil: that is not known yet
	Program compile.Program
	Index   *routing.Index
}

// Reader returns a reader of the switch at conn, which waits for changes that are under
// way, and asks about what the switch's flows are for.
func (b *Book) Reader(conn *ofconn.Conn, changes *Changes, about func(context.Context) (About, error), log *zap.Logger) *Reader {
	return &Reader{book: b, conn: conn, changes: changes, about: about, log: log, readings: newReadings()}
}

// Run reads the switch when somebody wants to know what it has counted, until ctx is done.
func (r *Reader) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.asked:
			if !r.due() {
				continue
			}
		case <-timer.C:
		}
		r.begin()
		ok, err := r.read(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Debug("could not read counters", zap.Error(err))
		}
		if next := r.end(ok); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// read reads the switch and adds what it has counted, and reports whether it did. After
// an error nothing is added: half a reading would be counted twice the next time.
func (r *Reader) read(ctx context.Context) (bool, error) {
	now, err := r.about(ctx)
	if err != nil || now.Router == nil {
		return false, err
	}
	b, id, program := r.book, now.Router.ID, now.Program
	b.mu.Lock()
	b.load()
	rc := b.of(id)
	b.mu.Unlock()
	select {
	case rc.turn <- struct{}{}:
		defer func() { <-rc.turn }()
	case <-ctx.Done(): // an earlier connection of the router's bridge
		return false, context.Cause(ctx)
	}
	got := rc.begin()
	halves := bits.Len(uint(program.Flows.Len() / slice))
	for i := range 1 << halves {
		start := time.Now()
		err := r.flows(ctx, i, halves, func(part []ofproto.FlowStats) error {
			rc.take(got, part, program.Objects, b.cfg.Ports)
			return Enough(len(got.last), program, manyCounting)
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
	limited, err := r.limited(ctx, program)
	if err != nil {
		return false, err
	}
	rc.take(got, limited, program.Objects, b.cfg.Ports)
	if !rc.taken.IsZero() { // else it may have been long ago
		b.limited(id, got.counted.few)
	}
	routes := make(map[string]bool, len(now.Router.Routes))
	for i := range now.Router.Routes {
		routes[now.Router.Routes[i].Destination.String()] = true
	}
	rc.sum(got, b.cfg.Ports, func(about subject) bool {
		if about.kind == routing.KindRoute {
			return routes[about.id]
		}
		_, ok := now.Index.Port(about.id)
		return ok
	})
	b.mu.Lock()
	rc.settle(got)
	b.news = true
	b.mu.Unlock()
	if got.jump != nil {
		b.cfg.Refused(id, got.jump)
	}
	r.log.Debug("read counters", zap.Int("parts", 1<<halves), zap.Int("counting", len(got.last)), zap.Duration("took", time.Since(got.began)))
	return true, nil
}

// limited tells what the meters of a router have dropped since the reading before.
func (b *Book) limited(router string, counted sums) {
	for kind, role := range LimitedKinds {
		for about, t := range counted {
			if about.kind == routing.KindInterface && about.role == role && t.Packets > 0 {
				b.cfg.Limited(router, about.id, kind, int(t.Packets))
			}
		}
	}
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

// flows reads part i of 2^halves of the switch's flows, when no change of flows is
// under way.
func (r *Reader) flows(ctx context.Context, i, halves int, take func([]ofproto.FlowStats) error) error {
	if err := r.changes.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	filter := ofproto.AllFlows()
	filter.Cookie, filter.CookieMask = compile.CookieSlice(i, halves)
	return r.conn.EachFlow(ctx, filter, take)
}

// meterTable is a table that no flow is in. What a meter has dropped is counted as
// if it were a flow there, with the meter's number as its priority.
const meterTable ofproto.TableID = 0xfe

// limited returns what the meters of a program have dropped.
func (r *Reader) limited(ctx context.Context, p compile.Program) (out []ofproto.FlowStats, err error) {
	if len(p.Meters) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = r.conn.Multipart(ctx, ofproto.MeterStatsRequest{Meter: ofproto.MeterAll}, func(body ofproto.MultipartBody) bool {
		stats, ok := body.(ofproto.MeterStatsReply)
		for _, m := range stats {
			iface, role, ours := p.OfMeter(m.Meter)
			if !ours || len(out) >= 2*len(p.Meters) {
				continue
			}
			fs := ofproto.FlowStats{Flow: ofproto.Flow{
				FlowKey: ofproto.FlowKey{Table: meterTable, Priority: uint16(m.Meter)}, Cookie: compile.CookieOf(iface, role),
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

// Changes count the changes of a switch's flows that are under way, for which the
// reading of its counters waits. The zero value is ready for use.
type Changes struct {
	mu    sync.Mutex
	open  int
	ended chan struct{} // closed when open is 0 again; nil if it is
}

// Begin notes that a change begins, and returns what notes its end.
func (c *Changes) Begin() (end func()) {
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
func (c *Changes) wait(ctx context.Context) error {
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

// manyCounting is how many flows more than are wanted, and that have counted
// something, a switch may tell of.
const manyCounting = 5_000

// Enough fails if a switch tells of more flows than it should have, by far: of twice those
// of its program and so many more.
func Enough(n int, p compile.Program, more int) error {
	if most := 2*p.Flows.Len() + more; n > most {
		return fmt.Errorf("%w: it tells of more than %d flows, and should have %d", ofconn.ErrTooLong, most, p.Flows.Len())
	}
	return nil
}
