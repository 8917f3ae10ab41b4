package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// A Frame is an Ethernet frame captured on an interface.
type Frame struct {
	Time     time.Time // time when the frame was read, shortly after it passed
	Outgoing bool      // sent by the namespace that owns the interface
	Data     []byte    // the Ethernet frame, VLAN tag included; must not be modified
}

// Packet decodes the frame.
func (f Frame) Packet() gopacket.Packet {
	return gopacket.NewPacket(f.Data, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
}

// A Capture records the frames on an interface. Its methods may be called from
// several goroutines.
type Capture struct {
	what string // text for errors
	file *os.File
	done chan struct{} // closed when read has ended

	mu     sync.Mutex
	frames []Frame
	more   chan struct{} // closed and replaced when a frame is added
	queued uint64        // frames that the kernel had queued at the last call of statistics
	taken  uint64        // frames read from the queue, kept or not
	err    error         // reason why read ended
}

// Capture starts to record the frames, in both directions, on an interface in a network namespace
// of the host. The namespace "" is the host's own. If keep is not nil, only frames are kept for
// which it returns true. keep is called on one goroutine and should be fast. The caller must close
// the capture.
func (h *Host) Capture(netns, ifname string, keep func(Frame) bool) (*Capture, error) {
	c := &Capture{
		what: "capture on " + ifname,
		done: make(chan struct{}),
		more: make(chan struct{}),
	}
	if netns != "" {
		c.what += " in " + netns
	}
	err := inNetns(h.netnsPath(netns), func() (err error) {
		c.file, err = packetSocket(ifname, unix.ETH_P_ALL)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.what, err)
	}
	go c.read(keep)
	return c, nil
}

// packetSocket returns a packet socket (packet(7)) bound to an interface of the
// thread's network namespace. With protocol 0 it only sends.
func packetSocket(ifname string, protocol uint16) (*os.File, error) {
	nic, err := net.InterfaceByName(ifname)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "packet socket on "+ifname)
	for _, opt := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8 << 20},
	} {
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil {
			f.Close()
			return nil, fmt.Errorf("set an option of a packet socket: %w", err)
		}
	}
	addr := &unix.SockaddrLinklayer{Protocol: protocol<<8 | protocol>>8, Ifindex: nic.Index}
	if err := unix.Bind(fd, addr); err != nil {
		f.Close()
		return nil, fmt.Errorf("bind a packet socket to %s: %w", ifname, err)
	}
	return f, nil
}

// read records frames until the socket is closed.
func (c *Capture) read(keep func(Frame) bool) {
	defer close(c.done)
	raw, err := c.file.SyscallConn()
	data, control := make([]byte, 1<<16), make([]byte, 256)
	for err == nil {
		var f Frame
		var rerr error
		err = raw.Read(func(fd uintptr) bool {
			f, rerr = receive(int(fd), data, control)
			return !errors.Is(rerr, unix.EAGAIN)
		})
		switch {
		case err != nil: // closed
		case errors.Is(rerr, unix.EINTR), errors.Is(rerr, unix.ENETDOWN): // the interface may come up again
		case rerr != nil:
			err = rerr
		default:
			c.add(f, keep == nil || keep(f))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	close(c.more)
}

func (c *Capture) add(f Frame, kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken++
	if !kept {
		return
	}
	c.frames = append(c.frames, f)
	close(c.more)
	c.more = make(chan struct{})
}

// receive reads a frame. The kernel removes the VLAN tag and passes it as auxiliary data.
// receive inserts it again.
func receive(fd int, data, control []byte) (Frame, error) {
	n, cn, _, from, err := unix.Recvmsg(fd, data, control, unix.MSG_TRUNC)
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Time: time.Now(), Data: slices.Clone(data[:min(n, len(data))])}
	if sa, ok := from.(*unix.SockaddrLinklayer); ok {
		f.Outgoing = sa.Pkttype == unix.PACKET_OUTGOING
	}
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	if err != nil {
		return Frame{}, err
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 20 || len(f.Data) < 12 {
			continue
		}
		// struct tpacket_auxdata of linux/if_packet.h
		status := binary.NativeEndian.Uint32(m.Data)
		tci, tpid := binary.NativeEndian.Uint16(m.Data[16:]), binary.NativeEndian.Uint16(m.Data[18:])
		if status&unix.TP_STATUS_VLAN_VALID != 0 {
			tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tpid), tci)
			f.Data = slices.Insert(f.Data, 12, tag...)
		}
	}
	return f, nil
}

// Frames returns the frames recorded so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// Count returns the number of recorded frames that match. Frames that passed a moment ago may
// be missing (see [Capture.Sync]). To check that a frame was not sent, first wait for a frame
// that was sent later.
func (c *Capture) Count(match func(Frame) bool) int {
	n := 0
	for _, f := range c.Frames() {
		if match(f) {
			n++
		}
	}
	return n
}

// Sync returns when all frames that passed before the call have been read. It
// returns an error if frames were lost.
func (c *Capture) Sync(ctx context.Context) error {
	c.mu.Lock()
	stats, err := c.statistics()
	c.queued += uint64(stats.Packets)
	want := c.queued
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: read statistics: %w", c.what, err)
	}
	if stats.Drops > 0 {
		return fmt.Errorf("%s: %d frames were lost", c.what, stats.Drops)
	}
	return Await(ctx, c.what, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.taken < want {
			return fmt.Errorf("read %d of %d frames", c.taken, want)
		}
		return nil
	})
}

// statistics returns the socket's counters since the last call.
func (c *Capture) statistics() (stats unix.TpacketStats, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return stats, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var s *unix.TpacketStats
		if s, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			stats = *s
		}
	})
	return stats, errors.Join(cerr, err)
}

// Await returns the first recorded frame that matches. If no frame matches yet, it waits for one.
// If ctx is done first, it returns an error with "waited for" and the text what.
func (c *Capture) Await(ctx context.Context, what string, match func(Frame) bool) (Frame, error) {
	for seen := 0; ; {
		c.mu.Lock()
		fresh, more, err := c.frames[seen:], c.more, c.err
		c.mu.Unlock()
		for _, f := range fresh {
			if match(f) {
				return f, nil
			}
		}
		seen += len(fresh)
		if err != nil {
			return Frame{}, fmt.Errorf("%s: wait for %s: %w", c.what, what, err)
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("%s: waited for %s, saw %d other frames: %w", c.what, what, seen, context.Cause(ctx))
		}
	}
}

// Close ends the recording. The recorded frames stay available.
func (c *Capture) Close() error {
	err := c.file.Close()
	<-c.done
	return err
}

// Sender returns a socket that sends each frame written to it, unchanged, out of an interface
// in a network namespace of the host. The namespace "" is the host's own. The caller must
// close the socket.
func (h *Host) Sender(netns, ifname string) (io.WriteCloser, error) {
	var f *os.File
	err := inNetns(h.netnsPath(netns), func() (err error) {
		f, err = packetSocket(ifname, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a sender on %s: %w", ifname, err)
	}
	return f, nil
}

// Send sends one frame; see [Host.Sender].
func (h *Host) Send(netns, ifname string, frame []byte) error {
	s, err := h.Sender(netns, ifname)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Write(frame); err != nil {
		return fmt.Errorf("send a frame on %s: %w", ifname, err)
	}
	return nil
}
