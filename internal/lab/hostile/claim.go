package hostile

import (
	"fmt"
	"net"

	"github.com/ofdvr/ofdvr/ofproto"
)

// badExperimenter is OFPBAC_BAD_EXPERIMENTER.
const badExperimenter ofproto.ErrorCode = 2<<16 | 2

// A Reply answers a request of the daemon. It returns false if it does not.
type Reply func(nc net.Conn, xid uint32, request ofproto.Message) bool

// Switch returns a peer that behaves as a switch with one bridge and its ports. Requests go
// to first, if it is not nil; what that does not answer is answered with success, or
// with an error of a switch that has no extensions.
func Switch(bridge string, ports []string, first Reply) func(net.Conn) {
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
		case ofproto.Multipart:
			var body ofproto.MultipartBody
			switch m.Body.(type) {
			case ofproto.PortDescRequest:
				all := ofproto.PortDescReply{{No: ofproto.PortLocal, Name: bridge}}
				for i, name := range ports {
					all = append(all, ofproto.Port{No: ofproto.PortNo(1 + i), Name: name})
				}
				body = all
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

// EndlessFlows answers requests for flows without end, each with another flow that has
// the cookie.
func EndlessFlows(cookie ofproto.Cookie) Reply {
	return func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		m, ok := request.(ofproto.Multipart)
		if _, asked := m.Body.(ofproto.FlowStatsRequest); !ok || !asked {
			return false
		}
		do := ofproto.ApplyActions(ofproto.Output{Port: 1}, ofproto.Output{Port: 2}, ofproto.Output{Port: 3}, ofproto.Output{Port: 4})
		for n := 0; ; {
			var part ofproto.FlowStatsReply
			for range 400 {
				n++
				part = append(part, ofproto.FlowStats{Flow: ofproto.Flow{
					FlowKey: ofproto.FlowKey{Table: ofproto.TableID(1 + n>>16%250), Priority: uint16(n)}, Cookie: cookie, Do: do,
				}, Packets: 1, Bytes: 1})
			}
			if _, err := nc.Write(ofproto.Multipart{Reply: true, More: true, Body: part}.Append(nil, xid)); err != nil {
				return true
			}
		}
	}
}

// ManyPorts returns an attack by a switch that has n ports.
func ManyPorts(n int) func(net.Conn) {
	const part = 500
	return Answer(func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		switch m := request.(type) {
		case ofproto.FeaturesRequest:
			nc.Write(ofproto.Features{DPID: 1}.Append(nil, xid))
		case ofproto.BarrierRequest:
			nc.Write(ofproto.BarrierReply{}.Append(nil, xid))
		case ofproto.Echo:
			nc.Write(ofproto.Echo{Reply: true, Data: m.Data}.Append(nil, xid))
		case ofproto.Multipart:
			for first := 0; first < n; first += part {
				var ports ofproto.PortDescReply
				for i := first; i < min(first+part, n); i++ {
					ports = append(ports, ofproto.Port{No: ofproto.PortNo(i), Name: fmt.Sprint("p", i)})
				}
				if _, err := nc.Write(ofproto.Multipart{Reply: true, More: first+part < n, Body: ports}.Append(nil, xid)); err != nil {
					return false
				}
			}
		}
		return true
	})
}
