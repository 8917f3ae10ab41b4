// Package routing turns intent (networks, routers and ports) into the flows
// that every routing bridge should hold. It is pure: [Index.Compile] is a
// function of a [Model] and of [Facts] about the switches.
package routing

import (
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Model is the operator's intent. It says nothing about port numbers or
// other things that only a switch knows; see [Facts].
type Model struct {
	Networks []Network
	Routers  []Router
	Ports    []Port
}

// A Network is a layer 2 network.
type Network struct {
	ID   string
	VLAN uint16 // tag on the integration bridge, 1–4094; 0 leaves tagging to another agent
	MTU  int    // bytes of an IP packet, 68–65535
}

// A Router joins networks. It is realized by one routing bridge on each host.
type Router struct {
	ID           string
	Namespace    string // network namespace; "" means the default, see [Router.NamespaceName]
	Fallback     Fallback
	ARPResponder bool // answer ARP requests for the router's addresses in the switch
	Bridge       Bridge
	Interfaces   []Interface
	Routes       []Route
}

// A Route is an extra route: packets for a destination that is on no network of
// the router, or on a part of one, go by way of a next hop that is. The longest
// prefix wins, over the connected subnets too, as in the kernel.
type Route struct {
	Destination netip.Prefix // without host bits
	NextHop     netip.Addr   // in a subnet of one of the router's interfaces
}

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
}

// A Port is a machine's leg on a network, on this host or on another.
type Port struct {
	ID        string
	Network   string // a Network's ID
	MAC       ofproto.MAC
	Addresses []netip.Addr
}
