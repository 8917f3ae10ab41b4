package controller

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/counters"
)

// Counters returns what the connected switches have counted, see
// [counters.Book.Snapshot]. Routers are in the order of their IDs.
func (c *Controller) Counters(ctx context.Context) (counters.Snapshot, error) {
	sources, err := ask(ctx, c, counted)
	if err != nil {
		return counters.Snapshot{}, err
	}
	return c.counters.Snapshot(ctx, sources), nil
}

// Glance returns the counters for a history, see [counters.Book.Glance].
func (c *Controller) Glance(ctx context.Context) (counters.Snapshot, error) {
	sources, err := ask(ctx, c, counted)
	if err != nil {
		return counters.Snapshot{}, err
	}
	return c.counters.Glance(ctx, sources), nil
}

// counted returns the routers whose counters are wanted.
func counted(w *world) (all []counters.Source) {
	for _, st := range w.sorted() {
		src := counters.Source{Router: st.router}
		if st.session != nil {
			src.Reader = st.session.counters
		}
		all = append(all, src)
	}
	return all
}

// newCounters returns the book of counters.
func (c *Controller) newCounters() *counters.Book {
	return counters.NewBook(counters.Config{File: c.cfg.CountersFile, Ports: c.cfg.Ports, Log: c.log,
		Refused: c.jumped,
		Limited: c.packetsLimited,
		Unkept: func(err error) {
			if n, ok := c.refusals.sample("counters"); ok {
				c.log.Warn("could not keep the counters, they may go back when the daemon restarts", zap.Error(err), zap.Int("before", n))
			}
		},
	})
}

// packetsLimited notes what the meters of an interface have dropped of a kind.
func (c *Controller) packetsLimited(router, iface, kind string, packets int) {
	c.limits.reached("interface_limited_packets "+kind, fmt.Sprintf("network of interface %s, router %s", iface, router), packets, time.Now())
}

// about returns what the flows of a session's switch are for.
func (c *Controller) about(ctx context.Context, s *session) (counters.About, error) {
	return ask(ctx, c, func(w *world) counters.About {
		for _, st := range w.routers {
			if st.session == s && st.gen != 0 {
				return counters.About{Router: st.router, Program: st.program, Index: w.intent.Index}
			}
		}
		return counters.About{}
	})
}

// jumped says that counters of a router were not added.
func (c *Controller) jumped(router string, j *counters.Jump) {
	c.rec.CountersRefused(j.Flows())
	if n, ok := c.refusals.sample("jump " + router); ok {
		c.log.Warn("switch says that it has counted more than a link can carry, not added to what was counted",
			zap.String("router", router), zap.Stringer("what", j), zap.Int("unlogged", n))
	}
	c.post(countersRefused{router, j})
}

// countersRefused takes in that counters of a router were not added.
func (w *world) countersRefused(router string, j *counters.Jump) {
	if st := w.routers[router]; st != nil {
		st.jump, st.jumpedAt = j, time.Now()
	}
}

// jumpedLately says that counters of a router were not added, "" if none were in the last
// minute.
func (st *routerState) jumpedLately() string {
	if st.jump == nil || time.Since(st.jumpedAt) > refusalMemory {
		return ""
	}
	return fmt.Sprintf("bridge %s says that it has counted more than a link can carry, which is not added to the counters: %v. "+
		"See whether the peer is Open vSwitch, and whether its counters were set by hand (ofdvr flows %s)", st.router.BridgeName(), st.jump, st.router.ID)
}
