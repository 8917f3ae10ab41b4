package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// peer connects to the daemon's OpenFlow port, as what a test wants to be.
func (s *site) peer() net.Conn {
	s.t.Helper()
	nc, err := s.Dial(s.t.Context(), "tcp", "127.0.0.1:6653")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// disconnected fails the test unless the daemon ends nc within 15 s. What it
// sends before that is read.
func (s *site) disconnected(nc net.Conn) {
	s.t.Helper()
	nc.SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Error("still connected")
	}
}

// flood sends b over and over until the daemon ends the connection.
func flood(nc net.Conn, b []byte) {
	b = bytes.Repeat(b, 1+1<<15/len(b))
	for {
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
}

// repeat makes an attack that says hello, then message, without end.
func repeat(message []byte) func(net.Conn) {
	return func(nc net.Conn) {
		nc.Write(ofproto.Hello13().Append(nil, 0))
		go io.Copy(io.Discard, nc)
		flood(nc, message)
	}
}

// answer makes an attack that says hello and gives the daemon's requests to
// reply, until that returns false.
func answer(reply func(nc net.Conn, xid uint32, request ofproto.Message) bool) func(net.Conn) {
	return func(nc net.Conn) {
		nc.Write(ofproto.Hello13().Append(nil, 0))
		b := make([]byte, 1<<16)
		for {
			if _, err := io.ReadFull(nc, b[:8]); err != nil {
				return
			}
			n, xid := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:])
			if _, err := io.ReadFull(nc, b[8:n]); err != nil {
				return
			}
			if m, err := ofproto.Decode(b[:n]); err != nil || !reply(nc, xid, m) {
				return
			}
		}
	}
}

// wrongAnswer answers with what was not asked for.
func wrongAnswer(nc net.Conn, xid uint32, request ofproto.Message) bool {
	if _, ok := request.(ofproto.FeaturesRequest); ok {
		nc.Write(ofproto.Raw{Type: 77}.Append(nil, xid))
	}
	return true
}

// endlessPorts answers like a switch, but for its list of ports, which does not
// end.
func endlessPorts(nc net.Conn, xid uint32, request ofproto.Message) bool {
	switch request.(type) {
	case ofproto.FeaturesRequest:
		nc.Write(ofproto.Features{DPID: 1}.Append(nil, xid))
	case ofproto.BarrierRequest:
		nc.Write(ofproto.BarrierReply{}.Append(nil, xid))
	case ofproto.Multipart:
		var ports ofproto.PortDescReply
		for i := range 500 {
			ports = append(ports, ofproto.Port{No: ofproto.PortNo(i), Name: fmt.Sprint("port", i)})
		}
		flood(nc, ofproto.Multipart{Reply: true, More: true, Body: ports}.Append(nil, xid))
		return false
	}
	return true
}

// tooShort makes an attack by a message that says it is n bytes long.
func tooShort(n byte) func(net.Conn) {
	return func(nc net.Conn) { nc.Write([]byte{4, 0, 0, n, 0, 0, 0, 0}) }
}

// attacks are what a peer may do to the listener, by the reason for which it is
// disconnected.
var attacks = []struct {
	name, reason string
	attack       func(net.Conn)
}{
	{"silence", "mute", func(net.Conn) {}},
	{"half a header", "mute", func(nc net.Conn) { nc.Write([]byte{4, 0, 0}) }},
	{"hello and silence", "mute", func(nc net.Conn) { nc.Write(ofproto.Hello13().Append(nil, 0)) }},
	{"a message of 0 bytes", "garbage", tooShort(0)},
	{"a message of 1 byte", "garbage", tooShort(1)},
	{"a message of 4 bytes", "garbage", tooShort(4)},
	{"a message of 7 bytes", "garbage", tooShort(7)},
	{"65,535 bytes of garbage", "garbage", func(nc net.Conn) { nc.Write(bytes.Repeat([]byte{0xff}, 65535)) }},
	{"a port status that is cut off", "garbage", func(nc net.Conn) {
		nc.Write(ofproto.Hello13().Append(nil, 0))
		nc.Write([]byte{4, 12, 0, 8, 0, 0, 0, 0})
	}},
	{"another version", "version", func(nc net.Conn) { nc.Write(ofproto.Hello{Version: 1, Bitmap: 1 << 1}.Append(nil, 0)) }},
	{"unknown types", "flood", repeat(ofproto.Raw{Type: 77}.Append(nil, 0xdead))},
	{"a wrong answer", "garbage", answer(wrongAnswer)},
	{"packet-ins", "flood", repeat(ofproto.PacketIn{Data: strings.Repeat("x", 100)}.Append(nil, 0))},
	{"replies that nobody asked for", "flood", repeat(ofproto.Features{}.Append(nil, 0xdead))},
	{"echo requests, and it never reads", "flood", func(nc net.Conn) {
		nc.Write(ofproto.Hello13().Append(nil, 0))
		flood(nc, ofproto.Echo{Data: strings.Repeat("x", 100)}.Append(nil, 0))
	}},
	{"ports without end", "too_long", answer(endlessPorts)},
}

// Whatever peers do to the listener, each is disconnected in bounded time, which
// is counted and logged once; and the daemon goes on serving the switch. (The
// limit is so low that a slow machine can be flooded too.)
func TestHostilePeers(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--max-unasked", "100")
	want := make(map[string]float64)
	ended := make(chan struct{}, len(attacks))
	for _, a := range attacks {
		want[fmt.Sprintf("ofdvr_openflow_disconnects_total{reason=%q}", a.reason)]++
		nc := s.peer()
		go func() {
			a.attack(nc)
			ended <- struct{}{}
		}()
		switch a.reason {
		case "mute", "garbage", "version":
			defer s.disconnected(nc)
		}
	}
	latency := func() float64 { // of a commit, on average so far
		m := s.scrape()
		return 1000 * m["ofdvr_commit_duration_seconds_sum"] / m["ofdvr_commit_duration_seconds_count"]
	}
	quiet := latency()
	for i := range 5 {
		s.reload(strings.Replace(twoNetworks, "10.0.2.10]", fmt.Sprintf("10.0.2.%d]", 20+i), 1))
	}
	t.Logf("commits take %.1f ms under attack, and took %.1f ms before", latency(), quiet)
	for range attacks {
		<-ended
	}
	for name, n := range want {
		s.eventually(name, func() error {
			if got := s.scrape()[name]; got != n {
				return fmt.Errorf("it is %v, want %v", got, n)
			}
			return nil
		})
	}
	for _, text := range []string{"refused connection that does not speak OpenFlow", "disconnected switch that does not keep to OpenFlow",
		"disconnected switch that floods us", "disconnected switch that answers without end", "allow it OpenFlow 1.3"} {
		if n := strings.Count(s.daemon.Log(), text); n != 1 {
			t.Errorf("the log says %d times %q", n, text)
		}
	}
}

// A crowd of connections that say nothing does not keep a switch out, and costs
// at most 512 MiB. (What Go's runtime has is looked at, as the race detector
// needs memory of its own besides.)
func TestSilentCrowd(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	const crowd, memory = 10_000, "go_memstats_sys_bytes"
	before := s.scrape()[memory]
	for range crowd {
		s.peer()
	}
	s.Switch().Kill()
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	now := s.scrape()
	grown := (now[memory] - before) / (1 << 20)
	t.Logf("%d silent connections cost %.0f MiB", crowd, grown)
	if grown > 512 {
		t.Error("that is too much")
	}
	if now[`ofdvr_openflow_disconnects_total{reason="crowd"}`] == 0 {
		t.Error("none of the crowd was sent away")
	}
}
