package lifecycle

import (
	"context"
	"time"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// work looks at whatever has changed, and at everything in each audit.
func (l *Lifecycle) work(ctx context.Context) error {
	timer := time.NewTimer(0) // the next look that is due
	defer timer.Stop()
	var radvd <-chan struct{} // nil: never
	if l.radvd != nil {
		radvd = l.radvd.Changed()
	}
	surveyed := l.cfg.Surveyed                   // nil after it was seen to be closed
	audit := time.NewTicker(l.cfg.AuditInterval) // the kernel does not tell of each setting that changes
	defer audit.Stop()
	for {
		moved := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case l.want = <-l.wanted:
			l.relaid = true
		case <-surveyed:
		case <-l.db.Changed():
			l.database.told = true
		case <-l.links.Changed():
			l.changed(l.links.Take())
		case <-radvd:
			l.advertising.due = true
		case <-l.wake:
			moved = true
		case <-timer.C:
		case <-audit.C:
			l.auditAll()
		}
		if l.want.Index == nil {
			continue
		}
		select {
		case <-surveyed:
			surveyed, l.database.due = nil, true
		default:
		}
		if moved || l.anyDue(time.Now()) {
			p := pass{Lifecycle: l, surveyed: surveyed == nil, audits: l.auditing}
			p.run(ctx)
			l.activity.begin("")
			l.cfg.Report(l.report())
		}
		timer.Stop()
		if next := l.next(time.Now()); !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		} else if l.rests != nil {
			l.rests()
		}
	}
}

// auditAll has everything looked at.
func (l *Lifecycle) auditAll() {
	l.auditing = true
	l.database.due, l.advertising.due, l.removing.due = true, true, true
	for _, m := range l.routers {
		m.due = true
	}
}

// changed takes in what the kernel has told. A link outside concerns the router whose tap has that name.
func (l *Lifecycle) changed(c namespace.Changes) {
	for name, exists := range c.Links {
		if m := l.byTap[name]; m != nil && exists { // one that is no more was moved, or tells of that where it was
			m.told = true
		}
		l.database.told = l.database.told || l.database.nameTaken // perhaps it is free now
	}
	for name := range c.Namespaces {
		if m := l.byName[name]; m != nil {
			m.told = true
		} else { // one that was kept
			l.removing.told = true
		}
	}
	if c.Added {
		l.removing.told = true
	}
	l.renamed = l.renamed || len(c.Replaced) > 0
	if c.Lost {
		l.database.told = true
		for _, m := range l.routers {
			m.told = true
		}
	}
}

// paces yields everything that is looked at.
func (l *Lifecycle) paces(yield func(*pace) bool) {
	for _, p := range []*pace{&l.database.pace, &l.advertising.pace, &l.removing.pace} {
		if !yield(p) {
			return
		}
	}
	for _, m := range l.routers {
		if m.Fallback == routing.FallbackNamespace && !l.database.pending && !yield(&m.pace) {
			return
		}
	}
}

// anyDue reports whether there is something to do now.
func (l *Lifecycle) anyDue(now time.Time) bool {
	if l.relaid || l.renamed {
		return true
	}
	for p := range l.paces {
		if p.isDue(now) {
			return true
		}
	}
	return false
}

// next returns when something is to be done, zero if nothing is before something happens.
func (l *Lifecycle) next(now time.Time) (next time.Time) {
	for p := range l.paces {
		if at := p.at(now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
