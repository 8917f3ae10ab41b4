package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A Connected is the [Switch] at the other end of a connection.
type Connected struct{ *ofconn.Conn }

// Read implements [Switch].
func (s Connected) Read(ctx context.Context) (Holdings, error) {
	var held Holdings
	stats, err := s.Flows(ctx, ofproto.AllFlows())
	if err != nil {
		return held, err
	}
	flows := make([]ofproto.Flow, len(stats))
	for i := range stats {
		flows[i] = stats[i].Flow
	}
	held.Flows = ofproto.SetOf(flows)
	for _, req := range []ofproto.MultipartBody{ofproto.GroupDescRequest{}, ofproto.MeterConfigRequest{Meter: ofproto.MeterAll}} {
		err := s.Multipart(ctx, req, func(body ofproto.MultipartBody) bool {
			switch b := body.(type) {
			case ofproto.GroupDescReply:
				held.Groups = append(held.Groups, b...)
			case ofproto.MeterConfigReply:
				held.Meters = append(held.Meters, b...)
			default:
				return false
			}
			return true
		})
		var code ofproto.ErrorCode
		if err != nil && !errors.As(err, &code) { // the switch has no groups, or no meters
			return held, err
		}
	}
	groupTable.sort(held.Groups)
	meterTable.sort(held.Meters)
	return held, nil
}

// Commit implements [Switch].
func (s Connected) Commit(ctx context.Context, mods []ofproto.Mod) error {
	return s.CommitMods(ctx, mods)
}

// Program implements [Switch].
func (s Connected) Program(ctx context.Context, mods []ofproto.Mod) error {
	return s.ProgramMods(ctx, mods)
}

// monitorID is the number of our flow monitor on each connection.
const monitorID = 1

// Monitor asks the switch to tell of all changes that others make to flows.
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
		return fmt.Errorf("ask to be told of changed flows: %w", err)
	}
	return nil
}
