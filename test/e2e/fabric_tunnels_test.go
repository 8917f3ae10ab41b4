package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The laws of [TestFabric] hold with each type of tunnels and each family of the underlay, also if hosts
// have different types: packets for a host have the type of its tunnel.
func TestTunnelTypes(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string][3]string{
		"Geneve over IPv6": {"address: \"fd77::1\"", "address: \"fd77::2\"", "address: \"fd77::3\""},
		"VXLAN over IPv4":  {"type: vxlan, address: 192.168.77.1", "type: vxlan, address: 192.168.77.2", "type: vxlan, address: 192.168.77.3"},
		"both over IPv4":   {"address: 192.168.77.1", "type: vxlan, address: 192.168.77.2", "address: 192.168.77.3"},
		"both over IPv6":   {"type: vxlan, address: \"fd77::1\"", "address: \"fd77::2\"", "type: vxlan, address: \"fd77::3\""},
	} {
		t.Run(name, func(t *testing.T) {
			machines := strings.Fields("b11 g11 b21 g21 b31 g31")
			networks := []fleetNetwork{{id: "blue", options: ", vlan: 1"}, {id: "green", options: ", vlan: 2"}}
			topology := fleetTopology(3, networks, machines)
			for i, end := range ends {
				topology = strings.Replace(topology, fmt.Sprintf("address: 192.168.77.%d", i+1), end, 1)
			}
			f := newFleet(t, 3, networks)
			f.serve(topology)
			for _, m := range machines {
				f.plug(m)
			}
			f.settle()
			var received []*lab.Capture // probes, by each host
			for _, l := range f.links {
				c, err := l.Capture(isProbe)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				received = append(received, c)
			}
			t.Run("EveryPair", f.everyPair)
			t.Run("OneAnswer", f.oneAnswer)
			t.Run("Errors", f.nearErrors)
			t.Run("Undeclared", f.undeclaredMachine)
			for i, c := range received {
				layer, six := layers.LayerTypeGeneve, strings.Contains(ends[i], "fd77")
				if strings.Contains(ends[i], "vxlan") {
					layer = layers.LayerTypeVXLAN
				}
				right := func(f lab.Frame) bool {
					p := f.Packet()
					_, is6 := p.NetworkLayer().(*layers.IPv6)
					return p.Layer(layer) != nil && is6 == six
				}
				if got := c.Count(all(func(f lab.Frame) bool { return f.Outgoing }, right)); got == 0 {
					t.Errorf("h%d got no packets of its type", i+1)
				}
				seen(t, c, fmt.Sprintf("the link of h%d", i+1), 0, "packets of another type", func(f lab.Frame) bool { return f.Outgoing && !right(f) })
			}
		})
	}
}

// undeclaredMachine reaches a machine on h2 that is not in the file, whose host the others learn.
func (f *fleet) undeclaredMachine(t *testing.T) {
	c := fleetMachine(f.network("b28"), "b28")
	c.ID, c.VLAN = "", 1
	f.add(2, c)
	for _, name := range []string{"b11", "g11", "b31", "g31", "g21"} {
		for i := range 2 {
			ttl := map[bool]int{true: 64, false: 63}[name[0] == 'b']
			pingTTL(t, f.machines[name], address(c, i), ttl)
			pingTTL(t, f.machines["b28"], address(f.machines[name].MachineConfig, i), ttl)
		}
	}
}
