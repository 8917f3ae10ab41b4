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
				held.Strays += len(b)
			case ofproto.MeterConfigReply:
				held.Strays += len(b)
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
	return held, nil
}

// Purge implements [Switch].
func (s Connected) Purge(ctx context.Context) error {
	groups := s.Tell(ctx, ofproto.GroupMod{Command: ofproto.GroupDelete, Entry: ofproto.GroupEntry{ID: ofproto.GroupAll}})
	meters := s.Tell(ctx, ofproto.MeterMod{Command: ofproto.MeterDelete, Entry: ofproto.MeterEntry{ID: ofproto.MeterAll}})
	if err := errors.Join(groups, meters); err != nil {
		return fmt.Errorf("delete groups and meters: %w", err)
	}
	return nil
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
