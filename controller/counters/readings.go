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
	// maxAge is the maximum age of a reading that is reported as current.
	maxAge = time.Second
	// A switch is slow if reading it takes longer than a request waits. A slow
	// switch is read once per interval, until no request has come for the
	// duration interest. The readings take at most 1/share of the time.
	interval = 10 * time.Second
	share    = 5
	interest = 2 * time.Minute
	// glanceShare replaces share in [Book.Glance].
	glanceShare = 20
	// slice is the number of flows that are requested at a time. A switch does nothing else while
	// it answers, so a change of flows may have to wait. After the answer, the switch gets a pause.
	// The pause is sliceRest times as long as the answer took.
	slice     = 2048
	sliceRest = 4
)

// readings schedules the readings of one switch's counters. Its methods are safe for
// concurrent use.
type readings struct {
	asked chan struct{} // capacity 1; full if a reading is requested

	mu     sync.Mutex    // guards the fields below
	wanted time.Time     // time of the latest request
	began  time.Time     // start of the latest reading; zero before the first, and after a failure
	pause  time.Duration // time after began in which no other reading is needed
	took   time.Duration // duration of the latest reading
	now    chan struct{} // closed when the current reading ends; nil if there is no current reading
	next   chan struct{} // closed when the reading after the current one ends
}

func newReadings() readings {
	return readings{asked: make(chan struct{}, 1), next: make(chan struct{})}
}

// ask requests a reading and returns a channel that is closed when the reading has ended. It
// returns nil if the latest reading is fresh enough.
func (r *readings) ask() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = time.Now()
	return r.request()
}

// glance is ask for [Book.Glance]: a slow switch is read less often, and only after a request.
func (r *readings) glance() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.began.IsZero() && time.Since(r.began) < glanceShare*r.took {
		return nil
	}
	return r.request()
}

// request is ask for a caller that holds r.mu. It does not set wanted.
func (r *readings) request() <-chan struct{} {
	if r.fresh() {
		return r.now // may be nil: the reading has ended
	}
	select {
	case r.asked <- struct{}{}:
	default: // already requested
	}
	return r.next
}

// fresh reports whether the latest reading is recent enough.
func (r *readings) fresh() bool { return !r.began.IsZero() && time.Since(r.began) < r.pause }

// due reports whether a requested reading is still needed.
func (r *readings) due() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.fresh()
}

func (r *readings) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.pause = time.Now(), max(r.pause, maxAge)
	r.now, r.next = r.next, make(chan struct{})
}

// end records the end of a reading. It returns the time at which the next reading should begin
// without a request, or zero. It ignores a failed reading.
func (r *readings) end(ok bool) (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.now)
	r.now, r.pause = nil, maxAge
	if !ok {
		r.began = time.Time{}
		return next
	}
	if r.took = time.Since(r.began); r.took > budget {
		r.pause = max(interval, share*r.took)
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

// About has the data for interpreting the flows of a switch.
type About struct {
	Router  *routing.Router // nil if not known yet
	Program compile.Program
	Index   *routing.Index
}

// Reader returns a reader for the switch at conn. The reader does not read
// while one of the changes is in progress. It calls about at the start of each
// reading.
func (b *Book) Reader(conn *ofconn.Conn, changes *Changes, about func(context.Context) (About, error), log *zap.Logger) *Reader {
	return &Reader{book: b, conn: conn, changes: changes, about: about, log: log, readings: newReadings()}
}

// Run reads the switch on request, until ctx is done.
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

// read reads the switch and adds its counters to the sums. It reports whether it has done so. After
// an error it adds nothing, because the next reading will count the same packets.
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
	case <-ctx.Done(): // a reader of the bridge's earlier connection still holds turn
		return false, context.Cause(ctx)
	}
	got := rc.begin()
	halves := bits.Len(uint(program.Flows.Len() / slice))
	for i := range 1 << halves {
		start := time.Now()
		err := r.flows(ctx, i, halves, func(part []ofproto.FlowStats) error {
			rc.add(got, part, program.Objects, b.cfg.Ports)
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
	metered, err := r.metered(ctx, program)
	if err != nil {
		return false, err
	}
	rc.add(got, metered, program.Objects, b.cfg.Ports)
	if !rc.taken.IsZero() { // at the first reading it is not known when the packets were dropped
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

// limited reports the packets that limits of a router, or of the fabric bridge, have dropped since the
// previous reading.
func (b *Book) limited(router string, counted sums) {
	for _, kind := range []string{"crowded", "flood"} {
		if t := counted[subject{kind: routing.KindInterface, role: lost[kind]}]; t.Packets > 0 {
			b.cfg.Limited(router, "", kind, int(t.Packets))
		}
	}
	for kind, role := range LimitedKinds {
		for about, t := range counted {
			if about.kind == routing.KindInterface && about.role == role && t.Packets > 0 {
				b.cfg.Limited(router, about.id, kind, int(t.Packets))
			}
		}
	}
}

// rest waits for d.
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

// flows reads part i of the switch's flows, which are divided into 2^halves parts. It first
// waits until no change of flows is in progress.
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

// meterTable is the number of a table without flows. A meter's counter is added as the counter of
// an imaginary flow. Its table is meterTable, and its priority is the meter's number.
const meterTable ofproto.TableID = 0xfe

// metered returns the packets that the meters of a program have dropped or counted, as counters of
// flows in meterTable.
func (r *Reader) metered(ctx context.Context, p compile.Program) (out []ofproto.FlowStats, err error) {
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
			if role == compile.RoleLarger {
				fs.Packets, fs.Bytes = m.Packets, m.Bytes
			} else {
				for _, b := range m.Bands {
					fs.Packets += b.Packets
					fs.Bytes += b.Bytes
				}
			}
			out = append(out, fs)
		}
		return ok
	})
	return out, err
}

// Changes counts the changes of a switch's flows that are in progress. The switch's counters are
// not read during a change. The zero value is ready for use.
type Changes struct {
	mu    sync.Mutex
	open  int
	ended chan struct{} // closed when open returns to 0; nil if open is 0
}

// Begin records the start of a change. The caller must call end when the change has ended.
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

// wait waits until no change is in progress.
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

// manyCounting limits the number of undesired flows with a nonzero counter that are read from a
// switch.
const manyCounting = 5_000

// Enough returns an error if a switch returns far too many flows: n is more than twice the number
// of flows in p, plus more.
func Enough(n int, p compile.Program, more int) error {
	if most := 2*p.Flows.Len() + more; n > most {
		return fmt.Errorf("%w: it returned more than %d flows, but should have %d", ofconn.ErrTooLong, most, p.Flows.Len())
	}
	return nil
}
