package ovsdb

import (
	"fmt"
	"strings"
)

// Plan returns the operations that make s what d wants, for one transaction,
// and what keeps parts of d from coming true. There are no operations if and
// only if nothing is left to do; the order of both is deterministic.
//
// A router or an interface with a [Problem] is held: what exists of it stays
// exactly as it is, and the rest of d is done. Names cannot be changed in
// OVSDB, so an object that is to have another name is replaced. Problems of
// the kinds [ForeignController] and [SwitchError] hold nothing.
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
			Remedy: "if this stays, remove it with `ovs-vsctl remove open_vswitch . other_config flow-restore-wait`"})
	}
	p.index()
	p.br = p.bridges[d.IntegrationBridge]
	p.wanted()
	p.hold()
	p.existing()
	p.missing()
	return p.ops(), p.problems
}

// A key identifies a router interface, or with iface "" a routing bridge.
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
	vlan   uint16 // likewise
	exists bool
}

// An occupant is something in the state that has a name.
type occupant struct {
	what   string
	ours   bool
	key    key
	bridge *BridgeRow // that it is or belongs to
	self   bool       // it is the bridge
}

// A planner holds the intermediate results of one call to Plan.
type planner struct {
	s State
	d Desired

	want  map[string]*Bridge   // bridges, by router; none if no router can be realized
	ports map[string]*wantPort // ports of their interfaces, by name
	plist []*wantPort          // the same, in the order of d
	names map[string][]occupant
	br    *BridgeRow // the integration bridge, nil if it does not exist

	bridges map[string]*BridgeRow // those of s, by name

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

// held reports whether what carries k is to be left as it is.
func (p *planner) held(k key) bool { return p.heldRouters[k.router] || p.heldIfaces[k] }

// index notes who has which name. Bridges, ports and interfaces share one
// space of names: a bridge has a port, and a port an interface, of its name.
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

// stays reports whether b will exist when the plan has been carried out.
func (p *planner) stays(b *BridgeRow) bool {
	if !isOurs(b.ExternalIDs) || p.heldRouters[b.Router()] || p.isWanted(b) {
		return true
	}
	return len(b.foreignPorts()) > 0
}

// isWanted reports whether b, a bridge of ours, is what its router wants.
func (p *planner) isWanted(b *BridgeRow) bool {
	w := p.want[b.Router()]
	return w != nil && w.Name == b.Name
}

// taken returns what keeps k from having name on the given bridge.
func (p *planner) taken(name string, k key, bridge string) (occupant, bool) {
	for _, o := range p.names[name] {
		switch {
		case !p.stays(o.bridge): // goes, and o with it
		case !o.ours:
			return o, true
		case o.self:
			if k.iface != "" || o.key.router != k.router {
				return o, true
			}
		case o.key == k && o.bridge.Name == bridge: // it is k's own
		case p.held(o.key):
			return o, true
		}
	}
	return occupant{}, false
}

// hold finds what cannot be done because of what exists. That something is
// held can take a name from something else, so it goes on until nothing new
// is found.
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

// holdLinks finds names of bridges and taps to insert that links of other programs have.
func (p *planner) holdLinks() {
	taken := func(name string) (occupant, bool) {
		if p.d.Link == nil || len(p.names[name]) > 0 { // what is in the database has made its link, or decides
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
	x.Detail = "the name is in use by " + o.what + ", which is not ours"
	x.Remedy = "remove it, or choose another name"
	return x
}

func foreignPorts(b *BridgeRow, ports []string, why string) Problem {
	return Problem{Kind: ForeignPorts, Router: b.Router(), Object: "bridge " + b.Name,
		Detail: why + ", because it has ports that are not ours: " + strings.Join(ports, ", "),
		Remedy: "remove them with `ovs-vsctl del-port`"}
}
