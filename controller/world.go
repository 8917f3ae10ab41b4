package controller

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// The world is what one goroutine knows: the intent, the switches that are
// connected, and how far each router has come. Nothing else reads or writes it.
type world struct {
	intent  *ledger.State
	routers map[string]*routerState // by ID, those of the intent
	dirty   map[string]bool         // routers to compile

	lead bool // this daemon does not stand by

	lifecycle lifecycle.Report
	owners    compile.Owners // of routers' addresses

	waiters map[*waiter]bool
	moved   bool   // waiters may be answered since they were looked at
	logged  string // the router whose OpenFlow messages are logged; "": none
}

// A routerState is how far one router has come.
type routerState struct {
	router  *routing.Router
	kernel  *compile.Kernel // see [compile.Facts], as the next
	known   *compile.Neighbours
	session *session // nil while its bridge is not connected
	claim   *claim   // nil: there was none

	jump     *counters.Jump // counters that were not added; nil: none
	jumpedAt time.Time
	since    time.Time
	program  compile.Program
	gen      uint64 // of program; 0 before the first
	report   reconcile.Report

	announce []compile.Announcement // to go out with the next program

	asked   time.Time // the earliest change of the intent that is in no program yet; zero: there is none
	wanted  []version // those that the switch has not confirmed, by generation
	applied version   // the last one that it has; none since it has connected if gen is 0
}

// A version is a program of a router.
type version struct {
	gen      uint64
	revision uint64    // of the intent that it was made of
	asked    time.Time // see [routerState]
	program  compile.Program
	announce []compile.Announcement // when the switch has it
}

// runWorld takes events, as many as there are, then compiles what they touched.
func (c *Controller) runWorld(ctx context.Context, first *ledger.State) error {
	w := &world{dirty: make(map[string]bool), waiters: make(map[*waiter]bool), logged: c.cfg.LogRouter}
	c.setIntent(w, first, nil)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-c.events:
			c.handle(w, e)
		}
		for more := true; more; {
			select {
			case e := <-c.events:
				c.handle(w, e)
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
			st.session.ports.use(st.router)
			facts := st.facts()
			c.bridgePorts(st.router, facts.Ports)
			st.program = compile.Recompile(st.program, w.intent.Index, st.router, facts)
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
func (st *routerState) facts() compile.Facts {
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
		role, ours := compile.RoleOf(c)
		return ours && (st.kernel == nil && role.FromKernel() || st.known == nil && role == compile.RoleNeighbour)
	}
}

// keeps returns what selects the flows of a router that are not deleted for now, as
// there may be more that is wanted; nil if none is.
func (c *Controller) keeps(w *world, st *routerState) func(ofproto.Cookie) bool {
	if !w.intent.Complete {
		return func(ofproto.Cookie) bool { return true }
	}
	return c.unread(st)
}

// kernelRead takes in how the namespace of a router routes.
func (w *world) kernelRead(router string, k *compile.Kernel) {
	if st := w.routers[router]; st != nil && !st.kernel.Equal(k) {
		st.kernel, w.dirty[router] = k, true
	}
}

// neighboursRead takes in which neighbours the namespace of a router has resolved.
func (w *world) neighboursRead(router string, resolved []netip.Addr) {
	if st := w.routers[router]; st != nil {
		if n := compile.NewNeighbours(resolved); !st.known.Equal(n) {
			st.known, w.dirty[router] = n, true
		}
	}
}

// bridgePorts tells the lifecycle which ports the bridge of r has, nil if it is
// not connected.
func (c *Controller) bridgePorts(r *routing.Router, ports compile.Ports) {
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
	if last == nil || last.File() != next.File() && next.File().Err == nil {
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
		c.lifecycle.Want(lifecycleIntent(next))
	}
}

// sorted returns the routers in the order of their IDs.
func (w *world) sorted() []*routerState {
	return slices.SortedFunc(maps.Values(w.routers), func(a, b *routerState) int {
		return strings.Compare(a.router.ID, b.router.ID)
	})
}
