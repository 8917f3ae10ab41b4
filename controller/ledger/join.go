package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A Quarantined object is in a source, but cannot be used: it is left out of the
// intent, and everything else is used.
type Quarantined struct {
	Object Object // its ID is "" if that cannot be read
	Source string // name of the source
	Err    error  // why it cannot be used

	model routing.Model // the object alone, to be tried again; empty if it cannot be read
}

func (q Quarantined) Error() string {
	what := q.Object.String()
	if q.Object.ID == "" {
		what = "a " + q.Object.Kind.String()
	}
	return fmt.Sprintf("%s of %s is not used: %v", what, q.Source, q.Err)
}

// join returns the state of what the file and the store have together. An object
// that the file declares is not looked for in the store. What cannot be used is
// quarantined: of two objects that contradict each other that of the store, or the
// later one of a source. Either may be nil: there is none. taken are the objects of
// the store that the file has in their place.
func (l *Ledger) join(file, store *Contents) (s *State, taken routing.IDs) {
	s = &State{Index: new(routing.Index), Whole: l.cfg.Complete}
	var all []part
	if file != nil {
		s.declared = file.declares()
		s.File = sourceState(l.cfg.File.Name(), file, file.Err)
		s.quarantine(l.cfg.File.Name(), file.Unusable)
		all = append(all, part{l.cfg.File.Name(), file.Model, file.Locate})
	}
	if store != nil {
		name := "the daemon that leads"
		if l.cfg.Store != nil {
			name = l.cfg.Store.Name()
			s.Store = sourceState(name, store, cmp.Or(store.Err, l.cfg.Store.ReadOnly()))
			// One with nothing in it is not complete, whatever it says: what there was may
			// have been lost, or in a file that is not named any more.
			s.Whole = s.Whole || store.Complete && store.Model.Len() > 0
		}
		s.Revision = store.Revision
		s.quarantine(name, store.Unusable)
		all = append(all, part{name: name, model: except(store.Model, s.declared)})
	}
	s.include(all)
	if file != nil {
		s.Revision++
	}
	s.Layout = s.Revision
	s.settle()
	if file != nil && store != nil {
		used := declares(file.Model)
		for _, q := range s.Quarantined { // a copy of what cannot be used stays in the store
			delete(used, q.Object)
		}
		for _, kind := range kinds {
			for _, id := range objectsOf(store.Model, kind) {
				if used[Object{kind, id}] {
					taken.Add(kind, id)
				}
			}
		}
	}
	return s, taken
}

// A part is what a source has, and, if the source knows places, how a mistake
// in it is shown.
type part struct {
	name   string
	model  *routing.Model
	locate func(*routing.PathError) error
}

// include adds to the state what can be used of the parts; the rest is
// quarantined.
func (s *State) include(parts []part) {
	var all routing.Change
	for _, p := range parts {
		all.Put.Networks = append(all.Put.Networks, p.model.Networks...)
		all.Put.Routers = append(all.Put.Routers, p.model.Routers...)
		all.Put.Ports = append(all.Put.Ports, p.model.Ports...)
	}
	if s.Index.Check(all) == nil {
		s.Index = s.Index.With(all)
		return
	}
	// Networks first, because the objects of one source may be on those of another;
	// then all of the earlier source before the later one.
	for _, p := range parts {
		s.usable(p, routing.KindNetwork)
	}
	for _, p := range parts {
		s.usable(p, routing.KindRouter)
		s.usable(p, routing.KindPort)
	}
}

// usable adds the objects of one kind of p that can be used.
func (s *State) usable(p part, kind routing.Kind) {
	ids := objectsOf(p.model, kind)
	index := make([]int, len(ids)) // in p, of what is still to be added
	for i := range index {
		index[i] = i
	}
	for len(index) > 0 {
		c := routing.Change{Put: pick(p.model, kind, index)}
		wrong := mistakes(s.Index.Check(c))
		if len(wrong) == 0 {
			s.Index = s.Index.With(c)
			return
		}
		rest := index[:0:0]
		for i, at := range index {
			err := wrong[i]
			if err == nil {
				rest = append(rest, at)
				continue
			}
			if p.locate != nil {
				located := *err
				located.Path = fmt.Sprintf("%ss[%d]%s", kind, at, inObject(err.Path))
				s.leaveOut(p, Object{kind, ids[at]}, at, p.locate(&located))
			} else {
				s.leaveOut(p, Object{kind, ids[at]}, at, plain(err))
			}
		}
		if len(rest) == len(index) { // the mistakes name no object: none of them can be used
			err := s.Index.Check(c)
			for _, at := range index {
				s.leaveOut(p, Object{kind, ids[at]}, at, err)
			}
			return
		}
		index = rest
	}
}

func (s *State) leaveOut(p part, o Object, at int, err error) {
	s.Quarantined = append(s.Quarantined, Quarantined{o, p.name, err, pick(p.model, o.Kind, []int{at})})
}

func (s *State) quarantine(source string, unusable []Unusable) {
	for _, u := range unusable {
		s.Quarantined = append(s.Quarantined, Quarantined{Object: u.Object, Source: source, Err: u.Err})
	}
}

// mistakes returns the first error about each object of a change that has objects
// of one kind, by index. The others often follow from it.
func mistakes(err error) map[int]*routing.PathError {
	out := make(map[int]*routing.PathError)
	var add func(error)
	add = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				add(e)
			}
			return
		}
		e, ok := errors.AsType[*routing.PathError](err)
		if !ok {
			return
		}
		_, rest, _ := strings.Cut(e.Path, "[")
		number, _, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(number); err == nil && out[i] == nil {
			out[i] = e
		}
	}
	if err != nil {
		add(err)
	}
	return out
}

// inObject returns what is behind the index in a path such as ports[1].mac.
func inObject(path string) string {
	_, rest, _ := strings.Cut(path, "]")
	return rest
}

// plain returns err without an index, which is in no file.
func plain(err *routing.PathError) error {
	if key := strings.TrimPrefix(inObject(err.Path), "."); key != "" {
		return &routing.PathError{Path: key, Err: err.Err}
	}
	return err.Err
}

// objectsOf returns the IDs of m's objects of a kind.
func objectsOf(m *routing.Model, kind routing.Kind) (ids []string) {
	switch kind {
	case routing.KindNetwork:
		for i := range m.Networks {
			ids = append(ids, m.Networks[i].ID)
		}
	case routing.KindRouter:
		for i := range m.Routers {
			ids = append(ids, m.Routers[i].ID)
		}
	case routing.KindPort:
		for i := range m.Ports {
			ids = append(ids, m.Ports[i].ID)
		}
	}
	return ids
}

// pick returns the objects of a kind with the given indices.
func pick(m *routing.Model, kind routing.Kind, index []int) (out routing.Model) {
	for _, i := range index {
		switch kind {
		case routing.KindNetwork:
			out.Networks = append(out.Networks, m.Networks[i])
		case routing.KindRouter:
			out.Routers = append(out.Routers, m.Routers[i])
		case routing.KindPort:
			out.Ports = append(out.Ports, m.Ports[i])
		}
	}
	return out
}

// settle finds out whether the intent is complete.
func (s *State) settle() {
	gaps := s.File != nil && s.File.Partial || s.Store != nil && s.Store.Partial ||
		slices.ContainsFunc(s.Quarantined, func(q Quarantined) bool { return q.Object.Kind != routing.KindPort || q.Object.ID == "" })
	s.Complete = s.Whole && !gaps
}

// holds reports whether o is quarantined.
func (s *State) holds(o Object) bool {
	return slices.ContainsFunc(s.Quarantined, func(q Quarantined) bool { return q.Object == o })
}

// heldIn returns the quarantined objects that c names.
func (s *State) heldIn(c *routing.Change) declared {
	if len(s.Quarantined) == 0 {
		return nil
	}
	held, out := make(declared), make(declared)
	for _, q := range s.Quarantined {
		held[q.Object] = true
	}
	for o := range named(c) {
		if held[o] {
			out[o] = true
		}
	}
	return out
}

// release takes the objects that fits names out of the quarantine.
func (s *State) release(fits func(Quarantined) bool) {
	if slices.ContainsFunc(s.Quarantined, fits) {
		s.Quarantined = slices.DeleteFunc(slices.Clone(s.Quarantined), fits)
	}
}

// retry takes out of the quarantine what can be used by now.
func (g *group) retry() {
	s := g.state
	var parts []part
	for _, q := range s.Quarantined {
		if q.model.Len() == 0 {
			continue
		}
		if n := len(parts); n == 0 || parts[n-1].name != q.Source {
			parts = append(parts, part{name: q.Source, model: new(routing.Model)})
		}
		m := parts[len(parts)-1].model
		m.Networks = append(m.Networks, q.model.Networks...)
		m.Routers = append(m.Routers, q.model.Routers...)
		m.Ports = append(m.Ports, q.model.Ports...)
	}
	if len(parts) == 0 {
		return
	}
	trial := State{Index: s.Index}
	trial.include(parts)
	type held struct {
		Object
		source string
	}
	still := make(map[held]bool, len(trial.Quarantined))
	for _, q := range trial.Quarantined {
		still[held{q.Object, q.Source}] = true
	}
	var c routing.Change
	var left []Quarantined
	for _, q := range s.Quarantined {
		if q.model.Len() == 0 || still[held{q.Object, q.Source}] {
			left = append(left, q)
			continue
		}
		c.Put.Networks = append(c.Put.Networks, q.model.Networks...)
		c.Put.Routers = append(c.Put.Routers, q.model.Routers...)
		c.Put.Ports = append(c.Put.Ports, q.model.Ports...)
	}
	if c.Len() > 0 {
		g.apply(c)
		g.state.Quarantined = left
		g.state.settle()
	}
}

// except returns the objects of m that are not in d.
func except(m *routing.Model, d declared) *routing.Model {
	if len(d) == 0 {
		return m
	}
	kept := new(routing.Model)
	for _, kind := range kinds {
		var index []int
		for i, id := range objectsOf(m, kind) {
			if !d[Object{kind, id}] {
				index = append(index, i)
			}
		}
		some := pick(m, kind, index)
		kept.Networks = append(kept.Networks, some.Networks...)
		kept.Routers = append(kept.Routers, some.Routers...)
		kept.Ports = append(kept.Ports, some.Ports...)
	}
	return kept
}

var kinds = [...]routing.Kind{routing.KindNetwork, routing.KindRouter, routing.KindPort}
