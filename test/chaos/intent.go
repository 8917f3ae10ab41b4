package chaos

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/topology"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A document is the intent, in the structure of the topology file.
type document struct {
	Hosts    []host    `json:"hosts,omitempty"` // of [PlayHosts]
	Networks []network `json:"networks"`
	Routers  []router  `json:"routers"`
	Ports    []port    `json:"ports"`
}

type host struct {
	ID     string `json:"id"`
	Tunnel tunnel `json:"tunnel"`
}

type tunnel struct {
	Address string `json:"address"`
}

type network struct {
	ID   string `json:"id"`
	VLAN int    `json:"vlan"`
	MTU  int    `json:"mtu"`
	VNI  int    `json:"vni,omitempty"`
}

type router struct {
	ID           string  `json:"id"`
	ARPResponder bool    `json:"arp_responder"`
	Interfaces   []iface `json:"interfaces"`
}

type iface struct {
	ID        string   `json:"id"`
	Network   string   `json:"network"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
}

type port struct {
	ID        string   `json:"id"`
	Network   string   `json:"network"`
	MAC       string   `json:"mac"`
	Addresses []string `json:"addresses"`
	Host      string   `json:"host,omitempty"`
}

// On each of the networks n1 to n3, the mesh has one machine for each of the routers r1 and
// r2. The router is the machine's gateway. Both routers are on all networks, so every machine
// reaches every other machine. A fault of one router must not affect the machines of the other
// router.
const (
	meshNetworks = 3
	meshRouters  = 2
)

// A machine sends and receives the mesh's traffic.
type machine struct {
	lab.MachineConfig
	network, router string
}

func machines() []*machine {
	var ms []*machine
	for n := 1; n <= meshNetworks; n++ {
		for r := 1; r <= meshRouters; r++ {
			ms = append(ms, &machine{
				MachineConfig: lab.MachineConfig{
					Name:      fmt.Sprintf("vm%d%d", n, r),
					VLAN:      uint16(n),
					MAC:       fmt.Sprintf("02:00:00:00:1%d:0%d", n, r),
					Addresses: []string{fmt.Sprintf("10.0.%d.1%d/24", n, r)},
					Gateways:  []string{fmt.Sprintf("10.0.%d.%d", n, r)},
				},
				network: networkID(n),
				router:  routerID(r),
			})
		}
	}
	return ms
}

func networkID(n int) string { return fmt.Sprintf("n%d", n) }
func routerID(r int) string  { return fmt.Sprintf("r%d", r) }

// meshPort returns the port of machine r of network n.
func meshPort(n, r int) port {
	return port{ID: fmt.Sprintf("vm%d%d", n, r), Network: networkID(n), MAC: fmt.Sprintf("02:00:00:00:1%d:0%d", n, r),
		Addresses: []string{fmt.Sprintf("10.0.%d.1%d", n, r)}}
}

// remotePort returns the k-th port of network n that has no machine on this host.
func remotePort(n, k int) port {
	return port{ID: fmt.Sprintf("far%d%d", n, k), Network: networkID(n), MAC: fmt.Sprintf("02:00:00:00:2%d:0%d", n, k),
		Addresses: []string{fmt.Sprintf("10.0.%d.2%d", n, k)}}
}

// meshInterface returns the interface of router r on network n.
func meshInterface(r, n int) iface {
	return iface{fmt.Sprintf("r%d-n%d", r, n), networkID(n), fmt.Sprintf("02:00:00:00:0%d:0%d", r, n),
		[]string{fmt.Sprintf("10.0.%d.%d/24", n, r)}}
}

func meshRouter(r, networks int) router {
	x := router{ID: routerID(r), ARPResponder: true}
	for n := 1; n <= networks; n++ {
		x.Interfaces = append(x.Interfaces, meshInterface(r, n))
	}
	return x
}

// meshTopology returns the initial intent.
func meshTopology() *document {
	t := &document{}
	for n := 1; n <= meshNetworks; n++ {
		t.Networks = append(t.Networks, network{ID: networkID(n), VLAN: n, MTU: 1500})
		for r := 1; r <= meshRouters; r++ {
			t.Ports = append(t.Ports, meshPort(n, r))
		}
		t.Ports = append(t.Ports, remotePort(n, 1))
	}
	for r := 1; r <= meshRouters; r++ {
		t.Routers = append(t.Routers, meshRouter(r, meshNetworks))
	}
	return t
}

// clone returns a deep copy.
func (t *document) clone() *document {
	c := &document{slices.Clone(t.Hosts), slices.Clone(t.Networks), slices.Clone(t.Routers), slices.Clone(t.Ports)}
	for i := range c.Routers {
		c.Routers[i].Interfaces = slices.Clone(c.Routers[i].Interfaces)
		for k := range c.Routers[i].Interfaces {
			f := &c.Routers[i].Interfaces[k]
			f.Addresses = slices.Clone(f.Addresses)
		}
	}
	return c
}

// file returns the topology file for t.
func (t *document) file() (string, error) {
	b, err := json.MarshalIndent(t, "", "  ")
	return string(b) + "\n", err
}

// model returns the model for t.
func (t *document) model() (*routing.Model, error) {
	text, err := t.file()
	if err != nil {
		return nil, err
	}
	m, _, err := topology.Parse("topology.json", []byte(text))
	return m, err
}

func (t *document) network(id string) *network {
	return find(t.Networks, func(n network) bool { return n.ID == id })
}

func (t *document) router(id string) *router {
	return find(t.Routers, func(r router) bool { return r.ID == id })
}

func (t *document) port(id string) *port {
	return find(t.Ports, func(p port) bool { return p.ID == id })
}

func (r *router) on(network string) *iface {
	if r == nil {
		return nil
	}
	return find(r.Interfaces, func(f iface) bool { return f.Network == network })
}

// find returns a pointer to the first element for which match is true, or nil.
func find[T any](s []T, match func(T) bool) *T {
	if i := slices.IndexFunc(s, match); i >= 0 {
		return &s[i]
	}
	return nil
}

// connects reports whether p's packets can reach the receiver with the intent t.
func (t *document) connects(p *pair) bool {
	r := t.router(p.from.router)
	return !p.routed() || r.on(p.from.network) != nil && r.on(p.to.network) != nil
}

// byKernel reports whether p's packets go through the namespace, because they are sent to an
// address without a port, or to a network with a smaller MTU.
func (t *document) byKernel(p *pair) bool {
	return p.routed() && (t.port(p.to.Name) == nil || t.network(p.from.network).MTU > t.network(p.to.network).MTU)
}

// desired returns the desired contents of the database for m.
func desired(m *routing.Model) ovsdb.Desired {
	d := ovsdb.Desired{IntegrationBridge: lab.IntegrationBridge, Controller: target}
	vlans := make(map[string]uint16)
	for _, n := range m.Networks {
		vlans[n.ID] = n.VLAN
	}
	for i := range m.Routers {
		r := &m.Routers[i]
		b := ovsdb.Bridge{Router: r.ID, Name: r.BridgeName(), DatapathID: uint64(r.DPID())}
		for k := range r.Interfaces {
			f := &r.Interfaces[k]
			b.Interfaces = append(b.Interfaces, ovsdb.Interface{ID: f.ID, MAC: f.MAC.String(),
				Patch: f.PatchName(), Peer: f.PeerName(), Tap: f.TapName(), VLAN: vlans[f.Network]})
		}
		d.Bridges = append(d.Bridges, b)
	}
	return d
}

// cookies returns the cookies of all desired flows of router id, in an order that depends
// only on the topology.
func (t *document) cookies(id string) ([]ofproto.Cookie, error) {
	m, err := t.model()
	if err != nil {
		return nil, err
	}
	r := find(m.Routers, func(r routing.Router) bool { return r.ID == id })
	facts := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
	for i := range r.Interfaces {
		facts.Ports[r.Interfaces[i].PatchName()] = ofproto.PortNo(2*i + 1)
		facts.Ports[r.Interfaces[i].TapName()] = ofproto.PortNo(2*i + 2)
	}
	var all []ofproto.Cookie
	for f := range compile.Compile(routing.NewIndex(m), r, facts).Flows.All() {
		all = append(all, f.Cookie)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
