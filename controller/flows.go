package controller

import (
	"context"
	"fmt"
	"iter"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A Flow is an installed flow of a router's bridge.
type Flow struct {
	ofproto.FlowStats
	Text string // the flow in the syntax of ovs-ofctl --names, without counters and cookie
	// Object is the object that the flow is for; nil if the flow is not ours.
	Object *routing.Object
	Does   string // the flow's purpose
}

// ErrNotConnected means that a router's bridge is not connected.
var ErrNotConnected = fmt.Errorf("the bridge is not connected")

// manyFlows is the maximum number of undesired flows that are read from a switch.
const manyFlows = 50_000

// Flows reads the flows of a router's bridge and returns them in the switch's order. The error
// wraps [ledger.ErrNotFound] if the router does not exist, and [ErrNotConnected] if its bridge
// is not connected.
func (c *Controller) Flows(ctx context.Context, router string) (iter.Seq[Flow], error) {
	type source struct {
		known   bool
		session *session
		program compile.Program
	}
	from, err := ask(ctx, c, func(w *world) (from source) {
		if st := w.state(router); st != nil {
			from = source{true, st.session, st.program}
		}
		return from
	})
	session, program := from.session, from.program
	switch {
	case err != nil:
		return nil, err
	case !from.known:
		return nil, fmt.Errorf("%w: router %q", ledger.ErrNotFound, router)
	case session == nil:
		return nil, fmt.Errorf("read the flows of router %q: %w", router, ErrNotConnected)
	}
	var stats []ofproto.FlowStats
	err = session.conn.EachFlow(ctx, ofproto.AllFlows(), func(part []ofproto.FlowStats) error {
		stats = append(stats, part...)
		return counters.Enough(len(stats), program, manyFlows)
	})
	if err != nil {
		return nil, fmt.Errorf("read the flows of bridge %s: %w", session.bridge, err)
	}
	if err := recount(ctx, session, program, stats); err != nil {
		return nil, err
	}
	names := make(map[ofproto.PortNo]string)
	for name, no := range session.ports.numbers() {
		names[no] = name
	}
	return func(yield func(Flow) bool) {
		for i := range stats {
			f := Flow{FlowStats: stats[i], Text: Named(stats[i].Flow.String(), names), Does: "is not ours"}
			if role, ours := compile.RoleOf(f.Cookie); ours {
				if o, ok := program.Objects.Get(f.Cookie); ok {
					f.Object, f.Does = &o, role.Does(o)
				} else {
					f.Does = "is obsolete: its object is not in the intent"
				}
			}
			if !yield(f) {
				return
			}
		}
	}, nil
}
