package lifecycle

import (
	"fmt"
	"slices"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// In problems and reports, the fabric bridge, its ports and the tags of machines are parts of a
// router with ID routing.FabricBridge.

// tags returns the tags of networks with a VNI on the integration bridge, by ID. It returns nil
// without such networks. If no tag is free for a network, it is missing from the result.
func (l *Lifecycle) tags(x *routing.Index, s ovsdb.State) map[string]uint16 {
	var networks []ovsdb.VLANChoice
	var taken []uint16
	for n := range x.Networks("") {
		if n.VNI == 0 {
			taken = append(taken, n.VLAN)
			continue
		}
		c := ovsdb.VLANChoice{ID: n.ID, VLAN: n.VLAN, Ours: []string{n.FabricPeer()}}
		for _, leg := range x.Legs(n.ID) {
			if leg.Router.Bridge.Managed {
				c.Ours = append(c.Ours, leg.PeerName())
			}
		}
		networks = append(networks, c)
	}
	if networks == nil {
		return nil
	}
	return ovsdb.Tags(s, l.cfg.IntegrationBridge, networks, taken, func(id string) string {
		p, _ := x.Port(id)
		return p.Network
	})
}

// untagged returns the problem of each network without a tag.
func untagged(x *routing.Index, tags map[string]uint16) (out []string) {
	if tags == nil {
		return nil
	}
	for n := range x.Networks("") {
		if _, ok := tags[n.ID]; n.VNI != 0 && !ok {
			out = append(out, fmt.Sprintf("network %s has no tag on this host: ports and other networks use all of 1–4094; its machines here are not connected", n.ID))
		}
	}
	return out
}

// tagOf returns a function for [ovsdb.Desired].Tag, or nil if no network has a VNI.
func tagOf(x *routing.Index, tags map[string]uint16) func(ifaceID string) (ovsdb.Tag, bool) {
	if tags == nil {
		return nil
	}
	return func(id string) (ovsdb.Tag, bool) {
		p, _ := x.Port(id)
		vlan, ok := tags[p.Network]
		return ovsdb.Tag{Network: p.Network, VLAN: vlan}, ok
	}
}

// givenTagOf returns a function for [ovsdb.Desired].GivenTag.
func givenTagOf(x *routing.Index) func(ifaceID string) uint16 {
	return func(id string) uint16 {
		p, _ := x.Port(id)
		n, _ := x.Network(p.Network)
		return n.VLAN
	}
}

// fabric returns the desired fabric bridge, or nil if no tunnel or uplink connects this host to
// others.
func (l *Lifecycle) fabric(x *routing.Index, tags map[string]uint16) *ovsdb.Fabric {
	if !routing.Spans(x, l.cfg.Host) {
		return nil
	}
	bridge := routing.Router{ID: routing.FabricBridge, Bridge: routing.Bridge{Managed: true}}
	f := &ovsdb.Fabric{Name: routing.FabricBridge, DatapathID: uint64(bridge.DPID())}
	for _, t := range routing.TunnelTypes(x, l.cfg.Host) {
		f.Tunnels = append(f.Tunnels, ovsdb.Tunnel{Name: t.PortName(), Type: t.String(), LocalIP: x.Host(l.cfg.Host).Tunnel.Address.String()})
	}
	routers := make(map[string]bool)
	if routing.Uplinks(x, l.cfg.Host) {
		f.Uplink = x.Host(l.cfg.Host).Uplink
	}
	for n := range x.Networks("") {
		vlan := n.VLAN
		switch routing.CarrierOf(x, l.cfg.Host, &n) {
		case routing.NotCarried:
			continue
		case routing.ByTunnel:
			vlan = tags[n.ID]
		}
		if vlan == 0 {
			continue
		}
		f.Networks = append(f.Networks, ovsdb.FabricNetwork{ID: n.ID, Port: n.FabricPort(), Peer: n.FabricPeer(), VLAN: vlan})
		for _, leg := range x.Legs(n.ID) {
			if r := leg.Router; r.Bridge.Managed && !routers[r.ID] {
				routers[r.ID] = true
				f.Routers = append(f.Routers, ovsdb.FabricRouter{ID: r.ID, Port: r.FabricPort(), Peer: r.FabricPeer()})
			}
		}
	}
	return f
}

// fabricJoints returns the pairs of patch ports of the fabric bridge.
func (l *Lifecycle) fabricJoints(x *routing.Index, f *ovsdb.Fabric) (out []joint) {
	if f == nil {
		return nil
	}
	for _, n := range f.Networks {
		out = append(out, newJoint(routing.FabricBridge, port{f.Name, n.Port}, port{l.cfg.IntegrationBridge, n.Peer}))
	}
	for _, r := range f.Routers {
		out = append(out, newJoint(routing.FabricBridge, port{f.Name, r.Port}, port{x.Router(r.ID).BridgeName(), r.Peer}))
	}
	return out
}

// owner returns the ID of the router or fabric bridge that a problem is about.
func owner(p ovsdb.Problem) string {
	if p.Fabric {
		return routing.FabricBridge
	}
	return p.Router
}

// wantPorts sets the intent. The new intent differs from l.want only in ports. wantPorts reports
// whether the tag of a machine on this host changes.
func (l *Lifecycle) wantPorts(in Intent) bool {
	old := l.want.Index
	l.want = in
	for a, b := range old.Difference(in.Index) {
		for _, p := range []*routing.Port{a.Port, b.Port} {
			if p == nil {
				continue
			}
			if _, here := l.database.rows.machines[p.ID]; here {
				return true
			}
		}
	}
	return false
}

// tagged reports whether ovs-vswitchd has applied all changes of machines' tags. A next_cfg lower
// than at the last change means that the database has been replaced.
func (d *database) tagged() bool {
	return d.state.CurCfg >= d.tagging || d.state.NextCfg < d.tagging
}

// setPlugged sets database.plugged to the IDs of the ports that have machines
// on this host and are on networks carried to other hosts by tunnels or an
// uplink. It sets nil if the database is not known or has no integration
// bridge.
func (l *Lifecycle) setPlugged() {
	d := &l.database
	before := d.plugged
	defer func() { d.arrive(before) }()
	d.plugged = nil
	if !d.connected || d.rows.bridges[l.cfg.IntegrationBridge] == nil {
		return
	}
	d.plugged = []string{}
	for id := range d.rows.machines {
		if p, ok := l.want.Index.Port(id); ok {
			if n, _ := l.want.Index.Network(p.Network); n.VNI != 0 || routing.CarrierOf(l.want.Index, l.cfg.Host, &n) == routing.ByUplink {
				d.plugged = append(d.plugged, id)
			}
		}
	}
	slices.Sort(d.plugged)
}
