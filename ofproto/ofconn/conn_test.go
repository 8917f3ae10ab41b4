package ofconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A peer is a switch controlled by the test. It can do things that Open vSwitch never does.
type peer struct {
	t  *testing.T
	nc net.Conn
}

// send sends m.
func (p *peer) send(xid uint32, m ofproto.Message) {
	p.t.Helper()
	if _, err := p.nc.Write(m.Append(nil, xid)); err != nil {
		p.t.Fatal(err)
	}
}

// receive returns the next message.
func (p *peer) receive() (uint32, ofproto.Message) {
	p.t.Helper()
	b := make([]byte, ofproto.HeaderLen)
	if _, err := io.ReadFull(p.nc, b); err != nil {
		p.t.Fatal(err)
	}
	h, err := ofproto.DecodeHeader(b)
	if err != nil {
		p.t.Fatal(err)
	}
	b = append(b, make([]byte, int(h.Length)-len(b))...)
	if _, err := io.ReadFull(p.nc, b[ofproto.HeaderLen:]); err != nil {
		p.t.Fatal(err)
	}
	m, err := ofproto.Decode(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return h.XID, m
}

// expect receives a message and fails unless it is want.
func (p *peer) expect(want ofproto.Message) uint32 {
	p.t.Helper()
	xid, m := p.receive()
	if m != want {
		p.t.Fatalf("received %#v, want %#v", m, want)
	}
	return xid
}

// connect runs a connection in a synctest bubble with virtual time. The peer has sent its hello.
// The test fails if a goroutine remains.
func connect(t *testing.T, test func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error)) {
	synctest.Test(t, func(t *testing.T) {
		us, them := net.Pipe()
		c := ofconn.New(us, ofconn.Config{EchoInterval: 5 * time.Second})
		p := &peer{t, them}
		ended := make(chan error, 1)
		go func() { ended <- c.Run(t.Context(), func(ofproto.Message) {}) }()
		p.expect(ofproto.Hello13())
		p.send(0, ofproto.Hello13())
		test(t, c, p, ended)
		them.Close()
	})
}

func TestSilentSwitchIsDead(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		start := time.Now()
		p.expect(ofproto.Echo{})
		if d := time.Since(start); d <= 3*time.Second || d > 4*time.Second {
			t.Errorf("the switch was probed after %v, want 3 s to 4 s", d)
		}
		if err := <-ended; !errors.Is(err, ofconn.ErrEchoTimeout) || time.Since(start) != 10*time.Second {
			t.Errorf("Run = %v after %v; want ErrEchoTimeout after 10s", err, time.Since(start))
		}
	})
}

func TestAnsweringSwitchLives(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		for range 100 {
			p.send(p.expect(ofproto.Echo{}), ofproto.Echo{Reply: true})
		}
		p.send(9, ofproto.Echo{Data: "are you there?"})
		if xid := p.expect(ofproto.Echo{Reply: true, Data: "are you there?"}); xid != 9 {
			t.Errorf("echo reply has xid %d", xid)
		}
	})
}

// The duration of each answered echo request is reported once.
func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		us, them := net.Pipe()
		told := make(chan time.Duration, 10)
		c := ofconn.New(us, ofconn.Config{EchoInterval: 5 * time.Second, RoundTrip: func(d time.Duration) { told <- d }})
		p, ended := &peer{t, them}, make(chan error, 1)
		go func() { ended <- c.Run(t.Context(), func(ofproto.Message) {}) }()
		p.expect(ofproto.Hello13())
		p.send(0, ofproto.Hello13())
		for _, took := range []time.Duration{7 * time.Millisecond, 4 * time.Second} {
			xid := p.expect(ofproto.Echo{})
			time.Sleep(took) // virtual time
			p.send(xid, ofproto.Echo{Reply: true})
			p.send(xid, ofproto.Echo{Reply: true}) // unsolicited
			if got := <-told; got != took {
				t.Errorf("the round trip took %v, but the reported times are %v", took, got)
			}
			p.send(9, ofproto.Echo{})
			p.expect(ofproto.Echo{Reply: true})
			if len(told) > 0 {
				t.Error("an unsolicited reply was reported")
			}
		}
		them.Close()
		<-ended
	})
}

// The load of a connection has two parts: the bytes that the switch has not read, and the
// requests that it has not answered.
func TestLoad(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		synctest.Wait()
		if got := c.Load(); got != (ofconn.Load{}) {
			t.Errorf("the load is %+v, want zero", got)
		}
		answered := make(chan error, 1)
		go func() {
			_, err := c.Features(t.Context())
			answered <- err
		}()
		synctest.Wait()
		if got, want := c.Load(), (ofconn.Load{Unsent: ofproto.HeaderLen, Requests: 1}); got != want {
			t.Errorf("the load is %+v, want %+v, before the switch reads", got, want)
		}
		xid := p.expect(ofproto.FeaturesRequest{})
		synctest.Wait()
		if got, want := c.Load(), (ofconn.Load{Requests: 1}); got != want {
			t.Errorf("the load is %+v, want %+v, before the switch answers", got, want)
		}
		p.send(xid, ofproto.Features{})
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if got := c.Load(); got != (ofconn.Load{}) {
			t.Errorf("the load is %+v after all replies, want zero", got)
		}
	})
}

func TestHello(t *testing.T) {
	tests := []struct {
		hello ofproto.Message
		want  string // part of the error; "" for no error
	}{
		{ofproto.Hello{Version: 6, Bitmap: 1<<6 | 1<<4}, ""},
		{ofproto.Hello{Version: 5}, ""},
		{ofproto.Hello{Version: 1, Bitmap: 1 << 1}, "the switch offers 1.0"},
		{ofproto.Hello{Version: 6, Bitmap: 1<<6 | 1<<5}, "the switch offers 1.4, 1.5"},
		{ofproto.Hello{Version: 3}, "the switch offers up to 1.2"},
		{ofproto.Echo{}, "not a hello"},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			us, them := net.Pipe()
			c, p := ofconn.New(us, ofconn.Config{}), &peer{t, them}
			ended := make(chan error, 1)
			go func() { ended <- c.Run(t.Context(), func(ofproto.Message) {}) }()
			p.expect(ofproto.Hello13())
			p.send(0, tt.hello)
			if tt.want == "" {
				go c.Features(t.Context())
				p.expect(ofproto.FeaturesRequest{})
				them.Close()
				<-ended
				return
			}
			if _, ok := tt.hello.(ofproto.Hello); ok {
				if _, m := p.receive(); m.(ofproto.ErrorMessage).Code != ofproto.ErrHelloIncompatible {
					t.Errorf("%v: replied with %#v", tt.hello, m)
				}
			}
			if err := <-ended; !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: Run = %v, want %q in it", tt.hello, err, tt.want)
			}
		})
	}
}

func TestRunCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		us, them := net.Pipe()
		defer them.Close()
		stopping := errors.New("stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopping) })
		c := ofconn.New(us, ofconn.Config{})
		if err := c.Run(ctx, func(ofproto.Message) {}); !errors.Is(err, stopping) {
			t.Errorf("Run = %v, want %v", err, stopping)
		}
		if _, err := c.Features(t.Context()); !errors.Is(err, ofconn.ErrClosed) {
			t.Errorf("call after the end: %v", err)
		}
	})
}

// A reply is delivered to the call with its transaction ID, in any order of replies.
func TestRepliesByXID(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		type answer struct {
			f   ofproto.Features
			err error
		}
		answers := make(chan answer, 2)
		for range 2 {
			go func() {
				f, err := c.Features(t.Context())
				answers <- answer{f, err}
			}()
		}
		a, b := p.expect(ofproto.FeaturesRequest{}), p.expect(ofproto.FeaturesRequest{})
		p.send(77, ofproto.Features{DPID: 77}) // unsolicited
		p.send(b, ofproto.Features{DPID: ofproto.DPID(b)})
		first := <-answers
		p.send(a, ofproto.ErrorMessage{Code: ofproto.ErrTableFull})
		second := <-answers
		if first.err != nil || first.f.DPID != ofproto.DPID(b) || !errors.Is(second.err, ofproto.ErrTableFull) {
			t.Errorf("replies are %+v, %+v", first, second)
		}
	})
}

func TestMultipartInParts(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		ports := make(chan []ofproto.Port, 1)
		go func() {
			got, err := c.Ports(t.Context())
			if err != nil {
				t.Error(err)
			}
			ports <- got
		}()
		xid := p.expect(ofproto.Request(ofproto.PortDescRequest{}))
		p.send(xid, ofproto.Multipart{Reply: true, Body: ofproto.PortDescReply{{No: 1}, {No: 2}}, More: true})
		p.send(xid, ofproto.Multipart{Reply: true, Body: ofproto.PortDescReply{{No: 3}}})
		if got := <-ports; len(got) != 3 || got[2].No != 3 {
			t.Errorf("got ports %+v", got)
		}
	})
}

var mods = []ofproto.FlowMod{
	{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 1}}},
	{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 2}}},
	{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: 3}}},
}

// commit starts a commit of mods, and makes p receive its bundle up to the barrier.
func commit(ctx context.Context, c *ofconn.Conn, p *peer) (result <-chan error, open uint32) {
	done := make(chan error, 1)
	go func() { done <- c.Commit(ctx, mods) }()
	open, _ = p.receive()
	for range mods {
		p.receive()
	}
	if xid := p.expect(ofproto.BarrierRequest{}); xid != open+4 {
		p.t.Errorf("the barrier has xid %d, the open request %d", xid, open)
	}
	return done, open
}

// If a change is refused, the error names it, and the bundle is discarded. The outcome is not
// unknown.
func TestCommitRefused(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		done, open := commit(t.Context(), c, p)
		p.send(open, ofproto.BundleControl{Op: ofproto.BundleOpen + 1})
		p.send(open+2, ofproto.ErrorMessage{Code: ofproto.ErrBadPrereq})
		p.send(open+4, ofproto.BarrierReply{})
		xid, m := p.receive()
		if ctl, ok := m.(ofproto.BundleControl); !ok || ctl.Op != ofproto.BundleDiscard {
			t.Errorf("received %#v, want a discard", m)
		}
		p.send(xid, ofproto.BundleControl{Op: ofproto.BundleDiscard + 1})
		var refused *ofconn.CommitError
		if err := <-done; !errors.As(err, &refused) || len(refused.Refused) != 1 ||
			refused.Refused[0].Mod != mods[1] || !errors.Is(err, ofproto.ErrBadPrereq) || errors.Is(err, ofconn.ErrUnknownOutcome) {
			t.Errorf("Commit = %v", err)
		}
	})
}

// If a switch does not support bundles, the error reports that. It does not name a change,
// although the switch refuses each change too.
func TestCommitWithoutBundles(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		done, open := commit(t.Context(), c, p)
		for i := range uint32(4) {
			p.send(open+i, ofproto.ErrorMessage{Code: ofproto.ErrBadExperimenter})
		}
		p.send(open+4, ofproto.BarrierReply{})
		xid, _ := p.receive() // the discard
		p.send(xid, ofproto.ErrorMessage{Code: ofproto.ErrBadExperimenter})
		var refused *ofconn.CommitError
		if err := <-done; errors.As(err, &refused) || !errors.Is(err, ofproto.ErrBadExperimenter) {
			t.Errorf("Commit = %v", err)
		}
	})
}

// A change that fails at the commit of the bundle is named in the error too.
func TestCommitFails(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		done, open := commit(t.Context(), c, p)
		p.send(open+4, ofproto.BarrierReply{})
		if xid, _ := p.receive(); xid != open+5 {
			t.Errorf("the commit has xid %d, the open request %d", xid, open)
		}
		p.send(open+3, ofproto.ErrorMessage{Code: ofproto.ErrTableFull})
		p.send(open+5, ofproto.ErrorMessage{Code: ofproto.ErrBundleMessage, Experimenter: 0x4f4e4600})
		var refused *ofconn.CommitError
		if err := <-done; !errors.As(err, &refused) || refused.Refused[0].Mod != mods[2] || !errors.Is(err, ofproto.ErrTableFull) {
			t.Errorf("Commit = %v", err)
		}
	})
}

// If a commit gets no reply, its outcome is unknown.
func TestCommitUnknown(t *testing.T) {
	for _, how := range []string{"times out", "connection ends"} {
		connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done, open := commit(ctx, c, p)
			p.send(open+4, ofproto.BarrierReply{})
			p.receive()
			if how == "connection ends" {
				p.nc.Close()
			}
			if err := <-done; !errors.Is(err, ofconn.ErrUnknownOutcome) {
				t.Errorf("%s: Commit = %v, want ErrUnknownOutcome", how, err)
			}
		})
	}
}

// Before the commit message is sent, nothing has been applied.
func TestCommitNotSent(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done, _ := commit(ctx, c, p)
		p.receive() // the discard, which gets no reply
		if err := <-done; errors.Is(err, ofconn.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Commit = %v", err)
		}
	})
}

// Each of half a header, a length below 8, and a malformed message ends the connection.
func TestGarbageEndsTheConnection(t *testing.T) {
	for _, garbage := range []string{"\x04\x00\x00\x07\x00\x00\x00\x00", "\x04\x01\x00\x09\x00\x00\x00\x00\x00", "\x04\x0c\x00\x08\x00\x00\x00\x00"} {
		connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
			p.nc.Write([]byte(garbage))
			if err := <-ended; err == nil || errors.Is(err, ofconn.ErrEchoTimeout) {
				t.Errorf("% x: Run = %v", garbage, err)
			}
		})
	}
}

// A switch that does not read blocks the writers until their contexts are done. It is detected
// as dead in time although nothing can be written.
func TestSwitchThatDoesNotRead(t *testing.T) {
	many := make([]ofproto.FlowMod, 50_000)
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Commit(ctx, many); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ofconn.ErrUnknownOutcome) {
			t.Errorf("Commit = %v", err)
		}
		if err := c.Commit(t.Context(), many); !errors.Is(err, ofconn.ErrClosed) {
			t.Errorf("Commit after the end of the connection = %v", err)
		}
		if err := <-ended; !errors.Is(err, ofconn.ErrEchoTimeout) || time.Since(start) != 10*time.Second {
			t.Errorf("Run = %v after %v", err, time.Since(start))
		}
	})
}

// A switch that sends but does not read is detected too.
func TestSwitchThatSendsButDoesNotRead(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		start := time.Now()
		go c.Commit(t.Context(), make([]ofproto.FlowMod, 50_000))
		for range 14 {
			time.Sleep(time.Second) // virtual
			p.send(0, ofproto.PortStatus{})
		}
		if err := <-ended; !errors.Is(err, ofconn.ErrUnread) || time.Since(start) != 15*time.Second {
			t.Errorf("Run = %v after %v", err, time.Since(start))
		}
	})
}

// Refusals are known when the barrier's reply arrives, even if other messages arrive in
// between.
func TestProgramRefused(t *testing.T) {
	connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
		done := make(chan error, 1)
		go func() { done <- c.Program(t.Context(), mods) }()
		first, _ := p.receive()
		p.receive()
		p.receive()
		barrier := p.expect(ofproto.BarrierRequest{})
		p.send(first+2, ofproto.ErrorMessage{Code: ofproto.ErrTableFull})
		p.send(first, ofproto.ErrorMessage{Code: ofproto.ErrBadPrereq})
		p.send(barrier, ofproto.BarrierReply{})
		var refused *ofconn.CommitError
		if err := <-done; !errors.As(err, &refused) || len(refused.Refused) != 2 ||
			refused.Refused[0].Mod != mods[2] || refused.Refused[1].Mod != mods[0] {
			t.Errorf("Program = %v", err)
		}
	})
}

// Each limit ends the connection with its own error.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		want   error
		attack func(p *peer, xid uint32)
	}{
		{ofconn.ErrTooLong, func(p *peer, xid uint32) {
			for {
				if _, err := p.nc.Write(ofproto.Multipart{Reply: true, More: true, Body: ofproto.FlowStatsReply(make([]ofproto.FlowStats, 100))}.Append(nil, xid)); err != nil {
					return
				}
			}
		}},
		{ofconn.ErrFlood, func(p *peer, xid uint32) {
			for {
				if _, err := p.nc.Write(ofproto.PortStatus{}.Append(nil, 0)); err != nil {
					return
				}
			}
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			us, them := net.Pipe()
			c := ofconn.New(us, ofconn.Config{MaxAnswer: 100_000, MaxUnsolicited: 100})
			p := &peer{t, them}
			ended := make(chan error, 1)
			go func() { ended <- c.Run(t.Context(), func(ofproto.Message) {}) }()
			p.expect(ofproto.Hello13())
			p.send(0, ofproto.Hello13())
			go c.Flows(t.Context(), ofproto.AllFlows())
			xid := p.expect(ofproto.Request(ofproto.FlowStatsRequest(ofproto.AllFlows())))
			tt.attack(p, xid)
			if err := <-ended; !errors.Is(err, tt.want) {
				t.Errorf("Run = %v, want %v", err, tt.want)
			}
		})
	}
}

// If the switch refuses a message that otherwise has no reply, Send returns the refusal.
func TestSend(t *testing.T) {
	for _, code := range []error{nil, ofproto.ErrTableFull} {
		connect(t, func(t *testing.T, c *ofconn.Conn, p *peer, ended <-chan error) {
			done := make(chan error, 1)
			go func() { done <- c.Send(t.Context(), ofproto.SetConfig{}) }()
			xid := p.expect(ofproto.SetConfig{})
			barrier := p.expect(ofproto.BarrierRequest{})
			if code != nil {
				p.send(xid, ofproto.ErrorMessage{Code: ofproto.ErrTableFull})
			}
			p.send(barrier, ofproto.BarrierReply{})
			if err := <-done; !errors.Is(err, code) {
				t.Errorf("Send = %v, want %v", err, code)
			}
		})
	}
}
