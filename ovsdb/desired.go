package ovsdb

import "fmt"

// Keys of external_ids. The first three are our marks. The other keys identify a machine's
// port to Neutron's L2 agent, OVN and other agents.
const (
	KeyOwner     = "ofdvr-owner"     // value: Owner
	KeyRouter    = "ofdvr-router"    // value: Bridge.Router
	KeyInterface = "ofdvr-interface" // value: Interface.ID; absent from a bridge and its local port

	KeyIfaceID     = "iface-id"
	KeyAttachedMAC = "attached-mac"
	KeyIfaceStatus = "iface-status"
)

// Owner is the value of [KeyOwner] in every row that we own.
const Owner = "ofdvr"

// deadVLAN is the tag of ports that have no network yet. Neutron's L2 agent uses it
// for the same purpose, and drops packets from such ports.
const deadVLAN = 4095

// Column values that are the same for every router.
const (
	failMode        = "secure" // standalone would connect the router's networks to one bridge
	protocol        = "OpenFlow13"
	maxBackoff      = 1000 // ms; ovs-vswitchd's default of 8 s leaves switches without a controller for too long
	inactivityProbe = 5000 // ms
	typeInternal    = "internal"
)

// Desired is the desired content of the database. Rows with our mark that it does not list are
// removed. It must come from a valid model, so that IDs and names are unique, and valid in
// Open vSwitch and Linux. They may collide with existing rows.
type Desired struct {
	// IntegrationBridge is the bridge that machines are plugged into, such as br-int. We do
	// not own it, so it must exist. It may be empty if Bridges is empty.
	IntegrationBridge string
	// Controller is the OpenFlow target that routing bridges connect to, such
	// as tcp:127.0.0.1:6653. It may be empty if Bridges is empty.
	Controller string
	// Bridges are the routing bridges, in any order.
	Bridges []Bridge
	// Link returns a description of another program's kernel link with the given name, or ""
	// if there is no such link. ovs-vswitchd would use that link as its tap, and finally
	// destroy it. Therefore nothing that needs the name is inserted. If Link is nil, links are
	// not checked.
	Link func(name string) string
	// Partial means that Bridges lists only some routers. Rows of other routers are left
	// unchanged.
	Partial bool
}

// A Bridge is the routing bridge of one router.
type Bridge struct {
	Router     string // the router's ID, unique; any 1–64 bytes
	Name       string // 1–15 bytes, unique among all names
	DatapathID uint64 // not zero
	Interfaces []Interface
}

// An Interface is a router interface. It has a pair of patch ports that connects the routing
// bridge to the integration bridge. For packets that flows do not handle, it also has a tap
// that connects the routing bridge to the kernel.
//
// The fields ID, MAC and Peer appear on the integration bridge, where other agents look for
// them.
type Interface struct {
	ID    string // the router port's ID, unique; any 1–64 bytes
	MAC   string // the router's own address on the network, such as 02:00:00:00:01:01
	Patch string // name of the patch port on the routing bridge
	Peer  string // name of the patch port on the integration bridge
	Tap   string // name of the tap on the routing bridge; "" for no tap

	// VLAN is the peer's tag on the integration bridge, 1–4094. If it is 0, another agent owns
	// the peer's tag, vlan_mode, trunks and other_config. Then the peer is created on the dead
	// VLAN, and these columns are never written again.
	VLAN uint16
}

// datapathID returns d in the format of other_config:datapath-id.
func datapathID(d uint64) string { return fmt.Sprintf("%016x", d) }
