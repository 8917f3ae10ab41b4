package compile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// drawFleet draws networks that span up to four hosts, and facts of the fabric bridge of the first.
func drawFleet(t *rapid.T) (*routing.Model, compile.FabricFacts) {
	m := &routing.Model{}
	typ := []routing.TunnelType{routing.TunnelGeneve, routing.TunnelVXLAN}
	underlay := rapid.SampledFrom([]string{"192.168.77.%d", "fd77::%d"}).Draw(t, "underlay")
	for i := range rapid.IntRange(2, 4).Draw(t, "hosts") {
		h := routing.Host{ID: fmt.Sprint("h", i+1), Tunnel: routing.Tunnel{Type: rapid.SampledFrom(typ).Draw(t, "type"), Address: netip.MustParseAddr(fmt.Sprintf(underlay, i+1))}}
		if i > 0 && rapid.IntRange(0, 4).Draw(t, "tunnel") == 0 {
			h.Tunnel = routing.Tunnel{}
		}
		if i == 0 || rapid.Bool().Draw(t, "uplink") {
			h.Uplink = "eth1"
		}
		m.Hosts = append(m.Hosts, h)
	}
	r := routing.Router{ID: "r", ARPResponder: true, NDResponder: true, EchoResponder: true, Bridge: routing.Bridge{Managed: true}}
	for i := range rapid.IntRange(1, 3).Draw(t, "networks") {
		n := routing.Network{ID: fmt.Sprint("n", i), MTU: 1400, VNI: uint32(100 + i), Broadcast: routing.Broadcast(rapid.IntRange(0, 2).Draw(t, "broadcast"))}
		if rapid.Bool().Draw(t, "vlan") {
			n.VNI, n.VLAN = 0, uint16(100+i)
		}
		m.Networks = append(m.Networks, n)
		r.Interfaces = append(r.Interfaces, routing.Interface{ID: "i" + n.ID, Network: n.ID, MAC: ofproto.MAC{2, 0, 0, 0, byte(i), 1},
			Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.0.%d.1/24", i)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::1/64", i))}})
	}
	m.Routers = append(m.Routers, r)
	for i := range rapid.IntRange(0, 8).Draw(t, "ports") {
		m.Ports = append(m.Ports, drawFleetPort(t, m, i))
	}
	facts := compile.FabricFacts{Host: "h1", Ports: compile.Ports{}, Can: compile.CanAll}
	if rapid.IntRange(0, 4).Draw(t, "poor") == 0 {
		facts.Can = compile.Capabilities(rapid.IntRange(0, int(compile.CanAll)).Draw(t, "can"))
	}
	port := func(name string) {
		if rapid.IntRange(0, 9).Draw(t, "there") > 0 {
			facts.Ports[name] = ofproto.PortNo(len(facts.Ports) + 1)
		}
	}
	for i := range m.Networks {
		port(m.Networks[i].FabricPort())
	}
	port(r.FabricPort())
	port(routing.TunnelGeneve.PortName())
	port(routing.TunnelVXLAN.PortName())
	port("eth1")
	return m, facts
}

func drawFleetPort(t *rapid.T, m *routing.Model, i int) routing.Port {
	n := rapid.IntRange(0, len(m.Networks)-1).Draw(t, "network")
	p := routing.Port{ID: fmt.Sprint("p", i), Network: m.Networks[n].ID, MAC: ofproto.MAC{2, 0, 0, 1, byte(n), byte(i)},
		Host: rapid.SampledFrom([]string{"", "h1", "h2", m.Hosts[len(m.Hosts)-1].ID}).Draw(t, "host")}
	if rapid.Bool().Draw(t, "four") {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", n, 10+i)))
	}
	if rapid.Bool().Draw(t, "six") {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(fmt.Sprintf("fd00:%d::%d", n, 10+i)))
	}
	return p
}

// A program that is read back from a fabric bridge equals the program that was written. The
// changes from one program to the next are sufficient. Compiling from an earlier program has
// the same result as compiling without one.
func TestSwitchGivesBackFabricPrograms(t *testing.T) {
	h := lab.Boot(t)
	sw := realSwitch{conn: connect(t, h)}
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawFleet(t)
		x := routing.NewIndex(m)
		p := compile.CompileFabric(compile.Program{}, x, facts)
		sw.program(t, p)
		for range 3 {
			c := routing.Change{}
			if i := rapid.IntRange(0, 9).Draw(t, "port"); rapid.Bool().Draw(t, "put") {
				c.Put.Ports = []routing.Port{drawFleetPort(t, m, i)}
			} else {
				c.Delete.Ports = []string{fmt.Sprint("p", i)}
			}
			x = x.With(c)
			p = compile.CompileFabric(p, x, facts)
			fresh := compile.CompileFabric(compile.Program{}, x, facts)
			if d := ofproto.Diff(p.Flows, fresh.Flows); d.Len() > 0 || !p.SameTables(fresh) {
				t.Fatalf("recompiled program differs: %v", d)
			}
			sw.program(t, p)
		}
	})
}

// With 1,000 hosts, the groups of a network have 1,000 buckets. A port that stays on its host does not
// make them again.
func TestFabricGroupsAreShared(t *testing.T) {
	m := &routing.Model{Networks: []routing.Network{{ID: "blue", VNI: 7, MTU: 1400}}}
	for i := range 3 {
		m.Hosts = append(m.Hosts, routing.Host{ID: fmt.Sprint("h", i+1), Tunnel: routing.Tunnel{Address: netip.AddrFrom4([4]byte{192, 168, 77, byte(i + 1)})}})
	}
	facts := compile.FabricFacts{Host: "h1", Can: compile.CanAll, Ports: compile.Ports{routing.TunnelGeneve.PortName(): 1, m.Networks[0].FabricPort(): 2}}
	x := routing.NewIndex(m)
	put := func(prev compile.Program, mac byte, host string) compile.Program {
		x = x.With(routing.Change{Put: routing.Model{Ports: []routing.Port{{ID: "p", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 0, mac}, Host: host}}}})
		return compile.CompileFabric(prev, x, facts)
	}
	first := put(compile.CompileFabric(compile.Program{}, x, facts), 1, "h2")
	second := put(first, 2, "h2")
	if &first.Groups[0] != &second.Groups[0] {
		t.Error("the groups were made again for a port with another MAC address")
	}
	if third := put(second, 2, "h3"); third.SameTables(second) {
		t.Error("the port has moved, and the groups are the same")
	}
}

// Places reads the places of machines on hosts with tunnels.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawFleet(t)
		x := routing.NewIndex(m)
		var flows []ofproto.FlowStats
		for f := range compile.CompileFabric(compile.Program{}, x, facts).Flows.All() {
			for _, filter := range compile.PlaceFilters() {
				if f.Table == filter.Table && f.Cookie&filter.CookieMask == filter.Cookie {
					flows = append(flows, ofproto.FlowStats{Flow: f})
				}
			}
		}
		got := compile.Places(x, "h1", flows)
		for _, p := range m.Ports {
			n, _ := x.Network(p.Network)
			want := p.Host
			if h := x.Host(want); h == nil || !h.Tunnel.Address.IsValid() || n.VNI == 0 || facts.Ports[n.FabricPort()] == 0 || want != "h1" && facts.Ports[h.Tunnel.Type.PortName()] == 0 {
				want = ""
			}
			if !routing.Tunnels(x, "h1") {
				want = ""
			}
			if got[p.ID] != want {
				t.Errorf("port %s is on %q, want %q", p.ID, got[p.ID], want)
			}
		}
	})
}

// Each machine on another host adds the same number of flows to a host, independently of the number
// of machines and hosts. Machines on a network that the host does not connect to others cost no
// flow of the fabric bridge.
func TestFabricFlowsAreLinear(t *testing.T) {
	flows := func(hosts, machines int, vni uint32) (fabric, router int) {
		n := routing.Network{ID: "n", MTU: 1400, VNI: vni, VLAN: 7}
		f := routing.Interface{ID: "f", Network: "n", MAC: ofproto.MAC{2, 0, 0, 1}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}}
		r := routing.Router{ID: "r", ARPResponder: true, Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{f}}
		m := &routing.Model{Networks: []routing.Network{n}, Routers: []routing.Router{r}}
		for i := range hosts {
			m.Hosts = append(m.Hosts, routing.Host{ID: fmt.Sprint("h", i+1), Tunnel: routing.Tunnel{Address: netip.AddrFrom4([4]byte{192, 168, 77, byte(i + 1)})}})
		}
		for i := range machines {
			m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint(i), Network: "n", MAC: ofproto.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, Host: fmt.Sprint("h", 2+i%(hosts-1)),
				Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}})
		}
		x := routing.NewIndex(m)
		fabric = compile.CompileFabric(compile.Program{}, x, compile.FabricFacts{Host: "h1", Can: compile.CanAll,
			Ports: compile.Ports{n.FabricPort(): 1, r.FabricPort(): 2, routing.TunnelGeneve.PortName(): 3}}).Flows.Len()
		router = compile.Compile(x, &r, compile.Facts{Host: "h1", Can: compile.CanAll,
			Ports: compile.Ports{f.PatchName(): 1, f.TapName(): 2, r.FabricPeer(): 3}}).Flows.Len()
		return fabric, router
	}
	for _, hosts := range []int{2, 3, 100} {
		none, noneRouted := flows(hosts, 0, 5000)
		for _, machines := range []int{250, 500, 1000} {
			fabric, router := flows(hosts, machines, 5000)
			if fabric-none != 6*machines || router-noneRouted != machines {
				t.Errorf("%d hosts, %d machines with one IPv4 address: %d more flows of the fabric bridge and %d of the router; want 6 and 1 for each machine",
					hosts, machines, fabric-none, router-noneRouted)
			}
		}
	}
	none, _ := flows(3, 0, 0)
	if some, _ := flows(3, 100, 0); some != none {
		t.Errorf("machines on a network that ends at its host: %d flows of the fabric bridge, %d without machines", some, none)
	}
}

// A request for the MAC address of a machine on another host is answered here or, if the switch cannot
// write the answer, goes to that host, by a tunnel or the uplink, whatever broadcasts the network carries.
// A request of the machine itself, which has just come to this host, gets no answer.
func TestRequestsForMachinesElsewhere(t *testing.T) {
	p := routing.Port{ID: "p", Network: "n", MAC: ofproto.MAC{2, 0, 0, 0, 0, 5}, Host: "h2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")}}
	requests := map[string]compile.Capabilities{"arp_tpa=10.0.0.5": compile.CanAnswerARP, "nd_target=fd00::5": compile.CanAnswerND}
	ways := map[string]string{"goto_table:7": "answered here", "tun_dst": "sent by the tunnel", "goto_table:11": "sent by the uplink"}
	for _, broadcast := range []routing.Broadcast{routing.BroadcastAll, routing.BroadcastDHCP, routing.BroadcastNone} {
		for _, n := range []routing.Network{{ID: "n", MTU: 1400, VNI: 5001, Broadcast: broadcast}, {ID: "n", VLAN: 7, Broadcast: broadcast}} {
			m := &routing.Model{Networks: []routing.Network{n}, Ports: []routing.Port{p}}
			for i := range 2 {
				m.Hosts = append(m.Hosts, routing.Host{ID: fmt.Sprint("h", i+1), Uplink: "eth1", Tunnel: routing.Tunnel{Address: netip.AddrFrom4([4]byte{192, 168, 77, byte(i + 1)})}})
			}
			for request, needs := range requests {
				for _, can := range []compile.Capabilities{compile.CanAll, compile.CanAll &^ needs} {
					want := "answered here"
					switch {
					case can.Has(needs):
					case n.VNI != 0:
						want = "sent by the tunnel"
					default:
						want = "sent by the uplink"
					}
					facts := compile.FabricFacts{Host: "h1", Can: can, Ports: compile.Ports{n.FabricPort(): 1, routing.TunnelGeneve.PortName(): 3, "eth1": 4}}
					ignored, got := 0, ""
					for f := range compile.CompileFabric(compile.Program{}, routing.NewIndex(m), facts).Flows.All() {
						text := f.String()
						switch {
						case !strings.Contains(text, "table=4,") || !strings.Contains(text, request):
						case strings.Contains(text, "dl_src="+p.MAC.String()):
							if strings.HasSuffix(text, "actions=drop") {
								ignored++
							}
						default:
							for action, way := range ways {
								if strings.Contains(text, action) {
									got = way
								}
							}
						}
					}
					if got != want || ignored != 1 {
						t.Errorf("broadcast %v, capabilities %v: a request with %s is %s, want %s; %d flows ignore a request of the machine itself, want 1", broadcast, can, request, got, want, ignored)
					}
				}
			}
		}
	}
}
