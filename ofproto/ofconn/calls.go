package ofconn

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A call waits for the replies to a range of transaction IDs.
type call struct {
	first, last uint32
	// deliver handles a reply to message i of the call, on the reader's goroutine. It reports
	// whether the call is complete.
	deliver func(i int, m ofproto.Message) bool
	room    int           // bytes of replies that may still arrive
	done    chan struct{} // closed when complete
	err     error         // set before done is closed, if the call did not complete
}

// calls are the calls in progress.
type calls struct {
	mu    sync.Mutex
	next  uint32 // the next transaction ID minus one; ID 0 is never used
	open  []*call
	ended error // set when the connection has ended
}

// start begins a call of n messages. The replies together may have room bytes.
func (cs *calls) start(n, room int, deliver func(int, ofproto.Message) bool) (*call, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.ended != nil {
		return nil, cs.ended
	}
	if cs.next+uint32(n) < cs.next { // wraps around
		cs.next = 0
	}
	cl := &call{first: cs.next + 1, last: cs.next + uint32(n), deliver: deliver, room: room, done: make(chan struct{})}
	cs.next = cl.last
	cs.open = append(cs.open, cl)
	return cl, nil
}

// deliver passes message m of n bytes to the call that m replies to. It returns false if there is
// no such call. It fails if the replies exceed the call's room.
func (cs *calls) deliver(xid uint32, m ofproto.Message, n int) (bool, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for i, cl := range cs.open {
		if cl.first <= xid && xid <= cl.last {
			if cl.room -= n; cl.room < 0 {
				return true, ErrTooLong
			}
			if cl.deliver(int(xid-cl.first), m) {
				cs.open = slices.Delete(cs.open, i, i+1)
				close(cl.done)
			}
			return true, nil
		}
	}
	return false, nil
}

// count returns the number of calls in progress.
func (cs *calls) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.open)
}

// drop removes a call after its caller has stopped waiting.
func (cs *calls) drop(cl *call) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for i := range cs.open {
		if cs.open[i] == cl {
			cs.open = slices.Delete(cs.open, i, i+1)
			return
		}
	}
}

// endAll ends all current and later calls with err.
func (cs *calls) endAll(err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.ended = err
	for _, cl := range cs.open {
		cl.err = err
		close(cl.done)
	}
	cs.open = nil
}

// begin starts a call of n messages after the version has been negotiated.
func (c *Conn) begin(ctx context.Context, n, room int, deliver func(i int, m ofproto.Message) bool) (*call, error) {
	select {
	case <-c.hello:
	case <-c.closed:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return c.calls.start(n, room, deliver)
}

// sendRange sends the messages number from, from+1, …, to−1 of a call. It calls encode to encode
// them.
func (c *Conn) sendRange(ctx context.Context, cl *call, from, to int, encode func(b []byte, i int, xid uint32) []byte) error {
	var b []byte
	if few := 256 * (to - from); few < chunkCap {
		b = make([]byte, 0, few)
	} else {
		b = c.chunk()
	}
	for i := from; i < to; i++ {
		b = encode(b, i, cl.first+uint32(i))
		if len(b) >= chunkSize && i+1 < to {
			if err := c.write(ctx, b); err != nil {
				return err
			}
			b = c.chunk()
		}
	}
	return c.write(ctx, b)
}

// wait waits until cl is complete.
func (cl *call) wait(ctx context.Context) error {
	select {
	case <-cl.done:
		return cl.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request sends m and passes each reply to deliver, until deliver returns true. The replies
// together may have room bytes.
func (c *Conn) request(ctx context.Context, m ofproto.Message, room int, deliver func(ofproto.Message) bool) error {
	cl, err := c.begin(ctx, 1, room, func(_ int, m ofproto.Message) bool { return deliver(m) })
	if err != nil {
		return err
	}
	defer c.calls.drop(cl)
	if err := c.write(ctx, m.Append(nil, cl.first)); err != nil {
		return err
	}
	return cl.wait(ctx)
}

// Call sends m and returns the switch's only reply. If the reply is an error
// message, Call returns an error that wraps its [ofproto.ErrorCode].
func (c *Conn) Call(ctx context.Context, m ofproto.Message) (ofproto.Message, error) {
	var reply ofproto.Message
	err := c.request(ctx, m, maxShortAnswer, func(m ofproto.Message) bool {
		reply = m
		return true
	})
	if err != nil {
		return nil, err
	}
	if e, ok := reply.(ofproto.ErrorMessage); ok {
		return nil, fmt.Errorf("switch refused the request: %w", e.Code)
	}
	return reply, nil
}

// Send sends m and waits for a barrier. It is for messages to which a switch replies only if
// it refuses them. If the switch refuses m, the error wraps the switch's [ofproto.ErrorCode].
func (c *Conn) Send(ctx context.Context, m ofproto.Message) error {
	var refused error // owned by the reader's goroutine until the call is complete
	cl, err := c.begin(ctx, 2, maxShortAnswer, func(i int, m ofproto.Message) bool {
		if e, ok := m.(ofproto.ErrorMessage); ok && i == 0 {
			refused = fmt.Errorf("switch refused the request: %w", e.Code)
		}
		return i == 1
	})
	if err != nil {
		return err
	}
	defer c.calls.drop(cl)
	if err := c.write(ctx, ofproto.BarrierRequest{}.Append(m.Append(nil, cl.first), cl.last)); err != nil {
		return err
	}
	if err := cl.wait(ctx); err != nil {
		return err
	}
	return refused
}

// Probe sends an echo request before all queued messages, and returns nil when the switch
// replies. If ctx is done first, any message received since the call also counts as a reply.
func (c *Conn) Probe(ctx context.Context) error {
	before := c.count.Load()
	cl, err := c.begin(ctx, 1, maxShortAnswer, func(int, ofproto.Message) bool { return true })
	if err != nil {
		return err
	}
	defer c.calls.drop(cl)
	c.sendUrgent(ofproto.Echo{}, cl.first)
	if err = cl.wait(ctx); err != nil && ctx.Err() != nil && c.count.Load() != before {
		return nil
	}
	return err
}
