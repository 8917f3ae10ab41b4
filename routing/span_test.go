package routing_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// spanModel returns networks n0 … with a VNI, except those in here, and routers on pairs of them. The
// router r<i>-<j> is on networks ni and nj.
func spanModel(networks int, here map[int]bool, pairs [][2]int, routes map[[2]int]netip.Addr) *routing.Index {
	m := routing.Model{Hosts: []routing.Host{
		{ID: "h1", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.1")}},
		{ID: "h2", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.2")}}}}
	for i := range networks {
		n := routing.Network{ID: fmt.Sprint("n", i), MTU: 1400, VNI: uint32(i + 1)}
		if here[i] {
			n.VNI = 0
		}
		m.Networks = append(m.Networks, n)
	}
	for _, p := range pairs {
		r := routing.Router{ID: fmt.Sprintf("r%d-%d", p[0], p[1]), Bridge: routing.Bridge{Managed: true}}
		for k, n := range p {
			r.Interfaces = append(r.Interfaces, routing.Interface{ID: fmt.Sprintf("%s-%d", r.ID, n), Network: fmt.Sprint("n", n),
				MAC: ofproto.MAC{2, byte(p[0]), byte(p[1]), 0, 0, byte(k)}, Addresses: []netip.Prefix{netip.PrefixFrom(addressOf(p, n), 16)}})
		}
		if via, ok := routes[p]; ok {
			r.Routes = []routing.Route{{Destination: netip.MustParsePrefix("198.51.100.0/24"), NextHops: []routing.NextHop{{Address: via, Weight: 1}}}}
		}
		m.Routers = append(m.Routers, r)
	}
	return routing.NewIndex(&m)
}

// addressOf returns the address of router r<p> on network n.
func addressOf(p [2]int, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n), byte(p[0]), byte(p[1])})
}

func TestSpan(t *testing.T) {
	pairs := [][2]int{{0, 1}, {1, 2}, {3, 4}}
	for _, tt := range []struct {
		name              string
		host              string
		local             []string
		here              map[int]bool
		routes            map[[2]int]netip.Addr
		networks, routers []string
	}{
		{"no machine", "h1", nil, nil, nil, nil, nil},
		{"a machine on the network of one router", "h1", []string{"n0"}, nil, nil, []string{"n0", "n1"}, []string{"r0-1"}},
		{"a machine on the network of two routers", "h1", []string{"n1"}, nil, nil, []string{"n0", "n1", "n2"}, []string{"r0-1", "r1-2"}},
		{"a next hop is another router", "h1", []string{"n0"}, nil, map[[2]int]netip.Addr{{0, 1}: addressOf([2]int{1, 2}, 1)}, []string{"n0", "n1", "n2"}, []string{"r0-1", "r1-2"}},
		{"a next hop is a machine", "h1", []string{"n0"}, nil, map[[2]int]netip.Addr{{0, 1}: netip.MustParseAddr("10.1.99.99")}, []string{"n0", "n1"}, []string{"r0-1"}},
		{"a network without a router", "h1", []string{"n5"}, nil, nil, []string{"n5"}, nil},
		{"a network that ends at its host", "h1", nil, map[int]bool{3: true}, nil, []string{"n3", "n4"}, []string{"r3-4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			local := make(map[string]bool)
			for _, n := range tt.local {
				local[n] = true
			}
			s := routing.SpanOf(spanModel(6, tt.here, pairs, tt.routes), tt.host, local)
			if got := slices.Sorted(maps.Keys(s.Networks)); s.All || !slices.Equal(got, tt.networks) {
				t.Errorf("networks %v, want %v", got, tt.networks)
			}
			if got := slices.Sorted(maps.Keys(s.Routers)); !slices.Equal(got, tt.routers) {
				t.Errorf("routers %v, want %v", got, tt.routers)
			}
		})
	}
	if s := routing.SpanOf(spanModel(6, nil, pairs, nil), "elsewhere", nil); !s.All || !s.HasNetwork("n4") || !s.HasRouter("r0-1") {
		t.Errorf("a host that the intent does not have: %+v", s)
	}
}

// The span is the smallest set that has the rules of [routing.SpanOf], and more machines never make
// it smaller.
func TestSpanIsClosed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const networks = 8
		number := rapid.IntRange(0, networks-1)
		var pairs [][2]int
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, networks*networks-1), 0, 8, rapid.ID[int]).Draw(t, "pairs") {
			if i/networks < i%networks {
				pairs = append(pairs, [2]int{i / networks, i % networks})
			}
		}
		routes := make(map[[2]int]netip.Addr)
		for _, p := range pairs {
			if rapid.Bool().Draw(t, "route") {
				q := rapid.SampledFrom(pairs).Draw(t, "via")
				routes[p] = addressOf(q, p[rapid.IntRange(0, 1).Draw(t, "leg")])
			}
		}
		here, local := make(map[int]bool), make(map[string]bool)
		for _, i := range rapid.SliceOfN(number, 0, 1).Draw(t, "here") {
			here[i] = true
		}
		for _, i := range rapid.SliceOfN(number, 0, 2).Draw(t, "local") {
			local[fmt.Sprint("n", i)] = true
		}
		x := spanModel(networks, here, pairs, routes)
		s := routing.SpanOf(x, "h1", local)
		needed := func(r *routing.Router) bool {
			for i := range r.Interfaces {
				n, _ := x.Network(r.Interfaces[i].Network)
				if local[n.ID] || n.VNI == 0 {
					return true
				}
				for q := range x.Routers("") {
					for j := range q.Routes {
						if s.Routers[q.ID] && q.ID != r.ID && q.Leg(q.Routes[j].NextHops[0].Address) != nil && q.Leg(q.Routes[j].NextHops[0].Address).Network == n.ID &&
							q.Routes[j].NextHops[0].Address == r.Interfaces[i].Addresses[0].Addr() {
							return true
						}
					}
				}
			}
			return false
		}
		for r := range x.Routers("") {
			if needed(r) && !s.HasRouter(r.ID) {
				t.Fatalf("router %s is missing in %v", r.ID, s)
			}
			if s.HasRouter(r.ID) && !needed(r) {
				t.Fatalf("router %s is not needed in %v", r.ID, s)
			}
			for i := range r.Interfaces {
				if s.HasRouter(r.ID) && !s.HasNetwork(r.Interfaces[i].Network) {
					t.Fatalf("a network of router %s is missing in %v", r.ID, s)
				}
			}
		}
		more := maps.Clone(local)
		more[fmt.Sprint("n", number.Draw(t, "more"))] = true
		grown := routing.SpanOf(x, "h1", more)
		for id := range s.Networks {
			if !grown.HasNetwork(id) {
				t.Fatalf("network %s leaves the span when a machine arrives", id)
			}
		}
	})
}
