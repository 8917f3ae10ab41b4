package routing

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Names are derived from IDs, in the same way on every host and in every version of ofdvr. So a new
// version finds existing bridges and taps. testdata/names.golden has examples. A change there
// breaks running systems.
const (
	namespacePrefix = "qrouter-" // as Neutron names it
	bridgePrefix    = "rb-"
	tapPrefix       = "qr-" // as Neutron names it
	patchPrefix     = "pr-"
	peerPrefix      = "pi-"

	// Prefixes of ports on the fabric bridge and of their peers.
	fabricNetworkPrefix     = "fn-"
	fabricNetworkPeerPrefix = "fi-"
	fabricRouterPrefix      = "fr-"
	fabricRouterPeerPrefix  = "rf-"
	fabricTunnelPrefix      = "ft-"

	maxIfname = 15 // IFNAMSIZ less the terminating NUL
	tailLen   = 11 // length of Neutron's names without the prefix (constants.LINUX_DEV_LEN, 14, includes it)
)

// NamespaceName returns the name of the router's network namespace: the configured name or,
// without one, "qrouter-" and the ID. In the ID, each byte outside [A-Za-z0-9_.-] is replaced
// by % and two upper-case hexadecimal digits, so the result is always a valid file name.
func (r *Router) NamespaceName() string {
	if r.Namespace != "" {
		return r.Namespace
	}
	return namespacePrefix + escapeFileName(r.ID)
}

// BridgeName returns the name of the router's bridge: the configured name or, without one,
// "rb-" and a tail derived from the ID (see [Interface.TapName]). The name is empty if an
// external bridge is identified only by its datapath ID.
func (r *Router) BridgeName() string {
	if r.Bridge.Name != "" || !r.Bridge.Managed {
		return r.Bridge.Name
	}
	return bridgePrefix + tail(r.ID)
}

// DPID returns the datapath ID of the router's bridge. This is the configured one or, for a
// managed bridge, the first 8 bytes of the SHA-256 of the router's ID as a big-endian number
// (1 if it is 0). DPID returns 0 for an external bridge that is identified by its name.
func (r *Router) DPID() ofproto.DPID {
	if r.Bridge.DatapathID != 0 || !r.Bridge.Managed {
		return r.Bridge.DatapathID
	}
	sum := sha256.Sum256([]byte(r.ID))
	return max(1, ofproto.DPID(binary.BigEndian.Uint64(sum[:])))
}

// TapName returns the name of the interface's tap, which connects the router's bridge to its
// namespace. This is the configured name or, without one, "qr-" and a tail, which depends on the ID:
//   - If the ID has at most 11 characters, and only characters of [A-Za-z0-9_.-], the tail is the ID.
//   - If the ID is a UUID, the tail is its first 11 characters, as in Neutron.
//   - Otherwise the tail is the first 11 hexadecimal digits of the ID's SHA-256.
func (i *Interface) TapName() string {
	if i.TapPort != "" {
		return i.TapPort
	}
	return tapPrefix + tail(i.ID)
}

// PatchName returns the name of the patch port on the router's bridge: the configured one, or
// "pr-" and a tail (see [Interface.TapName]).
func (i *Interface) PatchName() string {
	if i.PatchPort != "" {
		return i.PatchPort
	}
	return patchPrefix + tail(i.ID)
}

// PeerName returns the name of the patch port on the integration bridge: "pi-" and a tail (see
// [Interface.TapName]).
func (i *Interface) PeerName() string { return peerPrefix + tail(i.ID) }

// FabricBridge is the name of the fabric bridge, which connects the host to other hosts.
const FabricBridge = "br-fabric"

// FabricPort returns the name of the network's patch port on the fabric bridge: "fn-" and a
// tail (see [Interface.TapName]).
func (n *Network) FabricPort() string { return fabricNetworkPrefix + tail(n.ID) }

// FabricPeer returns the name of the peer of FabricPort on the integration bridge: "fi-" and
// the same tail.
func (n *Network) FabricPeer() string { return fabricNetworkPeerPrefix + tail(n.ID) }

// FabricPort returns the name of the router's patch port on the fabric bridge: "fr-" and a
// tail (see [Interface.TapName]).
func (r *Router) FabricPort() string { return fabricRouterPrefix + tail(r.ID) }

// FabricPeer returns the name of the peer of FabricPort on the routing bridge: "rf-" and the
// same tail.
func (r *Router) FabricPeer() string { return fabricRouterPeerPrefix + tail(r.ID) }

// PortName returns the name of the tunnel port of type t on the fabric bridge.
func (t TunnelType) PortName() string { return fabricTunnelPrefix + t.String() }

func tail(id string) string {
	switch {
	case len(id) <= tailLen && isPortable(id):
		return id
	case isUUID(id):
		return id[:tailLen]
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])[:tailLen]
}

func escapeFileName(s string) string {
	const digits = "0123456789ABCDEF"
	if isPortable(s) {
		return s
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if isPortableByte(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// isPortable reports whether s consists of POSIX's portable file name
// characters (POSIX.1-2017 §3.282).
func isPortable(s string) bool {
	for i := range len(s) {
		if !isPortableByte(s[i]) {
			return false
		}
	}
	return true
}

func isPortableByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '.' || c == '-'
}

// isUUID reports whether s has the form of RFC 9562 §4, in either case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !strings.Contains("0123456789abcdefABCDEF", s[i:i+1]) {
				return false
			}
		}
	}
	return true
}
