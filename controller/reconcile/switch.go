package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A Connected implements [Switch] with a connection.
type Connected struct{ *ofconn.Conn }

// Read implements [Switch].
func (s Connected) Read(ctx context.Context, k Known) (held Holdings, beyond Beyond, err error) {
	r := newReader(k)
	if err := s.EachFlow(ctx, ofproto.AllFlows(), r.take); err != nil {
		return held, beyond, err
	}
	for _, req := range []ofproto.MultipartBody{ofproto.GroupDescRequest{}, ofproto.MeterConfigRequest{Meter: ofproto.MeterAll}} {
		err := s.MultipartWithin(ctx, req, math.MaxInt, func(body ofproto.MultipartBody) (err error) {
			switch b := body.(type) {
			case ofproto.GroupDescReply:
				r.groups, err = keepEntries(r, groupTable, r.groups, b, k.Want.Groups, func(g ofproto.GroupEntry) bool { return k.OursGroup(g.ID) })
			case ofproto.MeterConfigReply:
				r.meters, err = keepEntries(r, meterTable, r.meters, b, k.Want.Meters, func(m ofproto.MeterEntry) bool { return k.OursMeter(m.ID) })
			default:
				return ofconn.ErrGarbage
			}
			return err
		})
		var code ofproto.ErrorCode
		if err != nil && !errors.As(err, &code) { // the switch has no groups, or no meters
			return held, beyond, err
		}
	}
	groupTable.sort(r.groups)
	meterTable.sort(r.meters)
	return Holdings{ofproto.SetOf(r.flows), r.groups, r.meters}, r.beyond, nil
}

// Commit implements [Switch].
func (s Connected) Commit(ctx context.Context, mods []ofproto.Mod) error {
	return s.CommitMods(ctx, mods)
}

// Program implements [Switch].
func (s Connected) Program(ctx context.Context, mods []ofproto.Mod) error {
	return s.ProgramMods(ctx, mods)
}

// monitorID is the ID of our flow monitor on each connection.
const monitorID = 1

// Monitor subscribes to changes of flows by other controllers.
func (s Connected) Monitor(ctx context.Context) error {
	req := ofproto.FlowMonitorRequest{{
		ID:      monitorID,
		Flags:   ofproto.MonitorAdd | ofproto.MonitorDelete | ofproto.MonitorModify | ofproto.MonitorInstructions,
		OutPort: ofproto.PortAny,
		Table:   ofproto.AllTables,
	}}
	err := s.Multipart(ctx, req, func(body ofproto.MultipartBody) bool {
		_, ok := body.(ofproto.FlowMonitorReply)
		return ok
	})
	if err != nil {
		return fmt.Errorf("subscribe to flow changes: %w", err)
	}
	return nil
}
