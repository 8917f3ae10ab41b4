// Package routing is the model of what is wanted: networks, routers and ports,
// the rules that a valid [Model] keeps, the names that come of it, and the
// [Index], in which a change costs what it touches. It is pure. Package compile
// makes flows of it.
package routing

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Model is the operator's intent. It says nothing about port numbers or
// other things that only a switch knows.
type Model struct {
	Networks []Network
	Routers  []Router
	Ports    []Port
}

// A Network is a layer 2 network.
type Network struct {
	ID   string
	Meta *Meta  // nil: none
	VLAN uint16 // tag on the integration bridge, 1–4094; 0 leaves tagging to another agent
	MTU  int    // bytes of an IP packet, 68–65535
	// Names of the address scopes of its IPv4 and IPv6 addresses; "" is a scope
	// too. Between scopes nothing is routed by flows: the kernel decides.
	IPv4Scope, IPv6Scope string
	// NoFastPath has the namespace route everything from and to the network.
	NoFastPath bool
}

// A Router joins networks. It is realized by one routing bridge on each host.
type Router struct {
	ID        string
	Meta      *Meta  // nil: none
	Namespace string // network namespace; "" means the default, see [Router.NamespaceName]
	Fallback  Fallback
	// Answer in the switch: ARP requests, neighbour solicitations and echo
	// requests for the router's addresses.
	ARPResponder, NDResponder, EchoResponder bool

	// AnswerRate is how many packets a second are answered, 1–1,000,000; 0 is no
	// limit. There is one limit for the ARP requests and neighbour solicitations of
	// each machine, and for each interface one for echo requests and one for packets
	// whose TTL has run out.
	AnswerRate int
	// UnknownRate is how many packets a second each interface may send to addresses
	// that neither a port has nor the namespace has found a machine for, 1–1,000,000; 0 is no
	// limit.
	UnknownRate int
	Bridge      Bridge
	Interfaces  []Interface
	Routes      []Route
}

// A Route is an extra route: packets for a destination that is on no network of
// the router, or on a part of one, go by way of next hops that are. The longest
// prefix wins, over the connected subnets too, as in the kernel.
type Route struct {
	Destination netip.Prefix // without host bits
	Type        RouteType
	NextHops    []NextHop // of a [RouteVia], one or more; each gets its share of the flows of packets
	// NoFastPath has the namespace route everything that takes the route or comes
	// from where it leads.
	NoFastPath bool
}

// A NextHop is a machine that passes packets on.
type NextHop struct {
	Address netip.Addr // in a subnet of one of the router's interfaces
	Weight  int        // of its share, 1–256
}

// RouteType says what becomes of packets that a route is for.
type RouteType uint8

const (
	// RouteVia passes them to a next hop.
	RouteVia RouteType = iota
	// RouteBlackhole drops them in silence.
	RouteBlackhole
	// RouteReject has the kernel answer that the host is unreachable.
	RouteReject
)

// Fallback says who handles the packets that the flows do not.
type Fallback uint8

const (
	// FallbackNamespace gives them to the kernel through the interface's tap.
	FallbackNamespace Fallback = iota
	// FallbackNone drops them.
	FallbackNone
)

// A Bridge says which bridge realizes a router.
type Bridge struct {
	Managed    bool         // made and removed by ofdvr; otherwise the user's own
	Name       string       // "" means derived from the router's ID, see [Router.BridgeName]
	DatapathID ofproto.DPID // 0 means derived (managed) or recognized by name (external)
	Foreign    Foreign      // what to do with flows that are not ours, see [Bridge.ForeignFlows]
}

// Foreign says what to do with flows of others on a router's bridge. One that
// is in the way of ours is replaced in any case.
type Foreign uint8

const (
	// ForeignDefault removes them from a managed bridge and reports them on an
	// external one.
	ForeignDefault Foreign = iota
	// ForeignRemove deletes them.
	ForeignRemove
	// ForeignReport leaves them and says how many there are.
	ForeignReport
	// ForeignIgnore leaves them.
	ForeignIgnore
)

// ForeignFlows returns what to do with flows of others on b: anything but
// [ForeignDefault].
func (b Bridge) ForeignFlows() Foreign {
	switch {
	case b.Foreign != ForeignDefault:
		return b.Foreign
	case b.Managed:
		return ForeignRemove
	}
	return ForeignReport
}

// An Interface is a router's leg on a network.
type Interface struct {
	ID        string
	Network   string // a Network's ID
	MAC       ofproto.MAC
	Addresses []netip.Prefix // the router's own addresses, each with its subnet's length
	PatchPort string         // port towards the integration bridge; "" means derived, see [Interface.PatchName]
	TapPort   string         // port towards the namespace; "" means derived, see [Interface.TapName]
	Down      bool           // nothing goes in or out
	RA        *RA            // router advertisements (RFC 4861 §4.2) that the namespace sends; nil: none
}

// RA is what router advertisements say. They need a namespace and an IPv6
// address.
type RA struct {
	Managed, Other bool // flags M and O: addresses, and other settings, are to be had by DHCPv6
	Lifetime       int  // seconds as a default router, up to 9000; 0 is none
	Interval       int  // seconds between two at most, 4–1800
	MTU            int  // bytes, 1280–65535; 0 is that of the network
	Prefixes       []RAPrefix
}

// An RAPrefix is a prefix information option (RFC 4861 §4.6.2). Without any,
// there is one for each IPv6 subnet of the interface, with the defaults.
type RAPrefix struct {
	Prefix             netip.Prefix
	OnLink, Autonomous bool
	Valid, Preferred   int // lifetimes, seconds
}

// A Port is a machine's leg on a network, on this host or on another.
type Port struct {
	ID        string
	Meta      *Meta  // nil: none
	Network   string // a Network's ID
	MAC       ofproto.MAC
	Addresses []netip.Addr
	// Pairs are what it may use besides. To a single address a flow leads if that
	// is no port's own and is claimed with one MAC address only; else the kernel
	// finds out who has it.
	Pairs   []AddressPair
	Down    bool // its administrator wants nothing to get to it
	Unbound bool // it is on no host yet
	// NoFastPath has the namespace route everything from and to it.
	NoFastPath bool
}

// An AddressPair is an allowed address pair.
type AddressPair struct {
	Addresses netip.Prefix // without host bits; often of one address
	MAC       ofproto.MAC  // zero is that of the port
}
