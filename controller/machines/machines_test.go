package machines_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

func mac(n byte) ofproto.MAC { return ofproto.MAC{2, 0, 0, 0, 1, n} }

// index has ports p1, p2 … on network blue in VLAN 1. The MAC address of p1 ends in 1, and so on.
// Port g1 is on green in VLAN 2, with the MAC address of p1.
func index(blueVLAN uint16, managed bool) *routing.Index {
	m := &routing.Model{
		Networks: []routing.Network{{ID: "blue", VLAN: blueVLAN, MTU: 1500}, {ID: "green", VLAN: 2, MTU: 1500}},
		Routers: []routing.Router{{ID: "r", Bridge: routing.Bridge{Managed: managed}, Interfaces: []routing.Interface{
			{ID: "f", Network: "blue", MAC: mac(0xfe), PatchPort: "pr-f"}, {ID: "g", Network: "green", MAC: mac(0xfd)}}}},
		Ports: []routing.Port{{ID: "g1", Network: "green", MAC: mac(1)}},
	}
	for n := range byte(3) {
		m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("p", n+1), Network: "blue", MAC: mac(n + 1)})
	}
	return routing.NewIndex(m)
}

type row struct {
	name    string
	tag     int // -1 if none
	mode    string
	trunks  []int
	ids     map[string]string
	typ     string
	ofport  int
	link    ovsdb.Link
	problem string
}

func bridge(rows ...row) (*ovsdb.BridgeRow, map[string]ovsdb.Link) {
	b, links := &ovsdb.BridgeRow{Name: "br-int"}, make(map[string]ovsdb.Link)
	for i, r := range rows {
		p := ovsdb.PortRow{Name: r.name, VLANMode: r.mode, Trunks: r.trunks}
		if r.tag >= 0 {
			p.Tag = &r.tag
		}
		if r.typ == "ours" {
			r.typ, p.ExternalIDs = "patch", map[string]string{ovsdb.KeyOwner: ovsdb.Owner}
		}
		if r.typ == "fabric" {
			r.typ, p.ExternalIDs = "patch", map[string]string{ovsdb.KeyOwner: ovsdb.Owner, ovsdb.KeyFabric: "true", ovsdb.KeyNetwork: "blue"}
		}
		if r.ofport == 0 {
			r.ofport = i + 1
		}
		p.Interfaces = []ovsdb.InterfaceRow{{UUID: r.name, Name: r.name, Type: r.typ, ExternalIDs: r.ids, OFPort: r.ofport, Error: r.problem}}
		b.Ports = append(b.Ports, p)
		links[r.name] = r.link
	}
	return b, links
}

func id(port string) map[string]string { return map[string]string{ovsdb.KeyIfaceID: port} }

func attached(m ofproto.MAC) map[string]string {
	return map[string]string{ovsdb.KeyAttachedMAC: m.String()}
}

func at(port ofproto.PortNo, vlan uint16, m ofproto.MAC) ovstrace.MACEntry {
	return ovstrace.MACEntry{Port: port, VLAN: vlan, MAC: m, Age: 7 * time.Second}
}

// Each kind of evidence about port p1 leads to the expected decision and text.
func TestLook(t *testing.T) {
	up, noLink := ovsdb.Link{Admin: "up", Link: "up"}, ovsdb.Link{Admin: "up", Link: "down"}
	for name, c := range map[string]struct {
		rows      []row
		elsewhere []row // ports of bridge br-out
		table     []ovstrace.MACEntry
		tableErr  error
		port      string // "" means p1
		vlan      uint16 // VLAN of blue; 0 means that of the patch port
		vni       uint32 // of blue
		external  bool
		want      string // state, port, VLAN
		says      string
		remedy    string
	}{
		"nothing":                     {want: "not_seen  0", says: "a silent machine cannot be distinguished from one that does not exist", vlan: 1},
		"learned":                     {rows: []row{{name: "t", tag: 1}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "seen t 1", says: "packets from the machine came 7s ago by port t of bridge br-int in VLAN 1"},
		"learned in both VLANs":       {rows: []row{{name: "u", tag: -1}}, table: []ovstrace.MACEntry{at(1, 2, mac(1)), at(1, 1, mac(1))}, vlan: 1, want: "seen u 1 remote tagged"},
		"only the other port is seen": {rows: []row{{name: "u", tag: 2}}, table: []ovstrace.MACEntry{at(1, 2, mac(1))}, vlan: 1, want: "not_seen  0"},
		"learned in a VLAN of none":   {rows: []row{{name: "u", tag: 9}}, table: []ovstrace.MACEntry{at(1, 9, mac(1))}, vlan: 1, want: "elsewhere u 9", says: "in VLAN 9, and network blue is VLAN 1"},
		"tunnel":                      {rows: []row{{name: "patch-tun", tag: -1, typ: "patch"}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "seen patch-tun 1 remote tagged", says: ", which connects other hosts"},
		"on our own patch port":       {rows: []row{{name: "pi-f", tag: 1, typ: "ours", ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "not_seen  0"},
		"on the bridge itself":        {table: []ovstrace.MACEntry{at(ofproto.PortLocal, 1, mac(1))}, rows: []row{{name: "br-int", tag: 1, ofport: 65534}}, vlan: 1, want: "seen br-int 1"},
		"of a port not yet known":     {table: []ovstrace.MACEntry{at(9, 1, mac(1))}, vlan: 1, want: "seen 9 1"},
		"gone from a dead link":       {rows: []row{{name: "t", tag: 1, link: noLink}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "not_seen t 1", says: "its device has no link"},
		"in another namespace":        {rows: []row{{name: "t", tag: 1, ids: id("p1"), link: ovsdb.Link{Link: "down"}}}, vlan: 1, want: "seen t 1"},
		"iface-id":                    {rows: []row{{name: "t", tag: 1, ids: id("p1"), link: up}}, vlan: 1, want: "seen t 1", says: "port t of bridge br-int has its iface-id and is in VLAN 1; the MAC table does not have its address"},
		"iface-id, wrong VLAN":        {rows: []row{{name: "t", tag: 3, ids: id("p1"), link: up}}, vlan: 1, want: "elsewhere t 3", says: "is in VLAN 3, and network blue is VLAN 1"},
		"iface-id, dead VLAN":         {rows: []row{{name: "t", tag: 4095, ids: id("p1"), link: up}}, vlan: 1, want: "elsewhere t 4095", says: "the dead VLAN 4095"},
		"iface-id, no tag":            {rows: []row{{name: "t", tag: -1, ids: id("p1"), link: up}}, vlan: 1, want: "elsewhere t 0", says: "no VLAN (neither its packets nor the port have a tag)", remedy: "(ovs-vsctl set Port t tag=1)"},
		"iface-id, trunk":             {rows: []row{{name: "t", tag: -1, trunks: []int{1, 7}, ids: id("p1")}}, vlan: 1, want: "seen t 1 tagged", says: "is a trunk port of VLAN 1; whether the machine tags its packets is not known"},
		"trunk, tagged":               {rows: []row{{name: "t", tag: -1, trunks: []int{1, 7}, ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "seen t 1 tagged", says: "in VLAN 1, with a tag"},
		"trunk, not tagged":           {rows: []row{{name: "t", tag: -1, trunks: []int{0, 1}, ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 0, mac(1))}, vlan: 1, want: "elsewhere t 0", says: "neither its packets nor the port have a tag", remedy: "send its packets with VLAN tag 1, make its port an access port (ovs-vsctl set Port t vlan_mode=access tag=1)"},
		"trunk, another tag":          {rows: []row{{name: "t", tag: -1, mode: "trunk", ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 9, mac(1))}, vlan: 1, want: "elsewhere t 9 tagged", says: "VLAN 9, with a tag"},
		"behind a trunk":              {rows: []row{{name: "t", tag: -1, mode: "trunk"}}, table: []ovstrace.MACEntry{at(1, 9, mac(1))}, vlan: 1, want: "elsewhere t 9 tagged", remedy: "port t may connect many machines: "},
		"behind a patch port":         {rows: []row{{name: "t", tag: -1, typ: "patch"}}, table: []ovstrace.MACEntry{at(1, 9, mac(1))}, vlan: 1, want: "elsewhere t 9 tagged", remedy: "port t may connect many machines: "},
		"tagged at a native port":     {rows: []row{{name: "t", tag: 7, mode: "native-untagged", ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "seen t 1 tagged"},
		"iface-id, another trunk":     {rows: []row{{name: "t", tag: -1, trunks: []int{7}, ids: id("p1")}}, vlan: 1, want: "elsewhere t 0"},
		"another's address":           {rows: []row{{name: "t", tag: 2, ids: id("g1")}}, table: []ovstrace.MACEntry{at(1, 2, mac(2))}, port: "p2", vlan: 1, want: "elsewhere t 2", says: "the iface-id of t is that of port g1", remedy: "give the machine of port g1 its own MAC address, or correct the MAC address of port p2 in the intent"},
		"at another's port":           {rows: []row{{name: "t", tag: 1, ids: id("p2")}}, table: []ovstrace.MACEntry{at(1, 1, mac(1))}, vlan: 1, want: "seen t 1", says: "whose iface-id is that of port p2"},
		"iface-id, another bridge":    {elsewhere: []row{{name: "t", tag: 1, ids: id("p1")}}, vlan: 1, want: "not_seen  0", says: "port t of bridge br-out has its iface-id, and there is no trace of the machine on bridge br-int", remedy: "plug it into bridge br-int instead"},
		"MAC, another bridge":         {elsewhere: []row{{name: "t", tag: 1, ids: attached(mac(1))}}, vlan: 1, want: "not_seen  0", says: "port t of bridge br-out has its MAC address"},
		"both bridges":                {rows: []row{{name: "t", tag: 1, ids: id("p1")}}, elsewhere: []row{{name: "u", tag: 1, ids: id("p1")}}, vlan: 1, want: "seen t 1"},
		"iface-id, native":            {rows: []row{{name: "t", tag: 1, mode: "native-untagged", ids: id("p1")}}, vlan: 1, want: "seen t 1"},
		"iface-id, no link":           {rows: []row{{name: "t", tag: 1, ids: id("p1"), link: noLink}}, vlan: 1, want: "not_seen t 1", says: "its device has no link"},
		"iface-id, down":              {rows: []row{{name: "t", tag: 1, ids: id("p1"), link: ovsdb.Link{Admin: "down", Link: "down"}}}, vlan: 1, want: "not_seen t 1", says: "its device is down"},
		"iface-id, no device":         {rows: []row{{name: "t", tag: 1, ids: id("p1"), ofport: -1, problem: "No such device"}}, vlan: 1, want: "not_seen t 1", says: "could not create it: No such device"},
		"iface-id, other attached":    {rows: []row{{name: "t", tag: 1, ids: map[string]string{ovsdb.KeyIfaceID: "p1", ovsdb.KeyAttachedMAC: mac(9).String()}}}, vlan: 1, want: "elsewhere t 1", says: "has MAC address 02:00:00:00:01:09, not 02:00:00:00:01:01"},
		"iface-id, other sends":       {rows: []row{{name: "t", tag: 1, ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 1, mac(9))}, vlan: 1, want: "elsewhere t 1", says: "has MAC address 02:00:00:00:01:09"},
		"iface-id, several send":      {rows: []row{{name: "t", tag: 1, ids: id("p1")}}, table: []ovstrace.MACEntry{at(1, 1, mac(9)), at(1, 1, mac(8))}, vlan: 1, want: "seen t 1"},
		"twice, once well":            {rows: []row{{name: "old", tag: 4095, ids: id("p1")}, {name: "new", tag: 1, ids: id("p1")}}, vlan: 1, want: "seen new 1"},
		"attached-mac":                {rows: []row{{name: "t", tag: 1, ids: attached(mac(1)), link: up}}, vlan: 1, want: "seen t 1", says: "has its MAC address"},
		"attached-mac, wrong VLAN":    {rows: []row{{name: "t", tag: 3, ids: attached(mac(1))}}, vlan: 1, want: "elsewhere t 3"},
		"device's MAC":                {rows: []row{{name: "t", tag: 1, typ: "internal", link: ovsdb.Link{MAC: mac(1).String()}}}, vlan: 1, want: "seen t 1"},
		"the other port's interface":  {rows: []row{{name: "t", tag: 2, ids: map[string]string{ovsdb.KeyIfaceID: "g1", ovsdb.KeyAttachedMAC: mac(1).String()}}}, vlan: 1, want: "not_seen  0"},
		"VLAN of the patch port":      {rows: []row{{name: "pi-f", tag: 5, typ: "ours"}, {name: "t", tag: 5, ids: id("p1")}}, want: "seen t 5"},
		"not that":                    {rows: []row{{name: "pi-f", tag: 5, typ: "ours"}, {name: "t", tag: 6, ids: id("p1")}}, want: "elsewhere t 6", says: "network blue is VLAN 5"},
		"no VLAN is known":            {rows: []row{{name: "pi-f", tag: 4095, mode: "trunk", typ: "ours"}, {name: "t", tag: 6}}, table: []ovstrace.MACEntry{at(2, 6, mac(1))}, want: "seen t 6"},
		"no VLAN is known, dead":      {rows: []row{{name: "t", tag: 4095, ids: id("p1")}}, want: "elsewhere t 4095"},
		"no MAC table":                {tableErr: errors.New("frozen"), vlan: 1, want: "unknown  0", says: "the MAC table cannot be read: frozen"},
		"no MAC table, iface-id":      {rows: []row{{name: "t", tag: 1, ids: id("p1")}}, tableErr: errors.New("frozen"), vlan: 1, want: "seen t 1"},
		"carried":                     {rows: []row{{name: "fi-blue", tag: 7, typ: "fabric"}, {name: "t", tag: 7, ids: id("p1")}}, vni: 10, want: "seen t 7"},
		"carried, tag given":          {rows: []row{{name: "fi-blue", tag: 7, typ: "fabric"}, {name: "t", tag: 1, ids: id("p1")}}, vni: 10, vlan: 1, want: "seen t 1"},
		"carried, another tag":        {rows: []row{{name: "fi-blue", tag: 7, typ: "fabric"}, {name: "t", tag: 6, ids: id("p1")}}, vni: 10, want: "elsewhere t 6", says: "network blue is VLAN 7", remedy: "ofdvr sets the tag: if this stays, see ofdvr status"},
		"carried, no iface-id":        {rows: []row{{name: "fi-blue", tag: 7, typ: "fabric"}, {name: "t", tag: -1, ids: attached(mac(1))}}, vni: 10, want: "elsewhere t 0", remedy: "(ovs-vsctl set Interface t external_ids:iface-id=p1)"},
		"on another host":             {rows: []row{{name: "fi-blue", tag: 7, typ: "fabric"}}, table: []ovstrace.MACEntry{at(1, 7, mac(1))}, vni: 10, want: "seen fi-blue 7 remote", says: ", which connects other hosts"},
		"carried, own bridge":         {rows: []row{{name: "t", tag: 1, ids: id("p1")}}, external: true, vlan: 1, vni: 10, want: "seen t 1"},
		"a bridge of your own":        {external: true, vlan: 1, want: "unknown  0", says: "all routers on network blue have external bridges"},
	} {
		b, links := bridge(c.rows...)
		out, _ := bridge(c.elsewhere...)
		out.Name = "br-out"
		x := index(c.vlan, !c.external)
		blue, _ := x.Network("blue")
		blue.VNI = c.vni
		x = x.With(routing.Change{Put: routing.Model{Networks: []routing.Network{blue}}})
		p, _ := x.Port(cmp.Or(c.port, "p1"))
		s := machines.NewView(x, machines.NewEvidence(b, []ovsdb.BridgeRow{*b, *out}, links, c.table, c.tableErr)).Look(&p)
		got := fmt.Sprintf("%s %s %d", s.State, s.Port, s.VLAN)
		if s.Remote {
			got += " remote"
		}
		if s.Tagged {
			got += " tagged"
		}
		if got != c.want || !strings.Contains(s.Says, c.says) || s.Says == "" {
			t.Errorf("%s: %s: %q; want %s: %q", name, got, s.Says, c.want, c.says)
		}
		if s.State == machines.Elsewhere && s.Remedy == "" || !strings.Contains(s.Remedy, c.remedy) {
			t.Errorf("%s: remedy %q, want %q", name, s.Remedy, c.remedy)
		}
	}
}

// Count counts the ports that are up, and calls its argument for each port that is not seen.
func TestCount(t *testing.T) {
	m := index(1, true).Model()
	m.Ports[3].Down = true
	x := routing.NewIndex(m)
	b, links := bridge(row{name: "t", tag: 1}, row{name: "u", tag: 3})
	var told []string
	n := machines.NewView(x, machines.NewEvidence(b, nil, links, []ovstrace.MACEntry{at(1, 1, mac(1)), at(2, 3, mac(2))}, nil)).Count(func(p *routing.Port, s machines.Sighting) {
		told = append(told, fmt.Sprint(p.ID, " ", s.State))
	})
	if got := fmt.Sprint(n[machines.Seen], n[machines.NotSeen], n[machines.Elsewhere], n[machines.Unknown], told); got != "1 1 1 0 [g1 not_seen p2 elsewhere]" {
		t.Error(got)
	}
	n = machines.NewView(x, machines.Nothing("br-int", "it is gone")).Count(nil)
	if n[machines.Unknown] != 3 || n[machines.Seen] != 0 {
		t.Error(n)
	}
}

// The time for a port does not depend on the number of ports.
func BenchmarkCount(b *testing.B) {
	m := &routing.Model{Networks: []routing.Network{{ID: "n", VLAN: 1, MTU: 1500}}}
	var table []ovstrace.MACEntry
	for i := range 100_000 {
		a := ofproto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprint("p", i), Network: "n", MAC: a})
		if i%2 == 0 {
			table = append(table, at(1, 1, a))
		}
	}
	row, links := bridge(row{name: "t", tag: 1})
	x, e := routing.NewIndex(m), machines.NewEvidence(row, nil, links, table, nil)
	for b.Loop() {
		machines.NewView(x, e).Count(nil)
	}
}

// With several hosts, a machine that another host claims is seen on that host. If the intent
// expects a machine on another host, it is not searched on this host.
func TestMachinesOfOtherHosts(t *testing.T) {
	x := routing.NewIndex(&routing.Model{
		Hosts:    []routing.Host{{ID: "h1"}, {ID: "h2"}},
		Networks: []routing.Network{{ID: "blue", VNI: 7}},
		Ports:    []routing.Port{{ID: "here", Network: "blue", Host: "h1"}, {ID: "there", Network: "blue", Host: "h1"}, {ID: "expected", Network: "blue", Host: "h2"}}})
	b := ovsdb.BridgeRow{Name: "br-int"}
	v := machines.NewView(x, machines.NewEvidence(&b, nil, nil, nil, nil).Across("h1", map[string]string{"there": "h2"}))
	for id, want := range map[string]machines.Sighting{"here": {State: machines.NotSeen}, "there": {State: machines.Seen, Host: "h2"}, "expected": {State: machines.Unknown, Host: "h2"}} {
		p, _ := x.Port(id)
		if got := v.Look(&p); got.State != want.State || got.Host != want.Host {
			t.Errorf("%s: %+v, want %+v", id, got, want)
		}
	}
}

// If tunnels carry a network that has no tag on this host, its machines here count as elsewhere, whatever
// the tags of their ports are.
func TestNetworkWithoutTag(t *testing.T) {
	h1, h2 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	x := routing.NewIndex(&routing.Model{
		Hosts:    []routing.Host{{ID: "h1", Tunnel: routing.Tunnel{Address: h1}}, {ID: "h2", Tunnel: routing.Tunnel{Address: h2}}},
		Networks: []routing.Network{{ID: "blue", VNI: 7}},
		Ports:    []routing.Port{{ID: "p1", Network: "blue", MAC: mac(1)}, {ID: "p2", Network: "blue", MAC: mac(2)}}})
	b, links := bridge(row{name: "t", tag: -1, ids: id("p1")}, row{name: "u", tag: 4095, ids: id("p2")})
	v := machines.NewView(x, machines.NewEvidence(b, []ovsdb.BridgeRow{*b}, links, []ovstrace.MACEntry{at(1, 0, mac(1))}, nil).Across("h1", nil))
	for _, id := range []string{"p1", "p2"} {
		p, _ := x.Port(id)
		if got := v.Look(&p); got.State != machines.Elsewhere || !strings.Contains(got.Says, "network blue has no tag on this host") || got.Remedy == "" {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if n := v.Count(nil)[machines.Elsewhere]; n != 2 {
		t.Errorf("%d machines are elsewhere, want 2", n)
	}
}
