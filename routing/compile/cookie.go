package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A cookie identifies a flow's purpose, so that a line of ovs-ofctl dump-flows can be traced
// back to the intent. The top 8 bits are our mark, the next 8 bits are the flow's [Role], and
// the other 48 bits are a hash of the [routing.Object].
const (
	cookieMark     ofproto.Cookie = 0xfd << 56
	cookieMarkMask ofproto.Cookie = 0xff << 56
	cookieHashMask ofproto.Cookie = 1<<48 - 1
)

// Role is the purpose of a flow for its [routing.Object].
type Role uint8

// The roles. Their numbers are part of every cookie and must never change.
const (
	RoleARP        Role = 1  // answers ARP requests for an address of the interface
	RoleTTL        Role = 2  // sends packets with expired TTL to the kernel
	RoleIn         Role = 3  // accepts packets from the interface for routing
	RoleFallback   Role = 4  // sends all other packets to the kernel
	RoleFromKernel Role = 5  // sends packets from the kernel out of the interface
	RoleRoute      Role = 6  // selects packets for the subnets of the interface
	RoleException  Role = 7  // sends packets that flows cannot forward to the kernel
	RoleNoRoute    Role = 8  // sends packets without a route to the kernel
	RoleDeliver    Role = 9  // sends packets to an address of the port
	RoleUnknown    Role = 10 // sends packets for unknown addresses to the kernel
	RoleDrop       Role = 11
	RoleExtra      Role = 12 // sends packets along an extra route to its next hop
	RoleND         Role = 13 // answers neighbour solicitations for an address of the interface
	RoleEcho       Role = 14 // answers echo requests for an address of the interface
	RoleAnswer     Role = 15 // sends answers back through the interface
	RoleMartian    Role = 16 // sends unroutable packets to the kernel
	RoleForward    Role = 17 // passes packets that are not for the router itself on to routing
	RoleTooBig     Role = 18 // sends packets that exceed the next MTU to the kernel
	RoleScope      Role = 19 // sends packets from other address scopes to the kernel
	RoleBlackhole  Role = 20 // drops packets for an extra route
	RoleMeasure    Role = 21 // checks the length of packets for an extra route
	RoleKernel     Role = 22 // sends packets that other flows have selected to the kernel
	RoleProbe      Role = 23 // tests what the switch supports; deleted after the test
	// 24 was the role of packets dropped by one meter for all machines.
	RoleAsk     Role = 25 // passes on requests for the MAC address of the interface, to be answered
	RoleForged  Role = 26 // drops requests with an impossible sender
	RoleOwn     Role = 27 // sends packets for addresses of the router itself to the kernel
	RoleForeign Role = 28 // sends packets to the kernel that the namespace routes differently
	RoleSlow    Role = 29 // sends packets from and to an object with fast path off to the kernel
	RoleFast    Role = 30 // exempts packets from RoleSlow: a part of the route's destination has another route
	RoleLimit   Role = 31 // limits how often a machine behind the interface gets its MAC address

	// Not roles of flows: packets that meters of the interface have dropped, by the kind of
	// limit.
	RoleLimitedResolution Role = 32 // ARP and neighbour discovery
	RoleLimitedEcho       Role = 33
	RoleLimitedTTL        Role = 34
	RoleLimitedUnknown    Role = 35

	RoleSearch    Role = 36 // limits packets from the interface for unknown addresses
	RoleNeighbour Role = 37 // exempts a resolved neighbour from RoleSearch
	RoleTap       Role = 38 // sends packets within the limit of RoleSearch to the kernel

	// Not a role of flows: packets of an interface that were larger than the next MTU and went to
	// the kernel. A meter counts them, because flows cannot. After check_pkt_larger, Open vSwitch
	// adds a packet to two counters: of the flow for larger packets, and of the flow for other
	// packets.
	RoleLarger Role = 39

	// Roles of the fabric bridge, and of packets between it and routing bridges.
	RoleTunnel       Role = 40 // accepts packets from the tunnels of the host
	RoleCarry        Role = 41 // recognizes packets of the network
	RoleArrive       Role = 42 // sends on packets of the object that came from other hosts
	RoleLocal        Role = 43 // keeps packets for or from the gateway on this host
	RoleProxy        Role = 44 // answers requests for the MAC address of the port on another host
	RoleKnown        Role = 45 // recognizes packets of a port of this host, and keeps requests for its MAC address on this host
	RoleTunnelOut    Role = 46 // sends packets for the port to its host
	RoleFlood        Role = 47 // sends broadcasts of the network to its hosts
	RoleLearn        Role = 48 // learns the host of machines that are not declared
	RoleLearned      Role = 49 // a learned flow
	RoleReturn       Role = 50 // returns packets that stay on this host to the routing bridge
	RoleImposter     Role = 51 // drops packets from other hosts that claim to come from a machine of this host
	RoleFromFabric   Role = 52 // sends packets routed by other hosts out of the interface
	RoleResolved     Role = 53 // passes on answers to the namespace's requests for MAC addresses
	RoleToFabric     Role = 54 // sends packets from the kernel to the fabric bridge
	RoleHello        Role = 57 // sends messages of the host to the controller
	RoleNext         Role = 56 // continues in the next table
	RoleUplinkOut    Role = 58 // sends packets for or from the object out of the uplink
	RoleAstray       Role = 59 // drops packets of other hosts for the port on another host, or for unknown machines of the network
	RoleUnreached    Role = 60 // drops packets for MAC addresses that no port has
	RoleConfined     Role = 62 // drops broadcasts that the network does not carry to other hosts
	RoleSelf         Role = 63 // drops requests of a machine, which has just been plugged in, for its own address
	RoleLearnedHere  Role = 64 // a learned flow for a machine on this host
	RoleCrowded      Role = 65 // drops packets of machines of the network that are not declared and too many
	RoleLimitedHello Role = 61 // messages of other hosts dropped by a meter; not a role of flows
	RoleLimitedFlood Role = 55 // broadcasts of a network dropped by a meter; not a role of flows
)

// Does returns a description of the purpose of a flow with role r for object o.
func (r Role) Does(o routing.Object) string {
	switch who := o.String(); r {
	case RoleARP:
		return "answers ARP requests for an address of " + who
	case RoleTTL:
		return "sends packets from " + who + " with expired TTL to the kernel"
	case RoleIn:
		return "accepts packets from " + who + " for routing"
	case RoleFallback:
		return "sends all other packets from " + who + " to the kernel"
	case RoleFromKernel:
		return "sends packets from the kernel out of " + who
	case RoleRoute:
		return "selects packets for the subnets of " + who
	case RoleException:
		if o.Kind == routing.KindRoute && o.Interface == "" {
			return "sends packets for " + who + " to the kernel, because flows cannot forward them"
		}
		if o.Kind == routing.KindRoute {
			return "sends packets from interface " + o.Interface + " for " + who + " to the kernel, because flows cannot forward them"
		}
		return "sends packets from " + who + " for a subnet to the kernel, because flows cannot forward them"
	case RoleNoRoute:
		return "sends packets from " + who + " without a route to the kernel"
	case RoleDeliver:
		return "sends packets to an address of " + who
	case RoleUnknown:
		return "sends packets from " + who + " for unknown addresses to the kernel"
	case RoleDrop:
		return "drops all other packets"
	case RoleND:
		return "answers neighbour solicitations for an address of " + who
	case RoleEcho:
		return "answers echo requests for an address of " + who
	case RoleAnswer:
		return "sends answers back through " + who
	case RoleMartian:
		if o.Kind == routing.KindInterface {
			return "sends packets with an address of " + who + " as their source to the kernel"
		}
		return "sends unroutable packets (martians, multicast, protocol 0) to the kernel"
	case RoleForward:
		return "passes packets that are not for the router itself on to routing"
	case RoleTooBig:
		return "sends packets from " + who + " that exceed the next MTU to the kernel"
	case RoleScope:
		return "sends packets for " + who + " from other address scopes to the kernel"
	case RoleBlackhole:
		return "drops packets for " + who
	case RoleMeasure:
		return "checks the size of packets for " + who
	case RoleKernel:
		return "sends packets from " + who + " that other flows have selected to the kernel"
	case RoleAsk:
		return "sends requests for the MAC address of " + who + " to the flows that answer them"
	case RoleLimit:
		return "limits how often a machine gets the MAC address of " + who
	case RoleSearch:
		return "limits packets from " + who + " for unknown addresses"
	case RoleNeighbour:
		return "exempts a neighbour that the namespace of " + who + " has resolved from the limit for unknown addresses"
	case RoleTap:
		return "sends packets from " + who + " to the kernel, if the limit for unknown addresses allows it"
	case RoleForged:
		return "drops requests for a MAC address whose sender is impossible: its MAC address is zero or multicast, or its IP address is that of " + who + " itself"
	case RoleOwn:
		if o.Kind == routing.KindInterface {
			return "sends packets for addresses of " + who + " itself to the kernel"
		}
		return "sends packets for other addresses in the namespace of " + who + " to the kernel"
	case RoleForeign:
		return "sends packets to the kernel that the namespace of " + who + " routes differently (ip rule, ip route show table all)"
	case RoleSlow:
		if o.Kind == routing.KindInterface {
			return "sends packets from and to the network, or a machine, behind " + who + " to the kernel, because its fast_path is off"
		}
		return "sends packets from and to " + who + " to the kernel, because its fast_path is off"
	case RoleFast:
		return "routes packets in the switch, although a route to their source has its fast_path off: a more specific route to their source has it on"
	case RoleHello:
		return "sends messages of " + who + " to the controller"
	case RoleNext:
		return "continues in the next table"
	case RoleTunnel:
		return "accepts packets from the tunnels of " + who
	case RoleCarry:
		return "recognizes packets of " + who
	case RoleArrive:
		return "sends packets of " + who + " that came from other hosts to the machines of this host"
	case RoleLocal:
		return "keeps packets from and to " + who + " on this host"
	case RoleProxy:
		return "answers requests for the MAC address of " + who + ", which is on another host"
	case RoleKnown:
		return "recognizes packets of " + who + ", which is on this host, and keeps requests for its MAC address on this host"
	case RoleTunnelOut:
		return "sends packets for " + who + " to its host"
	case RoleUplinkOut:
		return "sends packets of " + who + " out of the uplink"
	case RoleAstray:
		if o.Kind == routing.KindNetwork {
			return "drops packets from other hosts for machines of " + who + " that are not known on this host"
		}
		return "drops packets from other hosts for " + who + ", which is not on this host"
	case RoleConfined:
		return "drops broadcasts of " + who + " that its setting broadcast excludes"
	case RoleSelf:
		return "drops requests of " + who + " for its own address: other hosts do not know yet that it has been plugged in here"
	case RoleUnreached:
		return "drops packets for MAC addresses that no port has"
	case RoleFlood:
		return "sends broadcasts of " + who + " to the hosts of its machines"
	case RoleLearn:
		return "learns on which hosts the undeclared machines of " + who + " are"
	case RoleLearned:
		return "sends packets for an undeclared machine of " + who + " to the host that was learned for it"
	case RoleLearnedHere:
		return "keeps packets for an undeclared machine of " + who + " on this host, because it was learned here"
	case RoleCrowded:
		return "drops packets of machines on " + who + " that are not declared, beyond the first 1024"
	case RoleReturn:
		return "returns packets that stay on this host to the bridge of " + who
	case RoleImposter:
		return "drops packets from other hosts with the MAC address of " + who + ", which is on this host"
	case RoleFromFabric:
		return "sends packets out of " + who + " that other hosts have routed"
	case RoleResolved:
		return "passes on answers to the kernel's requests for MAC addresses behind " + who
	case RoleToFabric:
		return "sends packets from the kernel for " + who + " to the fabric bridge"
	case RoleProbe:
		return "tests what the switch supports"
	case RoleExtra:
		if o.Interface == "" {
			return "distributes packets for " + who + " among its next hops"
		}
		return "sends packets for " + who + " to its next hop behind interface " + o.Interface
	}
	return fmt.Sprintf("role %d of %v", uint8(r), o)
}

// CookieOf returns the cookie of the flows of o with role r.
func CookieOf(o routing.Object, r Role) ofproto.Cookie {
	b := append([]byte{byte(o.Kind)}, o.ID...)
	b = append(append(b, 0), o.Interface...)
	sum := sha256.Sum256(b)
	return cookieMark | ofproto.Cookie(r)<<48 | ofproto.Cookie(binary.BigEndian.Uint64(sum[:]))&cookieHashMask
}

// RoleOf returns the role in cookie c, and whether c has our mark.
func RoleOf(c ofproto.Cookie) (Role, bool) {
	return Role(c >> 48), c&cookieMarkMask == cookieMark
}

// CookieSlice returns a cookie and mask that select one of 2^halves parts of our flows: part
// i. With many objects the parts have about the same size.
func CookieSlice(i, halves int) (cookie, mask ofproto.Cookie) {
	mask = cookieHashMask &^ (cookieHashMask >> halves)
	return cookieMark | ofproto.Cookie(i)<<(48-halves)&mask, cookieMarkMask | mask
}

// Limits returns a description of the packets that a meter with role r limits or counts.
func (r Role) Limits() string {
	switch r {
	case RoleLimitedResolution:
		return "ARP and neighbour solicitations"
	case RoleLimitedEcho:
		return "echo requests"
	case RoleLimitedTTL:
		return "expired TTL"
	case RoleLimitedUnknown:
		return "packets for unknown neighbours"
	case RoleLimitedFlood:
		return "broadcasts to other hosts"
	case RoleLimitedHello:
		return "messages of other hosts"
	case RoleLarger:
		return "packets that are larger than the next MTU"
	}
	return fmt.Sprintf("role %d", uint8(r))
}
