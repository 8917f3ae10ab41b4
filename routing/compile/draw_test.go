package compile_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// twoNetworks returns a model of a router between two networks.
func twoNetworks() *routing.Model {
	prefix := netip.MustParsePrefix
	return &routing.Model{
		Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 1500}, {ID: "green", VLAN: 2, MTU: 1500}},
		Routers: []routing.Router{{ID: "r1", Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{
			{ID: "r1-blue", Network: "blue", MAC: mac(1), Addresses: []netip.Prefix{prefix("10.0.1.1/24")}},
			{ID: "r1-green", Network: "green", MAC: mac(1), Addresses: []netip.Prefix{prefix("10.0.2.1/24"), prefix("2001:db8::1/64")}},
		}}},
	}
}

func mac(i int) ofproto.MAC { return ofproto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)} }

// drawModel draws a valid model and facts: port numbers, some of them missing, and
// capabilities. A router may have two interfaces on one network.
func drawModel(t *rapid.T) (*routing.Model, compile.Facts) {
	m, facts := new(routing.Model), compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
	if rapid.Bool().Draw(t, "old switch") {
		facts.Can = compile.Capabilities(rapid.IntRange(0, int(compile.CanAll)).Draw(t, "can"))
	}
	no := ofproto.PortNo(0)
	mac := func() ofproto.MAC { // all different
		no++
		return ofproto.MAC{2, 0, 0, 0, byte(no >> 8), byte(no)}
	}
	known := func(name string) {
		no++
		if rapid.IntRange(0, 9).Draw(t, "port is known") > 0 {
			facts.Ports[name] = no
		}
	}
	scopes := rapid.SampledFrom([]string{"", "", "", "a"})
	for n := range rapid.IntRange(1, 5).Draw(t, "networks") {
		m.Networks = append(m.Networks, routing.Network{
			ID: fmt.Sprint("net", n), VLAN: uint16(n + 1), MTU: rapid.SampledFrom([]int{1400, 1500, 9000}).Draw(t, "mtu"),
			IPv4Scope: scopes.Draw(t, "scope"), IPv6Scope: scopes.Draw(t, "scope"),
			NoFastPath: rapid.IntRange(0, 7).Draw(t, "network's fast path") == 1,
		})
	}
	for r := range rapid.IntRange(1, 2).Draw(t, "routers") {
		router := routing.Router{
			ID:            fmt.Sprint("r", r),
			Bridge:        routing.Bridge{Managed: true},
			Fallback:      routing.Fallback(rapid.IntRange(0, 1).Draw(t, "fallback")),
			ARPResponder:  rapid.Bool().Draw(t, "arp"),
			NDResponder:   rapid.Bool().Draw(t, "nd"),
			EchoResponder: rapid.Bool().Draw(t, "echo"),
			AnswerRate:    rapid.SampledFrom([]int{0, 100}).Draw(t, "rate"),
			UnknownRate:   rapid.SampledFrom([]int{0, 50}).Draw(t, "unknown rate"),
		}
		for n := range m.Networks {
			if rapid.IntRange(0, 3).Draw(t, "joins") == 0 {
				continue
			}
			subnets := []netip.Prefix{subnet(n, 0, 1+r), subnet(n, 1, 1+r)}
			if rapid.Bool().Draw(t, "dual stack") {
				subnets = append(subnets, subnet6(n, 0, 1+r), subnet6(n, 1, 1+r))
			}
			legs := make([][]netip.Prefix, 1) // addresses of each interface on the network
			split := rapid.IntRange(1, 2).Draw(t, "interfaces")
			for k, s := range subnets {
				if k == 0 || rapid.Bool().Draw(t, "joins subnet") {
					if split == 2 && k == 1 {
						legs = append(legs, nil)
					}
					legs[len(legs)-1] = append(legs[len(legs)-1], s)
				}
			}
			for l, addresses := range legs {
				i := routing.Interface{ID: fmt.Sprint("i", r, n, l), Network: m.Networks[n].ID, MAC: mac(), Addresses: addresses,
					Down: rapid.IntRange(0, 9).Draw(t, "down") == 0}
				router.Interfaces = append(router.Interfaces, i)
				known(i.PatchName())
				known(i.TapName())
			}
		}
		drawRoutes(t, m.Networks, &router)
		m.Routers = append(m.Routers, router)
	}
	for n := range m.Networks {
		for p := range rapid.IntRange(0, 4).Draw(t, "ports") {
			m.Ports = append(m.Ports, drawPort(t, fmt.Sprint("p", n, p), n, p, mac()))
		}
	}
	if rapid.Bool().Draw(t, "namespace is known") && len(m.Routers[0].Interfaces) > 0 {
		facts.Kernel = drawNamespace(t, &m.Routers[0], facts).read(&m.Routers[0])
		facts.Neighbours = drawNeighbours(t)
	}
	return m, facts
}

// drawPort draws port number p of network n.
func drawPort(t *rapid.T, id string, n, p int, mac ofproto.MAC) routing.Port {
	port := routing.Port{ID: id, Network: fmt.Sprint("net", n), MAC: mac, NoFastPath: rapid.IntRange(0, 3).Draw(t, "port's fast path") == 1}
	for s := range 3 { // routers have no address in the third subnet
		if rapid.Bool().Draw(t, "has address") {
			port.Addresses = append(port.Addresses, subnet(n, s, 10+p).Addr())
		}
	}
	if rapid.Bool().Draw(t, "has IPv6") {
		port.Addresses = append(port.Addresses, subnet6(n, rapid.IntRange(0, 1).Draw(t, "subnet"), 10+p).Addr())
	}
	for range rapid.IntRange(0, 2).Draw(t, "pairs") {
		a := subnet(n, rapid.IntRange(0, 1).Draw(t, "subnet"), rapid.IntRange(10, 15).Draw(t, "host"))
		if rapid.Bool().Draw(t, "IPv6") {
			a = subnet6(n, 0, rapid.IntRange(10, 15).Draw(t, "host"))
		}
		pair := routing.AddressPair{Addresses: netip.PrefixFrom(a.Addr(), a.Addr().BitLen())}
		if rapid.IntRange(0, 4).Draw(t, "range") == 0 {
			pair.Addresses = netip.PrefixFrom(a.Addr(), a.Addr().BitLen()-2).Masked()
		}
		if rapid.Bool().Draw(t, "own MAC") {
			pair.MAC = ofproto.MAC{2, 0, 1, 0, 0, byte(rapid.IntRange(0, 1).Draw(t, "virtual"))}
		}
		port.Pairs = append(port.Pairs, pair)
	}
	switch rapid.IntRange(0, 9).Draw(t, "state") {
	case 0:
		port.Down = true
	case 1:
		port.Unbound = true
	}
	return port
}

// subnet returns the address with number host in subnet s of network n. The subnets have
// different prefix lengths.
func subnet(n, s, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), byte(64 * s), byte(host)}), 24-s-n%2)
}

// subnet6 is like subnet, for IPv6.
func subnet6(n, s, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 5: byte(n), 7: byte(s), 15: byte(host)}), 64-n%2)
}

// drawRoutes adds extra routes to r: to other destinations, and to parts of connected subnets,
// through addresses that ports may have.
func drawRoutes(t *rapid.T, networks []routing.Network, r *routing.Router) {
	if len(r.Interfaces) == 0 {
		return
	}
	seen := make(map[netip.Prefix]bool)
	drawAddress := func(label string) netip.Addr {
		return rapid.SampledFrom(rapid.SampledFrom(r.Interfaces).Draw(t, "interface").Addresses).Draw(t, label).Addr()
	}
	for range rapid.IntRange(0, 4).Draw(t, "routes") {
		inside := drawAddress("inside")
		route := routing.Route{Type: routing.RouteType(max(0, rapid.IntRange(-4, 2).Draw(t, "type"))),
			NoFastPath: rapid.IntRange(0, 3).Draw(t, "route's fast path") == 1}
		if inside.Is4() {
			route.Destination = rapid.SampledFrom([]netip.Prefix{
				netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.200.0.0/16"), netip.MustParsePrefix("10.200.7.0/24"),
				netip.PrefixFrom(inside, 28).Masked(), netip.PrefixFrom(inside, 31).Masked(), netip.PrefixFrom(host(inside, 12), 32),
			}).Draw(t, "to")
		} else {
			route.Destination = rapid.SampledFrom([]netip.Prefix{
				netip.MustParsePrefix("::/0"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fdc8::/16"),
				netip.PrefixFrom(inside, 124).Masked(), netip.PrefixFrom(host(inside, 12), 128),
			}).Draw(t, "to")
		}
		if seen[route.Destination] {
			continue
		}
		seen[route.Destination] = true
		via := make(map[netip.Addr]bool)
		for range rapid.IntRange(1, 3).Draw(t, "hops") {
			if a := host(drawAddress("by way of"), rapid.IntRange(10, 15).Draw(t, "host")); route.Type == routing.RouteVia && a.Is4() == inside.Is4() && !via[a] {
				via[a] = true
				route.NextHops = append(route.NextHops, routing.NextHop{Address: a, Weight: rapid.IntRange(1, 3).Draw(t, "weight")})
			}
		}
		if route.Type != routing.RouteVia || route.NextHops != nil {
			r.Routes = append(r.Routes, route)
		}
	}
	refused := func() int { // the index of a route with a next hop that the kernel refuses, or -1
		err := (&routing.Model{Networks: networks, Routers: []routing.Router{*r}}).Validate()
		p, invalid := errors.AsType[*routing.PathError](err)
		if !invalid {
			return -1
		}
		var i int
		if _, err := fmt.Sscanf(p.Path, "routers[0].routes[%d]", &i); err != nil || !strings.Contains(p.Error(), "and Linux refuses such IPv6 routes") {
			t.Fatalf("the generator made an invalid router: %v", p)
		}
		return i
	}
	for i := refused(); i >= 0; i = refused() {
		r.Routes = slices.Delete(r.Routes, i, i+1)
	}
}

// host returns a with n as its last byte.
func host(a netip.Addr, n int) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] = byte(n)
	out, _ := netip.AddrFromSlice(b)
	return out
}

// drawNeighbours draws the neighbours that a namespace has resolved.
func drawNeighbours(t *rapid.T) *compile.Neighbours {
	var addrs []netip.Addr
	for range rapid.IntRange(0, 4).Draw(t, "neighbours") {
		n, s, host := rapid.IntRange(0, 4).Draw(t, "network"), rapid.IntRange(0, 1).Draw(t, "subnet"), rapid.IntRange(10, 15).Draw(t, "host")
		addrs = append(addrs, subnet(n, s, host).Addr(), subnet6(n, s, host).Addr())
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return compile.NewNeighbours(slices.Compact(addrs))
}
