package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	benchBridge = "br-bench"
	mgmtSocket  = "/run/openvswitch/" + benchBridge + ".mgmt"
	tcpAddress  = "127.0.0.1:6653" // where the switch listens, inside the host
	patience    = 2 * time.Minute  // for one reply
)

// A wireBridge is a bridge without ports, which only holds flows.
type wireBridge struct {
	h     *lab.Host
	conns map[string]*ofconn.Conn // by network: unix, tcp
	stop  context.CancelFunc
	ended chan error // results of Run of each connection
}

func newWireBridge(ctx context.Context) (*wireBridge, error) {
	h, err := newHost(ctx)
	if err != nil {
		return nil, err
	}
	b := &wireBridge{h: h, conns: make(map[string]*ofconn.Conn), ended: make(chan error, 2)}
	run, stop := context.WithCancel(ctx)
	b.stop = stop
	if err := b.setUp(ctx, run); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *wireBridge) setUp(ctx, run context.Context) error {
	if err := b.h.AddBridge(ctx, benchBridge); err != nil {
		return err
	}
	// Only OpenFlow 1.3, because ofnet ignores the hello of a switch that offers more.
	if _, err := b.h.Vsctl(ctx, "set", "bridge", benchBridge, "fail_mode=secure", "protocols=OpenFlow13",
		"--", "set-controller", benchBridge, "ptcp:6653:127.0.0.1"); err != nil {
		return err
	}
	for _, network := range []string{"unix", "tcp"} {
		nc, err := b.dial(ctx, network)
		if err != nil {
			return err
		}
		c := ofconn.New(nc, ofconn.Config{})
		b.conns[network] = c
		go func() { b.ended <- c.Run(run, func(ofproto.Message) {}) }()
	}
	return b.empty(ctx)
}

func (b *wireBridge) close() {
	b.stop()
	for range b.conns {
		<-b.ended
	}
	b.h.Close()
}

// dial connects to the bridge, over its management socket or, if network is
// tcp, over the host's loopback interface.
func (b *wireBridge) dial(ctx context.Context, network string) (nc net.Conn, err error) {
	address := mgmtSocket
	if network == "tcp" {
		address = tcpAddress
	}
	err = lab.Await(ctx, "the bridge to listen on "+address, func() error {
		nc, err = b.h.Dial(ctx, network, address)
		return err
	})
	return nc, err
}

// empty deletes all flows and waits until the switch has also freed them.
func (b *wireBridge) empty(ctx context.Context) error {
	all := ofproto.Flow{FlowKey: ofproto.FlowKey{Table: ofproto.AllTables}}
	if err := b.conns["unix"].Program(ctx, []ofproto.FlowMod{{Command: ofproto.FlowDelete, Flow: all}}); err != nil {
		return err
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	return b.expect(ctx, 0)
}

// settle waits until the switch has used no CPU time for a while.
func (b *wireBridge) settle(ctx context.Context) error {
	last := ""
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.h.Switch().Pid))
		if err != nil {
			return err
		}
		fields := strings.Fields(string(stat))
		used := fields[13] + " " + fields[14] // utime and stime, in hundredths of a second
		if used == last {
			return nil
		}
		last = used
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// count returns how many flows the switch holds.
func (b *wireBridge) count(ctx context.Context) (int, error) {
	n := 0
	err := b.conns["unix"].Multipart(ctx, ofproto.AggregateRequest(ofproto.AllFlows()), func(body ofproto.MultipartBody) bool {
		a, ok := body.(ofproto.Aggregate)
		n = int(a.Flows)
		return ok
	})
	return n, err
}

// expect fails unless the switch holds n flows.
func (b *wireBridge) expect(ctx context.Context, n int) error {
	have, err := b.count(ctx)
	if err == nil && have != n {
		err = fmt.Errorf("switch holds %d flows, want %d", have, n)
	}
	return err
}

// A rawConn is a connection without any logic, so that its cost equals the switch's cost.
type rawConn struct {
	nc net.Conn
	r  *bufio.Reader
}

func (b *wireBridge) dialRaw(ctx context.Context, network string) (*rawConn, error) {
	nc, err := b.dial(ctx, network)
	if err != nil {
		return nil, err
	}
	return newRawConn(nc)
}

// newRawConn exchanges hellos over nc, and closes nc if that fails.
func newRawConn(nc net.Conn) (*rawConn, error) {
	nc.SetDeadline(time.Now().Add(patience))
	c := &rawConn{nc, bufio.NewReaderSize(nc, 1<<17)}
	_, err := nc.Write(ofproto.Hello13().Append(nil, 0))
	if err == nil {
		_, _, err = c.next()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("exchange hellos: %w", err)
	}
	return c, nil
}

// next returns the next message, which is valid until the next call.
func (c *rawConn) next() (ofproto.Header, []byte, error) {
	b, err := c.r.Peek(ofproto.HeaderLen)
	if err != nil {
		return ofproto.Header{}, nil, err
	}
	h, err := ofproto.DecodeHeader(b)
	if err != nil {
		return h, nil, err
	}
	b, err = c.r.Peek(int(h.Length))
	if err != nil {
		return h, nil, err
	}
	_, err = c.r.Discard(len(b))
	return h, b, err
}

// exchange writes b and reads until the reply to transaction xid.
func (c *rawConn) exchange(b []byte, xid uint32) error {
	if _, err := c.nc.Write(b); err != nil {
		return err
	}
	for {
		h, m, err := c.next()
		if err != nil {
			return err
		}
		if h.Type == 1 { // OFPT_ERROR
			e, _ := ofproto.Decode(m)
			return fmt.Errorf("switch answered %v", e)
		}
		if h.XID == xid {
			return nil
		}
	}
}
