package routing

import (
	"crypto/sha256"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Carrier is how a host carries a network to other hosts.
type Carrier uint8

const (
	NotCarried Carrier = iota // the network is on this host only
	ByTunnel                  // the network has a VNI, and the hosts have tunnels
	ByUplink                  // the network has a VLAN and no VNI, and the hosts have uplinks
)

// CarrierOf returns how the host called id carries n. An uplink does not carry n if
// [Index.unfit] returns a router for n.
func CarrierOf(x *Index, id string, n *Network) Carrier {
	return carrierOf(x, n, n.VNI != 0 && Tunnels(x, id), n.VNI == 0 && Uplinks(x, id))
}

// carrierOf returns how a host with tunnels, or an uplink, to other hosts carries n.
func carrierOf(x *Index, n *Network, tunnels, uplinks bool) Carrier {
	switch {
	case n.VNI != 0 && tunnels:
		return ByTunnel
	case n.VNI == 0 && n.VLAN != 0 && uplinks && x.unfit(n.ID) == nil:
		return ByUplink
	}
	return NotCarried
}

// Spans reports whether the host called id has tunnels or an uplink to other hosts.
func Spans(x *Index, id string) bool { return Tunnels(x, id) || Uplinks(x, id) }

// Tunnels reports whether the host called id has tunnels to other hosts.
func Tunnels(x *Index, id string) bool {
	return joins(x, id, func(h *Host) bool { return h.Tunnel.Address.IsValid() })
}

// TunnelTypes returns the types of the tunnels that the host called id needs, sorted: those of all hosts.
func TunnelTypes(x *Index, id string) (types []TunnelType) {
	if !Tunnels(x, id) {
		return nil
	}
	for h := range x.Hosts("") {
		if h.Tunnel.Address.IsValid() && !slices.Contains(types, h.Tunnel.Type) {
			types = append(types, h.Tunnel.Type)
		}
	}
	slices.Sort(types)
	return types
}

// Uplinks reports whether the host called id and at least one other host have uplinks.
func Uplinks(x *Index, id string) bool {
	return joins(x, id, func(h *Host) bool { return h.Uplink != "" })
}

// joins reports whether has returns true for the host called id and for at least one other
// host.
func joins(x *Index, id string, has func(*Host) bool) bool {
	if h := x.Host(id); h == nil || !has(h) {
		return false
	}
	for h := range x.Hosts("") {
		if h.ID != id && has(h) {
			return true
		}
	}
	return false
}

// unfit returns a router that prevents hosts from carrying a network, or nil. The router's bridge
// is external, or another of its interfaces has the same MAC address. Then the MAC address does not
// identify the network of a packet.
func (x *Index) unfit(network string) *Router {
	for _, l := range x.Legs(network) {
		if !l.Router.Bridge.Managed {
			return l.Router
		}
		for i := range l.Router.Interfaces {
			if f := &l.Router.Interfaces[i]; f.ID != l.ID && f.MAC == l.MAC {
				return l.Router
			}
		}
	}
	return nil
}

// uplinkByte is the first byte of all results of [UplinkMAC]: unicast and locally administered.
const uplinkByte = 0x0e

// UplinkMAC returns the source MAC address of packets that a host sends from a router
// interface by its uplink. The switches between hosts learn where a MAC address is, so each
// host has its own. The address is 0e and the first 5 bytes of a SHA-256, of the length of the
// host's ID, the host's ID and the interface's ID.
func UplinkMAC(host, iface string) ofproto.MAC {
	sum := sha256.Sum256([]byte(string([]byte{byte(len(host))}) + host + iface))
	return ofproto.MAC{uplinkByte, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// UplinkGroup returns the multicast MAC address to which answers to a router interface leave by the
// uplink: every host may wait for them. It is the [UplinkMAC] of the host ID "", which no host has,
// with the multicast bit.
func UplinkGroup(iface string) ofproto.MAC {
	mac := UplinkMAC("", iface)
	mac[0] |= 1
	return mac
}
