package controller

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// The world is what one goroutine knows: the intent, the switches that are
// connected, and how far each router has come. Nothing else reads or writes it.
type world struct {
	intent  *ledger.State
	routers map[string]*routerState // by ID, those of the intent
	dirty   map[string]bool         // routers to compile

	lead bool // this daemon does not stand by

	lifecycle lifecycleReport
	owners    routing.Owners // of routers' addresses

	waiters map[*waiter]bool
	moved   bool   // waiters may be answered since they were looked at
	tapped  string // the router whose OpenFlow messages are logged; "": none
}

// A routerState is how far one router has come.
type routerState struct {
	router  *routing.Router
	kernel  *routing.Kernel // see [routing.Facts], as the next
	known   *routing.Neighbours
	session *session // nil while its bridge is not connected
	since   time.Time
	program routing.Program
	gen     uint64 // of program; 0 before the first
	report  reconcile.Report

	announce []routing.Announcement // to go out with the next program

	asked   time.Time // the earliest change of the intent that is in no program yet; zero: there is none
	ahead   forecast  // of the next program
	wanted  []version // those that the switch has not confirmed, by generation
	applied version   // the last one that it has; none since it has connected if gen is 0
}

// A forecast is the program that a router will have when a state has become the
// intent, unless the facts change before.
type forecast struct {
	state   *ledger.State
	facts   routing.Facts
	program routing.Program
}

// foresee compiles for a state that will probably be the intent soon: while the
// disk works there is time for it.
func (w *world) foresee(s *ledger.State, touched []string) {
	for _, id := range touched {
		st, r := w.routers[id], s.Index.Router(id)
		if st != nil && st.session != nil && r != nil {
			facts := st.facts()
			st.ahead = forecast{s, facts, s.Index.Recompile(st.program, r, facts)}
		}
	}
}

// A version is a program of a router.
type version struct {
	gen      uint64
	revision uint64    // of the intent that it was made of
	asked    time.Time // see [routerState]
	program  routing.Program
	announce []routing.Announcement // when the switch has it
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
func (c *Controller) runWorld(ctx context.Context, first *ledger.State) error {
	w := &world{dirty: make(map[string]bool), waiters: make(map[*waiter]bool), tapped: c.cfg.LogRouter}
	c.setIntent(w, first, nil)
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
		if w.moved {
			c.answer(w)
			w.moved = false
		}
	}
}

// compile brings the flows of the dirty routers up to date.
func (c *Controller) compile(w *world) {
	for id := range w.dirty {
		if st := w.routers[id]; st != nil && st.session != nil {
			facts := st.facts()
			c.bridgePorts(st.router, facts.Ports)
			if a := st.ahead; a.state == w.intent && a.facts.Equal(facts) {
				st.program = a.program
			} else {
				st.program = w.intent.Index.Recompile(st.program, st.router, facts)
			}
			st.ahead = forecast{}
			st.gen++
			st.wanted = append(st.wanted, version{st.gen, w.intent.Revision, st.asked, st.program, st.announce})
			st.announce = nil
			st.asked = time.Time{}
			st.session.rec.Load().Want(reconcile.Program{Generation: st.gen,
				Flows: st.program.Flows, Groups: st.program.Groups, Meters: st.program.Meters,
				Foreign: foreignPolicies[st.router.Bridge.ForeignFlows()], Partial: !w.intent.Complete, Keep: c.unread(st), Describe: describer(st.program)})
		}
	}
	clear(w.dirty)
}

// facts returns what is known of the router's bridge, which is connected, and of
// its namespace.
func (st *routerState) facts() routing.Facts {
	f := st.session.facts()
	f.Kernel, f.Neighbours = st.kernel, st.known
	return f
}

// unread returns what selects the flows of a router that depend on its namespace
// as long as that has not been read; nil if it has, or is not ours.
func (c *Controller) unread(st *routerState) func(ofproto.Cookie) bool {
	if st.kernel != nil && st.known != nil || c.lifecycle == nil || !st.router.Bridge.Managed || st.router.Fallback != routing.FallbackNamespace {
		return nil
	}
	return func(c ofproto.Cookie) bool {
		role, ours := routing.RoleOf(c)
		return ours && (st.kernel == nil && role.FromKernel() || st.known == nil && role == routing.RoleNeighbour)
	}
}

// kernelRead takes in how the namespace of a router routes.
func (c *Controller) kernelRead(router string, k *routing.Kernel) {
	c.post(func(w *world) {
		if st := w.routers[router]; st != nil && !st.kernel.Equal(k) {
			st.kernel, w.dirty[router] = k, true
		}
	})
}

// neighboursRead takes in which neighbours the namespace of a router has resolved.
func (c *Controller) neighboursRead(router string, resolved []netip.Addr) {
	c.post(func(w *world) {
		if st := w.routers[router]; st != nil {
			if n := routing.NewNeighbours(resolved); !st.known.Equal(n) {
				st.known, w.dirty[router] = n, true
			}
		}
	})
}

// bridgePorts tells the lifecycle which ports the bridge of r has, nil if it is
// not connected.
func (c *Controller) bridgePorts(r *routing.Router, ports routing.Ports) {
	if c.lifecycle != nil && r.Bridge.Managed {
		c.lifecycle.Ports(r.ID, ports)
	}
}

// setIntent makes next the intent. touched are the routers to which the change
// matters.
func (c *Controller) setIntent(w *world, next *ledger.State, touched []string) {
	last := w.intent
	w.intent, w.moved = next, true
	if last == nil || last.Layout != next.Layout || last.Complete != next.Complete {
		c.setLayout(w, next)
	}
	for _, id := range touched {
		w.dirty[id] = true
		if st := w.routers[id]; st != nil && st.asked.IsZero() && w.lead {
			st.asked = next.Since
		}
	}
	if last != nil && last.Complete != next.Complete {
		for id := range w.routers {
			w.dirty[id] = true
		}
	}
	if last == nil || last.File != next.File && next.File.Err == nil {
		networks, routers, ports := next.Index.Len()
		c.log.Info("took in the intent", zap.Stringer("source", next), zap.Uint64("revision", next.Revision),
			zap.Int("networks", networks), zap.Int("routers", routers), zap.Int("ports", ports))
	}
}

// setLayout takes in other networks and routers.
func (c *Controller) setLayout(w *world, next *ledger.State) {
	var left []*session // that have no router any more
	old := w.routers
	w.routers = make(map[string]*routerState, len(old))
	for r := range next.Index.Routers("") {
		st := old[r.ID]
		if st == nil {
			st = &routerState{}
			w.dirty[r.ID] = true
		}
		delete(old, r.ID)
		if s := st.session; s != nil && !recognizes(r, s) {
			st.attached(nil)
			c.bridgePorts(r, nil)
			left = append(left, s)
		}
		st.router = r
		w.routers[r.ID] = st
	}
	for _, st := range old {
		c.bridgePorts(st.router, nil)
		if st.session != nil {
			left = append(left, st.session)
		}
	}
	c.retire(w, left)
	c.announceMoves(w)
	if c.lifecycle != nil {
		c.lifecycle.Want(next)
	}
}

// recognizes reports whether the switch of s is the bridge of r: by the
// datapath ID where the topology gives one, else by name.
func recognizes(r *routing.Router, s *session) bool {
	if r.Bridge.DatapathID != 0 && !r.Bridge.Managed {
		return r.Bridge.DatapathID == s.dpid
	}
	return r.BridgeName() == s.bridge
}

// routerOf returns the router whose bridge is the switch of s, nil if there is none.
func (w *world) routerOf(s *session) *routerState {
	for _, st := range w.routers {
		if recognizes(st.router, s) {
			return st
		}
	}
	return nil
}

// join has the world take in a switch that has introduced itself, and returns
// the ID of the router that it belongs to.
func (c *Controller) join(ctx context.Context, s *session) (router string, err error) {
	waitErr := c.do(ctx, func(w *world) {
		if st := w.routerOf(s); st != nil {
			c.attach(w, st, s)
			c.taken(w, s)
			router = st.router.ID
			return
		}
		if w.lead {
			var retired bool
			if router, retired = c.clearBridge(w, s); retired {
				return
			}
		}
		err = fmt.Errorf("%w: no router has bridge %q or datapath ID %v", errStranger, s.bridge, s.dpid)
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
	s.rec.Store(c.reconciler(w, s, id))
	if w.tapped == id {
		s.tap(c.messages.With(zap.String("router", id)))
	}
	st.attached(s)
	c.programs(w, st.router)
	w.dirty[id] = true
	if w.lead && !s.probed {
		s.lead()
	}
}

// reconciler returns that of a session's switch.
func (c *Controller) reconciler(w *world, s *session, id string) *reconcile.Reconciler {
	audit := c.cfg.AuditInterval
	if !s.monitored {
		audit /= 10
	}
	return reconcile.New(reconcile.Config{
		Router:    id,
		Switch:    probedSwitch{reconcile.Connected{Conn: s.conn}, &s.changes},
		Ours:      func(c ofproto.Cookie) bool { _, ours := routing.RoleOf(c); return ours },
		OursGroup: routing.OursGroup,
		OursMeter: routing.OursMeter,
		Audit:     audit,
		Standby:   !w.lead || !s.probed,
		Report:    func(r reconcile.Report) { c.reported(s, id, r) },
		Recorder:  c.rec,
		Log:       c.log.With(zap.String("router", id), zap.String("bridge", s.bridge)),
	})
}

// attached notes that the router's bridge has connected or, with nil, that it
// has disconnected: nothing is known about what it holds.
func (st *routerState) attached(s *session) {
	st.session, st.since, st.report = s, time.Now(), reconcile.Report{}
	for _, v := range slices.Backward(st.wanted) { // what was asked for still is
		if !v.asked.IsZero() {
			st.asked = v.asked
		}
		st.announce = append(v.announce, st.announce...)
	}
	st.wanted, st.applied = nil, version{}
}

var foreignPolicies = map[routing.Foreign]reconcile.Foreign{
	routing.ForeignRemove: reconcile.RemoveForeign,
	routing.ForeignReport: reconcile.ReportForeign,
	routing.ForeignIgnore: reconcile.IgnoreForeign,
}

// describer returns a function that names what a flow of p serves, or which
// group or meter it is.
func describer(p routing.Program) func(ofproto.Mod) string {
	return func(m ofproto.Mod) string {
		switch m := m.(type) {
		case ofproto.GroupMod:
			if o, ok := p.OfGroup(m.Entry.ID); ok {
				return "group of " + o.String()
			}
			return fmt.Sprintf("group %#x", uint32(m.Entry.ID))
		case ofproto.MeterMod:
			if o, role, ok := p.OfMeter(m.Entry.ID); ok {
				return "meter of " + role.Limits() + " of " + o.String()
			}
			return fmt.Sprintf("meter %#x", uint32(m.Entry.ID))
		}
		if o, ok := objectOf(p, m); ok {
			return o.String()
		}
		return "flow of nobody"
	}
}

// objectOf returns the object that a flow of p serves.
func objectOf(p routing.Program, m ofproto.Mod) (routing.Object, bool) {
	f, ok := m.(ofproto.FlowMod)
	if !ok {
		return routing.Object{}, false
	}
	return p.Objects.Get(f.Flow.Cookie)
}

// takeOver ends the standby.
func (w *world) takeOver() {
	w.lead = true
	for _, st := range w.routers {
		if st.session != nil {
			st.session.lead()
		}
	}
}

// leave forgets a session that has ended.
func (c *Controller) leave(s *session) {
	c.post(func(w *world) {
		for b, has := range c.external.retired {
			if has == s {
				c.external.retired[b] = nil
			}
		}
		for _, st := range w.routers {
			if st.session == s {
				st.attached(nil)
				c.bridgePorts(st.router, nil)
			}
		}
	})
}

// reported takes in what a reconciler knows about its switch.
func (c *Controller) reported(s *session, id string, r reconcile.Report) {
	c.post(func(w *world) {
		if c.cleared(w, s, r) {
			return
		}
		if st := w.routers[id]; st != nil && st.session == s {
			st.report, w.moved = r, true
			for len(st.wanted) > 0 && st.wanted[0].gen <= r.Confirmed {
				st.applied, st.wanted = st.wanted[0], st.wanted[1:]
				s.announcements.add(st.applied.announce)
				st.applied.announce = nil
				if asked := st.applied.asked; !asked.IsZero() {
					c.rec.Applied(id, time.Since(asked))
				}
			}
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
