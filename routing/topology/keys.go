package topology

import (
	"math"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// These tables define all keys for reading and writing. The documents are structs with the
// same keys. A test compares the two.

// A field is a key of a mapping that represents a T.
type field[T any] struct {
	key      string
	required bool
	codec[T] // codec of the value, which is a part of the T
}

const (
	required = true
	optional = false
)

var topologyKeys = &mapping[routing.Model]{fields: []field[routing.Model]{
	{"hosts", optional, of(func(m *routing.Model) *[]routing.Host { return &m.Hosts }, list[routing.Host]{hostKeys})},
	{"networks", optional, of(func(m *routing.Model) *[]routing.Network { return &m.Networks }, list[routing.Network]{networkKeys})},
	{"routers", optional, of(func(m *routing.Model) *[]routing.Router { return &m.Routers }, list[routing.Router]{routerKeys})},
	{"ports", optional, of(func(m *routing.Model) *[]routing.Port { return &m.Ports }, list[routing.Port]{portKeys})},
}}

var hostKeys = &mapping[routing.Host]{fields: []field[routing.Host]{
	{"id", required, of(func(h *routing.Host) *string { return &h.ID }, text{})},
	{"name", optional, metaKey(func(h *routing.Host) **routing.Meta { return &h.Meta }, metaName, name{})},
	{"description", optional, metaKey(func(h *routing.Host) **routing.Meta { return &h.Meta }, metaDescription, description{})},
	{"labels", optional, metaKey(func(h *routing.Host) **routing.Meta { return &h.Meta }, metaLabels, labels{})},
	{"tunnel", optional, of(func(h *routing.Host) *routing.Tunnel { return &h.Tunnel }, tunnelKeys)},
	{"uplink", optional, of(func(h *routing.Host) *string { return &h.Uplink }, name{})},
}}

var tunnelKeys = &mapping[routing.Tunnel]{fields: []field[routing.Tunnel]{
	{"type", optional, of(func(t *routing.Tunnel) *routing.TunnelType { return &t.Type }, tunnelTypes)},
	{"address", required, of(func(t *routing.Tunnel) *netip.Addr { return &t.Address }, address)},
}}

var networkKeys = &mapping[routing.Network]{
	initial: routing.Network{MTU: 1500},
	fields: []field[routing.Network]{
		{"id", required, of(func(n *routing.Network) *string { return &n.ID }, text{})},
		{"name", optional, metaKey(func(n *routing.Network) **routing.Meta { return &n.Meta }, metaName, name{})},
		{"description", optional, metaKey(func(n *routing.Network) **routing.Meta { return &n.Meta }, metaDescription, description{})},
		{"labels", optional, metaKey(func(n *routing.Network) **routing.Meta { return &n.Meta }, metaLabels, labels{})},
		{"vlan", optional, of(func(n *routing.Network) *uint16 { return &n.VLAN }, number[uint16]{name: "vlan", low: routing.MinVLAN, high: routing.MaxVLAN})},
		{"mtu", optional, of(func(n *routing.Network) *int { return &n.MTU }, number[int]{name: "mtu", low: routing.MinMTU, high: routing.MaxMTU})},
		{"ipv4_address_scope", optional, of(func(n *routing.Network) *string { return &n.IPv4Scope }, scope{})},
		{"ipv6_address_scope", optional, of(func(n *routing.Network) *string { return &n.IPv6Scope }, scope{})},
		{"fast_path", optional, of(func(n *routing.Network) *bool { return &n.NoFastPath }, fastPaths)},
		{"vni", optional, of(func(n *routing.Network) *uint32 { return &n.VNI }, number[uint32]{name: "vni", low: 1, high: routing.MaxVNI})},
		{"broadcast", optional, of(func(n *routing.Network) *routing.Broadcast { return &n.Broadcast }, broadcasts)},
	},
}

var routerKeys = &mapping[routing.Router]{
	initial: routing.Router{ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 1000, UnknownRate: 50, Bridge: bridgeKeys.initial},
	fields: []field[routing.Router]{
		{"id", required, of(func(r *routing.Router) *string { return &r.ID }, text{})},
		{"name", optional, metaKey(func(r *routing.Router) **routing.Meta { return &r.Meta }, metaName, name{})},
		{"description", optional, metaKey(func(r *routing.Router) **routing.Meta { return &r.Meta }, metaDescription, description{})},
		{"labels", optional, metaKey(func(r *routing.Router) **routing.Meta { return &r.Meta }, metaLabels, labels{})},
		{"namespace", optional, of(func(r *routing.Router) *string { return &r.Namespace }, name{})},
		{"fallback", optional, of(func(r *routing.Router) *routing.Fallback { return &r.Fallback }, fallbacks)},
		{"arp_responder", optional, of(func(r *routing.Router) *bool { return &r.ARPResponder }, boolean{})},
		{"nd_responder", optional, of(func(r *routing.Router) *bool { return &r.NDResponder }, boolean{})},
		{"echo_responder", optional, of(func(r *routing.Router) *bool { return &r.EchoResponder }, boolean{})},
		{"answer_rate", optional, of(func(r *routing.Router) *int { return &r.AnswerRate }, number[int]{name: "answer_rate", low: 0, high: routing.MaxAnswerRate})},
		{"unknown_rate", optional, of(func(r *routing.Router) *int { return &r.UnknownRate }, number[int]{name: "unknown_rate", low: 0, high: routing.MaxAnswerRate})},
		{"bridge", optional, of(func(r *routing.Router) *routing.Bridge { return &r.Bridge }, bridgeKeys)},
		{"interfaces", optional, of(func(r *routing.Router) *[]routing.Interface { return &r.Interfaces }, list[routing.Interface]{interfaceKeys})},
		{"routes", optional, of(func(r *routing.Router) *[]routing.Route { return &r.Routes }, list[routing.Route]{routeKeys})},
	},
}

var bridgeKeys = &mapping[routing.Bridge]{
	initial: routing.Bridge{Managed: true},
	fields: []field[routing.Bridge]{
		{"managed", optional, of(func(b *routing.Bridge) *bool { return &b.Managed }, boolean{})},
		{"name", optional, of(func(b *routing.Bridge) *string { return &b.Name }, name{})},
		{"datapath_id", optional, of(func(b *routing.Bridge) *ofproto.DPID { return &b.DatapathID }, dpid)},
		{"foreign_flows", optional, of(func(b *routing.Bridge) *routing.Foreign { return &b.Foreign }, foreigns)},
	},
}

var interfaceKeys = &mapping[routing.Interface]{fields: []field[routing.Interface]{
	{"id", required, of(func(i *routing.Interface) *string { return &i.ID }, text{})},
	{"network", required, of(func(i *routing.Interface) *string { return &i.Network }, reference{})},
	{"mac", required, of(func(i *routing.Interface) *ofproto.MAC { return &i.MAC }, mac)},
	{"addresses", required, of(func(i *routing.Interface) *[]netip.Prefix { return &i.Addresses }, list[netip.Prefix]{prefix})},
	{"patch_port", optional, of(func(i *routing.Interface) *string { return &i.PatchPort }, name{})},
	{"tap_port", optional, of(func(i *routing.Interface) *string { return &i.TapPort }, name{})},
	{"admin_state", optional, of(func(i *routing.Interface) *bool { return &i.Down }, adminStates)},
	{"ra", optional, of(func(i *routing.Interface) **routing.RA { return &i.RA }, pointer[routing.RA]{raKeys})},
}}

var raKeys = &mapping[routing.RA]{
	initial: routing.RA{Lifetime: 1800, Interval: 600},
	fields: []field[routing.RA]{
		{"managed", optional, of(func(r *routing.RA) *bool { return &r.Managed }, boolean{})},
		{"other", optional, of(func(r *routing.RA) *bool { return &r.Other }, boolean{})},
		{"lifetime", optional, of(func(r *routing.RA) *int { return &r.Lifetime }, number[int]{name: "lifetime", low: 0, high: routing.MaxRALifetime})},
		{"interval", optional, of(func(r *routing.RA) *int { return &r.Interval }, number[int]{name: "interval", low: routing.MinRAInterval, high: routing.MaxRAInterval})},
		{"mtu", optional, of(func(r *routing.RA) *int { return &r.MTU }, number[int]{name: "mtu", low: routing.MinIPv6MTU, high: routing.MaxMTU})},
		{"prefixes", optional, of(func(r *routing.RA) *[]routing.RAPrefix { return &r.Prefixes }, list[routing.RAPrefix]{raPrefixKeys})},
	},
}

var raPrefixKeys = &mapping[routing.RAPrefix]{
	initial: routing.DefaultRAPrefix,
	fields: []field[routing.RAPrefix]{
		{"prefix", required, of(func(p *routing.RAPrefix) *netip.Prefix { return &p.Prefix }, prefix6)},
		{"on_link", optional, of(func(p *routing.RAPrefix) *bool { return &p.OnLink }, boolean{})},
		{"autonomous", optional, of(func(p *routing.RAPrefix) *bool { return &p.Autonomous }, boolean{})},
		{"valid_lifetime", optional, of(func(p *routing.RAPrefix) *int { return &p.Valid }, number[int]{name: "valid_lifetime", low: 0, high: math.MaxUint32})},
		{"preferred_lifetime", optional, of(func(p *routing.RAPrefix) *int { return &p.Preferred }, number[int]{name: "preferred_lifetime", low: 0, high: math.MaxUint32})},
	},
}

var routeKeys = &mapping[routing.Route]{fields: []field[routing.Route]{
	{"destination", required, of(func(r *routing.Route) *netip.Prefix { return &r.Destination }, destination)},
	{"type", optional, of(func(r *routing.Route) *routing.RouteType { return &r.Type }, hopType{routeTypes})},
	{"nexthop", optional, of(func(r *routing.Route) *[]routing.NextHop { return &r.NextHops }, onlyHop{})},
	{"nexthops", optional, of(func(r *routing.Route) *[]routing.NextHop { return &r.NextHops }, severalHops{list[routing.NextHop]{nextHopKeys}})},
	{"fast_path", optional, of(func(r *routing.Route) *bool { return &r.NoFastPath }, fastPaths)},
}}

var nextHopKeys = &mapping[routing.NextHop]{
	initial: routing.NextHop{Weight: 1},
	fields: []field[routing.NextHop]{
		{"address", required, of(func(h *routing.NextHop) *netip.Addr { return &h.Address }, address)},
		{"weight", optional, of(func(h *routing.NextHop) *int { return &h.Weight }, number[int]{name: "weight", low: 1, high: routing.MaxWeight})},
	},
}

var portKeys = &mapping[routing.Port]{fields: []field[routing.Port]{
	{"id", required, of(func(p *routing.Port) *string { return &p.ID }, text{})},
	{"name", optional, metaKey(func(p *routing.Port) **routing.Meta { return &p.Meta }, metaName, name{})},
	{"description", optional, metaKey(func(p *routing.Port) **routing.Meta { return &p.Meta }, metaDescription, description{})},
	{"labels", optional, metaKey(func(p *routing.Port) **routing.Meta { return &p.Meta }, metaLabels, labels{})},
	{"network", required, of(func(p *routing.Port) *string { return &p.Network }, reference{})},
	{"mac", required, of(func(p *routing.Port) *ofproto.MAC { return &p.MAC }, mac)},
	{"addresses", optional, of(func(p *routing.Port) *[]netip.Addr { return &p.Addresses }, list[netip.Addr]{address})},
	{"allowed_address_pairs", optional, of(func(p *routing.Port) *[]routing.AddressPair { return &p.Pairs }, list[routing.AddressPair]{pairKeys})},
	{"admin_state", optional, of(func(p *routing.Port) *bool { return &p.Down }, adminStates)},
	{"host", optional, of(func(p *routing.Port) *string { return &p.Host }, scope{})},
	{"bound", optional, of(func(p *routing.Port) *bool { return &p.Unbound }, not{})},
	{"fast_path", optional, of(func(p *routing.Port) *bool { return &p.NoFastPath }, fastPaths)},
}}

var pairKeys = &mapping[routing.AddressPair]{fields: []field[routing.AddressPair]{
	{"address", required, of(func(p *routing.AddressPair) *netip.Prefix { return &p.Addresses }, addressOrPrefix)},
	{"mac", optional, of(func(p *routing.AddressPair) *ofproto.MAC { return &p.MAC }, mac)},
}}

var batchKeys = &mapping[routing.Change]{fields: []field[routing.Change]{
	{"put", optional, of(func(c *routing.Change) *routing.Model { return &c.Put }, topologyKeys)},
	{"delete", optional, of(func(c *routing.Change) *routing.IDs { return &c.Delete }, deleteKeys)},
}}

var deleteKeys = &mapping[routing.IDs]{fields: []field[routing.IDs]{
	{"hosts", optional, of(func(d *routing.IDs) *[]string { return &d.Hosts }, list[string]{knownID{}})},
	{"networks", optional, of(func(d *routing.IDs) *[]string { return &d.Networks }, list[string]{knownID{}})},
	{"routers", optional, of(func(d *routing.IDs) *[]string { return &d.Routers }, list[string]{knownID{}})},
	{"ports", optional, of(func(d *routing.IDs) *[]string { return &d.Ports }, list[string]{knownID{}})},
}}

var snapshotKeys = &mapping[Snapshot]{fields: []field[Snapshot]{
	{"router", required, of(func(s *Snapshot) *routing.Router { return &s.Router }, routerKeys)},
	{"networks", optional, of(func(s *Snapshot) *[]routing.Network { return &s.Networks }, list[routing.Network]{networkKeys})},
	{"ports", optional, of(func(s *Snapshot) *[]routing.Port { return &s.Ports }, list[routing.Port]{portKeys})},
}}
