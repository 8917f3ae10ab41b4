package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	echoPort    = 7
	probesOften = time.Millisecond     // between packets
	probesCalm  = 5 * time.Millisecond // 200 packets a second
)

// echo sends each packet that arrives at a machine's address back to its sender, until the returned
// connection is closed.
func echo(ctx context.Context, m *lab.Machine, address string) (net.PacketConn, error) {
	conn, err := m.ListenPacket(ctx, "udp4", netip.AddrPortFrom(netip.MustParseAddr(address), echoPort).String())
	if err != nil {
		return nil, err
	}
	go func() { // ends when conn is closed
		b := make([]byte, 64)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			conn.WriteTo(b[:n], from) // a reply that cannot be sent is lost
		}
	}()
	return conn, nil
}

// A prober sends numbered packets from a machine to an [echo], one each interval.
type prober struct {
	conn     net.PacketConn
	to       net.Addr
	interval time.Duration
	stop     context.CancelFunc
	ended    sync.WaitGroup

	mu    sync.Mutex
	sent  []time.Time
	reply []time.Time // time of the reply to each packet in sent; zero if no reply has arrived
}

func probe(ctx context.Context, m *lab.Machine, from, to string, interval time.Duration) (*prober, error) {
	conn, err := m.ListenPacket(ctx, "udp4", from+":0")
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	p := &prober{conn: conn, interval: interval, stop: stop, to: net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(to), echoPort))}
	p.ended.Go(func() { p.send(ctx) })
	p.ended.Go(p.receive)
	return p, nil
}

func (p *prober) close() {
	p.stop()
	p.conn.Close()
	p.ended.Wait()
}

func (p *prober) send(ctx context.Context) {
	tick := time.NewTicker(p.interval)
	defer tick.Stop()
	for {
		p.mu.Lock()
		number := len(p.sent)
		p.sent, p.reply = append(p.sent, time.Now()), append(p.reply, time.Time{})
		p.mu.Unlock()
		p.conn.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(number)), p.to) // a packet that cannot be sent is lost
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// receive records the replies until the socket is closed.
func (p *prober) receive() {
	b := make([]byte, 64)
	for {
		n, _, err := p.conn.ReadFrom(b)
		if err != nil {
			return
		}
		now := time.Now()
		p.mu.Lock()
		if i := binary.BigEndian.Uint32(b); n == 4 && int(i) < len(p.reply) {
			p.reply[i] = now
		}
		p.mu.Unlock()
	}
}

// answered waits for a reply to a packet that was sent after the time after. It
// returns the time when the first such reply arrived.
func (p *prober) answered(ctx context.Context, after time.Time) (at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = lab.Await(ctx, "a reply", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i := len(p.sent) - 1; i >= 0 && p.sent[i].After(after); i-- {
			if t := p.reply[i]; !t.IsZero() && (at.IsZero() || t.Before(at)) {
				at = t
			}
		}
		if at.IsZero() {
			return fmt.Errorf("%d packets, no reply", len(p.sent))
		}
		return nil
	})
	return at, err
}

// outage returns the time during which packets were lost, the number of lost
// packets, and the number of all packets. Packets after the last reply do not
// count.
func (p *prober) outage() (outage time.Duration, lost, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.sent) - 1
	for last > 0 && p.reply[last].IsZero() {
		last--
	}
	for i := range last {
		if p.reply[i].IsZero() {
			outage += p.sent[i+1].Sub(p.sent[i])
			lost++
		}
	}
	return outage, lost, last + 1
}
