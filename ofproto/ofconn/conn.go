// Package ofconn implements OpenFlow 1.3 over a connection to one switch.
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
	// ErrEchoTimeout means that the switch stopped replying to echo requests.
	ErrEchoTimeout = errors.New("switch does not reply to echo requests")
	// ErrUnread means that the switch does not read from the connection.
	ErrUnread = errors.New("switch does not read from the connection")
	// ErrVersion means that the switch does not support OpenFlow 1.3.
	ErrVersion = errors.New("switch does not support OpenFlow 1.3")
)

// Errors that end [Conn.Run] because of messages from the switch.
var (
	// ErrGarbage means that the switch sent bytes that are not valid OpenFlow.
	ErrGarbage = errors.New("switch sent garbage")
	// ErrFlood means that the switch sent too many unsolicited messages.
	ErrFlood = errors.New("switch sent too many unsolicited messages")
	// ErrTooLong means that the switch sent a reply that exceeds the limit.
	ErrTooLong = errors.New("switch sent a reply that is too long")
)

// The error of a call wraps ErrClosed if the connection was closed before or during the call.
var ErrClosed = errors.New("connection is closed")

// Config configures a [Conn]. The zero value is usable.
type Config struct {
	// EchoInterval is the maximum silence of a switch before it is probed with an echo
	// request. After twice that time the switch is considered dead. 0 means 5 s.
	EchoInterval time.Duration
	// MaxAnswer is the maximum size in bytes of the reply to a request for flows, groups or
	// meters, or of the errors of a commit. It applies to all parts together. 0 means 1 GiB,
	// enough for about five million flows. The limit of other replies is 16 MiB.
	MaxAnswer int
	// MaxUnsolicited is the sustained limit of unsolicited messages per second. The burst
	// limit is ten times as many. 0 means 10,000.
	MaxUnsolicited int
	// Unidentified limits the cost of an unknown peer until [Conn.Identified] is called. Until
	// then the connection uses little memory, and drops messages of more than 4 KiB except
	// port descriptions.
	Unidentified bool
	// RoundTrip is called with the time between an echo request, sent to a silent switch, and its
	// reply. It must not block. It may be nil.
	RoundTrip func(time.Duration)
}

// started is the origin of the keepalive of every connection. So all
// connections are probed at the same times.
var started = time.Now()

const (
	defaultEchoInterval   = 5 * time.Second
	defaultMaxAnswer      = 1 << 30
	defaultMaxUnsolicited = 10_000
	maxShortAnswer        = 16 << 20
	maxHello              = 1024
	readBufferSize        = 1 << 17 // holds the longest message, 65,535 bytes
	chunkSize             = 1 << 16 // approximate number of bytes handed to the writer at once
	chunkCap              = chunkSize + chunkSize/16
)

// A Conn is an OpenFlow connection to one switch. Create it with [New], then
// call [Conn.Run], which owns the connection until it returns. The other
// methods may be called from any goroutine while Run runs.
type Conn struct {
	nc  net.Conn
	cfg Config

	out    chan []byte   // encoded messages; its capacity is a few chunks, so that encoding and writing overlap
	urgent chan []byte   // echo messages, sent before out; dropped if full
	hello  chan struct{} // closed when the version has been negotiated
	closed chan struct{} // closed when Run returns

	chunks     sync.Pool                 // has *[]byte: empty chunks for reuse
	probed     atomic.Pointer[time.Time] // time when the pending echo request was sent; nil if none is pending
	identified atomic.Bool               // see [Conn.Identified]

	began  time.Time     // time when Run was called
	heard  atomic.Int64  // time when the latest message was received, in ns since began
	count  atomic.Uint64 // messages received
	unsent atomic.Int64  // bytes handed to the writer but not written yet

	calls calls

	messageLog atomic.Pointer[func(sent bool, message []byte)]
}

// After LogMessages, the connection calls f with each message that it sends or receives. If f
// is nil, it stops that. f must be fast and must not retain the message. It may be called from
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

// RemoteAddr returns the address of the switch.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Run negotiates OpenFlow 1.3 with the switch, then reads and writes messages until parent is done
// or the connection fails. Replies are delivered to their calls. Every other message is passed to
// handle, in order, on one goroutine. handle must not wait for a call on the same connection. When
// Run returns, the connection is closed, and all calls and all goroutines that it started have
// ended. The error is never nil; it is parent's cause if parent was canceled.
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
		err = context.Cause(parent) // replaces the error that closing the connection caused
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
		// The time is longer than the time after which probeLoop gives up on a silent switch.
		patience := 3 * c.cfg.EchoInterval
		c.nc.SetWriteDeadline(time.Now().Add(patience))
		n, err := c.nc.Write(b)
		c.unsent.Add(-int64(n))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w: no write succeeded for %v", ErrUnread, patience)
		} else if err != nil {
			return fmt.Errorf("write to switch: %w", err)
		}
		if cap(b) >= chunkCap {
			b = b[:0]
			c.chunks.Put(&b)
		}
	}
}

// chunk returns an empty buffer for encoded messages, to be passed to write.
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
			return fmt.Errorf("%w: nothing received for %v", ErrEchoTimeout, 2*c.cfg.EchoInterval)
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
	default: // the switch does not read the replies to its own echo requests
		c.unsent.Add(-int64(len(b)))
	}
}

// A Load is the amount of work in progress on a connection.
type Load struct {
	Unsent   int // bytes that wait because the switch has not read earlier bytes
	Requests int // requests without a complete reply
}

// Load returns the current load.
func (c *Conn) Load() Load {
	return Load{Unsent: int(c.unsent.Load()), Requests: c.calls.count()}
}

// write passes b to the writer, which then owns b.
func (c *Conn) write(ctx context.Context, b []byte) error {
	n := int64(len(b)) // read before the writer owns b
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
