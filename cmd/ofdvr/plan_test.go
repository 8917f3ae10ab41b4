package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// Plan exits with 0 if nothing would change, with 2 if there are changes, and with 1 if it is
// unknown whether anything would change. It changes nothing.
func TestPlan(t *testing.T) {
	d := applied(t, map[string]string{"change.yaml": "networks: [{id: green, vlan: 3}, {id: red}]\n", "bad.yaml": "networks: [{id: red, vlan: 2}]\n"})
	d.prints("5 objects: 0 to create, 0 to update, 0 to delete, 5 unchanged; 0 flows and 0 rows to change\n", "plan", "good.yaml")
	out, _ := d.ofdvr(2, "plan", "change.yaml")
	if want := "2 objects: 1 to create, 1 to update, 0 to delete, 0 unchanged; 0 flows and 0 rows to change\n~ network green\n-     vlan: 2\n+     vlan: 3\n+ network red\n"; !strings.HasPrefix(out, want) {
		t.Errorf("plan prints\n%s\nwant\n%s", out, want)
	}
	if out, _ := d.ofdvr(2, "plan", "-f", "change.yaml", "-o", "json"); !json.Valid([]byte(out)) {
		t.Errorf("this is no JSON:\n%s", out)
	}
	d.fails(1, "bad.yaml:1:28: networks[0].vlan: vlan 2 is already used by network \"green\"\n", "plan", "bad.yaml")
	d.fails(64, "ofdvr: missing argument FILE\nUsage: ofdvr plan FILE|DIRECTORY|-... [flags]\nSee 'ofdvr plan --help'.\n", "plan")
	d.ofdvr(2, "diff", "change.yaml")

	// If it is unknown whether anything would change, the exit status is not 0.
	d.problems = []string{"what would change in OVSDB is not known: not connected to ovsdb-server"}
	for _, format := range []string{"text", "json"} {
		if out, _ := d.ofdvr(1, "plan", "good.yaml", "--all", "-o", format); !strings.Contains(out, d.problems[0]) {
			t.Errorf("plan prints\n%s", out)
		}
	}
	d.ofdvr(2, "plan", "change.yaml")
	d.has(all...)
}

// A plan for objects of the daemon's topology file is a plan for a new version of that file, and
// names it.
func TestPlanForTheFile(t *testing.T) {
	inDir(t, map[string]string{
		"net.yaml":   "networks: [{id: blue, vlan: 7}]\n",
		"more.yaml":  "networks: [{id: blue}, {id: red}]\n",
		"empty.yaml": "networks: []\n",
		"bad.yaml":   "networks: [{id: blue, vlan: 7}, {id: red, vlan: 7}]\n",
	})
	d := startDaemon(t, &routing.Model{Networks: []routing.Network{{ID: "blue", MTU: 1500}}}, 0)
	const (
		note = "in place of the daemon's topology file /etc/topology.yaml\n"
		blue = "! no router has an interface on network \"blue\"\n"
		red  = "! no router has an interface on network \"red\"\n"
	)
	for args, want := range map[string]string{
		"plan net.yaml":                   "1 object: 0 to create, 1 to update, 0 to delete, 0 unchanged; 0 flows and 0 rows to change\n" + note + "~ network blue\n+     vlan: 7\n" + blue,
		"plan --as-topology empty.yaml":   "1 object: 0 to create, 0 to update, 1 to delete, 0 unchanged; 0 flows and 0 rows to change\n" + note + "- network blue\n",
		"plan more.yaml":                  "2 objects: 1 to create, 0 to update, 0 to delete, 1 unchanged; 0 flows and 0 rows to change\n+ network red\n" + blue + red,
		"plan --as-topology more.yaml -v": "2 objects: 1 to create, 0 to update, 0 to delete, 1 unchanged; 0 flows and 0 rows to change\n" + note + "+ network red\n" + blue + red,
	} {
		if out, errOut := d.ofdvr(2, strings.Fields(args)...); out != want || errOut != "" {
			t.Errorf("%s prints\n%s%s\nwant\n%s", args, out, errOut, want)
		}
	}
	d.fails(1, "bad.yaml:1:49: networks[1].vlan: vlan 7 is already used by network \"blue\"\n", "plan", "bad.yaml", "--as-topology")
	d.has("network/blue")
	without := startDaemon(t, nil, 0)
	without.fails(1, "ofdvr: the daemon has no topology file (serve --topology)\n", "plan", "net.yaml", "--as-topology")
}

// The flows of a router are shown even if the bridge of another router is not connected.
func TestFlows(t *testing.T) {
	d := applied(t, map[string]string{"r2.yaml": "routers: [{id: r0}, {id: r2}]\n"})
	const header = "TABLE  PRIORITY  PACKETS  BYTES  WHAT IT DOES                             MATCH\n"
	const hit = "    2       100        3    294  sends packets to an address of port vm1  ip,nw_dst=10.0.1.10\n"
	const flows = header + hit + "    2         0        0      0  is not ours                              any\n"
	d.prints(flows, "flows")
	d.prints(header+hit, "flows", "r1", "--nonzero")
	d.prints(`TABLE  PRIORITY  PACKETS  BYTES  WHAT IT DOES                             MATCH                FLOW
    2       100        3    294  sends packets to an address of port vm1  ip,nw_dst=10.0.1.10  table=2, priority=100,ip,nw_dst=10.0.1.10 actions=drop
    2         0        0      0  is not ours                              any                  table=2, priority=0 actions=drop
`, "flows", "r1", "-o", "wide")
	var narrow bytes.Buffer
	printFlowRows(&narrow, flowRows([]api.FlowDocument{{Table: 3, Priority: 100, Packets: 7, Bytes: 686, Does: "sends packets to an address of port vm2", Flow: "table=3, priority=100,ip,nw_dst=10.0.2.10 actions=drop"}}, false), 80)
	if want := "TABLE  PRIORITY  PACKETS  BYTES  WHAT IT DOES\n       MATCH\n    3       100        7    686  sends packets to an address of port vm2\n       ip,nw_dst=10.0.2.10\n"; narrow.String() != want {
		t.Errorf("on a narrow terminal:\n%s\nwant\n%s", &narrow, want)
	}
	d.ofdvr(0, "apply", "-f", "r2.yaml")
	d.unlinked = map[string]bool{"r0": true, "r2": true}
	out, errOut := d.ofdvr(1, "flows")
	if want := "router r1\n" + flows; out != want || errOut != "ofdvr: read the flows of router \"r0\": the bridge is not connected\nofdvr: read the flows of router \"r2\": the bridge is not connected\n" {
		t.Errorf("flows prints\n%s%s\nwant\n%s", out, errOut, want)
	}
	out, _ = d.ofdvr(1, "flows", "-o", "json")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 1 {
		t.Errorf("flows as JSON: %v\n%s", err, out)
	}
	d.fails(1, "ofdvr: read the flows of router \"r2\": the bridge is not connected\n", "flows", "r2")
	d.fails(1, "ofdvr: there is no such object: router \"r3\"\n", "flows", "r3")
}
