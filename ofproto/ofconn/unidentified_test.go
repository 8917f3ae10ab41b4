package ofconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Port descriptions of an unidentified peer are read in pieces, with any length. Other long
// messages are dropped until the peer is identified.
func TestUnidentifiedPeer(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := New(ours, Config{Unidentified: true, EchoInterval: time.Hour})
	got := make(chan ofproto.Message, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func(m ofproto.Message) { got <- m }) }()
	send := func(m ofproto.Message, xid uint32) {
		if _, err := theirs.Write(m.Append(nil, xid)); err != nil {
			t.Error(err)
		}
	}
	read := func() uint32 { // the transaction ID of the next message
		b := make([]byte, ofproto.HeaderLen)
		if _, err := io.ReadFull(theirs, b); err != nil {
			t.Fatal(err)
		}
		h, err := ofproto.DecodeHeader(b)
		if err == nil {
			_, err = io.CopyN(io.Discard, theirs, int64(h.Length)-ofproto.HeaderLen)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h.XID
	}
	read() // hello
	send(ofproto.Hello13(), 0)
	long := ofproto.PacketIn{Data: string(make([]byte, 60_000))}

	var all []ofproto.Port
	for i := range 1500 {
		all = append(all, ofproto.Port{No: ofproto.PortNo(i + 1), Name: fmt.Sprint("port", i)})
	}
	var ports []ofproto.Port
	longest := 0
	asked := make(chan error, 1)
	go func() {
		asked <- c.EachPort(ctx, func(part []ofproto.Port) error {
			ports, longest = append(ports, part...), max(longest, len(part))
			return nil
		})
	}()
	xid := read()
	send(long, 0)
	send(ofproto.PortStatus{Port: all[0]}, 0)
	send(ofproto.Multipart{Reply: true, More: true, Body: ofproto.PortDescReply(all[:1000])}, xid)
	send(long, 0)
	send(ofproto.Multipart{Reply: true, Body: ofproto.PortDescReply(all[1000:])}, xid)
	if err := <-asked; err != nil || !slices.Equal(ports, all) || longest > smallBufferSize/portDescLen {
		t.Errorf("got %d ports in parts of at most %d, error %v", len(ports), longest, err)
	}
	if m := <-got; len(got) > 0 || m.(ofproto.PortStatus).Port != all[0] {
		t.Errorf("%v, and %d more", m, len(got))
	}

	c.Identified()
	send(long, 0)
	if m, ok := (<-got).(ofproto.PacketIn); !ok || len(m.Data) != len(long.Data) {
		t.Errorf("%T of %d bytes", m, len(m.Data))
	}
	send(ofproto.PortStatus{Port: all[1]}, 0) // tests that messages after the long one are not lost
	if m := <-got; m.(ofproto.PortStatus).Port != all[1] {
		t.Error(m)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Dropped messages count as unsolicited messages.
func TestUnidentifiedFlood(t *testing.T) {
	ours, theirs := net.Pipe()
	c := New(ours, Config{Unidentified: true, MaxUnsolicited: 1})
	done := make(chan error, 1)
	go func() { done <- c.Run(t.Context(), func(ofproto.Message) { t.Error("a message was passed on") }) }()
	go io.Copy(io.Discard, theirs)
	theirs.Write(ofproto.Hello13().Append(nil, 0))
	for {
		if _, err := theirs.Write(ofproto.PacketIn{Data: string(make([]byte, 60_000))}.Append(nil, 0)); err != nil {
			break
		}
	}
	if err := <-done; !errors.Is(err, ErrFlood) {
		t.Error(err)
	}
}

// Any message answers a probe. Silence does not.
func TestProbe(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := New(ours, Config{EchoInterval: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func(ofproto.Message) {}) }()
	asked := make(chan uint32)
	go func() {
		b := make([]byte, 1<<10)
		for {
			if _, err := io.ReadFull(theirs, b[:ofproto.HeaderLen]); err != nil {
				return
			}
			h, _ := ofproto.DecodeHeader(b)
			io.ReadFull(theirs, b[:int(h.Length)-ofproto.HeaderLen])
			if h.Type == 2 { // OFPT_ECHO_REQUEST
				asked <- h.XID
			}
		}
	}()
	theirs.Write(ofproto.Hello13().Append(nil, 0))
	result := make(chan error, 1)
	go func() { result <- c.Probe(ctx) }()
	xid := <-asked
	theirs.Write(ofproto.Echo{Reply: true}.Append(nil, xid))
	if err := <-result; err != nil {
		t.Error(err)
	}
	// Now no message arrives.
	soon, end := context.WithCancel(ctx)
	go func() { result <- c.Probe(soon) }()
	<-asked
	end()
	if err := <-result; err == nil {
		t.Error("Probe succeeded although no message arrived")
	}
	cancel()
	<-done
}
