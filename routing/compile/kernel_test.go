package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A namespace has policy rules, in the kernel's order, and routes.
type namespace struct {
	rules  []compile.KernelRule
	routes []compile.KernelRoute
}

// read returns the Kernel of n as the namespace of r.
func (n namespace) read(r *routing.Router) *compile.Kernel {
	k := compile.NewKernelReader(r)
	for _, rule := range n.rules {
		k.Rule(rule)
	}
	for _, route := range n.routes {
		k.Route(route)
	}
	return k.Kernel()
}

// plain returns a namespace with the kernel's defaults and the routes of r.
func plain(r *routing.Router, facts compile.Facts) (n namespace) {
	for _, six := range []bool{false, true} {
		n.rules = append(n.rules, compile.KernelRule{IPv6: six, Table: 255}, compile.KernelRule{IPv6: six, Table: 254}, compile.KernelRule{IPv6: six, Table: 253})
	}
	for i := range r.Interfaces {
		for _, a := range r.Interfaces[i].Addresses {
			if r.Interfaces[i].Down || facts.Ports[r.Interfaces[i].PatchName()] == 0 {
				continue
			}
			metric := 0
			if a.Addr().Is6() {
				metric = 256
			}
			n.routes = append(n.routes, compile.KernelRoute{Table: 255, Destination: netip.PrefixFrom(a.Addr(), a.Addr().BitLen())},
				compile.KernelRoute{Table: 254, Destination: a.Masked(), Metric: metric, Declared: true})
		}
	}
	for _, route := range r.Routes {
		metric := 0
		if route.Destination.Addr().Is6() {
			metric = 1024
		}
		n.routes = append(n.routes, compile.KernelRoute{Table: 254, Destination: route.Destination, Metric: metric, Declared: true})
	}
	return n
}

// drawNamespace draws a namespace of r with rules and routes that other programs added.
func drawNamespace(t *rapid.T, r *routing.Router, facts compile.Facts) namespace {
	n := plain(r, facts)
	if len(r.Interfaces) == 0 {
		return n
	}
	prefix := func(label string) netip.Prefix {
		a := rapid.SampledFrom(rapid.SampledFrom(r.Interfaces).Draw(t, "interface").Addresses).Draw(t, label)
		bits := []int{0, 8, a.Bits(), a.Bits(), 28, 31, 32}
		if a.Addr().Is6() {
			bits = []int{0, 8, a.Bits(), a.Bits(), 124, 128}
		}
		p := netip.PrefixFrom(host(a.Addr(), rapid.IntRange(1, 16).Draw(t, "host")), rapid.SampledFrom(bits).Draw(t, "bits")).Masked()
		if len(r.Routes) > 0 && rapid.IntRange(0, 4).Draw(t, "as a route") == 0 {
			return rapid.SampledFrom(r.Routes).Draw(t, "route").Destination
		}
		return p
	}
	for range rapid.IntRange(0, 6).Draw(t, "routes of others") {
		route := compile.KernelRoute{Table: rapid.SampledFrom([]uint32{100, 101, 254, 254, 254, 255}).Draw(t, "table"), Destination: prefix("to"),
			Metric: rapid.SampledFrom([]int{0, 100, 256, 1024, 2000}).Draw(t, "metric"), Throw: rapid.IntRange(0, 9).Draw(t, "throw") == 0,
			Partly: rapid.IntRange(0, 9).Draw(t, "partly") == 0}
		route.Throw = route.Throw && route.Table != 255
		n.routes = slices.Insert(n.routes, rapid.IntRange(0, len(n.routes)).Draw(t, "place"), route)
	}
	for range rapid.IntRange(-1, 3).Draw(t, "rules of others") {
		p := prefix("of family")
		rule := compile.KernelRule{IPv6: p.Addr().Is6(), Table: rapid.SampledFrom([]uint32{100, 101, 254}).Draw(t, "table"),
			Decides: rapid.IntRange(0, 9).Draw(t, "decides") == 0, Partly: rapid.IntRange(0, 4).Draw(t, "partly") == 0}
		if q := prefix("from"); q.Addr().Is6() == rule.IPv6 && rapid.Bool().Draw(t, "is from") {
			rule.From = q
		}
		if q := prefix("to"); q.Addr().Is6() == rule.IPv6 && rapid.Bool().Draw(t, "is to") {
			rule.To = q
		}
		n.rules = slices.Insert(n.rules, rapid.IntRange(0, len(n.rules)).Draw(t, "place"), rule)
	}
	if rapid.IntRange(0, 19).Draw(t, "no main") == 0 {
		n.rules = slices.DeleteFunc(n.rules, func(r compile.KernelRule) bool { return r == compile.KernelRule{Table: 254} })
	}
	return n
}

// A taker names the part of the namespace that decides about a packet.
type taker string

const (
	declared taker = "intent" // a route of the intent
	others   taker = "others" // another program's route, no route, or the router itself
	either   taker = "either" // the taker depends on more than addresses
)

// lookup returns the taker of a packet. Like Linux, it goes through the rules in order. In the
// table of a rule it takes the route with the longest prefix and, among equal prefixes, the
// smallest metric. A [compile.Kernel] cannot express a rule that sends only some packets to
// the main table before other rules decide. The kernel may get the packets of such a rule too.
func (n namespace) lookup(src, dst netip.Addr) taker {
	for _, r := range n.routes {
		if r.Table == 255 && r.Destination.Contains(dst) {
			return others
		}
	}
	unsure, early := false, false
	sure := func(t taker) taker {
		if unsure && t == declared || early && t == others {
			return either
		}
		return t
	}
	for _, rule := range n.rules {
		if rule.IPv6 != dst.Is6() || rule.From.IsValid() && !rule.From.Contains(src) || rule.To.IsValid() && !rule.To.Contains(dst) {
			continue
		}
		if rule.Decides {
			if !rule.Partly {
				return sure(others)
			}
			unsure = true
			continue
		}
		var best *compile.KernelRoute
		found := false // a match of any length in the table
		for i := range n.routes {
			r := &n.routes[i]
			if r.Table != rule.Table || r.Destination.Addr().Is6() != dst.Is6() || !r.Destination.Contains(dst) {
				continue
			}
			found = found || !r.Throw
			switch longer := best == nil || r.Destination.Bits() > best.Destination.Bits(); {
			case longer, r.Destination == best.Destination && better(r, best):
				best = r
			}
		}
		switch {
		case rule.Partly:
			unsure = unsure || found || rule.Table == 254
		case best == nil:
		case rule.Table != 254 && best.Throw:
			unsure = unsure || found
		case best.Declared && rule.Table == 254 && (rule.From.IsValid() || rule.To.IsValid()):
			early = true
		case best.Declared:
			return sure(declared)
		default:
			return sure(others)
		}
	}
	return sure(others)
}

func better(r, s *compile.KernelRoute) bool {
	switch {
	case r.Partly != s.Partly:
		return r.Partly
	case r.Metric != s.Metric:
		return r.Metric < s.Metric
	}
	return r.Destination.Addr().Is6() && s.Declared // the kernel may prefer either of two equal routes
}

// The rules and routes of a namespace that matter for a router with subnets 10.0.1.0/24,
// 10.0.2.0/24 and 2001:db8::/64, and routes to 10.9.0.0/16 and 2001:db8:9::/48.
func TestKernelReader(t *testing.T) {
	main, local, other := uint32(254), uint32(255), uint32(100)
	to := netip.MustParsePrefix
	none := netip.Prefix{}
	route := func(table uint32, p string, metric int) compile.KernelRoute {
		return compile.KernelRoute{Table: table, Destination: to(p), Metric: metric}
	}
	made := func(r compile.KernelRoute) compile.KernelRoute { r.Declared = true; return r }
	lookup := func(table uint32, from, to netip.Prefix) compile.KernelRule {
		return compile.KernelRule{Table: table, From: from, To: to}
	}
	for _, tt := range []struct {
		name   string
		rules  []compile.KernelRule // before main
		routes []compile.KernelRoute
		want   string
	}{
		{"longer than a subnet", nil, []compile.KernelRoute{route(main, "10.0.1.128/25", 100)}, "routes 10.0.1.128/25"},
		{"as long as a subnet", nil, []compile.KernelRoute{made(route(main, "10.0.1.0/24", 0)), route(main, "10.0.1.0/24", 100)}, ""},
		{"instead of a subnet that is not there", nil, []compile.KernelRoute{route(main, "10.0.1.0/24", 100)}, "routes 10.0.1.0/24"},
		{"before a subnet", nil, []compile.KernelRoute{route(main, "10.0.1.0/24", 0), made(route(main, "10.0.1.0/24", 0))}, "routes 10.0.1.0/24"},
		{"after a subnet", nil, []compile.KernelRoute{made(route(main, "10.0.1.0/24", 0)), route(main, "10.0.1.0/24", 0)}, ""},
		{"smaller metric, IPv6", nil, []compile.KernelRoute{route(main, "2001:db8::/64", 255), made(route(main, "2001:db8::/64", 256))}, "routes 2001:db8::/64"},
		{"same metric, IPv6", nil, []compile.KernelRoute{made(route(main, "2001:db8:9::/48", 1024)), route(main, "2001:db8:9::/48", 1024)}, "routes 2001:db8:9::/48"},
		{"larger metric, IPv6", nil, []compile.KernelRoute{made(route(main, "2001:db8:9::/48", 1024)), route(main, "2001:db8:9::/48", 1025)}, ""},
		{"TOS", nil, []compile.KernelRoute{{Table: main, Destination: to("10.9.0.0/16"), Partly: true, Metric: 9}, made(route(main, "10.9.0.0/16", 0))}, "routes 10.9.0.0/16"},
		{"around all", nil, []compile.KernelRoute{route(main, "10.0.0.0/8", 0), route(main, "0.0.0.0/0", 0), route(other, "10.9.1.0/24", 0)}, ""},
		{"addresses", nil, []compile.KernelRoute{route(local, "10.9.0.7/32", 0), route(local, "10.10.0.7/32", 0), route(local, "10.0.0.0/14", 0), route(local, "10.0.1.1/32", 0)}, "local 10.0.0.0/14 10.9.0.7/32"},
		{"rule", []compile.KernelRule{lookup(other, to("10.0.2.0/24"), none)}, []compile.KernelRoute{route(other, "0.0.0.0/0", 0), route(other, "10.9.1.0/24", 0), route(other, "10.10.0.0/16", 0)},
			"choices 10.0.2.0/24>0.0.0.0/0 10.0.2.0/24>10.9.1.0/24"},
		{"rule with a destination", []compile.KernelRule{lookup(other, none, to("10.9.1.0/24"))}, []compile.KernelRoute{route(other, "0.0.0.0/0", 0), route(other, "10.9.1.7/32", 0), route(other, "10.9.2.0/24", 0)},
			"choices 0.0.0.0/0>10.9.1.0/24 0.0.0.0/0>10.9.1.7/32"},
		{"rule that refuses", []compile.KernelRule{{Decides: true, To: to("10.9.1.0/24")}}, nil, "choices 0.0.0.0/0>10.9.1.0/24"},
		{"main for some before others", []compile.KernelRule{lookup(main, to("10.0.1.0/24"), none), lookup(other, none, none)}, []compile.KernelRoute{route(other, "10.9.1.0/24", 0)}, "choices 0.0.0.0/0>10.9.1.0/24"},
		{"main before others", []compile.KernelRule{lookup(main, none, none), lookup(other, none, none)}, []compile.KernelRoute{route(other, "10.9.1.0/24", 0)}, ""},
		{"throw", []compile.KernelRule{lookup(other, none, none)}, []compile.KernelRoute{{Table: other, Destination: to("10.9.1.0/24"), Throw: true}, {Table: main, Destination: to("10.9.2.0/24"), Throw: true}}, "routes 10.9.2.0/24"},
	} {
		m := twoNetworks()
		r := &m.Routers[0]
		r.Routes = []routing.Route{{Destination: to("10.9.0.0/16"), Type: routing.RouteBlackhole}, {Destination: to("2001:db8:9::/48"), Type: routing.RouteBlackhole}}
		n := namespace{rules: append(slices.Clone(tt.rules), compile.KernelRule{Table: main}, compile.KernelRule{IPv6: true, Table: main}), routes: tt.routes}
		k := n.read(r)
		got := ""
		for _, list := range []struct {
			name string
			of   []netip.Prefix
		}{{"local", k.Local}, {"routes", k.Routes}} {
			for i, p := range list.of {
				if i == 0 {
					got += list.name
				}
				got += " " + p.String()
			}
		}
		for i, c := range k.Choices {
			if i == 0 {
				got += "choices"
			}
			got += fmt.Sprintf(" %v>%v", c.From, c.To)
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	m := twoNetworks()
	if k := (namespace{}).read(&m.Routers[0]); fmt.Sprint(k.Choices) != "[{0.0.0.0/0 0.0.0.0/0} {::/0 ::/0}]" {
		t.Errorf("without rules: %+v", k)
	}
}

// If a namespace has more routes inside a prefix than the limit, the kernel gets all packets
// for the prefix. It does not get packets for other or longer prefixes.
func TestCrowdedNamespace(t *testing.T) {
	m := twoNetworks()
	r := &m.Routers[0]
	r.Routes = []routing.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), Type: routing.RouteBlackhole}}
	n := plain(r, compile.Facts{Ports: compile.Ports{"": 1}})
	add := func(table uint32, count int, second byte) {
		for i := range count {
			a := netip.AddrFrom4([4]byte{20, second, byte(i >> 8), byte(i)})
			n.routes = append(n.routes, compile.KernelRoute{Table: table, Destination: netip.PrefixFrom(a, 32), Metric: 20})
		}
	}
	add(254, compile.MaxKernelRoutes, 0)
	if k := n.read(r); len(k.Routes) != compile.MaxKernelRoutes || k.Crowded != nil {
		t.Errorf("%d routes, %v crowded", len(k.Routes), k.Crowded)
	}
	add(254, 1, 1)
	n.routes = append(n.routes, compile.KernelRoute{Table: 254, Destination: netip.MustParsePrefix("10.0.1.64/26")})
	k := n.read(r)
	if got := fmt.Sprint(k.Routes, k.Crowded); got != "[0.0.0.0/0 10.0.1.64/26] [0.0.0.0/0]" {
		t.Errorf("got %s", got)
	}
	n.routes = nil
	add(100, compile.MaxKernelRoutes+1, 0)
	n.rules = append([]compile.KernelRule{{Table: 100, From: netip.MustParsePrefix("10.0.2.0/24")}}, n.rules...)
	if k := n.read(r); fmt.Sprint(k.Choices, k.Crowded) != "[{10.0.2.0/24 0.0.0.0/0}] [0.0.0.0/0]" {
		t.Errorf("got %+v", k)
	}
}

// Routes that cannot affect packets of flows add no flows: a default route, and routes outside
// of connected subnets and extra routes.
func TestKernelCostsNothing(t *testing.T) {
	m := twoNetworks()
	r := &m.Routers[0]
	n := plain(r, compile.Facts{})
	for _, to := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.9.0/24", "169.254.169.254/32", "127.0.0.0/8", "::/0", "fe80::/64", "ff00::/8", "2001:db9::/32"} {
		for _, table := range []uint32{254, 255} {
			if p := netip.MustParsePrefix(to); table == 254 || p.Bits() > 8 {
				n.routes = append(n.routes, compile.KernelRoute{Table: table, Destination: p})
			}
		}
	}
	n.rules = append(n.rules, compile.KernelRule{Table: 100}, compile.KernelRule{Decides: true})
	n.routes = append(n.routes, compile.KernelRoute{Table: 100, Destination: netip.MustParsePrefix("10.0.1.0/24")})
	if k := n.read(r); !k.Equal(&compile.Kernel{}) {
		t.Errorf("got %+v", k)
	}
}
