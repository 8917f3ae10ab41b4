// Package ofconn speaks OpenFlow 1.3 over a connection to one switch.
package ofconn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Errors that end [Conn.Run].
var (
	// ErrSilent says that the switch stopped answering echo requests.
	ErrSilent = errors.New("switch is silent")
	// ErrVersion says that the switch does not speak OpenFlow 1.3.
	ErrVersion = errors.New("switch does not speak OpenFlow 1.3")
)

// ErrClosed is wrapped by the errors of calls that were made on, or cut short
// by the end of, a connection.
var ErrClosed = errors.New("connection is closed")

// Config is what a [Conn] can be told. The zero value is usable.
type Config struct {
	// EchoInterval is how long a switch may be silent before it is probed;
	// after a second interval it counts as dead. 0 means 5 s.
	EchoInterval time.Duration
}

const (
	defaultEchoInterval = 5 * time.Second
	readBufferSize      = 1 << 17 // holds the longest message, 65,535 bytes
	chunkSize           = 1 << 16 // bytes that are handed to the writer at once, or a little more
)

// A Conn is an OpenFlow connection to one switch. Create it with [New], then
// call [Conn.Run], which owns the connection until it returns. The other
// methods may be called from any goroutine while Run runs.
type Conn struct {
	nc   net.Conn
	echo time.Duration

	out    chan []byte   // encoded messages; a few chunks, so that encoding and writing overlap
	urgent chan []byte   // echo messages, which overtake; one too many is dropped
	hello  chan struct{} // closed when both sides have agreed on the version
	closed chan struct{} // closed when Run returns

	calls calls
}

// New returns a Conn over nc.
func New(nc net.Conn, cfg Config) *Conn {
	if cfg.EchoInterval <= 0 {
		cfg.EchoInterval = defaultEchoInterval
	}
	return &Conn{
		nc:     nc,
		echo:   cfg.EchoInterval,
		out:    make(chan []byte, 4),
		urgent: make(chan []byte, 4),
		hello:  make(chan struct{}),
		closed: make(chan struct{}),
	}
}

// RemoteAddr returns the switch's end of the connection.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Run agrees on OpenFlow 1.3 with the switch, then reads and writes messages
// until ctx is done or the connection fails. Answers to calls go to the calls;
// every other message is passed to handle, in order, on one goroutine. handle
// must not wait for a call on the same connection. When Run returns, the
// connection is closed, every call has ended, and so has every goroutine that
// it started. The error is never nil; it is ctx's cause if ctx was canceled.
func (c *Conn) Run(ctx context.Context, handle func(ofproto.Message)) error {
	defer close(c.closed)
	g, ctx := errgroup.WithContext(ctx)
	heard := make(chan struct{}, 1) // full: probeLoop already knows
	c.urgent <- ofproto.Hello13().Append(nil, 0)
	g.Go(func() error { return c.readLoop(heard, handle) })
	g.Go(func() error { return c.writeLoop(ctx) })
	g.Go(func() error { return c.probeLoop(ctx, heard) })
	g.Go(func() error { // unblocks readLoop and writeLoop
		<-ctx.Done()
		c.nc.Close()
		return context.Cause(ctx)
	})
	err := g.Wait()
	c.calls.endAll(fmt.Errorf("%w: %w", ErrClosed, err))
	return err
}

func (c *Conn) readLoop(heard chan<- struct{}, handle func(ofproto.Message)) error {
	r := bufio.NewReaderSize(c.nc, readBufferSize)
	if err := c.readHello(r); err != nil {
		return err
	}
	close(c.hello)
	for {
		h, b, err := readMessage(r)
		if err != nil {
			return err
		}
		select {
		case heard <- struct{}{}:
		default:
		}
		m, err := ofproto.Decode(b)
		if err != nil {
			return fmt.Errorf("decode message of type %d from switch: %w", h.Type, err)
		}
		if _, err := r.Discard(len(b)); err != nil {
			return fmt.Errorf("read from switch: %w", err)
		}
		switch e, isEcho := m.(ofproto.Echo); {
		case isEcho && !e.Reply:
			e.Reply = true
			c.sendUrgent(e, h.XID)
		case isEcho:
		case c.calls.deliver(h.XID, m):
		default:
			handle(m)
		}
	}
}

// readMessage returns the next message, which is valid until it is discarded
// from r.
func readMessage(r *bufio.Reader) (ofproto.Header, []byte, error) {
	b, err := r.Peek(ofproto.HeaderLen)
	if err != nil {
		return ofproto.Header{}, nil, readError(err)
	}
	h, err := ofproto.DecodeHeader(b)
	if err != nil {
		return h, nil, fmt.Errorf("read from switch: %w", err)
	}
	b, err = r.Peek(int(h.Length))
	if err != nil {
		return h, nil, readError(err)
	}
	return h, b, nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("switch closed the connection")
	}
	return fmt.Errorf("read from switch: %w", err)
}

// readHello reads the first message, which must be a hello that offers
// OpenFlow 1.3.
func (c *Conn) readHello(r *bufio.Reader) error {
	_, b, err := readMessage(r)
	if err != nil {
		return err
	}
	m, err := ofproto.Decode(b)
	if err != nil {
		return fmt.Errorf("decode hello from switch: %w", err)
	}
	hello, ok := m.(ofproto.Hello)
	switch {
	case !ok:
		return fmt.Errorf("switch began with a message of type %d instead of hello", b[1])
	case !hello.Speaks13():
		err := fmt.Errorf("%w: it offers %v", ErrVersion, hello)
		refusal := ofproto.ErrorMessage{Code: ofproto.ErrHelloIncompatible, Data: "ofdvr speaks OpenFlow 1.3 only"}
		c.nc.SetWriteDeadline(time.Now().Add(c.echo))
		c.nc.Write(refusal.Append(nil, 0)) // a courtesy: the connection ends either way
		return err
	}
	_, err = r.Discard(len(b))
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
		c.nc.SetWriteDeadline(time.Now().Add(2 * c.echo))
		if _, err := c.nc.Write(b); err != nil {
			return fmt.Errorf("write to switch: %w", err)
		}
	}
}

func (c *Conn) probeLoop(ctx context.Context, heard <-chan struct{}) error {
	k := keepalive{interval: c.echo}
	k.heard(time.Now())
	for {
		what, next := k.check(time.Now())
		switch what {
		case dead:
			return fmt.Errorf("%w: nothing heard for %v", ErrSilent, 2*c.echo)
		case probe:
			c.sendUrgent(ofproto.Echo{}, 0)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-heard:
			k.heard(time.Now())
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (c *Conn) sendUrgent(m ofproto.Message, xid uint32) {
	select {
	case c.urgent <- m.Append(nil, xid):
	default: // the switch does not read what it asked for
	}
}

// write hands b to the writer, which owns it from then on.
func (c *Conn) write(ctx context.Context, b []byte) error {
	select {
	case c.out <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.closed:
		return ErrClosed
	}
}
