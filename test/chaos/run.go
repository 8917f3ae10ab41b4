package chaos

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/lab"
)

// Options configure a run.
type Options struct {
	Seed   uint64
	Faults int
	Only   *regexp.Regexp // kinds of faults; nil means all
	Log    func(format string, args ...any)
}

// A run is a site with the results so far.
type run struct {
	*site
	Options
	report Report
}

// newRun sets up a site on a host with an Open vSwitch and an integration bridge.
func newRun(ctx context.Context, h *lab.Host, o Options) (*run, error) {
	s, err := newSite(ctx, h)
	return &run{site: s, Options: o}, err
}

// Known reports whether an expression matches a kind of fault of [Play], [PlayHosts] or [PlayEtcd].
func Known(only *regexp.Regexp) bool {
	return slices.ContainsFunc(faults, func(f fault) bool { return only.MatchString(f.kind) }) ||
		slices.ContainsFunc(slices.Concat(fleetFaults, etcdFaults), func(f fleetFault) bool { return only.MatchString(f.kind) })
}

// Play injects faults, one after another, on a host with an Open vSwitch and an integration bridge.
// If it cannot continue, because a step is impossible or a fault is not repaired in time, it
// returns an error. Broken laws are in the report.
func Play(ctx context.Context, h *lab.Host, o Options) (*Report, error) {
	script := newScript(o)
	if len(script.all) == 0 {
		return &Report{}, nil
	}
	r, err := newRun(ctx, h, o)
	if err != nil {
		return nil, err
	}
	err = r.run(ctx, func(ctx context.Context) error {
		if err := r.begin(ctx); err != nil {
			return err
		}
		for n := 1; n <= o.Faults; n++ {
			kind, st := script.next()
			if err := r.step(ctx, n, kind, st); err != nil {
				return fmt.Errorf("fault %d of %d, %s: %w", n, o.Faults, kind, err)
			}
		}
		return nil
	})
	return &r.report, err
}

// begin waits until the site matches the intent.
func (r *run) begin(ctx context.Context) error {
	if err := r.converge(ctx); err != nil {
		return err
	}
	if err := r.mesh.flows(ctx, everything); err != nil {
		return err
	}
	_, _, _, err := r.mesh.cut(ctx, everything, everything)
	return err
}

// converge waits until the site matches the intent.
func (s *site) converge(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%v have passed", patience))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var wrong error
	for {
		flows, err := s.inspect(ctx)
		if err == nil {
			s.flows = flows
			return nil
		}
		if wrong == nil || ctx.Err() == nil { // an error after the deadline has no more information
			wrong = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not repaired: %w; last: %w", context.Cause(ctx), wrong)
		}
	}
}

// step injects one fault, waits until it is repaired, and checks the result against the
// laws.
func (r *run) step(ctx context.Context, n int, kind string, st step) error {
	before, err := r.watch.look(ctx)
	if err != nil {
		return err
	}
	daemon, had, old := r.running(), r.flows, r.intent
	if st.intent != nil {
		r.intent = st.intent
	}
	begin := time.Now()
	if err := st.do(ctx, r.site); err != nil {
		return err
	}
	over := time.Now()
	if err := r.converge(ctx); err != nil {
		return fmt.Errorf("%s: %w", st.what, err)
	}
	o := outcome{kind: kind, took: time.Since(over), least: least(had, st.survives, r.flows), known: known(had) + known(r.flows)}

	// The expected traffic flows, and all sent packets have arrived or are lost.
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := r.mesh.flows(ctx, r.intent.connects); err != nil {
		return err
	}
	if err := r.fallback(ctx); err != nil {
		return err
	}
	connected := func(p *pair) bool { return old.connects(p) && r.intent.connects(p) }
	if st.takes == nil {
		st.takes = nothing
	}
	var wrong []loss
	if o.sent, o.lost, wrong, err = r.mesh.cut(ctx, connected, st.takes); err != nil {
		return err
	}
	after, err := r.watch.look(ctx)
	if err != nil {
		return err
	}
	o.mods = after.flowMods()
	if r.running() == daemon {
		o.mods -= before.flowMods()
	}
	r.report.add(o)
	r.Log("%3d/%d %-36s %-40s %s", n, r.Faults, kind, st.what, o)
	r.judge(fmt.Sprintf("fault %d, %s", n, kind), o, wrong, begin)
	return nil
}

// least returns the smallest number of flow mods that turn the surviving flows of the bridges into
// the desired flows. had has the flows before the fault. want has the desired flows.
func least(had map[string]ofproto.Set, survives func(string, ofproto.Set) ofproto.Set, want map[string]ofproto.Set) int {
	n := 0
	for router, flows := range want {
		have := had[router]
		if survives != nil {
			have = survives(router, have)
		}
		n += ofproto.Diff(have, flows).Len()
	}
	return n
}

// known returns the number of flows for neighbours that namespaces have resolved.
func known(flows map[string]ofproto.Set) int {
	n := 0
	for _, set := range flows {
		n += set.Len() - set.Without(ofNeighbour).Len()
	}
	return n
}

// judge records the laws that an outcome breaks. name is the name of the step.
func (r *run) judge(name string, o outcome, wrong []loss, begin time.Time) {
	r.report.losses(name, wrong, begin)
	if o.least == 0 && o.mods > 2*o.known { // allowed, because a namespace may forget a neighbour and resolve it again
		r.report.addBroken(name, "%d flow mods were sent although no flow had to change", o.mods)
	}
	for _, b := range r.watch.wentBack() {
		r.report.addBroken(name, "%s", b)
	}
}
