package routing_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/internal/lab"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/intent"
)

// Each testdata/*.txtar is a topology.yaml, the facts known of the bridges
// (lines of: port number), and the flows expected.
func TestCompile(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			ar, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file := make(map[string]*txtar.File)
			for i := range ar.Files {
				file[ar.Files[i].Name] = &ar.Files[i]
			}
			model, _, err := intent.Parse("topology.yaml", file["topology.yaml"].Data)
			if err != nil {
				t.Fatal(err)
			}
			got := render(model, facts(t, string(file["facts"].Data)))
			want := string(file["flows"].Data)
			if *update {
				file["flows"].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("wrong flows; if they are right, run go test -update\ngot:\n%s\nwant:\n%s", got, want)
			}
			acceptedByOVS(t, got)
		})
	}
}

// acceptedByOVS fails t unless ovs-ofctl reads as many flows in text as there
// are. ovs-ofctl only has to be there where CI says so.
func acceptedByOVS(t *testing.T, text string) {
	t.Helper()
	lab.Needs(t, "ovs-ofctl")
	file := filepath.Join(t.TempDir(), "flows")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ovs-ofctl", "-O", "OpenFlow13", "parse-flows", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ovs-ofctl does not accept the flows: %v\n%s", err, out)
	}
	if got, want := strings.Count(string(out), "OFPT_FLOW_MOD"), strings.Count(text, "actions="); got != want {
		t.Errorf("ovs-ofctl reads %d flows, want %d:\n%s", got, want, out)
	}
}

// render lists the flows of each router and the ports that it misses.
func render(m *routing.Model, facts routing.Facts) string {
	var b strings.Builder
	x := routing.NewIndex(m)
	for i := range m.Routers {
		r := &m.Routers[i]
		prog := x.Compile(r, facts)
		fmt.Fprintf(&b, "# bridge %s\n%s", r.BridgeName(), prog.Flows)
		for _, name := range prog.Missing {
			fmt.Fprintf(&b, "# missing %s\n", name)
		}
	}
	return b.String()
}

func facts(t *testing.T, text string) routing.Facts {
	t.Helper()
	f := routing.Facts{Ports: make(routing.Ports), Can: routing.CanAll}
	for line := range strings.Lines(text) {
		var name string
		var no ofproto.PortNo
		if _, err := fmt.Sscan(line, &name, &no); err != nil {
			t.Fatalf("facts: %q: %v", line, err)
		}
		f.Ports[name] = no
	}
	return f
}

// Laws of every program that a valid model compiles to.
func TestCompileLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		if err := m.Validate(); err != nil {
			t.Fatalf("generator made an invalid model: %v", err)
		}
		x := routing.NewIndex(m)
		for i := range m.Routers {
			prog := x.Compile(&m.Routers[i], facts)
			again := routing.NewIndex(m).Compile(&m.Routers[i], facts)
			if !prog.Flows.Equal(again.Flows) {
				t.Fatalf("compiling twice gives\n%s\nthen\n%s", prog.Flows, again.Flows)
			}
			checkProgram(t, &m.Routers[i], prog)
		}
	})
}

func checkProgram(t *rapid.T, r *routing.Router, prog routing.Program) {
	var before []ofproto.Flow // of the same table and priority
	for f := range prog.Flows.All() {
		if err := f.Match.Validate(); err != nil {
			t.Errorf("%v: %v", f, err)
		}
		object, ok := prog.Objects.Get(f.Cookie)
		if role, ours := routing.RoleOf(f.Cookie); !ok || !ours || routing.CookieOf(object, role) != f.Cookie {
			t.Errorf("%v: cookie stands for %v", f, object)
		}
		for in := range f.Do.All() {
			if g, ok := in.(ofproto.Goto); ok && g.Table <= f.Table {
				t.Errorf("%v goes back", f)
			}
		}
		if len(before) > 0 && (before[0].Table != f.Table || before[0].Priority != f.Priority) {
			before = before[:0]
		}
		for _, g := range before {
			if f.Match.Overlaps(g.Match) && f.Do != g.Do {
				t.Errorf("flows of one priority overlap and differ:\n%v\n%v", g, f)
			}
		}
		before = append(before, f)
	}
	// One flow a destination; besides, a few for each interface, for each
	// prefix and each route, and for each interface that must not reach it
	// directly.
	interfaces, prefixes, others := len(r.Interfaces), 0, 0
	for _, i := range r.Interfaces {
		prefixes += len(i.Addresses)
	}
	for f := range prog.Flows.All() {
		if role, _ := routing.RoleOf(f.Cookie); role != routing.RoleDeliver {
			others++
		}
	}
	if most := 3 + 7*interfaces + (prefixes+len(r.Routes))*(2+interfaces); others > most {
		t.Errorf("%d flows besides those for destinations, want at most %d:\n%s", others, most, prog.Flows)
	}
}

// drawModel draws a valid model and port numbers, some of them missing. A router
// may have two interfaces on one network.
func drawModel(t *rapid.T) (*routing.Model, routing.Facts) {
	m, facts := new(routing.Model), routing.Facts{Ports: make(routing.Ports), Can: routing.CanAll}
	no := ofproto.PortNo(0)
	mac := func() ofproto.MAC { // all different
		no++
		return ofproto.MAC{2, 0, 0, 0, byte(no >> 8), byte(no)}
	}
	known := func(name string) {
		no++
		if rapid.IntRange(0, 9).Draw(t, "port is known") > 0 {
			facts.Ports[name] = no
		}
	}
	for n := range rapid.IntRange(1, 5).Draw(t, "networks") {
		m.Networks = append(m.Networks, routing.Network{
			ID: fmt.Sprint("net", n), VLAN: uint16(n + 1), MTU: rapid.SampledFrom([]int{1400, 1500, 9000}).Draw(t, "mtu"),
		})
	}
	for r := range rapid.IntRange(1, 2).Draw(t, "routers") {
		router := routing.Router{
			ID:           fmt.Sprint("r", r),
			Bridge:       routing.Bridge{Managed: true},
			Fallback:     routing.Fallback(rapid.IntRange(0, 1).Draw(t, "fallback")),
			ARPResponder: rapid.Bool().Draw(t, "arp"),
		}
		for n := range m.Networks {
			if rapid.IntRange(0, 3).Draw(t, "joins") == 0 {
				continue
			}
			subnets := []netip.Prefix{subnet(n, 0, 1+r), subnet(n, 1, 1+r)}
			var legs [][]netip.Prefix // addresses of each interface on the network
			switch rapid.IntRange(0, 2).Draw(t, "subnets") {
			case 0:
				legs = [][]netip.Prefix{subnets[:1]}
			case 1:
				legs = [][]netip.Prefix{subnets}
			case 2:
				legs = [][]netip.Prefix{subnets[:1], subnets[1:]}
			}
			for l, addresses := range legs {
				i := routing.Interface{ID: fmt.Sprint("i", r, n, l), Network: m.Networks[n].ID, MAC: mac(), Addresses: addresses}
				router.Interfaces = append(router.Interfaces, i)
				known(i.PatchName())
				known(i.TapName())
			}
		}
		drawRoutes(t, &router)
		m.Routers = append(m.Routers, router)
	}
	for n := range m.Networks {
		for p := range rapid.IntRange(0, 4).Draw(t, "ports") {
			port := routing.Port{ID: fmt.Sprint("p", n, p), Network: m.Networks[n].ID, MAC: mac()}
			for s := range 3 { // the third subnet is never anybody's
				if rapid.Bool().Draw(t, "has address") {
					port.Addresses = append(port.Addresses, subnet(n, s, 10+p).Addr())
				}
			}
			m.Ports = append(m.Ports, port)
		}
	}
	return m, facts
}

// subnet returns address host in subnet s of network n; lengths differ.
func subnet(n, s, host int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), byte(64 * s), byte(host)}), 24-s-n%2)
}

// drawRoutes gives r extra routes: to elsewhere, and to parts of connected
// subnets, by way of addresses that ports may have.
func drawRoutes(t *rapid.T, r *routing.Router) {
	if len(r.Interfaces) == 0 {
		return
	}
	seen := make(map[netip.Prefix]bool)
	for range rapid.IntRange(0, 4).Draw(t, "routes") {
		a := rapid.SampledFrom(rapid.SampledFrom(r.Interfaces).Draw(t, "interface").Addresses).Draw(t, "by way of").Addr().As4()
		a[3] = byte(rapid.IntRange(10, 15).Draw(t, "host"))
		inside := rapid.SampledFrom(rapid.SampledFrom(r.Interfaces).Draw(t, "interface").Addresses).Draw(t, "inside")
		to := rapid.SampledFrom([]netip.Prefix{
			netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.200.0.0/16"), netip.MustParsePrefix("10.200.7.0/24"),
			netip.PrefixFrom(inside.Addr(), 28).Masked(), netip.PrefixFrom(inside.Addr(), 31).Masked(), netip.PrefixFrom(netip.AddrFrom4(a), 32),
		}).Draw(t, "to")
		if !seen[to] {
			seen[to] = true
			r.Routes = append(r.Routes, routing.Route{Destination: to, NextHops: []routing.NextHop{{Address: netip.AddrFrom4(a), Weight: 1}}})
		}
	}
}
