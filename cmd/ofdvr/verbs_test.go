package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing"
)

// applied starts a daemon that has been told goodTopology, in a directory with
// good.yaml and other files.
func applied(t *testing.T, files map[string]string) *server {
	t.Helper()
	all := map[string]string{"good.yaml": goodTopology, "empty.yaml": "networks: []\n"}
	for name, text := range files {
		all[name] = text
	}
	inDir(t, all)
	d := startDaemon(t, nil, 0)
	d.prints("network/blue created\nnetwork/green created\nrouter/r1 created\nport/vm1 created\nport/vm2 created\n", "apply", "-f", "good.yaml")
	return d
}

var all = []string{"network/blue", "network/green", "port/vm1", "port/vm2", "router/r1"}

// Apply is one step, says what it has done, and says nothing twice.
func TestApply(t *testing.T) {
	d := applied(t, map[string]string{
		"less.yaml": "networks: [{id: blue, vlan: 1}]\n",
		"bad.yaml":  "networks: [{id: red}]\nports:\n  - {id: vm9, network: brown, mac: \"02:00:00:00:09:09\", addresses: [10.0.9.9]}\n",
	})
	d.prints("5 objects unchanged\n", "apply", "-f", "good.yaml")
	d.fails(1, "bad.yaml:3:24: ports[0].network: unknown network \"brown\"\n", "apply", "-f", "bad.yaml")
	d.has(all...)
	d.fails(64, "ofdvr: required flag(s) \"filename\" not set\nSee 'ofdvr --help'.\n", "apply")
	d.fails(1, "read topology: open none.yaml: no such file or directory\n", "apply", "-f", "none.yaml")
	if out, _ := d.ofdvr(0, "apply", "-f", "less.yaml", "--all", "--dry-run"); !strings.HasSuffix(out, "\n5 objects: 0 to create, 0 to update, 4 to delete, 1 unchanged; 0 flows and 0 rows to change\n") {
		t.Errorf("the dry run says\n%s", out)
	}
	d.has(all...)
	out, _ := d.ofdvr(0, "apply", "-f", "less.yaml", "--all")
	if want := "port/vm1 deleted\nport/vm2 deleted\nrouter/r1 deleted\nnetwork/green deleted\n1 object unchanged\n"; out != want {
		t.Errorf("apply --all prints\n%s\nwant\n%s", out, want)
	}
	d.has("network/blue")
}

// Nothing at all, as it comes from a program that has failed, is not taken for
// the wish that there be nothing.
func TestApplyNothing(t *testing.T) {
	d := applied(t, nil)
	const says = "nothing is declared, so everything would be deleted; use --allow-empty if that is meant\n"
	d.fails(1, says, "apply", "--all", "-f", "empty.yaml")
	d.fails(1, says, "apply", "--all", "-f", os.DevNull)
	d.has(all...)
	d.prints("", "apply", "-f", "empty.yaml")
	d.has(all...)
	d.ofdvr(0, "apply", "--all", "--allow-empty", "-f", "empty.yaml")
	d.has()
}

// What the switches do not confirm in time is named.
func TestApplyPending(t *testing.T) {
	inDir(t, map[string]string{"good.yaml": goodTopology})
	d := startDaemon(t, nil, 0)
	d.pending = []controller.Pending{{Router: "r1", Reason: "bridge rb-r1 is not connected"}, {Reason: "the database is away"}}
	d.fails(1, "it is written, but the switches did not confirm all of it within 7s:\n  router r1: bridge rb-r1 is not connected\n  the database is away\n",
		"apply", "-f", "good.yaml", "--timeout", "7s")
	d.has(all...)
	d.prints("port/vm1 deleted\n", "delete", "port", "vm1", "--wait=false")
	// What comes after something that is pending is deleted nevertheless.
	d.ofdvr(1, "delete", "networks", "blue", "green", "--cascade")
	d.has("router/r1")
}

// What a file of the daemon's declares is changed there.
func TestApplyDeclared(t *testing.T) {
	inDir(t, map[string]string{"net.yaml": "networks: [{id: blue, vlan: 7}]\n"})
	d := startDaemon(t, &routing.Model{Networks: []routing.Network{{ID: "blue", MTU: 1500}}}, 0)
	d.fails(1, "network \"blue\" is declared in /etc/topology.yaml: change it there\n", "apply", "-f", "net.yaml")
}

// Delete deletes all that it can of what was asked for.
func TestDelete(t *testing.T) {
	d := applied(t, map[string]string{"blue.yaml": "networks: [{id: blue, vlan: 1}]\n"})
	d.fails(64, "ofdvr: say what to delete: a kind and IDs, or -f FILE\nSee 'ofdvr --help'.\n", "delete", "port", "-f", "good.yaml")
	d.ofdvr(64, "delete", "port")
	d.fails(1, "ofdvr: network \"blue\" is in use by interface \"r1-blue\", port \"vm1\"; delete that first, or use --cascade\n", "delete", "net", "blue")
	d.has(all...)
	d.prints("port/vm1 deleted\nrouter/r1 updated\nnetwork/blue deleted\n", "delete", "-f", "blue.yaml", "--cascade")
	d.has("network/green", "port/vm2", "router/r1")
	d.fails(1, "there is no network \"blue\"\n", "delete", "networks", "blue", "green", "--cascade")
	d.has("router/r1")
	d.fails(1, "there is no router \"r2\"\n", "delete", "router", "r2", "r1")
	d.has()
	d.prints("", "delete", "port", "vm1", "--ignore-not-found")
	d.prints("", "delete", "network", "blue", "--cascade", "--ignore-not-found")
}

// Delete with files and --cascade deletes everything that they declare.
func TestDeleteFilesWithCascade(t *testing.T) {
	d := applied(t, nil)
	d.prints("port/vm1 deleted\nport/vm2 deleted\nrouter/r1 deleted\nnetwork/blue deleted\nnetwork/green deleted\n", "delete", "-f", "good.yaml", "--cascade")
	d.has()
}

// Get prints tables that fit a terminal, and files that apply takes.
func TestGet(t *testing.T) {
	d := applied(t, nil)
	for args, want := range map[string]string{
		"get net": "NETWORK  VLAN   MTU\nblue        1  1500\ngreen       2  1500\n",
		"get ports": `PORT  NETWORK  MAC                ADDRESSES
vm1   blue     02:00:00:00:01:10  10.0.1.10
vm2   green    02:00:00:00:02:10  10.0.2.10
`,
		"get ports --mac 02:00:00:00:02:10": "PORT  NETWORK  MAC                ADDRESSES\nvm2   green    02:00:00:00:02:10  10.0.2.10\n",
		"get p --address 10.0.1.10 -o wide": "PORT  NETWORK  MAC                ADDRESSES  ROUTERS\nvm1   blue     02:00:00:00:01:10  10.0.1.10  r1\n",
		"get network --vlan 2":              "NETWORK  VLAN   MTU\ngreen       2  1500\n",
		"get r":                             "ROUTER  BRIDGE  NETWORKS\nr1      rb-r1   blue,green\n",
		"get routers --network blue -o wide": `ROUTER  BRIDGE  NETWORKS    NAMESPACE   STATE    FLOWS
r1      rb-r1   blue,green  qrouter-r1  settled   8000
`,
		"get ports vm2 -o yaml": "ports:\n  - {id: vm2, network: green, mac: \"02:00:00:00:02:10\", addresses: [10.0.2.10]}\n",
		"export":                goodTopology,
	} {
		d.prints(want, strings.Fields(args)...)
	}
	d.fails(1, "ofdvr: there is no such object: port \"vm3\"\n", "get", "ports", "vm1", "vm3")
	d.fails(0, "there are no such ports\n", "get", "ports", "--network", "red")
	d.fails(64, "ofdvr: filters are for lists: leave the IDs out, or the filters\nSee 'ofdvr --help'.\n", "get", "port", "vm1", "--network", "blue")
	if out, errOut := d.ofdvr(1, "get", "ports", "--mac", "x"); out != "" || !strings.Contains(errOut, "mac: ") {
		t.Errorf("get --mac x prints %q, %q", out, errOut)
	}
}

// What is exported is what there is, however it is written.
func TestExport(t *testing.T) {
	d := applied(t, nil)
	for _, format := range []string{"yaml", "json"} {
		out, _ := d.ofdvr(0, "export", "-o", format)
		if err := os.WriteFile("again."+format, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		d.prints("5 objects: 0 to create, 0 to update, 0 to delete, 5 unchanged; 0 flows and 0 rows to change\n", "plan", "again."+format, "--all")
	}
}

// A list of many pages is read to its end.
func TestGetPages(t *testing.T) {
	var b strings.Builder
	b.WriteString("networks: [{id: blue}]\nports:\n")
	const n = 2500
	for i := range n {
		fmt.Fprintf(&b, "  - {id: p%04d, network: blue, mac: \"02:00:00:00:%02x:%02x\"}\n", i, i>>8, i&0xff)
	}
	inDir(t, map[string]string{"many.yaml": b.String()})
	d := startDaemon(t, nil, 0)
	d.ofdvr(0, "apply", "-f", "many.yaml")
	out, _ := d.ofdvr(0, "get", "ports")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != n+1 || !strings.HasPrefix(lines[n], fmt.Sprintf("p%04d ", n-1)) {
		t.Errorf("%d lines", len(lines))
	}
	// Who is on a network is told of the first, and how to see the rest.
	out, _ = d.ofdvr(0, "describe", "network", "blue")
	if want := "Ports:       2500\n             p0000, 02:00:00:00:00:00\n"; !strings.Contains(out, want) {
		t.Errorf("describe prints\n%s\nwant %q", out, want)
	}
	if want := "             p0019, 02:00:00:00:00:13\n             and 2480 more: ofdvr get ports --network blue\n"; !strings.Contains(out, want) {
		t.Errorf("describe prints\n%s\nwant %q", out, want)
	}
}

// Describe tells in words all that has to do with an object.
func TestDescribe(t *testing.T) {
	d := applied(t, nil)
	d.prints(`Network:     blue
From:        disk
VLAN:        1
MTU:         1500
Router:      r1, interface r1-blue, 02:00:00:00:01:01, 10.0.1.1/24
Ports:       1
             vm1, 02:00:00:00:01:10, 10.0.1.10
Accepted:    yes
Programmed:  yes
Degraded:    no
`, "describe", "network", "blue")
	d.prints(`Router:      r1
From:        disk
Namespace:   qrouter-r1
Interface:   interface r1-blue, 02:00:00:00:01:01, 10.0.1.1/24 on network blue
Interface:   interface r1-green, 02:00:00:00:02:01, 10.0.2.1/24 on network green
Bridge:      rb-r1, made by ofdvr, connected
State:       settled
Flows:       8000 wanted, 8000 installed, 0 refused, 0 of others
Ports:       2 on its networks
Accepted:    yes
Programmed:  yes
Degraded:    no
`, "describe", "router", "r1")
	d.prints(`Port:        vm1
From:        disk
Network:     blue
MAC:         02:00:00:00:01:10
Address:     10.0.1.10
Router:      r1
Flow:        3 packets, 294 bytes: table=2 actions=drop
Accepted:    yes
Programmed:  yes
Degraded:    no
`, "describe", "port", "vm1")
	d.fails(1, "ofdvr: there is no such object: router \"r2\"\n", "describe", "router", "r2")
}

// A plan exits with 0 if nothing would change, with 2 if something would, and
// with 1 if that is not known; and it changes nothing.
func TestPlan(t *testing.T) {
	d := applied(t, map[string]string{"change.yaml": "networks: [{id: green, vlan: 3}, {id: red}]\n", "bad.yaml": "networks: [{id: red, vlan: 2}]\n"})
	d.prints("5 objects: 0 to create, 0 to update, 0 to delete, 5 unchanged; 0 flows and 0 rows to change\n", "plan", "good.yaml")
	out, _ := d.ofdvr(2, "plan", "change.yaml")
	if want := "~ network green\n-     vlan: 2\n+     vlan: 3\n+ network red\n"; !strings.HasPrefix(out, want) {
		t.Errorf("plan prints\n%s\nwant\n%s", out, want)
	}
	if out, _ := d.ofdvr(2, "plan", "-f", "change.yaml", "-o", "json"); !json.Valid([]byte(out)) {
		t.Errorf("this is no JSON:\n%s", out)
	}
	d.fails(1, "bad.yaml:1:28: networks[0].vlan: vlan 2 is already used by network \"green\"\n", "plan", "bad.yaml")
	d.fails(64, "ofdvr: name a topology file\nSee 'ofdvr --help'.\n", "plan")

	// That nothing would change is not said where it is not known.
	d.problems = []string{"what would change in OVSDB is not known: not connected to ovsdb-server"}
	for _, format := range []string{"text", "json"} {
		if out, _ := d.ofdvr(1, "plan", "good.yaml", "--all", "-o", format); !strings.Contains(out, d.problems[0]) {
			t.Errorf("plan prints\n%s", out)
		}
	}
	d.ofdvr(2, "plan", "change.yaml")
	d.has(all...)
}

// A router whose bridge is away does not hide the flows of the others.
func TestFlows(t *testing.T) {
	d := applied(t, map[string]string{"r2.yaml": "routers: [{id: r0}, {id: r2}]\n"})
	const flows = "TABLE  PRIORITY  PACKETS  BYTES  WHAT IT DOES\n    2       100        3    294  sends packets to an address of port vm1\n"
	d.prints(flows, "flows")
	d.prints("TABLE  PRIORITY  PACKETS  BYTES  WHAT IT DOES                             FLOW\n"+
		"    2       100        3    294  sends packets to an address of port vm1  table=2 actions=drop\n", "flows", "r1", "-o", "wide")
	d.ofdvr(0, "apply", "-f", "r2.yaml")
	d.unlinked = map[string]bool{"r0": true, "r2": true}
	out, errOut := d.ofdvr(1, "flows")
	if want := "router r1\n" + flows; out != want || errOut != "read the flows of router \"r0\": the bridge is not connected\nread the flows of router \"r2\": the bridge is not connected\n" {
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

func TestStatus(t *testing.T) {
	d := applied(t, nil)
	const want = "ROUTER  BRIDGE  SWITCH     WANTED  INSTALLED  STATE    READY\nr1      rb-r1   connected    8000       8000  settled  yes\n"
	d.prints(want, "status")
	d.prints(want, "status", "--wait")
	t.Setenv(envAPI, d.endpoint) // stands in for --api
	var out, errOut strings.Builder
	if run(t.Context(), []string{"status"}, &out, &errOut) != 0 || out.String() != want {
		t.Errorf("with $%s: %s%s", envAPI, &out, &errOut)
	}
}

// Complete shows what it does, and says that it was done.
func TestComplete(t *testing.T) {
	d := applied(t, nil)
	const plan = "0 objects: 0 to create, 0 to update, 0 to delete, 0 unchanged; 0 flows and 0 rows to change\n"
	d.prints(plan, "complete", "--dry-run")
	d.prints(plan+"the intent is complete\n", "complete")
}

// Kinds, IDs and formats are completed; a daemon that is away is not mentioned.
func TestCompletion(t *testing.T) {
	d := applied(t, nil)
	for args, want := range map[string]string{
		"get |":                             "networks routers ports",
		"get ports --api API v":             "vm1 vm2",
		"describe port --api API vm1 v":     "vm2",
		"delete network --api API b":        "blue",
		"flows --api API r":                 "r1",
		"flows --api API r1 |":              "",
		"get ports --api API --network g":   "green",
		"get ports -o |":                    "table wide json yaml",
		"get ports --api unix:/nowhere v":   "",
		"get houses --api API v":            "",
		"watch |":                           "networks routers ports",
		"export --api unix:/nowhere -o |":   "yaml json",
		"describe router --api tcp:wrong r": "",
	} {
		words := []string{"__complete"}
		for _, word := range strings.Fields(args) {
			word = strings.ReplaceAll(word, "API", d.endpoint)
			words = append(words, strings.ReplaceAll(word, "|", ""))
		}
		var out, errOut strings.Builder
		run(t.Context(), words, &out, &errOut)
		suggestions, directive, _ := strings.Cut(out.String(), ":")
		if got := strings.Join(strings.Fields(suggestions), " "); got != want || directive != "4\n" { // no file names
			t.Errorf("%s is completed by %q, want %q; %q", args, got, want, &out)
		}
		if strings.Contains(errOut.String(), "daemon") {
			t.Errorf("%s says %s", args, &errOut)
		}
	}
}

// Something else that answers at --api is no daemon in which nothing is missing.
func TestDeleteFromSomethingElse(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "other.sock"))
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan error, 1)
	go func() { done <- other.Serve(ln) }()
	defer func() {
		other.Close()
		<-done
	}()
	var out, errOut strings.Builder
	status := run(t.Context(), []string{"delete", "port", "vm1", "--ignore-not-found", "--api", "unix:" + ln.Addr().String()}, &out, &errOut)
	if status != 1 || errOut.String() != "ofdvr: 404 Not Found\n" {
		t.Errorf("%d, %q", status, &errOut)
	}
}
