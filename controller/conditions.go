package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A Condition describes whether the switches hold the flows of an object. A time is zero
// if it is not known, or if no router uses the object.
type Condition struct {
	Revision   uint64    // revision of the intent that it describes
	Programmed bool      // the switches have confirmed the object; the machine of a port has the tag of its network
	Since      time.Time // time of the last change of Programmed
	Pending    []Pending // reasons why the object is not programmed

	Degraded      []string  // changes that the switches refuse, with their reasons
	DegradedSince time.Time // time at which Degraded last became empty or non-empty
}

// Conditions returns the conditions of objects.
func (c *Controller) Conditions(ctx context.Context, objects []ledger.Object) ([]Condition, error) {
	return ask(ctx, c, func(w *world) []Condition {
		out := make([]Condition, len(objects))
		for i, o := range objects {
			out[i] = c.condition(w, o)
		}
		return out
	})
}

func (c *Controller) condition(w *world, o ledger.Object) (cond Condition) {
	x := w.intent.Index
	cond.Revision = w.intent.Revision
	var routers []*routerState
	add := func(id string) {
		if st := w.routers[id]; st != nil && !slices.Contains(routers, st) {
			routers = append(routers, st)
		}
	}
	network := o.ID
	port, isPort := routing.Port{}, o.Kind == routing.KindPort
	if isPort {
		port, _ = x.Port(o.ID)
		network = port.Network
	}
	switch o.Kind {
	case routing.KindRouter:
		add(o.ID)
	case routing.KindHost:
		for n := range x.Carried() {
			for _, l := range x.Legs(n.ID) {
				add(l.Router.ID)
			}
		}
		if w.fabric != nil {
			routers = append(routers, w.fabric)
		}
	default:
		for _, l := range x.Legs(network) {
			add(l.Router.ID)
		}
	}
	var yes, no time.Time // the latest change to programmed, and the first change to not programmed
	for _, st := range routers {
		if isPort && st.serves(&port) { // the port is programmed, whatever other changes are pending
			yes = latest(yes, st.changes.servedSince(&port))
			continue
		}
		pending := c.pending(w, w.everything(st))
		if len(pending) == 0 {
			yes = latest(yes, st.changes.programmed.at)
			continue
		}
		since := st.changes.programmed.at
		if isPort {
			since = st.notServedSince(&port)
		}
		if no.IsZero() || since.Before(no) {
			no = since
		}
		for _, p := range pending { // omits duplicates, because each router also waits for the fabric bridge
			if !slices.Contains(cond.Pending, p) {
				cond.Pending = append(cond.Pending, p)
			}
		}
	}
	if isPort {
		if reason, _ := w.untaggedPort(port.ID); reason != "" {
			cond.Pending = append(cond.Pending, Pending{Reason: reason})
		}
	}
	cond.Programmed, cond.Since = len(cond.Pending) == 0, yes
	if !cond.Programmed {
		cond.Since = no
	}
	for _, st := range routers {
		describe := describer(st.program)
		for _, e := range st.report.Refused {
			if about, ok := objectOf(st.program, e.Mod); !isPort || ok && about.Kind == routing.KindPort && about.ID == o.ID {
				cond.Degraded = append(cond.Degraded, fmt.Sprintf("router %s: %s: %v", st.router.ID, describe(e.Mod), e.Err))
			}
		}
		degraded := st.changes.degraded
		if isPort {
			degraded = st.changes.refused[o.ID]
		}
		cond.DegradedSince = latest(cond.DegradedSince, degraded.at)
	}
	return cond
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// everything returns a waiter for a router's bridge, ports, namespace and flows, and for the fabric
// bridge.
func (w *world) everything(st *routerState) *waiter {
	all := &waiter{layout: w.intent.Layout}
	if st != w.fabric {
		all.routers = []string{st.router.ID}
	}
	if n := len(st.wanted); n > 0 {
		all.revision = st.wanted[n-1].revision
	}
	return all
}

// serves reports whether the router's switch has confirmed the current version of p.
func (st *routerState) serves(p *routing.Port) bool {
	return st.session != nil && st.applied.gen != 0 && st.applied.program.Serves(*p)
}

// notServedSince returns the time since which the router's switch does not hold the current
// version of p. This is the time of the unconfirmed write, or of the end of the connection.
func (st *routerState) notServedSince(p *routing.Port) time.Time {
	if st.session == nil || st.applied.gen == 0 {
		return st.since
	}
	for _, v := range st.wanted {
		if v.program.Serves(*p) && !v.asked.IsZero() {
			return v.asked
		}
	}
	if !st.asked.IsZero() {
		return st.asked
	}
	return st.changes.programmed.at
}

// A change is the current value of a condition and the time of its last change.
type change struct {
	now bool
	at  time.Time // zero if not known yet
}

func (c *change) set(now bool, at time.Time) {
	if c.at.IsZero() || c.now != now {
		c.now, c.at = now, at
	}
}

// changes has the times of the last changes of conditions, for a router and the ports on its
// networks. It takes memory only for the ports that changed since the switch connected.
type changes struct {
	programmed, degraded change
	first                time.Time            // time of confirmation of the first program since the switch connected
	ports                map[string]time.Time // times of confirmation of the ports that changed later
	refused              map[string]change    // ports with a flow that the switch refuses or has refused
}

// servedSince returns the time at which the switch confirmed the current version of p.
func (c *changes) servedSince(p *routing.Port) time.Time {
	if at, ok := c.ports[p.ID]; ok {
		return at
	}
	return c.first
}

// connected forgets the confirmations of the previous connection.
func (c *changes) connected() { c.first, c.ports = time.Time{}, nil }

// confirmed records that the switch has replaced version last by version next.
func (c *changes) confirmed(last, next version, at time.Time) {
	if last.gen == 0 || c.first.IsZero() {
		c.first = at
		return
	}
	for old, now := range last.program.Ports(next.program) {
		if now == nil {
			delete(c.ports, old.ID)
			continue
		}
		if c.ports == nil {
			c.ports = make(map[string]time.Time)
		}
		c.ports[now.ID] = at
	}
}

// reported records the objects that the switch refuses.
func (c *changes) reported(st *routerState, at time.Time) {
	c.degraded.set(len(st.report.Refused) > 0, at)
	if len(st.report.Refused) == 0 && c.refused == nil {
		return
	}
	refused := make(map[string]bool)
	for _, e := range st.report.Refused {
		if about, ok := objectOf(st.program, e.Mod); ok && about.Kind == routing.KindPort {
			refused[about.ID] = true
		}
	}
	if c.refused == nil {
		c.refused = make(map[string]change)
	}
	for id := range refused {
		ch := c.refused[id]
		ch.set(true, at)
		c.refused[id] = ch
	}
	for id, ch := range c.refused {
		ch.set(refused[id], at)
		c.refused[id] = ch
	}
}

// judge updates the conditions of routers that may have changed.
func (c *Controller) judge(w *world) {
	now := time.Now()
	one := func(st *routerState) {
		waits := false
		for range c.awaited(w, w.everything(st)) {
			waits = true
		}
		st.changes.programmed.set(!waits, now)
	}
	if w.unjudgedAll {
		for _, st := range w.states() {
			one(st)
		}
	} else {
		for id := range w.unjudged {
			if st := w.state(id); st != nil {
				one(st)
			}
		}
	}
	clear(w.unjudged)
	w.unjudgedAll = false
}
