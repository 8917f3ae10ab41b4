// Package machines determines whether the machine of each declared port is on the
// integration bridge: on which bridge port, in which VLAN, and with which MAC address.
//
// An [Observer] reads the [Evidence]: interfaces and port tags from the database, and the MAC table
// of the bridge from ovs-vswitchd. A [View] decides. Its decisions depend only on the evidence and
// the intent.
package machines

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// State describes whether the machine of a port is on the integration bridge.
type State string

// The states. docs/states.md has the remedies.
const (
	Seen      State = "seen"      // the machine is on the bridge, in the VLAN of its network
	NotSeen   State = "not_seen"  // there is no evidence of the machine
	Elsewhere State = "elsewhere" // the machine is on the bridge in another VLAN, or with another MAC address
	Unknown   State = "unknown"   // the bridge could not be examined
)

// States has all states, in the order in which they are shown.
var States = [...]State{Seen, NotSeen, Elsewhere, Unknown}

// A Sighting is the decision about the machine of one port, with the evidence.
type Sighting struct {
	State  State
	Port   string         // port of the integration bridge where the machine is or should be; "" if not known
	OFPort ofproto.PortNo // number of Port; 0 if ovs-vswitchd has assigned no number
	VLAN   uint16         // VLAN of the machine at Port; 0 means no VLAN. Only if Port is not ""
	Wanted uint16         // the VLAN of its network; 0 if not known
	Tagged bool           // the machine's packets have a VLAN tag at Port
	Trunk  bool           // Port is a trunk port
	Remote bool           // the machine is on another host, behind Port if Port is not ""
	Host   string         // ID of the other host; "" if not known
	Other  string         // another bridge with the machine's interface; or ""
	Says   string         // a text about the evidence
	Remedy string         // action for the operator; "" if nothing is needed
}

// A View locates the machines of an intent. It must be used by one goroutine only.
type View struct {
	x       *routing.Index
	e       *Evidence
	vlans   map[string]uint16                 // VLANs that have been looked up, by network
	declare map[ofproto.MAC]map[uint16]string // declared ports by MAC address and VLAN; nil until needed
}

// NewView returns a View of the machines of x's ports.
func NewView(x *routing.Index, e *Evidence) *View {
	return &View{x: x, e: e, vlans: make(map[string]uint16)}
}

// Place returns the host on which the machine of s is, "" if that is not known.
func (v *View) Place(s Sighting) string {
	switch {
	case s.State != Seen:
		return ""
	case s.Remote:
		return s.Host
	}
	return v.e.host
}

// Counts are the numbers of ports in each state.
type Counts map[State]int

// Count looks at each port that is up, see [routing.Port.IsUp], and returns the number of ports in
// each state. It calls each, which may be nil, for every port that is not Seen, in the order of the
// ports' IDs.
func (v *View) Count(each func(*routing.Port, Sighting)) Counts {
	n := make(Counts, len(States))
	for _, s := range States {
		n[s] = 0
	}
	for p := range v.x.Ports("") {
		if !p.IsUp() {
			continue
		}
		s := v.locate(&p)
		n[s.state]++
		if each != nil && s.state != Seen {
			each(&p, v.sighting(&p, s))
		}
	}
	return n
}

// Look returns the Sighting of the machine of p.
func (v *View) Look(p *routing.Port) Sighting { return v.sighting(p, v.locate(p)) }

// VLAN returns the VLAN of a network on the integration bridge, or 0 if it is not known.
func (v *View) VLAN(network string) uint16 { return v.vlan(network) }

// vlan returns the VLAN of a network on the integration bridge, or 0 if it is
// not known. If the intent gives no VLAN, vlan returns the tag of the patch
// port to the fabric bridge or to a router.
func (v *View) vlan(network string) uint16 {
	if vlan, ok := v.vlans[network]; ok {
		return vlan
	}
	n := v.x.Members(network)
	vlan := n.VLAN
	if p := v.e.named(n.FabricPeer()); vlan == 0 && n.VNI != 0 && p != nil && p.mode == access && p.tag != deadVLAN {
		vlan = p.tag
	}
	if vlan == 0 {
		for _, l := range v.x.Legs(network) {
			if p := v.e.named(l.PeerName()); p != nil && p.mode == access && p.tag != deadVLAN {
				vlan = p.tag
				break
			}
		}
	}
	v.vlans[network] = vlan
	return vlan
}

// untagged reports whether tunnels carry a network that has no VLAN on the integration bridge. Packets of
// its machines on this host pass nowhere.
func (v *View) untagged(network string) bool {
	n := v.x.Members(network).Network
	return v.e.host != "" && v.vlan(network) == 0 && routing.CarrierOf(v.x, v.e.host, &n) == routing.ByTunnel
}

// onBridge reports whether machines of a network are expected on the
// integration bridge. This is so for every network with a VNI. It is not so for
// another network if only routers with external bridges join it, because an
// external bridge may be connected to any bridge.
func (v *View) onBridge(network string) bool {
	legs := v.x.Legs(network)
	for _, l := range legs {
		if l.Router.Bridge.Managed || v.x.Members(network).VNI != 0 {
			return true
		}
	}
	return len(legs) == 0
}

// declared returns the ID of a port other than p with a MAC address in a VLAN, or "".
func (v *View) declared(p *routing.Port, mac ofproto.MAC, vlan uint16) string {
	if v.declare == nil {
		v.declare = make(map[ofproto.MAC]map[uint16]string)
		for q := range v.x.Ports("") {
			if v.declare[q.MAC] == nil {
				v.declare[q.MAC] = make(map[uint16]string, 1)
			}
			v.declare[q.MAC][v.vlan(q.Network)] = q.ID
		}
	}
	if id := v.declare[mac][vlan]; id != p.ID {
		return id
	}
	return ""
}
