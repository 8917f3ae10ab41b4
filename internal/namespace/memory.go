package namespace

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// A Memory remembers the routes of other programs that need the taps of one namespace. The kernel
// removes such routes when the tap or its addresses are removed, and when the tap is set down. The
// owners of the routes are not informed. [Ensure] reads the routes before a change, and restores
// lost routes afterwards, even if a tap or the namespace was recreated in between.
//
// A route that another program removes while its tap is up is forgotten.
type Memory struct {
	backups *Backups // nil if the namespace has no backup

	taps map[string]*remembered // by name
}

// NewMemory returns an empty Memory for a namespace. If backups is not nil, [Ensure] makes a backup
// of the namespace in it.
func NewMemory(backups *Backups) *Memory { return &Memory{backups: backups} }

// A remembered has the remembered routes of one tap.
type remembered struct {
	index  int // index of the tap when it had the routes
	routes []foreignRoute
	lost   []foreignRoute // routes that could not be restored yet
}

// remember records the routes that currently need the taps. The records of a tap that is missing,
// down or replaced stay unchanged.
func (e *ensurer) remember() error {
	if e.memory == nil || e.dry {
		return nil
	}
	_, names, err := e.links()
	if err != nil {
		return err
	}
	routes, err := e.foreign(names)
	if err != nil {
		return err
	}
	up, _, err := e.links() // must follow the reading of routes: a tap that is being removed has no routes any more
	if err != nil {
		return err
	}
	owners, err := e.owners()
	if err != nil {
		return err
	}
	if e.memory.taps == nil {
		e.memory.taps = make(map[string]*remembered)
	}
	for i := range e.d.Taps {
		t := &e.d.Taps[i]
		m := e.memory.taps[t.Name]
		if index := up[t.Name]; index == 0 || m != nil && m.index != index {
			continue
		}
		if m == nil {
			m = &remembered{index: up[t.Name]}
			e.memory.taps[t.Name] = m
		}
		m.routes = append(e.withheld(t, m.routes, owners), needing(routes, t.Name, owners)...)
	}
	return nil
}

// needing returns the routes that need a tap: routes through it, or from one of its addresses.
func needing(routes []foreignRoute, tap string, owners owners) (out []foreignRoute) {
	for _, r := range routes {
		if slices.Contains(slices.Collect(maps.Values(r.links)), tap) || r.source.IsValid() && owners[r.source] == tap {
			out = append(out, r)
		}
	}
	return out
}

// withheld returns the routes in had that t cannot have now, because another program has disabled
// IPv6, or removed the IPv4 addresses of t or the source address of the route. Ensure will undo
// this.
func (e *ensurer) withheld(t *Tap, had []foreignRoute, owners owners) (out []foreignRoute) {
	if len(had) == 0 {
		return nil
	}
	keep4 := slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Addr().Is4() }) && !owners.has4(t.Name)
	keep6 := !e.sysctl.hasIPv6(t.Name)
	for _, r := range had {
		ours := r.source.IsValid() && slices.ContainsFunc(t.Addresses, func(p netip.Prefix) bool { return p.Addr() == r.source })
		if r.family == unix.AF_INET && keep4 || r.family == unix.AF_INET6 && keep6 || ours && owners[r.source] == "" {
			out = append(out, r)
		}
	}
	return out
}

// owners maps addresses to the taps that have them.
type owners map[netip.Addr]string

// has4 reports whether a tap has an IPv4 address.
func (o owners) has4(tap string) bool {
	for a, name := range o {
		if name == tap && a.Is4() {
			return true
		}
	}
	return false
}

func (e *ensurer) owners() (owners, error) {
	owners := make(owners)
	for _, t := range e.d.Taps {
		l, err := find(e.inside, t.Name)
		if err != nil || l == nil {
			continue
		}
		have, err := e.list(l)
		if err != nil && !errors.Is(err, errNoTap) {
			return nil, err
		}
		for p := range have {
			owners[p.Addr()] = t.Name
		}
	}
	return owners, nil
}

// restore restores the lost routes of the taps that are up.
func (e *ensurer) restore() error {
	if e.memory == nil || e.dry {
		return nil
	}
	up, names, err := e.links()
	if err != nil {
		return err
	}
	needed := false
	for name, m := range e.memory.taps {
		needed = needed || up[name] != 0 && (len(m.lost) > 0 || m.index != up[name] && len(m.routes) > 0)
		if up[name] != 0 && len(m.routes)+len(m.lost) == 0 {
			m.index = up[name]
		}
	}
	if !needed && len(e.Changed) == 0 {
		return nil
	}
	routes, err := e.foreign(names)
	if err != nil {
		return err
	}
	have := make(map[foreignKey][]foreignRoute)
	for _, r := range routes {
		have[r.foreignKey] = append(have[r.foreignKey], r)
	}
	index := make(map[string]int, len(names))
	for i, name := range names {
		index[name] = i
	}
	done := make(map[string]bool) // a route can need several taps
	for _, name := range slices.Sorted(maps.Keys(e.memory.taps)) {
		m := e.memory.taps[name]
		if up[name] == 0 {
			continue
		}
		var kept, lost []foreignRoute
		for _, r := range slices.Concat(m.lost, m.routes) {
			if done[string(r.message)] {
				kept = append(kept, r)
				continue
			}
			done[string(r.message)] = true
			if err := e.restoreRoute(r, have[r.foreignKey], index); err != nil {
				lost = append(lost, r)
				e.Lost = append(e.Lost, fmt.Sprintf("route %v of another program in namespace %s was lost when tap %s changed, and cannot be restored: %v: "+
					"add a route that fits, or revert the change of the interface", r, e.d.Name, name, err))
			} else {
				kept = append(kept, r)
			}
		}
		m.index, m.routes, m.lost = up[name], kept, lost
	}
	return nil
}

// restoreRoute restores r, unless the kernel has r or another program has replaced it.
func (e *ensurer) restoreRoute(r foreignRoute, have []foreignRoute, index map[string]int) error {
	flags := unix.NLM_F_CREATE | unix.NLM_F_EXCL
	for _, h := range have {
		part := !slices.ContainsFunc(h.legs, func(l string) bool { return !slices.Contains(r.legs, l) })
		bare := r.source.IsValid() && !h.source.IsValid() // when an IPv6 address is removed, the kernel removes it as the source of routes, but keeps the routes
		if !part || len(h.legs) == len(r.legs) && !bare {
			return nil
		}
		flags = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	err := install(r, flags, index, true)
	if errors.Is(err, unix.EINVAL) && r.source.IsValid() { // the source is no longer an address of the router
		if len(have) > 0 {
			return nil
		}
		if err = install(r, flags, index, false); err == nil {
			e.did("restored route %v in %s, without its source", r, e.d.Name)
			return nil
		}
	}
	if err == nil {
		e.did("restored route %v in %s", r, e.d.Name)
	}
	return err
}

// Forget removes the records of taps for which wanted is false, and returns their routes.
func (m *Memory) Forget(wanted func(tap string) bool) (routes []string) {
	for name, t := range m.taps {
		if !wanted(name) {
			for _, r := range slices.Concat(t.lost, t.routes) {
				routes = append(routes, r.String())
			}
			delete(m.taps, name)
		}
	}
	slices.Sort(routes)
	return slices.Compact(routes)
}
