package counters

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A fixture is a switch with flows that count packets, the sums of its router, and the expected
// sums.
type fixture struct {
	rc      *routerCounters
	objects compile.Objects
	flows   []ofproto.FlowStats // all flows of the program
	there   map[int]bool        // the flows that the switch has now, by index
	want    sums
	ports   int
}

// counting is the number of ports behind each of two interfaces.
const counting = 3

func newFixture(t *rapid.T, ports int) *fixture {
	var m routing.Model
	for i, name := range []string{"a", "b"} {
		m.Networks = append(m.Networks, routing.Network{ID: name, MTU: 1500})
		for p := range counting {
			m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint(name, p), Network: name, MAC: ofproto.MAC{2, 0, 0, 1, byte(i), byte(p)},
				Addresses: addresses(fmt.Sprintf("10.0.%d.%d", i, 10+p))})
		}
	}
	m.Routers = []routing.Router{{ID: "r", Interfaces: []routing.Interface{
		{ID: "ia", Network: "a", MAC: ofproto.MAC{2, 0, 0, 0, 0, 1}, Addresses: prefixes("10.0.0.1/24")},
		{ID: "ib", Network: "b", MAC: ofproto.MAC{2, 0, 0, 0, 0, 2}, Addresses: prefixes("10.0.1.1/24")},
	}, Routes: []routing.Route{
		{Destination: prefixes("10.9.0.0/16")[0], NextHops: []routing.NextHop{{Address: addresses("10.0.1.10")[0], Weight: 1}}},
		{Destination: prefixes("10.8.0.0/16")[0], Type: routing.RouteBlackhole},
	}, Bridge: routing.Bridge{Managed: true}}}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	x := routing.NewIndex(&m)
	r := x.Router("r")
	facts := compile.Facts{Can: compile.CanAll, Ports: compile.Ports{}}
	for i := range r.Interfaces {
		facts.Ports[r.Interfaces[i].PatchName()] = ofproto.PortNo(1 + i)
	}
	p := compile.Compile(x, r, facts)
	b := &fixture{rc: newRouterCounters("r"), objects: p.Objects, there: make(map[int]bool), want: make(sums), ports: ports}
	for f := range p.Flows.All() {
		b.there[len(b.flows)] = true
		b.flows = append(b.flows, ofproto.FlowStats{Flow: f})
	}
	return b
}

// read reads the switch in parts.
func (b *fixture) read(t *rapid.T) {
	r := b.rc.begin()
	parts := make([][]ofproto.FlowStats, rapid.IntRange(1, 3).Draw(t, "parts"))
	for i := range b.flows {
		if b.there[i] {
			parts[i%len(parts)] = append(parts[i%len(parts)], b.flows[i])
		}
	}
	for _, part := range parts {
		b.rc.add(r, part, b.objects, b.ports)
	}
	b.rc.sum(r, b.ports, func(subject) bool { return true })
	b.rc.settle(r)
}

// restart simulates a restart of the daemon: it replaces the sums by those restored from the file.
func (b *fixture) restart(t *rapid.T) {
	for _, p := range b.rc.top {
		b.rc.reported[p.subject()] = true
	}
	b.read(t) // records which of the reported flows are gone
	data, err := json.Marshal(b.rc.keep())
	if err != nil {
		t.Fatal(err)
	}
	var kept keptCounters
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	b.rc = restored("r", &kept)
}

// After any changes of the flows and restarts of the daemon, the sums equal the flows' counters at
// the readings. No packet is missing or counted twice.
func TestSumsMatchFlowCounters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newFixture(t, -1)
		t.Repeat(map[string]func(*rapid.T){
			"count": func(t *rapid.T) {
				i := rapid.IntRange(0, len(b.flows)-1).Draw(t, "flow")
				if !b.there[i] {
					return
				}
				n := Tally{uint64(rapid.IntRange(1, 1000).Draw(t, "packets")), 0}
				n.Bytes = 100 * n.Packets
				fs := &b.flows[i]
				fs.Packets, fs.Bytes = fs.Packets+n.Packets, fs.Bytes+n.Bytes
				role, _ := compile.RoleOf(fs.Cookie)
				object, _ := b.objects.Get(fs.Cookie)
				for _, about := range subjects(object, role, true) {
					b.want.add(about, n)
				}
			},
			"jump": func(t *rapid.T) { // a growth of more than a link carries, which is not added
				b.read(t)
				i := rapid.IntRange(0, len(b.flows)-1).Draw(t, "flow")
				if fs := &b.flows[i]; b.there[i] && fs.Packets < 1<<62 {
					fs.Packets, fs.Bytes = fs.Packets+1<<62, fs.Bytes+1<<60
				}
				b.read(t)
			},
			"remove": func(t *rapid.T) {
				b.read(t) // packets that are counted after the last reading are lost
				i := rapid.IntRange(0, len(b.flows)-1).Draw(t, "flow")
				b.there[i], b.flows[i].Packets, b.flows[i].Bytes = false, 0, 0
			},
			"install": func(t *rapid.T) {
				b.read(t) // detects the deletion: otherwise a new flow with a larger counter than the old flow would look unchanged
				b.there[rapid.IntRange(0, len(b.flows)-1).Draw(t, "flow")] = true
			},
			"read":    func(t *rapid.T) { b.read(t) },
			"restart": func(t *rapid.T) { b.restart(t) },
			"": func(t *rapid.T) {
				c := *b
				c.rc = copied(b.rc)
				c.read(t)
				for about, n := range b.want {
					if got := c.rc.sums.of(about)[about]; got != n {
						t.Fatalf("%+v is %v, want %v", about, got, n)
					}
				}
				for about, n := range c.rc.sums.all() {
					if b.want[about] != n {
						t.Fatalf("the sum of %+v is %v, want 0", about, n)
					}
				}
			},
		})
	})
}

func copied(rc *routerCounters) *routerCounters {
	c := *rc
	c.reported = maps.Clone(rc.reported) // the other maps are replaced, never changed
	return &c
}

// The reported ports are the first ones in the list of all ports, sorted by packets.
func TestPortsWithTheMostPackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rc := newRouterCounters("r")
		var all []Port
		for i := range rapid.IntRange(0, 60).Draw(t, "ports") {
			p := Port{"r", "i", fmt.Sprint(i), Tally{uint64(rapid.IntRange(0, 20).Draw(t, "packets")), 0}}
			rc.sums.add(p.subject(), p.Tally)
			all = append(all, p)
		}
		rc.sums.add(subject{routing.KindInterface, "i", "", compile.RoleDeliver}, Tally{1000, 0})
		slices.SortFunc(all, mostPackets)
		n := rapid.IntRange(0, 10).Draw(t, "n")
		if got := rc.sums.ports.most("r", n); !slices.Equal(got, all[:min(n, len(all))]) {
			t.Errorf("%v, want %v", got, all[:min(n, len(all))])
		}
		if got := rc.sums.ports.most("r", -1); !slices.Equal(got, all) {
			t.Errorf("all are %v, want %v", got, all)
		}
		r := rc.begin()
		rc.sum(r, -1, func(about subject) bool { return about.id != "0" })
		rc.settle(r)
		for _, p := range rc.top {
			if p.Port == "0" {
				t.Error("a deleted port is among the ports with the most packets")
			}
		}
	})
}

// The file has subjects of every kind. A file from an older daemon, with interfaces only, can
// still be read.
func TestKeptCounters(t *testing.T) {
	s := sums{
		{routing.KindInterface, "i 1", "", compile.RoleIn}:         {1, 10},
		{routing.KindInterface, "i 1", "", compile.RoleARP}:        {2, 20},
		{routing.KindInterface, "", "", compile.RoleDrop}:          {3, 30},
		{routing.KindInterface, "port", "", compile.RoleIn}:        {4, 40},
		{routing.KindRoute, "10.0.0.0/8", "", compile.RoleExtra}:   {5, 50},
		{routing.KindPort, "p 1", "i 1", compile.RoleDeliver}:      {6, 60},
		{routing.KindPort, "route", "route", compile.RoleDeliver}:  {7, 70},
		{routing.KindRoute, "::/0", "", compile.RoleBlackhole}:     {8, 80},
		{routing.KindInterface, "route/0", "", compile.RoleAnswer}: {9, 90},
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got sums
	if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("the file %s is read as %v, error %v", data, got, err)
	}
	const old = `{"Reported": {"i1": {"9": {"Packets": 5, "Bytes": 500}}}, "Before": {"i1": {"9": {"Packets": 2, "Bytes": 200}}}}`
	var kept keptCounters
	if err := json.Unmarshal([]byte(old), &kept); err != nil {
		t.Fatal(err)
	}
	deliver := subject{routing.KindInterface, "i1", "", compile.RoleDeliver}
	if kept.Reported[deliver] != (Tally{5, 500}) || kept.Before[deliver] != (Tally{2, 200}) {
		t.Errorf("%s is read as %v", old, kept)
	}
	if !strings.Contains(string(data), `"i 1":{`) {
		t.Errorf("the file %s has no key with the interface's ID", data)
	}
}

func addresses(texts ...string) (out []netip.Addr) {
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// The packets that meters have dropped are reported for interfaces, by kind.
func TestLimited(t *testing.T) {
	counted := sums{{routing.KindInterface, "i", "", compile.RoleIn}: {Packets: 9}, {routing.KindRoute, "0.0.0.0/0", "", compile.RoleLimitedEcho}: {Packets: 9}}
	for _, role := range LimitedKinds {
		counted.add(subject{routing.KindInterface, "i", "", role}, Tally{Packets: 1 + uint64(role)})
	}
	calls := 0
	b := NewBook(Config{Limited: func(router, iface, kind string, packets int) {
		if want := 1 + int(LimitedKinds[kind]); router != "r" || iface != "i" || packets != want {
			t.Errorf("router %s, interface %s: got %d packets of kind %s, want %d", router, iface, packets, kind, want)
		}
		calls++
	}})
	b.limited("r", counted)
	if calls != len(LimitedKinds) {
		t.Errorf("called %d times, want %d", calls, len(LimitedKinds))
	}
}
