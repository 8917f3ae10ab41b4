package ovsdb_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// host returns the state of a host with an integration bridge and no rows of ours.
func host() ovsdb.State {
	return ovsdb.State{Root: "root", Bridges: []ovsdb.BridgeRow{bridgeRow("br-int")}}
}

func bridgeRow(name string, ports ...ovsdb.PortRow) ovsdb.BridgeRow {
	return ovsdb.BridgeRow{UUID: "b/" + name, Name: name, Ports: append([]ovsdb.PortRow{portRow(name)}, ports...)}
}

func portRow(name string) ovsdb.PortRow {
	return ovsdb.PortRow{UUID: "p/" + name, Name: name, Interfaces: []ovsdb.InterfaceRow{{UUID: "i/" + name, Name: name}}}
}

func settled(t *testing.T, d ovsdb.Desired) ovsdb.State {
	t.Helper()
	ops, problems := ovsdb.Plan(host(), d)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s, err := carryOut(host(), ops)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPlan plans the change from one desired state to another, with manual changes in between.
func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name     string
		byHand   func(s *ovsdb.State)
		change   func(d *ovsdb.Desired)
		ops      []string
		problems []string
	}{
		{name: "nothing"},
		{
			name:   "router removed",
			change: func(d *ovsdb.Desired) { d.Bridges = d.Bridges[1:] },
			ops:    []string{"remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1"},
		},
		{
			name:   "interface removed",
			change: func(d *ovsdb.Desired) { d.Bridges[0].Interfaces = d.Bridges[0].Interfaces[:1] },
			ops:    []string{"remove Port rq-green", "remove Port qr-green", "remove Port rp-green"},
		},
		{
			name:   "tap no longer desired",
			change: func(d *ovsdb.Desired) { d.Bridges[0].Interfaces[0].Tap = "" },
			ops:    []string{"remove Port qr-blue"},
		},
		{
			name: "MAC, VLAN and datapath ID",
			change: func(d *ovsdb.Desired) {
				b := &d.Bridges[0]
				b.DatapathID = 9
				b.Interfaces[0].VLAN = 9
				b.Interfaces[1].MAC = "02:00:00:00:00:99"
			},
			ops: []string{"update Port rq-blue (tag)", "update Interface rq-green (external_ids:attached-mac)",
				"update Bridge rb-1 (other_config:datapath-id)"},
		},
		{
			name:   "patch port renamed",
			change: func(d *ovsdb.Desired) { d.Bridges[0].Interfaces[0].Patch = "new" },
			ops: []string{"remove Port rp-blue", "update Interface rq-blue (options:peer)",
				"insert Port new", "insert Interface new"},
		},
		{
			name: "names exchanged",
			change: func(d *ovsdb.Desired) {
				i := d.Bridges[0].Interfaces
				i[0].Tap, i[1].Tap = i[1].Tap, i[0].Tap
			},
			ops: []string{"remove Port qr-blue", "remove Port qr-green",
				"insert Port qr-green", "insert Interface qr-green", "insert Port qr-blue", "insert Interface qr-blue"},
		},
		{
			name:   "bridge renamed",
			change: func(d *ovsdb.Desired) { d.Bridges[0].Interfaces = nil; d.Bridges[0].Name = "new" },
			ops: []string{"remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1",
				"insert Bridge new", "insert Controller tcp:127.0.0.1:6653", "insert Port new", "insert Interface new"},
		},
		{
			name:   "another controller target",
			change: func(d *ovsdb.Desired) { d.Controller = "tcp:127.0.0.1:1" },
			ops:    []string{"update Controller tcp:127.0.0.1:6653 (target)", "update Controller tcp:127.0.0.1:6653 (target)"},
		},
		{
			name: "second controller of ours",
			byHand: func(s *ovsdb.State) {
				b := &s.Bridges[1]
				b.Controllers = append([]ovsdb.ControllerRow{{UUID: "c", Target: "tcp:192.0.2.1:1", ExternalIDs: b.Controllers[0].ExternalIDs}}, b.Controllers...)
			},
			ops: []string{"remove Controller tcp:192.0.2.1:1"},
		},
		{
			name: "foreign controller instead of ours",
			byHand: func(s *ovsdb.State) {
				s.Bridges[1].Controllers = []ovsdb.ControllerRow{{UUID: "c", Target: "tcp:192.0.2.1:1"}}
			},
			ops: []string{"insert Controller tcp:127.0.0.1:6653"},
			problems: []string{"foreign-controller r1/: bridge rb-1: it has controller tcp:192.0.2.1:1, which does not belong to ofdvr and can change its flows; " +
				"remove it with `ovs-vsctl remove Bridge rb-1 controller c`"},
		},
		{
			name: "tap could not be created",
			byHand: func(s *ovsdb.State) {
				i := &s.Bridges[1].Ports[0].Interfaces[0]
				i.OFPort, i.Error = -1, "could not open network device qr-blue (No such device)"
			},
			problems: []string{"switch-error r1/blue: tap qr-blue on bridge rb-1: ovs-vswitchd could not create it: " +
				"could not open network device qr-blue (No such device); see the log of ovs-vswitchd"},
		},
		{
			name: "another link has the name of a tap",
			byHand: func(s *ovsdb.State) {
				i := &s.Bridges[1].Ports[0].Interfaces[0]
				i.OFPort, i.Error = -1, "could not add network device qr-blue to ofproto (File exists)"
			},
			problems: []string{"switch-error r1/blue: tap qr-blue on bridge rb-1: ovs-vswitchd could not create it: " +
				"could not add network device qr-blue to ofproto (File exists); a link with that name exists already: delete or rename it, or choose another name"},
		},
		{
			name: "patch port with a stale error",
			byHand: func(s *ovsdb.State) {
				for _, p := range s.Bridges[1].Ports {
					if i := &p.Interfaces[0]; i.Type == "patch" {
						i.OFPort, i.Error = 5, "No usable peer 'rq-blue' exists in 'netdev' datapath."
					}
				}
			},
		},
		{
			name:     "bridge to be removed with a foreign port",
			byHand:   func(s *ovsdb.State) { s.Bridges[1].Ports = append(s.Bridges[1].Ports, portRow("eth0")) },
			change:   func(d *ovsdb.Desired) { d.Bridges = d.Bridges[1:] },
			ops:      []string{"remove Port rq-blue", "remove Port rq-green", "remove Controller tcp:127.0.0.1:6653", "remove Port qr-blue", "remove Port qr-green", "remove Port rp-blue", "remove Port rp-green"},
			problems: []string{"foreign-ports r1/: bridge rb-1: it is not needed any more but cannot be removed, because it has ports that do not belong to ofdvr: eth0; remove them with `ovs-vsctl del-port`"},
		},
		{
			name:     "bridge to be renamed with a foreign port",
			byHand:   func(s *ovsdb.State) { s.Bridges[1].Ports = append(s.Bridges[1].Ports, portRow("eth0")) },
			change:   func(d *ovsdb.Desired) { d.Bridges[0].Name = "new" },
			problems: []string{"foreign-ports r1/: bridge rb-1: it cannot be replaced by bridge new, because it has ports that do not belong to ofdvr: eth0; remove them with `ovs-vsctl del-port`"},
		},
		{
			name: "name used by a held interface",
			byHand: func(s *ovsdb.State) {
				s.Bridges[0].Ports = append(s.Bridges[0].Ports, portRow("foreign"))
			},
			change: func(d *ovsdb.Desired) {
				i := d.Bridges[0].Interfaces
				i[1].Tap, i[0].Tap = "foreign", "qr-green"
			},
			problems: []string{
				"name-taken r1/green: tap foreign: the name is in use by port foreign on bridge br-int, which does not belong to ofdvr; remove it, or choose another name",
				`name-taken r1/blue: tap qr-green: the name is in use by port qr-green on bridge rb-1 of router "r1", which could not be changed; solve the problem of that router first`,
			},
		},
		{
			name: "name of the integration bridge",
			change: func(d *ovsdb.Desired) {
				d.Bridges[0].Interfaces[0].Tap = "br-int"
				d.Bridges = append(d.Bridges, ovsdb.Bridge{Router: "r3", Name: "br-int", DatapathID: 1})
			},
			problems: []string{
				"name-taken r3/: bridge br-int: the name is in use by bridge br-int, which does not belong to ofdvr; remove it, or choose another name",
				"name-taken r1/blue: tap br-int: the name is in use by bridge br-int, which does not belong to ofdvr; remove it, or choose another name",
			},
		},
		{
			name:     "no integration bridge",
			change:   func(d *ovsdb.Desired) { d.IntegrationBridge = "br-other"; d.Bridges = d.Bridges[1:] },
			ops:      []string{"remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1"},
			problems: []string{"no-integration-bridge /: integration bridge br-other: it does not exist; create it with `ovs-vsctl add-br br-other`, or configure another one (--integration-bridge)"},
		},
		{
			name: "no integration bridge, and our bridges are on the userspace datapath",
			byHand: func(s *ovsdb.State) {
				for i := range s.Bridges {
					s.Bridges[i].DatapathType = "netdev"
				}
			},
			change:   func(d *ovsdb.Desired) { d.IntegrationBridge = "br-other"; d.Bridges = d.Bridges[1:] },
			ops:      []string{"remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1"},
			problems: []string{"no-integration-bridge /: integration bridge br-other: it does not exist; create it with `ovs-vsctl add-br br-other -- set bridge br-other datapath_type=netdev`, or configure another one (--integration-bridge)"},
		},
		{
			name:   "another integration bridge",
			byHand: func(s *ovsdb.State) { s.Bridges = append(s.Bridges, bridgeRow("br-new")) },
			change: func(d *ovsdb.Desired) { d.IntegrationBridge = "br-new"; d.Bridges = d.Bridges[:1] },
			ops: []string{"remove Port rq-3", "remove Port rq-4", "remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-2",
				"insert Port rq-blue", "insert Interface rq-blue", "insert Port rq-green", "insert Interface rq-green"},
		},
		{
			name: "bond in place of a tap",
			byHand: func(s *ovsdb.State) {
				p := &s.Bridges[1].Ports[0]
				p.Interfaces = append(p.Interfaces, portRow("eth0").Interfaces...)
			},
			ops: []string{"remove Port qr-blue", "insert Port qr-blue", "insert Interface qr-blue"},
		},
		{
			name: "second copy of the port's identity",
			byHand: func(s *ovsdb.State) {
				ids := s.Bridges[1].Ports[0].Interfaces[0].ExternalIDs
				ids[ovsdb.KeyIfaceID], ids[ovsdb.KeyAttachedMAC] = "blue", "02:00:00:00:01:01"
			},
			ops: []string{"update Interface qr-blue (external_ids:attached-mac, external_ids:iface-id)"},
		},
		{
			name: "foreign key",
			byHand: func(s *ovsdb.State) {
				p, _ := s.Bridges[0].Port("rq-blue")
				p.Interfaces[0].ExternalIDs["ovn-installed"] = "true"
			},
		},
		{
			name: "bridge with the name of a port of ours",
			change: func(d *ovsdb.Desired) {
				d.Bridges[1].Name, d.Bridges[0].Interfaces = "qr-blue", d.Bridges[0].Interfaces[1:]
			},
			ops: []string{"remove Port rq-blue", "remove Port qr-blue", "remove Port rp-blue", "remove Bridge rb-2",
				"insert Bridge qr-blue", "insert Controller tcp:127.0.0.1:6653", "insert Port qr-blue", "insert Interface qr-blue",
				"insert Port rp-3", "insert Interface rp-3", "insert Port rp-4", "insert Interface rp-4"},
		},
		{
			name:   "port with the name of a bridge of ours",
			byHand: func(s *ovsdb.State) { s.Bridges[2].Ports = append(s.Bridges[2].Ports, portRow("eth0")) },
			change: func(d *ovsdb.Desired) { d.Bridges = d.Bridges[:1]; d.Bridges[0].Interfaces[0].Tap = "rb-2" },
			ops:    []string{"remove Port rq-3", "remove Port rq-4", "remove Controller tcp:127.0.0.1:6653", "remove Port rp-3", "remove Port rp-4"},
			problems: []string{
				`name-taken r1/blue: tap rb-2: the name is in use by bridge rb-2 of router "5d0f7d1e-6a43-4b5e-9d5e-3f3f6d1f9b11", which could not be changed; solve the problem of that router first`,
				"foreign-ports 5d0f7d1e-6a43-4b5e-9d5e-3f3f6d1f9b11/: bridge rb-2: it is not needed any more but cannot be removed, because it has ports that do not belong to ofdvr: eth0; remove them with `ovs-vsctl del-port`",
			},
		},
		{
			name:   "links of other programs",
			byHand: func(s *ovsdb.State) { s.Bridges = slices.Delete(s.Bridges, 2, 3) },
			change: func(d *ovsdb.Desired) {
				d.Bridges[0].Interfaces[0].Tap = "vpn0"
				d.Link = func(name string) string {
					if slices.Contains([]string{"rb-2", "vpn0", "rq-3", "rb-1", "qr-green", "qr-blue"}, name) { // rb-1, qr-green and qr-blue are names of existing rows
						return "link " + name + " of another program (kind tuntap)"
					}
					return ""
				}
			},
			problems: []string{
				"name-taken 5d0f7d1e-6a43-4b5e-9d5e-3f3f6d1f9b11/: bridge rb-2: the name is in use by link rb-2 of another program (kind tuntap), which does not belong to ofdvr; remove it, or choose another name",
				"name-taken r1/blue: tap vpn0: the name is in use by link vpn0 of another program (kind tuntap), which does not belong to ofdvr; remove it, or choose another name",
			},
		},
		{
			name: "patch ports are not links",
			change: func(d *ovsdb.Desired) {
				d.Bridges[0].Interfaces[0].Patch = "vpn0"
				d.Link = func(name string) string { return name }
			},
			ops: []string{"remove Port rp-blue", "update Interface rq-blue (options:peer)", "insert Port vpn0", "insert Interface vpn0"},
		},
		{
			name:   "everything removed",
			change: func(d *ovsdb.Desired) { *d = ovsdb.Desired{} },
			ops:    []string{"remove Port rq-3", "remove Port rq-4", "remove Port rq-blue", "remove Port rq-green", "remove Bridge rb-1", "remove Bridge rb-2"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := desired()
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
				gotProblems = append(gotProblems, fmt.Sprintf("%s %s/%s: %v", p.Kind, p.Router, p.Interface, p))
			}
			if !slices.Equal(gotOps, tt.ops) {
				t.Errorf("operations\n%s\nwant\n%s", strings.Join(gotOps, "\n"), strings.Join(tt.ops, "\n"))
			}
			if !slices.Equal(gotProblems, tt.problems) {
				t.Errorf("problems\n%s\nwant\n%s", strings.Join(gotProblems, "\n"), strings.Join(tt.problems, "\n"))
			}
		})
	}
}

// The tests draw from small sets, so that collisions are frequent.
var (
	someNames    = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
	someRouters  = []string{"r1", "r2", "r3"}
	someIfaces   = []string{"i1", "i2", "i3", "i4"}
	someNetworks = []string{"n1", "n2"}
	someMachines = []string{"x", "y"}
)

// drawDesired draws a desired state of a valid model, in which IDs and names are unique.
func drawDesired(t *rapid.T) ovsdb.Desired {
	d := ovsdb.Desired{IntegrationBridge: rapid.SampledFrom([]string{"br-int", "br-int", "br-int", "a"}).Draw(t, "integration"),
		Controller: rapid.SampledFrom([]string{"tcp:127.0.0.1:1", "tcp:127.0.0.1:2"}).Draw(t, "controller")}
	names, ids := rapid.Permutation(someNames).Draw(t, "names"), rapid.Permutation(someIfaces).Draw(t, "interfaces")
	next := func(of *[]string) string {
		s := (*of)[0]
		*of = (*of)[1:]
		return s
	}
	for _, router := range rapid.Permutation(someRouters).Draw(t, "routers")[:rapid.IntRange(0, 3).Draw(t, "bridges")] {
		if len(names) == 0 {
			break
		}
		b := ovsdb.Bridge{Router: router, Name: next(&names), DatapathID: rapid.Uint64Range(1, 9).Draw(t, "dpid")}
		for range rapid.IntRange(0, 3).Draw(t, "interfaces") {
			if len(names) < 3 || len(ids) == 0 {
				break
			}
			i := ovsdb.Interface{ID: next(&ids), MAC: rapid.SampledFrom([]string{"02:00:00:00:00:01", "02:00:00:00:00:02"}).Draw(t, "mac"),
				Patch: next(&names), Peer: next(&names), VLAN: rapid.SampledFrom([]uint16{0, 1, 4094}).Draw(t, "vlan")}
			if rapid.Bool().Draw(t, "tap?") {
				i.Tap = next(&names)
			}
			b.Interfaces = append(b.Interfaces, i)
		}
		d.Bridges = append(d.Bridges, b)
	}
	if len(names) > 0 && rapid.Bool().Draw(t, "fabric?") {
		d.Fabric = &ovsdb.Fabric{Name: next(&names), DatapathID: rapid.Uint64Range(1, 9).Draw(t, "fabric's dpid")}
		drawFabric(t, &d, names)
	}
	d.Tag = drawTags(t)
	given := map[string]uint16{}
	for _, m := range someMachines {
		given[m] = rapid.SampledFrom([]uint16{0, 1}).Draw(t, "given tag of "+m)
	}
	d.GivenTag = func(id string) uint16 { return given[id] }
	d.Partial = rapid.IntRange(0, 3).Draw(t, "partial?") == 0
	return d
}

// drawFabric draws the ports of d.Fabric.
func drawFabric(t *rapid.T, d *ovsdb.Desired, names []string) {
	f := d.Fabric
	if len(names) > 0 && rapid.Bool().Draw(t, "tunnel?") {
		f.Tunnels = []ovsdb.Tunnel{{Name: names[0], Type: rapid.SampledFrom([]string{"geneve", "vxlan"}).Draw(t, "type"), LocalIP: "192.0.2.1"}}
		names = names[1:]
	}
	for _, n := range someNetworks[:rapid.IntRange(0, 2).Draw(t, "networks")] {
		if len(names) >= 2 {
			f.Networks = append(f.Networks, ovsdb.FabricNetwork{ID: n, Port: names[0], Peer: names[1], VLAN: rapid.SampledFrom([]uint16{1, 4094}).Draw(t, "network's vlan")})
			names = names[2:]
		}
	}
	for _, r := range someRouters[:rapid.IntRange(0, 2).Draw(t, "fabric's routers")] {
		if len(names) >= 2 {
			f.Routers = append(f.Routers, ovsdb.FabricRouter{ID: r, Port: names[0], Peer: names[1]})
			names = names[2:]
		}
	}
}

// drawTags draws the tags of machines; nil for none.
func drawTags(t *rapid.T) func(string) (ovsdb.Tag, bool) {
	tags := map[string]ovsdb.Tag{}
	for _, m := range someMachines {
		if vlan := rapid.SampledFrom([]uint16{0, 1, 4094}).Draw(t, "tag of "+m); vlan > 0 {
			tags[m] = ovsdb.Tag{Network: "n1", VLAN: vlan}
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "tags?") == 0 {
		return nil
	}
	return func(id string) (ovsdb.Tag, bool) { t, ok := tags[id]; return t, ok }
}

// drawIDs returns external_ids, ours or foreign ones.
func drawIDs(t *rapid.T) map[string]string {
	ids := map[string]string{}
	if rapid.Bool().Draw(t, "ours") {
		ids[ovsdb.KeyOwner] = ovsdb.Owner
	}
	if rapid.IntRange(0, 9).Draw(t, "router?") > 0 { // without the owner's mark, other marks are ignored
		ids[ovsdb.KeyRouter] = rapid.SampledFrom(someRouters).Draw(t, "of router")
	}
	if rapid.Bool().Draw(t, "interface?") {
		ids[ovsdb.KeyInterface] = rapid.SampledFrom(someIfaces).Draw(t, "of interface")
	}
	if rapid.Bool().Draw(t, "iface-id?") {
		ids[ovsdb.KeyIfaceID] = rapid.SampledFrom(someMachines).Draw(t, "iface-id")
	}
	if rapid.IntRange(0, 2).Draw(t, "fabric?") == 0 {
		ids[ovsdb.KeyFabric] = "true"
		switch rapid.IntRange(0, 3).Draw(t, "of") {
		case 0:
			ids[ovsdb.KeyNetwork] = rapid.SampledFrom(someNetworks).Draw(t, "of network")
		case 1:
			ids[ovsdb.KeyTunnel] = "geneve"
		case 2:
			delete(ids, ovsdb.KeyRouter)
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "tagged?") == 0 {
		ids[ovsdb.KeyTag] = rapid.SampledFrom([]string{"1", "4095"}).Draw(t, "ofdvr-tag")
	}
	return ids
}

// drawState draws an arbitrary state in which names are unique.
func drawState(t *rapid.T) ovsdb.State {
	s := ovsdb.State{Root: "root"}
	bridges, ports, ifaces := map[string]bool{}, map[string]bool{}, map[string]bool{}
	port := func(name string) (ovsdb.PortRow, bool) {
		p := portRow(name)
		if rapid.Bool().Draw(t, "bond") {
			n := rapid.SampledFrom(someNames).Draw(t, "member")
			if n == name {
				return p, false
			}
			p.Interfaces = append(p.Interfaces, ovsdb.InterfaceRow{UUID: "m/" + n, Name: n})
		}
		for _, i := range p.Interfaces {
			if ifaces[i.Name] || ports[name] {
				return p, false
			}
		}
		ports[name] = true
		for k := range p.Interfaces {
			i := &p.Interfaces[k]
			ifaces[i.Name] = true
			i.Type = rapid.SampledFrom([]string{"", "patch", "internal"}).Draw(t, "type")
			i.ExternalIDs = drawIDs(t)
		}
		p.ExternalIDs = drawIDs(t)
		if rapid.Bool().Draw(t, "tag?") {
			tag := rapid.SampledFrom([]int{1, 4095}).Draw(t, "tag")
			p.Tag, p.VLANMode, p.Trunks = &tag, rapid.SampledFrom([]string{"", "access", "trunk"}).Draw(t, "mode"), []int{1}
		}
		return p, true
	}
	for _, name := range append([]string{"br-int"}, someNames[:4]...) {
		if bridges[name] || rapid.IntRange(0, 2).Draw(t, "bridge "+name) == 0 {
			continue
		}
		local, ok := port(name)
		if !ok {
			continue
		}
		bridges[name] = true
		b := ovsdb.BridgeRow{UUID: "b/" + name, Name: name, Ports: []ovsdb.PortRow{local}, FailMode: rapid.SampledFrom([]string{"", "secure"}).Draw(t, "fail mode"),
			DatapathType: rapid.SampledFrom([]string{"", "system", "netdev"}).Draw(t, "datapath")}
		if name != "br-int" {
			b.ExternalIDs = drawIDs(t)
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "controllers") {
			b.Controllers = append(b.Controllers, ovsdb.ControllerRow{UUID: fmt.Sprintf("c/%s%d", name, i), Target: "tcp:127.0.0.1:1", ExternalIDs: drawIDs(t)})
		}
		for range rapid.IntRange(0, 3).Draw(t, "ports") {
			if p, ok := port(rapid.SampledFrom(someNames).Draw(t, "port")); ok {
				b.Ports = append(b.Ports, p)
			}
		}
		s.Bridges = append(s.Bridges, b)
	}
	return s
}

// foreign returns the rows of s that we do not own, by UUID, without references to our rows.
func foreign(s ovsdb.State) map[string]any {
	ours := func(ids map[string]string) bool { return ids[ovsdb.KeyOwner] == ovsdb.Owner }
	rows := map[string]any{}
	for _, b := range copyState(s).Bridges {
		for _, p := range b.Ports {
			if !ours(p.ExternalIDs) && (p.Name != b.Name || !ours(b.ExternalIDs)) {
				rows[p.UUID] = p
			}
		}
		for _, c := range b.Controllers {
			if !ours(c.ExternalIDs) && !ours(b.ExternalIDs) {
				rows[c.UUID] = c
			}
		}
		b.Ports, b.Controllers = nil, nil
		if !ours(b.ExternalIDs) {
			rows[b.UUID] = b
		}
	}
	return rows
}

// TestPlanProperties checks plans for random states and desired states. The plan can be
// carried out and leaves nothing to do. It is deterministic. Foreign rows stay unchanged.
// Every desired object exists unless it has a problem.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		for round := range 2 { // first plan from a random state, then from a planned state
			d := drawDesired(t)
			before := copyState(s)
			ops, problems := ovsdb.Plan(s, d)
			if !reflect.DeepEqual(s, before) {
				t.Fatalf("Plan changed its argument")
			}
			if again, p := ovsdb.Plan(s, d); !reflect.DeepEqual(ops, again) || !slices.Equal(problems, p) {
				t.Fatalf("Plan is not deterministic")
			}
			after, err := carryOut(s, ops)
			if err != nil {
				t.Fatalf("round %d: %v\nplan %v", round, err, ops)
			}
			if left, p := ovsdb.Plan(after, d); len(left) > 0 {
				t.Fatalf("round %d: remaining plan after %v: %v\nproblems %v, then %v\nstate %+v", round, ops, left, problems, p, after)
			}
			if was, is := foreign(tagged(s, d)), foreign(after); !reflect.DeepEqual(was, is) {
				t.Fatalf("round %d: foreign rows %v became %v\nby %v", round, was, is, ops)
			}
			checkPresent(t, after, d, problems)
			checkFabric(t, after, d, problems)
			if d.Partial {
				checkKept(t, ops, d)
			}
			s = after
		}
		ops, _ := ovsdb.Plan(s, ovsdb.Desired{})
		after, err := carryOut(s, ops)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range after.Bridges {
			for _, p := range b.Ports {
				if p.Name != b.Name && (p.ExternalIDs[ovsdb.KeyOwner] == ovsdb.Owner || p.ExternalIDs[ovsdb.KeyTag] != "") {
					t.Fatalf("cleanup left %+v", p)
				}
			}
		}
	})
}

func checkPresent(t *rapid.T, s ovsdb.State, d ovsdb.Desired, problems []ovsdb.Problem) {
	has := func(router, iface string) bool {
		return slices.ContainsFunc(problems, func(p ovsdb.Problem) bool {
			return prevents(p) && !p.Fabric && (p.Router == "" || p.Router == router && (p.Interface == "" || p.Interface == iface))
		})
	}
	for _, w := range d.Bridges {
		b, ok := s.Bridge(w.Name)
		if has(w.Router, "") {
			continue
		}
		if !ok || b.Router() != w.Router || b.FailMode != "secure" || len(b.Controllers) == 0 {
			t.Fatalf("bridge %s of %s: %+v", w.Name, w.Router, b)
		}
		in, _ := s.Bridge(d.IntegrationBridge)
		for _, i := range w.Interfaces {
			if has(w.Router, i.ID) {
				continue
			}
			patch, _ := b.Interface(i.Patch)
			peer, _ := in.Interface(i.Peer)
			tap, ok := b.Interface(i.Tap)
			if patch.Options["peer"] != i.Peer || peer.Options["peer"] != i.Patch || ok != (i.Tap != "") {
				t.Fatalf("interface %+v: patch %+v, peer %+v, tap %+v", i, patch, peer, tap)
			}
			if peer.ExternalIDs[ovsdb.KeyIfaceID] != i.ID || peer.ExternalIDs[ovsdb.KeyAttachedMAC] != i.MAC ||
				patch.ExternalIDs[ovsdb.KeyIfaceID]+tap.ExternalIDs[ovsdb.KeyIfaceID] != "" {
				t.Fatalf("identity of %+v: patch %+v, peer %+v, tap %+v", i, patch, peer, tap)
			}
			if p, _ := in.Port(i.Peer); i.VLAN != 0 && (p.Tag == nil || *p.Tag != int(i.VLAN)) || i.VLAN == 0 && p.Tag == nil && p.VLANMode == "trunk" {
				t.Fatalf("tag of %+v: %+v", i, p)
			}
		}
	}
}
