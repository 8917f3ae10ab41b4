// Package doctor examines the whole installation and reports faults with their remedies. It
// examines the intent, Open vSwitch and its database, the bridges with their flows, groups and
// meters, the namespaces, and the packet counters. It reads everything again instead of relying on
// the daemon's state. It changes nothing.
//
// A check is a method of examination that calls find. [Examine] calls the checks in their order.
package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A Finding is a result of an examination.
type Finding struct {
	Level  Level
	About  string // such as Open vSwitch, or router r1
	Says   string
	Remedy string // action for the operator; "" if nothing is needed
}

// Level is the severity of a finding.
type Level uint8

// The levels.
const (
	Fine    Level = iota // no fault
	Note                 // not a fault, but information for the operator
	Warning              // a possible fault
	Problem              // a fault
)

func (l Level) String() string { return [...]string{"ok", "note", "warning", "problem"}[l] }

// A Host is the subject of an examination: the state of the daemon, and its access to the
// rest of the host.
type Host struct {
	Intent      lifecycle.Intent
	Leads       bool     // this daemon leads, and no other daemon
	Quarantined []string // objects that are not used, and the consequence
	NewStore    string   // the problem that the store is new but objects exist on the host; else ""
	Sources     []Source // of the intent
	Known       []Known  // problems that the status names

	Routers   []Router             // includes the fabric bridge, as a router without interfaces
	Lifecycle *lifecycle.Lifecycle // nil if all bridges are external
	OVSDB     string               // endpoint of the database
	Bridge    string               // the integration bridge
	Budget    *ofconn.Budget       // memory for reports of flows and ports that are not in the intent
	Counters  func(context.Context) (counters.Snapshot, error)
	Machines  func(context.Context) (*machines.Evidence, error)
	Limits    func() []Limit // recently reached limits

	Self       string // the ID of this host
	Peers      []Peer // other hosts with tunnels; nil without a fabric bridge
	Probe      func(context.Context) (map[string]Probes, error)
	LargestMTU int // largest MTU of the networks between hosts
}

// A Source has a part of the intent.
type Source struct {
	Name     string
	Partial  bool // a part could not be read
	Mistakes []string
	Warnings []string
}

// A Known problem is in the status.
type Known struct{ About, Says string }

// A Limit is a limit that was reached recently. A request or connection was refused or ended, or a
// part was left out.
type Limit struct{ Says, Remedy string }

// A Router is the daemon's state of a router's bridge.
type Router struct {
	*routing.Router
	Conn    *ofconn.Conn // nil if its bridge is not connected; then the fields below are not set
	Switch  string       // the name of the bridge
	Program compile.Program
	State   reconcile.State
	Can     compile.Capabilities
	Probed  bool                      // Can is the result of a probe, not an assumption
	Keep    func(ofproto.Cookie) bool // selects flows that are not deleted for now; nil selects none
}

// Examine examines the host.
func Examine(ctx context.Context, h Host) ([]Finding, error) {
	e := &examination{Host: h}
	e.daemon()
	if e.Leads {
		e.database(ctx)
	}
	if err := e.switches(ctx); err != nil {
		return nil, err
	}
	if e.Leads {
		if err := e.machines(ctx); err != nil {
			return nil, err
		}
		if err := e.hosts(ctx); err != nil {
			return nil, err
		}
		e.namespaces(ctx)
		e.neighbourTables()
	}
	for _, l := range e.Limits() { // includes limits that the checks above have reached
		e.find(Note, "limits", l.Remedy, "%s", l.Says)
	}
	e.rest()
	return e.findings, nil
}

// An examination is the state of a running call of Examine.
type examination struct {
	Host
	findings []Finding
}

func (e *examination) find(l Level, about, remedy, format string, args ...any) {
	e.findings = append(e.findings, Finding{l, about, fmt.Sprintf(format, args...), remedy})
}

// daemon checks the state of the daemon and of the intent.
func (e *examination) daemon() {
	networks, routers, ports := e.Intent.Index.Len()
	if e.Leads {
		e.find(Fine, "daemon", "", "leads, with %s, %s and %s", count(networks, "network"), count(routers, "router"), count(ports, "port"))
	} else {
		e.find(Note, "daemon", "", "stands by: another daemon leads, and maintains OVSDB and namespaces; run ofdvr doctor with the API of that daemon too")
	}
	for _, q := range e.Quarantined {
		e.find(Problem, "intent", "correct the object, or delete it", "%s", q)
	}
	if e.NewStore != "" {
		e.find(Problem, "intent", "write all objects that you want (from a backup: ofdvr apply --all -f FILE), and then run ofdvr complete", "%s", e.NewStore)
	}
	for _, s := range e.Sources {
		for _, m := range s.Mistakes {
			if s.Partial {
				e.find(Problem, s.Name, "correct the mistake; until then all other objects are used, and nothing is removed", "could not be read: %s", m)
				continue
			}
			e.find(Problem, s.Name, "correct the mistake; until then the previous version is used", "%s", m)
		}
		for _, w := range s.Warnings {
			e.find(Note, s.Name, "", "%s", w)
		}
	}
}

// rest reports the problems of the status that the other checks have not found.
func (e *examination) rest() {
known:
	for _, k := range e.Known {
		for _, f := range e.findings {
			if f.Level == Problem && strings.Contains(k.Says, f.Says) {
				continue known
			}
		}
		e.find(Problem, k.About, "", "%s", k.Says)
	}
}

// count returns a number with a noun, in the singular or plural.
func count(n int, what string) string {
	return plural(n, what, what+"s")
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
