package compile_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/topology"
	"github.com/ofdvr/ofdvr/test/lab"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// Each testdata/*.txtar has a topology.yaml, the facts of the bridges (lines of port and
// number), and the expected flows.
func TestCompile(t *testing.T) {
	for _, g := range golden(t) {
		t.Run(filepath.Base(g.name), func(t *testing.T) {
			got, want := render(g.model, g.facts), string(g.flows.Data)
			if *update {
				g.flows.Data = []byte(got)
				if err := os.WriteFile(g.name, txtar.Format(g.archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("wrong flows; if they are right, run go test -update\ngot:\n%s\nwant:\n%s", got, want)
			}
			acceptedByOVS(t, got)
		})
	}
}

// A goldenFile is one of testdata/*.txtar.
type goldenFile struct {
	name    string
	archive *txtar.Archive
	model   *routing.Model
	facts   compile.Facts
	flows   *txtar.File
}

func golden(t *testing.T) (out []goldenFile) {
	t.Helper()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no test data", err)
	}
	for _, name := range names {
		g := goldenFile{name: name}
		if g.archive, err = txtar.ParseFile(name); err != nil {
			t.Fatal(err)
		}
		for i := range g.archive.Files {
			switch f := &g.archive.Files[i]; f.Name {
			case "topology.yaml":
				if g.model, _, err = topology.Parse(name, f.Data); err != nil {
					t.Fatal(err)
				}
			case "facts":
				g.facts = facts(t, string(f.Data))
			case "flows":
				g.flows = f
			}
		}
		out = append(out, g)
	}
	return out
}

// acceptedByOVS fails t unless ovs-ofctl parses all flows in text. It skips the check if there
// is no ovs-ofctl, except in CI.
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
	if got, want := strings.Count(string(out), "OFPT_FLOW_MOD"), strings.Count(text, " actions="); got != want {
		t.Errorf("ovs-ofctl reads %d flows, want %d:\n%s", got, want, out)
	}
}

// render lists the flows of each router and its missing ports.
func render(m *routing.Model, facts compile.Facts) string {
	var b strings.Builder
	x := routing.NewIndex(m)
	for i := range m.Routers {
		r := &m.Routers[i]
		prog := compile.Compile(x, r, facts)
		fmt.Fprintf(&b, "# bridge %s\n%s", r.BridgeName(), prog.Flows)
		for _, g := range prog.Groups {
			fmt.Fprintf(&b, "# group %s\n", strings.ReplaceAll(g.String(), ",bucket=", "\n#   bucket="))
		}
		for _, m := range prog.Meters {
			fmt.Fprintf(&b, "# %s\n", m)
		}
		for _, name := range prog.Missing {
			fmt.Fprintf(&b, "# missing %s\n", name)
		}
	}
	return b.String()
}

func facts(t *testing.T, text string) compile.Facts {
	t.Helper()
	f := compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}
	for line := range strings.Lines(text) {
		if name, cannot := strings.CutPrefix(strings.TrimSpace(line), "cannot "); cannot {
			i := slices.Index(compile.CanAll.Names(), name)
			if i < 0 {
				t.Fatalf("facts: there is no capability %q", name)
			}
			f.Can &^= 1 << i
			continue
		}
		var name string
		var no ofproto.PortNo
		if _, err := fmt.Sscan(line, &name, &no); err != nil {
			t.Fatalf("facts: %q: %v", line, err)
		}
		f.Ports[name] = no
	}
	return f
}

// TestCompileLaws checks laws that hold for the programs of all valid models.
func TestCompileLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		if err := m.Validate(); err != nil {
			t.Fatalf("generator made an invalid model: %v", err)
		}
		x := routing.NewIndex(m)
		for i := range m.Routers {
			prog := compile.Compile(x, &m.Routers[i], facts)
			again := compile.Compile(routing.NewIndex(m), &m.Routers[i], facts)
			if !prog.Flows.Equal(again.Flows) {
				t.Fatalf("compiling twice gives\n%s\nthen\n%s", prog.Flows, again.Flows)
			}
			checkProgram(t, &m.Routers[i], facts, prog)
		}
	})
}

func checkProgram(t *rapid.T, r *routing.Router, facts compile.Facts, prog compile.Program) {
	var before []ofproto.Flow // the flows of the same table and priority
	for f := range prog.Flows.All() {
		if err := f.Match.Validate(); err != nil {
			t.Errorf("%v: %v", f, err)
		}
		object, ok := prog.Objects.Get(f.Cookie)
		if role, ours := compile.RoleOf(f.Cookie); !ok || !ours || compile.CookieOf(object, role) != f.Cookie {
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
	// There is one flow per destination, and a few for each interface, each of its addresses
	// and each next hop. There are flows for pairs of networks only if the switch cannot check
	// packet lengths (check_pkt_larger).
	addresses, hops, others, limits := 0, 0, 0, 0
	for _, i := range r.Interfaces {
		addresses += len(i.Addresses)
	}
	for _, route := range r.Routes {
		hops += 3 + len(route.NextHops)
	}
	for f := range prog.Flows.All() {
		switch role, _ := compile.RoleOf(f.Cookie); role {
		case compile.RoleDeliver, compile.RoleSlow, compile.RoleFast, compile.RoleNeighbour:
		case compile.RoleLimit:
			limits++
		default:
			others++
		}
	}
	// 34 for the router: 9 final drops, 21 martians, 2 forged ARP senders and 2 that pass
	// packets on. 34 for an interface with IPv4 and IPv6, including its link-local address; 17
	// for an IPv4 address and its subnet, 15 for an IPv6 address.
	most := 34 + 34*len(r.Interfaces) + 17*addresses + hops
	if !facts.Can.Has(compile.CanCheckLength) {
		most += (addresses + len(r.Routes)) * len(r.Interfaces)
	}
	if k := facts.Kernel; k != nil {
		most += len(k.Local) + len(k.Routes) + len(k.Choices)
	}
	if others > most {
		t.Errorf("%d flows besides those for destinations, want at most %d:\n%s", others, most, prog.Flows)
	}
	if most := 128 + 9*len(r.Interfaces); limits > most {
		t.Errorf("%d flows that limit machines, want at most %d", limits, most)
	}
	checkGroups(t, prog)
}

// checkGroups checks that flows use every group and meter, and that every group and meter that
// they use exists.
func checkGroups(t *rapid.T, prog compile.Program) {
	groups, meters := make(map[ofproto.GroupID]bool), make(map[ofproto.MeterID]bool)
	for f := range prog.Flows.All() {
		for in := range f.Do.All() {
			switch in := in.(type) {
			case ofproto.Meter:
				meters[in.ID] = true
			case ofproto.Apply:
				for a := range in.Actions.All() {
					if g, ok := a.(ofproto.ToGroup); ok {
						groups[g.ID] = true
					}
				}
			}
		}
	}
	for _, g := range prog.Groups {
		if !groups[g.ID] || !compile.OursGroup(g.ID) {
			t.Errorf("no flow uses group %d, or it is not ours", g.ID)
		}
		delete(groups, g.ID)
	}
	for _, m := range prog.Meters {
		if !meters[m.ID] || !compile.OursMeter(m.ID) || compile.IsProbeMeter(m.ID) {
			t.Errorf("no flow uses meter %d, or it is not ours", m.ID)
		}
		if _, _, ok := prog.OfMeter(m.ID); !ok {
			t.Errorf("meter %d is for nothing", m.ID)
		}
		delete(meters, m.ID)
	}
	if len(groups)+len(meters) > 0 {
		t.Errorf("flows use groups %v and meters %v, which do not exist", groups, meters)
	}
}
