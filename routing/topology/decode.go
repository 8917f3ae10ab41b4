package topology

import "github.com/ofdvr/ofdvr/routing"

// DecodeNetwork decodes the network called id. If the body has an ID, it must be the same. The
// resulting change puts the network.
func DecodeNetwork(body []byte, id string, also func(*routing.Change) error) (routing.Change, error) {
	return decodeObject(body, id, also, ShapeNetwork, networkKeys,
		func(n *routing.Network) *string { return &n.ID },
		func(n *routing.Network) routing.Model { return routing.Model{Networks: []routing.Network{*n}} })
}

// DecodeHost is [DecodeNetwork] for a host.
func DecodeHost(body []byte, id string, also func(*routing.Change) error) (routing.Change, error) {
	return decodeObject(body, id, also, ShapeHost, hostKeys,
		func(h *routing.Host) *string { return &h.ID },
		func(h *routing.Host) routing.Model { return routing.Model{Hosts: []routing.Host{*h}} })
}

// DecodeRouter is [DecodeNetwork] for a router.
func DecodeRouter(body []byte, id string, also func(*routing.Change) error) (routing.Change, error) {
	return decodeObject(body, id, also, ShapeRouter, routerKeys,
		func(r *routing.Router) *string { return &r.ID },
		func(r *routing.Router) routing.Model { return routing.Model{Routers: []routing.Router{*r}} })
}

// DecodePort is [DecodeNetwork] for a port.
func DecodePort(body []byte, id string, also func(*routing.Change) error) (routing.Change, error) {
	return decodeObject(body, id, also, ShapePort, portKeys,
		func(p *routing.Port) *string { return &p.ID },
		func(p *routing.Port) routing.Model { return routing.Model{Ports: []routing.Port{*p}} })
}

// DecodeTopology decodes a topology. The resulting change puts all its objects.
func DecodeTopology(body []byte, also func(*routing.Change) error) (routing.Change, error) {
	w := newWalker("body", "body", body)
	var c routing.Change
	if w.readObject() {
		topologyKeys.read(w, w.root, &c.Put)
	}
	return w.change(c, ShapeTopology, also)
}

// DecodeBatch decodes a mapping with the keys put, a topology, and delete, with lists of IDs
// called hosts, networks, routers and ports.
func DecodeBatch(body []byte, also func(*routing.Change) error) (routing.Change, error) {
	w := newWalker("body", "body", body)
	var c routing.Change
	if w.readObject() {
		batchKeys.read(w, w.root, &c)
	}
	return w.change(c, ShapeBatch, also)
}

// A Snapshot is a router with its networks and ports.
type Snapshot struct {
	Router   routing.Router
	Networks []routing.Network
	Ports    []routing.Port
}

// DecodeSnapshot decodes a mapping with the keys router, networks and ports. also is called with
// the change that puts these objects.
func DecodeSnapshot(body []byte, also func(*routing.Change) error) (Snapshot, error) {
	w := newWalker("body", "body", body)
	var s Snapshot
	if w.readObject() {
		snapshotKeys.read(w, w.root, &s)
	}
	_, err := w.change(routing.Change{Put: routing.Model{
		Networks: s.Networks, Routers: []routing.Router{s.Router}, Ports: s.Ports,
	}}, ShapeSnapshot, also)
	if err != nil {
		return Snapshot{}, err
	}
	return s, nil
}

// ParseNetwork parses the output of [AppendNetwork]. It reports format errors and unknown keys
// like the Decode functions.
func ParseNetwork(data []byte) (routing.Network, error) { return parseObject(data, networkKeys) }

// ParseHost parses the output of [AppendHost]; see [ParseNetwork].
func ParseHost(data []byte) (routing.Host, error) { return parseObject(data, hostKeys) }

// ParseRouter parses the output of [AppendRouter]; see [ParseNetwork].
func ParseRouter(data []byte) (routing.Router, error) { return parseObject(data, routerKeys) }

// ParsePort parses the output of [AppendPort]; see [ParseNetwork].
func ParsePort(data []byte) (routing.Port, error) { return parseObject(data, portKeys) }

func decodeObject[T any](body []byte, id string, also func(*routing.Change) error, shape Shape,
	keys *mapping[T], idOf func(*T) *string, put func(*T) routing.Model) (routing.Change, error) {
	w := newWalker("body", "body", body)
	w.omit = "id"
	v := new(T)
	if w.readObject() {
		keys.read(w, w.root, v)
		w.enter(step{key: "id"})
		if t := w.root.child("id"); t != nil && !w.broken["id"] && *idOf(v) != id {
			w.bad(&t[0], "the ID is %s, but that of the request is %s", quoted(*idOf(v)), quoted(id))
		}
		w.leave()
		*idOf(v) = id
	}
	return w.change(routing.Change{Put: put(v)}, shape, also)
}

func parseObject[T any](data []byte, keys *mapping[T]) (T, error) {
	w := newWalker("object", "object", data)
	v := new(T)
	if w.readObject() {
		keys.read(w, w.root, v)
	}
	if len(w.found) > 0 {
		return *new(T), w.err()
	}
	return *v, nil
}

// readObject parses the text as JSON, or records an error if it is not JSON.
func (w *walker) readObject() bool {
	if len(w.found) > 0 {
		return false
	}
	root, at, err := readJSON(w.ruler.text)
	if err == errNotJSON {
		at, err = jsonSyntaxError(w.ruler.text)
	}
	if err != nil {
		w.record(at, "", err)
		return false
	}
	w.root = root
	return true
}

// change returns c, which was decoded from a body of the given shape, or the errors.
func (w *walker) change(c routing.Change, shape Shape, also func(*routing.Change) error) (routing.Change, error) {
	if len(w.found) == 0 {
		return c, nil
	}
	if w.root != nil && also != nil {
		w.locate(func() error { return also(&c) }, shape.Path)
	}
	return routing.Change{}, w.err()
}
