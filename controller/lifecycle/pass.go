package lifecycle

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// A pass inspects all due objects and corrects differences.
type pass struct {
	*Lifecycle
	surveyed bool // see Config.Surveyed
	audits   bool // inspect all objects, even without notification of a change
	asked    int  // result of [ovsdb.Client.IncrementNextCfg] in this pass; 0 if not called yet
}

func (p *pass) run(ctx context.Context) {
	newIntent, state, instance, moved := p.newIntent, p.database.state, p.instance, p.takeMoved()
	p.auditing, p.newIntent = false, false
	if newIntent {
		p.setRouters()
		p.database.due, p.database.applied, p.advertising.due = true, false, true
	}
	if p.turnsChanged() {
		p.database.due = true
	}
	switch {
	case !p.surveyed:
		p.wait(ctx)
	case p.database.isDue(time.Now()):
		p.inspectDatabase(ctx)
	}
	p.unlearn(ctx)
	if newIntent || instance != p.instance || !state.Same(p.database.state) {
		p.setDesired()
	}
	for _, router := range moved {
		if m := p.byID[router]; m != nil {
			p.setDesiredOf(m)
		}
	}
	if newIntent || p.renamed {
		p.follow(ctx)
	}
	if !p.database.pending { // waits for the end of the first attempt to connect, because all objects would be inspected again right after it
		p.inspect(ctx)
	}
	if p.advertising.isDue(time.Now()) {
		p.advertise()
	}
	if p.removing.isDue(time.Now()) {
		p.remove()
	}
}

// wait does the part of a pass that is possible before the survey of existing objects has ended.
func (p *pass) wait(ctx context.Context) {
	d := &p.database
	d.begin()
	d.problems = make(problems)
	state, err := p.db.State(ctx)
	d.pending = err == ovsdb.ErrNotConnected
	if d.connected = err == nil; d.connected {
		err = errors.New("no bridge or namespace is created yet, because it is not known whether ofdvr has created some on this host before: if this stays, see the log")
	}
	d.setState(state, p.cfg.IntegrationBridge)
	p.setPlugged()
	d.problems.add("", err.Error())
}

// follow subscribes to changes in the namespaces of routers.
func (p *pass) follow(ctx context.Context) {
	p.renamed = false
	ids := make(map[string]string, len(p.byName))
	for name, m := range p.byName {
		ids[name] = m.ID
	}
	if err := p.links.Follow(ctx, append(slices.Collect(maps.Keys(ids)), p.kept...)...); err == nil && p.neighs != nil {
		p.neighs.Follow(ids)
	}
}

// report returns the progress since the start.
func (l *Lifecycle) report() Report {
	d := &l.database
	r := Report{Layout: l.want.Layout, Connected: d.connected, Bridges: d.exists, Complete: d.applied, Problems: make(map[string][]string),
		NotMade: make(map[string]string), Waits: make(map[string]bool), Tags: d.tags, Plugged: d.plugged, Machines: d.rows.machines, Turns: d.rows.turns, Tagged: d.tagged()}
	for _, found := range []problems{d.problems, d.patches} {
		for router, texts := range found {
			if len(texts) > 0 {
				r.Problems[router] = append(r.Problems[router], texts...)
			}
		}
	}
	for _, m := range l.routers {
		if d.tried && !m.connected {
			r.NotMade[m.ID] = l.unmade(m.BridgeName())
		}
		if m.Fallback != routing.FallbackNamespace {
			continue
		}
		r.Complete = r.Complete && (m.passed || !d.ready)
		r.Waits[m.ID] = len(m.waits) > 0
		if texts := append(slices.Clip(m.waits), m.problems...); len(texts) > 0 {
			r.Problems[m.ID] = append(r.Problems[m.ID], texts...)
		}
	}
	for _, found := range []problems{l.advertising.problems, l.removing.problems} {
		for router, texts := range found {
			r.Problems[router] = append(r.Problems[router], texts...)
		}
	}
	if d.fabric != nil && d.tried && !l.known(routing.FabricBridge) {
		r.NotMade[routing.FabricBridge] = l.unmade(routing.FabricBridge)
	}
	r.Settled = r.Complete && len(r.Problems)+len(r.NotMade) == 0
	return r
}
