package ledger

import (
	"fmt"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// finish returns the intent after the pass. The result still has the old revision.
func (p *pass) finish() *Intent {
	next := *p.s
	next.Index = p.x
	next.Sources = slices.Clone(p.s.Sources)
	e := edits{home: p.s.home, counts: make([]SourceState, len(next.Sources))}
	for _, o := range p.seen {
		f := p.fate[o]
		for i := range f.now {
			v := &f.now[i]
			v.used, v.shadow = i == 0 && f.used, i > 0
			if (v.used || v.shadow) && v.thing != nil {
				v.err, v.waits = nil, nil
			}
		}
		stays := f.used && f.was() != nil && f.before[0].source == f.now[0].source
		e.leave(f.before, stays)
		e.come(f.now, stays)
	}
	next.versions = e.apply(p.s.versions)
	for i, n := range e.counts {
		if n.Hosts != 0 || n.Networks != 0 || n.Routers != 0 || n.Ports != 0 {
			src := *next.Sources[i]
			src.Hosts += n.Hosts
			src.Networks, src.Routers, src.Ports = src.Networks+n.Networks, src.Routers+n.Routers, src.Ports+n.Ports
			next.Sources[i] = &src
		}
	}
	next.settle()
	return &next
}

// edits collects the changes of the version sets. An object stays if it is used before and after
// the pass, with the same owner.
type edits struct {
	home             int // see [Intent]
	counts           []SourceState
	gone, set        []*version
	disowned, owned  []owned
	waitsOver, waits []wait
	holes            int
}

// leave removes the versions that an object had before the pass.
func (e *edits) leave(all []version, stays bool) {
	for i := range all {
		v := &all[i]
		e.count(v, -1)
		switch {
		case !v.used:
			e.gone = append(e.gone, v)
		case v.source != e.home && !stays:
			e.disowned = append(e.disowned, owned{v.Object, v.source})
		}
		for _, on := range v.waits {
			e.waitsOver = append(e.waitsOver, wait{on, v.Object})
		}
	}
}

// come adds the versions that an object has after the pass.
func (e *edits) come(all []version, stays bool) {
	for i := range all {
		v := &all[i]
		e.count(v, 1)
		switch {
		case !v.used:
			kept := *v
			kept.thing = alone(v.thing)
			e.set = append(e.set, &kept)
		case v.source != e.home && !stays:
			e.owned = append(e.owned, owned{v.Object, v.source})
		}
		for _, on := range v.waits {
			e.waits = append(e.waits, wait{on, v.Object})
		}
	}
}

func (e *edits) count(v *version, n int) {
	if !v.used && !v.shadow && v.Kind != routing.KindPort {
		e.holes += n
	}
	if v.thing == nil {
		return
	}
	switch src := &e.counts[v.source]; v.Kind {
	case routing.KindHost:
		src.Hosts += n
	case routing.KindNetwork:
		src.Networks += n
	case routing.KindRouter:
		src.Routers += n
	default:
		src.Ports += n
	}
}

func (e *edits) apply(v versions) versions {
	return versions{
		aside:  v.aside.Without(e.gone...).With(e.set...),
		owners: v.owners.Without(e.disowned...).With(e.owned...),
		waits:  v.waits.Without(e.waitsOver...).With(e.waits...),
		holes:  v.holes + e.holes,
	}
}

// difference returns the change of the Index by the pass.
func (p *pass) difference() routing.Change {
	var c routing.Change
	for _, o := range p.seen {
		if f := p.fate[o]; f.used {
			put(&c.Put, f.now[0].thing)
		} else if f.was() != nil {
			c.Delete.Add(o.Kind, o.ID)
		}
	}
	return p.s.Index.Differs(c)
}

// load adds the contents of source i to an empty intent. It returns the objects without an ID
// or with the ID of another object.
func (p *pass) load(i int, name string, c *Contents) (strays []Quarantined) {
	for o, t := range things(c.Model) {
		if f := p.fate[o]; f != nil {
			if at, has := f.at(i); has {
				var both routing.Change
				put(&both.Put, f.now[at].thing)
				put(&both.Put, t)
				strays = append(strays, Quarantined{o, name, plain(mistakes(new(routing.Index).Check(both))[1][0])})
				continue
			}
		}
		p.put(version{Object: o, source: i, thing: t})
	}
	for _, u := range c.Unusable {
		f := p.fate[u.Object]
		stray := u.Object.ID == ""
		if f != nil {
			_, has := f.at(i)
			stray = stray || has
		}
		if stray {
			strays = append(strays, Quarantined{u.Object, name, u.Err})
			continue
		}
		p.put(version{Object: u.Object, source: i, err: u.Err})
	}
	return strays
}

// located returns a function for [pass.locate]. It uses Contents.Locate.
func located(all []Contents) func(int, Object, *routing.PathError) error {
	places := make([]map[Object]int, len(all))
	return func(i int, o Object, err *routing.PathError) error {
		c := &all[i]
		if c.Locate == nil {
			return nil
		}
		if places[i] == nil {
			places[i] = make(map[Object]int, c.Model.Len())
			n := make(map[routing.Kind]int)
			for o := range things(c.Model) {
				if _, has := places[i][o]; !has {
					places[i][o] = n[o.Kind]
				}
				n[o.Kind]++
			}
		}
		return c.Locate(&routing.PathError{Path: fmt.Sprintf("%vs[%d]%s", o.Kind, places[i][o], inObject(err.Path)), Err: err.Err})
	}
}
