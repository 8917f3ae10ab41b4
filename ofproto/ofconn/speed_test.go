package ofconn_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

const speedFlows = 100_000

// routedFlows returns typical flows of a router.
func routedFlows() []ofproto.FlowMod {
	mods := make([]ofproto.FlowMod, speedFlows)
	for i := range mods {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		mods[i].Flow = ofproto.Flow{
			FlowKey: ofproto.FlowKey{Table: 2, Priority: 100,
				Match: ofproto.MatchOf(ofproto.IPv4(), ofproto.IPv4Dst(netip.PrefixFrom(addr, 32)))},
			Cookie: ofproto.Cookie(i),
			Do: ofproto.ApplyActions(
				ofproto.SetField{Field: ofproto.EthSrc(ofproto.MAC{2})},
				ofproto.SetField{Field: ofproto.EthDst(ofproto.MAC{2, 1})},
				ofproto.DecTTL{}, ofproto.Output{Port: 7}),
		}
	}
	return mods
}

// instant connects a Conn, over a Unix socket, to a switch that replies immediately with answer.
func instant(b *testing.B, answer func(w io.Writer, xid uint32, m []byte)) *ofconn.Conn {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	us, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	them, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	c, ended := ofconn.New(us, ofconn.Config{}), make(chan error, 2)
	go func() { ended <- c.Run(b.Context(), func(ofproto.Message) {}) }()
	go func() { ended <- serve(them, answer) }()
	b.Cleanup(func() { // Cleanup runs after the context was canceled
		<-ended
		<-ended
	})
	return c
}

// serve answers messages until the connection ends.
func serve(nc net.Conn, answer func(w io.Writer, xid uint32, m []byte)) error {
	nc.Write(ofproto.Hello13().Append(nil, 0))
	r := bufio.NewReaderSize(nc, 1<<17)
	for {
		b, err := r.Peek(ofproto.HeaderLen)
		if err != nil {
			return err
		}
		h, err := ofproto.DecodeHeader(b)
		if err != nil {
			return err
		}
		if b, err = r.Peek(int(h.Length)); err != nil {
			return err
		}
		answer(nc, h.XID, b)
		r.Discard(len(b))
	}
}

// BenchmarkCommit commits 100,000 flows to a switch that replies immediately.
func BenchmarkCommit(b *testing.B) {
	const experimenter, barrierRequest, control, controlLen = 4, 20, 2300, 24
	mods := routedFlows()
	c := instant(b, func(w io.Writer, xid uint32, m []byte) {
		switch {
		case m[1] == barrierRequest:
			w.Write(ofproto.BarrierReply{}.Append(nil, xid))
		case m[1] == experimenter && len(m) == controlLen: // the type of the reply is the type of the request plus one
			reply := slices.Clone(m)
			reply[21]++
			w.Write(reply)
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Commit(b.Context(), mods); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFlows reads 100,000 flows from a switch that replies immediately.
func BenchmarkFlows(b *testing.B) {
	const multipartRequest, perPart = 18, 480 // as many flows per part as Open vSwitch sends
	var parts [][]byte
	for mods := range slices.Chunk(routedFlows(), perPart) {
		var flows ofproto.FlowStatsReply
		for _, m := range mods {
			flows = append(flows, ofproto.FlowStats{Flow: m.Flow})
		}
		more := (len(parts)+1)*perPart < speedFlows
		parts = append(parts, ofproto.Multipart{Reply: true, More: more, Body: flows}.Append(nil, 0))
	}
	c := instant(b, func(w io.Writer, xid uint32, m []byte) {
		if m[1] != multipartRequest {
			return
		}
		for _, p := range parts {
			binary.BigEndian.PutUint32(p[4:], xid)
			w.Write(p)
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		flows, err := c.Flows(b.Context(), ofproto.AllFlows())
		if err != nil || len(flows) != speedFlows {
			b.Fatalf("%d flows, %v", len(flows), err)
		}
	}
}
