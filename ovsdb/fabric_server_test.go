package ovsdb_test

import (
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// A fabric and the tags of machines are made, changed and removed in a real database. The
// other columns of the machines' ports stay unchanged.
func TestFabricInDatabase(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev",
		"--", "add-port", "br-int", "tap1", "--", "set", "port", "tap1", "external_ids:theirs=yes", "other_config:priority-tags=true",
		"--", "set", "interface", "tap1", "external_ids:iface-id=vm1",
		"--", "add-port", "br-int", "tap2", "--", "set", "interface", "tap2", "external_ids:iface-id=vm3")
	want := s.foreign()
	c := s.client()
	d := withFabric()
	if r := apply(t, c, d); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	for _, tt := range []struct{ table, record, columns, want string }{
		{"Bridge", "br-fabric", "fail_mode,protocols,datapath_type,other_config,external_ids", `fail_mode : secure
protocols : [OpenFlow13]
datapath_type : netdev
other_config : {datapath-id="0000000000000007", disable-in-band="true"}
external_ids : {ofdvr-fabric="true", ofdvr-owner=ofdvr}`},
		{"Interface", "ft-geneve", "type,options,external_ids", `type : geneve
options : {key=flow, local_ip="192.0.2.1", remote_ip=flow}
external_ids : {ofdvr-fabric="true", ofdvr-owner=ofdvr, ofdvr-tunnel=geneve}`},
		{"Port", "fi-green", "tag,vlan_mode,external_ids", `tag : 2
vlan_mode : []
external_ids : {ofdvr-fabric="true", ofdvr-network=green, ofdvr-owner=ofdvr}`},
		{"Interface", "fi-green", "type,options", "type : patch\noptions : {peer=fn-green}"},
		{"Port", "fn-green", "tag", "tag : []"},
		{"Interface", "rf-1", "type,options,external_ids", `type : patch
options : {peer=fr-1}
external_ids : {ofdvr-fabric="true", ofdvr-owner=ofdvr, ofdvr-router=r1}`},
		{"Port", "tap1", "tag,vlan_mode,trunks,other_config,external_ids", `tag : 1
vlan_mode : []
trunks : []
other_config : {priority-tags="true"}
external_ids : {ofdvr-tag="1", theirs=yes}`},
	} {
		out := s.vsctl("--columns="+tt.columns, "list", tt.table, tt.record)
		if got := strings.Join(strings.Fields(out), " "); got != strings.Join(strings.Fields(tt.want), " ") {
			t.Errorf("%s %s:\n%s\nwant\n%s", tt.table, tt.record, out, tt.want)
		}
	}
	for bridge, ports := range map[string]string{"br-fabric": "fn-blue\nfn-green\nfr-1\nft-geneve", "rb-1": "qr-blue\nqr-green\nrf-1\nrp-blue\nrp-green",
		"br-int": "fi-blue\nfi-green\nrq-3\nrq-4\nrq-blue\nrq-green\ntap1\ntap2"} {
		if got := s.vsctl("list-ports", bridge); got != ports {
			t.Errorf("ports of %s: %q, want %q", bridge, got, ports)
		}
	}
	if got := s.vsctl("get-controller", "br-fabric"); got != d.Controller {
		t.Errorf("controller %s", got)
	}
	if r := apply(t, c, d); len(r.Ops)+len(r.Problems) > 0 {
		t.Errorf("second Apply: %v, %v", r.Ops, r.Problems)
	}
	// The other end of a patch port between our bridges moves in two steps, like the patch
	// ports of interfaces.
	d.Bridges[0].Name = "rb-new"
	r := apply(t, c, d)
	moving := 0
	for _, p := range r.Problems {
		if p.Kind == ovsdb.Moving && p.Fabric && p.Router == "r1" {
			moving++
		}
	}
	if moving != 1 || strings.Contains(s.vsctl("list-ports", "rb-new"), "rf-1") {
		t.Errorf("problems %v, ports %s", r.Problems, s.vsctl("list-ports", "rb-new"))
	}
	s.vsctl("set", "Open_vSwitch", ".", "cur_cfg="+s.vsctl("get", "Open_vSwitch", ".", "next_cfg"))
	eventually(t, "rf-1 is inserted", func() bool {
		apply(t, c, d)
		return strings.Contains(s.vsctl("list-ports", "rb-new"), "rf-1")
	})
	if _, err := c.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.vsctl("--columns=tag,vlan_mode,trunks", "list", "port", "tap1"); strings.Join(strings.Fields(got), " ") != "tag : 4095 vlan_mode : trunk trunks : [4095]" {
		t.Errorf("columns of the machine's port after Cleanup: %s", got)
	}
	s.vsctl("clear", "port", "tap1", "tag", "vlan_mode", "trunks")
	if got := s.foreign(); got != want {
		t.Errorf("foreign rows were changed: from\n%s\nto\n%s", want, got)
	}
	if dump := s.dump(); strings.Contains(dump, "ofdvr") {
		t.Errorf("left by Cleanup:\n%s", dump)
	}
}
