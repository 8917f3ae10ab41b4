package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// A Finding is what an examination has found.
type Finding struct {
	Level  Level
	About  string // such as Open vSwitch, or router r1
	Says   string
	Remedy string // what to do about it; "" if nothing
}

// count returns a number of things in words.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Level says how bad a finding is.
type Level uint8

// The levels.
const (
	Fine    Level = iota // it is as it should be
	Note                 // it works, but somebody may want to know
	Problem              // it does not work
)

func (l Level) String() string { return [...]string{"ok", "note", "problem"}[l] }

// Examine looks at everything anew, whatever is believed of it: the intent,
// Open vSwitch and its database, the bridges with their ports, flows, groups and
// meters, the namespaces, and whether packets come. It changes nothing.
func (c *Controller) Examine(ctx context.Context) ([]Finding, error) {
	e := &examination{Controller: c}
	err := c.do(ctx, func(w *world) {
		e.intent, e.lead, e.status = w.intent, w.lead, c.status(w)
		for _, st := range w.sorted() {
			e.routers = append(e.routers, examined{st.router, st.session, st.program, st.report.State})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("examine: %w", err)
	}
	e.daemon()
	if e.lead {
		e.database(ctx)
	}
	if err := e.switches(ctx); err != nil {
		return nil, err
	}
	if e.lead {
		e.namespaces(ctx)
		e.neighbourTables()
	}
	e.rest()
	return e.findings, nil
}

// An examination is under way.
type examination struct {
	*Controller
	intent   *ledger.State
	lead     bool
	status   Status
	routers  []examined
	findings []Finding
}

type examined struct {
	*routing.Router
	session *session
	program routing.Program
	state   reconcile.State
}

func (e *examination) find(l Level, about, remedy, format string, args ...any) {
	e.findings = append(e.findings, Finding{l, about, fmt.Sprintf(format, args...), remedy})
}

func (e *examination) daemon() {
	in := e.status.Intent
	if e.lead {
		e.find(Fine, "daemon", "", "leads, with %s, %s and %s", count(in.Networks, "network"), count(in.Routers, "router"), count(in.Ports, "port"))
	} else {
		e.find(Note, "daemon", "", "stands by: another daemon leads, and looks after OVSDB and namespaces; ask that one too")
	}
	for _, q := range quarantineProblems(e.intent.Quarantined) {
		e.find(Problem, "intent", "correct the object, or delete it", "%s", q)
	}
	if !e.intent.Whole {
		e.find(Problem, "intent", "tell it everything, and then: ofdvr complete", "the store has nothing in it, but ofdvr has made something here before: nothing is removed")
	}
	for _, s := range []*SourceStatus{in.File, in.Store} {
		if s == nil {
			continue
		}
		for _, m := range s.Mistakes {
			if s.Partial {
				e.find(Problem, s.Name, "correct it; the rest is used, and nothing is removed until then", "could not be read: %s", m)
				continue
			}
			e.find(Problem, s.Name, "mend it; what was read before goes on", "%s", m)
		}
		for _, w := range s.Warnings {
			e.find(Note, s.Name, "", "%s", w)
		}
	}
}

// answerTime is how long ovs-vswitchd may take to answer, which has to finish what
// it is doing first.
const answerTime = 3 * time.Second

// database looks at Open vSwitch and its database.
func (e *examination) database(ctx context.Context) {
	l := e.lifecycle
	if l == nil {
		e.find(Note, "Open vSwitch", "", "its database is not looked at (--ovsdb \"\"): all bridges are external")
		return
	}
	state, err := l.db.State(ctx)
	if err != nil {
		e.find(Problem, "Open vSwitch", "see whether ovsdb-server runs: systemctl status openvswitch-switch", "%v", err)
		return
	}
	e.vswitchd(ctx, state)
	if b, ok := state.Bridge(l.bridge); ok {
		e.find(Fine, "bridge "+l.bridge, "", "exists, with datapath_type %s", orSystem(b.DatapathType))
		e.tags(b)
	}
	ops, problems := ovsdb.Plan(state, l.desired(e.intent, func(string, string) bool { return false }))
	for _, p := range problems {
		e.find(Problem, p.Object, p.Remedy, "%s", p.Detail)
	}
	for _, op := range ops {
		e.find(Problem, "OVSDB", "ofdvr does that by itself, unless somebody undoes it: ovsdb-tool show-log says who wrote what", "it would have to %v", op)
	}
	e.peers(ctx, state)
	if len(problems)+len(ops) == 0 {
		e.find(Fine, "OVSDB", "", "bridges, controllers, patch ports, their peers and tags, and taps are as they should be")
	}
}

func orSystem(datapathType string) string {
	if datapathType == "" {
		return "system"
	}
	return datapathType
}

// vswitchd asks ovs-vswitchd whether it works, over its control socket and not by
// next_cfg in the database, which would change something. Then it sees whether the switch
// has done what the database says.
func (e *examination) vswitchd(ctx context.Context, state ovsdb.State) {
	const about, remedy = "Open vSwitch", "see whether ovs-vswitchd runs, and its log: systemctl status openvswitch-switch"
	version := cmp.Or(state.Version, "of an unknown version")
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, fmt.Errorf("no answer in %v", answerTime))
	defer cancel()
	answers := "answers"
	if err := e.askVswitchd(ctx); errors.Is(err, errNotAsked) || errors.Is(err, fs.ErrNotExist) && e.connected() {
		e.find(Note, about, "", "ovs-vswitchd was not asked whether it works, only ovsdb-server: %v", err)
		answers = "is in use"
	} else if err != nil {
		e.find(Problem, about, remedy, "ovs-vswitchd does not answer: %v", err)
		return
	}
	for ask := state.NextCfg; state.CurCfg < ask; {
		t := time.NewTimer(20 * time.Millisecond) // the lifecycle is who is told of changes
		select {
		case <-ctx.Done():
			t.Stop()
			e.find(Problem, about, remedy, "ovs-vswitchd has come to configuration %d of %d in %v: it does not do what OVSDB says", state.CurCfg, ask, answerTime)
			return
		case <-t.C:
		}
		var err error
		if state, err = e.lifecycle.db.State(ctx); err != nil {
			e.find(Problem, about, remedy, "%v", err)
			return
		}
	}
	e.find(Fine, about, "", "%s at %s %s", version, e.cfg.OVSDB, answers)
}

func (e *examination) askVswitchd(ctx context.Context) error {
	conn, err := dialVswitchd(ctx, e.cfg.OVSDB)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = ovstrace.Call(ctx, conn, "version")
	return err
}

// peers asks ovs-vswitchd whether packets pass from each routing bridge to the
// integration bridge, and back.
func (e *examination) peers(ctx context.Context, state ovsdb.State) {
	var qs []question
	for _, r := range e.routers {
		if r.Bridge.Managed {
			qs = append(qs, e.lifecycle.questions(r.Router, state)...)
		}
	}
	ask(ctx, e.cfg.OVSDB, qs)
	right := 0
	for _, q := range qs {
		switch {
		case q.err != nil: // whether it answers is found above
		case q.passes:
			right++
		case strings.HasPrefix(q.row.Error, noPeer):
			e.find(Problem, "router "+q.router.ID, "ofdvr makes it anew", "patch port %s on bridge %s has no peer, so nothing passes to bridge %s", q.port, q.bridge, q.to)
		default:
			e.find(Problem, "router "+q.router.ID, "", "%s", q.blocked())
		}
	}
	if right > 0 {
		e.find(Fine, "patch ports", "", "packets pass by %s", count(right, "port"))
	}
}

// connected reports whether the bridge of a managed router is connected, so that
// ovs-vswitchd runs.
func (e *examination) connected() bool {
	return slices.ContainsFunc(e.routers, func(r examined) bool { return r.Bridge.Managed && r.session != nil })
}

// deadVLAN is where Neutron's L2 agent keeps ports that it has not bound.
const deadVLAN = 4095

// tags looks for ports that wait for somebody else to tag them.
func (e *examination) tags(b ovsdb.BridgeRow) {
	for _, r := range e.routers {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			n, _ := e.intent.Index.Network(f.Network)
			p, ok := b.Port(f.PeerName())
			if ok && r.Bridge.Managed && n.VLAN == 0 && p.Tag != nil && *p.Tag == deadVLAN {
				e.find(Problem, "router "+r.ID, "see the log of the L2 agent that tags ports, or give network "+n.ID+" a vlan",
					"port %s of interface %s is in the dead VLAN %d: nobody has bound it", f.PeerName(), f.ID, deadVLAN)
			}
		}
	}
}

// readers is how many switches are read at a time.
const readers = 8

// switches reads what each bridge holds and compares it with what it should.
func (e *examination) switches(ctx context.Context) error {
	type reading struct {
		held reconcile.Holdings
		err  error
	}
	readings := make([]reading, len(e.routers))
	var g errgroup.Group
	g.SetLimit(readers)
	for i, r := range e.routers {
		if r.session != nil {
			g.Go(func() error {
				readings[i].held, readings[i].err = reconcile.Connected{Conn: r.session.conn}.Read(ctx)
				return nil
			})
		}
	}
	g.Wait()
	equal := 0
	for i, r := range e.routers {
		about := "router " + r.ID
		if r.session == nil {
			continue // the status says so, and why
		}
		if err := readings[i].err; err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("examine the flows of bridge %s: %w", r.session.bridge, err)
			}
			e.find(Problem, about, "see the log of ovs-vswitchd", "the flows of bridge %s cannot be read: %v", r.session.bridge, err)
			continue
		}
		if lacks := routing.CanAll &^ r.session.can; lacks != 0 && r.session.probed {
			e.find(Note, about, "a newer Open vSwitch, or another datapath, can do more", "the kernel does what the switch cannot: %v", strings.Join(lacks.Names(), ", "))
		}
		if says := differs(readings[i].held, r.program); says != "" {
			if r.state == reconcile.Settled {
				e.find(Problem, about, "look again in a moment: ofdvr repairs it when it notices, at the latest at the next audit", "bridge %s %s", r.session.bridge, says)
			} else {
				e.find(Note, about, "", "bridge %s %s, and is being changed (%v)", r.session.bridge, says, r.state)
			}
			continue
		}
		equal++
	}
	if equal > 0 {
		e.find(Fine, "flows", "", "of %s are what they should be, and so are groups and meters", count(equal, "bridge"))
	}
	return e.moving(ctx)
}

// differs says how what a switch holds differs from its program, "" if it does
// not. What is not ours does not count.
func differs(held reconcile.Holdings, p routing.Program) string {
	ours := held.Flows.Without(func(f ofproto.Flow) bool {
		_, mine := routing.RoleOf(f.Cookie)
		_, wanted := p.Flows.Get(f.FlowKey)
		return !mine && !wanted
	})
	d := ofproto.Diff(ours, p.Flows)
	var says []string
	say := func(n int, format string) {
		if n > 0 {
			says = append(says, fmt.Sprintf(format, count(n, "flow")))
		}
	}
	say(len(d.Add), "lacks %s, or has others in their place")
	say(len(d.Modify), "has %s with other actions")
	say(len(d.Delete), "has %s too many")
	groups := slices.DeleteFunc(held.Groups, func(g ofproto.GroupEntry) bool { return !routing.OursGroup(g.ID) })
	meters := slices.DeleteFunc(held.Meters, func(m ofproto.MeterEntry) bool { return !routing.OursMeter(m.ID) })
	if !slices.EqualFunc(groups, p.Groups, ofproto.GroupEntry.Equal) {
		says = append(says, fmt.Sprintf("has %d groups, which are not the %d that it should have", len(groups), len(p.Groups)))
	}
	if !slices.EqualFunc(meters, p.Meters, ofproto.MeterEntry.Equal) {
		says = append(says, fmt.Sprintf("has %d meters, which are not the %d that it should have", len(meters), len(p.Meters)))
	}
	return strings.Join(says, ", ")
}

// moving looks for interfaces by which no packet has come.
func (e *examination) moving(ctx context.Context) error {
	counters, err := e.Counters(ctx)
	if err != nil {
		return fmt.Errorf("examine counters: %w", err)
	}
	seen, silent := 0, []string(nil)
	for _, r := range counters.Routers {
		for _, i := range r.Interfaces {
			n := uint64(0)
			for _, role := range []routing.Role{routing.RoleIn, routing.RoleFallback, routing.RoleAsk} {
				n += i.ByRole[role].Packets
			}
			if n > 0 {
				seen++
			} else {
				silent = append(silent, i.ID)
			}
		}
	}
	if seen > 0 {
		e.find(Fine, "packets", "", "have come by %d of %s", seen, count(seen+len(silent), "interface"))
	}
	if len(silent) > 0 {
		e.find(Note, "packets", "see whether machines have the interface's address as their gateway, and whether their ports are on its VLAN",
			"none has come by %s", brief(silent))
	}
	return nil
}

// namespaces looks at the namespaces of managed routers.
func (e *examination) namespaces(ctx context.Context) {
	if e.lifecycle == nil {
		return
	}
	right := 0
	for _, r := range e.routers {
		if !r.Bridge.Managed || r.Fallback != routing.FallbackNamespace {
			continue
		}
		about := "router " + r.ID
		got, err := namespace.Check(ctx, e.lifecycle.namespaceOf(e.intent.Index, r.Router, func(string) bool { return true }))
		if err != nil {
			e.find(Problem, about, "", "namespace %s cannot be examined: %v", r.NamespaceName(), err)
			continue
		}
		for _, tap := range got.Missing {
			e.find(Problem, about, "see whether ovs-vswitchd could make it: ovs-vsctl get Interface "+tap+" error", "tap %s does not exist", tap)
		}
		for _, c := range got.Changed {
			e.find(Problem, about, "ofdvr does that by itself, unless somebody undoes it", "namespace %s is not as it should be; to mend it: %s", r.NamespaceName(), c)
		}
		if len(got.Missing)+len(got.Changed) == 0 {
			right++
		}
		e.kernel(about, r.Router)
	}
	if right > 0 {
		e.find(Fine, "namespaces", "", "of %s have their taps, addresses, MTUs, routes and forwarding", count(right, "router"))
	}
}

// kernel tells what the namespace of r routes in another way than the intent says.
func (e *examination) kernel(about string, r *routing.Router) {
	k, err := e.lifecycle.read(e.intent.Index, r)
	if err != nil {
		e.find(Problem, about, "", "%v", err)
		return
	}
	if addresses, routes, rules := k.Others(r); addresses+routes+rules > 0 {
		e.find(Note, about, fmt.Sprintf("nothing, if that is meant; see ip netns exec %s ip route show table all, and ip rule", r.NamespaceName()),
			"namespace %s has %s, %s and %s of others that come before what the intent says: the kernel routes what they are for",
			r.NamespaceName(), plural(addresses, "address", "addresses"), count(routes, "route"), count(rules, "policy rule"))
	}
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// rest tells of problems that the status knows and that were not found above.
func (e *examination) rest() {
	tell := func(about, problem string) {
		for _, f := range e.findings {
			if f.Level == Problem && strings.Contains(problem, f.Says) {
				return
			}
		}
		e.find(Problem, about, "", "%s", problem)
	}
	for _, p := range e.status.Problems {
		tell("daemon", p)
	}
	for _, r := range e.status.Routers {
		for _, p := range r.Problems {
			tell("router "+r.ID, p)
		}
	}
}
