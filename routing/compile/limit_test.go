package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// crowded returns a router with several interfaces and machines with the MAC addresses that
// mac returns.
func crowded(interfaces, machines int, mac func(i, p int) ofproto.MAC) (*routing.Model, compile.Facts) {
	m := &routing.Model{Routers: []routing.Router{{ID: "r", Bridge: routing.Bridge{Managed: true},
		ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 20}}}
	facts := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
	for i := range interfaces {
		id := fmt.Sprint("n", i)
		m.Networks = append(m.Networks, routing.Network{ID: id, VLAN: uint16(i%4000 + 1), MTU: 1500})
		f := routing.Interface{ID: id, Network: id, MAC: ofproto.MAC{2, 0, 0, 1, byte(i >> 8), byte(i)}, Addresses: []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 24)}}
		m.Routers[0].Interfaces = append(m.Routers[0].Interfaces, f)
		facts.Ports[f.PatchName()], facts.Ports[f.TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
		for p := range machines {
			m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("p", i, "-", p), Network: id, MAC: mac(i, p)})
		}
	}
	return m, facts
}

func sequential(i, p int) ofproto.MAC {
	return ofproto.MAC{2, 0, byte(i >> 8), byte(i), byte(p >> 8), byte(p)}
}

// arpBy returns a machine's request for the MAC address of interface i.
func arpBy(t teller, facts compile.Facts, r *routing.Router, i int, mac ofproto.MAC) ofproto.Packet {
	f := &r.Interfaces[i]
	match, err := ofproto.ParseMatch(fmt.Sprintf("in_port=%d,dl_src=%v,dl_dst=ff:ff:ff:ff:ff:ff,arp,arp_op=1,arp_sha=%[2]v,arp_spa=%v,arp_tpa=%v",
		facts.Ports[f.PatchName()], mac, host(f.Addresses[0].Addr(), 9), f.Addresses[0].Addr()))
	if err != nil {
		t.Fatal(err)
	}
	return ofproto.Packet{Headers: match, Size: 60}
}

// metersOf returns the meters that packet p passes, and whether it is answered.
func metersOf(t teller, flows ofproto.Set, prog compile.Program, p ofproto.Packet) (meters []ofproto.MeterID, answered bool) {
	steps, err := ofproto.Trace(flows, prog.Groups, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		for in := range s.Flow.Do.All() {
			switch in := in.(type) {
			case ofproto.Meter:
				meters = append(meters, in.ID)
			case ofproto.Apply:
				answered = answered || slices.Contains(slices.Collect(in.Actions.All()), ofproto.Action(ofproto.Output{Port: ofproto.PortInPort}))
			}
		}
	}
	return meters, answered
}

// Unless there are too many declared machines, each has its own meter for ARP, whatever its
// MAC address. Machines that are not declared have other meters.
func TestEachMachineHasItsMeter(t *testing.T) {
	macs := map[string]func(i, p int) ofproto.MAC{
		"sequential":     sequential,
		"same last byte": func(i, p int) ofproto.MAC { return ofproto.MAC{2, 0, byte(i >> 8), byte(i), byte(p), 0x10} },
		"equal modulo": func(i, p int) ofproto.MAC {
			return ofproto.MAC{2, 0, byte(i >> 8), byte(i), byte(p / 4), byte(p % 4 * 64)}
		},
	}
	for name, mac := range macs {
		for _, c := range []struct{ interfaces, machines int }{{1, 64}, {2, 64}, {3, 32}, {8, 16}} {
			t.Run(fmt.Sprint(name, c), func(t *testing.T) {
				m, facts := crowded(c.interfaces, c.machines, mac)
				prog := compile.Compile(routing.NewIndex(m), &m.Routers[0], facts)
				whose := make(map[ofproto.MeterID]string)
				for i := range c.interfaces {
					for p := range c.machines {
						meters, answered := metersOf(t, prog.Flows, prog, arpBy(t, facts, &m.Routers[0], i, mac(i, p)))
						if len(meters) != 1 || !answered {
							t.Fatalf("machine %d of interface %d passes meters %v, answered: %v", p, i, meters, answered)
						}
						if other, used := whose[meters[0]]; used {
							t.Fatalf("machine %d of interface %d shares the meter of %s", p, i, other)
						}
						whose[meters[0]] = fmt.Sprintf("machine %d of interface %d", p, i)
					}
					for p := range 256 {
						meters, answered := metersOf(t, prog.Flows, prog, arpBy(t, facts, &m.Routers[0], i, ofproto.MAC{6, 7, 7, 7, 7, byte(p)}))
						if other, used := whose[meters[0]]; used || len(meters) != 1 || !answered {
							t.Fatalf("an undeclared machine shares the meter of %s", other)
						}
					}
				}
			})
		}
	}
}

// Many machines share meters evenly. With any number of interfaces, a router never needs more
// meters than there are meter numbers.
func TestManyMachinesShareMeters(t *testing.T) {
	for _, c := range []struct{ interfaces, machines, shared, most int }{
		{1, 65, 2, 66}, {2, 640, 10, 132}, {3, 64, 2, 3 * 34}, {100, 10, 10, 300}, {1000, 2, 2, 3000}, {5000, 0, 0, 1<<14 - 1},
	} {
		m, facts := crowded(c.interfaces, c.machines, sequential)
		prog := compile.Compile(routing.NewIndex(m), &m.Routers[0], facts)
		if n := len(prog.Meters); n > c.most {
			t.Errorf("%+v: %d meters", c, n)
		}
		users := make(map[ofproto.MeterID]int)
		for i := range min(c.interfaces, 3) {
			for p := range c.machines {
				meters, _ := metersOf(t, prog.Flows, prog, arpBy(t, facts, &m.Routers[0], i, sequential(i, p)))
				users[meters[0]]++
			}
		}
		for id, n := range users {
			if n > c.shared {
				t.Errorf("%+v: %d machines share meter %d", c, n, id)
			}
		}
	}
}

// If a switch refuses a meter, it also refuses the flows that use it. It still answers and
// forwards as before, without that limit.
func TestRefusedMetersOnlyRemoveLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		for i := range m.Routers {
			r := &m.Routers[i]
			if len(r.Interfaces) == 0 {
				continue
			}
			prog := compile.Compile(routing.NewIndex(m), r, facts)
			without := prog.Flows.Without(func(f ofproto.Flow) bool {
				_, meters := f.Do.Refs()
				return len(meters) > 0
			})
			dice := packetDice{rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0)), m, r, facts}
			for range 20 {
				p := dice.packet(t)
				if a, b := outcome(t, prog.Flows, prog, p), outcome(t, without, prog, p); a != b {
					t.Fatalf("packet %v: outcome %s with meters, %s without", p.Headers, a, b)
				}
			}
		}
	})
}

// outcome describes the result for a packet.
func outcome(t teller, flows ofproto.Set, prog compile.Program, p ofproto.Packet) string {
	steps, err := ofproto.Trace(flows, prog.Groups, p)
	if err != nil {
		t.Fatal(err)
	}
	var out []ofproto.Egress
	for _, s := range steps {
		out = append(out, s.Out...)
	}
	return fmt.Sprint(out)
}
