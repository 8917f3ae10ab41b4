package lifecycle

import (
	"context"
	"time"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// work inspects all objects that have changed and, in each audit, all objects.
func (l *Lifecycle) work(ctx context.Context) error {
	timer := time.NewTimer(0) // for the next inspection
	defer timer.Stop()
	var radvd <-chan struct{} // nil means never
	if l.radvd != nil {
		radvd = l.radvd.Changed()
	}
	surveyed := l.cfg.Surveyed                   // nil after it is closed
	audit := time.NewTicker(l.cfg.AuditInterval) // the kernel does not report every change of a setting
	defer audit.Stop()
	for {
		moved := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case in := <-l.wanted:
			if l.want.Index != nil && in.Layout == l.want.Layout && in.Complete == l.want.Complete {
				if !l.wantPorts(in) {
					continue
				}
				l.database.due = true
			} else {
				l.want, l.newIntent = in, true
			}
		case <-surveyed:
		case <-l.db.Changed():
			l.database.notified = true
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
		} else if l.idle != nil {
			l.idle()
		}
	}
}

// auditAll makes all objects due.
func (l *Lifecycle) auditAll() {
	l.auditing = true
	l.database.due, l.advertising.due, l.removing.due = true, true, true
	for _, m := range l.routers {
		m.due = true
	}
}

// changed handles notifications from the kernel. A link in the host's namespace concerns the
// router with a tap of that name.
func (l *Lifecycle) changed(c namespace.Changes) {
	for name, exists := range c.Links {
		if m := l.byTap[name]; m != nil && exists { // ignores deletions: if the link was moved, its new namespace sends a notification too
			m.notified = true
		}
		l.database.notified = l.database.notified || l.database.nameTaken // the link's name may be free now
	}
	for name := range c.Namespaces {
		if m := l.byName[name]; m != nil {
			m.notified = true
		} else { // a namespace that could not be deleted
			l.removing.notified = true
		}
	}
	if c.Added {
		l.removing.notified = true
	}
	l.renamed = l.renamed || len(c.Replaced) > 0
	if c.Lost {
		l.database.notified = true
		for _, m := range l.routers {
			m.notified = true
		}
	}
}

// paces yields the paces of all objects.
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

// anyDue reports whether any object is due.
func (l *Lifecycle) anyDue(now time.Time) bool {
	if l.newIntent || l.renamed {
		return true
	}
	for p := range l.paces {
		if p.isDue(now) {
			return true
		}
	}
	return false
}

// next returns the time of the next inspection, or zero if only an event can cause one.
func (l *Lifecycle) next(now time.Time) (next time.Time) {
	for p := range l.paces {
		if at := p.at(now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
