package routing

import (
	"iter"

	"github.com/ofdvr/ofdvr/ofproto"
)

// This file checks networks that uplinks may carry: those with a VLAN and no VNI, if a host has an
// uplink.

// tagged reports whether uplinks may carry n.
func (n *Network) tagged() bool { return n.VLAN != 0 && n.VNI == 0 }

// checkTagged checks n, which is at p, if uplinks may carry it.
func (v *validator) checkTagged(p path, n *Network) {
	if !n.tagged() || n.ID == "" || v.uplinkHost("") == "" {
		return
	}
	v.names.init()
	of := owner{KindNetwork, n.ID}
	v.checkLink(p, "id", n.FabricPort(), link{fabricPortLink, of})
	v.checkLink(p, "id", n.FabricPeer(), link{peerLink, of})
}

// The host at p has an uplink, so networks need ports for it. checkTaggedNames checks the names of
// these ports. If another host already had an uplink, the names have been checked.
func (v *validator) checkTaggedNames(p path) {
	if v.base.anyUplink("") != "" {
		return
	}
	seen := make(map[string]owner)
	for n := range v.base.Networks("") {
		of := owner{KindNetwork, n.ID}
		if !n.tagged() || v.gone[of] {
			continue
		}
		for _, name := range [...]string{n.FabricPort(), n.FabricPeer()} {
			l, used := v.fabricCalled(name)
			if !used {
				var c claim
				c, used = v.claimed(linkName, name)
				l = c.link
			}
			if other, twice := seen[name]; twice && !used {
				l, used = link{of: other}, true
			}
			if used {
				v.taken(p, "uplink", l.of, "the name %q, which network %q needs on hosts with an uplink, is already used by %v", name, n.ID, l)
			}
			seen[name] = of
		}
	}
}

// A declaredMAC is a MAC address in a change that could be a result of [UplinkMAC].
type declaredMAC struct {
	path
	owner
	network string
	mac     ofproto.MAC
}

// Packets that a host has routed leave by its uplink with a MAC address of [UplinkMAC].
// checkUplinkMACs checks that no port or interface has such an address.
func (v *validator) checkUplinkMACs(put *Model) {
	if v.uplinkHost("") == "" {
		return
	}
	legs := make(map[string][]string) // IDs of interfaces in the change, by network
	for i := range put.Routers {
		for j := range put.Routers[i].Interfaces {
			f := &put.Routers[i].Interfaces[j]
			legs[f.Network] = append(legs[f.Network], f.ID)
			if n, ok := v.network(f.Network); ok && n.tagged() {
				for host := range v.uplinkHosts(put) {
					v.checkUplinkMAC(path{kind: ifacePath, router: i, iface: j}, "id", f.Network, host, f.ID)
				}
			}
		}
	}
	for i := range put.Hosts {
		if put.Hosts[i].Uplink == "" {
			continue
		}
		for n := range v.base.Networks("") {
			if n, ok := v.network(n.ID); ok && n.tagged() {
				for id := range v.oldLegs(n.ID) {
					v.checkUplinkMAC(path{kind: hostPath, i: i}, "id", n.ID, put.Hosts[i].ID, id)
				}
			}
		}
	}
	for i := range put.Networks {
		if n := &put.Networks[i]; n.tagged() {
			for id := range v.oldLegs(n.ID) {
				for host := range v.uplinkHosts(put) {
					v.checkUplinkMAC(path{kind: networkPath, i: i}, "vlan", n.ID, host, id)
				}
			}
		}
	}
	for _, d := range v.declared {
		n, ok := v.network(d.network)
		if !ok || !n.tagged() {
			continue
		}
		for host := range v.uplinkHosts(put) {
			for id := range v.oldLegs(n.ID) {
				v.checkDeclaredMAC(d, host, id)
			}
			for _, id := range legs[n.ID] {
				v.checkDeclaredMAC(d, host, id)
			}
		}
	}
}

// oldLegs yields the IDs of interfaces on a network that the change does not touch.
func (v *validator) oldLegs(network string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, l := range v.base.Legs(network) {
			if !v.gone[owner{KindInterface, l.ID}] && !yield(l.ID) {
				return
			}
		}
	}
}

// uplinkHosts yields the IDs of hosts with an uplink after the change.
func (v *validator) uplinkHosts(put *Model) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range put.Hosts {
			if put.Hosts[i].Uplink != "" && !yield(put.Hosts[i].ID) {
				return
			}
		}
		for c := range v.base.names.From(claim{kind: uplinkName}) {
			if c.kind != uplinkName {
				return
			}
			if !v.gone[c.owner()] && !yield(c.by) {
				return
			}
		}
	}
}

const uplinkMACUsed = "mac %v of %v is the one with which packets that host %q has routed leave from interface %q: give it another mac"

// checkUplinkMAC checks that no MAC address on a network equals that of a host and an interface.
// The change does not touch the network. The object at p is new.
func (v *validator) checkUplinkMAC(p path, key, network, host, iface string) {
	mac := UplinkMAC(host, iface)
	if m, used := v.on(network).macs.Get(macOf{mac: mac}); used && !v.gone[m.owner] {
		v.taken(p, key, m.owner, uplinkMACUsed, mac, m.owner, host, iface)
	}
}

func (v *validator) checkDeclaredMAC(d declaredMAC, host, iface string) {
	if UplinkMAC(host, iface) == d.mac {
		v.taken(d.path, "mac", owner{KindInterface, iface}, uplinkMACUsed, d.mac, d.owner, host, iface)
	}
}
