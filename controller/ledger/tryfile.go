package ledger

import (
	"errors"
	"maps"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// [Ledger.TryFile] returns ErrNoFile if the daemon has no topology file.
var ErrNoFile = errors.New("the daemon has no topology file (serve --topology)")

// TryFile returns the effect of replacing the objects of the topology file by the objects of
// m. It changes nothing. The error is [ErrNoFile], or a join of [*routing.PathError]s if the
// daemon would refuse such a file.
func (l *Ledger) TryFile(m routing.Model) (before *Intent, r Result, err error) {
	before = l.Intent()
	r.Intent = before
	i := slices.IndexFunc(before.Sources, func(s *SourceState) bool { return s.Role == Declared })
	if i < 0 {
		return before, r, ErrNoFile
	}
	c := before.changes(i, &m)
	if err := before.Index.Check(routing.Change{Put: m, Delete: before.vanishing(c.Delete)}); err != nil {
		return before, r, err
	}
	p := newPass(before)
	p.change(i, &c, nil)
	p.run()
	next := p.finish()
	src := *next.Sources[i]
	src.Partial, src.strays, src.Err, src.whole = false, nil, nil, m.Len() > 0
	next.Sources[i] = &src
	next.settle()
	g := group{intent: before}
	events, touched := g.advance(next, p.difference(), before.Revision+1)
	for _, e := range events {
		r.Objects = append(r.Objects, Outcome{e.Object, e.Op})
	}
	r.Objects = append(r.Objects, unchanged(routing.Change{Put: m}, r.Objects)...)
	r.Touched, r.Intent = slices.Sorted(maps.Keys(touched)), next
	return before, r, nil
}
