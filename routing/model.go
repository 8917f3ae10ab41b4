// Package routing is the model of the intent: hosts, networks, routers and ports. It has the rules
// of a valid [Model], and the names derived from it. It also has the [Index], a form of the Model
// that can be changed fast. The package is pure. Package compile turns an Index into flows.
package routing

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Model is the operator's intent. It has no port numbers or other facts that only a switch
// knows.
type Model struct {
	Hosts    []Host // empty: the intent is for one host
	Networks []Network
	Routers  []Router
	Ports    []Port
}

// A Host is a machine with an Open vSwitch on which an ofdvr runs.
type Host struct {
	ID     string
	Meta   *Meta  // nil: none
	Tunnel Tunnel // zero: none
	// Uplink is the name of a physical interface of the host; "" means that it has none. The
	// switches behind it carry VLANs between the hosts: those of all networks that have a VLAN
	// and no VNI.
	Uplink string
}

// A Tunnel is a host's end of the tunnels to all other hosts.
type Tunnel struct {
	Type    TunnelType
	Address netip.Addr // in the underlay network
}

// TunnelType is the encapsulation of packets between hosts.
type TunnelType uint8

const (
	TunnelGeneve TunnelType = iota // RFC 8926
	TunnelVXLAN                    // RFC 7348
)

// String returns the Open vSwitch name of the type.
func (t TunnelType) String() string {
	if t == TunnelVXLAN {
		return "vxlan"
	}
	return "geneve"
}

// A Network is a layer 2 network.
type Network struct {
	ID   string
	Meta *Meta  // nil: none
	VLAN uint16 // tag on the integration bridge, 1–4094; 0 means that another agent sets the tags
	MTU  int    // bytes of an IP packet, 68–65535
	// IPv4Scope and IPv6Scope name the address scopes of its addresses; "" is a scope too.
	// Flows send packets between different scopes to the kernel.
	IPv4Scope, IPv6Scope string
	// NoFastPath makes the namespace route all packets from and to the network.
	NoFastPath bool
	// VNI identifies the network in tunnels between hosts, 1–16777215; 0 means that no tunnels
	// carry the network. With a VNI, ofdvr also sets the VLAN tags of the network's ports on
	// the integration bridge.
	VNI uint32
	// Broadcast selects the broadcast and multicast packets that other hosts get. It needs a VNI or
	// a VLAN.
	Broadcast Broadcast
}

// Broadcast selects the broadcast and multicast packets that are carried between hosts.
type Broadcast uint8

const (
	BroadcastAll Broadcast = iota
	BroadcastDHCP
	BroadcastNone
)

// String returns the word of a topology file.
func (b Broadcast) String() string {
	switch b {
	case BroadcastDHCP:
		return "dhcp"
	case BroadcastNone:
		return "none"
	}
	return "all"
}

// A Router connects networks. On each host one routing bridge implements it.
type Router struct {
	ID        string
	Meta      *Meta  // nil: none
	Namespace string // name of the network namespace; "" means the default, see [Router.NamespaceName]
	Fallback  Fallback
	// Whether flows answer ARP requests, neighbour solicitations and echo requests for the
	// router's addresses.
	ARPResponder, NDResponder, EchoResponder bool

	// AnswerRate is how many packets a second are answered, 1–1,000,000; 0 means no limit. ARP
	// requests and neighbour solicitations are limited for each machine, echo requests and
	// packets with expired TTL for each interface.
	AnswerRate int
	// UnknownRate limits the packets to unknown addresses: no port has the address, and the
	// namespace has not resolved it. It is the number of packets a second by each interface,
	// 1–1,000,000; 0 means no limit.
	UnknownRate int
	Bridge      Bridge
	Interfaces  []Interface
	Routes      []Route
}

// A Route is an extra route: it sends packets for a destination to next hops on the router's
// networks. The destination may be a part of a connected subnet. As in the kernel, the route
// with the longest prefix wins.
type Route struct {
	Destination netip.Prefix // without host bits
	Type        RouteType
	NextHops    []NextHop // next hops of a [RouteVia], at least one, which share the traffic; empty for other types
	// NoFastPath makes the namespace route all packets to and from the destination.
	NoFastPath bool
}

// A NextHop is a machine that forwards packets.
type NextHop struct {
	Address netip.Addr // an address in a subnet of one of the router's interfaces
	Weight  int        // relative share of traffic, 1–256
}

// A RouteType is the effect of a route on packets.
type RouteType uint8

const (
	// RouteVia sends them to a next hop.
	RouteVia RouteType = iota
	// RouteBlackhole drops them silently.
	RouteBlackhole
	// RouteReject makes the kernel answer that the host is unreachable.
	RouteReject
)

// Fallback is the destination of packets that flows do not handle.
type Fallback uint8

const (
	// FallbackNamespace sends them to the kernel through the interface's tap.
	FallbackNamespace Fallback = iota
	// FallbackNone drops them.
	FallbackNone
)

// A Bridge selects the bridge that implements a router.
type Bridge struct {
	Managed    bool         // ofdvr makes and removes the bridge; otherwise the user does
	Name       string       // "" means derived from the router's ID, see [Router.BridgeName]
	DatapathID ofproto.DPID // 0 means derived (managed) or recognized by name (external)
	Foreign    Foreign      // policy for foreign flows, see [Bridge.ForeignFlows]
}

// Foreign is the policy for flows of other programs on a router's bridge. If such a flow has
// the same table, priority and match as one of ours, ours always replaces it.
type Foreign uint8

const (
	// ForeignDefault removes them from a managed bridge and reports them on an
	// external one.
	ForeignDefault Foreign = iota
	// ForeignRemove deletes them.
	ForeignRemove
	// ForeignReport leaves them alone and reports their number.
	ForeignReport
	// ForeignIgnore leaves them alone.
	ForeignIgnore
)

// ForeignFlows returns the policy for foreign flows on b. It never returns [ForeignDefault].
func (b Bridge) ForeignFlows() Foreign {
	switch {
	case b.Foreign != ForeignDefault:
		return b.Foreign
	case b.Managed:
		return ForeignRemove
	}
	return ForeignReport
}

// An Interface connects a router to a network.
type Interface struct {
	ID        string
	Network   string // a Network's ID
	MAC       ofproto.MAC
	Addresses []netip.Prefix // the router's addresses, each with its subnet's prefix length
	PatchPort string         // port to the integration bridge; "" means derived, see [Interface.PatchName]
	TapPort   string         // port to the namespace; "" means derived, see [Interface.TapName]
	Down      bool           // the interface neither receives nor sends packets
	RA        *RA            // router advertisements (RFC 4861 §4.2) sent by the namespace; nil if none
}

// RA configures router advertisements. They require a namespace and an IPv6 address.
type RA struct {
	Managed, Other bool // flags M and O: DHCPv6 provides addresses and other settings
	Lifetime       int  // seconds as a default router, up to 9000; 0 if not a default router
	Interval       int  // maximum seconds between two, 4–1800
	MTU            int  // bytes, 1280–65535; 0 means the network's
	Prefixes       []RAPrefix
}

// An RAPrefix is a prefix information option (RFC 4861 §4.6.2). Without any, each IPv6 subnet
// of the interface is advertised with the defaults.
type RAPrefix struct {
	Prefix             netip.Prefix
	OnLink, Autonomous bool
	Valid, Preferred   int // lifetimes, seconds
}

// A Port connects a machine to a network, on this host or on another.
type Port struct {
	ID        string
	Meta      *Meta  // nil: none
	Network   string // a Network's ID
	MAC       ofproto.MAC
	Addresses []netip.Addr
	// Pairs are additional addresses that the port may use. Flows deliver packets to an address in
	// a pair under three conditions. The pair has a single address, no port has it as its own, and
	// all pairs that contain it have the same MAC address. Otherwise the kernel resolves the
	// address.
	Pairs   []AddressPair
	Down    bool // administratively down: it gets no packets
	Unbound bool // the machine is not on a host yet
	// Host is the ID of the Host on which the machine is expected; "" means any. If the
	// machine is found on another host, its flows use that host.
	Host string
	// NoFastPath makes the namespace route all packets from and to it.
	NoFastPath bool
}

// An AddressPair is an allowed address pair.
type AddressPair struct {
	Addresses netip.Prefix // a prefix without host bits; often a single address
	MAC       ofproto.MAC  // zero means the port's
}
