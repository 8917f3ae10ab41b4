package ovsdb

import (
	"fmt"
	"strings"
)

// Plan returns the operations of one transaction that turn s into d, and the problems that
// prevent parts of d. The operations are empty if and only if nothing is left to do. The order
// of both results is deterministic.
//
// A router or an interface with a [Problem] is held. This means that its existing rows stay
// unchanged, and the rest of d is realized. OVSDB cannot change names, so an object whose name
// changes is replaced. Problems of the kinds [ForeignController] and [SwitchError] hold
// nothing.
func Plan(s State, d Desired) ([]Op, []Problem) {
	p := &planner{
		s: s, d: d,
		want:         map[string]*Bridge{},
		ports:        map[string]*wantPort{},
		names:        map[string][]occupant{},
		bridges:      map[string]*BridgeRow{},
		heldRouters:  map[string]bool{},
		heldIfaces:   map[key]bool{},
		placeholders: map[string]string{},
	}
	if s.Root == "" {
		p.problem(Problem{Kind: NoDatabase, Object: "Open vSwitch's database",
			Detail: "it has not been initialized", Remedy: "start ovs-vswitchd, or run `ovs-vsctl init`"})
		return nil, p.problems
	}
	if s.FlowRestoreWait {
		p.problem(Problem{Kind: SwitchError, Object: "Open vSwitch",
			Detail: "other_config:flow-restore-wait is true, so it forwards no new connections; ovs-ctl sets that while it restarts",
			Remedy: "if this does not change, remove it with `ovs-vsctl remove open_vswitch . other_config flow-restore-wait`"})
	}
	p.index()
	p.br = p.bridges[d.IntegrationBridge]
	p.wanted()
	p.hold()
	p.existing()
	p.missing()
	return p.ops(), p.problems
}

// A key identifies a router interface or, if iface is "", a routing bridge.
type key struct{ router, iface string }

func keyOf(externalIDs map[string]string) key {
	return key{externalIDs[KeyRouter], externalIDs[KeyInterface]}
}

// A wantPort is one of the ports of a router interface.
type wantPort struct {
	key    key
	bridge string // name of the bridge that it belongs to
	name   string
	what   string // for messages: patch port, tap
	typ    string // Interface.type
	peer   string // options:peer, patch ports only
	mac    string // "" except for the end on the integration bridge
	vlan   uint16 // 0 except for the end on the integration bridge
	exists bool
}

// An occupant is an existing object that has a name.
type occupant struct {
	what   string
	ours   bool
	key    key
	bridge *BridgeRow // the bridge itself, or the bridge that the object belongs to
	self   bool       // it is the bridge itself
}

// A planner holds the intermediate results of one call to Plan.
type planner struct {
	s State
	d Desired

	want  map[string]*Bridge   // desired bridges, by router; empty if no router can be realized
	ports map[string]*wantPort // ports of the desired interfaces, by name
	plist []*wantPort          // the same ports, in the order of d
	names map[string][]occupant
	br    *BridgeRow // the integration bridge, nil if it does not exist

	bridges map[string]*BridgeRow // the existing bridges, by name

	heldRouters map[string]bool
	heldIfaces  map[key]bool

	placeholders              map[string]string // of bridges to insert, by name
	serial                    int
	removes, updates, inserts []Op
	problems                  []Problem
}

func (p *planner) problem(x Problem) { p.problems = append(p.problems, x) }

func (p *planner) ops() []Op {
	return append(append(p.removes, p.updates...), p.inserts...)
}

// held reports whether the rows with key k must stay unchanged.
func (p *planner) held(k key) bool { return p.heldRouters[k.router] || p.heldIfaces[k] }

// index records the occupants of each name. Bridges, ports and interfaces share one name
// space, because a bridge has a port of its name, and a port has an interface of its name.
func (p *planner) index() {
	add := func(name string, o occupant) { p.names[name] = append(p.names[name], o) }
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		p.bridges[b.Name] = b
		add(b.Name, occupant{what: "bridge " + b.Name, ours: isOurs(b.ExternalIDs), key: key{router: b.Router()}, bridge: b, self: true})
		for j := range b.Ports {
			port := &b.Ports[j]
			o := occupant{ours: isOurs(port.ExternalIDs), key: keyOf(port.ExternalIDs), bridge: b}
			if isLocal(b, port) {
				o.ours, o.key, o.self = isOurs(b.ExternalIDs), key{router: b.Router()}, true
			} else {
				o.what = fmt.Sprintf("port %s on bridge %s", port.Name, b.Name)
				add(port.Name, o)
			}
			for _, iface := range port.Interfaces {
				if iface.Name != port.Name {
					o.what = fmt.Sprintf("interface %s of port %s on bridge %s", iface.Name, port.Name, b.Name)
					add(iface.Name, o)
				}
			}
		}
	}
}

// stays reports whether b will exist after the plan is carried out.
func (p *planner) stays(b *BridgeRow) bool {
	if !isOurs(b.ExternalIDs) || p.heldRouters[b.Router()] || p.isWanted(b) {
		return true
	}
	return len(b.foreignPorts()) > 0
}

// isWanted reports whether our bridge b is its router's desired bridge.
func (p *planner) isWanted(b *BridgeRow) bool {
	w := p.want[b.Router()]
	return w != nil && w.Name == b.Name
}

// taken returns the occupant that prevents k from using name on the given bridge.
func (p *planner) taken(name string, k key, bridge string) (occupant, bool) {
	for _, o := range p.names[name] {
		switch {
		case !p.stays(o.bridge): // o is removed together with its bridge
		case !o.ours:
			return o, true
		case o.self:
			if k.iface != "" || o.key.router != k.router {
				return o, true
			}
		case o.key == k && o.bridge.Name == bridge: // o belongs to k
		case p.held(o.key):
			return o, true
		}
	}
	return occupant{}, false
}

// hold finds the routers and interfaces that existing objects block. A held object keeps its
// name and therefore may block another object. hold repeats the search until it finds nothing
// new.
func (p *planner) hold() {
	if p.d.Partial {
		for _, router := range p.s.Routers() {
			p.heldRouters[router] = p.want[router] == nil
		}
	}
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		w := p.want[b.Router()]
		if !isOurs(b.ExternalIDs) || w == nil || w.Name == b.Name || p.heldRouters[w.Router] {
			continue
		}
		if f := b.foreignPorts(); len(f) > 0 {
			p.heldRouters[w.Router] = true
			p.problem(foreignPorts(b, f, "it cannot be replaced by bridge "+w.Name))
		}
	}
	p.holdLinks()
	for again := true; again; {
		again = false
		for i := range p.d.Bridges {
			b := &p.d.Bridges[i]
			if p.heldRouters[b.Router] {
				continue
			}
			if o, ok := p.taken(b.Name, key{router: b.Router}, b.Name); ok {
				p.heldRouters[b.Router], again = true, true
				p.problem(nameTaken("bridge "+b.Name, key{router: b.Router}, o))
			}
		}
		for _, w := range p.plist {
			if p.held(w.key) {
				continue
			}
			if o, ok := p.taken(w.name, w.key, w.bridge); ok {
				p.heldIfaces[w.key], again = true, true
				p.problem(nameTaken(w.what+" "+w.name, w.key, o))
			}
		}
	}
}

// holdLinks finds the bridges and taps to insert whose names are used by kernel links
// of other programs.
func (p *planner) holdLinks() {
	taken := func(name string) (occupant, bool) {
		if p.d.Link == nil || len(p.names[name]) > 0 { // an existing row already owns the link or the name
			return occupant{}, false
		}
		link := p.d.Link(name)
		return occupant{what: link}, link != ""
	}
	for i := range p.d.Bridges {
		b := &p.d.Bridges[i]
		if o, ok := taken(b.Name); ok && !p.heldRouters[b.Router] {
			p.heldRouters[b.Router] = true
			p.problem(nameTaken("bridge "+b.Name, key{router: b.Router}, o))
		}
	}
	for _, w := range p.plist {
		if w.typ != typeInternal || p.held(w.key) {
			continue
		}
		if o, ok := taken(w.name); ok {
			p.heldIfaces[w.key] = true
			p.problem(nameTaken(w.what+" "+w.name, w.key, o))
		}
	}
}

func nameTaken(object string, k key, o occupant) Problem {
	x := Problem{Kind: NameTaken, Router: k.router, Interface: k.iface, Object: object}
	if o.ours {
		x.Detail = fmt.Sprintf("the name is in use by %s of router %q, which could not be changed", o.what, o.key.router)
		x.Remedy = "solve the problem of that router first"
		return x
	}
	x.Detail = "the name is in use by " + o.what + ", which does not belong to ofdvr"
	x.Remedy = "remove it, or choose another name"
	return x
}

func foreignPorts(b *BridgeRow, ports []string, why string) Problem {
	return Problem{Kind: ForeignPorts, Router: b.Router(), Object: "bridge " + b.Name,
		Detail: why + ", because it has ports that do not belong to ofdvr: " + strings.Join(ports, ", "),
		Remedy: "remove them with `ovs-vsctl del-port`"}
}
