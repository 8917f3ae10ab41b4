package routing_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ofdvr/ofdvr/routing"
)

// hostsModel is validModel on two hosts.
func hostsModel() *routing.Model {
	m := validModel()
	m.Hosts = []routing.Host{
		{ID: "h1", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.1")}},
		{ID: "h2", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.2"), Type: routing.TunnelVXLAN}},
	}
	m.Networks[0].VNI, m.Networks[1].VNI, m.Networks[1].Broadcast = 5001, routing.MaxVNI, routing.BroadcastDHCP
	m.Routers[0].Interfaces[1].MAC = mac(2)
	m.Ports[0].Host = "h1"
	return m
}

// TestValidateHosts makes one mistake at a time in hosts and in networks that span hosts.
func TestValidateHosts(t *testing.T) {
	address := func(m *routing.Model, a string) { m.Hosts[1].Tunnel.Address = netip.MustParseAddr(a) }
	tests := []struct {
		name   string
		change func(*routing.Model)
		want   string
	}{
		{"valid", func(*routing.Model) {}, ""},
		{"host without a tunnel", func(m *routing.Model) { m.Hosts[1].Tunnel = routing.Tunnel{} }, ""},
		{"host without an ID", func(m *routing.Model) { m.Hosts[1].ID = "" }, "hosts[1].id: the ID is empty"},
		{"host twice", func(m *routing.Model) { m.Hosts[1].ID = "h1" }, `hosts[1].id: there is already a host "h1"`},
		{"name with a control character", func(m *routing.Model) { m.Hosts[1].Meta = &routing.Meta{Name: "a\x7f"} },
			`hosts[1].name: the name "a\x7f" has a control character`},
		{"unspecified", func(m *routing.Model) { address(m, "0.0.0.0") }, "hosts[1].tunnel.address: address 0.0.0.0 is the unspecified address"},
		{"loopback", func(m *routing.Model) { address(m, "127.0.0.1") }, "hosts[1].tunnel.address: address 127.0.0.1 is a loopback address"},
		{"multicast", func(m *routing.Model) { address(m, "224.0.0.1") }, "hosts[1].tunnel.address: address 224.0.0.1 is a multicast address"},
		{"broadcast address", func(m *routing.Model) { address(m, "255.255.255.255") }, "hosts[1].tunnel.address: address 255.255.255.255 is the broadcast address"},
		{"link-local", func(m *routing.Model) { address(m, "169.254.0.1") }, "hosts[1].tunnel.address: address 169.254.0.1 is a link-local address"},
		{"mapped", func(m *routing.Model) { address(m, "::ffff:192.0.2.2") },
			"hosts[1].tunnel.address: address ::ffff:192.0.2.2 is an IPv4 address in an IPv6 one: write 192.0.2.2"},
		{"no address", func(m *routing.Model) { m.Hosts[1].Tunnel.Address = netip.Addr{} }, "hosts[1].tunnel.address: no address is given"},
		{"address twice", func(m *routing.Model) { address(m, "192.0.2.1") }, `hosts[1].tunnel.address: address 192.0.2.1 is already used by host "h1"`},
		{"two families", func(m *routing.Model) { address(m, "2001:db8::2") },
			`hosts[1].tunnel.address: address 2001:db8::2 is IPv6, but other hosts have IPv4 addresses: all hosts need addresses of one family`},
		{"IPv6", func(m *routing.Model) {
			m.Hosts = m.Hosts[:1]
			m.Hosts[0].Tunnel.Address = netip.MustParseAddr("2001:db8::2")
		}, ""},
		{"unknown host", func(m *routing.Model) { m.Ports[1].Host = "h3" }, `ports[1].host: unknown host "h3"`},
		{"no hosts", func(m *routing.Model) { m.Hosts = nil }, `ports[0].host: unknown host "h1"`},
		{"vni too high", func(m *routing.Model) { m.Networks[0].VNI = 1 << 24 }, "networks[0].vni: vni 16777216 is outside 1–16777215"},
		{"vni twice", func(m *routing.Model) { m.Networks[0].VNI = routing.MaxVNI }, `networks[1].vni: vni 16777215 is already used by network "blue"`},
		{"broadcast with a vlan", func(m *routing.Model) { m.Networks[1].VNI, m.Networks[1].VLAN = 0, 7 }, ""},
		{"uplink", func(m *routing.Model) { m.Hosts[0].Uplink, m.Hosts[1].Uplink = "eth1", "eth1" }, ""},
		{"uplink that is no name", func(m *routing.Model) { m.Hosts[0].Uplink = "e/1" }, `hosts[0].uplink: "e/1" cannot be the name of a network interface`},
		{"uplink of the fabric", func(m *routing.Model) { m.Hosts[0].Uplink = "br-fabric" }, `hosts[0].uplink: the name "br-fabric" is reserved for the fabric`},
		{"broadcast without a vni", func(m *routing.Model) { m.Networks[1].VNI, m.Networks[1].VLAN = 0, 0 },
			"networks[1].broadcast: broadcast dhcp needs a vni or a vlan: other hosts get packets of no other networks"},
		{"networks of one tail", func(m *routing.Model) {
			m.Networks = append(m.Networks, routing.Network{ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", MTU: 1500, VNI: 1}, routing.Network{ID: "3fa85f64-57aa-4562-b3fc-2c963f66afa6", MTU: 1500, VNI: 2})
		}, `networks[3].id: the name "fn-3fa85f64-57" for the patch port on the fabric bridge is already used by the patch port on the fabric bridge of network "3fa85f64-5717-4562-b3fc-2c963f66afa6"
networks[3].id: the name "fi-3fa85f64-57" for the patch port on the integration bridge is already used by the patch port on the integration bridge of network "3fa85f64-5717-4562-b3fc-2c963f66afa6"`},
		{"networks of one tail and uplinks", func(m *routing.Model) {
			m.Hosts[0].Uplink, m.Hosts[1].Uplink = "eth1", "eth1"
			m.Networks = append(m.Networks, routing.Network{ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", MTU: 1500, VLAN: 7}, routing.Network{ID: "3fa85f64-57aa-4562-b3fc-2c963f66afa6", MTU: 1500, VLAN: 8})
		}, `networks[3].id: the name "fn-3fa85f64-57" for the patch port on the fabric bridge is already used by the patch port on the fabric bridge of network "3fa85f64-5717-4562-b3fc-2c963f66afa6"
networks[3].id: the name "fi-3fa85f64-57" for the patch port on the integration bridge is already used by the patch port on the integration bridge of network "3fa85f64-5717-4562-b3fc-2c963f66afa6"`},
		{"networks of one tail and no uplinks", func(m *routing.Model) {
			m.Networks = append(m.Networks, routing.Network{ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", MTU: 1500, VLAN: 7}, routing.Network{ID: "3fa85f64-57aa-4562-b3fc-2c963f66afa6", MTU: 1500, VLAN: 8})
		}, ""},
		{"uplink named like a network's port", func(m *routing.Model) {
			m.Hosts[0].Uplink = "fn-red"
			m.Networks = append(m.Networks, routing.Network{ID: "red", MTU: 1500, VLAN: 7})
		}, `networks[2].id: the name "fn-red" for the patch port on the fabric bridge is already used by the uplink of hosts`},
		{"MAC address of an uplink", func(m *routing.Model) {
			m.Hosts[0].Uplink, m.Hosts[1].Uplink = "eth1", "eth1"
			m.Networks[0].VNI, m.Networks[0].VLAN = 0, 7
			m.Ports[0].MAC = routing.UplinkMAC("h2", "r1-blue")
		}, "ports[0].mac: " + uplinkMACUsed},
		{"MAC address of an uplink on a network of tunnels", func(m *routing.Model) {
			m.Hosts[0].Uplink, m.Hosts[1].Uplink = "eth1", "eth1"
			m.Ports[0].MAC = routing.UplinkMAC("h2", "r1-blue")
		}, ""},
		{"one MAC address on two networks", func(m *routing.Model) { m.Routers[0].Interfaces[1].MAC = mac(1) },
			`routers[0].interfaces[1].mac: mac 02:00:00:00:00:01 is already used by interface "r1-blue": the interfaces of a router on networks with a vni need different MAC addresses`},
		{"one MAC address, one vni", func(m *routing.Model) {
			m.Routers[0].Interfaces[1].MAC = mac(1)
			m.Networks[1].VNI, m.Networks[1].Broadcast = 0, routing.BroadcastAll
		}, ""},
		{"external bridge", func(m *routing.Model) {
			m.Routers[0].Bridge = routing.Bridge{Name: "br-x"}
			m.Routers[0].Interfaces = m.Routers[0].Interfaces[:1]
			m.Routers[0].Interfaces[0].PatchPort, m.Routers[0].Interfaces[0].TapPort = "a", "b"
		}, `routers[0].interfaces[0].network: network "blue" has a vni: a router with an external bridge cannot have an interface on it`},
		{"bridge named like the fabric", func(m *routing.Model) { m.Routers[0].Bridge.Name = "br-fabric" },
			`routers[0].bridge.name: bridge "br-fabric" is already used by the fabric bridge of hosts`},
		{"external bridge named like the fabric", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2", Bridge: routing.Bridge{Name: "br-fabric"}})
		}, `routers[1].bridge.name: bridge "br-fabric" is already used by the fabric bridge of hosts`},
		{"external bridge of another switch", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2", Bridge: routing.Bridge{Name: "br-fabric", DatapathID: 7}})
		}, ""},
		{"bridges named like a tunnel port", func(m *routing.Model) {
			m.Routers[0].Bridge.Name = "ft-vxlan"
			m.Routers = append([]routing.Router{{ID: "r0", Bridge: routing.Bridge{Name: "ft-vxlan", DatapathID: 7}}}, m.Routers...)
		}, `routers[1].bridge.name: bridge "ft-vxlan" is already used by the tunnel port of hosts`},
		{"tap named like the router's bridge", func(m *routing.Model) {
			m.Routers[0].Bridge.Name, m.Routers[0].Interfaces[0].TapPort = "same", "same"
		}, `routers[0].interfaces[0].tap_port: the name "same" for the tap is already used by the bridge of router "r1"`},
		{"tap named like a tunnel port", func(m *routing.Model) { m.Routers[0].Interfaces[0].TapPort = "ft-vxlan" },
			`routers[0].interfaces[0].tap_port: the name "ft-vxlan" for the tap is already used by the tunnel port of hosts`},
		{"tap named like a fabric port", func(m *routing.Model) { m.Routers[0].Interfaces[0].TapPort = "fi-blue" },
			`routers[0].interfaces[0].tap_port: the name "fi-blue" for the tap is already used by the patch port on the integration bridge of network "blue"`},
		{"tap named like a router's fabric port", func(m *routing.Model) { m.Routers[0].Interfaces[0].TapPort = "rf-r1" },
			`routers[0].interfaces[0].tap_port: the name "rf-r1" for the tap is already used by the patch port to the fabric bridge of router "r1"`},
		{"names of the fabric without hosts", func(m *routing.Model) {
			m.Hosts, m.Ports[0].Host = nil, ""
			m.Routers[0].Bridge.Name, m.Routers[0].Interfaces[0].TapPort = "br-fabric", "ft-vxlan"
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := hostsModel()
			tt.change(m)
			got := ""
			if err := m.Validate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A network that gets a VNI, and a host that gets a tunnel, are checked against the routers that
// exist.
func TestHostsAndRoutersConflict(t *testing.T) {
	for _, tt := range []struct {
		name string
		base func(*routing.Model)
		want string
	}{
		{"one MAC address on two networks", func(m *routing.Model) { m.Routers[0].Interfaces[1].MAC = mac(1) },
			`networks[1].vni: interfaces "r1-green" and "r1-blue" of router "r1" have the same mac 02:00:00:00:00:01, and both networks have a vni`},
		{"external bridge", func(m *routing.Model) {
			m.Routers[0] = routing.Router{ID: "r1", Fallback: routing.FallbackNone, Bridge: routing.Bridge{Name: "br-x"}, Interfaces: m.Routers[0].Interfaces[1:]}
			m.Routers[0].Interfaces[0].PatchPort = "a"
		}, `networks[1].vni: the bridge of router "r1" is external: it cannot have an interface on a network with a vni`},
		{"bridge named like the fabric", func(m *routing.Model) { m.Routers[0].Bridge.Name = "br-fabric" },
			`hosts[0].tunnel: the name "br-fabric", which hosts with a tunnel need, is already used by the bridge of router "r1"`},
		{"external bridge named like the fabric", func(m *routing.Model) {
			m.Routers[0] = routing.Router{ID: "r1", Fallback: routing.FallbackNone, Bridge: routing.Bridge{Name: "br-fabric"}}
		}, `hosts[0].tunnel: the name "br-fabric", which hosts with a tunnel need, is already used by router "r1"`},
		{"bridges named like a tunnel port", func(m *routing.Model) {
			m.Routers[0].Bridge.Name = "ft-vxlan"
			m.Routers = append([]routing.Router{{ID: "r0", Bridge: routing.Bridge{Name: "ft-vxlan", DatapathID: 7}}}, m.Routers...)
		}, `hosts[0].tunnel: the name "ft-vxlan", which hosts with a tunnel need, is already used by the bridge of router "r1"`},
		{"tap named like a tunnel port", func(m *routing.Model) { m.Routers[0].Interfaces[0].TapPort = "ft-geneve" },
			`hosts[0].tunnel: the name "ft-geneve", which hosts with a tunnel need, is already used by the tap of interface "r1-blue"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, m := hostsModel(), hostsModel()
			m.Hosts, m.Ports = nil, nil
			m.Networks[1].VNI, m.Networks[1].Broadcast = 0, routing.BroadcastAll
			tt.base(m)
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			err := routing.NewIndex(m).Check(routing.Change{Put: routing.Model{Hosts: all.Hosts[:1], Networks: all.Networks}})
			var taken *routing.TakenError
			if err == nil || err.Error() != tt.want || !errors.As(err, &taken) || taken.Kind != routing.KindRouter || taken.ID != "r1" {
				t.Errorf("error %v, want %s of router r1", err, tt.want)
			}
		})
	}
}

var uplinkMACUsed = fmt.Sprintf(`mac %v of port "vm1" is the one with which packets that host "h2" has routed leave from interface "r1-blue": give it another mac`, routing.UplinkMAC("h2", "r1-blue"))

// A host, an interface or a network is refused in two cases: packets would leave by an uplink with
// the MAC address of a port, or two ports of bridges would have the same name.
func TestUplinkConflicts(t *testing.T) {
	at := func(change func(*routing.Model)) *routing.Model {
		m := hostsModel()
		m.Hosts[0].Uplink, m.Hosts[1].Uplink = "eth1", "eth1"
		m.Networks[0].VNI, m.Networks[0].VLAN = 0, 7
		change(m)
		return m
	}
	odd := func(m *routing.Model) { m.Ports[0].MAC = routing.UplinkMAC("h2", "r1-blue") }
	tails := func(m *routing.Model) {
		m.Networks = append(m.Networks, routing.Network{ID: "3fa85f64-5717-4562-b3fc-2c963f66afa6", MTU: 1500, VLAN: 8}, routing.Network{ID: "3fa85f64-57aa-4562-b3fc-2c963f66afa6", MTU: 1500, VLAN: 9})
	}
	none := func(m *routing.Model) { m.Hosts[0].Uplink, m.Hosts[1].Uplink = "", "" }
	all := at(odd)
	for _, tt := range []struct {
		name string
		base *routing.Model
		put  routing.Model
		want string
	}{
		{"host", at(func(m *routing.Model) { odd(m); m.Hosts[1].Uplink = "" }), routing.Model{Hosts: all.Hosts[1:]}, "hosts[0].id: " + uplinkMACUsed},
		{"interface", at(func(m *routing.Model) { odd(m); m.Routers = nil }), routing.Model{Routers: all.Routers}, "routers[0].interfaces[0].id: " + uplinkMACUsed},
		{"network", at(func(m *routing.Model) { odd(m); m.Networks[0].VNI = 5001 }), routing.Model{Networks: all.Networks[:1]}, "networks[0].vlan: " + uplinkMACUsed},
		{"port", at(func(*routing.Model) {}), routing.Model{Ports: all.Ports[:1]}, "ports[0].mac: " + uplinkMACUsed},
		{"names of networks", at(func(m *routing.Model) { none(m); tails(m) }), routing.Model{Hosts: all.Hosts[:1]},
			`hosts[0].uplink: the name "fn-3fa85f64-57", which network "3fa85f64-57aa-4562-b3fc-2c963f66afa6" needs on hosts with an uplink, is already used by network "3fa85f64-5717-4562-b3fc-2c963f66afa6"
hosts[0].uplink: the name "fi-3fa85f64-57", which network "3fa85f64-57aa-4562-b3fc-2c963f66afa6" needs on hosts with an uplink, is already used by network "3fa85f64-5717-4562-b3fc-2c963f66afa6"`},
		{"name of a tap", at(func(m *routing.Model) { none(m); m.Routers[0].Interfaces[0].TapPort = "fi-blue" }), routing.Model{Hosts: all.Hosts[:1]},
			`hosts[0].uplink: the name "fi-blue", which network "blue" needs on hosts with an uplink, is already used by the tap of interface "r1-blue"`},
		{"tap", at(func(m *routing.Model) { m.Routers = nil }), routing.Model{Routers: at(func(m *routing.Model) { m.Routers[0].Interfaces[0].TapPort = "fi-blue" }).Routers},
			`routers[0].interfaces[0].tap_port: the name "fi-blue" for the tap is already used by the patch port on the integration bridge of network "blue"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.base.Validate(); err != nil {
				t.Fatal(err)
			}
			err := routing.NewIndex(tt.base).Check(routing.Change{Put: tt.put})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// Hosts and networks that can have no effect cause a warning.
func TestHostWarnings(t *testing.T) {
	m := hostsModel()
	m.Hosts[1].Tunnel = routing.Tunnel{}
	if w := m.Warnings(); len(w) != 1 || w[0].Error() != `hosts[1]: host "h2" has neither a tunnel nor an uplink, so no network reaches it` {
		t.Error(w)
	}
	m.Hosts, m.Ports[0].Host = nil, ""
	if w := m.Warnings(); len(w) != 2 || w[0].Error() != `networks[0].vni: network "blue" has a vni, but there are no hosts to carry it between` {
		t.Error(w)
	}
}
