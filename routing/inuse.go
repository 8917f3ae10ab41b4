package routing

import (
	"fmt"
	"strings"
)

// checkDeleted checks that no remaining object refers to the deleted hosts and networks.
func (v *validator) checkDeleted(ids IDs) {
	for i, id := range ids.Hosts {
		if v.hosts[id] {
			continue // it is put again
		}
		var by []Object
		for port := range v.base.Guests(id) {
			if !v.gone[owner{KindPort, port}] {
				by = append(by, Object{Kind: KindPort, ID: port})
			}
		}
		if len(by) > 0 {
			v.errs = append(v.errs, &PathError{elem("delete.hosts", i), &InUseError{KindHost, id, by}})
		}
	}
	for i, id := range ids.Networks {
		if v.networks[id] {
			continue // it is put again
		}
		var by []Object
		for _, l := range v.base.Legs(id) {
			if who := (owner{KindInterface, l.ID}); !v.gone[who] {
				by = append(by, Object{KindInterface, l.ID, l.ID})
			}
		}
		for p := range v.base.PortsOn(id, "") {
			if !v.gone[owner{KindPort, p.ID}] {
				by = append(by, Object{Kind: KindPort, ID: p.ID})
			}
		}
		if len(by) > 0 {
			v.errs = append(v.errs, &PathError{elem("delete.networks", i), &InUseError{KindNetwork, id, by}})
		}
	}
}

// An InUseError means that a network or a host cannot be deleted, because other objects still refer
// to it. These are interfaces and ports on the network, or ports that are expected on the host.
type InUseError struct {
	Kind Kind
	ID   string
	By   []Object
}

func (e *InUseError) Error() string {
	const most = 5
	var b strings.Builder
	for i, o := range e.By {
		switch {
		case i == most:
			fmt.Fprintf(&b, " and %d more", len(e.By)-most)
		case i < most:
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%v %q", o.Kind, o.ID)
		}
	}
	return fmt.Sprintf("%v %q is in use by %s", e.Kind, e.ID, &b)
}

// A TakenError means that another object already has the name, number or address of an object.
type TakenError struct {
	Kind Kind   // kind of the other object: a host, a network, a router or a port
	ID   string // of the other object
	err  error
}

func (e *TakenError) Error() string { return e.err.Error() }

// taken records an error for a key of the object at p: the owner by already has the value. For an
// interface, the owner is its router.
func (v *validator) taken(p path, key string, by owner, format string, args ...any) {
	if by.kind == KindInterface {
		if c, ok := v.claimed(interfaceID, by.id); ok {
			by = owner{KindRouter, c.by}
		}
	}
	v.bad(p, key, "%w", &TakenError{by.kind, by.id, fmt.Errorf(format, args...)})
}
