package machines

import (
	"fmt"
	"slices"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A basis is the kind of evidence behind a decision.
type basis uint8

const (
	noTrace      basis = iota // there is no evidence
	blind                     // the bridge cannot be read
	noTable                   // the MAC table cannot be read, and the database has no matching port
	notOnBridge               // only routers with external bridges join the network
	learnedHere               // the MAC table has the address in the network's VLAN
	learnedOther              // the MAC table has the address in another VLAN
	plugged                   // an interface in the VLAN has the port's ID or MAC address
	wrongVLAN                 // such an interface is in another VLAN
	wrongMAC                  // the interface with the port's ID has another MAC address
	cannotPass                // no packet can pass such an interface
	otherHost                 // another host claims the machine
	expected                  // the intent expects it on another host, which does not claim it
)

// A found is the result of locate for a port: where its machine is, and by which evidence.
type found struct {
	state State
	basis basis
	at    *bridgePort       // nil if none exists
	entry ovstrace.MACEntry // the entry of learnedHere or learnedOther
	vlan  uint16
	mac   ofproto.MAC // of wrongMAC
}

// locate decides where the machine of p is, by the first evidence of these:
//   - an entry of the MAC table in the right VLAN, because packets came from there
//   - an interface with the port's ID or MAC address
//   - an entry of the MAC table in another VLAN
func (v *View) locate(p *routing.Port) found {
	if f, ok := v.across(p); ok {
		return f
	}
	if v.e.nothing != "" {
		return found{state: Unknown, basis: blind}
	}
	want, untagged := v.vlan(p.Network), v.untagged(p.Network)
	if f, ok := v.learned(p, want); ok && !untagged {
		return f
	}
	ports := v.e.byID[p.ID]
	if len(ports) == 0 {
		ports = slices.DeleteFunc(slices.Clone(v.e.byMAC[p.MAC]), func(b *bridgePort) bool { return v.others(p, b) })
	}
	best := found{state: NotSeen}
	for i, b := range ports {
		if f := v.plugged(p, b, want); i == 0 || f.state == Seen {
			best = f
		}
	}
	if len(ports) > 0 {
		return best
	}
	for _, m := range v.e.learned[p.MAC] {
		if want != 0 && m.VLAN != want && v.declared(p, p.MAC, m.VLAN) == "" {
			return found{Elsewhere, learnedOther, v.e.byNo[m.Port], m, m.VLAN, p.MAC}
		}
	}
	switch {
	case !v.onBridge(p.Network):
		return found{state: Unknown, basis: notOnBridge}
	case v.e.noTable != "":
		return found{state: Unknown, basis: noTable}
	}
	return best
}

// across finds p on another host.
func (v *View) across(p *routing.Port) (found, bool) {
	if v.e.host == "" || v.x.Members(p.Network).VNI == 0 {
		return found{}, false
	}
	if v.e.placed[p.ID] != "" {
		return found{state: Seen, basis: otherHost}, true
	}
	if len(v.e.byID[p.ID]) == 0 && p.Host != "" && p.Host != v.e.host {
		return found{state: Unknown, basis: expected}, true
	}
	return found{}, false
}

// learned finds the MAC address of p in the MAC table, in VLAN want, or in any VLAN if want is 0.
func (v *View) learned(p *routing.Port, want uint16) (found, bool) {
	for _, m := range v.e.learned[p.MAC] {
		if want != 0 && m.VLAN != want || want == 0 && v.declared(p, p.MAC, m.VLAN) != "" {
			continue
		}
		f := found{Seen, learnedHere, v.e.byNo[m.Port], m, m.VLAN, p.MAC}
		if f.at != nil && f.at.down != "" { // an old entry that the table has not forgotten yet
			f.state, f.basis = NotSeen, cannotPass
		}
		return f, true
	}
	return found{}, false
}

// others reports whether b is known to belong to a port other than p.
func (v *View) others(p *routing.Port, b *bridgePort) bool {
	if b.ifaceID == "" || b.ifaceID == p.ID {
		return false
	}
	_, declared := v.x.Port(b.ifaceID)
	return declared
}

// plugged decides about port b of the bridge, which has the ID or the MAC address of p. The MAC
// table has no entry for that address at b in the desired VLAN.
func (v *View) plugged(p *routing.Port, b *bridgePort, want uint16) found {
	f := found{state: Elsewhere, at: b, vlan: b.untagged()}
	if b.carries(want) && b.mode == trunk && b.declared {
		f.vlan = want // the machine on a trunk port should tag its packets with this VLAN
	}
	for _, m := range v.e.learned[p.MAC] {
		if m.Port == b.no {
			f.vlan = m.VLAN // a trunk or native port may have several VLANs
		}
	}
	switch mac, other := v.otherMAC(p, b, f.vlan); {
	case b.down != "":
		f.state, f.basis = NotSeen, cannotPass
	case other:
		f.basis, f.mac = wrongMAC, mac
	case want != 0 && f.vlan != want, f.vlan == deadVLAN, v.untagged(p.Network):
		f.basis = wrongVLAN
	default:
		f.state, f.basis = Seen, plugged
	}
	return f
}

// otherMAC returns the MAC address of the machine at b, and true if it differs from that of p. It
// compares the attached-mac of b first. If that is missing or right, it compares the address that
// has recently sent packets there. If there are several such addresses, it compares none, because
// other machines are behind this machine.
func (v *View) otherMAC(p *routing.Port, b *bridgePort, vlan uint16) (ofproto.MAC, bool) {
	if b.attached != (ofproto.MAC{}) && b.attached != p.MAC {
		return b.attached, true
	}
	var on []ofproto.MAC
	for _, m := range v.e.on[b.no] {
		if m.VLAN == vlan {
			on = append(on, m.MAC)
		}
	}
	if len(on) != 1 || on[0] == p.MAC || slices.ContainsFunc(p.Pairs, func(q routing.AddressPair) bool { return q.MAC == on[0] }) {
		return ofproto.MAC{}, false
	}
	return on[0], true
}

// sighting returns a decision as a Sighting, with texts.
func (v *View) sighting(p *routing.Port, f found) Sighting {
	s := Sighting{State: f.state, VLAN: f.vlan, Wanted: v.vlan(p.Network)}
	bridge := v.e.bridge
	if f.at != nil {
		s.Port, s.OFPort, s.Trunk = f.at.name, f.at.no, f.at.mode == trunk
		s.Tagged = f.vlan != f.at.untagged()
		s.Remote = f.basis == learnedHere && (f.at.patch || f.at.mode == trunk && f.at.ifaceID == "")
	} else if f.basis == learnedHere || f.basis == learnedOther {
		s.Port, s.OFPort = f.entry.Port.String(), f.entry.Port // the port is in the MAC table, but not in the database yet
	}
	switch f.basis {
	case otherHost:
		s.Host, s.Remote = v.e.placed[p.ID], true
		s.Says = fmt.Sprintf("host %s reports that the machine is plugged in there", s.Host)
	case expected:
		s.Host = p.Host
		s.Says = fmt.Sprintf("the intent expects the machine on host %s, which has not reported that it is plugged in there", p.Host)
		s.Remedy = fmt.Sprintf("see ofdvr describe port %s on host %s, and ofdvr get hosts", p.ID, p.Host)
	case blind:
		s.Says, s.Remedy = v.e.nothing, v.e.remedy
	case noTable:
		s.Says = fmt.Sprintf("no interface of bridge %s has its ID or its MAC address, and the MAC table cannot be read: %s", bridge, v.e.noTable)
	case notOnBridge:
		s.Says = fmt.Sprintf("all routers on network %s have external bridges, and there is no trace of the machine on bridge %s", p.Network, bridge)
	case noTrace:
		s.Says = fmt.Sprintf("no interface of bridge %s has its ID (external_ids:iface-id) or MAC address %v, and the MAC table does not have that address "+
			"(it forgets an address %v after the last packet, and when its port or tag changes); a silent machine cannot be distinguished from one that does not exist", bridge, p.MAC, v.e.aging)
		s.Remedy = fmt.Sprintf("start the machine, plug it into bridge %s, send a packet from it, or correct the MAC address of port %s in the intent", bridge, p.ID)
		if at, what := v.e.other(p); what != "" {
			s.Other = at.bridge
			s.Says = fmt.Sprintf("port %s of bridge %s has its %s, and there is no trace of the machine on bridge %s", at.port, at.bridge, what, bridge)
			s.Remedy = fmt.Sprintf("plug it into bridge %s instead; if bridge %s is connected to bridge %s, send a packet from the machine", bridge, at.bridge, bridge)
		}
	case learnedHere:
		s.Says = fmt.Sprintf("packets from the machine came %s by port %s of bridge %s in %s", ago(f.entry), s.Port, bridge, s.where())
		if q := v.owner(p, f.at); q != "" {
			s.Says += fmt.Sprintf(", whose iface-id is that of port %s", q)
		}
		if s.Remote {
			s.Says += ", which connects other hosts"
		}
	case learnedOther:
		s.Says = fmt.Sprintf("packets from its MAC address %v came %s by port %s of bridge %s in %s, and network %s is VLAN %d", p.MAC, ago(f.entry), s.Port, bridge, s.where(), p.Network, s.Wanted)
		s.Remedy = v.retag(p, s, f.at)
		if q := v.owner(p, f.at); q != "" {
			s.Says += fmt.Sprintf("; the iface-id of %s is that of port %s, so that machine may have the address", s.Port, q)
			s.Remedy = fmt.Sprintf("give the machine of port %s its own MAC address, or correct the MAC address of port %s in the intent", q, p.ID)
		}
	case plugged:
		s.Says = fmt.Sprintf("port %s of bridge %s has its %s and is in %s", s.Port, bridge, v.matched(p, f.at), s.where())
		switch {
		case s.Tagged:
			s.Says = fmt.Sprintf("port %s of bridge %s has its %s and is a trunk port of %s; whether the machine tags its packets is not known", s.Port, bridge, v.matched(p, f.at), InVLAN(f.vlan))
		case v.e.noTable == "":
			s.Says += "; the MAC table does not have its address"
		}
	case wrongVLAN:
		s.Says = fmt.Sprintf("port %s of bridge %s has its %s and is in %s", s.Port, bridge, v.matched(p, f.at), s.where())
		if s.Wanted != 0 {
			s.Says += fmt.Sprintf(", and network %s is VLAN %d", p.Network, s.Wanted)
		} else if v.untagged(p.Network) {
			s.Says += fmt.Sprintf(", and network %s has no tag on this host", p.Network)
		}
		s.Remedy = v.retag(p, s, f.at)
	case wrongMAC:
		s.Says = fmt.Sprintf("port %s of bridge %s has its iface-id, and the machine there has MAC address %v, not %v", s.Port, bridge, f.mac, p.MAC)
		s.Remedy = fmt.Sprintf("correct the MAC address of port %s in the intent, or that of the machine", p.ID)
	case cannotPass:
		s.Says = fmt.Sprintf("the machine's port is %s of bridge %s, and %s", s.Port, bridge, f.at.down)
		s.Remedy = "start the machine, or set its device up"
	}
	return s
}

// matched returns the name of the property by which port b of the bridge was found.
func (v *View) matched(p *routing.Port, b *bridgePort) string {
	if b.ifaceID == p.ID {
		return "iface-id"
	}
	return "MAC address"
}

// owner returns the ID of the declared port, other than p, that the iface-id of b names, or "".
func (v *View) owner(p *routing.Port, b *bridgePort) string {
	if b != nil && v.others(p, b) {
		return b.ifaceID
	}
	return ""
}

// other returns the place of p on another bridge, and the property by which it was found there.
func (e *Evidence) other(p *routing.Port) (at place, what string) {
	if at, ok := e.otherID[p.ID]; ok {
		return at, "iface-id"
	}
	if at, ok := e.otherMAC[p.MAC]; ok {
		return at, "MAC address"
	}
	return place{}, ""
}

// retag returns the remedy that moves a machine at b into its VLAN. b is nil if
// the port is not in the database yet.
func (v *View) retag(p *routing.Port, s Sighting, b *bridgePort) string {
	switch {
	case v.untagged(p.Network):
		return "see ofdvr status for the reason"
	case s.VLAN == deadVLAN:
		return "see the log of the L2 agent that tags ports: the agent has not bound this port"
	case s.Wanted == 0:
		return ""
	case b != nil && v.x.Members(p.Network).VNI != 0 && b.ifaceID == p.ID:
		return "ofdvr sets the tag: if this stays, see ofdvr status"
	case b != nil && v.x.Members(p.Network).VNI != 0 && !b.patch:
		return fmt.Sprintf("set the iface-id of the machine's interface, so that ofdvr sets the tag (ovs-vsctl set Interface %s external_ids:iface-id=%s), or correct the network in the intent", s.Port, p.ID)
	case b != nil && b.ifaceID == "" && (b.patch || b.declared && b.mode == trunk):
		return fmt.Sprintf("port %s may connect many machines: correct the VLAN of the machine where it is plugged in, or the VLAN or the network in the intent", s.Port)
	case b != nil && b.declared && b.mode == trunk:
		return fmt.Sprintf("have the machine send its packets with VLAN tag %d, make its port an access port (ovs-vsctl set Port %s vlan_mode=access tag=%d), or correct the VLAN or the network in the intent", s.Wanted, s.Port, s.Wanted)
	case s.Tagged:
		return fmt.Sprintf("have the machine send its packets with VLAN tag %d, or correct the VLAN or the network in the intent", s.Wanted)
	}
	return fmt.Sprintf("correct the tag (ovs-vsctl set Port %s tag=%d), or the VLAN or the network in the intent", s.Port, s.Wanted)
}

func ago(m ovstrace.MACEntry) string { return fmt.Sprintf("%v ago", m.Age) }

// where returns a text about the VLAN of a machine at its port.
func (s *Sighting) where() string {
	switch {
	case s.Tagged && !s.Remote:
		return fmt.Sprintf("%s, with a tag", InVLAN(s.VLAN))
	case s.Trunk && s.VLAN == 0:
		return "no VLAN (neither its packets nor the port have a tag)"
	}
	return InVLAN(s.VLAN)
}

// InVLAN returns a text about the VLAN of a port.
func InVLAN(vlan uint16) string {
	switch vlan {
	case 0:
		return "no VLAN (it has no tag)"
	case deadVLAN:
		return "the dead VLAN 4095"
	}
	return fmt.Sprintf("VLAN %d", vlan)
}
