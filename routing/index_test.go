package routing_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Check refuses a change if and only if the resulting model is invalid. An accepted change
// gives the same index as [routing.NewIndex] of the resulting model. The original index stays
// unchanged. The generator draws from few names and addresses, so that conflicts are frequent.
func TestCheckIsValidate(t *testing.T) {
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m, x := new(routing.Model), new(routing.Index)
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			c := drawAnyChange(t, m)
			next := apply(m, c)
			want, got, was := next.Validate(), x.Check(c), routing.Dump(x)
			if (got == nil) != (want == nil) {
				t.Fatalf("for the change\n%+v\nof\n%+v\nCheck returns: %v\nand Validate returns for the changed model: %v", c, m, got, want)
			}
			if got != nil {
				refused++
				continue
			}
			accepted++
			y := x.With(c)
			if d := cmp.Diff(routing.Dump(routing.NewIndex(next)), routing.Dump(y)); d != "" {
				t.Fatalf("the index differs (-of the result, +changed):\n%s\nchange %+v", d, c)
			}
			if d := cmp.Diff(was, routing.Dump(x)); d != "" {
				t.Fatalf("the old index has changed:\n%s", d)
			}
			if d := cmp.Diff(routing.Dump(y), routing.Dump(x.With(x.Differs(c)))); d != "" {
				t.Fatalf("Differs returns a part of the change that gives another index (-all, +part):\n%s\nchange %+v", d, c)
			}
			if d := cmp.Diff(routing.Dump(y), routing.Dump(x.With(x.ChangeTo(y)))); d != "" {
				t.Fatalf("applying the difference of two indices does not give the second index (-second, +result):\n%s\nchange %+v", d, c)
			}
			touchedAll(t, x, y, c)
			m, x = next, y
		}
	})
	if !t.Failed() && (accepted < 15 || refused < 15) { // of some 350, 63 ± 7 are accepted: fewer than 15 never occur by chance
		t.Errorf("%d changes were accepted and %d refused: the generator is lopsided", accepted, refused)
	}
}

// If the program of a router differs between x and y, touchedAll fails unless c touches the router.
func touchedAll(t *rapid.T, x, y *routing.Index, c routing.Change) {
	touched := append(x.Touched(c), y.Touched(c)...)
	for r := range y.Routers("") {
		facts := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
		for i := range r.Interfaces {
			facts.Ports[r.Interfaces[i].PatchName()], facts.Ports[r.Interfaces[i].TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
		}
		old := x.Router(r.ID)
		if old != nil && compile.Compile(x, old, facts).Flows.Equal(compile.Compile(y, r, facts).Flows) || slices.Contains(touched, r.ID) {
			continue
		}
		t.Fatalf("the program of router %s changes, but Touched lacks it for change %+v", r.ID, c)
	}
}

// apply returns m after c.
func apply(m *routing.Model, c routing.Change) *routing.Model {
	return &routing.Model{
		Hosts:    replace(m.Hosts, c.Put.Hosts, c.Delete.Hosts, func(h routing.Host) string { return h.ID }),
		Networks: replace(m.Networks, c.Put.Networks, c.Delete.Networks, func(n routing.Network) string { return n.ID }),
		Routers:  replace(m.Routers, c.Put.Routers, c.Delete.Routers, func(r routing.Router) string { return r.ID }),
		Ports:    replace(m.Ports, c.Put.Ports, c.Delete.Ports, func(p routing.Port) string { return p.ID }),
	}
}

func replace[T any](all, put []T, remove []string, id func(T) string) []T {
	gone := make(map[string]bool)
	for _, r := range remove {
		gone[r] = true
	}
	for _, p := range put {
		gone[id(p)] = true
	}
	return append(slices.DeleteFunc(slices.Clone(all), func(e T) bool { return gone[id(e)] }), put...)
}

// drawAnyChange draws a change of m that may be invalid.
func drawAnyChange(t *rapid.T, m *routing.Model) (c routing.Change) {
	one := func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "one of") }
	number := func(most int) int { return rapid.IntRange(0, most).Draw(t, "number") }
	address := func() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(number(1)), byte(1 + number(3))}) }
	for range number(1) {
		c.Put.Hosts = append(c.Put.Hosts, drawHost(t))
	}
	for range number(2) {
		n := routing.Network{ID: one("a", "b", "c", "s"), VLAN: uint16(number(3)), MTU: 1500}
		if number(1) == 0 {
			n.VNI = uint32(number(3))
			n.Broadcast = routing.Broadcast(max(0, number(7)-5))
		}
		c.Put.Networks = append(c.Put.Networks, n)
	}
	for range number(1) {
		r := routing.Router{ID: one("r", "s", "t"), Fallback: routing.Fallback(number(1)), Bridge: routing.Bridge{Managed: number(3) > 0}}
		r.Bridge.Name = one("", "", "rb-r", "pr-i", "x", "y", "fr-s", "br-fabric", "ft-vxlan")
		r.Bridge.DatapathID = ofproto.DPID(number(2))
		r.Namespace = one("", "", "qrouter-r", "ns")
		for range number(2) {
			r.Interfaces = append(r.Interfaces, routing.Interface{
				ID: one("i", "j", "k", "l"), Network: one("a", "b", "c"), MAC: mac(1 + number(3)),
				PatchPort: one("", "", "qr-i", "pi-j", "z", "fn-a", "fi-b"), TapPort: one("", "", "rb-s", "w"),
				Addresses: []netip.Prefix{netip.PrefixFrom(address(), 24)},
			})
		}
		c.Put.Routers = append(c.Put.Routers, r)
	}
	for range number(3) {
		p := routing.Port{ID: one("p", "q", "u", "v"), Network: one("a", "b", "c"), MAC: mac(1 + number(3))}
		if number(3) == 0 {
			p.MAC = routing.UplinkMAC(one("h", "k"), one("i", "j"))
		}
		for range number(1) {
			p.Addresses = append(p.Addresses, address())
		}
		if len(m.Hosts) > 0 && number(1) == 0 {
			p.Host = one("h", "k", m.Hosts[0].ID)
		}
		c.Put.Ports = append(c.Put.Ports, p)
	}
	some := func(ids []string) []string { return ids[:number(len(ids))] }
	if number(2) == 0 {
		c.Delete.Hosts = some(idsOf(m.Hosts, func(h routing.Host) string { return h.ID }))
	}
	c.Delete.Ports = some(idsOf(m.Ports, func(p routing.Port) string { return p.ID }))
	if number(2) == 0 {
		c.Delete.Routers = some(idsOf(m.Routers, func(r routing.Router) string { return r.ID }))
		c.Delete.Networks = some(idsOf(m.Networks, func(n routing.Network) string { return n.ID }))
	}
	return c
}

// drawHost draws a host that may be invalid.
func drawHost(t *rapid.T) routing.Host {
	h := routing.Host{ID: rapid.SampledFrom([]string{"h", "k"}).Draw(t, "host")}
	if rapid.Bool().Draw(t, "tunnel") {
		h.Tunnel.Address = netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"}).Draw(t, "tunnel address"))
		h.Tunnel.Type = routing.TunnelType(rapid.IntRange(0, 1).Draw(t, "tunnel type"))
	}
	h.Uplink = rapid.SampledFrom([]string{"", "", "eth1", "eth2", "fn-a", "w"}).Draw(t, "uplink")
	return h
}

func idsOf[T any](all []T, id func(T) string) []string {
	ids := make(map[string]bool)
	for _, e := range all {
		ids[id(e)] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// A network cannot be deleted while objects are on it that are not deleted too. The error
// lists these objects.
func TestNetworkInUse(t *testing.T) {
	x := routing.NewIndex(validModel())
	err := x.Check(routing.Change{Delete: routing.IDs{Networks: []string{"blue"}}})
	var inUse *routing.InUseError
	if !errors.As(err, &inUse) || fmt.Sprint(inUse.By) != "[interface r1-blue port vm1]" {
		t.Errorf("error %v", err)
	}
	if want := `delete.networks[0]: network "blue" is in use by interface "r1-blue", port "vm1"`; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	all := routing.IDs{Networks: []string{"blue"}, Routers: []string{"r1"}, Ports: []string{"vm1"}}
	if err := x.Check(routing.Change{Delete: all}); err != nil {
		t.Error(err)
	}
}

// Objects can be listed in the order of their IDs, from any ID on.
func TestIndexOrder(t *testing.T) {
	m := validModel()
	m.Ports = nil
	for i := range 1000 {
		m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("vm", i), Network: m.Networks[i%2].ID, MAC: mac(16 + i)})
	}
	x := routing.NewIndex(m)
	var ids []string
	for p := range x.Ports("") {
		ids = append(ids, p.ID)
	}
	if !slices.IsSorted(ids) || len(ids) != 1000 {
		t.Fatalf("%d ports, sorted: %v", len(ids), slices.IsSorted(ids))
	}
	for _, from := range []string{"", "vm", "vm5", "vm50", "vm500x", "w"} {
		want := ids[slices.IndexFunc(append(ids, "~"), func(id string) bool { return id >= from }):]
		var got, blue []string
		for p := range x.Ports(from) {
			got = append(got, p.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("from %q there are %d ports, want %d", from, len(got), len(want))
		}
		for p := range x.PortsOn("blue", from) {
			blue = append(blue, p.ID)
		}
		onBlue := slices.DeleteFunc(slices.Clone(want), func(id string) bool { p, _ := x.Port(id); return p.Network != "blue" })
		if !slices.Equal(blue, onBlue) {
			t.Errorf("from %q blue has %d ports, want %d", from, len(blue), len(onBlue))
		}
	}
	if m := x.Model(); len(m.Ports) != 1000 || m.Validate() != nil || len(m.Networks) != 2 || len(m.Routers) != 1 {
		t.Errorf("the model has %d networks, %d routers, %d ports", len(m.Networks), len(m.Routers), len(m.Ports))
	}
	if n, r, p := x.Len(); n != 2 || r != 1 || p != 1000 {
		t.Error(n, r, p)
	}
}

// A host cannot be deleted while ports are expected on it that are not deleted too. The error
// lists these ports.
func TestHostInUse(t *testing.T) {
	x := routing.NewIndex(hostsModel())
	err := x.Check(routing.Change{Delete: routing.IDs{Hosts: []string{"h1"}}})
	var inUse *routing.InUseError
	if !errors.As(err, &inUse) || fmt.Sprint(inUse.By) != "[port vm1]" {
		t.Errorf("error %v", err)
	}
	if want := `delete.hosts[0]: host "h1" is in use by port "vm1"`; err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	if err := x.Check(routing.Change{Delete: routing.IDs{Hosts: []string{"h1"}, Ports: []string{"vm1"}}}); err != nil {
		t.Error(err)
	}
	free := hostsModel().Ports
	free[0].Host = ""
	c := routing.Change{Delete: routing.IDs{Hosts: []string{"h1"}}, Put: routing.Model{Ports: free[:1]}}
	if err := x.Check(c); err != nil {
		t.Error(err)
	}
	if y := x.With(c); len(slices.Collect(x.Guests("h1"))) != 1 || len(slices.Collect(y.Guests("h1"))) != 0 || y.NumHosts() != 1 {
		t.Error("the port is not found by its host")
	}
}

// A change of a host affects only the routers that have an interface on a network with a VNI.
// A change of a port's host affects only the routers on the port's network.
func TestHostsTouchRouters(t *testing.T) {
	m := hostsModel()
	m.Networks = append(m.Networks, routing.Network{ID: "red", MTU: 1500})
	m.Routers = append(m.Routers, routing.Router{ID: "local", Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{
		{ID: "local-red", Network: "red", MAC: mac(7), Addresses: prefixes("10.0.7.1/24")},
	}})
	x := routing.NewIndex(m)
	for _, c := range []routing.Change{
		{Put: routing.Model{Hosts: []routing.Host{{ID: "h3", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.3")}}}}},
		{Delete: routing.IDs{Hosts: []string{"h2"}}},
		{Put: routing.Model{Ports: []routing.Port{{ID: "vm2", Network: "green", MAC: mac(16), Host: "h1"}}}},
	} {
		if err := x.Check(c); err != nil {
			t.Error(err)
		}
		touched := x.Touched(c)
		slices.Sort(touched)
		if got := slices.Compact(touched); !slices.Equal(got, []string{"r1"}) {
			t.Errorf("%+v touches %v, want r1", c, got)
		}
	}
}
