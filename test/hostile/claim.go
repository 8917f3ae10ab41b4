package hostile

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/ofdvr/ofdvr/ofproto"
)

// badExperimenter is OFPBAC_BAD_EXPERIMENTER.
const badExperimenter ofproto.ErrorCode = 2<<16 | 2

// A Reply answers a request of the daemon. It returns false if it has no answer.
type Reply func(nc net.Conn, xid uint32, request ofproto.Message) bool

// Switch returns a peer that behaves like a switch with one bridge and its ports. If the function
// first is not nil, it may answer a request. All other requests get success, or the error of a
// switch without extensions.
func Switch(bridge string, ports []string, first Reply) func(net.Conn) {
	described := sync.OnceValue(func() [][]byte {
		return parts[ofproto.PortDescReply](1+len(ports), func(i int) ofproto.Port {
			if i == 0 {
				return ofproto.Port{No: ofproto.PortLocal, Name: bridge}
			}
			return ofproto.Port{No: ofproto.PortNo(i), Name: ports[i-1]}
		})
	})
	return Answer(func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		if first != nil && first(nc, xid, request) {
			return true
		}
		switch m := request.(type) {
		case ofproto.FeaturesRequest:
			nc.Write(ofproto.Features{DPID: 0xbad}.Append(nil, xid))
		case ofproto.BarrierRequest:
			nc.Write(ofproto.BarrierReply{}.Append(nil, xid))
		case ofproto.RoleRequest:
			nc.Write(ofproto.RoleReply{Role: m.Role, Generation: m.Generation}.Append(nil, xid))
		case ofproto.Echo:
			nc.Write(ofproto.Echo{Reply: true, Data: m.Data}.Append(nil, xid))
		case ofproto.GetConfigRequest:
			nc.Write(ofproto.SwitchConfig{}.Append(nil, xid))
		case ofproto.Multipart:
			var body ofproto.MultipartBody
			switch m.Body.(type) {
			case ofproto.PortDescRequest:
				return send(nc, xid, described())
			case ofproto.FlowStatsRequest:
				body = ofproto.FlowStatsReply{}
			case ofproto.MeterStatsRequest:
				body = ofproto.MeterStatsReply{}
			default:
				nc.Write(ofproto.ErrorMessage{Code: badExperimenter}.Append(nil, xid))
				return true
			}
			nc.Write(ofproto.Multipart{Reply: true, Body: body}.Append(nil, xid))
		}
		return true
	})
}

// EndlessFlows returns a Reply to requests for flows: an endless list of
// different flows with the cookie.
func EndlessFlows(cookie ofproto.Cookie) Reply {
	return func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		m, ok := request.(ofproto.Multipart)
		if _, asked := m.Body.(ofproto.FlowStatsRequest); !ok || !asked {
			return false
		}
		const flows = 400 // in a message
		do := ofproto.ApplyActions(ofproto.Output{Port: 1}, ofproto.Output{Port: 2}, ofproto.Output{Port: 3}, ofproto.Output{Port: 4})
		flow := ofproto.FlowStats{Flow: ofproto.Flow{Cookie: cookie, Do: do}, Packets: 1, Bytes: 1}
		message := ofproto.Multipart{Reply: true, More: true, Body: ofproto.FlowStatsReply(slices.Repeat([]ofproto.FlowStats{flow}, flows))}.Append(nil, xid)
		const header = 16
		for n := 0; ; {
			for b := range slices.Chunk(message[header:], (len(message)-header)/flows) {
				n++
				b[2] = byte(1 + n>>16%250) // the table, OpenFlow 1.3.5 §7.3.5.2
				binary.BigEndian.PutUint16(b[12:], uint16(n))
			}
			if _, err := nc.Write(message); err != nil {
				return true
			}
		}
	}
}

// Names returns n port names.
func Names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("p", i)
	}
	return names
}

// parts returns the messages of a reply of n parts. Each message has as many parts as fit.
func parts[R interface {
	~[]E
	ofproto.MultipartBody
}, E any](n int, part func(i int) E) (messages [][]byte) {
	var body R
	for i := range n {
		if body = append(body, part(i)); len(body) < 400 && i+1 < n {
			continue
		}
		messages = append(messages, ofproto.Multipart{Reply: true, More: i+1 < n, Body: body}.Append(nil, 0))
		body = body[:0]
	}
	return messages
}

// send sends the messages of a reply, and reports whether that was possible.
func send(nc net.Conn, xid uint32, messages [][]byte) bool {
	for _, m := range messages {
		m = slices.Clone(m) // a copy, because other peers may send it too
		binary.BigEndian.PutUint32(m[4:], xid)
		if _, err := nc.Write(m); err != nil {
			return false
		}
	}
	return true
}

// Holds returns the Reply of a switch with n flows, n groups and n meters.
// Several peers may share the Reply.
func Holds(n int) Reply {
	do := ofproto.ApplyActions(ofproto.Output{Port: 1}, ofproto.Output{Port: 2}, ofproto.Output{Port: 3}, ofproto.Output{Port: 4})
	flows := sync.OnceValue(func() [][]byte {
		return parts[ofproto.FlowStatsReply](n, func(i int) ofproto.FlowStats {
			return ofproto.FlowStats{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Table: ofproto.TableID(1 + i>>16), Priority: uint16(i)}, Cookie: 1, Do: do}, Packets: 1}
		})
	})
	groups := sync.OnceValue(func() [][]byte {
		return parts[ofproto.GroupDescReply](n, func(i int) ofproto.GroupEntry {
			return ofproto.GroupEntry{ID: ofproto.GroupID(1 + i), Buckets: []ofproto.Bucket{{WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny}}}
		})
	})
	meters := sync.OnceValue(func() [][]byte {
		return parts[ofproto.MeterConfigReply](n, func(i int) ofproto.MeterEntry {
			return ofproto.MeterEntry{ID: ofproto.MeterID(1 + i), Bands: []ofproto.Band{{Type: ofproto.BandDrop, Rate: 1}}}
		})
	})
	return func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		m, _ := request.(ofproto.Multipart)
		switch m.Body.(type) {
		case ofproto.FlowStatsRequest:
			return send(nc, xid, flows())
		case ofproto.GroupDescRequest:
			return send(nc, xid, groups())
		case ofproto.MeterConfigRequest:
			return send(nc, xid, meters())
		}
		return false
	}
}
