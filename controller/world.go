package controller

import (
	"context"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// The world is the state of all routers: the intent, the connected switches and the progress
// of each router. Only one goroutine reads or writes it.
type world struct {
	intent   *ledger.Intent
	routers  map[string]*routerState // states of the intent's routers, by ID
	fabric   *routerState            // the fabric bridge; nil if the host has none
	host     string                  // the ID of this host
	hosts    *hosts.Table            // nil without a fabric bridge
	stored   hosts.Stored            // claims in the store that hosts share
	claims   bool                    // the claims of this host may have changed, see [Config.Claims]
	seen     *observed               // nil without a fabric bridge
	digest   topology.Digest         // digest of the intent, if this host has a fabric bridge
	probing  []*probing              // probes of other hosts
	placed   *routing.Index          // the intent's index, in which each port is on the host where its machine is
	plugged  []string                // sorted IDs of ports of spanning networks with a machine plugged in on this host; nil before the database was read
	machines map[string]uint16       // see [lifecycle.Report].Machines, as last read
	carries  bool                    // a network has a VNI
	dirty    map[string]bool         // routers to compile

	unjudged    map[string]bool // routers with conditions that may have changed
	unjudgedAll bool            // the conditions of all routers may have changed

	began    time.Time // when the daemon started or took over
	recalled bool      // the places of machines have been read since then, see [world.recall]
	lead     bool      // this daemon leads and does not stand by
	led      bool      // the sessions of routers lead too, see [world.leadRouters]

	lifecycle lifecycle.Report
	owners    compile.Owners // MAC addresses of the routers' addresses

	waiters map[*waiter]bool
	moved   bool   // a change may release waiters
	logged  string // the router with a log of its OpenFlow messages; "" if none
}

// A routerState is the progress of one router.
type routerState struct {
	router  *routing.Router
	kernel  *compile.Kernel // see [compile.Facts]
	known   *compile.Neighbours
	session *session // nil while its bridge is not connected
	claim   *claim   // nil if no claim was refused

	jump     *counters.Jump // counters that were not added; nil if all were added
	jumpedAt time.Time
	since    time.Time
	changes  changes // of its conditions
	program  compile.Program
	gen      uint64 // generation of program; 0 before the first program
	report   reconcile.Report

	announce []compile.Announcement // announcements to send with the next program
	awaits   bool                   // program does not use the fabric bridge for all interfaces yet, see [world.awaits]

	asked   time.Time // time of the earliest change of the intent that is not in a program yet; zero if all changes are
	wanted  []version // versions that the switch has not confirmed, by generation
	applied version   // the last confirmed version; gen is 0 if no version was confirmed since the switch connected
}

// A version is one program of a router.
type version struct {
	gen      uint64
	revision uint64    // revision of the intent that it was compiled from
	asked    time.Time // see [routerState]
	program  compile.Program
	announce []compile.Announcement // announcements to send when the switch has confirmed this version
}

// runWorld handles all queued events, then compiles the routers that they affected.
func (c *Controller) runWorld(ctx context.Context, first *ledger.Intent) error {
	w := &world{host: c.cfg.Host, began: time.Now(), dirty: make(map[string]bool), unjudged: make(map[string]bool), unjudgedAll: true, waiters: make(map[*waiter]bool), stored: make(hosts.Stored), logged: c.cfg.LogRouter}
	c.setIntent(w, first, nil)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			c.tickHosts(w)
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
		w.sendMessages()
		c.shareClaims(w)
		if w.moved {
			c.answer(w)
			w.moved = false
		}
		c.judge(w)
	}
}

// compile compiles the dirty routers.
func (c *Controller) compile(w *world) {
	if w.intent != nil && c.unplaced(w) {
		return
	}
	w.leadRouters()
	for id := range w.dirty {
		w.unjudged[id] = true
		if st := w.state(id); st != nil && st.session != nil {
			st.session.ports.use(w.portsOf(st))
			c.recompile(w, st)
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

// recompile compiles the program of a router's bridge, or of the fabric bridge.
func (c *Controller) recompile(w *world, st *routerState) {
	facts := w.facts(st)
	c.bridgePorts(st.router, facts.Ports)
	if st == w.fabric {
		st.program = compile.CompileFabric(st.program, w.placed, compile.FabricFacts{Host: c.cfg.Host, Ports: facts.Ports, Can: facts.Can})
		return
	}
	st.program, st.awaits = compile.Recompile(st.program, w.placed, st.router, facts), len(facts.Awaits) > 0
}

// facts returns the facts about the router's bridge, which must be connected, and its
// namespace.
func (w *world) facts(st *routerState) compile.Facts {
	f := st.session.facts()
	f.Kernel, f.Neighbours = st.kernel, st.known
	if w.fabric != nil {
		f.Host, f.Awaits = w.host, w.awaits(st)
	}
	return f
}

// unread returns a predicate for the flows of a router that depend on its unread namespace. It
// returns nil if the namespace has been read or is not ours.
func (c *Controller) unread(st *routerState) func(ofproto.Cookie) bool {
	if st.kernel != nil && st.known != nil || c.lifecycle == nil || !st.router.Bridge.Managed || st.router.Fallback != routing.FallbackNamespace {
		return nil
	}
	kernel, neighbours := st.kernel == nil, st.known == nil // now: the predicate is for the program that is compiled now
	return func(c ofproto.Cookie) bool {
		role, ours := compile.RoleOf(c)
		return ours && (kernel && role.FromKernel() || neighbours && role == compile.RoleNeighbour)
	}
}

// keeps returns a predicate for the flows of a router that must not be deleted now, because
// the intent or the namespace is not completely known. It returns nil if all flows may be
// deleted.
func (c *Controller) keeps(w *world, st *routerState) func(ofproto.Cookie) bool {
	if !w.intent.Complete {
		return func(ofproto.Cookie) bool { return true }
	}
	return c.unread(st)
}

// kernelRead sets the rules and routes of a router's namespace.
func (w *world) kernelRead(router string, k *compile.Kernel) {
	if st := w.routers[router]; st != nil && !st.kernel.Equal(k) {
		st.kernel, w.dirty[router] = k, true
	}
}

// neighboursRead sets the resolved neighbours of a router's namespace.
func (w *world) neighboursRead(router string, resolved []netip.Addr) {
	if st := w.routers[router]; st != nil {
		if n := compile.NewNeighbours(resolved); !st.known.Equal(n) {
			st.known, w.dirty[router] = n, true
		}
	}
}

// bridgePorts sends the ports of r's bridge to the lifecycle. ports is nil if the bridge is
// not connected.
func (c *Controller) bridgePorts(r *routing.Router, ports compile.Ports) {
	if c.lifecycle != nil && r.Bridge.Managed {
		c.lifecycle.Ports(r.ID, ports)
	}
}

// setIntent makes next the intent. touched has the IDs of the routers that the change affects.
func (c *Controller) setIntent(w *world, next *ledger.Intent, touched []string) {
	last := w.intent
	w.intent, w.moved = next, true
	w.place(last, next)
	switch {
	case last == nil || last.Layout != next.Layout || last.Complete != next.Complete:
		c.setLayout(w, next)
	case w.carries && c.lifecycle != nil: // the lifecycle sets the tags of machines' ports, and finds the machines on this host
		c.lifecycle.Want(lifecycleIntent(next))
	}
	for id := range w.touched(touched) {
		w.dirty[id] = true
		if st := w.state(id); st != nil && st.asked.IsZero() && w.lead {
			st.asked = next.Since
		}
	}
	if last != nil && last.Complete != next.Complete {
		for id := range w.states() {
			w.dirty[id] = true
		}
	}
	if last == nil || last.File() != next.File() && next.File().Err == nil {
		networks, routers, ports := next.Index.Len()
		c.log.Info("intent loaded", zap.Stringer("source", next), zap.Uint64("revision", next.Revision),
			zap.Int("networks", networks), zap.Int("routers", routers), zap.Int("ports", ports))
	}
}

// setLayout changes the set of networks and routers.
func (c *Controller) setLayout(w *world, next *ledger.Intent) {
	w.unjudgedAll = true
	var left []*session // sessions that have lost their router
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
	if s := c.setFabric(w); s != nil {
		left = append(left, s)
	}
	c.retire(w, left)
	c.announceMoves(w)
	w.carries = carries(next.Index) || routing.Uplinks(next.Index, w.host)
	if c.lifecycle != nil {
		c.lifecycle.Want(lifecycleIntent(next))
	}
}

// carries reports whether a network has a VNI. Then ofdvr sets the tags of machines' ports.
func carries(x *routing.Index) bool {
	for n := range x.Networks("") {
		if n.VNI != 0 {
			return true
		}
	}
	return false
}

// touched yields routers, and the ID of the fabric bridge if it exists.
func (w *world) touched(routers []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, id := range routers {
			if !yield(id) {
				return
			}
		}
		if w.fabric != nil {
			yield(w.fabric.router.ID)
		}
	}
}

// state returns the state of the router or fabric bridge called id, or nil if it does not
// exist.
func (w *world) state(id string) *routerState {
	if w.fabric != nil && id == w.fabric.router.ID {
		return w.fabric
	}
	return w.routers[id]
}

// states yields the states of all routers and of the fabric bridge.
func (w *world) states() iter.Seq2[string, *routerState] {
	return func(yield func(string, *routerState) bool) {
		for id, st := range w.routers {
			if !yield(id, st) {
				return
			}
		}
		if w.fabric != nil {
			yield(w.fabric.router.ID, w.fabric)
		}
	}
}

// index returns the index of the intent.
func (w *world) index() *routing.Index { return w.intent.Index }

// sorted returns the routers in the order of their IDs.
func (w *world) sorted() []*routerState {
	return slices.SortedFunc(maps.Values(w.routers), func(a, b *routerState) int {
		return strings.Compare(a.router.ID, b.router.ID)
	})
}
