package routing_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

func validModel() *routing.Model {
	return &routing.Model{
		Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 1500}, {ID: "green", VLAN: 2, MTU: 1500}},
		Routers: []routing.Router{{ID: "r1", Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{
			{ID: "r1-blue", Network: "blue", MAC: mac(1), Addresses: prefixes("10.0.1.1/24")},
			{ID: "r1-green", Network: "green", MAC: mac(1), Addresses: prefixes("10.0.2.1/24", "2001:db8::1/64")},
		}}},
		Ports: []routing.Port{
			{ID: "vm1", Network: "blue", MAC: mac(16), Addresses: []netip.Addr{netip.MustParseAddr("10.0.1.10")}},
			{ID: "vm2", Network: "green", MAC: mac(16), Addresses: []netip.Addr{netip.MustParseAddr("10.0.2.10")}},
		},
	}
}

func mac(i int) ofproto.MAC {
	return ofproto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
}

func prefixes(s ...string) (out []netip.Prefix) {
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// TestValidate makes one mistake at a time that a topology file cannot contain. All other
// mistakes are in the testdata of package topology.
func TestValidate(t *testing.T) {
	long := strings.Repeat("ü", 32)
	tests := []struct {
		name   string
		change func(*routing.Model)
		want   string
	}{
		{"valid", func(*routing.Model) {}, ""},
		{"longest ID", func(m *routing.Model) { m.Ports[0].ID = long }, ""},
		{"longer ID", func(m *routing.Model) { m.Ports[0].ID = long + "u" },
			"ports[0].id: the ID has 65 bytes, more than 64"},
		{"control character", func(m *routing.Model) { m.Ports[0].ID = "vm\x7f" },
			`ports[0].id: the ID "vm\x7f" has a control character`},
		{"blank", func(m *routing.Model) { m.Ports[0].ID = " " }, `ports[0].id: the ID " " is blank`},
		{"invisible", func(m *routing.Model) { m.Ports[0].ID = "vm\u200b" }, `ports[0].id: the ID "vm\u200b" has the invisible character U+200B`},
		{"not UTF-8", func(m *routing.Model) { m.Ports[0].ID = "vm\xff" }, `ports[0].id: the ID "vm\xff" is not UTF-8`},
		{"reserved", func(m *routing.Model) { m.Routers[0].ID = "br-fabric" }, `routers[0].id: the ID "br-fabric" is reserved for the bridge between hosts`},
		{"no network", func(m *routing.Model) { m.Ports[0].Network = "" }, "ports[0].network: no network is given"},
		{"highest vlan", func(m *routing.Model) { m.Networks[0].VLAN = 4094 }, ""},
		{"vlan too high", func(m *routing.Model) { m.Networks[0].VLAN = 4095 },
			"networks[0].vlan: vlan 4095 is outside 1–4094"},
		{"two untagged", func(m *routing.Model) { m.Networks[0].VLAN, m.Networks[1].VLAN = 0, 0 }, ""},
		{"no mtu", func(m *routing.Model) { m.Networks[1].MTU = 0 }, "networks[1].mtu: mtu 0 is outside 68–65535"},
		{"no prefix", func(m *routing.Model) {
			m.Routers[0].Interfaces[0].Addresses = []netip.Prefix{{}}
		}, "routers[0].interfaces[0].addresses[0]: no address is given"},
		{"no prefix length", func(m *routing.Model) {
			m.Routers[0].Interfaces[0].Addresses = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 99)}
		}, "routers[0].interfaces[0].addresses[0]: no prefix length is given"},
		{"no address", func(m *routing.Model) { m.Ports[0].Addresses = make([]netip.Addr, 1) },
			"ports[0].addresses[0]: no address is given"},
		{"point to point", func(m *routing.Model) {
			m.Routers[0].Interfaces[0].Addresses = prefixes("10.0.1.0/31", "10.0.3.0/32")
		}, ""},
		{"two of one subnet", func(m *routing.Model) {
			m.Routers[0].Interfaces[0].Addresses = prefixes("10.0.1.1/24", "10.0.1.2/24")
		}, ""},
		{"link-local twice", func(m *routing.Model) {
			for i := range m.Routers[0].Interfaces {
				m.Routers[0].Interfaces[i].Addresses = prefixes("fe80::1/64")
			}
		}, ""},
		{"interface twice", func(m *routing.Model) {
			m.Routers[0].Interfaces[1].ID = "r1-blue"
		}, `routers[0].interfaces[1].id: there is already an interface "r1-blue"`},
		{"interface twice in two routers", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2", Bridge: routing.Bridge{Managed: true},
				Interfaces: []routing.Interface{{ID: "r1-blue", Network: "green", MAC: mac(3), Addresses: prefixes("10.0.2.2/24")}}})
		}, `routers[1].interfaces[0].id: there is already an interface "r1-blue"`},
		{"router twice", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r1", Bridge: routing.Bridge{Managed: true}})
		}, `routers[1].id: there is already a router "r1"`},
		{"tails alike", func(m *routing.Model) {
			m.Routers[0].Interfaces[0].ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
			m.Routers[0].Interfaces[1].ID = "3fa85f64-57aa-4562-b3fc-2c963f66afa6"
		}, `routers[0].interfaces[1].patch_port: the name "pr-3fa85f64-57" for the patch port is already used by the patch port of interface "3fa85f64-5717-4562-b3fc-2c963f66afa6"
routers[0].interfaces[1].tap_port: the name "qr-3fa85f64-57" for the tap is already used by the tap of interface "3fa85f64-5717-4562-b3fc-2c963f66afa6"
routers[0].interfaces[1].id: the name "pi-3fa85f64-57" for the patch port on the integration bridge is already used by the patch port on the integration bridge of interface "3fa85f64-5717-4562-b3fc-2c963f66afa6"`},
		{"datapath ID of another", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2",
				Bridge: routing.Bridge{Managed: true, DatapathID: m.Routers[0].DPID()}})
		}, `routers[1].bridge.datapath_id: datapath ID 82f3e9c695dc6b8d is already used by router "r1"`},
		{"bridge named like a later tap", func(m *routing.Model) {
			m.Routers[0].Bridge.Name = "qr-r1-blue"
		}, `routers[0].interfaces[0].tap_port: the name "qr-r1-blue" for the tap is already used by the bridge of router "r1"`},
		{"bridge named like an earlier tap", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2", Bridge: routing.Bridge{Managed: true, Name: "qr-r1-blue"}})
		}, `routers[1].bridge.name: bridge "qr-r1-blue" is already used by the tap of interface "r1-blue"`},
		{"external bridge named like a managed one", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2", Bridge: routing.Bridge{Name: "rb-r1"}})
		}, `routers[1].bridge.name: bridge "rb-r1" is already used by router "r1"`},
		{"external bridges of one name on two hosts", func(m *routing.Model) {
			m.Routers = []routing.Router{
				{ID: "r1", Bridge: routing.Bridge{Name: "br-x", DatapathID: 1}},
				{ID: "r2", Bridge: routing.Bridge{Name: "br-x", DatapathID: 2}},
			}
		}, ""},
		{"IPv6 with a small MTU", func(m *routing.Model) {
			m.Networks[1].MTU = 1279
		}, `routers[0].interfaces[1].addresses[1]: IPv6 needs an MTU of 1280, but network "green" has 1279`},
		{"RA without IPv6", func(m *routing.Model) {
			m.Routers[0].Interfaces[0].RA = &routing.RA{Lifetime: 1800, Interval: 600}
			m.Routers[0].Interfaces[0].Addresses = m.Routers[0].Interfaces[0].Addresses[:1]
		}, `routers[0].interfaces[0].ra: interface "r1-blue" has no IPv6 address, so nothing can be advertised`},
		{"default namespace of another", func(m *routing.Model) {
			m.Routers = append(m.Routers, routing.Router{ID: "r2", Namespace: "qrouter-r1", Bridge: routing.Bridge{Managed: true}})
		}, `routers[1].namespace: namespace "qrouter-r1" is already used by router "r1"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := validModel()
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

// TestOverlapsAgree compares overlaps with a comparison of all pairs.
func TestOverlapsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := validModel()
		m.Routers[0].Interfaces, m.Ports = nil, nil
		n := rapid.IntRange(0, 8).Draw(t, "n")
		var want []string
		for i := range n {
			a := netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 3).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), byte(i + 1)})
			p := netip.PrefixFrom(a, rapid.SampledFrom([]int{8, 14, 15, 16, 22, 23, 24}).Draw(t, "bits"))
			m.Routers[0].Interfaces = append(m.Routers[0].Interfaces, routing.Interface{
				ID: fmt.Sprint("i", i), Network: "blue", MAC: mac(i + 1), Addresses: []netip.Prefix{p}})
			if slices.ContainsFunc(m.Routers[0].Interfaces[:i], func(f routing.Interface) bool { return f.Addresses[0].Overlaps(p) }) {
				want = append(want, fmt.Sprintf("routers[0].interfaces[%d].addresses[0]", i))
			}
		}
		var got []string
		if err := m.Validate(); err != nil {
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				got = append(got, err.(*routing.PathError).Path)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestWarningsAgree compares the lookup of a port's subnet with a comparison of all subnets of
// the network.
func TestWarningsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := validModel()
		var subnets []netip.Prefix
		for range rapid.IntRange(1, 5).Draw(t, "n") {
			a := netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 7).Draw(t, "c")), 1})
			subnets = append(subnets, netip.PrefixFrom(a, rapid.IntRange(20, 32).Draw(t, "bits")))
		}
		m.Routers[0].Interfaces[0].Addresses = subnets
		a := netip.AddrFrom4([4]byte{10, 0, byte(rapid.IntRange(0, 15).Draw(t, "c")), 77})
		m.Ports[0].Addresses = []netip.Addr{a}
		inside := slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a) })
		if warnings := m.Warnings(); (len(warnings) == 0) != inside {
			t.Errorf("address %v, subnets %v: a subnet contains it: %v, but the warnings are %v", a, subnets, inside, warnings)
		}
	})
}

func TestUnknownNetworkIsAnError(t *testing.T) {
	m := validModel()
	m.Ports[0].Network = "red"
	if err := m.Validate(); !errors.Is(err, routing.ErrUnknownNetwork) {
		t.Errorf("%v is not ErrUnknownNetwork", err)
	}
}

func BenchmarkValidate(b *testing.B) {
	m := &routing.Model{Networks: []routing.Network{{ID: "blue", MTU: 1500}}}
	for i := range 200 {
		m.Routers = append(m.Routers, routing.Router{ID: fmt.Sprint("r", i), Bridge: routing.Bridge{Managed: true},
			Interfaces: []routing.Interface{{ID: fmt.Sprint("i", i), Network: "blue", MAC: mac(i + 1),
				Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 16)}}}})
	}
	for i := range 20_000 {
		m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("vm", i), Network: "blue", MAC: mac(1000 + i),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i % 200), 1, byte(i / 200)})}})
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Validate(); err != nil {
			b.Fatal(err)
		}
		if w := m.Warnings(); len(w) > 0 {
			b.Fatal(w)
		}
	}
}
