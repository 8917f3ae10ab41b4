package hostile

import (
	"fmt"
	"net"

	"github.com/ofdvr/ofdvr/ofproto"
)

// badRequest refuses a request of an extension (OFPBRC_BAD_EXPERIMENTER).
const badRequest ofproto.ErrorCode = 1<<16 | 3

// Claim returns an attack by a switch that has one bridge with ports and answers all
// requests with success. Requests for flows are answered by flows; nil: by an empty table.
func Claim(bridge string, flows func(nc net.Conn, xid uint32), ports ...string) func(net.Conn) {
	return Answer(func(nc net.Conn, xid uint32, request ofproto.Message) bool {
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
			switch m.Body.(type) {
			case ofproto.PortDescRequest:
				all := ofproto.PortDescReply{{No: ofproto.PortLocal, Name: bridge}}
				for i, name := range ports {
					all = append(all, ofproto.Port{No: ofproto.PortNo(1 + i), Name: name})
				}
				nc.Write(ofproto.Multipart{Reply: true, Body: all}.Append(nil, xid))
			case ofproto.FlowStatsRequest:
				if flows != nil {
					flows(nc, xid)
					break
				}
				nc.Write(ofproto.Multipart{Reply: true, Body: ofproto.FlowStatsReply{}}.Append(nil, xid))
			default:
				nc.Write(ofproto.ErrorMessage{Code: badRequest}.Append(nil, xid))
			}
		}
		return true
	})
}

// EndlessFlows answers a request for flows without end.
func EndlessFlows(nc net.Conn, xid uint32) {
	var flows ofproto.FlowStatsReply
	for i := range 300 {
		var f ofproto.FlowStats
		f.Match = ofproto.MatchOf(ofproto.EthDst(ofproto.MAC{2, 1, 0, 0, byte(i >> 8), byte(i)}))
		f.Do = ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortNo(1 + i)})
		flows = append(flows, f)
	}
	Flood(nc, ofproto.Multipart{Reply: true, More: true, Body: flows}.Append(nil, xid))
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
