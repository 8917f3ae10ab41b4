// Package ofconn speaks OpenFlow 1.3 over a connection to one switch.
package ofconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Errors that end [Conn.Run].
var (
	// ErrEchoTimeout says that the switch stopped answering echo requests.
	ErrEchoTimeout = errors.New("switch does not answer echo requests")
	// ErrUnread says that the switch does not read what it is sent.
	ErrUnread = errors.New("switch does not read")
	// ErrVersion says that the switch does not speak OpenFlow 1.3.
	ErrVersion = errors.New("switch does not speak OpenFlow 1.3")
)

// Errors that end [Conn.Run] because of what the switch sends.
var (
	// ErrGarbage says that the switch sent what is no OpenFlow message.
	ErrGarbage = errors.New("switch sent garbage")
	// ErrFlood says that the switch sent too many messages that nobody asked for.
	ErrFlood = errors.New("switch sent too many messages that nobody asked for")
	// ErrTooLong says that the switch sent an answer without end.
	ErrTooLong = errors.New("switch sent an answer that is too long")
)

// ErrClosed is wrapped by the errors of calls that were made on, or cut short
// by the end of, a connection.
var ErrClosed = errors.New("connection is closed")

// Config is what a [Conn] can be told. The zero value is usable.
type Config struct {
	// EchoInterval is how long a switch may be silent at the most before it is
	// probed; after twice that it counts as dead. 0 means 5 s.
	EchoInterval time.Duration
	// MaxAnswer is how many bytes the answer to a request for flows, groups or
	// meters, or the errors of a commit, may have, all parts together. 0 means
	// 1 GiB, which is some five million flows. Other answers may have 16 MiB.
	MaxAnswer int
	// MaxUnsolicited is how many messages a second that answer no request may come
	// in the long run; ten times as many may come at once. 0 means 10,000.
	MaxUnsolicited int
	// Unidentified says that the peer may be anybody until [Conn.Identified] is called: it
	// costs little memory, and messages of more than 4 KiB are dropped, but for descriptions of
	// ports.
	Unidentified bool
	// RoundTrip, unless nil, is called with the time that a switch took to answer an
	// echo request, which is sent when the switch has been silent. It must not block.
	RoundTrip func(time.Duration)
}

// started is the origin of all connections' probes, which so come together.
var started = time.Now()

const (
	defaultEchoInterval   = 5 * time.Second
	defaultMaxAnswer      = 1 << 30
	defaultMaxUnsolicited = 10_000
	maxShortAnswer        = 16 << 20
	maxHello              = 1024
	readBufferSize        = 1 << 17 // holds the longest message, 65,535 bytes
	chunkSize             = 1 << 16 // bytes that are handed to the writer at once, or a little more
	chunkCap              = chunkSize + chunkSize/16
)

// A Conn is an OpenFlow connection to one switch. Create it with [New], then
// call [Conn.Run], which owns the connection until it returns. The other
// methods may be called from any goroutine while Run runs.
type Conn struct {
	nc  net.Conn
	cfg Config

	out    chan []byte   // encoded messages; a few chunks, so that encoding and writing overlap
	urgent chan []byte   // echo messages, which overtake; one too many is dropped
	hello  chan struct{} // closed when both sides have agreed on the version
	closed chan struct{} // closed when Run returns

	chunks     sync.Pool                 // of *[]byte, written and empty
	probed     atomic.Pointer[time.Time] // when an echo request was sent that is not answered
	identified atomic.Bool               // see [Conn.Identified]

	began  time.Time     // when Run was called
	heard  atomic.Int64  // when the latest message came: nanoseconds since began
	count  atomic.Uint64 // messages that have come
	unsent atomic.Int64  // bytes that were handed to the writer and are not written

	calls calls

	messageLog atomic.Pointer[func(sent bool, message []byte)]
}

// LogMessages has f called with each message that is sent and received from now on; nil
// ends that. f must be quick and not keep the message; it may be called from
// several goroutines at a time.
func (c *Conn) LogMessages(f func(sent bool, message []byte)) {
	if f == nil {
		c.messageLog.Store(nil)
		return
	}
	c.messageLog.Store(&f)
}

// logMessage passes an encoded message to the function of [Conn.LogMessages].
func (c *Conn) logMessage(sent bool, b []byte) {
	f := c.messageLog.Load()
	if f == nil {
		return
	}
	for len(b) >= ofproto.HeaderLen {
		n := int(b[2])<<8 | int(b[3])
		if n < ofproto.HeaderLen || n > len(b) {
			break
		}
		(*f)(sent, b[:n])
		b = b[n:]
	}
}

// New returns a Conn over nc.
func New(nc net.Conn, cfg Config) *Conn {
	if cfg.EchoInterval <= 0 {
		cfg.EchoInterval = defaultEchoInterval
	}
	if cfg.MaxAnswer <= 0 {
		cfg.MaxAnswer = defaultMaxAnswer
	}
	if cfg.MaxUnsolicited <= 0 {
		cfg.MaxUnsolicited = defaultMaxUnsolicited
	}
	c := &Conn{
		nc:     nc,
		cfg:    cfg,
		out:    make(chan []byte, 4),
		urgent: make(chan []byte, 4),
		hello:  make(chan struct{}),
		closed: make(chan struct{}),
	}
	c.identified.Store(!cfg.Unidentified)
	return c
}

// RemoteAddr returns the switch's end of the connection.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Run agrees on OpenFlow 1.3 with the switch, then reads and writes messages
// until parent is done or the connection fails. Answers to calls go to the calls;
// every other message is passed to handle, in order, on one goroutine. handle
// must not wait for a call on the same connection. When Run returns, the
// connection is closed, every call has ended, and so has every goroutine that
// it started. The error is never nil; it is parent's cause if that was canceled.
func (c *Conn) Run(parent context.Context, handle func(ofproto.Message)) error {
	defer close(c.closed)
	g, ctx := errgroup.WithContext(parent)
	c.began = time.Now()
	c.sendUrgent(ofproto.Hello13(), 0)
	g.Go(func() error { return c.readLoop(handle) })
	g.Go(func() error { return c.writeLoop(ctx) })
	g.Go(func() error { return c.probeLoop(ctx) })
	g.Go(func() error { // unblocks readLoop and writeLoop
		<-ctx.Done()
		c.nc.Close()
		return context.Cause(ctx)
	})
	err := g.Wait()
	if parent.Err() != nil {
		err = context.Cause(parent) // and not what closing the connection led to
	}
	c.calls.endAll(fmt.Errorf("%w: %w", ErrClosed, err))
	return err
}

func (c *Conn) writeLoop(ctx context.Context) error {
	for {
		var b []byte
		select {
		case b = <-c.urgent:
		default:
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case b = <-c.urgent:
			case b = <-c.out:
			}
		}
		c.logMessage(true, b)
		// Later than probeLoop gives up on a switch that is silent as well.
		patience := 3 * c.cfg.EchoInterval
		c.nc.SetWriteDeadline(time.Now().Add(patience))
		n, err := c.nc.Write(b)
		c.unsent.Add(-int64(n))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w: nothing could be written for %v", ErrUnread, patience)
		} else if err != nil {
			return fmt.Errorf("write to switch: %w", err)
		}
		if cap(b) >= chunkCap {
			b = b[:0]
			c.chunks.Put(&b)
		}
	}
}

// chunk returns an empty buffer to encode into, for write.
func (c *Conn) chunk() []byte {
	if b, ok := c.chunks.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, chunkCap)
}

func (c *Conn) probeLoop(ctx context.Context) error {
	k := keepalive{origin: started, interval: c.cfg.EchoInterval}
	for {
		k.heard(c.began.Add(time.Duration(c.heard.Load())))
		what, next := k.check(time.Now())
		switch what {
		case dead:
			return fmt.Errorf("%w: nothing heard for %v", ErrEchoTimeout, 2*c.cfg.EchoInterval)
		case probe:
			now := time.Now()
			c.probed.Store(&now)
			c.sendUrgent(ofproto.Echo{}, 0)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

func (c *Conn) sendUrgent(m ofproto.Message, xid uint32) {
	b := m.Append(nil, xid)
	c.unsent.Add(int64(len(b)))
	select {
	case c.urgent <- b:
	default: // the switch does not read what it asked for
		c.unsent.Add(-int64(len(b)))
	}
}

// A Load is what is under way on a connection.
type Load struct {
	Unsent   int // bytes that wait for the switch to read what was sent before
	Requests int // that the switch has not answered in full
}

// Load returns what is under way now.
func (c *Conn) Load() Load {
	return Load{Unsent: int(c.unsent.Load()), Requests: c.calls.count()}
}

// write hands b to the writer, which owns it from then on.
func (c *Conn) write(ctx context.Context, b []byte) error {
	n := int64(len(b)) // b is the writer's soon
	c.unsent.Add(n)
	select {
	case c.out <- b:
		return nil
	case <-ctx.Done():
		c.unsent.Add(-n)
		return context.Cause(ctx)
	case <-c.closed:
		c.unsent.Add(-n)
		return ErrClosed
	}
}
