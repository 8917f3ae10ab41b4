package topology

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Topology is the document of a [routing.Model]: a topology file.
type Topology struct {
	Hosts    []Host    `json:"hosts,omitempty" doc:"The hosts that networks with a VNI span. Absent: the intent is for one host"`
	Networks []Network `json:"networks" required:"false" doc:"The networks"`
	Routers  []Router  `json:"routers" required:"false" doc:"The routers that connect the networks"`
	Ports    []Port    `json:"ports" required:"false" doc:"The ports of machines, on this host or on others"`
}

// A Host is the document of a [routing.Host].
type Host struct {
	ID          string            `json:"id" minLength:"1" maxLength:"64" example:"h1" doc:"Any name of up to 64 bytes. The daemon of that host must have the same ID in its flag --host, whose default is the machine's hostname"`
	Name        string            `json:"name,omitempty" minLength:"1" maxLength:"255" example:"rack 1, left" doc:"A name for people, up to 255 bytes. If no other object of the same kind has this name, tables show it instead of the ID, and commands accept it instead of the ID. Names need not be unique"`
	Description string            `json:"description,omitempty" maxLength:"1024" doc:"A note for people, up to 1,024 bytes"`
	Labels      map[string]string `json:"labels,omitempty" example:"{\"rack\": \"r1\"}" doc:"Up to 64 keys with values. Commands and the API can select objects by them. The characters and lengths allowed are those of Kubernetes' labels"`
	Tunnel      *Tunnel           `json:"tunnel,omitempty" doc:"This host's endpoint of the tunnels to all other hosts. Absent: networks with a VNI do not reach this host"`
	Uplink      string            `json:"uplink,omitempty" minLength:"1" maxLength:"15" example:"eth1" doc:"The physical interface to the switches that connect the hosts. It carries the networks that have a vlan and no vni, in tagged frames. ofdvr makes it a port of the bridge br-fabric. So it must not be a port of another bridge, and must have no IP addresses. Absent: networks with a vlan stay on this host, unless another program connects them"`
}

// A Tunnel is the document of a [routing.Tunnel].
type Tunnel struct {
	Type    string `json:"type,omitempty" enum:"geneve,vxlan" default:"geneve" doc:"The encapsulation of tunnel packets that other hosts send to this host"`
	Address string `json:"address" example:"192.168.77.1" doc:"The host's address in the underlay network. All hosts have addresses of the same family, IPv4 or IPv6"`
}

// A Network is the document of a [routing.Network].
type Network struct {
	ID          string            `json:"id" minLength:"1" maxLength:"64" example:"blue" doc:"Any name of up to 64 bytes, such as a UUID"`
	Name        string            `json:"name,omitempty" minLength:"1" maxLength:"255" example:"office" doc:"A name for people, up to 255 bytes, not blank, without control and invisible characters. If no other object of the same kind has this name, tables show it instead of the ID, and commands accept it instead of the ID. Names need not be unique"`
	Description string            `json:"description,omitempty" maxLength:"1024" doc:"A note for people, up to 1,024 bytes"`
	Labels      map[string]string `json:"labels,omitempty" example:"{\"tier\": \"web\"}" doc:"Up to 64 keys with values. Commands and the API can select objects by them. The characters and lengths allowed are those of Kubernetes' labels"`
	VLAN        uint16            `json:"vlan,omitempty" minimum:"1" maximum:"4094" example:"1" doc:"The tag of the router's patch ports on the integration bridge. Absent: another agent must set the tags, and a port passes no traffic until it has a tag"`
	MTU         int               `json:"mtu,omitempty" minimum:"68" maximum:"65535" default:"1500" doc:"The size of the largest IP packet, in bytes. The taps on the network get this MTU"`

	IPv4Scope string `json:"ipv4_address_scope,omitempty" minLength:"1" maxLength:"64" example:"campus" doc:"The address scope of the network's IPv4 addresses. Flows do not route between different scopes: they send such packets to the namespace. All networks without a scope are in the same scope"`
	IPv6Scope string `json:"ipv6_address_scope,omitempty" minLength:"1" maxLength:"64" example:"campus6" doc:"The address scope of the network's IPv6 addresses, as for IPv4"`
	FastPath  string `json:"fast_path,omitempty" enum:"on,off" default:"on" doc:"Off: all traffic from and to the network goes through the router's namespace, so that NAT and connection tracking in the namespace see both directions. It has no effect on routers without a namespace"`
	VNI       uint32 `json:"vni,omitempty" minimum:"1" maximum:"16777215" example:"5001" doc:"The number of the network in tunnels. With a vni, ofdvr connects the network between all hosts, and sets the tags of its machines' ports on each host's integration bridge. Routers on the network need a bridge that ofdvr creates, and a different MAC address on each network with a vni. Absent: ofdvr sends no packets of the network through tunnels"`
	Broadcast string `json:"broadcast,omitempty" enum:"all,dhcp,none" default:"all" doc:"Which broadcast and multicast packets ofdvr sends to other hosts: all, only those of DHCP and DHCPv6, or none. Allowed only with a vni or a vlan"`
}

// A Router is the document of a [routing.Router].
type Router struct {
	ID           string            `json:"id" minLength:"1" maxLength:"64" example:"r1" doc:"Any name of up to 64 bytes, such as a UUID"`
	Name         string            `json:"name,omitempty" minLength:"1" maxLength:"255" example:"edge" doc:"A name for people, up to 255 bytes, not blank, without control and invisible characters. If no other object of the same kind has this name, tables show it instead of the ID, and commands accept it instead of the ID. Names need not be unique"`
	Description  string            `json:"description,omitempty" maxLength:"1024" doc:"A note for people, up to 1,024 bytes"`
	Labels       map[string]string `json:"labels,omitempty" example:"{\"tier\": \"web\"}" doc:"Up to 64 keys with values. Commands and the API can select objects by them. The characters and lengths allowed are those of Kubernetes' labels"`
	Namespace    string            `json:"namespace,omitempty" minLength:"1" maxLength:"255" example:"qrouter-r1" doc:"The name of the router's network namespace. ofdvr creates the namespace if it does not exist. It must not be the namespace in which the machine itself runs. Absent: qrouter- and the ID"`
	Fallback     string            `json:"fallback,omitempty" enum:"namespace,none" default:"namespace" doc:"What happens to packets that the flows do not handle. namespace: they go to the router's namespace. none: they are dropped"`
	ARPResponder *bool             `json:"arp_responder,omitempty" default:"true" doc:"Flows answer ARP. False: the kernel answers, through the tap"`
	NDResponder  *bool             `json:"nd_responder,omitempty" default:"true" doc:"Flows answer neighbour solicitations. False: the kernel answers, through the tap"`
	Echo         *bool             `json:"echo_responder,omitempty" default:"true" doc:"Flows answer ICMP echo requests (ping) to the router's addresses. False: the kernel answers, through the tap"`
	AnswerRate   *int              `json:"answer_rate,omitempty" minimum:"0" maximum:"1000000" default:"1000" doc:"The number of requests a second that the router answers. There is a limit for ARP and neighbour solicitations of each machine, a limit for pings to each interface, and a limit for packets with an expired TTL from each interface. If an interface has more than 64 declared machines (32 if the router has 4 interfaces, and so on), machines whose MAC addresses end in the same bits share a limit. Undeclared machines always share limits. 0: no limit"`
	UnknownRate  *int              `json:"unknown_rate,omitempty" minimum:"0" maximum:"1000000" default:"50" doc:"The number of packets a second, for each interface, to addresses that no port has. So a scan of a subnet cannot fill the kernel's neighbour table. There is no limit for machines that the namespace has found by ARP or neighbour discovery. While the daemon is stopped, this exempts only machines found before. No effect on external bridges. 0: no limit"`
	Bridge       *Bridge           `json:"bridge,omitempty" doc:"The bridge that holds the flows. Absent: ofdvr creates one"`
	Interfaces   []Interface       `json:"interfaces,omitempty" doc:"The router's interfaces on networks"`
	Routes       []Route           `json:"routes,omitempty" doc:"Extra routes. The longest matching prefix decides, among extra routes and connected subnets"`
}

// A Route is the document of a [routing.Route].
type Route struct {
	Destination string    `json:"destination" example:"10.9.0.0/16" doc:"The prefix of the route. 0.0.0.0/0 is the default route"`
	Type        string    `json:"type,omitempty" enum:"via,blackhole,reject" default:"via" doc:"What happens to packets of the route. via: they go to a next hop. blackhole: they are dropped. reject: they are dropped, and the sender gets the ICMP error host unreachable"`
	NextHop     string    `json:"nexthop,omitempty" example:"10.0.1.10" doc:"An address in a subnet of one of the router's interfaces. Required if the type is via and nexthops is absent. If a port has the address, the switch routes to it. Otherwise the namespace routes, for which ofdvr adds the same route there"`
	NextHops    []NextHop `json:"nexthops,omitempty" doc:"Several next hops instead of one. All packets of a connection take the same next hop"`
	FastPath    string    `json:"fast_path,omitempty" enum:"on,off" default:"on" doc:"Off: all traffic to and from the destination of the route goes through the namespace, so that NAT and connection tracking in the namespace see both directions"`
}

// A NextHop is the document of a [routing.NextHop].
type NextHop struct {
	Address string `json:"address" example:"10.0.1.10" doc:"An address in a subnet of one of the router's interfaces"`
	Weight  int    `json:"weight,omitempty" minimum:"1" maximum:"256" default:"1" doc:"The share of traffic for this next hop, relative to the weights of the others"`
}

// A Bridge is the document of a [routing.Bridge].
type Bridge struct {
	Managed      *bool  `json:"managed,omitempty" default:"true" doc:"True: ofdvr creates and removes the bridge. False: you create the bridge (an external bridge), and ofdvr only programs its flows"`
	Name         string `json:"name,omitempty" minLength:"1" maxLength:"15" example:"br-r1" doc:"The bridge's name. Absent: rb- and the router's ID. Required for an external bridge without datapath_id"`
	DatapathID   string `json:"datapath_id,omitempty" minLength:"16" maxLength:"18" example:"00000000000000a1" doc:"The datapath ID of the bridge, 16 hexadecimal digits. ofdvr recognizes an external bridge by this key if it is present, otherwise by the bridge's name. Absent, on a managed bridge: ofdvr derives it from the router's ID"`
	ForeignFlows string `json:"foreign_flows,omitempty" enum:"remove,report,ignore" doc:"What ofdvr does with flows, groups and meters of other programs on the bridge: remove them, report their number in the status and the metrics, or ignore them. Absent: remove on a managed bridge, report on an external bridge. If such a flow has the same table, priority and match as a flow of ofdvr, ofdvr always replaces it"`
}

// An Interface is the document of a [routing.Interface].
type Interface struct {
	ID         string   `json:"id" minLength:"1" maxLength:"64" example:"r1-blue" doc:"Any name of up to 64 bytes, such as a UUID"`
	Network    string   `json:"network" minLength:"1" maxLength:"64" example:"blue" doc:"The ID of a network"`
	MAC        string   `json:"mac" minLength:"17" maxLength:"17" example:"02:00:00:00:01:01" doc:"The router's MAC address on that network"`
	Addresses  []string `json:"addresses" minItems:"1" example:"10.0.1.1/24" doc:"The router's addresses, each with the prefix length of its subnet"`
	PatchPort  string   `json:"patch_port,omitempty" minLength:"1" maxLength:"15" example:"pr-r1-blue" doc:"The name of the patch port to the integration bridge. Absent: pr- and the ID. Required on an external bridge"`
	TapPort    string   `json:"tap_port,omitempty" minLength:"1" maxLength:"15" example:"qr-r1-blue" doc:"The name of the tap to the namespace. Absent: qr- and the ID. Required on an external bridge with a fallback. If ra is present, the name is written into the configuration of radvd. Then it must not be a number or a keyword of radvd, and must not contain quotes, semicolons, braces, bars or backslashes"`
	AdminState string   `json:"admin_state,omitempty" enum:"up,down" default:"up" doc:"Down: no traffic passes the interface"`
	RA         *RA      `json:"ra,omitempty" doc:"radvd sends router advertisements with these settings from the namespace. {}: with the defaults. Absent: no router advertisements"`
}

// RA is the document of a [routing.RA].
type RA struct {
	Managed  *bool      `json:"managed,omitempty" default:"false" doc:"The M flag: machines get addresses by DHCPv6"`
	Other    *bool      `json:"other,omitempty" default:"false" doc:"The O flag: machines get other settings by DHCPv6"`
	Lifetime *int       `json:"lifetime,omitempty" minimum:"0" maximum:"9000" default:"1800" doc:"Seconds for which machines use the router as a default router. 0: machines do not use it as a default router"`
	Interval int        `json:"interval,omitempty" minimum:"4" maximum:"1800" default:"600" doc:"The longest time between two advertisements, in seconds"`
	MTU      int        `json:"mtu,omitempty" minimum:"1280" maximum:"65535" doc:"The MTU to advertise. Absent: the network's MTU"`
	Prefixes []RAPrefix `json:"prefixes,omitempty" doc:"The prefixes to advertise. Absent: the interface's IPv6 subnets"`
}

// An RAPrefix is the document of a [routing.RAPrefix].
type RAPrefix struct {
	Prefix     string `json:"prefix" example:"2001:db8::/64" doc:"The prefix"`
	OnLink     *bool  `json:"on_link,omitempty" default:"true" doc:"Machines reach the addresses of the prefix directly, without a router"`
	Autonomous *bool  `json:"autonomous,omitempty" default:"true" doc:"Machines make their own addresses from the prefix (SLAAC)"`
	Valid      *int   `json:"valid_lifetime,omitempty" minimum:"0" maximum:"4294967295" default:"86400" doc:"Seconds for which the prefix is valid. 4294967295 means for ever"`
	Preferred  *int   `json:"preferred_lifetime,omitempty" minimum:"0" maximum:"4294967295" default:"14400" doc:"Seconds for which addresses of the prefix are preferred, at most valid_lifetime"`
}

// A Port is the document of a [routing.Port].
type Port struct {
	ID          string            `json:"id" minLength:"1" maxLength:"64" example:"vm1" doc:"Any name of up to 64 bytes, such as a UUID"`
	Name        string            `json:"name,omitempty" minLength:"1" maxLength:"255" example:"web-1" doc:"A name for people, up to 255 bytes, not blank, without control and invisible characters. If no other object of the same kind has this name, tables show it instead of the ID, and commands accept it instead of the ID. Names need not be unique"`
	Description string            `json:"description,omitempty" maxLength:"1024" doc:"A note for people, up to 1,024 bytes"`
	Labels      map[string]string `json:"labels,omitempty" example:"{\"tier\": \"web\"}" doc:"Up to 64 keys with values. Commands and the API can select objects by them. The characters and lengths allowed are those of Kubernetes' labels"`
	Network     string            `json:"network" minLength:"1" maxLength:"64" example:"blue" doc:"The ID of a network"`
	MAC         string            `json:"mac" minLength:"17" maxLength:"17" example:"02:00:00:00:01:10" doc:"The machine's MAC address"`
	Addresses   []string          `json:"addresses,omitempty" example:"10.0.1.10" doc:"The machine's addresses"`
	Pairs       []AddressPair     `json:"allowed_address_pairs,omitempty" doc:"More addresses that the machine may use, such as a virtual IP"`
	AdminState  string            `json:"admin_state,omitempty" enum:"up,down" default:"up" doc:"Down: flows do not route packets to the machine"`
	Host        string            `json:"host,omitempty" minLength:"1" maxLength:"64" example:"h1" doc:"The ID of the host on which you expect the machine. Absent: any host. If the machine is plugged in on another host, packets go to that host. A machine is plugged in if an interface of the integration bridge has the port's ID as its iface-id"`
	Bound       *bool             `json:"bound,omitempty" default:"true" doc:"True: the machine runs on some host. False: flows do not route packets to the machine"`
	FastPath    string            `json:"fast_path,omitempty" enum:"on,off" default:"on" doc:"Off: all traffic from and to the machine, also traffic that it forwards, goes through the namespace, so that NAT and connection tracking in the namespace see both directions"`
}

// An AddressPair is the document of a [routing.AddressPair].
type AddressPair struct {
	Address string `json:"address" example:"10.0.1.100" doc:"An address or a prefix. Flows route packets to an address if no port has it in addresses, and all ports with this pair give the same MAC address. The namespace routes packets to all other pairs"`
	MAC     string `json:"mac,omitempty" minLength:"17" maxLength:"17" example:"02:00:00:00:01:10" doc:"The MAC address for this address. Absent: the port's MAC address"`
}

// A BatchBody is the document that [DecodeBatch] reads.
type BatchBody struct {
	Put    *Topology `json:"put,omitempty" doc:"Objects to create or to replace"`
	Delete *IDs      `json:"delete,omitempty" doc:"Objects to delete, before other objects are put. IDs that do not exist are ignored"`
}

// IDs lists objects of a topology.
type IDs struct {
	Hosts    []string `json:"hosts,omitempty" minLength:"1" maxLength:"64" example:"h1" doc:"IDs of hosts"`
	Networks []string `json:"networks,omitempty" minLength:"1" maxLength:"64" example:"blue" doc:"IDs of networks"`
	Routers  []string `json:"routers,omitempty" minLength:"1" maxLength:"64" example:"r1" doc:"IDs of routers"`
	Ports    []string `json:"ports,omitempty" minLength:"1" maxLength:"64" example:"vm1" doc:"IDs of ports"`
}

// A SnapshotBody is the document that [DecodeSnapshot] reads.
type SnapshotBody struct {
	Router   Router    `json:"router" doc:"The router"`
	Networks []Network `json:"networks,omitempty" doc:"The networks of the router's interfaces"`
	Ports    []Port    `json:"ports,omitempty" doc:"All ports on these networks"`
}

// DocumentOf returns the document of m.
func DocumentOf(m *routing.Model) Topology {
	return Topology{
		Hosts:    convertSome(m.Hosts, HostOf),
		Networks: convert(m.Networks, NetworkOf),
		Routers:  convert(m.Routers, RouterOf),
		Ports:    convert(m.Ports, PortOf),
	}
}

// HostOf returns the document of h.
func HostOf(h routing.Host) Host {
	d := Host{ID: h.ID, Uplink: h.Uplink}
	metaOf(h.Meta, &d.Name, &d.Description, &d.Labels)
	if t := h.Tunnel; t != (routing.Tunnel{}) {
		d.Tunnel = &Tunnel{Type: unless(tunnelTypes.word(t.Type), tunnelTypes.word(routing.TunnelGeneve)), Address: t.Address.String()}
	}
	return d
}

// NetworkOf returns the document of n.
func NetworkOf(n routing.Network) Network {
	d := Network{ID: n.ID, VLAN: n.VLAN, MTU: unless(n.MTU, networkKeys.initial.MTU), IPv4Scope: n.IPv4Scope, IPv6Scope: n.IPv6Scope, FastPath: offOrNothing(n.NoFastPath),
		VNI: n.VNI, Broadcast: unless(broadcasts.word(n.Broadcast), broadcasts.word(routing.BroadcastAll))}
	metaOf(n.Meta, &d.Name, &d.Description, &d.Labels)
	return d
}

// RouterOf returns the document of r.
func RouterOf(r routing.Router) Router {
	initial := &routerKeys.initial
	d := Router{
		ID:           r.ID,
		Namespace:    r.Namespace,
		Fallback:     unless(fallbacks.word(r.Fallback), fallbacks.word(initial.Fallback)),
		ARPResponder: unlessDefault(r.ARPResponder, initial.ARPResponder),
		NDResponder:  unlessDefault(r.NDResponder, initial.NDResponder),
		Echo:         unlessDefault(r.EchoResponder, initial.EchoResponder),
		AnswerRate:   unlessDefault(r.AnswerRate, initial.AnswerRate),
		UnknownRate:  unlessDefault(r.UnknownRate, initial.UnknownRate),
		Interfaces:   convert(r.Interfaces, interfaceOf),
		Routes:       convert(r.Routes, routeOf),
	}
	metaOf(r.Meta, &d.Name, &d.Description, &d.Labels)
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
	d := Route{Destination: r.Destination.String(), Type: unless(routeTypes.word(r.Type), routeTypes.word(routing.RouteVia)), FastPath: offOrNothing(r.NoFastPath)}
	if isOnlyHop(r.NextHops) {
		d.NextHop = r.NextHops[0].Address.String()
		return d
	}
	for _, h := range r.NextHops {
		d.NextHops = append(d.NextHops, NextHop{h.Address.String(), unless(h.Weight, nextHopKeys.initial.Weight)})
	}
	return d
}

func interfaceOf(i routing.Interface) Interface {
	return Interface{
		ID:        i.ID,
		Network:   i.Network,
		MAC:       i.MAC.String(),
		Addresses: texts(i.Addresses),
		PatchPort: i.PatchPort,
		TapPort:   i.TapPort,

		AdminState: downOrNothing(i.Down),
		RA:         raOf(i.RA),
	}
}

func downOrNothing(down bool) string {
	if down {
		return "down"
	}
	return ""
}

func offOrNothing(off bool) string {
	if off {
		return "off"
	}
	return ""
}

func raOf(r *routing.RA) *RA {
	if r == nil {
		return nil
	}
	initial := &raKeys.initial
	d := &RA{
		Managed:  unlessDefault(r.Managed, initial.Managed),
		Other:    unlessDefault(r.Other, initial.Other),
		Lifetime: unlessDefault(r.Lifetime, initial.Lifetime),
		Interval: unless(r.Interval, initial.Interval),
		MTU:      r.MTU,
	}
	for _, p := range r.Prefixes {
		initial := &raPrefixKeys.initial
		d.Prefixes = append(d.Prefixes, RAPrefix{
			Prefix:     p.Prefix.String(),
			OnLink:     unlessDefault(p.OnLink, initial.OnLink),
			Autonomous: unlessDefault(p.Autonomous, initial.Autonomous),
			Valid:      unlessDefault(p.Valid, initial.Valid),
			Preferred:  unlessDefault(p.Preferred, initial.Preferred),
		})
	}
	return d
}

// PortOf returns the document of p.
func PortOf(p routing.Port) Port {
	d := Port{ID: p.ID, Network: p.Network, MAC: p.MAC.String(), Addresses: texts(p.Addresses), AdminState: downOrNothing(p.Down), Host: p.Host, Bound: unlessDefault(!p.Unbound, true), FastPath: offOrNothing(p.NoFastPath)}
	metaOf(p.Meta, &d.Name, &d.Description, &d.Labels)
	for _, q := range p.Pairs {
		pair := AddressPair{Address: string(appendAddressOrPrefix(nil, q.Addresses))}
		if q.MAC != (ofproto.MAC{}) {
			pair.MAC = q.MAC.String()
		}
		d.Pairs = append(d.Pairs, pair)
	}
	return d
}

// convert applies f to each item. The result is never nil.
func convert[T, D any](items []T, f func(T) D) []D {
	out := make([]D, len(items))
	for i, v := range items {
		out[i] = f(v)
	}
	return out
}

// convertSome is like convert, but returns nil if items is empty.
func convertSome[T, D any](items []T, f func(T) D) []D {
	if len(items) == 0 {
		return nil
	}
	return convert(items, f)
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
