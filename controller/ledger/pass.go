package ledger

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// A pass computes the intent after changes of sources. The result depends only on the contents of
// the sources. It is the same as adding all objects in order of precedence, and leaving out each
// object that conflicts with an earlier one. The hosts and then the networks of all sources come
// first, because objects of one source may be on networks and hosts of another source. The other
// objects follow in the order of the sources. Within a source, routers come before ports, and both
// are sorted by ID.
//
// The time of a pass depends on the number of changed objects and of the objects that depend on
// them. Placing an object displaces later objects that conflict with it. These objects are placed
// again when their turn comes, which is always later. The same holds for quarantined objects that
// waited for the placed object.
type pass struct {
	s    *Intent        // before the pass
	x    *routing.Index // the index so far
	fate map[Object]*fate
	seen []Object // keys of fate, in order of their creation

	// queue has the objects to place, by rank. They are not in the index x, with two exceptions:
	// hosts without their tunnel, and networks without their VLAN and VNI.
	queue []objects
	// locate adds the position in the source to an error of validation. It returns nil if the
	// source has no positions.
	locate func(source int, o Object, err *routing.PathError) error
}

// A fate is the effect of a pass on one object.
type fate struct {
	before []version
	now    []version // in order of precedence
	used   bool      // now[0] is used: it is in the Index
}

func newPass(s *Intent) *pass {
	return &pass{s: s, x: s.Index, fate: make(map[Object]*fate), queue: make([]objects, 4*len(s.Sources))}
}

// rank returns the position of o in the order of precedence. Objects that differ only in their IDs
// have the same rank.
func (p *pass) rank(o Object, source int) int {
	switch n := len(p.s.Sources); o.Kind {
	case routing.KindHost:
		return source
	case routing.KindNetwork:
		return n + source
	case routing.KindRouter:
		return 2*n + 2*source
	default:
		return 2*n + 2*source + 1
	}
}

// touch returns the fate of o, and creates it if necessary.
func (p *pass) touch(o Object) *fate {
	f := p.fate[o]
	if f == nil {
		all := p.s.all(o)
		f = &fate{before: all, now: slices.Clone(all), used: len(all) > 0 && all[0].used}
		p.fate[o], p.seen = f, append(p.seen, o)
	}
	return f
}

// put sets a source's version of an object.
func (p *pass) put(v version) {
	if p.fate[v.Object] == nil && v.thing != nil {
		if now, has := p.s.version(v.source, v.Object); has && same(now.thing, v.thing) {
			return
		}
	}
	f := p.touch(v.Object)
	i, has := f.at(v.source)
	if has {
		f.now[i] = v
	} else {
		f.now = slices.Insert(f.now, i, v)
	}
}

// drop deletes a source's version of an object.
func (p *pass) drop(source int, o Object) {
	f := p.touch(o)
	if i, has := f.at(source); has {
		f.now = slices.Delete(f.now, i, i+1)
	}
}

func (f *fate) at(source int) (int, bool) {
	return slices.BinarySearchFunc(f.now, source, func(v version, source int) int { return cmp.Compare(v.source, source) })
}

// change applies the change of a source.
func (p *pass) change(source int, c *routing.Change, unusable []Unusable) {
	for o := range objectsOf(c.Delete) {
		p.drop(source, o)
	}
	for o, t := range things(&c.Put) {
		p.put(version{Object: o, source: source, thing: t})
	}
	for _, u := range unusable {
		p.put(version{Object: u.Object, source: source, err: u.Err})
	}
}

// was returns the object's value in the Index before the pass, or nil if it was not used.
func (f *fate) was() thing {
	if len(f.before) > 0 && f.before[0].used {
		return f.before[0].thing
	}
	return nil
}

// want returns the owner's version, or nil if it cannot be read or no source has the object.
func (f *fate) want() *version {
	if len(f.now) == 0 || f.now[0].thing == nil {
		return nil
	}
	return &f.now[0]
}

// differs reports whether the owner's version has changed.
func (f *fate) differs() bool {
	if len(f.before) == 0 || len(f.now) == 0 {
		return len(f.before) != len(f.now)
	}
	return f.before[0].source != f.now[0].source || f.before[0].thing != f.now[0].thing
}

// run computes which objects are used.
func (p *pass) run() {
	var c routing.Change
	var changed []Object
	for _, o := range p.seen {
		f := p.fate[o]
		if !f.differs() {
			continue
		}
		changed = append(changed, o)
		if v := f.want(); v != nil {
			put(&c.Put, v.thing)
		} else if f.used {
			c.Delete.Add(o.Kind, o.ID)
		}
	}
	if p.x.Check(c) == nil {
		p.x = p.x.With(c)
		for _, o := range changed {
			p.fate[o].used = p.fate[o].want() != nil
		}
	} else {
		p.takeOut(changed)
		for _, o := range changed {
			p.enqueue(o)
		}
	}
	for _, o := range changed {
		p.wake(o)
	}
	for rank := range p.queue {
		p.look(rank)
	}
}

// enqueue queues o to be placed.
func (p *pass) enqueue(o Object) {
	v := p.touch(o).want()
	if v == nil {
		return
	}
	rank := p.rank(o, v.source)
	if p.queue[rank] == nil {
		p.queue[rank] = make(objects)
	}
	p.queue[rank][o] = true
}

// wake queues the objects that wait for a change of o.
func (p *pass) wake(o Object) {
	for w := range p.s.waitingFor(o) {
		if !p.touch(w).used {
			p.enqueue(w)
		}
	}
}

// takeOut removes the changed objects from the Index. A host or a network that still exists stays,
// with the objects on it. But a host is left without its tunnel, and a network without its VLAN and VNI.
func (p *pass) takeOut(changed []Object) {
	var c routing.Change
	for _, o := range changed {
		f := p.fate[o]
		if !f.used {
			continue
		}
		if f.want() != nil && unclaimed(&c.Put, f.was()) {
			continue
		}
		c.Delete.Add(o.Kind, o.ID)
		f.used = false
	}
	x, displaced := without(p.x, c)
	p.x = x
	p.displace(displaced)
}

// unclaimed adds t to m if it is a host or a network. It leaves out the host's tunnel, and the
// network's VLAN and VNI, so that t conflicts with no other object. It reports whether it has added
// t.
func unclaimed(m *routing.Model, t thing) bool {
	switch t := t.(type) {
	case *routing.Host:
		h := *t
		h.Tunnel, h.Uplink = routing.Tunnel{}, ""
		m.Hosts = append(m.Hosts, h)
	case *routing.Network:
		n := *t
		n.VLAN, n.VNI, n.Broadcast = 0, 0, routing.BroadcastAll
		m.Networks = append(m.Networks, n)
	default:
		return false
	}
	return true
}

// without returns x after change c. It also removes the objects on networks and hosts that c
// deletes, and returns these objects.
func without(x *routing.Index, c routing.Change) (*routing.Index, []Object) {
	var on []Object
	going := make(objects, c.Delete.Len())
	for o := range objectsOf(c.Delete) {
		going[o] = true
	}
	add := func(o Object) {
		if !going[o] {
			going[o] = true
			on = append(on, o)
		}
	}
	for _, h := range c.Delete.Hosts {
		for id := range x.Guests(h) {
			add(Object{routing.KindPort, id})
		}
	}
	for _, n := range c.Delete.Networks {
		for q := range x.PortsOn(n, "") {
			add(Object{routing.KindPort, q.ID})
		}
		for _, l := range x.Legs(n) {
			add(Object{routing.KindRouter, l.Router.ID})
		}
	}
	for _, o := range on {
		c.Delete.Add(o.Kind, o.ID)
	}
	return x.With(c), on
}

// displace queues objects that have been taken out of x.
func (p *pass) displace(all []Object) {
	for _, o := range all {
		p.touch(o).used = false
		p.enqueue(o)
		p.wake(o)
	}
}

// look places the queued objects of a rank, sorted by ID.
func (p *pass) look(rank int) {
	p.together(rank)
	var todo byID
	for {
		for o := range p.queue[rank] {
			heap.Push(&todo, o)
		}
		clear(p.queue[rank])
		if len(todo) == 0 {
			return
		}
		p.place(heap.Pop(&todo).(Object))
	}
}

// byID is a [heap.Interface] of objects, sorted by ID.
type byID []Object

func (h byID) Len() int           { return len(h) }
func (h byID) Less(i, j int) bool { return h[i].ID < h[j].ID }
func (h byID) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byID) Push(o any)        { *h = append(*h, o.(Object)) }
func (h *byID) Pop() any {
	last := len(*h) - 1
	o := (*h)[last]
	*h = (*h)[:last]
	return o
}

// together uses all queued objects of a rank at once, except objects with mistakes or
// conflicts.
func (p *pass) together(rank int) {
	if len(p.queue[rank]) < 2 {
		return
	}
	all := slices.SortedFunc(maps.Keys(p.queue[rank]), Object.compare)
	var c routing.Change
	for _, o := range all {
		put(&c.Put, p.fate[o].now[0].thing)
	}
	errs := p.x.Check(c)
	wrong := mistakes(errs)
	if errs != nil {
		if len(wrong) == 0 {
			return
		}
		c = routing.Change{}
		for i, o := range all {
			if wrong[i] == nil {
				put(&c.Put, p.fate[o].now[0].thing)
			}
		}
	}
	p.x = p.x.With(c)
	for i, o := range all {
		if wrong[i] == nil {
			p.fate[o].used = true
			delete(p.queue[rank], o)
		}
	}
	for i, o := range all {
		if wrong[i] == nil {
			p.wake(o)
		}
	}
}

// place uses or quarantines one object.
func (p *pass) place(o Object) {
	f := p.fate[o]
	v := &f.now[0]
	var c routing.Change
	put(&c.Put, v.thing)
	x := p.x
	var displaced []Object
	for {
		err := x.Check(c)
		if err == nil {
			break
		}
		errs := mistakes(err)[0]
		if len(errs) == 0 {
			errs = []*routing.PathError{{Err: err}}
		}
		var later routing.Change
		for i, err := range errs {
			by, taken := rival(err)
			if !taken || find(x, by) == nil || !p.before(o, v.source, by) {
				p.quarantine(f, o, errs[i:])
				return
			}
			later.Delete.Add(by.Kind, by.ID)
		}
		var on []Object
		x, on = without(x, later)
		displaced = slices.Concat(displaced, on, slices.Collect(objectsOf(later.Delete)))
	}
	p.x = x.With(c)
	f.used = true
	p.displace(displaced)
	p.wake(o)
}

// before reports whether the source's object o has precedence over object by,
// which must be in use.
func (p *pass) before(o Object, source int, by Object) bool {
	other := p.s.ownerOf(by)
	if f := p.fate[by]; f != nil {
		other = f.now[0].source
	}
	return cmp.Or(cmp.Compare(p.rank(o, source), p.rank(by, other)), o.compare(by)) < 0
}
