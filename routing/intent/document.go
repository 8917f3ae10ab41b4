package intent

import "github.com/ofdvr/ofdvr/routing"

// A Topology is the document of a [routing.Model]: a topology file.
type Topology struct {
	Networks []Network `json:"networks" required:"false" doc:"The networks"`
	Routers  []Router  `json:"routers" required:"false" doc:"The routers between them"`
	Ports    []Port    `json:"ports" required:"false" doc:"The ports of machines, on this host or on others"`
}

// A Network is the document of a [routing.Network].
type Network struct {
	ID   string `json:"id" minLength:"1" maxLength:"64" example:"blue" doc:"Any name of up to 64 bytes, such as a UUID"`
	VLAN uint16 `json:"vlan,omitempty" minimum:"1" maximum:"4094" example:"1" doc:"The tag of the router's patch ports on the integration bridge. Absent: another agent sets the tags, and until then those ports pass nothing"`
	MTU  int    `json:"mtu,omitempty" minimum:"68" maximum:"65535" default:"1500" doc:"The largest IP packet, in bytes. Also the taps' MTU"`
}

// A Router is the document of a [routing.Router].
type Router struct {
	ID           string      `json:"id" minLength:"1" maxLength:"64" example:"r1" doc:"Any name of up to 64 bytes, such as a UUID"`
	Namespace    string      `json:"namespace,omitempty" minLength:"1" maxLength:"255" example:"qrouter-r1" doc:"The network namespace; made if there is none. Absent: qrouter- and the ID"`
	Fallback     string      `json:"fallback,omitempty" enum:"namespace,none" default:"namespace" doc:"Who gets what the flows do not handle: the namespace, or none: it is dropped"`
	ARPResponder *bool       `json:"arp_responder,omitempty" default:"true" doc:"Flows answer ARP. If false the kernel does, through the tap"`
	Bridge       *Bridge     `json:"bridge,omitempty" doc:"The bridge that holds the flows. Absent: one that ofdvr makes"`
	Interfaces   []Interface `json:"interfaces,omitempty" doc:"The router's legs on networks"`
	Routes       []Route     `json:"routes,omitempty" doc:"Extra routes. The longest prefix wins, over the connected subnets too"`
}

// A Route is the document of a [routing.Route].
type Route struct {
	Destination string `json:"destination" example:"10.9.0.0/16" doc:"A prefix; 0.0.0.0/0 is the default route"`
	NextHop     string `json:"nexthop" example:"10.0.1.10" doc:"An address in a subnet of one of the router's interfaces. If a port has it, the switch routes there; otherwise the namespace does"`
}

// A Bridge is the document of a [routing.Bridge].
type Bridge struct {
	Managed      *bool  `json:"managed,omitempty" default:"true" doc:"ofdvr makes the bridge and removes it. If false the bridge is yours, and ofdvr only programs its flows"`
	Name         string `json:"name,omitempty" minLength:"1" maxLength:"15" example:"br-r1" doc:"The bridge's name. Absent: rb- and the router's ID. Required for an external bridge, unless it has a datapath_id"`
	DatapathID   string `json:"datapath_id,omitempty" minLength:"16" maxLength:"18" example:"00000000000000a1" doc:"16 hexadecimal digits. Absent: made from the router's ID. An external bridge that has one is recognized by it, not by its name"`
	ForeignFlows string `json:"foreign_flows,omitempty" enum:"remove,report,ignore" doc:"What to do with flows, groups and meters of others: remove them, report how many there are, or ignore them. Absent: remove, or report on an external bridge"`
}

// An Interface is the document of a [routing.Interface].
type Interface struct {
	ID        string   `json:"id" minLength:"1" maxLength:"64" example:"r1-blue" doc:"Any name of up to 64 bytes, such as a UUID"`
	Network   string   `json:"network" minLength:"1" maxLength:"64" example:"blue" doc:"The ID of a network"`
	MAC       string   `json:"mac" minLength:"17" maxLength:"17" example:"02:00:00:00:01:01" doc:"The router's MAC address on that network"`
	Addresses []string `json:"addresses" minItems:"1" example:"10.0.1.1/24" doc:"The router's addresses, each with the length of its subnet's prefix"`
	PatchPort string   `json:"patch_port,omitempty" minLength:"1" maxLength:"15" example:"pr-r1-blue" doc:"The port towards the integration bridge. Absent: pr- and the ID. Required on an external bridge"`
	TapPort   string   `json:"tap_port,omitempty" minLength:"1" maxLength:"15" example:"qr-r1-blue" doc:"The port towards the namespace. Absent: qr- and the ID. Required on an external bridge with a fallback"`
}

// A Port is the document of a [routing.Port].
type Port struct {
	ID        string   `json:"id" minLength:"1" maxLength:"64" example:"vm1" doc:"Any name of up to 64 bytes, such as a UUID"`
	Network   string   `json:"network" minLength:"1" maxLength:"64" example:"blue" doc:"The ID of a network"`
	MAC       string   `json:"mac" minLength:"17" maxLength:"17" example:"02:00:00:00:01:10" doc:"The machine's MAC address"`
	Addresses []string `json:"addresses,omitempty" example:"10.0.1.10" doc:"The machine's addresses. Only they are routed to by flows"`
}

// A BatchBody is the document that [DecodeBatch] reads.
type BatchBody struct {
	Put    *Topology `json:"put,omitempty" doc:"Objects to make, each in place of the one of its kind with its ID if there is one"`
	Delete *IDs      `json:"delete,omitempty" doc:"Objects to remove, if they exist, before others are put"`
}

// IDs name objects of a topology.
type IDs struct {
	Networks []string `json:"networks,omitempty" minLength:"1" maxLength:"64" example:"blue" doc:"IDs of networks"`
	Routers  []string `json:"routers,omitempty" minLength:"1" maxLength:"64" example:"r1" doc:"IDs of routers"`
	Ports    []string `json:"ports,omitempty" minLength:"1" maxLength:"64" example:"vm1" doc:"IDs of ports"`
}

// A SnapshotBody is the document that [DecodeSnapshot] reads.
type SnapshotBody struct {
	Router   Router    `json:"router" doc:"The router"`
	Networks []Network `json:"networks,omitempty" doc:"The networks that it joins"`
	Ports    []Port    `json:"ports,omitempty" doc:"The ports on them"`
}

// DocumentOf returns the document of m.
func DocumentOf(m *routing.Model) Topology {
	return Topology{
		Networks: convert(m.Networks, NetworkOf),
		Routers:  convert(m.Routers, RouterOf),
		Ports:    convert(m.Ports, PortOf),
	}
}

// NetworkOf returns the document of n.
func NetworkOf(n routing.Network) Network {
	return Network{ID: n.ID, VLAN: n.VLAN, MTU: unless(n.MTU, networkKeys.initial.MTU)}
}

// RouterOf returns the document of r.
func RouterOf(r routing.Router) Router {
	initial := &routerKeys.initial
	d := Router{
		ID:           r.ID,
		Namespace:    r.Namespace,
		Fallback:     unless(fallbacks.word(r.Fallback), fallbacks.word(initial.Fallback)),
		ARPResponder: unlessDefault(r.ARPResponder, initial.ARPResponder),
		Interfaces:   convert(r.Interfaces, interfaceOf),
		Routes:       convert(r.Routes, routeOf),
	}
	if r.Bridge != initial.Bridge {
		d.Bridge = &Bridge{
			Managed:      unlessDefault(r.Bridge.Managed, initial.Bridge.Managed),
			Name:         r.Bridge.Name,
			ForeignFlows: foreigns.word(r.Bridge.Foreign),
		}
		if id := r.Bridge.DatapathID; id != 0 {
			d.Bridge.DatapathID = id.String()
		}
	}
	return d
}

func routeOf(r routing.Route) Route {
	return Route{Destination: r.Destination.String(), NextHop: r.NextHop.String()}
}

func interfaceOf(i routing.Interface) Interface {
	return Interface{
		ID:        i.ID,
		Network:   i.Network,
		MAC:       i.MAC.String(),
		Addresses: texts(i.Addresses),
		PatchPort: i.PatchPort,
		TapPort:   i.TapPort,
	}
}

// PortOf returns the document of p.
func PortOf(p routing.Port) Port {
	return Port{ID: p.ID, Network: p.Network, MAC: p.MAC.String(), Addresses: texts(p.Addresses)}
}

// convert returns what f makes of each item: a list, also if it is empty.
func convert[T, D any](items []T, f func(T) D) []D {
	out := make([]D, len(items))
	for i, v := range items {
		out[i] = f(v)
	}
	return out
}

func texts[T interface{ String() string }](items []T) []string { return convert(items, T.String) }

// unless returns v, or the zero value if v is the default.
func unless[T comparable](v, dflt T) (out T) {
	if v != dflt {
		out = v
	}
	return out
}

// unlessDefault returns v, or nil if v is the default.
func unlessDefault[T comparable](v, dflt T) *T {
	if v == dflt {
		return nil
	}
	return &v
}
