package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A daemon that starts knows where machines are from the flows of the fabric bridge, until the hosts
// have reported theirs. Without that, it would delete flows that forward, and add them again.

// recallTimeout is the time after the daemon's start during which no flows are compiled because the
// fabric bridge has not connected.
const recallTimeout = 5 * time.Second

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

// recall sets where machines are from the flows of the fabric bridge.
func (w *world) recall(flows []ofproto.FlowStats) {
	if w.hosts != nil {
		w.move(w.hosts.Recall(compile.Places(w.intent.Index, w.host, flows)))
		w.recalled = true
	}
}

// unplaced reports whether flows depend on where machines are, but that is not known yet.
func (c *Controller) unplaced(w *world) bool {
	if w.plugged == nil && c.lifecycle != nil && routing.Uplinks(w.intent.Index, w.host) {
		return true
	}
	return !w.recalled && time.Since(w.began) < recallTimeout && routing.Tunnels(w.intent.Index, w.host)
}
