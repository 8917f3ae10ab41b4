package ovsdb

import (
	"cmp"
	"fmt"
	"strconv"
)

// maxVLAN is the highest tag of a network.
const maxVLAN = 4094

// access makes port an access port of vlan.
func (o *Op) access(port *PortRow, vlan uint16) {
	if port.Tag == nil || *port.Tag != int(vlan) {
		o.set("tag", int(vlan))
	}
	if port.VLANMode != "" && port.VLANMode != "access" {
		o.set("vlan_mode", []string{})
	}
	if len(port.Trunks) > 0 {
		o.set("trunks", []int{})
	}
}

// tags sets the desired tags and marks of machines' ports on the integration bridge. It disconnects other
// ports that still have a tag from us.
func (p *planner) tags() {
	if p.d.Tag != nil && p.br == nil { // tags stay if the bridge is missing, because the configured name may be wrong
		return
	}
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		for j := range b.Ports {
			port := &b.Ports[j]
			if isOurs(port.ExternalIDs) || isLocal(b, port) {
				continue
			}
			if t, ok := p.tagOf(port); ok && b == p.br {
				o := Op{Row: port.row(), Parent: b.row(), Fabric: true, Network: t.Network}
				o.access(port, t.VLAN)
				o.put("external_ids", port.ExternalIDs, map[string]string{KeyTag: strconv.Itoa(int(t.VLAN))})
				p.turn(&o, b, port)
				p.update(o)
			} else if mark, marked := port.ExternalIDs[KeyTag]; marked && !p.d.Partial {
				p.release(b, port, mark)
			} else {
				o := Op{Row: port.row(), Parent: b.row(), Fabric: true}
				p.turn(&o, b, port)
				p.update(o)
			}
		}
	}
}

// turn changes the mark [KeyTurn] of a port of bridge b.
func (p *planner) turn(o *Op, b *BridgeRow, port *PortRow) {
	if p.d.Turns == nil || p.br == nil {
		return
	}
	if b == p.br {
		for i := range port.Interfaces {
			if n := p.d.Turns[port.Interfaces[i].ExternalIDs[KeyIfaceID]]; n != 0 {
				o.put("external_ids", port.ExternalIDs, map[string]string{KeyTurn: strconv.FormatUint(n, 10)})
				return
			}
		}
	}
	if !p.d.Partial {
		o.drop("external_ids", port.ExternalIDs, KeyTurn)
	}
}

// tagOf returns the desired tag of a port of the integration bridge.
func (p *planner) tagOf(port *PortRow) (Tag, bool) {
	if p.d.Tag == nil {
		return Tag{}, false
	}
	for i := range port.Interfaces {
		if id := port.Interfaces[i].ExternalIDs[KeyIfaceID]; id != "" {
			if t, ok := p.d.Tag(id); ok {
				return t, true
			}
		}
	}
	return Tag{}, false
}

// release removes our mark from port, and puts the port into the dead VLAN. (Without a tag it would
// be a trunk, which gets the packets of all networks.) The tag stays if the intent gives it to the
// network.
func (p *planner) release(b *BridgeRow, port *PortRow, mark string) {
	o := Op{Row: port.row(), Parent: b.row(), Fabric: true}
	switch {
	case port.Tag == nil:
	case strconv.Itoa(*port.Tag) == mark:
		if b != p.br || !p.given(port) {
			o.set("tag", deadVLAN)
			o.set("vlan_mode", "trunk")
			o.set("trunks", []int{deadVLAN})
		}
	default:
		p.problem(Problem{Kind: TagChanged, Fabric: true, Object: fmt.Sprintf("port %s on bridge %s", port.Name, b.Name),
			Detail: fmt.Sprintf("ofdvr had given it tag %s, and another program has set tag %d since, which stays", mark, *port.Tag),
			Remedy: fmt.Sprintf("if the port belongs to no network, run `ovs-vsctl set Port %s tag=%d vlan_mode=trunk trunks=%[2]d`", port.Name, deadVLAN)})
	}
	o.drop("external_ids", port.ExternalIDs, KeyTag, KeyTurn)
	p.update(o)
}

// given reports whether port has the tag that the intent gives the network of its machine.
func (p *planner) given(port *PortRow) bool {
	if p.d.GivenTag == nil {
		return false
	}
	for i := range port.Interfaces {
		if id := port.Interfaces[i].ExternalIDs[KeyIfaceID]; id != "" {
			if t := p.d.GivenTag(id); t != 0 && int(t) == *port.Tag {
				return true
			}
		}
	}
	return false
}

// A VLANChoice is a network for which [Tags] chooses the tag on the integration bridge.
type VLANChoice struct {
	ID   string
	VLAN uint16   // the given tag; 0 if Tags allocates it
	Ours []string // names of our ports on the integration bridge that have the tag
}

// Tags returns the tag of each network on the integration bridge, by ID. This is the first of
// these that exists:
//   - the given tag
//   - the tag of one of the network's ports, so that the tag does not change
//   - the lowest tag that no port on the bridge uses and that is not a given tag of a network
//
// Tags allocates in the order of networks. If no tag is free, the network is missing from the
// result. taken has given tags of other networks. The function network returns the network of
// a machine by external_ids:iface-id, or "" if it is not known.
func Tags(s State, integrationBridge string, networks []VLANChoice, taken []uint16, network func(ifaceID string) string) map[string]uint16 {
	var chosen, used vlans // tags chosen for a network; tags used by a port
	for _, tag := range taken {
		chosen.add(int(tag))
	}
	own := make(map[string]int) // tag of each port in Ours, by the port's name
	out := make(map[string]uint16, len(networks))
	for _, n := range networks {
		if n.VLAN != 0 {
			chosen.add(int(n.VLAN))
			out[n.ID] = n.VLAN
		}
		for _, name := range n.Ours {
			own[name] = 0
		}
	}
	of := make(map[string]int) // tag of a machine's port of each network, by network
	b, _ := s.Bridge(integrationBridge)
	for i := range b.Ports {
		port := &b.Ports[i]
		tag := value(port.Tag)
		if _, ok := own[port.Name]; ok && isOurs(port.ExternalIDs) {
			own[port.Name] = tag
			continue
		}
		for _, t := range port.Trunks {
			used.add(t)
		}
		if port.ExternalIDs[KeyTag] != strconv.Itoa(tag) {
			used.add(tag)
			continue
		}
		for k := range port.Interfaces { // count the tag only if we have set it
			if n := network(port.Interfaces[k].ExternalIDs[KeyIfaceID]); n != "" {
				of[n] = cmp.Or(of[n], tag)
				break
			}
		}
	}
	for _, n := range networks {
		for _, name := range n.Ours {
			if out[n.ID] == 0 && chosen.add(own[name]) {
				out[n.ID] = uint16(own[name])
			}
		}
	}
	for _, n := range networks {
		if out[n.ID] == 0 && chosen.add(of[n.ID]) {
			out[n.ID] = uint16(of[n.ID])
		}
	}
	next := 1
	for _, n := range networks {
		if out[n.ID] != 0 {
			continue
		}
		for next <= maxVLAN && (used[next] || !chosen.add(next)) {
			next++
		}
		if next > maxVLAN {
			break
		}
		out[n.ID] = uint16(next)
	}
	return out
}

// vlans is a set of the tags of networks.
type vlans [maxVLAN + 1]bool

// add adds a tag. It returns false if the set already has the tag, or if a network cannot have
// it.
func (v *vlans) add(tag int) bool {
	if tag < 1 || tag > maxVLAN || v[tag] {
		return false
	}
	v[tag] = true
	return true
}
