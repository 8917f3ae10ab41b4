package ofconn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/time/rate"

	"github.com/ofdvr/ofdvr/ofproto"
)

func (c *Conn) readLoop(handle func(ofproto.Message)) error {
	if err := c.readHello(); err != nil {
		return err
	}
	r := c.newReader()
	close(c.hello)
	unasked := rate.NewLimiter(rate.Limit(c.cfg.MaxUnsolicited), 10*c.cfg.MaxUnsolicited)
	process := func(h ofproto.Header, b []byte) error { // b is nil for a dropped message
		c.heard.Store(int64(time.Since(c.began)))
		c.count.Add(1)
		if answers, err := c.take(h, b, handle); err != nil || answers {
			return err
		}
		if !unasked.Allow() {
			return fmt.Errorf("%w: more than %d per second, the latest of type %d", ErrFlood, c.cfg.MaxUnsolicited, h.Type)
		}
		return nil
	}
	for {
		h, err := readHeader(r)
		if err != nil {
			return err
		}
		if int(h.Length) > r.Size() {
			if !c.identified.Load() {
				if err := c.skim(r, h, process); err != nil {
					return err
				}
				continue
			}
			r = c.grown(r)
		}
		b, err := r.Peek(int(h.Length))
		if err != nil {
			return readError(err)
		}
		if err := process(h, b); err != nil {
			return err
		}
		if _, err := r.Discard(len(b)); err != nil {
			return fmt.Errorf("read from switch: %w", err)
		}
	}
}

// take handles a message, and reports whether it replies to a call.
func (c *Conn) take(h ofproto.Header, b []byte, handle func(ofproto.Message)) (answers bool, err error) {
	if b == nil {
		return false, nil
	}
	c.logMessage(false, b)
	m, err := ofproto.Decode(b)
	if err != nil {
		return false, fmt.Errorf("%w: message of type %d: %w", ErrGarbage, h.Type, err)
	}
	answers, err = c.calls.deliver(h.XID, m, len(b))
	switch e, isEcho := m.(ofproto.Echo); {
	case err != nil, answers:
	case isEcho && !e.Reply:
		e.Reply = true
		c.sendUrgent(e, h.XID)
	case !isEcho:
		handle(m)
	default:
		if sent := c.probed.Swap(nil); sent != nil && c.cfg.RoundTrip != nil {
			c.cfg.RoundTrip(time.Since(*sent))
		}
	}
	return answers, err
}

// readHeader returns the header of the next message without consuming it.
func readHeader(r *bufio.Reader) (ofproto.Header, error) {
	b, err := r.Peek(ofproto.HeaderLen)
	if err != nil {
		return ofproto.Header{}, readError(err)
	}
	h, err := ofproto.DecodeHeader(b)
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrGarbage, err)
	}
	return h, nil
}

func readError(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("switch closed the connection")
	}
	return fmt.Errorf("read from switch: %w", err)
}

// readHello reads the first message, which must be a hello that offers OpenFlow 1.3. It uses
// no buffer, so a silent peer costs little memory.
func (c *Conn) readHello() error {
	b := make([]byte, ofproto.HeaderLen, maxHello)
	if _, err := io.ReadFull(c.nc, b); err != nil {
		return readError(err)
	}
	h, err := ofproto.DecodeHeader(b)
	if err != nil {
		return fmt.Errorf("%w: hello: %w", ErrGarbage, err)
	}
	if h.Length > maxHello {
		return fmt.Errorf("%w: first message has %d bytes and is not a hello", ErrGarbage, h.Length)
	}
	b = b[:h.Length]
	if _, err := io.ReadFull(c.nc, b[ofproto.HeaderLen:]); err != nil {
		return readError(err)
	}
	m, err := ofproto.Decode(b)
	if err != nil {
		return fmt.Errorf("%w: hello: %w", ErrGarbage, err)
	}
	hello, ok := m.(ofproto.Hello)
	switch {
	case !ok:
		return fmt.Errorf("%w: first message is of type %d, not a hello", ErrGarbage, h.Type)
	case !hello.Speaks13():
		err := fmt.Errorf("%w: the switch offers %v", ErrVersion, hello)
		refusal := ofproto.ErrorMessage{Code: ofproto.ErrHelloIncompatible, Data: "ofdvr supports only OpenFlow 1.3"}
		c.nc.SetWriteDeadline(time.Now().Add(c.cfg.EchoInterval))
		c.nc.Write(refusal.Append(nil, 0)) // errors are ignored, because the connection is closed either way
		return err
	}
	return nil
}
