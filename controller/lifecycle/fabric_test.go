package lifecycle

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// spanning returns a model with two hosts, and a router on networks n1 and n2, which have a VNI.
// Network n3 has no VNI.
func spanning() *routing.Model {
	m := model(3)
	m.Hosts = []routing.Host{{ID: "h1", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.1")}},
		{ID: "h2", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.2"), Type: routing.TunnelVXLAN}}}
	m.Networks[0].VNI, m.Networks[0].VLAN = 10, 0
	m.Networks[1].VNI = 20
	m.Networks[2].VLAN = 1
	m.Routers = m.Routers[:1]
	m.Routers[0].Fallback = routing.FallbackNone
	second := m.Routers[0].Interfaces[0]
	second.ID, second.Network, second.Addresses = "i2", "n2", []netip.Prefix{netip.MustParsePrefix("10.0.2.1/24")}
	m.Routers[0].Interfaces = append(m.Routers[0].Interfaces, second)
	m.Ports = []routing.Port{{ID: "vm1", Network: "n1", MAC: [6]byte{2, 0, 0, 0, 1, 1}, Down: true}, {ID: "vm3", Network: "n3", MAC: [6]byte{2, 0, 0, 0, 1, 3}}}
	return m
}

func (s *subject) vsctl(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(run(s.t, "ovs-vsctl", append([]string{"--db=" + s.cfg.OVSDB, "--no-wait", "--timeout=10"}, args...)...))
}

// plug adds a machine's port to the integration bridge.
func (s *subject) plug(port, id string) {
	s.t.Helper()
	s.vsctl("add-port", "br-int", port, "--", "set", "interface", port, "external_ids:iface-id="+id)
}

// tags returns the tags of ports.
func (s *subject) tagsOf(ports ...string) string {
	s.t.Helper()
	args := []string{}
	for _, p := range ports {
		args = append(args, "--", "get", "port", p, "tag")
	}
	return strings.Join(strings.Fields(s.vsctl(args[1:]...)), " ")
}

// report waits for a report that meets a condition.
func (s *subject) report(what string, is func(Report) bool) {
	s.t.Helper()
	s.until(what, func() bool { return is(s.last) })
}

// The fabric bridge is made, with its ports and the tags of machines. They follow changes of the
// intent, even if only a port changes. They are removed when the intent has no hosts.
func TestFabricFollowsIntent(t *testing.T) {
	s := start(t, nil)
	s.plug("tap1", "vm1")
	s.plug("tap2", "vm2")
	s.plug("tap3", "vm3")
	first := index(spanning())
	s.Want(Intent{Layout: 1, Index: first, Complete: true})
	s.report("everything is made", func(r Report) bool { return r.Layout == 1 && r.Complete && slices.Equal(r.Plugged, []string{"vm1"}) })
	if got := s.vsctl("list-ports", "br-fabric"); got != "fn-n1\nfn-n2\nfr-r1\nft-geneve\nft-vxlan" {
		t.Errorf("ports of br-fabric: %q", got)
	}
	if got := s.vsctl("get", "interface", "ft-vxlan", "type", "options"); got != "vxlan\n{key=flow, local_ip=\"192.0.2.1\", remote_ip=flow}" {
		t.Errorf("tunnel %s", got)
	}
	if got := s.tagsOf("fi-n1", "pi-i1", "tap1", "fi-n2", "pi-i2", "tap2", "tap3"); got != "3 3 3 2 2 [] []" {
		t.Errorf("tags %s", got)
	}
	s.mu.Lock()
	if !maps.Equal(s.last.Tags, map[string]uint16{"n1": 3, "n2": 2}) || !strings.Contains(s.last.NotMade[routing.FabricBridge], "br-fabric") || len(s.last.Problems) > 0 {
		t.Errorf("report %+v", s.last)
	}
	s.mu.Unlock()
	s.Ports(routing.FabricBridge, compile.Ports{})
	s.report("br-fabric has connected", func(r Report) bool { return r.NotMade[routing.FabricBridge] == "" })

	second := first.With(routing.Change{Put: routing.Model{Ports: []routing.Port{{ID: "vm2", Network: "n2", MAC: [6]byte{2, 0, 0, 0, 1, 2}}}}, Delete: routing.IDs{Ports: []string{"vm1"}}})
	s.Want(Intent{Layout: 1, Index: second, Complete: true})
	s.report("vm2 is here", func(r Report) bool { return slices.Equal(r.Plugged, []string{"vm2"}) && r.Complete })
	if got := s.tagsOf("tap1", "tap2"); got != "4095 2" {
		t.Errorf("tags of tap1 and tap2: %s", got)
	}

	alone := second.With(routing.Change{Delete: routing.IDs{Hosts: []string{"h2"}}})
	s.Want(Intent{Layout: 2, Index: alone, Complete: true})
	s.report("the fabric is removed", func(r Report) bool { return r.Layout == 2 && r.Complete })
	if got := s.vsctl("list-br"); got != "br-int\nrb-r1" {
		t.Errorf("bridges %q", got)
	}
	if got := s.tagsOf("pi-i1", "pi-i2", "tap2"); got != "3 2 2" {
		t.Errorf("tags without a fabric: %s", got)
	}
}

// Networks keep their tags when the daemon restarts, even if other objects have
// changed in the meantime.
func TestTagsSurviveRestart(t *testing.T) {
	s := start(t, nil)
	m := spanning()
	s.Want(Intent{Layout: 1, Index: index(m), Complete: true})
	s.report("everything is made", func(r Report) bool { return r.Layout == 1 && r.Complete && r.Tags["n1"] == 3 })
	s.end()
	m.Networks = append(m.Networks, routing.Network{ID: "a", VNI: 30, MTU: 1500})
	m.Networks[2].VLAN = 0
	s.vsctl("add-port", "br-int", "other", "tag=1")
	again := startAt(t, s.cfg.OVSDB, nil)
	again.Want(Intent{Layout: 1, Index: index(m), Complete: true})
	again.report("network a is made", func(r Report) bool { return r.Complete && r.Tags["a"] != 0 })
	again.mu.Lock()
	defer again.mu.Unlock()
	if !maps.Equal(again.last.Tags, map[string]uint16{"n1": 3, "n2": 2, "a": 4}) {
		t.Errorf("tags %v", again.last.Tags)
	}
}

// If the fabric bridge cannot be made, router br-fabric has a problem with the reason. Routers and
// tags are still made.
func TestFabricBlocked(t *testing.T) {
	s := start(t, nil)
	s.plug("tap1", "vm1")
	s.vsctl("add-br", "br-fabric")
	s.Want(Intent{Layout: 1, Index: index(spanning()), Complete: true})
	s.report("everything else is made", func(r Report) bool {
		return r.Layout == 1 && r.Complete && strings.Contains(strings.Join(r.Problems[routing.FabricBridge], " "), "bridge br-fabric: the name is in use")
	})
	if got := s.tagsOf("tap1", "pi-i1"); got != "3 3" {
		t.Errorf("tags %s", got)
	}
	s.vsctl("del-br", "br-fabric")
	s.report("the fabric is made", func(r Report) bool { return len(r.Problems) == 0 && r.Complete })
	if got := s.tagsOf("tap1", "pi-i1", "fi-n1"); got != "3 3 3" {
		t.Errorf("then tags %s", got)
	}
}

// A change of a port affects the database only if its machine is on this host.
func TestPortElsewhere(t *testing.T) {
	first := index(spanning())
	l := &Lifecycle{want: Intent{Index: first}, database: newDatabase()}
	vm := routing.Port{ID: "vm1", Network: "n1"}
	l.database.rows.machines = map[string]uint16{"vm2": 0}
	put := func(id, network string) bool {
		vm.ID, vm.Network = id, network
		return l.wantPorts(Intent{Index: l.want.Index.With(routing.Change{Put: routing.Model{Ports: []routing.Port{vm}}})})
	}
	if put("vm9", "n1") || put("vm9", "n2") || !put("vm2", "n1") || put("vm2", "n1") || !put("vm2", "n2") {
		t.Error("wantPorts reports a tag change for another host's machine, or none for this host's machine")
	}
	l.want.Index = l.want.Index.With(routing.Change{Delete: routing.IDs{Ports: []string{"vm9"}}})
	if !l.wantPorts(Intent{Index: l.want.Index.With(routing.Change{Delete: routing.IDs{Ports: []string{"vm2"}}})}) {
		t.Error("wantPorts reports no tag change when the port of this host's machine is deleted")
	}
}

// If no tag is free for a network, a problem names the network.
func TestNoFreeTag(t *testing.T) {
	m := &routing.Model{}
	for i := range 4094 {
		m.Networks = append(m.Networks, routing.Network{ID: "n" + string(rune('a'+i%26)) + strings.Repeat("x", i/26), VNI: uint32(i + 1), MTU: 1500})
	}
	m.Networks[0].VNI, m.Networks[0].VLAN = 0, 5
	m.Networks = append(m.Networks, routing.Network{ID: "z", VNI: 5000, MTU: 1500})
	l := &Lifecycle{cfg: Config{IntegrationBridge: "br-int"}}
	x := index(m)
	tags := l.tags(x, ovsdb.State{})
	if got := untagged(x, tags); len(tags) != 4093 || len(got) != 1 || !strings.HasPrefix(got[0], "network z has no tag on this host") {
		t.Errorf("%d tags, %v", len(tags), got)
	}
	d := l.desired(Intent{Index: x, Complete: true}, tags, nil)
	if d.Fabric != nil {
		t.Error("a host that is not in the intent has a fabric")
	}
}

// Both ends of all pairs of patch ports of the fabric bridge are checked. Their problems are
// problems of router br-fabric.
func TestFabricJoints(t *testing.T) {
	l := &Lifecycle{cfg: Config{IntegrationBridge: "br-int", Host: "h1"}}
	x := index(spanning())
	var got []string
	for _, j := range l.fabricJoints(x, l.fabric(x, l.tags(x, ovsdb.State{}))) {
		for _, e := range j.ends {
			got = append(got, strings.Join([]string{j.owner, e.bridge, e.port, e.peer, e.to}, " "))
		}
	}
	want := []string{
		"br-fabric br-fabric fn-n1 fi-n1 br-int", "br-fabric br-int fi-n1 fn-n1 br-fabric",
		"br-fabric br-fabric fn-n2 fi-n2 br-int", "br-fabric br-int fi-n2 fn-n2 br-fabric",
		"br-fabric br-fabric fr-r1 rf-r1 rb-r1", "br-fabric rb-r1 rf-r1 fr-r1 br-fabric",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// BenchmarkDesired measures the computations of a pass with 1,000 networks and 100,000 ports, of
// which 200 are on this host.
func BenchmarkDesired(b *testing.B) {
	m := spanning()
	s := ovsdb.State{Bridges: []ovsdb.BridgeRow{{Name: "br-int"}}}
	for i := range 1000 {
		m.Networks = append(m.Networks, routing.Network{ID: fmt.Sprint("x", i), VNI: uint32(1000 + i), MTU: 1500})
	}
	for i := range 100_000 {
		m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("p", i), Network: fmt.Sprint("x", i%1000), MAC: [6]byte{2, 0, 1, byte(i >> 16), byte(i >> 8), byte(i)}})
	}
	for i := range 200 {
		s.Bridges[0].Ports = append(s.Bridges[0].Ports, ovsdb.PortRow{Name: fmt.Sprint("tap", i),
			Interfaces: []ovsdb.InterfaceRow{{ExternalIDs: map[string]string{ovsdb.KeyIfaceID: fmt.Sprint("p", 500*i)}}}})
	}
	l := &Lifecycle{cfg: Config{IntegrationBridge: "br-int", Host: "h1"}}
	x := index(m)
	for b.Loop() {
		if d := l.Desired(Intent{Index: x, Complete: true}, s); len(d.Fabric.Networks) != 1002 {
			b.Fatal(len(d.Fabric.Networks))
		}
	}
}
