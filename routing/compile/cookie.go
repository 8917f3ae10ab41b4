package compile

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A cookie says what a flow is for, so that a line of ovs-ofctl dump-flows can
// be traced back to intent: our mark in the top 8 bits, the flow's [Role] in
// the next 8, and 48 bits of a hash of the [routing.Object].
const (
	cookieMark     ofproto.Cookie = 0xfd << 56
	cookieMarkMask ofproto.Cookie = 0xff << 56
	cookieHashMask ofproto.Cookie = 1<<48 - 1
)

// Role is what a flow does for its [routing.Object].
type Role uint8

// The roles. Their numbers are part of every cookie: never change one.
const (
	RoleARP        Role = 1  // answers ARP requests for an address of the interface
	RoleTTL        Role = 2  // hands packets whose TTL has run out to the kernel
	RoleIn         Role = 3  // takes packets that came in by the interface to be routed
	RoleFallback   Role = 4  // hands everything that is not to be routed to the kernel
	RoleFromKernel Role = 5  // sends what comes from the kernel out of the interface
	RoleRoute      Role = 6  // finds the subnets of the interface
	RoleException  Role = 7  // hands packets for a subnet that only the kernel can serve to it
	RoleNoRoute    Role = 8  // hands packets for no connected subnet to the kernel
	RoleDeliver    Role = 9  // sends packets to an address of the port
	RoleUnknown    Role = 10 // hands packets for an address that no port has to the kernel
	RoleDrop       Role = 11
	RoleExtra      Role = 12 // sends packets by an extra route to its next hop
	RoleND         Role = 13 // answers neighbour solicitations for an address of the interface
	RoleEcho       Role = 14 // answers echo requests for an address of the interface
	RoleAnswer     Role = 15 // sends answers back by the interface
	RoleMartian    Role = 16 // hands packets with addresses or a protocol that are not routed to the kernel
	RoleForward    Role = 17 // takes packets that are not for the router itself on
	RoleTooBig     Role = 18 // hands packets that are larger than the next MTU to the kernel
	RoleScope      Role = 19 // hands packets from other address scopes to the kernel
	RoleBlackhole  Role = 20 // drops what an extra route is for
	RoleMeasure    Role = 21 // measures packets that an extra route is for
	RoleKernel     Role = 22 // hands what other flows have chosen to the kernel
	RoleProbe      Role = 23 // finds out what the switch can do; never stays
	// 24 was what one meter for all had dropped.
	RoleAsk     Role = 25 // takes requests for the MAC address of the interface to be answered
	RoleForged  Role = 26 // drops requests whose sender is no machine
	RoleOwn     Role = 27 // hands packets for addresses of the router itself to the kernel
	RoleForeign Role = 28 // hands packets that the namespace routes in another way to the kernel
	RoleSlow    Role = 29 // hands packets from and to what has its fast path off to the kernel
	RoleFast    Role = 30 // takes packets from a part of where such a route leads on that is routed in another way
	RoleLimit   Role = 31 // limits how often a machine behind the interface is told its MAC address

	// No flow's: what meters of the interface have dropped, by what they limit.
	RoleLimitedResolution Role = 32 // ARP and neighbour discovery
	RoleLimitedEcho       Role = 33
	RoleLimitedTTL        Role = 34
	RoleLimitedUnknown    Role = 35

	RoleSearch    Role = 36 // limits packets from the interface for addresses that nobody is known to have
	RoleNeighbour Role = 37 // takes packets for a neighbour that the namespace has resolved past that limit
	RoleTap       Role = 38 // hands packets that have passed it to the kernel
)

// Does says in words what a flow does that has role r and serves o.
func (r Role) Does(o routing.Object) string {
	switch who := o.String(); r {
	case RoleARP:
		return "answers ARP requests for an address of " + who
	case RoleTTL:
		return "hands packets from " + who + " whose TTL has run out to the kernel"
	case RoleIn:
		return "takes packets that came in by " + who + " to be routed"
	case RoleFallback:
		return "hands everything from " + who + " that is not to be routed to the kernel"
	case RoleFromKernel:
		return "sends what comes from the kernel out of " + who
	case RoleRoute:
		return "finds the subnets of " + who
	case RoleException:
		if o.Kind == routing.KindRoute && o.Interface == "" {
			return "hands packets by " + who + " to the kernel, which alone can send them on"
		}
		if o.Kind == routing.KindRoute {
			return "hands packets from interface " + o.Interface + " by " + who + " to the kernel, which alone can send them on"
		}
		return "hands packets from " + who + " for a subnet that only the kernel can serve to it"
	case RoleNoRoute:
		return "hands packets from " + who + " for no connected subnet to the kernel"
	case RoleDeliver:
		return "sends packets to an address of " + who
	case RoleUnknown:
		return "hands packets from " + who + " for an address that no port has to the kernel"
	case RoleDrop:
		return "drops the rest"
	case RoleND:
		return "answers neighbour solicitations for an address of " + who
	case RoleEcho:
		return "answers echo requests for an address of " + who
	case RoleAnswer:
		return "sends answers back by " + who
	case RoleMartian:
		if o.Kind == routing.KindInterface {
			return "hands packets that claim to come from an address of " + who + " to the kernel"
		}
		return "hands packets with addresses or a protocol that are not routed to the kernel"
	case RoleForward:
		return "takes packets that are not for the router itself on"
	case RoleTooBig:
		return "hands packets from " + who + " that are larger than the next MTU to the kernel"
	case RoleScope:
		return "hands packets from other address scopes for " + who + " to the kernel"
	case RoleBlackhole:
		return "drops packets for " + who
	case RoleMeasure:
		return "measures packets for " + who
	case RoleKernel:
		return "hands packets from " + who + " that other flows have chosen to the kernel"
	case RoleAsk:
		return "takes requests for the MAC address of " + who + " to be answered"
	case RoleLimit:
		return "limits how often a machine is told the MAC address of " + who
	case RoleSearch:
		return "limits packets from " + who + " for addresses that nobody is known to have"
	case RoleNeighbour:
		return "takes packets for a neighbour that the namespace of " + who + " has resolved on"
	case RoleTap:
		return "hands packets from " + who + " that may pass to the kernel"
	case RoleForged:
		return "drops requests for a MAC address by senders that cannot be: at MAC address zero or a group's, or at an address of " + who + " itself"
	case RoleOwn:
		if o.Kind == routing.KindInterface {
			return "hands packets for addresses of " + who + " itself to the kernel"
		}
		return "hands packets for other addresses of the namespace of " + who + " to the kernel"
	case RoleForeign:
		return "hands packets to the kernel that the namespace of " + who + " routes in another way (ip rule, ip route show table all)"
	case RoleSlow:
		if o.Kind == routing.KindInterface {
			return "hands packets from and to the network, or a machine, behind " + who + " to the kernel: its fast_path is off"
		}
		return "hands packets from and to " + who + " to the kernel: its fast_path is off"
	case RoleFast:
		return "takes packets on from what is inside of a route whose fast_path is off, and is routed in another way"
	case RoleProbe:
		return "finds out what the switch can do"
	case RoleExtra:
		if o.Interface == "" {
			return "shares packets by " + who + " among its next hops"
		}
		return "sends packets by " + who + " to its next hop behind interface " + o.Interface
	}
	return fmt.Sprintf("role %d of %v", uint8(r), o)
}

// CookieOf returns the cookie of the flows that serve o in role r.
func CookieOf(o routing.Object, r Role) ofproto.Cookie {
	b := append([]byte{byte(o.Kind)}, o.ID...)
	b = append(append(b, 0), o.Interface...)
	sum := sha256.Sum256(b)
	return cookieMark | ofproto.Cookie(r)<<48 | ofproto.Cookie(binary.BigEndian.Uint64(sum[:]))&cookieHashMask
}

// RoleOf returns the role that cookie c carries, and false if it does not
// carry our mark.
func RoleOf(c ofproto.Cookie) (Role, bool) {
	return Role(c >> 48), c&cookieMarkMask == cookieMark
}

// CookieSlice returns what selects part i of 2^halves parts of our flows by their
// cookies, which are of about the same size if there are many objects.
func CookieSlice(i, halves int) (cookie, mask ofproto.Cookie) {
	mask = cookieHashMask &^ (cookieHashMask >> halves)
	return cookieMark | ofproto.Cookie(i)<<(48-halves)&mask, cookieMarkMask | mask
}

// Limits says in words what a meter limits that drops what has role r.
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
	}
	return fmt.Sprintf("role %d", uint8(r))
}
