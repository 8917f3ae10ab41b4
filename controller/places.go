package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// After its start, a daemon reads the places of machines from the flows of the fabric bridge. It
// uses them until the other hosts have reported their machines. Otherwise it would delete flows in
// use, and then add them again.

// recallTimeout is the maximum time after the start, or the takeover, for which the daemon waits for the
// fabric bridge to connect. It compiles no flows meanwhile. Open vSwitch tries to connect about every second,
// but may be very busy.
const recallTimeout = 20 * time.Second

// readPlaces returns the flows that have the places of machines, if the switch is the fabric bridge.
func (s *session) readPlaces(ctx context.Context) (flows []ofproto.FlowStats, err error) {
	if s.bridge != routing.FabricBridge {
		return nil, nil
	}
	for _, f := range compile.PlaceFilters() {
		part, err := s.conn.Flows(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("read the places of machines: %w", err)
		}
		flows = append(flows, part...)
	}
	return flows, nil
}

// recall reads the places of machines from flows of the fabric bridge, and sets them.
func (w *world) recall(flows []ofproto.FlowStats) {
	if w.hosts != nil {
		w.move(w.hosts.Recall(compile.Places(w.intent.Index, w.host, flows)))
		w.recalled = true
	}
}

// unplaced reports whether flows depend on the places of machines, and the places are not known
// yet.
func (c *Controller) unplaced(w *world) bool {
	if w.plugged == nil && c.lifecycle != nil && routing.Uplinks(w.intent.Index, w.host) {
		return true
	}
	return !w.recalled && time.Since(w.began) < recallTimeout && routing.Tunnels(w.intent.Index, w.host)
}
