package compile_test

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// After any change, and from any earlier Program, Recompile returns the same as Compile. The
// earlier Program stays unchanged.
func TestRecompileIsCompile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		x := routing.NewIndex(m)
		old := []compile.Program{{}}
		var oldFlows []string
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0: // reload the whole intent
				m = cloneModel(m)
				if rapid.Bool().Draw(t, "differs") {
					r := &m.Routers[rapid.IntRange(0, len(m.Routers)-1).Draw(t, "router")]
					r.ARPResponder = !r.ARPResponder
					m.Networks[0].MTU = 3100 - m.Networks[0].MTU%1600
				}
				x = routing.NewIndex(m)
			case 1: // other programs change the namespace
				facts.Kernel, facts.Neighbours = nil, nil
				if r := &m.Routers[0]; rapid.Bool().Draw(t, "is known") {
					facts.Kernel, facts.Neighbours = drawNamespace(t, r, facts).read(r), drawNeighbours(t)
				}
			case 2: // ports of a bridge are renumbered, added or deleted
				facts = renumbered(t, m, facts)
			default:
				c := drawChange(t, m)
				m = changed(m, c)
				x = x.With(c)
			}
			if err := m.Validate(); err != nil {
				t.Fatalf("generator made an invalid model: %v", err)
			}
			samePorts(t, x, m)
			whole := routing.NewIndex(m)
			for i := range m.Routers {
				r := &m.Routers[i]
				prev := rapid.SampledFrom(old).Draw(t, "from")
				if rapid.Bool().Draw(t, "from the latest") && len(old) > len(m.Routers) {
					prev = old[len(old)-len(m.Routers)]
				}
				got, want := compile.Recompile(prev, x, r, facts), compile.Compile(whole, r, facts)
				sameProgram(t, got, want)
				sameProgram(t, compile.Compile(x, r, facts), want)
				old, oldFlows = append(old, got), append(oldFlows, got.Flows.String())
			}
		}
		for i, text := range oldFlows {
			if now := old[i+1].Flows.String(); now != text {
				t.Fatalf("a program has changed; was\n%s\nis\n%s", text, now)
			}
		}
	})
}

func samePorts(t *rapid.T, x *routing.Index, m *routing.Model) {
	for _, want := range m.Ports {
		if got, ok := x.Port(want.ID); !ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("index has port %v, %v, want %v", got, ok, want)
		}
	}
	if _, _, n := x.Len(); n != len(m.Ports) {
		t.Fatalf("the index has %d ports, want %d", n, len(m.Ports))
	}
	if p, ok := x.Port("nobody"); ok {
		t.Fatalf("index has %v", p)
	}
}

// renumbered returns facts in which two ports of a router have exchanged their numbers, or one
// port has another number or none.
func renumbered(t *rapid.T, m *routing.Model, facts compile.Facts) compile.Facts {
	var names []string
	for i := range m.Routers[0].Interfaces {
		f := &m.Routers[0].Interfaces[i]
		names = append(names, f.PatchName(), f.TapName())
	}
	if names == nil {
		return facts
	}
	out := compile.Facts{Ports: make(compile.Ports), Can: facts.Can, Kernel: facts.Kernel, Neighbours: facts.Neighbours}
	name := rapid.SampledFrom(names)
	a, b, most := name.Draw(t, "port"), name.Draw(t, "other port"), ofproto.PortNo(0)
	for n, no := range facts.Ports {
		most = max(most, no)
		switch n {
		case a:
			out.Ports[b] = no
		case b:
			out.Ports[a] = no
		default:
			out.Ports[n] = no
		}
	}
	if a == b {
		if delete(out.Ports, a); rapid.Bool().Draw(t, "has a number") {
			out.Ports[a] = most + 1
		}
	}
	return out
}

func sameProgram(t *rapid.T, got, want compile.Program) {
	if !got.Flows.Equal(want.Flows) || !slices.Equal(got.Missing, want.Missing) {
		t.Fatalf("got\n%smissing %v\nwant\n%smissing %v", got.Flows, got.Missing, want.Flows, want.Missing)
	}
	if !reflect.DeepEqual(got.Groups, want.Groups) || !reflect.DeepEqual(got.Meters, want.Meters) {
		t.Fatalf("groups and meters are\n%v\n%v\nwant\n%v\n%v", got.Groups, got.Meters, want.Groups, want.Meters)
	}
	if g, w := maps.Collect(got.Objects.All()), maps.Collect(want.Objects.All()); !maps.Equal(g, w) || got.Objects.Len() != len(g) {
		t.Fatalf("cookies stand for %v (%d), want %v", g, got.Objects.Len(), w)
	}
}

// drawChange draws a change that keeps m valid. Ports are added, deleted, moved to other
// networks, and get other addresses, including former addresses of other ports.
func drawChange(t *rapid.T, m *routing.Model) (c routing.Change) {
	id := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprint("p", rapid.IntRange(0, len(m.Networks)-1).Draw(t, "n"), rapid.IntRange(0, 5).Draw(t, "p"))
	})
	c.Delete.Ports = rapid.SliceOfN(id, 0, 2).Draw(t, "delete")
	ids := rapid.SliceOfNDistinct(id, 0, 3, rapid.ID[string]).Draw(t, "put")
	type claim struct {
		network string
		address netip.Addr
	}
	taken := make(map[claim]bool)
	at := make(map[string]routing.Port)
	for _, p := range m.Ports {
		at[p.ID] = p
		for _, a := range p.Addresses {
			if !slices.Contains(ids, p.ID) && !slices.Contains(c.Delete.Ports, p.ID) {
				taken[claim{p.Network, a}] = true
			}
		}
	}
	for _, id := range ids {
		p, exists := at[id]
		if n := rapid.IntRange(0, len(m.Networks)-1).Draw(t, "network"); !exists || rapid.Bool().Draw(t, "moves") {
			p = routing.Port{ID: id, Network: m.Networks[n].ID, MAC: p.MAC, Addresses: p.Addresses}
		}
		if !exists || rapid.Bool().Draw(t, "has another MAC") {
			p.MAC = ofproto.MAC{2, 1, 0, 0, 0, 0}
			copy(p.MAC[2:], id)
			p.MAC[5] += byte(rapid.IntRange(0, 1).Draw(t, "MAC")) << 7
		}
		if !exists || rapid.Bool().Draw(t, "has other addresses") {
			p.Addresses = nil
			for range rapid.IntRange(0, 3).Draw(t, "addresses") {
				n, s, host := rapid.IntRange(0, len(m.Networks)-1).Draw(t, "n"), rapid.IntRange(0, 2).Draw(t, "s"), rapid.IntRange(10, 15).Draw(t, "host")
				a := subnet(n, s, host)
				if rapid.IntRange(0, 2).Draw(t, "IPv6") == 0 {
					a = subnet6(n, s, host)
				}
				p.Addresses = append(p.Addresses, a.Addr())
			}
		}
		if !exists || rapid.Bool().Draw(t, "has other pairs") {
			q := drawPort(t, id, rapid.IntRange(0, len(m.Networks)-1).Draw(t, "pairs of"), 0, p.MAC)
			p.Pairs, p.Down, p.Unbound, p.NoFastPath = q.Pairs, q.Down, q.Unbound, q.NoFastPath
		}
		var mine []netip.Addr
		for _, a := range p.Addresses {
			if k := (claim{p.Network, a}); !taken[k] {
				taken[k], mine = true, append(mine, a)
			}
		}
		p.Addresses = mine
		c.Put.Ports = append(c.Put.Ports, p)
	}
	if len(c.Put.Ports) > 0 && rapid.Bool().Draw(t, "twice") { // the first of the two is invalid, but the second overrides it
		c.Put.Ports = append([]routing.Port{{ID: c.Put.Ports[0].ID, Network: "none"}}, c.Put.Ports...)
	}
	return c
}

// changed returns m after c.
func changed(m *routing.Model, c routing.Change) *routing.Model {
	out := *m
	out.Ports = slices.DeleteFunc(slices.Clone(m.Ports), func(p routing.Port) bool { return slices.Contains(c.Delete.Ports, p.ID) })
	for _, p := range c.Put.Ports {
		if i := slices.IndexFunc(out.Ports, func(q routing.Port) bool { return q.ID == p.ID }); i >= 0 {
			out.Ports[i] = p
		} else {
			out.Ports = append(out.Ports, p)
		}
	}
	return &out
}

// cloneModel returns a deep copy of m.
func cloneModel(m *routing.Model) *routing.Model {
	out := &routing.Model{Networks: slices.Clone(m.Networks), Routers: slices.Clone(m.Routers), Ports: slices.Clone(m.Ports)}
	for i := range out.Routers {
		r := &out.Routers[i]
		r.Interfaces, r.Routes = slices.Clone(r.Interfaces), slices.Clone(r.Routes)
		for j := range r.Interfaces {
			r.Interfaces[j].Addresses = slices.Clone(r.Interfaces[j].Addresses)
		}
	}
	for i := range out.Ports {
		out.Ports[i].Addresses = slices.Clone(out.Ports[i].Addresses)
	}
	return out
}

// bigModel returns a model of one router between two networks with n ports.
func bigModel(n int) (*routing.Model, compile.Facts) {
	m := &routing.Model{Routers: []routing.Router{{ID: "r", Bridge: routing.Bridge{Managed: true}}}}
	facts, r := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}, &m.Routers[0]
	for i, id := range []string{"blue", "green"} {
		m.Networks = append(m.Networks, routing.Network{ID: id, VLAN: uint16(i + 1), MTU: 1500})
		f := routing.Interface{ID: id, Network: id, MAC: mac(i + 1), Addresses: []netip.Prefix{netip.MustParsePrefix(fmt.Sprintf("10.%d.0.1/9", 128*i))}}
		r.Interfaces = append(r.Interfaces, f)
		facts.Ports[f.PatchName()], facts.Ports[f.TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
	}
	for i := range n {
		m.Ports = append(m.Ports, bigPort(i))
	}
	return m, facts
}

func bigPort(i int) routing.Port {
	half, host := i%2, i+16
	return routing.Port{ID: fmt.Sprint("vm", i), Network: []string{"blue", "green"}[half], MAC: mac(host),
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(128*half + host>>16), byte(host >> 8), byte(host)})}}
}

// oneMore returns a function that adds a port to a model of n ports. The function does all the
// work from the change to the encoded messages.
func oneMore(t testing.TB, n int) (add func()) {
	m, facts := bigModel(n)
	x := routing.NewIndex(m)
	prog := compile.Compile(x, &m.Routers[0], facts)
	return func() {
		y := x.With(routing.Change{Put: routing.Model{Ports: []routing.Port{bigPort(n + 300)}}})
		next := compile.Recompile(prog, y, &m.Routers[0], facts)
		if mods := ofproto.Diff(prog.Flows, next.Flows).Mods(); len(mods) != 1 {
			t.Fatalf("adding a port changes %d flows: %v", len(mods), mods)
		}
	}
}

// The number of allocations for one more port does not depend on the number of ports, except
// when chunks of the four collections are full.
func TestRecompileAllocates(t *testing.T) {
	few, many := testing.AllocsPerRun(100, oneMore(t, 2_000)), testing.AllocsPerRun(100, oneMore(t, 50_000))
	if many > few+4 {
		t.Errorf("adding a port makes %v allocations with 50,000 ports, %v with 2,000", many, few)
	}
}

func BenchmarkOneMore(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			add := oneMore(b, n)
			b.ReportAllocs()
			for b.Loop() {
				add()
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	m, facts := bigModel(100_000)
	b.Run("index", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			routing.NewIndex(m)
		}
	})
	b.Run("compile", func(b *testing.B) {
		x := routing.NewIndex(m)
		b.ReportAllocs()
		for b.Loop() {
			compile.Compile(x, &m.Routers[0], facts)
		}
	})
}
