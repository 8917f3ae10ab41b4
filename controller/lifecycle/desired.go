package lifecycle

import (
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// desired returns the database contents for an intent, without the withheld taps. tags is the
// result of [Lifecycle.tags].
func (l *Lifecycle) desired(want Intent, tags map[string]uint16, withheld func(router, tap string) bool) ovsdb.Desired {
	given := make(map[string]bool) // names given in the intent; other programs' links may have them
	d := ovsdb.Desired{IntegrationBridge: l.cfg.IntegrationBridge, Controller: l.cfg.Target, Partial: !want.Complete}
	d.Fabric, d.Tag, d.GivenTag = l.fabric(want.Index, tags), tagOf(want.Index, tags), givenTagOf(want.Index)
	d.Link = func(name string) string { return namespace.ForeignLink(name, given[name]) }
	d.Turns = l.keptTurns()
	d.HostAddresses = namespace.HostAddresses
	for r := range want.Index.Routers("") {
		if !r.Bridge.Managed {
			continue
		}
		b := ovsdb.Bridge{Router: r.ID, Name: r.BridgeName(), DatapathID: uint64(r.DPID())}
		given[r.Bridge.Name] = true
		for k := range r.Interfaces {
			f := &r.Interfaces[k]
			given[f.TapPort] = true
			n, _ := want.Index.Network(f.Network)
			iface := ovsdb.Interface{ID: f.ID, MAC: f.MAC.String(), Patch: f.PatchName(), Peer: f.PeerName(), VLAN: n.VLAN}
			if n.VNI != 0 {
				iface.VLAN = tags[n.ID]
			}
			if r.Fallback == routing.FallbackNamespace && !withheld(r.ID, f.TapName()) {
				iface.Tap = f.TapName()
			}
			b.Interfaces = append(b.Interfaces, iface)
		}
		d.Bridges = append(d.Bridges, b)
	}
	return d
}

// namespaceOf returns the desired namespace of r, with the taps for which made returns true.
func (l *Lifecycle) namespaceOf(x *routing.Index, r *routing.Router, made func(tap string) bool) namespace.Desired {
	d := namespace.Desired{Name: r.NamespaceName(), Router: r.ID, Instance: l.self()}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		if !made(f.TapName()) {
			continue
		}
		n, _ := x.Network(f.Network)
		d.Taps = append(d.Taps, namespace.Tap{
			Interface: f.ID, Name: f.TapName(), MAC: f.MAC, MTU: n.MTU, Down: f.Down, Addresses: f.Addresses,
		})
	}
	for i := range r.Routes {
		d.Routes = append(d.Routes, kernelRoute(r, &r.Routes[i]))
	}
	return d
}

// kernelRoute returns an extra route for the namespace of r.
func kernelRoute(r *routing.Router, route *routing.Route) namespace.Route {
	out := namespace.Route{Destination: route.Destination}
	switch route.Type {
	case routing.RouteBlackhole:
		out.Type = namespace.RouteBlackhole
	case routing.RouteReject:
		out.Type = namespace.RouteReject
	}
	for _, h := range route.NextHops {
		if f := r.Leg(h.Address); f != nil {
			out.Hops = append(out.Hops, namespace.Hop{NextHop: h.Address, Tap: f.TapName(), Weight: h.Weight})
		}
	}
	return out
}
