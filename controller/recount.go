package controller

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// recount corrects the counters of flows for packets that are larger than the next MTU. After
// check_pkt_larger, Open vSwitch adds every packet to the counters of such a flow, whatever
// its size. So recount replaces these counters by those of the flow's meter. If the flow has
// no meter, the true number is not known, and the counters are set to 0.
func recount(ctx context.Context, s *session, p compile.Program, stats []ofproto.FlowStats) error {
	meters := make(map[ofproto.MeterID]ofproto.MeterStats)
	var large []*ofproto.FlowStats
	for i := range stats {
		if role, ours := compile.RoleOf(stats[i].Cookie); ours && role == compile.RoleTooBig {
			large = append(large, &stats[i])
		}
	}
	if len(large) == 0 {
		return nil
	}
	err := s.conn.Multipart(ctx, ofproto.MeterStatsRequest{Meter: ofproto.MeterAll}, func(body ofproto.MultipartBody) bool {
		all, ok := body.(ofproto.MeterStatsReply)
		for _, m := range all {
			if _, role, ours := p.OfMeter(m.Meter); ours && role == compile.RoleLarger {
				meters[m.Meter] = m
			}
		}
		return ok
	})
	if err != nil && len(p.Meters) > 0 { // a program without meters works on a switch without meters
		return fmt.Errorf("read the meters of bridge %s: %w", s.bridge, err)
	}
	for _, f := range large {
		f.Packets, f.Bytes = 0, 0
		if _, ids := f.Do.Refs(); len(ids) > 0 {
			f.Packets, f.Bytes = meters[ids[0]].Packets, meters[ids[0]].Bytes
		}
	}
	return nil
}
