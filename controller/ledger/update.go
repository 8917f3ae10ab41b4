package ledger

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/routing"
)

// Adopt replaces the last of [Config.Sources] by store, and makes writes go to it.
func (l *Ledger) Adopt(ctx context.Context, store Store) error {
	return l.notify(ctx, notice{adopt: store})
}

// handle handles a notice. It returns an error if the update of a declared source is refused,
// or if a store cannot be adopted.
func (l *Ledger) handle(ctx context.Context, t *notice) error {
	switch {
	case t.adopt != nil:
		return l.adopt(ctx, t.adopt)
	case l.sources[t.at] != t.source: // the source has been replaced
	case t.all != nil:
		l.replace(ctx, t.at, t.all)
	case t.update.Err != nil:
		l.failed(t.at, t.update.Err)
	default:
		l.update(ctx, t.at, t.update)
	}
	return nil
}

// failed records the reason why the latest version of source i is unknown or not used.
func (l *Ledger) failed(i int, err error) {
	s := *l.Intent()
	src := *s.Sources[i]
	if src.Role == Declared {
		l.log.Error("topology rejected, the previous one stays in use", zap.String("file", src.Name), zap.Error(err))
	} else {
		l.log.Error("could not read the changes of the store, using the objects read before", zap.String("store", src.Name), zap.Error(err))
	}
	src.Err = err
	s.Sources = slices.Clone(s.Sources)
	s.Sources[i] = &src
	l.publish(&group{intent: &s})
}

// update applies a change of source i. The time is proportional to the size of the change, not to
// the number of all objects.
func (l *Ledger) update(ctx context.Context, i int, u *Update) {
	now := l.Intent()
	g := group{intent: now, began: time.Now(), part: u.Part}
	c := u.Change
	declared := now.Sources[i].Role == Declared
	if declared {
		if err := now.Index.Check(routing.Change{Put: c.Put, Delete: now.vanishing(c.Delete)}); err != nil {
			l.failed(i, err)
			return
		}
	}
	p := newPass(now)
	p.change(i, &c, u.Unusable)
	p.run()
	next, d := p.finish(), p.difference()
	src := *next.Sources[i]
	src.Revision, src.Loaded, src.Warnings, src.whole = max(src.Revision, u.Revision), u.Loaded, u.Warnings, u.Complete
	src.Span, src.Loading = u.Span, u.Loading
	if declared { // a declared source with mistakes was refused before, so this version has none
		src.Partial, src.strays = false, nil
	}
	if !src.Partial {
		src.Err = readOnly(l.sources[i])
	}
	next.Sources[i] = &src
	next.settle()
	revision, spanned := now.Revision, !now.Span().Equal(next.Span())
	switch {
	case declared, u.Part, spanned:
		revision = max(revision+1, u.Revision)
	case d.Len() > 0:
		revision = max(revision+1, u.Revision)
	case p.quiet() && same(alike(now.Sources[i]), alike(&src)):
		l.intent.Store(next) // the change is a commit of this host
		return
	}
	g.advance(next, d, revision)
	if spanned {
		next.Layout = revision
	}
	l.logQuarantined(p.quarantined())
	if declared {
		l.noteDeclared(ctx, &g, p)
	}
	l.publish(&g)
}

// alike returns s without revision and time, for comparison.
func alike(s *SourceState) *SourceState {
	t := *s
	t.Revision, t.Loaded = 0, time.Time{}
	return &t
}

// replace makes c the contents of source i. It is needed when changes were missed.
func (l *Ledger) replace(ctx context.Context, i int, c *Contents) {
	if c.Err != nil {
		l.failed(i, c.Err)
		return
	}
	l.exchange(ctx, l.Intent(), i, c)
}

// adopt makes the store the last source, and the target of writes.
func (l *Ledger) adopt(ctx context.Context, store Store) error {
	c, err := store.Load(ctx)
	if err != nil {
		return err
	}
	base := *l.Intent()
	i := len(base.Sources) - 1
	l.sources[i], l.store = store, store
	base.writes = i
	l.logQuarantined(l.exchange(ctx, &base, i, &c).quarantined())
	return nil
}

// exchange makes c the contents of source i of base. The time is proportional to the number of all
// objects.
func (l *Ledger) exchange(ctx context.Context, base *Intent, i int, c *Contents) *pass {
	p := newPass(base)
	change := base.changes(i, c.Model)
	p.change(i, &change, c.Unusable)
	p.run()
	next, d := p.finish(), p.difference()
	src, counted := read(l.sources[i], c), next.Sources[i]
	src.Hosts, src.Networks, src.Routers, src.Ports = counted.Hosts, counted.Networks, counted.Routers, counted.Ports
	next.Sources[i] = src
	next.settle()
	revision := c.Revision
	if next.File() != nil {
		revision++
	}
	least := base.Revision
	if d.Len() > 0 {
		least++
	}
	g := group{intent: base}
	g.advance(next, d, max(revision, least))
	next.Layout = next.Revision
	if next.File() != nil {
		l.noteDeclared(ctx, &g, p)
	}
	l.publish(&g)
	return p
}

// noteDeclared commits the new revision to the host's own store, and deletes the store's
// copies of objects of a declared source. Until the commit is durable the copies are shadowed.
func (l *Ledger) noteDeclared(ctx context.Context, g *group, p *pass) {
	s := g.intent
	if own := s.Store(); own == nil || own.Role != Own || l.store.ReadOnly() != nil {
		return
	}
	copies := routing.Change{Delete: p.copies()}
	without := newPass(s)
	without.change(s.writes, &copies, nil)
	after := group{intent: without.finish()}
	if copies.Len() > 0 {
		after.changes = []routing.Change{copies}
	}
	if err := l.save(ctx, &after); err != nil {
		l.log.Warn("could not record in the store that the file was read", zap.Error(err))
		return
	}
	g.intent = after.intent
}

// copies returns the objects of p that a declared source owns and that the store also has.
func (p *pass) copies() (ids routing.IDs) {
	for _, o := range p.seen {
		f := p.fate[o]
		if !f.used || p.s.Sources[f.now[0].source].Role != Declared {
			continue
		}
		if _, has := f.at(p.s.writes); has {
			ids.Add(o.Kind, o.ID)
		}
	}
	return ids
}

// quarantined returns the objects that p has newly quarantined.
func (p *pass) quarantined() (out []Quarantined) {
	for _, o := range p.seen {
		if f := p.fate[o]; len(f.now) > 0 && !f.used && (len(f.before) == 0 || f.before[0].used) {
			out = append(out, Quarantined{o, p.s.Sources[f.now[0].source].Name, f.now[0].err})
		}
	}
	return out
}

// quiet reports whether p has changed nothing outside of the Index.
func (p *pass) quiet() bool {
	for _, o := range p.seen {
		f := p.fate[o]
		if len(f.now) != 1 || len(f.before) != 1 || !f.used || !f.before[0].used || f.now[0].source != f.before[0].source {
			return false
		}
	}
	return true
}

func (l *Ledger) logQuarantined(all []Quarantined) {
	for i, q := range all {
		if i == maxLogged {
			l.log.Error("quarantined more objects", zap.Int("objects", len(all)-i))
			break
		}
		l.log.Error("quarantined an object, everything else is used", zap.Error(q))
	}
}
