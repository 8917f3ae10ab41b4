package controller

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/routing"
)

// A Status is the state of the controller. ofdvr status and the API show it.
type Status struct {
	Settled  bool           `json:"settled"` // the switches have confirmed everything, and this host has no problems
	Standby  bool           `json:"standby"` // another daemon leads; this one changes nothing
	Problems []string       `json:"problems,omitempty"`
	Warnings []string       `json:"warnings,omitempty"` // networks that do not fit through this host's links to other hosts
	Limits   []LimitStatus  `json:"limits,omitempty"`   // limits reached in the last 5 minutes; these are not problems of routers
	Intent   IntentStatus   `json:"intent"`
	OVSDB    *OVSDBStatus   `json:"ovsdb,omitempty"`  // absent if OVSDB is not configured
	Fabric   *RouterStatus  `json:"fabric,omitempty"` // the fabric bridge; nil if the host has none
	Hosts    []HostStatus   `json:"hosts,omitempty"`  // sorted by ID; absent if the intent has no hosts
	Routers  []RouterStatus `json:"routers"`          // sorted by ID
}

// An IntentStatus describes the intent.
type IntentStatus struct {
	Revision uint64 `json:"revision"`
	// Hash is the same for equal intents, whatever the revision, the order of objects
	// and the host. The API computes it from Source.
	Hash     string         `json:"hash,omitempty"`
	Source   *ledger.Intent `json:"-"`
	Complete bool           `json:"complete"` // all sources were read, so objects that are not in the intent are removed
	Networks int            `json:"networks"`
	Routers  int            `json:"routers"`
	Ports    int            `json:"ports"`
	Hosts    int            `json:"hosts,omitempty"`
	// Quarantined are the objects that are left out because they cannot be used; each is also
	// a problem.
	Quarantined []QuarantinedStatus `json:"quarantined,omitempty"`
	File        *SourceStatus       `json:"file,omitempty"`  // absent if not configured
	Store       *SourceStatus       `json:"store,omitempty"` // absent if not configured
}

// A QuarantinedStatus describes an object that cannot be used.
type QuarantinedStatus struct {
	Kind   string `json:"kind"`
	ID     string `json:"id,omitempty"` // absent if it cannot be read
	Source string `json:"source"`       // name of the file or store
	Reason string `json:"reason"`
}

// A SourceStatus describes a source of the intent: the topology file, or the
// store that is written through the API.
type SourceStatus struct {
	Name     string    `json:"name"`
	Loaded   time.Time `json:"loaded"` // when it was last read
	Networks int       `json:"networks"`
	Routers  int       `json:"routers"`
	Ports    int       `json:"ports"`
	Hosts    int       `json:"hosts,omitempty"`
	Changed  bool      `json:"changed,omitempty"` // the file has changed since, and is about to be read
	Partial  bool      `json:"partial,omitempty"` // a part of the source could not be read at the start, so nothing is removed
	Warnings []string  `json:"warnings,omitempty"`
	// Mistakes are the reasons why the file's latest version is not in use, or why the store
	// cannot be read or written. Each is also a problem.
	Mistakes []string `json:"mistakes,omitempty"`
}

// An OVSDBStatus describes the connection to ovsdb-server.
type OVSDBStatus struct {
	Endpoint  string `json:"endpoint"`
	Connected bool   `json:"connected"`
}

// A RouterStatus describes one router.
type RouterStatus struct {
	ID             string    `json:"id"`
	Name           string    `json:"name,omitempty"`
	Bridge         string    `json:"bridge"`
	Managed        bool      `json:"managed"`
	DatapathID     string    `json:"datapath_id,omitempty"` // of the connected bridge
	Connected      bool      `json:"connected"`
	Since          time.Time `json:"since,omitzero"`         // time of the last connect or disconnect
	State          string    `json:"state"`                  // disconnected, or the reconciler's state
	Can            []string  `json:"capabilities,omitempty"` // known capabilities of the switch; the kernel handles packets that need others
	FlowsWanted    int       `json:"flows_wanted"`
	FlowsInstalled int       `json:"flows_installed"` // number of desired flows that the switch has confirmed
	FlowsRefused   int       `json:"flows_refused"`   // changes that the switch refuses; each is also a problem
	FlowsForeign   int       `json:"flows_foreign"`   // flows, groups and meters of others, which stay unchanged
	Settled        bool      `json:"settled"`
	Problems       []string  `json:"problems,omitempty"`
}

// Status returns the current state.
func (c *Controller) Status(ctx context.Context) (Status, error) {
	current := c.cfg.Current == nil || c.cfg.Current() // asked first, so that the world knows the version that was current
	s, err := ask(ctx, c, c.status)
	if err != nil {
		return Status{}, fmt.Errorf("read the status: %w", err)
	}
	if !current && s.Intent.File != nil {
		s.Settled, s.Intent.File.Changed = false, true
	}
	problems, warnings := c.underlay.faults(s.Intent.Source.Index, c.cfg.Host)
	s.Problems, s.Warnings = append(s.Problems, problems...), warnings
	return s, nil
}

// StatusOf returns the status of an intent.
func StatusOf(in *ledger.Intent) IntentStatus {
	s := IntentStatus{Revision: in.Revision, Source: in, Complete: in.Complete, File: sourceStatus(in.File()), Store: sourceStatus(in.Store())}
	s.Networks, s.Routers, s.Ports = in.Index.Len()
	s.Hosts = in.Index.NumHosts()
	for _, q := range in.Quarantined() {
		s.Quarantined = append(s.Quarantined, QuarantinedStatus{q.Object.Kind.String(), q.Object.ID, q.Source, q.Err.Error()})
	}
	return s
}

func (c *Controller) status(w *world) Status {
	in := w.intent
	s := Status{
		Intent:  StatusOf(in),
		Standby: c.standsBy(w),
		Limits:  c.limits.recent(time.Now()),
		Routers: []RouterStatus{},
	}
	switch f := in.File(); {
	case f == nil || f.Err == nil:
	case f.Partial:
		s.Problems = append(s.Problems, fmt.Sprintf("the topology file could not be read at the start, so nothing is removed: %v", f.Err))
	default:
		s.Problems = append(s.Problems, "the latest topology was rejected: "+f.Err.Error())
	}
	switch st := in.Store(); {
	case st == nil || st.Err == nil:
	case st.Role == ledger.Shared && st.Partial:
		s.Problems = append(s.Problems, fmt.Sprintf("the shared intent could not be read at the start, so nothing is removed: %v", st.Err))
	case st.Role == ledger.Shared:
		s.Problems = append(s.Problems, fmt.Sprintf("%v; this host goes on with the intent that it read before", st.Err))
	case st.Partial:
		s.Problems = append(s.Problems, fmt.Sprintf("the store could not be read, so nothing is removed or written: %v", st.Err))
	default:
		s.Problems = append(s.Problems, fmt.Sprintf("%s cannot be written to: %v", st.Name, st.Err))
	}
	s.Problems = append(s.Problems, quarantineProblems(in.Quarantined())...)
	for _, b := range sortedBridges(c.external.retired) {
		s.Problems = append(s.Problems, c.retirementProblem(b))
	}
	if !in.Whole {
		s.Problems = append(s.Problems, newStore+"; put all objects again, then run ofdvr complete")
	}
	if c.lifecycle != nil {
		s.OVSDB = &OVSDBStatus{Endpoint: c.cfg.OVSDB, Connected: w.lifecycle.Connected}
		s.Problems = append(s.Problems, w.lifecycle.Problems[""]...)
		if stuck := c.Stuck(); stuck != "" {
			s.Problems = append(s.Problems, stuck)
		}
	}
	s.Settled = w.lead && len(s.Problems) == 0 && (c.lifecycle == nil || c.lifecycleComplete(w) && w.lifecycle.Settled)
	between := c.hostProblems(w) // problems between hosts, in spite of which this host can be ready
	s.Hosts = c.hostStatus(w, between)
	for _, p := range between {
		s.Problems = append(s.Problems, p.text)
	}
	if w.fabric != nil {
		f := c.routerStatus(w, w.fabric)
		s.Fabric, s.Settled = &f, s.Settled && f.Settled
	}
	for _, st := range w.sorted() {
		r := c.routerStatus(w, st)
		s.Settled = s.Settled && r.Settled
		s.Routers = append(s.Routers, r)
	}
	return s
}

// maxQuarantineProblems is the maximum number of quarantined objects with a problem of their
// own.
const maxQuarantineProblems = 100

// quarantineProblems returns the problems of quarantined objects, and their consequence.
func quarantineProblems(all []ledger.Quarantined) (problems []string) {
	held := false
	for i, q := range all {
		held = held || q.Object.Kind != routing.KindPort || q.Object.ID == ""
		if i < maxQuarantineProblems {
			problems = append(problems, q.Error())
		}
	}
	if more := len(all) - maxQuarantineProblems; more > 0 {
		problems = append(problems, fmt.Sprintf("%d more objects are not used", more))
	}
	if held {
		problems = append(problems, "a host, network or router is quarantined: nothing is removed from the switch until this is corrected")
	}
	return problems
}

// newStore is the problem of a store that lacks objects which exist on the switch.
const newStore = "the store is new, but ofdvr has made something here before: nothing that exists is removed"

func sourceStatus(s *ledger.SourceState) *SourceStatus {
	if s == nil {
		return nil
	}
	out := &SourceStatus{Name: s.Name, Loaded: s.Loaded, Networks: s.Networks, Routers: s.Routers, Ports: s.Ports, Hosts: s.Hosts, Partial: s.Partial, Warnings: s.Warnings}
	switch err := s.Err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, e := range err.Unwrap() {
			out.Mistakes = append(out.Mistakes, e.Error())
		}
	default:
		out.Mistakes = []string{err.Error()}
	}
	return out
}

func (c *Controller) routerStatus(w *world, st *routerState) RouterStatus {
	r := RouterStatus{
		ID:             st.router.ID,
		Name:           nameOf(st.router),
		Bridge:         st.router.BridgeName(),
		Managed:        st.router.Bridge.Managed,
		Connected:      st.session != nil,
		Since:          st.since,
		FlowsWanted:    st.program.Flows.Len(),
		FlowsInstalled: st.report.Installed,
		FlowsRefused:   len(st.report.Refused),
		FlowsForeign:   st.report.Foreign,
		State:          disconnected,
		Problems:       slices.Clone(w.lifecycle.Problems[st.router.ID]), // more are appended
	}
	if st.session == nil {
		if why := w.lifecycle.NotMade[st.router.ID]; why != "" {
			r.Problems = append(r.Problems, why)
		} else if !r.Managed || c.lifecycle == nil || len(r.Problems) == 0 { // a problem of the lifecycle already explains the missing connection of a managed bridge
			r.Problems = append(r.Problems, c.notConnected(st.router))
		}
		if why := c.unadmitted.Load().recent(); why != "" {
			r.Problems = append(r.Problems, "a connection from this machine was refused in the last minute, perhaps that of bridge "+r.Bridge+": "+why)
		}
	} else {
		if st.session.probed {
			r.Can = st.session.can.Names()
		}
		r.Bridge, r.DatapathID, r.State = st.session.bridge, st.session.dpid.String(), st.report.State.String()
		for _, name := range st.program.Missing {
			r.Problems = append(r.Problems, fmt.Sprintf("bridge %s has no port %s yet", r.Bridge, name))
		}
	}
	if st.session != nil {
		r.Problems = append(r.Problems, st.session.blocked...)
	}
	for _, text := range []string{st.claimed(), st.jumpedRecently()} {
		if text != "" {
			r.Problems = append(r.Problems, text)
		}
	}
	if st.report.Unread != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("the flows of bridge %s cannot be read, so nothing is changed: %v; see the log of ovs-vswitchd; ofdvr will retry", r.Bridge, st.report.Unread))
	}
	if st.report.Demoted {
		r.Problems = append(r.Problems, fmt.Sprintf("another controller has become the master of bridge %s: "+
			"ovs-vsctl list controller shows them; ofdvr asks to be master again periodically", r.Bridge))
	}
	for _, e := range st.report.Refused {
		r.Problems = append(r.Problems, describer(st.program)(e.Mod)+": "+e.Err.Error())
	}
	settled := st.report.State == reconcile.Settled || st.report.State == reconcile.Degraded
	confirmed := settled && !st.awaits && st.report.Generation == st.gen && !w.dirty[st.router.ID]
	r.Settled = confirmed && len(r.Problems) == 0 && (!r.Managed || c.lifecycleComplete(w))
	return r
}

// nameOf returns the name of a router, or "" if it has none.
func nameOf(r *routing.Router) string {
	if r.Meta == nil {
		return ""
	}
	return r.Meta.Name
}

// lifecycleComplete reports whether OVSDB and the namespaces match the layout of the current
// intent, apart from reported problems.
func (c *Controller) lifecycleComplete(w *world) bool {
	return w.lifecycle.Complete && w.lifecycle.Layout == w.intent.Layout
}

// notConnected returns the problem of a bridge that is not connected, with the remedy.
func (c *Controller) notConnected(r *routing.Router) string {
	name := r.BridgeName()
	if r.Bridge.Managed {
		if c.lifecycle == nil {
			return "the bridge is managed, but no OVSDB is configured: start with --ovsdb, or set managed: false"
		}
		return fmt.Sprintf("bridge %s is not connected", name)
	}
	return fmt.Sprintf("bridge %s is not connected: ovs-vsctl set-controller %s %s", name, name, c.target())
}

// disconnected is the state of a router while its bridge is not connected.
const disconnected = "disconnected"

// RouterStates returns all values of [RouterStatus.State].
func RouterStates() []string { return append([]string{disconnected}, reconcile.States()...) }
