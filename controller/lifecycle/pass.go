package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/radvd"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A pass is one comparison of everything with the intent.
type pass struct {
	*Lifecycle
	want       Intent
	routers    []*routing.Router // those with managed bridges
	state      ovsdb.State       // after the database was made what is wanted, before the kernel was looked at
	audits     bool              // everything is looked at, whether anything tells of a change or not
	surveyed   bool              // see Config.Surveyed
	connected  bool
	complete   bool // all was compared and, but for the problems, mended
	retry      bool // something failed that nothing will tell of when it can succeed
	asked      int  // of [ovsdb.Client.Ask] in this pass; 0: not yet
	again      bool // there is more to do at once
	problems   map[string][]string
	notMade    map[string]string
	foreign    map[string]bool // routers whose namespaces are those of another instance, or the machine's own
	namespaces []string        // to be watched: those of managed routers, and those that were kept
}

func (p *pass) problem(router, text string) { p.problems[router] = append(p.problems[router], text) }

func (p *pass) run(ctx context.Context) {
	defer p.doing("")
	p.doing("read and change OVSDB")
	if !p.surveyed {
		state, err := p.db.State(ctx)
		if p.state, p.connected = state, err == nil; err == nil {
			err = errors.New("bridges and namespaces wait until it is known whether ofdvr has made some here before: if this stays, see the log")
		}
		p.problem("", err.Error())
		p.observeAll()
		return
	}
	advertisers := p.advertisers()
	p.endAdvertisements(advertisers)
	if !p.compared || p.instance == "" {
		if state, err := p.db.State(ctx); err == nil {
			if !p.compared {
				p.formerMACs(state)
				p.compared = true
			}
			p.identify(state)
		}
	}
	res, err := p.db.Apply(ctx, p.desired(p.want, p.withheld))
	switch {
	case errors.Is(err, ovsdb.ErrNotConnected):
		p.problem("", err.Error())
		p.observeAll()
		return // without knowing the database nothing is removed either
	case err != nil:
		p.problem("", err.Error())
		p.warn(cannotChange, "", err)
	default:
		p.well(cannotChange, "")
	}
	p.connected, p.complete = true, err == nil
	logOps(p.log, res.Ops)
	for _, problem := range res.Problems {
		p.problem(problem.Router, problem.Error())
	}
	if p.state, err = p.db.State(ctx); err != nil {
		p.connected, p.complete = false, false
		p.problem("", err.Error())
		p.observeAll()
		return
	}
	if p.complete {
		p.doubt(ctx, res.Problems)
		p.renew(ctx)
		p.peers(ctx, p.audits)
	}
	wanted := make(map[string]bool)
	for _, r := range p.routers {
		if ctx.Err() != nil {
			p.complete = false // and nothing is removed
			return
		}
		if !p.known(r.ID) {
			p.notMade[r.ID] = p.unmade(r)
		}
		if r.Fallback == routing.FallbackNamespace && p.instance != "" { // else the database is not ready, or the problem is told
			wanted[r.NamespaceName()] = true
			p.namespaces = append(p.namespaces, r.NamespaceName())
			p.doing("set up namespace " + r.NamespaceName())
			p.ensure(ctx, r)
			if p.foreign[r.ID] {
				p.cfg.Kernel(r.ID, new(compile.Kernel)) // nothing is handed to it
			} else {
				p.observe(r)
			}
		}
	}
	maps.DeleteFunc(p.memories, func(name string, _ *namespace.Memory) bool { return !wanted[name] })
	maps.DeleteFunc(p.right, func(name string, _ bool) bool { return !wanted[name] })
	p.doing("keep router advertisements")
	p.advertise(slices.DeleteFunc(advertisers, func(a radvd.Router) bool { return p.foreign[a.ID] }))
	if p.complete && p.want.Complete && p.instance != "" {
		p.removeNamespaces(wanted)
	}
}

// doubt asks ovs-vswitchd once about errors that it has left in the database. They
// can be over: when a port fails and is put right at once, the failure may be
// written last (seen with Open vSwitch 3.1). As it answers, it writes what is.
func (p *pass) doubt(ctx context.Context, problems []ovsdb.Problem) {
	var errs string
	for _, problem := range problems {
		if problem.Kind == ovsdb.SwitchError {
			errs += problem.Error() + "\n"
		}
	}
	if errs == "" || errs != p.doubted && p.ask(ctx) != 0 {
		p.doubted = errs
	}
}

// unmade says what to do about a bridge that does not connect. Why
// ovs-vswitchd has not made a bridge, it tells its log and nobody else.
func (p *pass) unmade(r *routing.Router) string {
	datapath := "system" // what no datapath_type means
	if b, ok := p.state.Bridge(r.BridgeName()); ok && b.DatapathType != "" {
		datapath = b.DatapathType
	}
	return fmt.Sprintf("bridge %s has not connected to %s: if this stays, see whether ovs-vswitchd runs, and in its log "+
		"whether it could make a bridge of datapath_type %s, which is that of %s", r.BridgeName(), p.cfg.Target, datapath, p.cfg.IntegrationBridge)
}

// desired is what the database should hold for an intent, less the taps that are
// withheld.
func (l *Lifecycle) desired(want Intent, withheld func(router, tap string) bool) ovsdb.Desired {
	given := make(map[string]bool) // names that are not made by us
	d := ovsdb.Desired{IntegrationBridge: l.cfg.IntegrationBridge, Controller: l.cfg.Target, Partial: !want.Complete}
	d.Link = func(name string) string { return namespace.LinkOfOthers(name, given[name]) }
	for r := range want.Index.Routers("") {
		if !r.Bridge.Managed {
			continue
		}
		b := ovsdb.Bridge{Router: r.ID, Name: r.BridgeName(), DatapathID: uint64(r.DPID())}
		given[r.Bridge.Name] = true
		for k := range r.Interfaces {
			f := &r.Interfaces[k]
			given[f.TapPort] = true
			n, _ := want.Index.Network(f.Network)
			iface := ovsdb.Interface{ID: f.ID, MAC: f.MAC.String(), Patch: f.PatchName(), Peer: f.PeerName(), VLAN: n.VLAN}
			if r.Fallback == routing.FallbackNamespace && !withheld(r.ID, f.TapName()) {
				iface.Tap = f.TapName()
			}
			b.Interfaces = append(b.Interfaces, iface)
		}
		d.Bridges = append(d.Bridges, b)
	}
	return d
}

// namespaceOf is the namespace of r as it should be, with the taps that are there.
func (l *Lifecycle) namespaceOf(x *routing.Index, r *routing.Router, made func(tap string) bool) namespace.Desired {
	d := namespace.Desired{Name: r.NamespaceName(), Router: r.ID, Instance: l.self()}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		if !made(f.TapName()) {
			continue
		}
		n, _ := x.Network(f.Network)
		d.Taps = append(d.Taps, namespace.Tap{
			Interface: f.ID, Name: f.TapName(), MAC: f.MAC, MTU: n.MTU, Down: f.Down, Addresses: f.Addresses,
		})
	}
	for i := range r.Routes {
		d.Routes = append(d.Routes, kernelRoute(r, &r.Routes[i]))
	}
	return d
}

// ensure makes the namespace of r and the taps in it as they should be.
func (p *pass) ensure(ctx context.Context, r *routing.Router) {
	d := p.namespaceOf(p.want.Index, r, func(tap string) bool {
		made := p.made(r, tap)
		if !made && p.known(r.ID) {
			p.problem(r.ID, fmt.Sprintf("tap %s is not there yet", tap))
		}
		return made
	})
	if b, ok := p.state.Bridge(p.cfg.IntegrationBridge); ok {
		d.Kind = namespace.Kind(b.DatapathType)
	}
	memory := p.memories[d.Name]
	if memory == nil {
		memory = namespace.NewMemory(p.before)
		p.memories[d.Name] = memory
	}
	res, err := namespace.Ensure(ctx, d, memory)
	gone := memory.Forget(func(tap string) bool {
		return slices.ContainsFunc(r.Interfaces, func(f routing.Interface) bool { return f.TapName() == tap })
	})
	if len(gone) > 0 {
		p.log.Warn("routes of other programs went with an interface", zap.String("router", r.ID), zap.String("routes", logging.Brief(gone)))
	}
	for _, lost := range res.Lost {
		p.problem(r.ID, lost)
	}
	for _, what := range res.Changed {
		p.log.Debug("changed a part of a namespace", zap.String("router", r.ID), zap.String("change", what))
	}
	if len(res.Settings) > 0 && p.right[d.Name] {
		p.log.Warn("another program changed settings of a namespace, set them back", zap.String("router", r.ID),
			zap.String("namespace", d.Name), zap.String("settings", logging.Brief(res.Settings)))
	}
	p.right[d.Name] = err == nil
	if len(res.Changed) > 0 {
		p.log.Info("changed namespace", zap.String("router", r.ID), zap.String("changes", logging.Brief(res.Changed)))
	}
	switch {
	case errors.As(err, new(*namespace.ForeignError)): // its end will be told
		p.problem(r.ID, err.Error())
		p.warnOnce(cannotSetUp, r.ID, err)
		p.foreign[r.ID] = true
	case errors.As(err, new(*namespace.HostError)):
		p.problem(r.ID, err.Error())
		p.warn(cannotSetUp, r.ID, err)
		p.foreign[r.ID] = true
	case err != nil:
		p.problem(r.ID, err.Error())
		p.warn(cannotSetUp, r.ID, err)
	default:
		p.well(cannotSetUp, r.ID)
	}
	for _, tap := range d.Taps {
		k := portOf{r.ID, tap.Name}
		if slices.Contains(res.Missing, tap.Name) {
			p.missing(ctx, k)
		} else {
			delete(p.renewals, k)
		}
	}
}

// kernelRoute is what the namespace of r has of an extra route.
func kernelRoute(r *routing.Router, route *routing.Route) namespace.Route {
	out := namespace.Route{Destination: route.Destination}
	switch route.Type {
	case routing.RouteBlackhole:
		out.Type = namespace.RouteBlackhole
	case routing.RouteReject:
		out.Type = namespace.RouteReject
	}
	for _, h := range route.NextHops {
		if f := r.Leg(h.Address); f != nil {
			out.Hops = append(out.Hops, namespace.Hop{NextHop: h.Address, Tap: f.TapName(), Weight: h.Weight})
		}
	}
	return out
}

func (p *pass) mtu(network string) int {
	n, _ := p.want.Index.Network(network)
	return n.MTU
}

// removeNamespaces deletes the namespaces of ours that no router wants.
func (p *pass) removeNamespaces(wanted map[string]bool) {
	all, err := namespace.List()
	if err != nil {
		p.problem("", err.Error())
		p.retry = true
	}
	for _, ns := range all {
		if wanted[ns.Name] || ns.Instance != p.instance {
			continue
		}
		p.doing("delete namespace " + ns.Name)
		err := namespace.Remove(ns.Name, p.instance)
		var kept *namespace.KeptError
		switch {
		case err == nil:
			p.log.Info("deleted namespace", zap.String("router", ns.Router), zap.String("namespace", ns.Name))
		case errors.As(err, &kept):
			p.problem("", err.Error())
			p.namespaces = append(p.namespaces, ns.Name) // it is told when what is in it goes
		default:
			p.problem("", err.Error())
			p.retry = true
		}
	}
	p.undo(wanted)
}

// undo gives namespaces that no router wants any more, and that were not deleted, what they had
// before.
func (p *pass) undo(wanted map[string]bool) {
	if p.before == nil {
		return
	}
	names, err := p.before.Names()
	if err != nil {
		p.problem("", err.Error())
		p.warn(cannotUndo, "", err)
	}
	for _, name := range names {
		if wanted[name] {
			continue
		}
		p.doing("undo what was set in namespace " + name)
		changed, err := p.before.Undo(name, p.instance)
		if len(changed) > 0 {
			p.log.Info("undid what was set in a namespace that stays", zap.String("namespace", name), zap.String("changes", logging.Brief(changed)))
		}
		if err != nil {
			p.problem("", err.Error())
			p.warn(cannotUndo, "", err)
		}
	}
}
