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
func (s Connected) Read(ctx context.Context, k Known) (held Holdings, beyond Beyond, err error) {
	r := newFlowReader(k)
	if err := s.EachFlow(ctx, ofproto.AllFlows(), r.take); err != nil {
		return held, beyond, err
	}
	held.Flows, beyond = ofproto.SetOf(r.flows), r.beyond
	for _, req := range []ofproto.MultipartBody{ofproto.GroupDescRequest{}, ofproto.MeterConfigRequest{Meter: ofproto.MeterAll}} {
		room := maxEntryBytes + usualBytes*(len(k.Want.Groups)+len(k.Want.Meters))
		most := maxEntries + len(k.Want.Groups) + len(k.Want.Meters)
		err := s.MultipartWithin(ctx, req, room, func(body ofproto.MultipartBody) error {
			switch b := body.(type) {
			case ofproto.GroupDescReply:
				held.Groups = append(held.Groups, b...)
			case ofproto.MeterConfigReply:
				held.Meters = append(held.Meters, b...)
			default:
				return ofconn.ErrGarbage
			}
			if max(len(held.Groups), len(held.Meters)) > most {
				return fmt.Errorf("%w: more than %d groups or meters", ofconn.ErrTooLong, most)
			}
			return nil
		})
		var code ofproto.ErrorCode
		if err != nil && !errors.As(err, &code) { // the switch has no groups, or no meters
			return held, beyond, err
		}
	}
	groupTable.sort(held.Groups)
	meterTable.sort(held.Meters)
	return held, beyond, nil
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
