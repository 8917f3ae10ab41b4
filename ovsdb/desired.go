package ovsdb

import "fmt"

// Keys of external_ids. The first three are our marks; the others are what
// Neutron's L2 agent, OVN and other agents identify a machine's port by.
const (
	KeyOwner     = "ofdvr-owner"     // always Owner
	KeyRouter    = "ofdvr-router"    // a Bridge's Router
	KeyInterface = "ofdvr-interface" // an Interface's ID; absent from a bridge and its local port

	KeyIfaceID     = "iface-id"
	KeyAttachedMAC = "attached-mac"
	KeyIfaceStatus = "iface-status"
)

// Owner is the value of [KeyOwner] in every row that is ours.
const Owner = "ofdvr"

// deadVLAN is the tag of ports that nobody has given a network yet. Neutron's
// L2 agent uses it for the same purpose, and drops what enters by such a port.
const deadVLAN = 4095

// Values of the columns that are the same for every router.
const (
	failMode        = "secure" // standalone would bridge the router's networks together
	protocol        = "OpenFlow13"
	maxBackoff      = 1000 // ms; ovs-vswitchd's 8 s is a long time without a controller
	inactivityProbe = 5000 // ms
	typeInternal    = "internal"
)

// Desired is what the database should hold for us. What it does not list is
// removed if it carries our mark. It is of a valid model: IDs and names are
// unique, and those that Open vSwitch and Linux take. They may collide with
// what exists.
type Desired struct {
	// IntegrationBridge is the bridge that machines are plugged into, such as
	// br-int. It is not ours: it must exist already. It may be empty if there
	// are no Bridges.
	IntegrationBridge string
	// Controller is the OpenFlow target that routing bridges connect to, such
	// as tcp:127.0.0.1:6653. It may be empty if there are no Bridges.
	Controller string
	// Bridges are the routing bridges, in any order.
	Bridges []Bridge
	// Link says what link of another program has a name in the kernel, "" if none has.
	// ovs-vswitchd would take a tap of that name for its own, and destroy it at the end;
	// nothing is inserted that needs the name. nil: it is not known.
	Link func(name string) string
	// Partial says that there may be more Bridges: what exists of routers that
	// are not listed is left as it is.
	Partial bool
}

// A Bridge is the routing bridge of one router.
type Bridge struct {
	Router     string // the router's ID, unique; any 1–64 bytes
	Name       string // 1–15 bytes, unique among all names
	DatapathID uint64 // not zero
	Interfaces []Interface
}

// An Interface is a router interface: a pair of patch ports that joins the
// routing bridge to the integration bridge and, for the packets that the
// flows do not handle, a tap that joins it to the kernel.
//
// ID, MAC and the peer's name appear on the integration bridge, where other
// agents look for them.
type Interface struct {
	ID    string // the router port's ID, unique; any 1–64 bytes
	MAC   string // the router's own address on the network, such as 02:00:00:00:01:01
	Patch string // name of the patch port on the routing bridge
	Peer  string // name of the patch port on the integration bridge
	Tap   string // name of the tap on the routing bridge; "" means that none is wanted

	// VLAN is the peer's tag on the integration bridge, 1–4094. With 0
	// another agent owns the peer's tag, vlan_mode, trunks and other_config:
	// the peer is created on the dead VLAN, and they are never written again.
	VLAN uint16
}

// datapathID returns d as other_config:datapath-id has it.
func datapathID(d uint64) string { return fmt.Sprintf("%016x", d) }
