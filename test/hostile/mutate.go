package hostile

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// mutate returns a copy of b with one to three random changes.
func mutate(r *rand.Rand, b []byte) []byte {
	b = slices.Clone(b)
	for range 1 + r.IntN(3) {
		if len(b) == 0 {
			return append(b, byte(r.Uint32()))
		}
		at := r.IntN(len(b))
		end := at + r.IntN(min(len(b)-at, 64)+1)
		switch r.IntN(6) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = []byte{0, 1, 0x7f, 0x80, 0xff, '"', '{', '['}[r.IntN(8)]
		case 2:
			b = b[:at]
		case 3:
			b = slices.Delete(b, at, end)
		case 4:
			b = slices.Insert(b, at, slices.Clone(b[at:end])...)
		case 5:
			b = slices.Insert(b, at, bytes.Repeat([]byte{byte(r.Uint32())}, end-at)...)
		}
	}
	return b
}

// Mutated returns a peer that behaves like a switch with one of the bridges and
// the ports. The peer changes its messages at random, repeats some of them, and
// inserts messages that were not requested. Use it for one connection only.
func Mutated(r *rand.Rand, ports []string, bridges ...string) func(net.Conn) {
	bridge := bridges[r.IntN(len(bridges))]
	peer := Switch(bridge, ports, func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		if r.IntN(4) == 0 {
			nc.Write(unasked(r).Append(nil, r.Uint32()))
		}
		m, ok := request.(ofproto.Multipart)
		if _, flows := m.Body.(ofproto.FlowStatsRequest); !ok || !flows {
			return false
		}
		nc.Write(ofproto.Multipart{Reply: true, More: r.IntN(8) == 0, Body: someFlows(r)}.Append(nil, xid))
		return true
	})
	return func(nc net.Conn) { peer(&mutator{nc, r}) }
}

// Turn is the time limit of a mutated conversation or request: the other end may wait for the rest of
// a truncated message.
const Turn = time.Second

// A mutator changes some of the OpenFlow messages that are written to it. Each call of Write has
// one message.
type mutator struct {
	net.Conn
	r *rand.Rand
}

func (m *mutator) Write(b []byte) (int, error) {
	out := b
	switch m.r.IntN(8) {
	case 0, 1: // a mutated message of any length, after which the stream is garbage
		out = mutate(m.r, b)
	case 2, 3: // a mutated message with a valid header
		out = mutate(m.r, b)
		if len(out) >= ofproto.HeaderLen && len(out) <= 0xffff {
			out[0] = b[0]
			binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
		}
	case 4: // twice
		out = append(slices.Clone(b), b...)
	}
	if _, err := m.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// unasked returns a message that switches send without a request.
func unasked(r *rand.Rand) ofproto.Message {
	port := ofproto.Port{No: ofproto.PortNo(r.Uint32N(5)), Name: []string{"a", "z", ""}[r.IntN(3)]}
	switch r.IntN(6) {
	case 0:
		return ofproto.PortStatus{Reason: ofproto.PortReason(r.IntN(4)), Port: port}
	case 1:
		return ofproto.FlowRemoved{FlowStats: someFlows(r)[0], Reason: ofproto.FlowRemovedReason(r.IntN(6))}
	case 2:
		return ofproto.PacketIn{Table: ofproto.TableID(r.IntN(256)), Data: string(mutate(r, make([]byte, 60)))}
	case 3:
		return ofproto.Echo{Data: "x"}
	case 4:
		return ofproto.ErrorMessage{Code: ofproto.ErrorCode(r.Uint32()), Data: string(mutate(r, ofproto.BarrierRequest{}.Append(nil, 1)))}
	}
	return ofproto.Multipart{Reply: true, Body: ofproto.FlowMonitorReply{{Event: ofproto.FlowEvent(r.IntN(5)), XID: r.Uint32(), Flow: someFlows(r)[0].Flow}}}
}

// someFlows returns flows with different matches and actions.
func someFlows(r *rand.Rand) ofproto.FlowStatsReply {
	texts := []string{
		"table=0,priority=210,ip,in_port=1,dl_dst=02:00:00:00:02:01,nw_src=10.0.2.0/24 actions=write_metadata:0x10000/0x1ffff,goto_table:1",
		"table=1,priority=400,arp,arp_tpa=10.0.2.1,arp_op=1 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],in_port",
		"table=2,priority=1,ipv6,ipv6_dst=fd00::/64 actions=dec_ttl,output:2",
		"table=3,priority=7,tcp,tp_dst=80 actions=learn(table=4,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),drop",
		"table=5,priority=0 actions=controller(max_len=64)",
	}
	var flows ofproto.FlowStatsReply
	for range 1 + r.IntN(8) {
		f, err := ofproto.ParseFlow(texts[r.IntN(len(texts))])
		if err != nil {
			f = ofproto.Flow{}
		}
		f.Cookie = ofproto.Cookie(r.Uint64())
		flows = append(flows, ofproto.FlowStats{Flow: f, Packets: r.Uint64(), Bytes: r.Uint64()})
	}
	return flows
}
