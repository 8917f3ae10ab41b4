package lifecycle

import (
	"reflect"
	"time"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// firstPause is the pause between the first two inspections of an object that keeps changing.
const firstPause = 50 * time.Millisecond

// A managed is a router with a managed bridge, and the progress of its namespace.
type managed struct {
	*routing.Router
	desired   namespace.Desired // with the taps that ovs-vswitchd has made; Name is "" while the router has no namespace
	connected bool              // the router's bridge is connected, and the ports of the bridge are known
	waits     []string          // problems about taps that its bridge lacks
	memory    *namespace.Memory // other programs' routes in the namespace; nil if not known
	passed    bool              // inspected since the last change of desired
	right     bool              // the namespace has matched desired since that change
	foreign   bool              // the namespace belongs to another instance, or to the machine itself

	problems []string // problems found by the last inspection

	pace
}

// A pace schedules the inspections of one object. A due object is inspected at once. After
// notification of a change, an object is inspected at once too, unless its last inspection was
// recent. Then it is inspected after a pause.
type pace struct {
	due      bool
	notified bool
	pause    time.Duration
	until    time.Time // the end of pause
	retry    time.Time // time of the next attempt; zero if the last one succeeded
}

// at returns the time of the next inspection, or zero if no inspection is needed.
func (p *pace) at(now time.Time) time.Time {
	switch {
	case p.due:
		return now
	case p.notified && p.until.Before(now):
		return now
	case p.notified && (p.retry.IsZero() || p.until.Before(p.retry)):
		return p.until
	}
	return p.retry
}

// isDue reports whether it is time to inspect.
func (p *pace) isDue(now time.Time) bool {
	at := p.at(now)
	return !at.IsZero() && !at.After(now)
}

// inspected begins the pause after an inspection that took the given time and ends now. Each pause
// is twice as long as the previous pause. The maximum is the larger of longest and the duration of
// an inspection. After a time without changes, pauses start from firstPause again.
func (p *pace) inspected(now time.Time, took, longest time.Duration) {
	if now.Sub(p.until) > p.pause {
		p.pause = 0
	}
	p.pause = max(min(max(2*p.pause, firstPause), longest), took)
	p.until = now.Add(p.pause)
}

// rest begins the pause after an inspection that took the given time and ends now. The pause is so
// long that inspections take at most a fifth of the time. The maximum is the larger of longest and
// the duration of the inspection.
func (p *pace) rest(now time.Time, took, longest time.Duration) {
	p.pause = max(min(4*took, longest), took)
	p.until = now.Add(p.pause)
}

// begin is called before an inspection.
func (p *pace) begin() { p.due, p.notified, p.retry = false, false, time.Time{} }

// again schedules another inspection after retryPause.
func (p *pace) again(now time.Time) { p.retry = now.Add(retryPause) }

// setRouters updates the routers from the intent.
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

// setDesired computes the desired namespaces of all routers. Changed namespaces become due.
func (l *Lifecycle) setDesired() {
	l.byTap, l.byName = make(map[string]*managed), make(map[string]*managed)
	for _, m := range l.routers {
		l.setDesiredOf(m)
	}
}

// setDesiredOf computes the desired namespace of one router.
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
