package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	rate     = 1000 // packets a second, in the whole mesh
	udpPort  = 7
	straggle = 2 * time.Second // time after which a missing packet is lost
)

// A pair is an ordered pair of machines, with the traffic from one to the other.
type pair struct {
	from, to *machine
	addr     net.Addr // address of the receiver

	// These fields are for the current window, and guarded by mesh.mu.
	first uint32 // sequence number of sent[0]
	sent  []time.Time
	got   []bool // by index in sent
	twice int    // packets that have arrived again
}

func (p *pair) String() string { return p.from.Name + " → " + p.to.Name }

// routed reports whether p's packets need the router of the sender.
func (p *pair) routed() bool { return p.from.network != p.to.network }

// A mesh is the traffic between all machines. It consists of UDP packets with sequence
// numbers, which are counted on arrival. The packets sent between two calls of [mesh.cut] form
// a window, so every packet belongs to a window.
type mesh struct {
	machines  []*machine
	pairs     []*pair
	receivers *errgroup.Group // set by run

	mu      sync.Mutex
	conns   map[*machine]net.PacketConn // nil for a machine that is unplugged
	paused  bool                        // nothing is sent
	total   int                         // packets sent in all windows
	sendErr error
}

// newMesh opens the sockets in the machines. The caller must call run.
func newMesh(ctx context.Context, plugged map[*machine]*lab.Machine, order []*machine) (*mesh, error) {
	m := &mesh{machines: order, conns: make(map[*machine]net.PacketConn)}
	for _, at := range order {
		conn, err := listen(ctx, plugged[at])
		if err != nil {
			m.close()
			return nil, err
		}
		m.conns[at] = conn
	}
	for _, from := range order {
		for _, to := range order {
			if from != to {
				m.pairs = append(m.pairs, &pair{from: from, to: to, addr: m.conns[to].LocalAddr()})
			}
		}
	}
	return m, nil
}

// listen opens the socket of a machine.
func listen(ctx context.Context, at *lab.Machine) (net.PacketConn, error) {
	addr := netip.AddrPortFrom(netip.MustParseAddr(at.IP()), udpPort)
	conn, err := at.ListenPacket(ctx, "udp4", addr.String())
	if err != nil {
		return nil, fmt.Errorf("open a socket in %s: %w", at.Name, err)
	}
	if err := enlarge(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("enlarge the buffer of a socket in %s: %w", at.Name, err)
	}
	return conn, nil
}

// unplug ends the traffic of a machine; packets from and to it are lost.
func (m *mesh) unplug(at *machine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[at].Close()
	m.conns[at] = nil
}

// plug resumes the traffic of a machine, which may be on another host now. The mesh must be running.
func (m *mesh) plug(ctx context.Context, at *machine, plugged *lab.Machine) error {
	conn, err := listen(ctx, plugged)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns[at] = conn
	m.receivers.Go(func() error { return m.receive(at, conn) })
	return nil
}

// enlarge enlarges the receive buffer, so that it can hold packets while the test has no time
// to read.
func enlarge(conn net.PacketConn) error {
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	})
	return errors.Join(cerr, err)
}

func (m *mesh) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		if c != nil {
			c.Close()
		}
	}
}

// run sends and receives until parent is done, and returns its cause.
func (m *mesh) run(parent context.Context) error {
	g, ctx := errgroup.WithContext(parent)
	m.receivers = g
	for at, c := range m.conns {
		g.Go(func() error { return m.receive(at, c) })
	}
	g.Go(func() error {
		defer m.close() // ends receive
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
				m.send(uint16(i % len(m.pairs)))
			}
		}
	})
	err := g.Wait()
	if parent.Err() != nil {
		return context.Cause(parent)
	}
	return err
}

// send sends a packet of the i-th pair. A packet that cannot be sent counts as lost.
func (m *mesh) send(i uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.paused {
		return
	}
	p := m.pairs[i]
	b := binary.BigEndian.AppendUint16(nil, i)
	b = binary.BigEndian.AppendUint32(b, p.first+uint32(len(p.sent)))
	p.sent, p.got = append(p.sent, time.Now()), append(p.got, false)
	m.total++
	conn := m.conns[p.from]
	if conn == nil {
		return
	}
	if _, err := conn.WriteTo(b, p.addr); err != nil {
		m.sendErr = fmt.Errorf("%v: %w", p, err)
	}
}

// receive returns nil if the machine was unplugged.
func (m *mesh) receive(at *machine, c net.PacketConn) error {
	b := make([]byte, 64)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.conns[at] != c {
				return nil
			}
			return fmt.Errorf("receive traffic: %w", err)
		}
		if n != 6 {
			continue
		}
		m.arrived(binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:]))
	}
}

// arrived records the arrival of a packet of the i-th pair.
func (m *mesh) arrived(i uint16, seq uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.pairs[i]; seq >= p.first { // older packets belong to an earlier window
		if p.got[seq-p.first] {
			p.twice++
		}
		p.got[seq-p.first] = true
	}
}

// A scope is a set of pairs.
type scope func(*pair) bool

func nothing(*pair) bool    { return false }
func everything(*pair) bool { return true }

// passes returns when the given number of further packets have been sent. Faults measure time
// in packets.
func (m *mesh) passes(ctx context.Context, packets int) error {
	until := packets + m.sentSoFar()
	return lab.Await(ctx, fmt.Sprintf("%d packets to be sent", packets), func() error {
		if n := m.sentSoFar(); n < until {
			return fmt.Errorf("%d are missing", until-n)
		}
		return nil
	})
}

func (m *mesh) sentSoFar() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// flows waits until every pair in s has received a packet that was sent after the call.
func (m *mesh) flows(ctx context.Context, s scope) error {
	from := make(map[*pair]uint32)
	m.mu.Lock()
	for _, p := range m.pairs {
		from[p] = p.first + uint32(len(p.sent))
	}
	m.mu.Unlock()
	return lab.Await(ctx, "the traffic to flow again", func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		var missing []string
		for _, p := range m.pairs {
			if s(p) && !slices.Contains(p.got[min(int(from[p]-p.first), len(p.got)):], true) {
				missing = append(missing, p.String())
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("nothing arrived from %s (last send error: %w)", strings.Join(missing, ", "), m.sendErr)
		}
		return nil
	})
}

// A loss has the lost packets of a pair in a window.
type loss struct {
	pair        *pair
	lost, sent  int
	first, last time.Time // times when the first and the last lost packet were sent
}

// doubled returns the pairs with packets that have arrived twice since the last call.
func (m *mesh) doubled() (pairs []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pairs {
		if p.twice > 0 {
			pairs = append(pairs, fmt.Sprintf("%d of %v", p.twice, p))
		}
		p.twice = 0
	}
	return pairs
}

// cut ends the window and begins the next. It returns the numbers of packets that the pairs in
// counted have sent and lost, and the losses of the pairs that are not in excused. It waits for the
// packets of the latter, because packets may be delayed, for example while the kernel resolves an
// address.
func (m *mesh) cut(ctx context.Context, counted, excused scope) (sent, lost int, wrong []loss, err error) {
	m.pause(true)
	defer m.pause(false)
	late, cancel := context.WithTimeout(ctx, straggle)
	defer cancel()
	lab.Await(late, "stragglers", func() error { // packets that are missing at the end are lost
		if _, _, wrong := m.count(counted, excused); len(wrong) > 0 {
			return fmt.Errorf("%d pairs", len(wrong))
		}
		return nil
	})
	if ctx.Err() != nil {
		return 0, 0, nil, context.Cause(ctx)
	}
	sent, lost, wrong = m.count(counted, excused)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pairs {
		p.first += uint32(len(p.sent))
		p.sent, p.got = nil, nil
	}
	return sent, lost, wrong, nil
}

func (m *mesh) pause(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = on
}

// count returns the packets sent and lost in the window so far by the pairs in counted. It also
// returns the losses of each pair that is not in excused.
func (m *mesh) count(counted, excused scope) (sent, lost int, wrong []loss) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.pairs {
		if !counted(p) {
			continue
		}
		l := loss{pair: p, sent: len(p.sent)}
		for i, at := range p.sent {
			if p.got[i] {
				continue
			}
			if l.lost++; l.lost == 1 {
				l.first = at
			}
			l.last = at
		}
		sent += l.sent
		lost += l.lost
		if l.lost > 0 && !excused(p) {
			wrong = append(wrong, l)
		}
	}
	return sent, lost, wrong
}
