package compile

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ofdvr/ofdvr/internal/sorted"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// FabricFacts are observations of the fabric bridge.
type FabricFacts struct {
	Host  string // the ID of this host
	Ports Ports
	Can   Capabilities
}

// A fabricSource is everything that the Program of a fabric bridge depends on.
type fabricSource struct {
	host     string
	can      Capabilities
	ports    Ports
	peers    []*routing.Host // all other hosts with a tunnel, by ID
	uplinks  []*routing.Host // all other hosts with an uplink, by ID
	networks []spanning
	hello    ofproto.MeterID // limits messages of other hosts; 0 if the switch has no meters
	missing  []string
}

// A spanning is a network that spans hosts.
type spanning struct {
	*routing.Members
	port   ofproto.PortNo  // to the integration bridge
	uplink ofproto.PortNo  // 0 if tunnels carry it
	group  ofproto.GroupID // all hosts with machines of the network
	meter  ofproto.MeterID // limits broadcasts; 0 if the switch has no meters

	all     ofproto.GroupID // all hosts
	answers ofproto.MeterID // limits answers to other hosts' namespaces; 0 if the switch has no meters

	legs   []fabricLeg
	groups map[string]int // the number of its ports on each other host
	moved  bool           // groups has other hosts than in the previous source
}

// A fabricLeg is an interface of a managed router on a spanning network.
type fabricLeg struct {
	routing.Leg
	port ofproto.PortNo // to the router's bridge
}

// The number of broadcasts a second that a host sends to the other hosts of each network, and of
// answers to their namespaces.
const floodRate = 1000

// The number of messages of other hosts that a switch sends to the controller a second.
const helloRate = 5000

// HelloType is the EtherType of messages between hosts; their VNI is 0.
const HelloType = 0x88b5

// CompileFabric translates the networks that span hosts into the program of the fabric bridge of
// facts.Host. The result does not depend on prev, only the speed does. If prev is an earlier
// Program of the bridge and only ports have changed, the time depends on the number of changed
// ports.
func CompileFabric(prev Program, x *routing.Index, facts FabricFacts) Program {
	s := fabricSourceOf(x, facts, prev.fabric)
	if prev.fabric == nil || !s.differsInPorts(prev.fabric) {
		c := fabricCompiler{fabricSource: s}
		c.all()
		return Program{Flows: ofproto.SetOf(c.flows), Groups: s.groupEntries(), Meters: s.meterEntries(), Missing: s.missing,
			Objects: Objects{sorted.Of[labelled, byCookie](c.objects)}, fabric: s}
	}
	gone, come := fabricCompiler{fabricSource: prev.fabric}, fabricCompiler{fabricSource: s}
	for i := range s.networks {
		was, is := &prev.fabric.networks[i], &s.networks[i]
		for p, q := range was.Changed(is.Members) {
			if p != nil {
				gone.machine(was, p)
			}
			if q != nil {
				come.machine(is, q)
			}
		}
	}
	groups := prev.Groups
	if slices.ContainsFunc(s.networks, func(n spanning) bool { return n.moved }) {
		groups = s.groupEntries()
	}
	return Program{Flows: prev.Flows.Exchange(gone.flows, come.flows), Groups: groups, Meters: prev.Meters, Missing: s.missing,
		Objects: Objects{sorted.Exchange(prev.Objects.set, gone.objects, come.objects)}, fabric: s}
}

// Carries reports whether p, a Program of the fabric bridge, has flows for a router interface.
func (p Program) Carries(iface string) bool {
	if p.fabric == nil {
		return false
	}
	return slices.ContainsFunc(p.fabric.networks, func(n spanning) bool {
		return slices.ContainsFunc(n.legs, func(l fabricLeg) bool { return l.ID == iface && l.port != 0 })
	})
}

// ByUplink returns how p, a Program of the fabric bridge, sends a packet of a router interface out of the
// uplink: the source MAC address, and the actions. ok is false if no uplink carries the interface's
// network.
func (p Program) ByUplink(iface string) (src ofproto.MAC, actions ofproto.Actions, ok bool) {
	if p.fabric == nil {
		return src, actions, false
	}
	for i := range p.fabric.networks {
		n := &p.fabric.networks[i]
		if n.uplink != 0 && slices.ContainsFunc(n.legs, func(l fabricLeg) bool { return l.ID == iface }) {
			return routing.UplinkMAC(p.fabric.host, iface), ofproto.ActionsOf(n.tagged()...), true
		}
	}
	return src, actions, false
}

// Joins reports whether p, a Program of a routing bridge, sends packets of an interface to the fabric
// bridge.
func (p Program) Joins(iface string) bool {
	return slices.ContainsFunc(p.source.legs, func(l leg) bool { return l.ID == iface && l.fabric != 0 })
}

// fabricSourceOf returns the source of the Program. It reuses the expensive parts of prev,
// which may be nil.
func fabricSourceOf(x *routing.Index, facts FabricFacts, prev *fabricSource) *fabricSource {
	s := &fabricSource{host: facts.Host, can: facts.Can, ports: facts.Ports}
	for h := range x.Hosts("") {
		if h.ID != s.host && h.Tunnel.Address.IsValid() {
			s.peers = append(s.peers, h)
		}
		if h.ID != s.host && h.Uplink != "" {
			s.uplinks = append(s.uplinks, h)
		}
	}
	find := func(name string) ofproto.PortNo {
		no, ok := facts.Ports[name]
		if !ok {
			s.missing = append(s.missing, name)
		}
		return no
	}
	var all []routing.Network
	carrier := make(map[string]routing.Carrier)
	for n := range x.Networks("") {
		if by := routing.CarrierOf(x, s.host, &n); by != routing.NotCarried {
			carrier[n.ID] = by
			all = append(all, n)
		}
	}
	ids := numbers(2*len(all)+1, func(i int) string {
		switch {
		case i == len(all):
			return "\x00hello"
		case i > len(all):
			return "\x00answers" + all[i-len(all)-1].ID
		}
		return all[i].ID
	}, uint32(lastMeter-firstMeter), uint32(meterProbe-firstMeter))
	if s.can.Has(CanMeter) {
		s.hello = firstMeter + ofproto.MeterID(ids[len(all)])
	}
	for i := range all {
		n := spanning{Members: x.Members(all[i].ID), port: find(all[i].FabricPort()), group: groupMark | ofproto.GroupID(ids[i]), all: groupMark | ofproto.GroupID(ids[len(all)+1+i])}
		uplinked := carrier[n.ID] == routing.ByUplink
		if uplinked {
			n.uplink = find(x.Host(s.host).Uplink)
		}
		if s.can.Has(CanMeter) {
			n.meter, n.answers = firstMeter+ofproto.MeterID(ids[i]), firstMeter+ofproto.MeterID(ids[len(all)+1+i])
		}
		for _, l := range n.Legs() {
			if l.Router.Bridge.Managed {
				n.legs = append(n.legs, fabricLeg{l, find(l.Router.FabricPort())})
			}
		}
		s.count(&n, prev)
		if n.port != 0 && (!uplinked || n.uplink != 0) {
			s.networks = append(s.networks, n)
		}
	}
	slices.Sort(s.missing)
	s.missing = slices.Compact(s.missing)
	return s
}

// count sets the number of n's ports on each other host.
func (s *fabricSource) count(n *spanning, prev *fabricSource) {
	var out map[string]int
	shared, was := false, new(routing.Members)
	if prev != nil && prev.host == s.host && slices.EqualFunc(s.peers, prev.peers, (*routing.Host).Equal) {
		i, ok := slices.BinarySearchFunc(prev.networks, n.ID, func(m spanning, id string) int { return cmp.Compare(m.ID, id) })
		if ok {
			out, was, shared = prev.networks[i].groups, prev.networks[i].Members, true
		}
	}
	before := out
	add := func(p *routing.Port, by int) {
		if p == nil {
			return
		}
		if h := s.hostOf(p); h != nil {
			if out == nil || shared {
				out, shared = maps.Clone(out), false
			}
			if out == nil {
				out = make(map[string]int)
			}
			if out[h.ID] += by; out[h.ID] == 0 {
				delete(out, h.ID)
			}
		}
	}
	for p, q := range was.Changed(n.Members) {
		add(p, -1)
		add(q, 1)
	}
	n.groups = out
	n.moved = !shared && !maps.EqualFunc(out, before, func(int, int) bool { return true })
}

// hostOf returns the host of p, or nil if p is on this host or its host is not known.
func (s *fabricSource) hostOf(p *routing.Port) *routing.Host {
	if p.Host == "" || p.Host == s.host {
		return nil
	}
	return s.peer(p.Host)
}

// peer returns the other host called id, or nil if it does not exist or has no tunnel.
func (s *fabricSource) peer(id string) *routing.Host {
	i, ok := slices.BinarySearchFunc(s.peers, id, func(h *routing.Host, id string) int { return cmp.Compare(h.ID, id) })
	if !ok {
		return nil
	}
	return s.peers[i]
}

// differsInPorts reports whether s and t are equal except for the ports of their networks.
func (s *fabricSource) differsInPorts(t *fabricSource) bool {
	return s.host == t.host && s.can == t.can && s.hello == t.hello && maps.Equal(s.ports, t.ports) && slices.EqualFunc(s.peers, t.peers, (*routing.Host).Equal) && slices.EqualFunc(s.uplinks, t.uplinks, (*routing.Host).Equal) &&
		slices.EqualFunc(s.networks, t.networks, func(n, m spanning) bool {
			return n.Network.Equal(&m.Network) && n.port == m.port && n.uplink == m.uplink && n.group == m.group && n.meter == m.meter && n.all == m.all && n.answers == m.answers &&
				slices.EqualFunc(n.legs, m.legs, func(k, l fabricLeg) bool { return k.Router == l.Router && k.ID == l.ID && k.port == l.port })
		})
}

// tunnel returns the port of the tunnels to h.
func (s *fabricSource) tunnel(h *routing.Host) ofproto.PortNo {
	return s.ports[h.Tunnel.Type.PortName()]
}

// send returns the actions that send a packet of n to h.
func (s *fabricSource) send(n *spanning, h *routing.Host) []ofproto.Action {
	return []ofproto.Action{
		ofproto.SetField{Field: ofproto.TunID(uint64(n.VNI))},
		ofproto.SetField{Field: ofproto.TunDst(h.Tunnel.Address)},
		ofproto.Output{Port: s.tunnel(h)},
	}
}
