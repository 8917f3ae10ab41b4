package ovsdb_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// prevents reports whether a part of the desired state is missing because of a problem.
func prevents(p ovsdb.Problem) bool {
	return p.Kind != ovsdb.ForeignController && p.Kind != ovsdb.SwitchError && p.Kind != ovsdb.TagChanged
}

// tagged returns s after machines' ports have got the tags that d desires.
func tagged(s ovsdb.State, d ovsdb.Desired) ovsdb.State {
	s = copyState(s)
	if _, ok := s.Bridge(d.IntegrationBridge); !ok && d.Tag != nil {
		return s
	}
	for _, b := range s.Bridges {
		for j := range b.Ports {
			p := &b.Ports[j]
			if p.Name == b.Name || p.ExternalIDs[ovsdb.KeyOwner] == ovsdb.Owner {
				continue
			}
			mark, marked := p.ExternalIDs[ovsdb.KeyTag]
			if vlan := tagFor(p, d); vlan != 0 && b.Name == d.IntegrationBridge {
				p.Tag, p.ExternalIDs[ovsdb.KeyTag] = &vlan, strconv.Itoa(vlan)
				if p.VLANMode != "access" {
					p.VLANMode = ""
				}
				if len(p.Trunks) > 0 {
					p.Trunks = []int{}
				}
			} else if marked && !d.Partial {
				delete(p.ExternalIDs, ovsdb.KeyTag)
				if p.Tag != nil && strconv.Itoa(*p.Tag) == mark && (b.Name != d.IntegrationBridge || !isGiven(p, d)) {
					p.Tag, p.VLANMode, p.Trunks = tag(4095), "trunk", []int{4095}
				}
			}
		}
	}
	return s
}

// isGiven reports whether p has the tag that its network has without us.
func isGiven(p *ovsdb.PortRow, d ovsdb.Desired) bool {
	return slices.ContainsFunc(p.Interfaces, func(i ovsdb.InterfaceRow) bool {
		id := i.ExternalIDs[ovsdb.KeyIfaceID]
		return id != "" && d.GivenTag != nil && int(d.GivenTag(id)) == *p.Tag
	})
}

// tagFor returns the desired tag of p, or 0.
func tagFor(p *ovsdb.PortRow, d ovsdb.Desired) int {
	for _, i := range p.Interfaces {
		if id := i.ExternalIDs[ovsdb.KeyIfaceID]; id != "" && d.Tag != nil {
			if t, ok := d.Tag(id); ok {
				return int(t.VLAN)
			}
		}
	}
	return 0
}

// checkFabric fails unless all parts of the fabric without a problem exist.
func checkFabric(t *rapid.T, s ovsdb.State, d ovsdb.Desired, problems []ovsdb.Problem) {
	held := func(router, network string) bool {
		return slices.ContainsFunc(problems, func(p ovsdb.Problem) bool {
			all := p.Router == "" && p.Network == ""
			return prevents(p) && (all || p.Fabric && p.Network == network && p.Router == router ||
				!p.Fabric && p.Interface == "" && p.Router == router)
		})
	}
	f := d.Fabric
	if f == nil {
		if slices.ContainsFunc(s.Bridges, ovsdb.BridgeRow.IsFabric) && !d.Partial && !slices.ContainsFunc(problems, func(p ovsdb.Problem) bool { return p.Fabric }) {
			t.Fatalf("rows of the former fabric remain: %+v", s)
		}
		return
	}
	if held("", "") {
		return
	}
	b, ok := s.Bridge(f.Name)
	if !ok || !b.IsFabric() || b.Router() != "" || b.FailMode != "secure" || len(b.Controllers) == 0 {
		t.Fatalf("fabric bridge %+v", b)
	}
	for _, w := range f.Tunnels {
		if i, _ := b.Interface(w.Name); i.Type != w.Type || i.Options["local_ip"] != w.LocalIP || i.Options["remote_ip"] != "flow" || i.Options["key"] != "flow" {
			t.Fatalf("tunnel %+v: %+v", w, i)
		}
	}
	pair := func(what, port, bridge, peer string) ovsdb.PortRow {
		in, _ := s.Bridge(bridge)
		one, _ := b.Interface(port)
		other, _ := in.Interface(peer)
		if one.Type != "patch" || other.Type != "patch" || one.Options["peer"] != peer || other.Options["peer"] != port || other.ExternalIDs[ovsdb.KeyIfaceID] != "" {
			t.Fatalf("%s: ports %+v, %+v", what, one, other)
		}
		p, _ := in.Port(peer)
		return p
	}
	for _, n := range f.Networks {
		if !held("", n.ID) {
			if p := pair("network "+n.ID, n.Port, d.IntegrationBridge, n.Peer); p.Tag == nil || *p.Tag != int(n.VLAN) {
				t.Fatalf("tag of network %+v: %+v", n, p)
			}
		}
	}
	for _, r := range f.Routers {
		if i := slices.IndexFunc(d.Bridges, func(b ovsdb.Bridge) bool { return b.Router == r.ID }); i >= 0 && !held(r.ID, "") {
			pair("router "+r.ID, r.Port, d.Bridges[i].Name, r.Peer)
		}
	}
}

// checkKept fails if a plan with Desired.Partial removes a part that is not listed.
func checkKept(t *rapid.T, ops []ovsdb.Op, d ovsdb.Desired) {
	replaced := false // the bridge of the fabric
	for _, o := range ops {
		replaced = replaced || o.Verb == ovsdb.Remove && o.Fabric && o.Row.Table == ovsdb.TableBridge
	}
	for _, o := range ops {
		listed := slices.ContainsFunc(d.Bridges, func(b ovsdb.Bridge) bool { return b.Router == o.Router })
		if o.Fabric {
			listed = d.Fabric != nil && (replaced || o.Router == "" && o.Network == "" ||
				slices.ContainsFunc(d.Fabric.Networks, func(n ovsdb.FabricNetwork) bool { return n.ID == o.Network }) ||
				slices.ContainsFunc(d.Fabric.Routers, func(r ovsdb.FabricRouter) bool { return r.ID == o.Router }))
		}
		if o.Verb == ovsdb.Remove && !listed {
			t.Fatalf("a partial state removes %+v, but the desired state is\n%+v", o, d)
		}
	}
}

// withFabric returns the routers of desired with a fabric, and two machines.
func withFabric() ovsdb.Desired {
	d := desired()
	d.Fabric = &ovsdb.Fabric{Name: "br-fabric", DatapathID: 7,
		Tunnels:  []ovsdb.Tunnel{{Name: "ft-geneve", Type: "geneve", LocalIP: "192.0.2.1"}},
		Networks: []ovsdb.FabricNetwork{{ID: "blue", Port: "fn-blue", Peer: "fi-blue", VLAN: 1}, {ID: "green", Port: "fn-green", Peer: "fi-green", VLAN: 2}},
		Routers:  []ovsdb.FabricRouter{{ID: "r1", Port: "fr-1", Peer: "rf-1"}}}
	d.Tag = tags(map[string]uint16{"vm1": 1, "vm2": 2})
	return d
}

func tags(m map[string]uint16) func(string) (ovsdb.Tag, bool) {
	return func(id string) (ovsdb.Tag, bool) {
		vlan, ok := m[id]
		return ovsdb.Tag{Network: "n", VLAN: vlan}, ok
	}
}

// machine returns a port with an interface that has an iface-id.
func machinePort(name, id string) ovsdb.PortRow {
	p := portRow(name)
	p.Interfaces[0].ExternalIDs = map[string]string{ovsdb.KeyIfaceID: id}
	return p
}

func tag(v int) *int { return &v }

// TestPlanOfFabric plans changes of a fabric and of machines' tags, with manual changes in between.
func TestPlanOfFabric(t *testing.T) {
	bridge := func(s *ovsdb.State, name string) *ovsdb.BridgeRow {
		return &s.Bridges[slices.IndexFunc(s.Bridges, func(b ovsdb.BridgeRow) bool { return b.Name == name })]
	}
	plug := func(p ovsdb.PortRow) func(*ovsdb.State) {
		return func(s *ovsdb.State) { b := bridge(s, "br-int"); b.Ports = append(b.Ports, p) }
	}
	was := func(p ovsdb.PortRow, v int, mark string) ovsdb.PortRow {
		p.Tag, p.ExternalIDs = tag(v), map[string]string{ovsdb.KeyTag: mark}
		return p
	}
	for _, tt := range []struct {
		name     string
		byHand   func(s *ovsdb.State)
		change   func(d *ovsdb.Desired)
		ops      []string
		problems []string
	}{
		{name: "nothing"},
		{
			name:   "fabric removed",
			change: func(d *ovsdb.Desired) { d.Fabric = nil },
			ops:    []string{"remove Bridge br-fabric", "remove Port fi-blue", "remove Port fi-green", "remove Port rf-1"},
		},
		{
			name:   "everything removed",
			change: func(d *ovsdb.Desired) { *d = ovsdb.Desired{} },
			ops: []string{"remove Bridge br-fabric", "remove Port fi-blue", "remove Port fi-green", "remove Port rq-3", "remove Port rq-4",
				"remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1", "remove Bridge rb-2"},
		},
		{
			name: "network removed, another tag, another address",
			change: func(d *ovsdb.Desired) {
				f := d.Fabric
				f.Networks = f.Networks[1:]
				f.Networks[0].VLAN = 3
				f.Tunnels[0].LocalIP = "2001:db8::1"
			},
			ops: []string{"remove Port fn-blue", "remove Port fi-blue",
				"update Interface ft-geneve (options:local_ip)", "update Port fi-green (tag)"},
		},
		{
			name: "second tunnel",
			change: func(d *ovsdb.Desired) {
				d.Fabric.Tunnels = append(d.Fabric.Tunnels, ovsdb.Tunnel{Name: "ft-vxlan", Type: "vxlan", LocalIP: "192.0.2.1"})
			},
			ops: []string{"insert Port ft-vxlan", "insert Interface ft-vxlan"},
		},
		{
			name:   "router removed",
			change: func(d *ovsdb.Desired) { d.Bridges = d.Bridges[1:]; d.Fabric.Routers = nil },
			ops:    []string{"remove Port fr-1", "remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1"},
		},
		{
			name:   "routing bridge renamed",
			change: func(d *ovsdb.Desired) { d.Bridges[0].Interfaces = nil; d.Bridges[0].Name = "new" },
			ops: []string{"remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1",
				"insert Bridge new", "insert Controller tcp:127.0.0.1:6653", "insert Port new", "insert Interface new", "insert Port rf-1", "insert Interface rf-1"},
		},
		{
			name:   "partial state",
			byHand: plug(was(machinePort("tap9", "vm9"), 9, "9")),
			change: func(d *ovsdb.Desired) { d.Partial, d.Fabric, d.Bridges = true, nil, nil },
		},
		{
			name: "partial state of the fabric",
			change: func(d *ovsdb.Desired) {
				d.Partial, d.Fabric.Networks[1].VLAN, d.Fabric.Routers = true, 8, nil
				d.Fabric.Networks = d.Fabric.Networks[1:]
			},
			ops: []string{"update Port fi-green (tag)"},
		},
		{
			name:   "foreign port on the fabric bridge, which is removed",
			byHand: func(s *ovsdb.State) { b := bridge(s, "br-fabric"); b.Ports = append(b.Ports, portRow("eth0")) },
			change: func(d *ovsdb.Desired) { d.Fabric = nil },
			ops: []string{"remove Controller tcp:127.0.0.1:6653", "remove Port fn-blue", "remove Port fn-green", "remove Port fr-1", "remove Port ft-geneve",
				"remove Port fi-blue", "remove Port fi-green", "remove Port rf-1"},
			problems: []string{"foreign-ports fabric /: bridge br-fabric: it is not needed any more but cannot be removed, because it has ports that do not belong to ofdvr: eth0; remove them with `ovs-vsctl del-port`"},
		},
		{
			name: "fabric bridge with another controller",
			byHand: func(s *ovsdb.State) {
				b := bridge(s, "br-fabric")
				b.Controllers = append(b.Controllers, ovsdb.ControllerRow{UUID: "c", Target: "tcp:192.0.2.1:1"})
			},
			problems: []string{"foreign-controller fabric /: bridge br-fabric: it has controller tcp:192.0.2.1:1, which does not belong to ofdvr and can change its flows; " +
				"remove it with `ovs-vsctl remove Bridge br-fabric controller c`"},
		},
		{
			name: "tunnel could not be created",
			byHand: func(s *ovsdb.State) {
				b := bridge(s, "br-fabric")
				i := slices.IndexFunc(b.Ports, func(p ovsdb.PortRow) bool { return p.Name == "ft-geneve" })
				f := &b.Ports[i].Interfaces[0]
				f.OFPort, f.Error = -1, "could not add network device ft-geneve to ofproto (Address family not supported by protocol)"
			},
			problems: []string{"switch-error fabric /: tunnel port ft-geneve on bridge br-fabric: ovs-vswitchd could not create it: " +
				"could not add network device ft-geneve to ofproto (Address family not supported by protocol); see the log of ovs-vswitchd"},
		},
		{
			name:   "name of a network's port in use",
			byHand: plug(portRow("fi-red")),
			change: func(d *ovsdb.Desired) {
				d.Fabric.Networks = append(d.Fabric.Networks, ovsdb.FabricNetwork{ID: "red", Port: "fn-red", Peer: "fi-red", VLAN: 3},
					ovsdb.FabricNetwork{ID: "x", Port: "fn-x", Peer: "fi-x", VLAN: 4})
			},
			ops:      []string{"insert Port fn-x", "insert Interface fn-x", "insert Port fi-x", "insert Interface fi-x"},
			problems: []string{"name-taken fabric /red: patch port fi-red: the name is in use by port fi-red on bridge br-int, which does not belong to ofdvr; remove it, or choose another name"},
		},
		{
			name:     "name of the uplink in use",
			byHand:   plug(portRow("eth1")),
			change:   func(d *ovsdb.Desired) { d.Fabric.Uplink = "eth1" },
			problems: []string{"name-taken fabric /: uplink eth1: the name is in use by port eth1 on bridge br-int, which does not belong to ofdvr; remove it, or choose another name"},
		},
		{
			name: "uplink",
			change: func(d *ovsdb.Desired) {
				d.Fabric.Uplink, d.HostAddresses = "eth1", func(string) string { return "" }
			},
			ops: []string{"insert Port eth1", "insert Interface eth1"},
		},
		{
			name: "uplink with addresses of the host",
			change: func(d *ovsdb.Desired) {
				d.Fabric.Uplink, d.HostAddresses = "eth1", func(name string) string { return "192.0.2.7/24 on " + name }
			},
			problems: []string{"host-addresses fabric /: uplink eth1: it has addresses of this host (192.0.2.7/24 on eth1), which the host would lose if it became a port of bridge br-fabric; " +
				"move them to another interface, or choose another uplink"},
		},
		{
			name: "machines plugged, two with one ID and one behind a bond",
			byHand: func(s *ovsdb.State) {
				bond := machinePort("bond", "none")
				bond.Interfaces = append(bond.Interfaces, machinePort("tap2b", "vm2").Interfaces...)
				ours := machinePort("tap5", "vm1")
				ours.VLANMode, ours.Trunks, ours.Tag = "trunk", []int{7}, tag(9)
				for _, p := range []ovsdb.PortRow{machinePort("tap1", "vm1"), ours, machinePort("tap3", "vm3"), bond} {
					plug(p)(s)
				}
				s.Bridges = append(s.Bridges, bridgeRow("other", machinePort("tap4", "vm1")))
			},
			ops: []string{"update Port tap1 (external_ids:ofdvr-tag, tag)", "update Port tap5 (external_ids:ofdvr-tag, tag, trunks, vlan_mode)",
				"update Port bond (external_ids:ofdvr-tag, tag)"},
		},
		{
			name:   "another tag of a machine",
			byHand: plug(was(machinePort("tap1", "vm1"), 1, "1")),
			change: func(d *ovsdb.Desired) { d.Tag = tags(map[string]uint16{"vm1": 5}) },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-tag, tag)"},
		},
		{
			name:   "machine removed",
			byHand: plug(was(machinePort("tap1", "vm1"), 1, "1")),
			change: func(d *ovsdb.Desired) { d.Tag = tags(nil) },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-tag, tag, trunks, vlan_mode)"},
		},
		{
			name: "turns of machines",
			byHand: func(s *ovsdb.State) {
				for name, id := range map[string]string{"tap1": "vm1", "tap2": "vm2", "tap9": "vm9"} {
					p := machinePort(name, id)
					if v := map[string]int{"tap1": 1, "tap2": 2}[name]; v != 0 {
						p = was(p, v, strconv.Itoa(v))
					}
					plug(p)(s)
				}
				ports := bridge(s, "br-int").Ports
				slices.SortFunc(ports, func(a, b ovsdb.PortRow) int { return strings.Compare(a.Name, b.Name) })
				for i := range ports {
					if n := map[string]string{"tap2": "7", "tap9": "9"}[ports[i].Name]; n != "" {
						ports[i].ExternalIDs = map[string]string{ovsdb.KeyTurn: n, ovsdb.KeyTag: ports[i].ExternalIDs[ovsdb.KeyTag]}
						if n == "9" {
							delete(ports[i].ExternalIDs, ovsdb.KeyTag)
						}
					}
				}
			},
			change: func(d *ovsdb.Desired) { d.Turns = map[string]uint64{"vm1": 3, "vm2": 7, "vm3": 1} },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-turn)", "update Port tap9 (external_ids:ofdvr-turn)"},
		},
		{
			name: "turns that are not known",
			byHand: func(s *ovsdb.State) {
				p := was(machinePort("tap1", "vm1"), 1, "1")
				p.ExternalIDs[ovsdb.KeyTurn] = "7"
				plug(p)(s)
			},
		},
		{
			name: "machine with a turn removed",
			byHand: func(s *ovsdb.State) {
				p := was(machinePort("tap1", "vm1"), 1, "1")
				p.ExternalIDs[ovsdb.KeyTurn] = "7"
				plug(p)(s)
			},
			change: func(d *ovsdb.Desired) { d.Tag = tags(nil) },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-tag, external_ids:ofdvr-turn, tag, trunks, vlan_mode)"},
		},
		{
			name:   "network without a VNI, and with another tag",
			byHand: plug(was(machinePort("tap1", "vm1"), 1, "1")),
			change: func(d *ovsdb.Desired) { d.Tag, d.GivenTag = nil, func(string) uint16 { return 2 } },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-tag, tag, trunks, vlan_mode)"},
		},
		{
			name:   "network without a VNI, and with the same tag",
			byHand: plug(was(machinePort("tap1", "vm1"), 1, "1")),
			change: func(d *ovsdb.Desired) { d.Tag, d.GivenTag = nil, func(string) uint16 { return 1 } },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-tag)"},
		},
		{
			name: "machine moved to a bridge of another program",
			byHand: func(s *ovsdb.State) {
				s.Bridges = append(s.Bridges, bridgeRow("other", was(machinePort("tap1", "vm1"), 1, "1")))
			},
			ops: []string{"update Port tap1 (external_ids:ofdvr-tag, tag, trunks, vlan_mode)"},
		},
		{
			name:     "integration bridge missing",
			byHand:   plug(was(machinePort("tap1", "vm1"), 1, "1")),
			change:   func(d *ovsdb.Desired) { d.IntegrationBridge = "br-other" },
			problems: []string{"no-integration-bridge /: integration bridge br-other: it does not exist; create it with `ovs-vsctl add-br br-other`, or configure another one (--integration-bridge)"},
		},
		{
			name:   "tag of a removed machine was changed",
			byHand: plug(was(machinePort("tap1", "vm1"), 7, "1")),
			change: func(d *ovsdb.Desired) { d.Tag = nil },
			ops:    []string{"update Port tap1 (external_ids:ofdvr-tag)"},
			problems: []string{"tag-changed fabric /: port tap1 on bridge br-int: ofdvr had given it tag 1, and another program has set tag 7 since, which stays; " +
				"if the port belongs to no network, run `ovs-vsctl set Port tap1 tag=4095 vlan_mode=trunk trunks=4095`"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := withFabric()
			s := settled(t, d)
			if tt.byHand != nil {
				tt.byHand(&s)
			}
			if tt.change != nil {
				tt.change(&d)
			}
			ops, problems := ovsdb.Plan(s, d)
			var gotOps, gotProblems []string
			for _, o := range ops {
				gotOps = append(gotOps, o.String())
			}
			for _, p := range problems {
				owner := p.Router
				if p.Fabric {
					owner = "fabric " + p.Router
				}
				gotProblems = append(gotProblems, fmt.Sprintf("%s %s/%s: %v", p.Kind, owner, p.Network, p))
			}
			if !slices.Equal(gotOps, tt.ops) {
				t.Errorf("operations\n%s\nwant\n%s", strings.Join(gotOps, "\n"), strings.Join(tt.ops, "\n"))
			}
			if !slices.Equal(gotProblems, tt.problems) {
				t.Errorf("problems\n%s\nwant\n%s", strings.Join(gotProblems, "\n"), strings.Join(tt.problems, "\n"))
			}
			after, err := carryOut(s, ops)
			if err != nil {
				t.Fatal(err)
			}
			if left, _ := ovsdb.Plan(after, d); len(left) > 0 {
				t.Errorf("left to do: %v", left)
			}
		})
	}
}

// If the name of the fabric bridge is in use, the routers are still made.
func TestFabricNameTaken(t *testing.T) {
	s := host()
	s.Bridges = append(s.Bridges, bridgeRow("br-fabric"))
	ops, problems := ovsdb.Plan(s, withFabric())
	if len(problems) != 1 || problems[0].Kind != ovsdb.NameTaken || !problems[0].Fabric || problems[0].Router != "" {
		t.Errorf("problems %+v", problems)
	}
	alone, _ := ovsdb.Plan(s, desired())
	if len(alone) == 0 || fmt.Sprint(ops) != fmt.Sprint(alone) {
		t.Errorf("operations\n%v\nwant those without a fabric\n%v", ops, alone)
	}
}

// Routers does not return the fabric.
func TestRoutersWithoutFabric(t *testing.T) {
	d := withFabric()
	s := settled(t, d)
	if got := fmt.Sprint(s.Routers()); got != "[5d0f7d1e-6a43-4b5e-9d5e-3f3f6d1f9b11 r1]" {
		t.Errorf("routers %v", got)
	}
	d.Bridges, d.Fabric.Routers = nil, nil
	s = settled(t, d)
	if b, ok := s.Bridge("br-fabric"); len(s.Routers()) > 0 || !ok || !b.IsFabric() || b.Router() != "" {
		t.Errorf("routers %q, bridge %+v", s.Routers(), b)
	}
	tagged := host()
	tagged.Bridges[0].Ports = append(tagged.Bridges[0].Ports, ovsdb.PortRow{Name: "tap1", ExternalIDs: map[string]string{ovsdb.KeyTag: "1"}})
	if !s.HasOurs() || !tagged.HasOurs() || host().HasOurs() {
		t.Error("HasOurs does not count the fabric or tags, or counts an empty host")
	}
}

func TestTags(t *testing.T) {
	d := withFabric() // fi-blue has 1, fi-green has 2
	d.Tag = nil
	s := settled(t, d)
	in := &s.Bridges[slices.IndexFunc(s.Bridges, func(b ovsdb.BridgeRow) bool { return b.Name == "br-int" })]
	foreign, trunk, marked, odd := portRow("f"), portRow("t"), portRow("m"), portRow("o")
	foreign.Tag, trunk.Trunks, odd.Tag = tag(3), []int{4, 6, 5000}, tag(4095)
	marked.Interfaces[0].ExternalIDs = map[string]string{ovsdb.KeyIfaceID: "vm5"}
	marked.Tag, marked.ExternalIDs = tag(5), map[string]string{ovsdb.KeyTag: "5"}
	in.Ports = append(in.Ports, foreign, trunk, marked, odd)
	choice := func(id string, vlan uint16) ovsdb.VLANChoice {
		return ovsdb.VLANChoice{ID: id, VLAN: vlan, Ours: []string{"fi-" + id, "rq-" + id}}
	}
	unknown := func(id string) string { return map[string]string{"vm5": "red"}[id] }
	for _, tt := range []struct {
		name     string
		networks []ovsdb.VLANChoice
		taken    []uint16
		want     map[string]uint16
	}{
		{name: "none", want: map[string]uint16{}},
		{"existing ones stay", []ovsdb.VLANChoice{choice("aaa", 0), choice("green", 0), choice("blue", 0)}, nil,
			map[string]uint16{"blue": 1, "green": 2, "aaa": 5}}, // 3, 4 and 6 are in use; 5 is ours
		{"the given one counts", []ovsdb.VLANChoice{choice("aaa", 2), choice("blue", 40), choice("green", 0)}, nil,
			map[string]uint16{"aaa": 2, "blue": 40, "green": 1}},
		{"given to networks of others", []ovsdb.VLANChoice{choice("blue", 0), choice("green", 0)}, []uint16{1, 5, 4095},
			map[string]uint16{"blue": 7, "green": 2}},
		{"two networks with ports of the same tag", []ovsdb.VLANChoice{choice("blue", 0), {ID: "other", Ours: []string{"fi-blue"}}, choice("green", 0)}, nil,
			map[string]uint16{"blue": 1, "green": 2, "other": 5}},
		{"that of a machine", []ovsdb.VLANChoice{choice("aaa", 0), choice("blue", 0), choice("green", 0), choice("red", 0)}, nil,
			map[string]uint16{"aaa": 7, "blue": 1, "green": 2, "red": 5}},
		{"a tag in use by a port without a network", []ovsdb.VLANChoice{choice("aaa", 0)}, nil, map[string]uint16{"aaa": 5}},
	} {
		if got := ovsdb.Tags(s, "br-int", tt.networks, tt.taken, unknown); !maps.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	var many []ovsdb.VLANChoice
	for i := range 4095 {
		many = append(many, ovsdb.VLANChoice{ID: fmt.Sprint(i)})
	}
	got := ovsdb.Tags(ovsdb.State{}, "br-int", many, nil, unknown)
	if _, ok := got["4094"]; len(got) != 4094 || got["0"] != 1 || got["4093"] != 4094 || ok {
		t.Errorf("of 4095 networks %d have tags", len(got))
	}
}

// After the tags are set, Tags returns the same tags, also while the fabric is
// held or no host has tunnels.
func TestTagsAreStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		var networks []ovsdb.VLANChoice
		for _, n := range someNetworks {
			networks = append(networks, ovsdb.VLANChoice{ID: n, VLAN: rapid.SampledFrom([]uint16{0, 0, 1, 4094}).Draw(t, "given"), Ours: []string{"fi" + n, "pi" + n}})
		}
		if networks[0].VLAN == networks[1].VLAN {
			networks[1].VLAN = 0
		}
		withFabric := rapid.Bool().Draw(t, "fabric")
		want := func(s ovsdb.State) (map[string]uint16, ovsdb.Desired) {
			got := ovsdb.Tags(s, "br-int", networks, nil, func(id string) string { return map[string]string{"x": "n1", "y": "n2"}[id] })
			d := ovsdb.Desired{IntegrationBridge: "br-int", Controller: "tcp:127.0.0.1:1", Bridges: []ovsdb.Bridge{{Router: "r1", Name: "rb", DatapathID: 1}}}
			if withFabric {
				d.Fabric = &ovsdb.Fabric{Name: "a", DatapathID: 2}
			}
			for i, n := range networks {
				if withFabric {
					d.Fabric.Networks = append(d.Fabric.Networks, ovsdb.FabricNetwork{ID: n.ID, Port: "fn" + n.ID, Peer: "fi" + n.ID, VLAN: got[n.ID]})
				} else if i == 0 {
					d.Bridges[0].Interfaces = []ovsdb.Interface{{ID: n.ID, MAC: "02:00:00:00:00:01", Patch: "pr" + n.ID, Peer: "pi" + n.ID, VLAN: got[n.ID]}}
				}
			}
			d.Tag = tags(map[string]uint16{"x": got["n1"], "y": got["n2"]})
			return got, d
		}
		first, d := want(s)
		if len(first) != 2 || first["n1"] == first["n2"] {
			t.Fatalf("tags %v of %+v", first, networks)
		}
		ops, _ := ovsdb.Plan(s, d)
		s, err := carryOut(s, ops)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := s.Bridge("br-int")
		has := func(n string) bool {
			return slices.ContainsFunc(b.Ports, func(p ovsdb.PortRow) bool {
				return p.Name == "fi"+n || p.Name == "pi"+n || p.ExternalIDs[ovsdb.KeyTag] == fmt.Sprint(first[n]) && p.Name != "br-int" && p.ExternalIDs[ovsdb.KeyOwner] == ""
			})
		}
		second, _ := want(s)
		for _, n := range []string{"n1", "n2"} {
			if has(n) && first[n] != second[n] {
				t.Fatalf("tags %v, then %v\nin %+v", first, second, s)
			}
		}
	})
}
