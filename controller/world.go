package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// The world is what one goroutine knows: the intent, the switches that are
// connected, and how far each router has come. Nothing else reads or writes it.
type world struct {
	index   *routing.Index
	routers map[string]*routerState // by ID, those of the topology
	dirty   map[string]bool         // routers to compile

	lead bool // this daemon does not stand by

	topology  Topology
	reloadErr error // why the last topology was not taken in; nil if it was
	lifecycle lifecycleReport
}

// A routerState is how far one router has come.
type routerState struct {
	router  *routing.Router
	session *session // nil while its bridge is not connected
	since   time.Time
	program routing.Program
	gen     uint64 // of program; 0 before the first
	report  reconcile.Report
}

// do runs f on the world's goroutine and waits for it.
func (c *Controller) do(ctx context.Context, f func(*world)) error {
	done := make(chan struct{})
	select {
	case c.events <- func(w *world) { f(w); close(done) }:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// runWorld takes events, as many as there are, then compiles what they touched.
func (c *Controller) runWorld(ctx context.Context, first Topology) error {
	w := &world{dirty: make(map[string]bool)}
	c.setTopology(w, first)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case f := <-c.events:
			f(w)
		}
		for more := true; more; {
			select {
			case f := <-c.events:
				f(w)
			default:
				more = false
			}
		}
		c.compile(w)
	}
}

// compile brings the flows of the dirty routers up to date.
func (c *Controller) compile(w *world) {
	for id := range w.dirty {
		if st := w.routers[id]; st != nil && st.session != nil {
			facts := st.session.ports.facts()
			c.bridgePorts(st.router, facts)
			st.program = w.index.Recompile(st.program, st.router, facts)
			st.gen++
			st.session.rec.Load().Want(reconcile.Program{Generation: st.gen, Flows: st.program.Flows,
				Foreign: foreignPolicies[st.router.Bridge.ForeignFlows()], Describe: describer(st.program)})
		}
	}
	clear(w.dirty)
}

// bridgePorts tells the lifecycle which ports the bridge of r has, nil if it is
// not connected.
func (c *Controller) bridgePorts(r *routing.Router, ports routing.Facts) {
	if c.lifecycle != nil && r.Bridge.Managed {
		c.lifecycle.Ports(r.ID, ports)
	}
}

// setTopology makes t the intent.
func (c *Controller) setTopology(w *world, t Topology) {
	old, m := w.routers, t.Model
	w.topology, w.reloadErr = t, nil
	w.index = routing.NewIndex(m)
	w.routers = make(map[string]*routerState, len(m.Routers))
	for i := range m.Routers {
		r := &m.Routers[i]
		st := old[r.ID]
		if st == nil {
			st = &routerState{}
		}
		delete(old, r.ID)
		if s := st.session; s != nil && !recognizes(r, s) {
			st.session = nil
			c.bridgePorts(r, nil)
			s.stop(fmt.Errorf("%w: bridge %s is no longer that of router %s", errStopping, s.bridge, r.ID))
		}
		st.router = r
		w.routers[r.ID] = st
		w.dirty[r.ID] = true
	}
	for id, st := range old {
		c.bridgePorts(st.router, nil)
		if st.session != nil {
			st.session.stop(fmt.Errorf("%w: router %s was removed from the topology", errStopping, id))
		}
	}
	if c.lifecycle != nil {
		c.lifecycle.Want(m)
	}
	c.log.Info("took in topology", zap.String("source", t.Source), zap.Int("networks", len(m.Networks)), zap.Int("routers", len(m.Routers)), zap.Int("ports", len(m.Ports)))
}

// recognizes reports whether the switch of s is the bridge of r: by the
// datapath ID where the topology gives one, else by name.
func recognizes(r *routing.Router, s *session) bool {
	if r.Bridge.DatapathID != 0 && !r.Bridge.Managed {
		return r.Bridge.DatapathID == s.dpid
	}
	return r.BridgeName() == s.bridge
}

// join has the world take in a switch that has introduced itself, and returns
// the ID of the router that it belongs to.
func (c *Controller) join(ctx context.Context, s *session) (router string, err error) {
	waitErr := c.do(ctx, func(w *world) {
		for _, st := range w.routers {
			if recognizes(st.router, s) {
				c.attach(w, st, s)
				router = st.router.ID
				return
			}
		}
		err = fmt.Errorf("%w: no router in the topology has bridge %q or datapath ID %v", errStranger, s.bridge, s.dpid)
	})
	if waitErr != nil {
		return "", waitErr // router and err may still be written
	}
	return router, err
}

func (c *Controller) attach(w *world, st *routerState, s *session) {
	id := st.router.ID
	if old := st.session; old != nil {
		old.stop(fmt.Errorf("%w: bridge %s has connected anew", errStopping, s.bridge))
	}
	audit := c.cfg.AuditInterval
	if !s.monitored {
		audit /= 10
	}
	rec := reconcile.New(reconcile.Config{
		Router:   id,
		Switch:   reconcile.Connected{Conn: s.conn},
		Ours:     func(c ofproto.Cookie) bool { _, ours := routing.RoleOf(c); return ours },
		Audit:    audit,
		Standby:  !w.lead,
		Report:   func(r reconcile.Report) { c.reported(s, id, r) },
		Recorder: c.rec,
		Log:      c.log.With(zap.String("router", id), zap.String("bridge", s.bridge)),
	})
	s.rec.Store(rec)
	st.session, st.since, st.report = s, time.Now(), reconcile.Report{}
	w.dirty[id] = true
}

var foreignPolicies = map[routing.Foreign]reconcile.Foreign{
	routing.ForeignRemove: reconcile.RemoveForeign,
	routing.ForeignReport: reconcile.ReportForeign,
	routing.ForeignIgnore: reconcile.IgnoreForeign,
}

// describer returns a function that names the object which a flow of p serves.
func describer(p routing.Program) func(ofproto.Cookie) string {
	return func(c ofproto.Cookie) string {
		if o, ok := p.Objects.Get(c); ok {
			return o.String()
		}
		return "flow of nobody"
	}
}

// takeOver ends the standby.
func (w *world) takeOver() {
	w.lead = true
	for _, st := range w.routers {
		if st.session != nil {
			st.session.rec.Load().Lead()
		}
	}
}

// leave forgets a session that has ended.
func (c *Controller) leave(s *session) {
	c.post(func(w *world) {
		for _, st := range w.routers {
			if st.session == s {
				st.session, st.since, st.report = nil, time.Now(), reconcile.Report{}
				c.bridgePorts(st.router, nil)
			}
		}
	})
}

// reported takes in what a reconciler knows about its switch.
func (c *Controller) reported(s *session, id string, r reconcile.Report) {
	c.post(func(w *world) {
		if st := w.routers[id]; st != nil && st.session == s {
			st.report = r
		}
	})
}

func (c *Controller) portsChanged(ctx context.Context, s *session) {
	c.do(ctx, func(w *world) {
		for id, st := range w.routers {
			if st.session == s {
				w.dirty[id] = true
			}
		}
	})
}

// post runs f on the world's goroutine some time, unless that has ended.
func (c *Controller) post(f func(*world)) {
	select {
	case c.events <- f:
	case <-c.stopped:
	}
}

// sorted returns the routers in the order of their IDs.
func (w *world) sorted() []*routerState {
	return slices.SortedFunc(maps.Values(w.routers), func(a, b *routerState) int {
		return strings.Compare(a.router.ID, b.router.ID)
	})
}
