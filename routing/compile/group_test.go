package compile_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Next hops get traffic in proportion to their weights, on average. If a next hop is deleted,
// the others keep their buckets. If the weight of a next hop grows, it keeps its buckets.
func TestShares(t *testing.T) {
	// buckets returns the next hop of each bucket of a route through hosts with weights;
	// weight 0 means no host.
	buckets := func(first int, weights ...int) (out []int) {
		m := &routing.Model{
			Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 1500}, {ID: "green", VLAN: 2, MTU: 1500}},
			Routers: []routing.Router{{ID: "r1", Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{
				{ID: "b", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 1}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.1/16")}},
				{ID: "g", Network: "green", MAC: ofproto.MAC{2, 0, 0, 0, 2}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.2.0.1/16")}},
			}}},
		}
		route, index := routing.Route{Destination: netip.MustParsePrefix("10.9.0.0/16")}, make(map[ofproto.Action]int)
		for i, w := range weights {
			a := netip.AddrFrom4([4]byte{10, 2, byte(first), byte(10 + i)})
			mac := ofproto.MAC{2, 0, 0, 1, 0, byte(i)}
			m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("p", i), Network: "green", MAC: mac, Addresses: []netip.Addr{a}})
			index[ofproto.SetField{Field: ofproto.EthDst(mac)}] = i
			if w > 0 {
				route.NextHops = append(route.NextHops, routing.NextHop{Address: a, Weight: w})
			}
		}
		m.Routers[0].Routes = []routing.Route{route}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		facts := compile.Facts{Can: compile.CanAll, Ports: compile.Ports{"pr-b": 1, "pr-g": 2, "qr-b": 3, "qr-g": 4}}
		prog := compile.Compile(routing.NewIndex(m), &m.Routers[0], facts)
		for _, b := range prog.Groups[0].Buckets {
			for a := range b.Actions.All() {
				if i, ok := index[a]; ok {
					out = append(out, i)
				}
			}
		}
		return out
	}
	const sets = 50
	var got [3]int
	for n := range sets {
		before := buckets(n, 1, 2, 5)
		for _, h := range before {
			got[h]++
		}
		without, heavier := buckets(n, 1, 0, 5), buckets(n, 1, 3, 5)
		for s, h := range before {
			if h != 1 && without[s] != h {
				t.Fatalf("set %d: bucket %d was for hop %d, and is for %d without hop 1", n, s, h, without[s])
			}
			if heavier[s] != h && heavier[s] != 1 {
				t.Fatalf("set %d: bucket %d was for hop %d, and is for %d when hop 1 is heavier", n, s, h, heavier[s])
			}
		}
	}
	for h, weight := range []int{1, 2, 5} {
		if want := sets * 64 * weight / 8; got[h] < want*9/10 || got[h] > want*11/10 {
			t.Errorf("hop %d with weight %d of 8 has %d of %d buckets, want about %d", h, weight, got[h], sets*64, want)
		}
	}
}
