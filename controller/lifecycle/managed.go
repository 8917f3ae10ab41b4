package lifecycle

import (
	"reflect"
	"time"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// firstPause is the pause between the first two looks at something that changes over and over.
const firstPause = 50 * time.Millisecond

// A managed is a router with a managed bridge, and how far its namespace has come.
type managed struct {
	*routing.Router
	desired   namespace.Desired // with the taps that ovs-vswitchd has made; "" as Name: it has no namespace, or not yet
	connected bool              // its bridge is, and its ports are known
	waits     []string          // problems: taps that its bridge lacks
	memory    *namespace.Memory // of others' routes in it; nil: nothing is known
	passed    bool              // it was looked at since it should be desired
	right     bool              // it was what it should be, since the router wants it
	foreign   bool              // it is that of another instance, or the machine's own

	problems []string // found by the last look

	pace
}

// A pace says when something is looked at: at once when that is due, and after it was told of a
// change at once or, if there was one not long ago, after a pause.
type pace struct {
	due   bool
	told  bool
	pause time.Duration
	until time.Time // the end of pause
	retry time.Time // zero: the last look has left nothing to try again
}

// at returns when to look, zero if there is no reason to.
func (p *pace) at(now time.Time) time.Time {
	switch {
	case p.due:
		return now
	case p.told && p.until.Before(now):
		return now
	case p.told && (p.retry.IsZero() || p.until.Before(p.retry)):
		return p.until
	}
	return p.retry
}

// isDue reports whether it is time to look.
func (p *pace) isDue(now time.Time) bool {
	at := p.at(now)
	return !at.IsZero() && !at.After(now)
}

// looked begins the pause after a look that took a while and ends now. Pauses double up to the longest,
// or what a look takes, and begin again with the shortest after a time without changes.
func (p *pace) looked(now time.Time, took, longest time.Duration) {
	if now.Sub(p.until) > p.pause {
		p.pause = 0
	}
	p.pause = max(min(max(2*p.pause, firstPause), longest), took)
	p.until = now.Add(p.pause)
}

// begin is called before a look.
func (p *pace) begin() { p.due, p.told, p.retry = false, false, time.Time{} }

// again has another look taken after a while, if nothing happens before.
func (p *pace) again(now time.Time) { p.retry = now.Add(retryPause) }

// setRouters takes in other networks and routers.
func (l *Lifecycle) setRouters() {
	old := l.byID
	l.routers, l.byID = nil, make(map[string]*managed, len(old))
	for r := range l.want.Index.Routers("") {
		if !r.Bridge.Managed {
			continue
		}
		m := old[r.ID]
		if m == nil || m.Fallback == routing.FallbackNamespace && m.NamespaceName() != r.NamespaceName() {
			m = &managed{pace: pace{due: true}}
		}
		m.due = m.due || m.Router != r
		m.Router = r
		l.routers, l.byID[r.ID] = append(l.routers, m), m
	}
}

// setDesired finds out what the namespaces of all routers should be by what is known now. Those which
// should be others than before are due.
func (l *Lifecycle) setDesired() {
	l.byTap, l.byName = make(map[string]*managed), make(map[string]*managed)
	for _, m := range l.routers {
		l.setDesiredOf(m)
	}
}

// setDesiredOf is setDesired for one router.
func (l *Lifecycle) setDesiredOf(m *managed) {
	if m.Fallback != routing.FallbackNamespace {
		*m = managed{Router: m.Router, connected: l.known(m.ID)}
		return
	}
	l.byName[m.NamespaceName()] = m
	m.connected, m.waits = l.known(m.ID), nil
	known := l.database.connected && m.connected
	d := l.namespaceOf(l.want.Index, m.Router, func(tap string) bool {
		made := l.made(m.Router, tap)
		if !made && known {
			m.waits = append(m.waits, "tap "+tap+" is not there yet")
		}
		return made
	})
	if b := l.database.rows.bridges[l.cfg.IntegrationBridge]; b != nil {
		d.Kind = namespace.Kind(b.DatapathType)
	}
	for i := range d.Taps {
		l.byTap[d.Taps[i].Name] = m
	}
	if !reflect.DeepEqual(d, m.desired) {
		m.desired, m.passed, m.due = d, false, true
	}
}
