package controller

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/routing"
)

// Counters returns the counters of the connected switches, see [counters.Book.Snapshot].
// Routers are sorted by ID.
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

// counted returns all routers, and the fabric bridge, as sources of counters. Without a
// connected switch, a source has no Reader.
func counted(w *world) (all []counters.Source) {
	add := func(st *routerState) {
		src := counters.Source{Router: st.router}
		if st.session != nil {
			src.Reader = st.session.counters
		}
		all = append(all, src)
	}
	for _, st := range w.sorted() {
		add(st)
	}
	if w.fabric != nil {
		add(w.fabric)
	}
	return all
}

func (c *Controller) newCounters() *counters.Book {
	return counters.NewBook(counters.Config{File: c.cfg.CountersFile, Ports: c.cfg.Ports, Log: c.log,
		Refused: c.jumped,
		Limited: c.packetsLimited,
		SaveFailed: func(err error) {
			if n, ok := c.refusals.sample("counters"); ok {
				c.log.Warn("could not save the counters, they may decrease when the daemon restarts", zap.Error(err), zap.Int("before", n))
			}
		},
	})
}

// packetsLimited records that the meters of an interface, or of the fabric bridge, dropped packets
// of a kind.
func (c *Controller) packetsLimited(router, iface, kind string, packets int) {
	if router == routing.FabricBridge {
		c.limits.reached("fabric_dropped_packets "+kind, "bridge "+router, packets, time.Now())
		return
	}
	c.limits.reached("interface_limited_packets "+kind, fmt.Sprintf("network of interface %s, router %s", iface, router), packets, time.Now())
}

// about returns the data needed to interpret the flows of a session's switch.
func (c *Controller) about(ctx context.Context, s *session) (counters.About, error) {
	return ask(ctx, c, func(w *world) counters.About {
		for _, st := range w.states() {
			if st.session == s && st.gen != 0 {
				return counters.About{Router: st.router, Program: st.program, Index: w.placed}
			}
		}
		return counters.About{}
	})
}

// jumped records that implausible counters of a router were not added.
func (c *Controller) jumped(router string, j *counters.Jump) {
	c.rec.CountersRefused(j.Flows())
	if n, ok := c.refusals.sample("jump " + router); ok {
		c.log.Warn("switch reports more packets or bytes than a link can carry, they are not added to the counters",
			zap.String("router", router), zap.Stringer("what", j), zap.Int("unlogged", n))
	}
	c.post(countersRefused{router, j})
}

// countersRefused records the counters that were not added, for the status.
func (w *world) countersRefused(router string, j *counters.Jump) {
	if st := w.routers[router]; st != nil {
		st.jump, st.jumpedAt = j, time.Now()
	}
}

// jumpedRecently describes counters of a router that were not added within the last
// refusalMemory. It returns "" if all were added.
func (st *routerState) jumpedRecently() string {
	if st.jump == nil || time.Since(st.jumpedAt) > refusalMemory {
		return ""
	}
	return fmt.Sprintf("bridge %s reports more packets or bytes than a link can carry, they are not added to the counters: %v. "+
		"Check whether the peer is Open vSwitch, and whether its counters were set by hand (ofdvr flows %s)", st.router.BridgeName(), st.jump, routing.Arguments(st.router.ID))
}
