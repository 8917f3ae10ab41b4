package topology

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/ofdvr/ofdvr/routing"
)

// MergePatch applies a merge patch (RFC 7396) to the JSON document target and returns the
// result. Mappings in the patch are merged key by key, null removes a key, and any other value
// replaces the target's value as a whole. An error is a join of [*Error]s with positions in
// the patch.
func MergePatch(target, patch []byte) ([]byte, error) {
	w := newWalker("body", "body", patch)
	if !w.readObject() {
		return nil, w.err()
	}
	from, _, err := readJSON(string(target))
	if err != nil {
		return nil, fmt.Errorf("read the document to patch: %w", err)
	}
	b := w.merge(nil, from, w.root)
	if len(w.found) > 0 {
		return nil, w.err()
	}
	return b, nil
}

// UnknownNulls returns an error for each key that a merge patch sets to null but that an
// object of shape s cannot have. [MergePatch] ignores such keys. The result is a join of
// [*Error]s, or nil.
func (s Shape) UnknownNulls(patch []byte) error {
	w := newWalker("body", "body", patch)
	if !w.readObject() {
		return nil // MergePatch returns the error
	}
	switch s {
	case ShapeNetwork:
		networkKeys.read(w, w.root, new(routing.Network))
	case ShapeRouter:
		routerKeys.read(w, w.root, new(routing.Router))
	case ShapePort:
		portKeys.read(w, w.root, new(routing.Port))
	case ShapeHost:
		hostKeys.read(w, w.root, new(routing.Host))
	}
	var errs []error
	for _, e := range w.found {
		if k, ok := e.Err.(*KeyError); ok && k.null {
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

// nothing stands for the missing value of a key that is in the patch but not in the target.
var nothing = tree{{size: 1}}

// merge appends the result of applying patch to target.
func (w *walker) merge(b []byte, target, patch tree) []byte {
	if patch[0].kind != kindMapping {
		return appendTree(b, patch)
	}
	if target[0].kind != kindMapping {
		target = nothing
	}
	values := make(map[string]tree) // values in patch, by key; nil if the value was used
	for rest := patch[1:]; len(rest) > 0; {
		key, value := &rest[0], rest[1:].first()
		rest = rest[1+len(value):]
		if _, dup := values[key.text]; dup {
			w.reportKey(key, "duplicate key %s", quoted(key.text))
		}
		values[key.text] = value
	}
	b = append(b, '{')
	start := len(b)
	set := func(key string, old, value tree) {
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(text{}.append(b, &key, inJSON), ':')
		w.enter(step{key: key})
		if value == nil {
			b = appendTree(b, old)
		} else {
			b = w.merge(b, old, value)
		}
		w.leave()
	}
	for rest := target[1:]; len(rest) > 0; {
		key, old := rest[0].text, rest[1:].first()
		rest = rest[1+len(old):]
		value, patched := values[key]
		delete(values, key)
		if !patched || value[0].kind != kindNull {
			set(key, old, value)
		}
	}
	for rest := patch[1:]; len(rest) > 0; {
		key, value := rest[0].text, rest[1:].first()
		rest = rest[1+len(value):]
		if _, left := values[key]; left && value[0].kind != kindNull {
			set(key, nothing, value)
			delete(values, key)
		}
	}
	return append(b, '}')
}

// appendTree appends t as JSON.
func appendTree(b []byte, t tree) []byte {
	switch t[0].kind {
	case kindNull:
		return append(b, "null"...)
	case kindString:
		return text{}.append(b, &t[0].text, inJSON)
	case kindList:
		b = append(b, '[')
		for rest, i := t[1:], 0; len(rest) > 0; rest, i = rest[len(rest.first()):], i+1 {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendTree(b, rest.first())
		}
		return append(b, ']')
	case kindMapping:
		b = append(b, '{')
		for rest, i := t[1:], 0; len(rest) > 0; i++ {
			key, value := &rest[0], rest[1:].first()
			rest = rest[1+len(value):]
			if i > 0 {
				b = append(b, ',')
			}
			b = append(text{}.append(b, &key.text, inJSON), ':')
			b = appendTree(b, value)
		}
		return append(b, '}')
	}
	return append(b, t[0].text...)
}

// DecodeInterface decodes a router interface on a network. If the body has a network, it must
// be the same. Function check finds further mistakes, like the argument also of the other
// functions. The paths of its errors are paths in the body.
func DecodeInterface(body []byte, network string, check func(routing.Interface) error) (routing.Interface, error) {
	return decodePart(body, "network", network, check, interfaceKeys,
		func(f *routing.Interface) bool { return f.Network == network },
		func(f *routing.Interface) { f.Network = network })
}

// DecodeRoute decodes a route to a destination. If the body has a destination, it must be the
// same. For check see [DecodeInterface].
func DecodeRoute(body []byte, destination string, check func(routing.Route) error) (routing.Route, error) {
	to, err := netip.ParsePrefix(destination)
	if err != nil {
		return routing.Route{}, fmt.Errorf("destination of the request: %w", err)
	}
	return decodePart(body, "destination", destination, check, routeKeys,
		func(r *routing.Route) bool { return r.Destination == to },
		func(r *routing.Route) { r.Destination = to })
}

// decodePart decodes a part of an object. The part is identified by the value name of its key.
func decodePart[T any](body []byte, key, name string, check func(T) error, keys *mapping[T], named func(*T) bool, set func(*T)) (v T, err error) {
	w := newWalker("body", "body", body)
	w.omit = key
	if w.readObject() {
		keys.read(w, w.root, &v)
		w.enter(step{key: key})
		if t := w.root.child(key); t != nil && !w.broken[key] && !named(&v) {
			w.bad(&t[0], "the %s is %s, but that of the request is %s", key, quoted(t[0].text), quoted(name))
		}
		w.leave()
		set(&v)
		w.locate(func() error { return check(v) }, itself)
	}
	if len(w.found) > 0 {
		return *new(T), w.err()
	}
	return v, nil
}

// InterfaceOf returns the document of a router interface.
func InterfaceOf(f routing.Interface) Interface { return interfaceOf(f) }

// RouteOf returns the document of a route.
func RouteOf(r routing.Route) Route { return routeOf(r) }

// AppendInterface is [AppendNetwork] for a router interface.
func AppendInterface(b []byte, f *routing.Interface) []byte {
	return interfaceKeys.append(b, f, inJSON)
}

// AppendRoute is [AppendNetwork] for a route.
func AppendRoute(b []byte, r *routing.Route) []byte { return routeKeys.append(b, r, inJSON) }
