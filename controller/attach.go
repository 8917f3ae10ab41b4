package controller

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// recognizes reports whether the switch of s is the bridge of r. It compares the datapath IDs
// or, if the topology gives none, the names.
func recognizes(r *routing.Router, s *session) bool {
	if r.Bridge.DatapathID != 0 && !r.Bridge.Managed {
		return r.Bridge.DatapathID == s.dpid
	}
	return r.BridgeName() == s.bridge
}

// routerOf returns the router with the bridge that is the switch of s, or nil.
func (w *world) routerOf(s *session) *routerState {
	for _, st := range w.states() {
		if recognizes(st.router, s) {
			return st
		}
	}
	return nil
}

// An arrival is the world's answer to a switch that has been identified.
type arrival struct {
	router    string // the router of the bridge
	contested bool   // another session has the bridge
	err       error
}

// arrive reports an identified switch to the world and returns the ID of its router.
func (c *Controller) arrive(ctx context.Context, s *session) (router string, err error) {
	for {
		a, err := request(ctx, c, func(answer chan<- arrival) event { return switchArrived{s, answer} })
		if err != nil || !a.contested {
			return a.router, cmp.Or(err, a.err)
		}
		if err := c.contest(ctx, s); err != nil {
			return "", err
		}
	}
}

// join adds the session of an identified switch.
func (c *Controller) join(w *world, s *session) arrival {
	if w.rival(c, s) != nil {
		return arrival{contested: true}
	}
	if st := w.routerOf(s); st != nil {
		c.attach(w, st, s)
		c.taken(w, s)
		return arrival{router: st.router.ID}
	}
	if w.lead {
		if router, retired := c.clearBridge(w, s); retired {
			return arrival{router: router}
		}
	}
	return arrival{err: unknownBridge(s)}
}

func (c *Controller) attach(w *world, st *routerState, s *session) {
	id := st.router.ID
	s.probed = s.probed && w.lead // a session leads once it is probed
	if old := st.session; old != nil {
		old.displaced(s)
	}
	s.rec.Store(c.reconciler(w, s, id))
	if w.logged == id {
		s.logMessages(c.messages.With(zap.String("router", id)))
	}
	st.attached(s)
	if st == w.fabric && !w.recalled && (s.probed || !w.lead) { // else probeAndLead reads them again
		w.recall(s.places)
	}
	s.places = nil
	c.programs(w, st.router)
	w.dirty[id] = true
	if w.lead && !s.probed && (st == w.fabric || w.led) {
		s.lead()
	}
}

// isOurs reports whether a flow with this cookie is ours.
func isOurs(c ofproto.Cookie) bool { _, ours := compile.RoleOf(c); return ours }

// reconciler returns a new reconciler for the switch of s.
func (c *Controller) reconciler(w *world, s *session, id string) *reconcile.Reconciler {
	audit := c.cfg.AuditInterval
	if !s.monitored {
		audit /= 10
	}
	return reconcile.New(reconcile.Config{
		Router:    id,
		Switch:    probedSwitch{reconcile.Connected{Conn: s.conn}, &s.changes},
		Ours:      isOurs,
		OursGroup: compile.OursGroup,
		OursMeter: compile.OursMeter,
		Audit:     audit,
		Standby:   !w.lead || !s.probed,
		Budget:    c.budget,
		Bridge:    s.bridge,
		Report:    func(r reconcile.Report) { c.post(switchReported{s, id, r}) },
		Recorder:  c.rec,
		Log:       c.log.With(zap.String("router", id), zap.String("bridge", s.bridge)),
	})
}

// attached records that the router's bridge has connected or, if s is nil, disconnected. From
// then on, the state of its flows is unknown.
func (st *routerState) attached(s *session) {
	st.session, st.since, st.report = s, time.Now(), reconcile.Report{}
	for _, v := range slices.Backward(st.wanted) { // unconfirmed changes must still be installed
		if !v.asked.IsZero() {
			st.asked = v.asked
		}
		st.announce = append(v.announce, st.announce...)
	}
	st.wanted, st.applied = nil, version{}
	st.changes.connected()
	if s != nil {
		st.jump = nil // the jump was reported by another connection
	}
}

var foreignPolicies = map[routing.Foreign]reconcile.Foreign{
	routing.ForeignRemove: reconcile.RemoveForeign,
	routing.ForeignReport: reconcile.ReportForeign,
	routing.ForeignIgnore: reconcile.IgnoreForeign,
}

// takeOver makes all sessions lead, when this daemon stops standing by. The fabric bridge comes first,
// because it knows the hosts of machines, on which the flows of routers depend: the other daemon may
// have changed them since this one read them.
func (w *world) takeOver() {
	w.lead, w.unjudgedAll = true, true
	w.began, w.recalled = time.Now(), false
	if w.hosts != nil {
		w.hosts.Expect(time.Now())
	}
	if w.fabric != nil && w.fabric.session != nil {
		w.fabric.session.lead()
	}
}

// leadRouters ends the standby of the sessions of routers, once the places of machines are known.
func (w *world) leadRouters() {
	if !w.lead || w.led {
		return
	}
	w.led = true
	for _, st := range w.routers {
		if st.session != nil && !st.session.probed {
			st.session.lead()
		}
	}
}

// leave removes a session that has ended.
func (c *Controller) leave(w *world, s *session) {
	for b, has := range c.external.retired {
		if has == s {
			c.external.retired[b] = nil
		}
	}
	for _, st := range w.states() {
		if st.session == s {
			st.attached(nil)
			c.bridgePorts(st.router, nil)
			w.unjudged[st.router.ID] = true
		}
	}
}

// switchReported records the report of a session's reconciler.
func (c *Controller) switchReported(w *world, s *session, id string, r reconcile.Report) {
	if c.cleared(w, s, r) {
		return
	}
	st := w.state(id)
	if st == nil || st.session != s {
		return
	}
	st.report, w.moved, w.unjudged[id] = r, true, true
	first := st.applied.gen == 0
	st.changes.reported(st, time.Now())
	for len(st.wanted) > 0 && st.wanted[0].gen <= r.Confirmed {
		st.changes.confirmed(st.applied, st.wanted[0], time.Now())
		st.applied, st.wanted = st.wanted[0], st.wanted[1:]
		s.announcements.add(st.applied.announce)
		st.applied.announce = nil
		if asked := st.applied.asked; !asked.IsZero() {
			c.rec.Applied(id, time.Since(asked))
		}
	}
	if st == w.fabric {
		w.fabricConfirmed()
	}
	if first && st.applied.gen != 0 && st == w.fabric { // before the first program, messages to other hosts could not pass
		w.hosts.Greet()
		c.tickHosts(w)
	}
}

// touch marks the router of a session for compilation.
func (w *world) touch(s *session) {
	for id, st := range w.states() {
		if st.session == s {
			w.dirty[id] = true
		}
	}
}
