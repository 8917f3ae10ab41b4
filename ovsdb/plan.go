package ovsdb

import (
	"fmt"
	"strings"
)

// Plan returns the operations of one transaction that turn s into d, and the problems that
// prevent parts of d. If and only if s needs no change, it returns no operations. The order of
// both results is deterministic.
//
// A router, an interface, the fabric or a part of it with a [Problem] is held: its existing rows
// stay unchanged. The rest of d is realized. OVSDB cannot change names. To change an object's name,
// the plan replaces the object. Problems of the kinds [ForeignController], [SwitchError] and
// [TagChanged] hold nothing.
func Plan(s State, d Desired) ([]Op, []Problem) {
	p := &planner{
		s: s, d: d,
		want:         map[key]*wantBridge{},
		ports:        map[string]*wantPort{},
		names:        map[string][]occupant{},
		bridges:      map[string]*BridgeRow{},
		heldKeys:     map[key]bool{},
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
	p.tags()
	return p.ops(), p.problems
}

// A key identifies a part that is realized or held as a whole, by the marks of its rows. These
// fields are set:
//   - router, for a routing bridge
//   - router and iface, for a router interface
//   - fabric, for the fabric bridge
//   - fabric and tunnel or uplink, for a port of the fabric bridge
//   - fabric and network or router, for the patch ports between the fabric bridge and a
//     network or router
type key struct {
	router, iface   string
	fabric          bool
	tunnel, network string
	uplink          bool
}

func keyOf(externalIDs map[string]string) key {
	if externalIDs[KeyFabric] != "true" {
		return key{router: externalIDs[KeyRouter], iface: externalIDs[KeyInterface]}
	}
	return key{fabric: true, router: externalIDs[KeyRouter], tunnel: externalIDs[KeyTunnel], network: externalIDs[KeyNetwork], uplink: externalIDs[KeyUplink] == "true"}
}

// bridge returns the key of the bridge that k belongs to.
func (k key) bridge() key {
	if k.fabric {
		return key{fabric: true}
	}
	return key{router: k.router}
}

// owner describes k's bridge in messages.
func (k key) owner() string {
	if k.fabric {
		return "the fabric"
	}
	return fmt.Sprintf("router %q", k.router)
}

// op returns o with the objects of k filled in.
func (k key) op(o Op) Op {
	o.Router, o.Interface, o.Fabric, o.Network = k.router, k.iface, k.fabric, k.network
	return o
}

// problem returns x with the objects of k filled in.
func (k key) problem(x Problem) Problem {
	x.Router, x.Interface, x.Fabric, x.Network = k.router, k.iface, k.fabric, k.network
	return x
}

// A wantBridge is a desired bridge: a routing bridge or the fabric bridge.
type wantBridge struct {
	key        key
	name       string
	datapathID uint64
}

// A wantPort is one of the ports of a router interface or of the fabric.
type wantPort struct {
	key     key
	bridge  string // name of the bridge that it belongs to
	name    string
	what    string // noun for messages: patch port, tap, tunnel port
	typ     string // Interface.type
	options map[string]string
	mac     string // MAC address of a router interface, on its port on the integration bridge; "" for other ports
	vlan    uint16 // 0 except for ports on the integration bridge
	exists  bool
}

// An occupant is an existing object that uses a name.
type occupant struct {
	what   string
	ours   bool
	key    key
	bridge *BridgeRow // the bridge itself, or the object's bridge
	self   bool       // the object is the bridge itself
}

// A planner holds the intermediate results of one call to Plan.
type planner struct {
	s State
	d Desired

	want  map[key]*wantBridge  // desired bridges; empty if none can be realized
	blist []*wantBridge        // the bridges in want, in the order of d
	ports map[string]*wantPort // desired ports, by name
	plist []*wantPort          // the desired ports, in the order of d
	names map[string][]occupant
	br    *BridgeRow // the integration bridge, nil if it does not exist

	bridges map[string]*BridgeRow // the existing bridges, by name

	heldKeys map[key]bool

	placeholders              map[string]string // placeholders of bridges to insert, by name
	serial                    int
	removes, updates, inserts []Op
	problems                  []Problem
}

func (p *planner) problem(x Problem) { p.problems = append(p.problems, x) }

func (p *planner) ops() []Op {
	return append(append(p.removes, p.updates...), p.inserts...)
}

// held reports whether the rows with key k must stay unchanged.
func (p *planner) held(k key) bool {
	return p.heldKeys[k] || p.heldKeys[k.bridge()] || k.fabric && k.router != "" && p.heldKeys[key{router: k.router}]
}

// index records the occupants of each name. Bridges, ports and interfaces share one name space:
// each bridge has a port with its name, and each port an interface with its name.
func (p *planner) index() {
	add := func(name string, o occupant) { p.names[name] = append(p.names[name], o) }
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		p.bridges[b.Name] = b
		add(b.Name, occupant{what: "bridge " + b.Name, ours: isOurs(b.ExternalIDs), key: b.key(), bridge: b, self: true})
		for j := range b.Ports {
			port := &b.Ports[j]
			o := occupant{ours: isOurs(port.ExternalIDs), key: keyOf(port.ExternalIDs), bridge: b}
			if isLocal(b, port) {
				o.ours, o.key, o.self = isOurs(b.ExternalIDs), b.key(), true
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
	if !isOurs(b.ExternalIDs) || p.held(b.key()) || p.isWanted(b) {
		return true
	}
	return len(b.foreignPorts()) > 0
}

// isWanted reports whether b, one of our bridges, is desired.
func (p *planner) isWanted(b *BridgeRow) bool {
	w := p.want[b.key()]
	return w != nil && w.name == b.Name
}

// taken returns the occupant that prevents k from using name on the given bridge.
func (p *planner) taken(name string, k key, bridge string) (occupant, bool) {
	for _, o := range p.names[name] {
		switch {
		case !p.stays(o.bridge): // o is removed together with its bridge
		case !o.ours:
			return o, true
		case o.self:
			if o.key != k {
				return o, true
			}
		case o.key == k && o.bridge.Name == bridge: // o belongs to k
		case p.held(o.key):
			return o, true
		}
	}
	return occupant{}, false
}

// hold holds the parts that need a name that an existing object keeps. A held object keeps its
// own name, and so may block another part. Therefore hold repeats until it finds no more.
func (p *planner) hold() {
	if p.d.Partial {
		p.holdUnlisted()
	}
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		w := p.want[b.key()]
		if !isOurs(b.ExternalIDs) || w == nil || w.name == b.Name || p.held(w.key) {
			continue
		}
		if f := b.foreignPorts(); len(f) > 0 {
			p.heldKeys[w.key] = true
			p.problem(foreignPorts(b, f, "it cannot be replaced by bridge "+w.name))
		}
	}
	p.holdLinks()
	for again := true; again; {
		again = false
		for _, w := range p.blist {
			if p.held(w.key) {
				continue
			}
			if o, ok := p.taken(w.name, w.key, w.name); ok {
				p.heldKeys[w.key], again = true, true
				p.problem(nameTaken("bridge "+w.name, w.key, o))
			}
		}
		for _, w := range p.plist {
			if p.held(w.key) {
				continue
			}
			if o, ok := p.taken(w.name, w.key, w.bridge); ok {
				p.heldKeys[w.key], again = true, true
				p.problem(nameTaken(w.what+" "+w.name, w.key, o))
			}
		}
	}
}

// holdUnlisted holds existing routers that are not in d, and existing parts of the fabric.
func (p *planner) holdUnlisted() {
	wanted := make(map[key]bool)
	for _, w := range p.plist {
		wanted[w.key] = true
	}
	unlisted := func(k key) {
		switch {
		case p.want[k.bridge()] == nil:
			p.heldKeys[k.bridge()] = true
		case k.fabric && k != k.bridge() && !wanted[k]:
			p.heldKeys[k] = true
		}
	}
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		if isOurs(b.ExternalIDs) {
			unlisted(b.key())
		}
		for j := range b.Ports {
			if port := &b.Ports[j]; isOurs(port.ExternalIDs) {
				unlisted(keyOf(port.ExternalIDs))
			}
		}
	}
}

// If another program has a kernel link with the name of a bridge or tap to insert, holdLinks holds
// the bridge or tap.
func (p *planner) holdLinks() {
	taken := func(name string) (occupant, bool) {
		if p.d.Link == nil || len(p.names[name]) > 0 { // an existing row already owns the link or the name
			return occupant{}, false
		}
		link := p.d.Link(name)
		return occupant{what: link}, link != ""
	}
	for _, w := range p.blist {
		if o, ok := taken(w.name); ok && !p.held(w.key) {
			p.heldKeys[w.key] = true
			p.problem(nameTaken("bridge "+w.name, w.key, o))
		}
	}
	for _, w := range p.plist {
		if w.key.uplink && p.d.HostAddresses != nil && len(p.names[w.name]) == 0 && !p.held(w.key) {
			if a := p.d.HostAddresses(w.name); a != "" {
				p.heldKeys[w.key] = true
				p.problem(w.key.problem(Problem{Kind: HostAddresses, Object: w.what + " " + w.name,
					Detail: fmt.Sprintf("it has addresses of this host (%s), which the host would lose if it became a port of bridge %s", a, w.bridge),
					Remedy: "move them to another interface, or choose another uplink"}))
			}
		}
		if w.typ != typeInternal || p.held(w.key) {
			continue
		}
		if o, ok := taken(w.name); ok {
			p.heldKeys[w.key] = true
			p.problem(nameTaken(w.what+" "+w.name, w.key, o))
		}
	}
}

func nameTaken(object string, k key, o occupant) Problem {
	x := k.problem(Problem{Kind: NameTaken, Object: object})
	if o.ours {
		x.Detail = fmt.Sprintf("the name is in use by %s of %s, which could not be changed", o.what, o.key.owner())
		x.Remedy = "solve the problem of that router first"
		if o.key.fabric {
			x.Remedy = "solve the problem of the fabric first"
		}
		return x
	}
	x.Detail = "the name is in use by " + o.what + ", which does not belong to ofdvr"
	x.Remedy = "remove it, or choose another name"
	return x
}

func foreignPorts(b *BridgeRow, ports []string, why string) Problem {
	return b.key().problem(Problem{Kind: ForeignPorts, Object: "bridge " + b.Name,
		Detail: why + ", because it has ports that do not belong to ofdvr: " + strings.Join(ports, ", "),
		Remedy: "remove them with `ovs-vsctl del-port`"})
}
