package routing

import (
	"fmt"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
)

// MaxVNI is the highest VNI of a network (RFC 7348 §5, RFC 8926 §3.4).
const MaxVNI = 1<<24 - 1

// checkHosts checks the hosts that are put.
func (v *validator) checkHosts(hosts []Host) {
	for c := range v.base.names.From(claim{kind: tunnelAddress}) {
		if c.kind != tunnelAddress {
			break
		}
		if !v.gone[c.owner()] { // one host is enough, because all other tunnels have addresses of the same family
			v.tunnels[familyOf(v.base.Host(c.by).Tunnel.Address)] = c.by
			break
		}
	}
	ids := make(map[string]bool, len(hosts))
	addrs := make(map[netip.Addr]string, len(hosts))
	for i := range hosts {
		h, p := &hosts[i], path{kind: hostPath, i: i}
		v.checkID(p, owner{KindHost, h.ID}, ids)
		v.checkMeta(p, h.Meta)
		if h.Tunnel != (Tunnel{}) {
			v.checkTunnel(p, h, addrs)
		}
		if h.Uplink != "" {
			v.checkUplink(p, h)
		}
	}
}

// checkTunnel checks the tunnel of h, which is at p. addrs has the tunnel addresses of earlier
// hosts.
func (v *validator) checkTunnel(p path, h *Host, addrs map[netip.Addr]string) {
	const key = "tunnel.address"
	a := h.Tunnel.Address
	err := checkAddr(a)
	if err == nil && a.IsLinkLocalUnicast() {
		err = fmt.Errorf("address %v is a link-local address", a)
	}
	if err != nil {
		v.bad(p, key, "%w", err)
		return
	}
	other, used := addrs[a]
	if !used {
		var c claim
		c, used = v.claimed(tunnelAddress, addrValue(a))
		other = c.by
	}
	if used {
		if other != h.ID { // a host with the same ID has an error already
			v.taken(p, key, owner{KindHost, other}, "address %v is already used by host %q", a, other)
		}
		return
	}
	addrs[a] = h.ID
	f := familyOf(a)
	if other := v.tunnels[1-f]; other != "" && other != h.ID {
		v.taken(p, key, owner{KindHost, other}, "address %v is %s, but other hosts have %s addresses: all hosts need addresses of one family",
			a, familyNames[f], familyNames[1-f])
	}
	for _, name := range [...]string{FabricBridge, TunnelGeneve.PortName(), TunnelVXLAN.PortName()} {
		if l, used := v.usedName(name); used {
			v.taken(p, "tunnel", l.of, "the name %q, which hosts with a tunnel need, is already used by %v", name, l)
		}
	}
	if v.tunnels[f] == "" {
		v.tunnels[f] = h.ID
	}
}

// usedName returns the existing link or bridge called name. The fabric needs this name for a
// link of its own.
func (v *validator) usedName(name string) (link, bool) {
	if b, is := v.claimed(bridgeName, name); is && v.base.Router(b.by).DPID() == 0 { // a managed bridge is a link
		return link{of: b.owner()}, true
	}
	c, used := v.claimed(linkName, name)
	if !used {
		c, used = v.claimed(taggedName, name)
	}
	return c.link, used
}

// checkUplink checks the uplink of h, which is at p.
func (v *validator) checkUplink(p path, h *Host) {
	name := h.Uplink
	err := checkIfname(name)
	if err == nil {
		err = checkDevice(name)
	}
	if err == nil && (name == FabricBridge || name == TunnelGeneve.PortName() || name == TunnelVXLAN.PortName()) {
		err = fmt.Errorf("the name %q is reserved for the fabric", name)
	}
	if err != nil {
		v.bad(p, "uplink", "%w", err)
		return
	}
	for _, name := range [...]string{FabricBridge, name} {
		if l, used := v.usedName(name); used {
			v.taken(p, "uplink", l.of, "the name %q, which hosts with an uplink need, is already used by %v", name, l)
		}
	}
	if v.uplinks == nil {
		v.uplinks = make(map[string]string)
	}
	v.uplinks[name] = h.ID
	v.checkTaggedNames(p)
}

// anyUplink returns the ID of a host that has an uplink called name, or any uplink if name is
// empty. It returns "" if no host has one.
func (x *Index) anyUplink(name string) string {
	for c := range x.names.From(claim{kind: uplinkName, value: name}) {
		if c.kind != uplinkName || name != "" && c.value != name {
			break
		}
		return c.by
	}
	return ""
}

// uplinkHost is like [Index.anyUplink], for the hosts after the change.
func (v *validator) uplinkHost(name string) string {
	for uplink, host := range v.uplinks {
		if name == "" || name == uplink {
			return host
		}
	}
	for c := range v.base.names.From(claim{kind: uplinkName, value: name}) {
		if c.kind != uplinkName || name != "" && c.value != name {
			break
		}
		if !v.gone[c.owner()] {
			return c.by
		}
	}
	return ""
}

// familyOf returns the index of a's family: 0 for IPv4, 1 for IPv6.
func familyOf(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}

var familyNames = [...]string{"IPv4", "IPv6"}

// tunnelHost returns the ID of a host that has a tunnel after the change, or "" if no host has
// one.
func (v *validator) tunnelHost() string {
	if host := v.tunnels[0]; host != "" {
		return host
	}
	return v.tunnels[1]
}

// fabricCalled returns the fabric bridge, tunnel port or uplink called name. After the change,
// each host with a tunnel or an uplink has such links.
func (v *validator) fabricCalled(name string) (link, bool) {
	if host := v.uplinkHost(name); host != "" {
		return link{uplinkLink, owner{KindHost, host}}, true
	}
	host := v.tunnelHost()
	if name == FabricBridge && host == "" {
		host = v.uplinkHost("")
	}
	switch {
	case host == "":
	case name == FabricBridge:
		return link{fabricLink, owner{KindHost, host}}, true
	case name == TunnelGeneve.PortName(), name == TunnelVXLAN.PortName():
		return link{tunnelLink, owner{KindHost, host}}, true
	}
	return link{}, false
}

func (v *validator) hasHost(id string) bool {
	has, decided := v.hosts[id]
	if !decided {
		has = v.base.Host(id) != nil
	}
	return has
}

// checkVNI checks the VNI of n, which is at p. vnis has the VNIs of earlier networks.
func (v *validator) checkVNI(p path, n *Network, vnis map[uint32]string) {
	if n.VNI == 0 {
		if n.Broadcast != BroadcastAll && n.VLAN == 0 {
			v.bad(p, "broadcast", "broadcast %v needs a vni or a vlan: other hosts get packets of no other networks", n.Broadcast)
		}
		return
	}
	if n.VNI > MaxVNI {
		v.bad(p, "vni", "vni %d is outside 1–%d", n.VNI, MaxVNI)
		return
	}
	other, used := vnis[n.VNI]
	if !used {
		var c claim
		c, used = v.claimed(vniNumber, vniValue(n.VNI))
		other = c.by
	}
	switch {
	case !used:
		vnis[n.VNI] = n.ID
	case other != n.ID: // a network with the same ID has an error already
		v.taken(p, "vni", owner{KindNetwork, other}, "vni %d is already used by network %q", n.VNI, other)
	}
	if n.ID == "" {
		return
	}
	v.names.init()
	of := owner{KindNetwork, n.ID}
	v.checkLink(p, "id", n.FabricPort(), link{fabricPortLink, of})
	v.checkLink(p, "id", n.FabricPeer(), link{peerLink, of})
	for _, l := range v.base.Legs(n.ID) {
		if v.gone[owner{KindInterface, l.ID}] {
			continue
		}
		who := owner{KindRouter, l.Router.ID}
		if !l.Router.Bridge.Managed {
			v.taken(p, "vni", who, "the bridge of router %q is external: it cannot have an interface on a network with a vni", l.Router.ID)
		}
		for i := range l.Router.Interfaces {
			if f := &l.Router.Interfaces[i]; f.ID != l.ID && f.MAC == l.MAC && v.isCarried(f.Network) {
				v.taken(p, "vni", who, "interfaces %q and %q of router %q have the same mac %v, and both networks have a vni", l.ID, f.ID, l.Router.ID, l.MAC)
			}
		}
	}
	if v.carried == nil {
		v.carried = make(map[string]bool)
	}
	v.carried[n.ID] = true
}

// isCarried reports whether a network has a VNI after the change. If the change puts the
// network, it must have been checked before.
func (v *validator) isCarried(network string) bool {
	if v.put[network] != nil {
		return v.carried[network]
	}
	n, ok := v.network(network)
	return ok && n.VNI != 0
}

// If the network of f, an interface of r, has a VNI, checkCarried checks f. p is the place of f in
// the input. macs has the MAC addresses of r's earlier interfaces on networks with a VNI.
func (v *validator) checkCarried(p path, r *Router, f *Interface, macs map[ofproto.MAC]string) {
	if n, ok := v.network(f.Network); !ok || n.VNI == 0 {
		return
	}
	if !r.Bridge.Managed {
		v.bad(p, "network", "network %q has a vni: a router with an external bridge cannot have an interface on it", f.Network)
	}
	if other, used := macs[f.MAC]; used {
		v.bad(p, "mac", "mac %v is already used by interface %q: the interfaces of a router on networks with a vni need different MAC addresses", f.MAC, other)
		return
	}
	macs[f.MAC] = f.ID
}
