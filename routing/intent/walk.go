package intent

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A walker turns nodes into a model and collects what is wrong on the way. A
// value that cannot be read is left zero in the model, so that indices in the
// model are those of the file.
type walker struct {
	file  string
	root  *node
	found []*Error
	more  int // mistakes beyond maxErrors

	broken   map[string]bool // paths that could not be read
	tainted  map[string]bool // lists some of whose items could not be read
	networks bool            // some network's ID is not known
}

// A where is the path of a node; it becomes text only if something is wrong.
type where struct {
	parent *where // nil for a key of the root
	key    string // "" for an item of a list
	index  int
}

func (p *where) in(key string) *where { return &where{parent: p, key: key} }
func (p *where) at(i int) *where      { return &where{parent: p, index: i} }

func (p *where) String() string {
	switch {
	case p == nil:
		return ""
	case p.key == "":
		return p.parent.String() + "[" + strconv.Itoa(p.index) + "]"
	case p.parent == nil:
		return p.key
	}
	return p.parent.String() + "." + p.key
}

// bad reports that the value n at p cannot be used.
func (w *walker) bad(n *node, p *where, format string, args ...any) {
	w.report(n.line, n.col, p.String(), fmt.Errorf(format, args...))
	w.breaks(p)
}

// breaks notes that the value at p is not known.
func (w *walker) breaks(p *where) {
	if w.broken == nil {
		w.broken, w.tainted = make(map[string]bool), make(map[string]bool)
	}
	s := p.String()
	w.broken[s] = true
	if p != nil && p.key == "" {
		w.tainted[p.parent.String()] = true
	}
	if s == "" || s == "networks" || strings.HasPrefix(s, "networks[") && (p.key == "" || p.key == "id") {
		w.networks = true
	}
}

// follows reports whether e is but a consequence of what could not be read.
func (w *walker) follows(e *routing.PathError) bool {
	if w.networks && errors.Is(e.Err, routing.ErrUnknownNetwork) || w.tainted[e.Path] || w.broken[""] {
		return true
	}
	if len(w.broken) == 0 {
		return false
	}
	for i := 1; i < len(e.Path); i++ {
		if c := e.Path[i]; (c == '.' || c == '[') && w.broken[e.Path[:i]] {
			return true
		}
	}
	return w.broken[e.Path]
}

// A reader stores the value of n, which is at p.
type reader func(n *node, p *where)

// A field is a key that a mapping may have.
type field struct {
	key      string
	required bool
	read     reader
}

// mapping reads n, which should be a mapping with the given fields.
func (w *walker) mapping(n *node, p *where, fields ...field) {
	if n.kind != kindMapping {
		w.bad(n, p, "want a mapping, got %v", n.kind)
		return
	}
	seen := make([]*node, len(fields))
	unknown := false
	for _, e := range n.entries {
		i := indexOf(fields, e.key.text)
		switch {
		case i < 0:
			unknown = true // a key that is seen later must not be suggested
		case seen[i] != nil:
			w.report(e.key.line, e.key.col, p.String(),
				fmt.Errorf("duplicate key %q, first in line %d", e.key.text, seen[i].line))
		default:
			seen[i] = e.key
			fields[i].read(e.value, p.in(e.key.text))
		}
	}
	meant := make([]bool, len(fields))
	if unknown {
		w.unknownKeys(n, p, fields, seen, meant)
	}
	for i, f := range fields {
		if f.required && seen[i] == nil && !meant[i] {
			w.report(n.line, n.col, p.String(), fmt.Errorf("missing key %q", f.key))
			w.breaks(p.in(f.key))
		}
	}
}

// unknownKeys reports the keys of n that are not among the fields. It sets
// meant for each field that one of them was probably meant to be.
func (w *walker) unknownKeys(n *node, p *where, fields []field, seen []*node, meant []bool) {
	known := make(map[string]int) // line of each unknown key
	for _, e := range n.entries {
		key := e.key.text
		if indexOf(fields, key) >= 0 {
			continue
		}
		if line, dup := known[key]; dup {
			w.report(e.key.line, e.key.col, p.String(), fmt.Errorf("duplicate key %s, first in line %d", quote(key), line))
			continue
		}
		known[key] = e.key.line
		err := fmt.Errorf("unknown key %s", quote(key))
		if i := closest(fields, seen, key); i >= 0 {
			err = fmt.Errorf("unknown key %s; did you mean %q?", quote(key), fields[i].key)
			meant[i] = true
			w.breaks(p.in(fields[i].key))
		}
		w.report(e.key.line, e.key.col, p.String(), err)
	}
}

func indexOf(fields []field, key string) int {
	for i := range fields {
		if fields[i].key == key {
			return i
		}
	}
	return -1
}

// list returns a reader of lists whose items elem reads. No value at all is an
// empty list.
func list[T any](w *walker, dst *[]T, elem func(*node, *where) T) reader {
	return func(n *node, p *where) {
		switch n.kind {
		case kindNull:
		case kindList:
			*dst = make([]T, len(n.items))
			for i, item := range n.items {
				(*dst)[i] = elem(item, p.at(i))
			}
		default:
			w.bad(n, p, "want a list, got %v", n.kind)
		}
	}
}

const (
	required = true
	optional = false
)

// model reads the root.
func (w *walker) model() *routing.Model {
	m := new(routing.Model)
	if w.root.kind == kindNull {
		return m
	}
	w.mapping(w.root, nil,
		field{"networks", optional, list(w, &m.Networks, w.network)},
		field{"routers", optional, list(w, &m.Routers, w.router)},
		field{"ports", optional, list(w, &m.Ports, w.port)},
	)
	return m
}

func (w *walker) network(n *node, p *where) routing.Network {
	v := routing.Network{MTU: 1500}
	w.mapping(n, p,
		field{"id", required, w.text(&v.ID)},
		field{"vlan", optional, number(w, &v.VLAN, "vlan", routing.MinVLAN, routing.MaxVLAN)},
		field{"mtu", optional, number(w, &v.MTU, "mtu", routing.MinMTU, routing.MaxMTU)},
	)
	return v
}

func (w *walker) router(n *node, p *where) routing.Router {
	v := routing.Router{ARPResponder: true, Bridge: routing.Bridge{Managed: true}}
	w.mapping(n, p,
		field{"id", required, w.text(&v.ID)},
		field{"namespace", optional, w.name(&v.Namespace)},
		field{"fallback", optional, w.fallback(&v.Fallback)},
		field{"arp_responder", optional, w.boolean(&v.ARPResponder)},
		field{"bridge", optional, func(n *node, p *where) {
			w.mapping(n, p,
				field{"managed", optional, w.boolean(&v.Bridge.Managed)},
				field{"name", optional, w.name(&v.Bridge.Name)},
				field{"datapath_id", optional, scalar(w, &v.Bridge.DatapathID, parseDPID)},
				field{"foreign_flows", optional, w.foreign(&v.Bridge.Foreign)},
			)
		}},
		field{"interfaces", optional, list(w, &v.Interfaces, w.iface)},
	)
	return v
}

func (w *walker) iface(n *node, p *where) (v routing.Interface) {
	w.mapping(n, p,
		field{"id", required, w.text(&v.ID)},
		field{"network", required, w.text(&v.Network)},
		field{"mac", required, scalar(w, &v.MAC, parseMAC)},
		field{"addresses", required, list(w, &v.Addresses, item(w, parsePrefix))},
		field{"patch_port", optional, w.name(&v.PatchPort)},
		field{"tap_port", optional, w.name(&v.TapPort)},
	)
	return v
}

func (w *walker) port(n *node, p *where) (v routing.Port) {
	w.mapping(n, p,
		field{"id", required, w.text(&v.ID)},
		field{"network", required, w.text(&v.Network)},
		field{"mac", required, scalar(w, &v.MAC, parseMAC)},
		field{"addresses", optional, list(w, &v.Addresses, item(w, parseAddr))},
	)
	return v
}
