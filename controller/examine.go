package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
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
	e, err := ask(ctx, c, func(w *world) *examination {
		e := &examination{Controller: c, intent: w.intent, lead: !c.standsBy(w), status: c.status(w)}
		for _, st := range w.sorted() {
			e.routers = append(e.routers, examined{st.router, st.session, st.program, st.report.State, c.keeps(w, st)})
		}
		return e
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
	for _, l := range c.limits.lately(time.Now()) { // also those that counters have just told of
		e.find(Note, "limits", l.Remedy, "%v", l)
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
	program compile.Program
	state   reconcile.State
	keep    func(ofproto.Cookie) bool // selects flows that are not deleted for now; nil: none
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
		e.find(Problem, "intent", "put everything that should be there (from a backup: ofdvr apply --all -f FILE), and then: ofdvr complete", newStore)
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
