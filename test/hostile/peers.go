// Package hostile has attacks on a daemon: by peers on its OpenFlow port, by clients of its API and
// its page, and by files and locks in its directories. Tests and the benchmark of the same name use
// it.
package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Peer is a malicious OpenFlow peer.
type Peer struct {
	Name string
	// Reason is the reason why the daemon closes the connection, as in the label of
	// ofdvr_openflow_disconnects_total.
	Reason string
	// Attack runs on a new connection. It returns when the connection was closed or nothing is left to do, and
	// does not close it.
	Attack func(net.Conn)
}

// Peers returns one peer of each kind.
func Peers() []Peer {
	return []Peer{
		{"silence", "handshake_timeout", func(net.Conn) {}},
		{"half a header", "handshake_timeout", func(nc net.Conn) { nc.Write([]byte{4, 0, 0}) }},
		{"hello and silence", "handshake_timeout", func(nc net.Conn) { nc.Write(ofproto.Hello13().Append(nil, 0)) }},
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
		{"a wrong answer", "garbage", Answer(wrongAnswer)},
		{"packet-ins", "flood", repeat(ofproto.PacketIn{Data: strings.Repeat("x", 100)}.Append(nil, 0))},
		{"replies without a request", "flood", repeat(ofproto.Features{}.Append(nil, 0xdead))},
		{"endless echo requests from a peer that never reads", "flood", func(nc net.Conn) {
			nc.Write(ofproto.Hello13().Append(nil, 0))
			Flood(nc, ofproto.Echo{Data: strings.Repeat("x", 100)}.Append(nil, 0))
		}},
		{"ports without end", "too_long", Answer(EndlessPorts)},
	}
}

// Flood sends b repeatedly until the daemon closes the connection.
func Flood(nc net.Conn, b []byte) {
	b = bytes.Repeat(b, 1+1<<15/len(b))
	for {
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
}

// repeat returns an attack that sends hello, then message repeatedly.
func repeat(message []byte) func(net.Conn) {
	return func(nc net.Conn) {
		nc.Write(ofproto.Hello13().Append(nil, 0))
		go io.Copy(io.Discard, nc)
		Flood(nc, message)
	}
}

// Answer returns an attack that sends hello and passes the daemon's requests to reply until reply returns
// false.
func Answer(reply Reply) func(net.Conn) {
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

// wrongAnswer replies with a message of another type.
func wrongAnswer(nc net.Conn, xid uint32, request ofproto.Message) bool {
	if _, ok := request.(ofproto.FeaturesRequest); ok {
		nc.Write(ofproto.Raw{Type: 77}.Append(nil, xid))
	}
	return true
}

// EndlessPorts answers like a switch with an endless list of ports.
func EndlessPorts(nc net.Conn, xid uint32, request ofproto.Message) bool {
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
		Flood(nc, ofproto.Multipart{Reply: true, More: true, Body: ports}.Append(nil, xid))
		return false
	}
	return true
}

// tooShort returns an attack with a message of length n.
func tooShort(n byte) func(net.Conn) {
	return func(nc net.Conn) { nc.Write([]byte{4, 0, 0, n, 0, 0, 0, 0}) }
}
