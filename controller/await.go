package controller

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/routing"
)

// A Pending is a reason why a write is not applied yet. If Router is "", it concerns all
// routers.
type Pending struct {
	Router string `json:"router,omitempty"`
	Reason string `json:"reason"`
}

// A waiter waits until a write is applied.
type waiter struct {
	revision uint64
	layout   uint64   // revision of the write if it has networks or routers; else 0
	routers  []string // IDs of the routers that the write affects
	objects  []ledger.Outcome
	done     chan struct{} // closed when the write is applied
	refused  []Pending     // set before done is closed

	// By router: the generation of the program to wait for. nil until the machines of the write
	// have their tags, or if none of them is on this host.
	placed map[string]uint64
}

// Await returns when the switches have confirmed a write, or when ctx is done. It returns the
// changes still pending, and the written objects that the switches refuse. The error is nil
// unless the controller has ended.
func (c *Controller) Await(ctx context.Context, r ledger.Result) ([]Pending, error) {
	wt := &waiter{revision: r.Intent.Revision, routers: r.Touched, objects: r.Objects, done: make(chan struct{})}
	if r.Intent.Layout == wt.revision {
		wt.layout = wt.revision
	}
	c.post(waitBegun{wt})
	select {
	case <-wt.done:
		return wt.refused, nil
	case <-c.stopped:
		return nil, errStopping
	case <-ctx.Done():
	}
	return request(context.WithoutCancel(ctx), c, func(answer chan<- []Pending) event { return waitEnded{wt, answer} })
}

// If a write is applied, answer releases its waiter.
func (c *Controller) answer(w *world) {
waiters:
	for wt := range w.waiters {
		if c.untagged(w, wt) != "" {
			continue
		}
		w.awaitPlaces(wt)
		for range c.awaited(w, wt) {
			continue waiters
		}
		delete(w.waiters, wt)
		wt.refused = w.refused(wt)
		close(wt.done)
	}
}

// awaited yields the IDs of the routers that wt waits for, or "" for all routers.
func (c *Controller) awaited(w *world, wt *waiter) iter.Seq[string] {
	return func(yield func(string) bool) {
		if c.standsBy(w) {
			yield("")
			return
		}
		for id := range w.touched(wt.routers) {
			st := w.state(id)
			var waits bool
			switch {
			case len(c.retiring(id)) > 0:
				waits = true
			case st == nil:
				waits = !c.made(w, wt, id)
			case st.router.Bridge.Managed && !c.made(w, wt, id), st.session == nil, len(st.program.Missing) > 0:
				waits = true
			default:
				waits = st.applied.gen == 0 || st.applied.revision < wt.revision || st.applied.gen < wt.placed[id] || st.awaits
			}
			if waits && !yield(id) {
				return
			}
		}
	}
}

// made reports whether the bridge, ports and namespace of a router match the layout that wt
// waits for.
func (c *Controller) made(w *world, wt *waiter, router string) bool {
	r := &w.lifecycle
	return c.lifecycle == nil || wt.layout == 0 || r.Layout >= wt.layout && r.Complete && r.NotMade[router] == "" && !r.Waits[router]
}

// pending returns the routers that wt still waits for, with the reasons.
func (c *Controller) pending(w *world, wt *waiter) (out []Pending) {
	if reason := c.untagged(w, wt); reason != "" {
		out = append(out, Pending{Reason: reason})
	}
	for id := range c.awaited(w, wt) {
		out = append(out, Pending{id, c.reason(w, wt, id)})
	}
	return out
}

// reason returns the reason why wt waits for a router.
func (c *Controller) reason(w *world, wt *waiter, router string) string {
	st, problems := w.state(router), w.lifecycle.Problems[router]
	if u := w.lifecycle.NotMade[router]; u != "" && (st == nil || st.session == nil) {
		problems = append(slices.Clone(problems), u)
	}
	switch {
	case router == "":
		return "another daemon leads, this one stands by"
	case len(c.retiring(router)) > 0:
		return c.retirementProblem(c.retiring(router)[0])
	case st == nil, st.router.Bridge.Managed && !c.made(w, wt, router):
		return or(problems, w.lifecycle.Problems[""], "its bridge, ports and namespace are being changed")
	case st.session == nil:
		return or(problems, nil, c.notConnected(st.router))
	case len(st.program.Missing) > 0:
		return fmt.Sprintf("bridge %s does not have these ports yet: %s", st.session.bridge, logging.Brief(st.program.Missing))
	}
	if st.awaits {
		return "its flows wait for those of the bridge between hosts"
	}
	return fmt.Sprintf("its flows are being changed (%s)", st.report.State)
}

// refused returns the objects of wt that the switches refuse.
func (w *world) refused(wt *waiter) (out []Pending) {
	var written map[ledger.Object]bool
	for _, id := range wt.routers {
		st := w.routers[id]
		if st == nil || len(st.report.Refused) == 0 {
			continue
		}
		if written == nil {
			written = make(map[ledger.Object]bool, len(wt.objects))
			for _, o := range wt.objects {
				written[o.Object] = true
			}
		}
		for _, e := range st.report.Refused {
			about, known := objectOf(st.program, e.Mod)
			port := ledger.Object{Kind: routing.KindPort, ID: about.ID}
			if known && about.Kind == routing.KindPort && !written[port] {
				continue
			}
			out = append(out, Pending{id, fmt.Sprintf("%s: the switch refuses it: %v", describer(st.program)(e.Mod), e.Err)})
		}
	}
	return out
}

// or joins the texts in a. If a is empty, it joins b, and if both are empty, it returns
// otherwise.
func or(a, b []string, otherwise string) string {
	for _, s := range [][]string{a, b} {
		if len(s) > 0 {
			return strings.Join(s, "; ")
		}
	}
	return otherwise
}
