package routing

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Unique values are indexed by their owner: MAC and IP addresses on a network in its
// [Members], all other values in the [Index] as claims.

// An owner is the object that has a unique value.
type owner struct {
	kind Kind
	id   string
}

func (o owner) String() string { return fmt.Sprintf("%v %q", o.kind, o.id) }

type macOf struct {
	mac ofproto.MAC
	owner
}

type addrOf struct {
	addr netip.Addr
	owner
}

type (
	byMAC   struct{}
	byAddr  struct{}
	byClaim struct{}
)

func (byMAC) Compare(a, b macOf) int   { return bytes.Compare(a.mac[:], b.mac[:]) }
func (byAddr) Compare(a, b addrOf) int { return a.addr.Compare(b.addr) }

// A claim is a unique name or number of a host, a network or a router. Several routers may
// claim the same bridge name, see [validator.sameBridge].
type claim struct {
	kind  claimKind
	value string
	by    string // ID of the object, see [claim.owner]
	link  link   // the link of a linkName or taggedName
}

// owner returns the object that has the name or number.
func (c claim) owner() owner {
	switch {
	case c.kind == tunnelAddress, c.kind == uplinkName:
		return owner{KindHost, c.by}
	case c.kind == vlanTag, c.kind == vniNumber, c.kind == taggedName, c.kind == linkName && c.link.of.kind == KindNetwork:
		return owner{KindNetwork, c.by}
	}
	return owner{KindRouter, c.by}
}

type claimKind uint8

const (
	vlanTag claimKind = iota
	interfaceID
	linkName
	namespaceName
	bridgeName
	datapathID
	tunnelAddress
	vniNumber
	uplinkName // may be claimed by several hosts
	taggedName // a linkName, but only if a host has an uplink; may be claimed by several networks
)

// Compare orders claims by kind, value and by. A router has at most one claim with a given
// kind and value.
func (byClaim) Compare(a, b claim) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.value, b.value), strings.Compare(a.by, b.by))
}

// A link is a named object that ofdvr makes in Open vSwitch.
type link struct {
	what string // such as "the tap"; "the bridge"; "" for the router itself
	of   owner
}

func (l link) String() string {
	switch {
	case l.what == "":
		return l.of.String()
	case l.of.kind == KindHost: // every host with a tunnel has this link
		return l.what + " of hosts"
	}
	return fmt.Sprintf("%s of %v", l.what, l.of)
}

func hostClaims(h *Host) (out []claim) {
	if h.Tunnel != (Tunnel{}) {
		out = append(out, claim{kind: tunnelAddress, value: addrValue(h.Tunnel.Address), by: h.ID})
	}
	if h.Uplink != "" {
		out = append(out, claim{kind: uplinkName, value: h.Uplink, by: h.ID})
	}
	return out
}

func networkClaims(n *Network) (out []claim) {
	if n.VLAN != 0 {
		out = append(out, claim{kind: vlanTag, value: vlanValue(n.VLAN), by: n.ID})
	}
	if n.VNI != 0 {
		out = append(out, claim{kind: vniNumber, value: vniValue(n.VNI), by: n.ID})
	}
	for name, l := range networkLinks(n) {
		switch {
		case n.VNI != 0:
			out = append(out, claim{kind: linkName, value: name, by: n.ID, link: l})
		case n.tagged():
			out = append(out, claim{kind: taggedName, value: name, by: n.ID, link: l})
		}
	}
	return out
}

// networkLinks returns the links of network n, which a tunnel or an uplink carries, by name.
func networkLinks(n *Network) map[string]link {
	of := owner{KindNetwork, n.ID}
	return map[string]link{n.FabricPort(): {fabricPortLink, of}, n.FabricPeer(): {peerLink, of}}
}

func addrValue(a netip.Addr) string { return string(a.AsSlice()) }

func vniValue(vni uint32) string { return string([]byte{byte(vni >> 16), byte(vni >> 8), byte(vni)}) }

func vlanValue(vlan uint16) string { return string([]byte{byte(vlan >> 8), byte(vlan)}) }

func dpidValue(id ofproto.DPID) string { return id.String() }

// routerClaims returns the claims of r. Ports of an external bridge are not claims, because
// they must differ only from each other.
func routerClaims(r *Router) []claim {
	var out []claim
	claims := func(kind claimKind, value string) {
		out = append(out, claim{kind: kind, value: value, by: r.ID})
	}
	if r.Fallback == FallbackNamespace {
		claims(namespaceName, r.NamespaceName())
	}
	if name := r.BridgeName(); name != "" {
		claims(bridgeName, name)
	}
	if id := r.DPID(); id != 0 {
		claims(datapathID, dpidValue(id))
	}
	for name, l := range links(r) {
		out = append(out, claim{kind: linkName, value: name, by: r.ID, link: l})
	}
	for i := range r.Interfaces {
		claims(interfaceID, r.Interfaces[i].ID)
	}
	return out
}

// links returns the links of router r, by name.
func links(r *Router) map[string]link {
	if !r.Bridge.Managed {
		return nil
	}
	of := owner{KindRouter, r.ID}
	out := map[string]link{r.BridgeName(): {bridgeLink, of}, r.FabricPort(): {fabricPortLink, of}, r.FabricPeer(): {fabricPeerLink, of}}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		of := owner{KindInterface, f.ID}
		out[f.PatchName()] = link{patchLink, of}
		out[f.PeerName()] = link{peerLink, of}
		if r.Fallback == FallbackNamespace {
			out[f.TapName()] = link{tapLink, of}
		}
	}
	return out
}

// The descriptions of links.
const (
	bridgeLink = "the bridge"
	patchLink  = "the patch port"
	tapLink    = "the tap"
	peerLink   = "the patch port on the integration bridge"

	fabricPortLink = "the patch port on the fabric bridge"
	fabricPeerLink = "the patch port to the fabric bridge"
	fabricLink     = "the fabric bridge"
	tunnelLink     = "the tunnel port"
	uplinkLink     = "the uplink"
)

// claimed returns the first claim of value for which counts is true.
func (x *Index) claimed(kind claimKind, value string, counts func(claim) bool) (claim, bool) {
	for c := range x.names.From(claim{kind: kind, value: value}) {
		if c.kind != kind || c.value != value {
			break
		}
		if counts(c) {
			return c, true
		}
	}
	return claim{}, false
}
