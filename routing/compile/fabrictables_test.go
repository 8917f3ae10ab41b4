package compile_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// With 2,000 hosts, each group fits into a message, Open vSwitch accepts and returns it, and a broadcast
// goes to each of the other hosts once.
func TestFloodToManyHosts(t *testing.T) {
	sw := realSwitch{conn: connect(t, lab.Boot(t))}
	for _, underlay := range []string{"192.168.0.0", "fd77::"} {
		for _, hosts := range []int{1, 2, 500, 501, 502, 1001, 2000} {
			m := &routing.Model{Networks: []routing.Network{{ID: "blue", VNI: 7, MTU: 1400}}}
			a := netip.MustParseAddr(underlay)
			for i := range hosts {
				a = a.Next()
				id := fmt.Sprint("h", i+1)
				m.Hosts = append(m.Hosts, routing.Host{ID: id, Tunnel: routing.Tunnel{Address: a}})
				m.Ports = append(m.Ports, routing.Port{ID: id, Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, Host: id})
			}
			const tunnel, network = 1, 2
			p := compile.CompileFabric(compile.Program{}, routing.NewIndex(m), compile.FabricFacts{Host: "h1", Can: compile.CanAll,
				Ports: compile.Ports{routing.TunnelGeneve.PortName(): tunnel, m.Networks[0].FabricPort(): network}})
			for _, g := range p.Groups {
				if n := len(ofproto.GroupMod{Entry: g}.Append(nil, 1)); n > 0xffff {
					t.Errorf("%d hosts: the message with group %#x has %d bytes", hosts, g.ID, n)
				}
			}
			sw.program(t, p)
			heads := make(map[ofproto.GroupID]bool) // groups to which flows send
			for f := range p.Flows.All() {
				groups, _ := f.Do.Refs()
				for _, id := range groups {
					heads[id] = true
				}
			}
			var steps []ofproto.Step
			for id := range heads {
				s, err := ofproto.Trace(ofproto.SetOf([]ofproto.Flow{{Do: ofproto.ApplyActions(ofproto.ToGroup{ID: id})}}), p.Groups, ofproto.Packet{Headers: ofproto.MatchOf(ofproto.InPort(network))})
				if err != nil {
					t.Fatal(err)
				}
				steps = append(steps, s...)
			}
			to := make(map[ofproto.Field]int)
			for i := range m.Hosts {
				to[ofproto.TunDst(m.Hosts[i].Tunnel.Address)] = i
			}
			copies := make([]int, hosts)
			for _, s := range steps {
				for _, e := range s.Out {
					for f := range e.Packet.Headers.Fields() {
						if i, ok := to[f]; ok {
							copies[i]++
						}
					}
				}
			}
			for i, n := range copies {
				if want := min(i, 1); n != want {
					t.Fatalf("%d hosts: %d copies of a broadcast go to %s, want %d", hosts, n, m.Hosts[i].ID, want)
				}
			}
		}
	}
}
