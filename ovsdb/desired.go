package ovsdb

import "fmt"

// Keys of external_ids. The first nine are our marks. Neutron's L2 agent, OVN and
// other agents use the others to identify a machine's port.
const (
	KeyOwner     = "ofdvr-owner"     // value: Owner
	KeyRouter    = "ofdvr-router"    // value: Bridge.Router
	KeyInterface = "ofdvr-interface" // value: Interface.ID; absent from a bridge and its local port
	KeyFabric    = "ofdvr-fabric"    // value: "true", in all rows of the fabric
	KeyNetwork   = "ofdvr-network"   // value: FabricNetwork.ID
	KeyTunnel    = "ofdvr-tunnel"    // value: Tunnel.Type
	KeyUplink    = "ofdvr-uplink"    // value: "true", in the rows of Fabric.Uplink
	KeyTag       = "ofdvr-tag"       // value: the tag that we set; in Port rows that are not ours
	KeyTurn      = "ofdvr-turn"      // value: see Desired.Turns; in Port rows that are not ours

	KeyIfaceID     = "iface-id"
	KeyAttachedMAC = "attached-mac"
	KeyIfaceStatus = "iface-status"
)

// Owner is the value of [KeyOwner] in every row that we own.
const Owner = "ofdvr"

// deadVLAN is the tag of ports that have no network. With the vlan_mode trunk and this VLAN as
// the only one in trunks, a port drops all packets without a tag. As an access port it would
// share a VLAN with other such ports. Neutron's L2 agent does the same.
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
// removed. It must come from a valid model, so its IDs and names are unique, and valid in Open
// vSwitch and Linux. A name may collide with an existing row.
type Desired struct {
	// IntegrationBridge is the bridge that machines are plugged into, such as
	// br-int. We do not own it: it must exist. It may be empty if Bridges is empty and Fabric is nil.
	IntegrationBridge string
	// Controller is the OpenFlow target that routing bridges connect to, such
	// as tcp:127.0.0.1:6653. It may be empty if Bridges is empty and Fabric is nil.
	Controller string
	// Bridges are the routing bridges, in any order.
	Bridges []Bridge
	// Fabric is the fabric bridge. If it is nil, existing rows of the fabric are removed.
	Fabric *Fabric
	// Tag returns the desired tag of a machine's port on the integration bridge. The argument
	// is the external_ids:iface-id of the port's interface. Tag returns false if we must not
	// set the tag of the port. A port with a desired tag gets the tag and the mark [KeyTag].
	// When Tag returns false for the port, the mark is removed and the port gets the dead VLAN,
	// because without a tag it would be a trunk. If Tag is nil, no port is tagged.
	// Ports of ofdvr itself are never tagged in this way.
	Tag func(ifaceID string) (Tag, bool)
	// GivenTag returns the tag that the intent gives to the network of a machine's port, or 0. We
	// must not set this tag. A port that loses the mark keeps this tag. GivenTag may be nil.
	GivenTag func(ifaceID string) uint16
	// Turns are numbers to keep in the marks [KeyTurn] of machines' ports, by the
	// external_ids:iface-id of the port's interface. Other ports lose the mark. If Turns is nil, all
	// ports keep it.
	Turns map[string]uint64
	// Link returns a description of another program's kernel link called name, or "" if no
	// such link exists. Rows that need the name of such a link are not inserted, because
	// ovs-vswitchd would use the link as its tap and finally destroy it. If Link is nil, links
	// are not checked.
	Link func(name string) string
	// HostAddresses returns the addresses that the host has on a kernel link, as text, or "".
	// If the uplink has some, it is not inserted: the host would lose them. If HostAddresses is
	// nil, they are not checked.
	HostAddresses func(name string) string
	// Partial means that the desired state lists only some objects: rows of other routers,
	// other rows of the fabric and other tags stay unchanged.
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
// bridge to the integration bridge. It may also have a tap, which connects the routing bridge
// to the kernel, for packets that flows do not handle.
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

// A Fabric is the bridge that connects this host to other hosts. It has tunnel ports. For each
// carried network, a pair of patch ports connects it to the integration bridge. For each
// router on such a network, a pair of patch ports connects it to the routing bridge.
type Fabric struct {
	Name       string // 1–15 bytes, unique among all names
	DatapathID uint64 // not zero
	Tunnels    []Tunnel
	Uplink     string // a physical interface that becomes a port; "" for no uplink
	Networks   []FabricNetwork
	Routers    []FabricRouter
}

// A Tunnel is a tunnel port of the fabric bridge. Flows set its remote address and key.
type Tunnel struct {
	Name    string
	Type    string // type of the interface, unique: geneve, vxlan
	LocalIP string // this host's address in the underlay network
}

// A FabricNetwork is a network that is carried between hosts.
type FabricNetwork struct {
	ID   string // unique among networks; any 1–64 bytes
	Port string // name of the patch port on the fabric bridge
	Peer string // name of the patch port on the integration bridge
	VLAN uint16 // tag of the peer, 1–4094
}

// A FabricRouter is a router with an interface on a [FabricNetwork].
type FabricRouter struct {
	ID   string // the router's ID; if no Bridge has this ID, the FabricRouter is ignored
	Port string // name of the patch port on the fabric bridge
	Peer string // name of the patch port on the routing bridge
}

// A Tag is the desired tag of a machine's port.
type Tag struct {
	Network string // the network's ID
	VLAN    uint16 // 1–4094
}

// datapathID returns d in the format of other_config:datapath-id.
func datapathID(d uint64) string { return fmt.Sprintf("%016x", d) }
