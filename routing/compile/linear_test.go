package compile_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A router with 200 interfaces and 20,000 ports has one flow for each address of a port, and a
// small number for each interface. The number of flows does not grow with pairs of interfaces,
// although they have different MTUs and address scopes.
func TestFlowCountIsLinear(t *testing.T) {
	count := func(interfaces, ports int) (deliver, others int) {
		m := &routing.Model{Routers: []routing.Router{{ID: "r", Bridge: routing.Bridge{Managed: true},
			ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 1000, UnknownRate: 50}}}
		r := &m.Routers[0]
		facts := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
		for i := range interfaces {
			id := fmt.Sprint("n", i)
			m.Networks = append(m.Networks, routing.Network{ID: id, VLAN: uint16(i + 1), MTU: 1280 + i, IPv4Scope: fmt.Sprint("scope", i%3+1)})
			f := routing.Interface{ID: id, Network: id, MAC: ofproto.MAC{2, 0, 0, 0, 1, byte(i)}, Addresses: []netip.Prefix{
				netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 16),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(i), 15: 1}), 64),
			}}
			r.Interfaces = append(r.Interfaces, f)
			facts.Ports[f.PatchName()], facts.Ports[f.TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
		}
		for p := range ports {
			n, host := p%interfaces, p/interfaces+10
			m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("p", p), Network: fmt.Sprint("n", n),
				MAC: ofproto.MAC{2, 0, 1, byte(p >> 16), byte(p >> 8), byte(p)},
				Addresses: []netip.Addr{
					netip.AddrFrom4([4]byte{10, byte(n), byte(host >> 8), byte(host)}),
					netip.AddrFrom16([16]byte{0: 0xfd, 3: byte(n), 14: byte(host >> 8), 15: byte(host)}),
				}})
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		for f := range compile.Compile(routing.NewIndex(m), r, facts).Flows.All() {
			if role, _ := compile.RoleOf(f.Cookie); role == compile.RoleDeliver {
				deliver++
			} else {
				others++
			}
		}
		return deliver, others
	}
	deliver, others := count(200, 20_000)
	if deliver != 2*20_000 {
		t.Errorf("%d flows for 20,000 ports with two addresses", deliver)
	}
	_, few := count(150, 300)
	_, fewer := count(100, 200)
	each := (others - few) / 50
	if each != (few-fewer)/50 || each > 75 {
		t.Errorf("%d flows for 200 interfaces, %d for 150 and %d for 100: %d for each", others, few, fewer, each)
	}
	t.Logf("%d flows for each interface of both versions", each)
}
