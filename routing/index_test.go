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

// A change is refused if and only if the resulting model is invalid; otherwise it gives the
// same index as indexing that model. The original index stays unchanged. The generator draws
// from few names and addresses, so that conflicts are frequent.
func TestCheckIsValidate(t *testing.T) {
	accepted, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m, x := new(routing.Model), new(routing.Index)
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			c := drawAnyChange(t, m)
			next := apply(m, c)
			want, got, was := next.Validate(), x.Check(c), routing.Dump(x)
			if (got == nil) != (want == nil) {
				t.Fatalf("the change\n%+v\nof\n%+v\nis checked as: %v\nits result is validated as: %v", c, m, got, want)
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
			touchedAll(t, x, y, c)
			m, x = next, y
		}
	})
	if !t.Failed() && (accepted < 50 || refused < 50) {
		t.Errorf("%d changes were accepted and %d refused: the generator is lopsided", accepted, refused)
	}
}

// touchedAll fails unless c touches every router whose program differs between x and y.
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
		t.Fatalf("router %s changes with %+v, which is not said", r.ID, c)
	}
}

// apply returns m after c.
func apply(m *routing.Model, c routing.Change) *routing.Model {
	return &routing.Model{
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
	for range number(2) {
		c.Put.Networks = append(c.Put.Networks, routing.Network{ID: one("a", "b", "c"), VLAN: uint16(number(3)), MTU: 1500})
	}
	for range number(1) {
		r := routing.Router{ID: one("r", "s", "t"), Fallback: routing.Fallback(number(1)), Bridge: routing.Bridge{Managed: number(3) > 0}}
		r.Bridge.Name = one("", "", "rb-r", "pr-i", "x", "y")
		r.Bridge.DatapathID = ofproto.DPID(number(2))
		r.Namespace = one("", "", "qrouter-r", "ns")
		for range number(2) {
			r.Interfaces = append(r.Interfaces, routing.Interface{
				ID: one("i", "j", "k", "l"), Network: one("a", "b", "c"), MAC: mac(1 + number(3)),
				PatchPort: one("", "", "qr-i", "pi-j", "z"), TapPort: one("", "", "rb-s", "w"),
				Addresses: []netip.Prefix{netip.PrefixFrom(address(), 24)},
			})
		}
		c.Put.Routers = append(c.Put.Routers, r)
	}
	for range number(3) {
		p := routing.Port{ID: one("p", "q", "u", "v"), Network: one("a", "b", "c"), MAC: mac(1 + number(3))}
		for range number(1) {
			p.Addresses = append(p.Addresses, address())
		}
		c.Put.Ports = append(c.Put.Ports, p)
	}
	some := func(ids []string) []string { return ids[:number(len(ids))] }
	c.Delete.Ports = some(idsOf(m.Ports, func(p routing.Port) string { return p.ID }))
	if number(2) == 0 {
		c.Delete.Routers = some(idsOf(m.Routers, func(r routing.Router) string { return r.ID }))
		c.Delete.Networks = some(idsOf(m.Networks, func(n routing.Network) string { return n.ID }))
	}
	return c
}

func idsOf[T any](all []T, id func(T) string) []string {
	ids := make(map[string]bool)
	for _, e := range all {
		ids[id(e)] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// A network cannot be deleted while remaining objects are on it, and the error lists them.
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
