package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/controller/doctor"
)

// Examine checks the whole installation, see [doctor.Examine].
func (c *Controller) Examine(ctx context.Context) ([]doctor.Finding, error) {
	h, err := ask(ctx, c, c.host)
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	return doctor.Examine(ctx, h)
}

// host returns the state that package doctor examines.
func (c *Controller) host(w *world) doctor.Host {
	h := doctor.Host{
		Intent: lifecycleIntent(w.intent), Leads: !c.standsBy(w), Quarantined: quarantineProblems(w.intent.Quarantined()),
		Lifecycle: c.lifecycle, OVSDB: c.cfg.OVSDB, Bridge: c.cfg.IntegrationBridge, Budget: c.budget, Counters: c.Counters, Machines: c.machinesAnew,
		Limits: func() (all []doctor.Limit) {
			for _, l := range c.limits.recent(time.Now()) {
				all = append(all, doctor.Limit{Says: l.String(), Remedy: l.Remedy})
			}
			return all
		},
	}
	c.peers(w, &h)
	if !w.intent.Whole {
		h.NewStore = newStore
	}
	bridges := w.sorted()
	if w.fabric != nil {
		bridges = append(bridges, w.fabric)
	}
	for _, st := range bridges {
		r := doctor.Router{Router: st.router, Program: st.program, State: st.report.State, Keep: c.keeps(w, st)}
		if s := st.session; s != nil {
			r.Conn, r.Switch, r.Can, r.Probed = s.conn, s.bridge, s.can, s.probed
		}
		h.Routers = append(h.Routers, r)
	}
	status := c.status(w)
	for _, s := range []*SourceStatus{status.Intent.File, status.Intent.Store} {
		if s != nil {
			h.Sources = append(h.Sources, doctor.Source{Name: s.Name, Partial: s.Partial, Mistakes: s.Mistakes, Warnings: s.Warnings})
		}
	}
	for _, p := range status.Problems {
		h.Known = append(h.Known, doctor.Known{About: "daemon", Says: p})
	}
	if status.Fabric != nil {
		for _, p := range status.Fabric.Problems {
			h.Known = append(h.Known, doctor.Known{About: "bridge " + status.Fabric.Bridge, Says: p})
		}
	}
	for _, r := range status.Routers {
		for _, p := range r.Problems {
			h.Known = append(h.Known, doctor.Known{About: "router " + r.ID, Says: p})
		}
	}
	return h
}
