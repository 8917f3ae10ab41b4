package main

import (
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

// applied starts a daemon with the objects of goodTopology, in a directory with good.yaml and
// other files.
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

// Apply changes all objects in one step. It prints each change once.
func TestApply(t *testing.T) {
	d := applied(t, map[string]string{
		"less.yaml": "networks: [{id: blue, vlan: 1}]\n",
		"bad.yaml":  "networks: [{id: red}]\nports:\n  - {id: vm9, network: brown, mac: \"02:00:00:00:09:09\", addresses: [10.0.9.9]}\n",
	})
	d.prints("5 objects unchanged\n", "apply", "-f", "good.yaml")
	d.fails(1, "bad.yaml:3:24: ports[0].network: unknown network \"brown\"\n", "apply", "-f", "bad.yaml")
	d.has(all...)
	d.fails(64, "ofdvr: missing argument FILE\nUsage: ofdvr apply FILE|DIRECTORY|-... [flags]\nSee 'ofdvr apply --help'.\n", "apply")
	d.prints("5 objects unchanged\n", "apply", "good.yaml")
	d.fails(1, "ofdvr: read topology: open none.yaml: no such file or directory\n", "apply", "-f", "none.yaml")
	if out, _ := d.ofdvr(0, "apply", "-f", "less.yaml", "--all", "--dry-run"); !strings.HasPrefix(out, "5 objects: 0 to create, 0 to update, 4 to delete, 1 unchanged; 0 flows and 0 rows to change\n- port vm1\n") {
		t.Errorf("the dry run prints\n%s", out)
	}
	d.has(all...)
	out, _ := d.ofdvr(0, "apply", "-f", "less.yaml", "--all")
	if want := "port/vm1 deleted\nport/vm2 deleted\nrouter/r1 deleted\nnetwork/green deleted\n1 object unchanged\n"; out != want {
		t.Errorf("apply --all prints\n%s\nwant\n%s", out, want)
	}
	d.has("network/blue")
}

// Without --allow-empty, an empty input deletes nothing, because it may come from a program that
// has failed.
func TestApplyNothing(t *testing.T) {
	d := applied(t, nil)
	const says = "ofdvr: nothing is declared, so everything would be deleted; use --allow-empty if that is meant\n"
	d.fails(1, says, "apply", "--all", "-f", "empty.yaml")
	d.fails(1, says, "apply", "--all", "-f", os.DevNull)
	d.has(all...)
	d.prints("", "apply", "-f", "empty.yaml")
	d.has(all...)
	d.ofdvr(0, "apply", "--all", "--allow-empty", "-f", "empty.yaml")
	d.has()
}

// Apply names the changes that the switches have not confirmed in time.
func TestApplyPending(t *testing.T) {
	inDir(t, map[string]string{"good.yaml": goodTopology})
	d := startDaemon(t, nil, 0)
	d.pending = []controller.Pending{{Router: "r1", Reason: "bridge rb-r1 is not connected"}, {Reason: "the database is away"}}
	d.fails(1, "ofdvr: the change is on disk, but the switches did not confirm all of it within 7s:\n  router r1: bridge rb-r1 is not connected\n  the database is away\n",
		"apply", "-f", "good.yaml", "--timeout", "7s")
	d.has(all...)
	d.prints("port/vm1 deleted\n", "delete", "port", "vm1", "--wait=false")
	// Delete deletes all its objects, even if the deletion of the first ones is pending.
	d.ofdvr(1, "delete", "networks", "blue", "green", "--cascade")
	d.has("router/r1")
}

// Objects of the daemon's topology file cannot be applied.
func TestApplyDeclared(t *testing.T) {
	inDir(t, map[string]string{"net.yaml": "networks: [{id: blue, vlan: 7}]\n"})
	d := startDaemon(t, &routing.Model{Networks: []routing.Network{{ID: "blue", MTU: 1500}}}, 0)
	d.fails(1, "ofdvr: network \"blue\" is declared in /etc/topology.yaml: change it there\n", "apply", "-f", "net.yaml")
}

// Delete deletes the objects that exist, and reports the objects that do not.
func TestDelete(t *testing.T) {
	d := applied(t, map[string]string{"blue.yaml": "networks: [{id: blue, vlan: 1}]\n"})
	d.fails(64, "ofdvr: unexpected argument \"port\": with -f, the files name what is deleted\nUsage: ofdvr delete KIND ID|NAME... | KIND/ID... | -f FILE [flags]\nSee 'ofdvr delete --help'.\n", "delete", "port", "-f", "good.yaml")
	d.ofdvr(64, "delete", "port")
	d.fails(1, "ofdvr: network \"blue\" is in use by interface \"r1-blue\", port \"vm1\"; delete that first, or use --cascade\n", "delete", "net", "blue")
	d.has(all...)
	d.prints("port/vm1 deleted\nrouter/r1 updated\nnetwork/blue deleted\n", "delete", "-f", "blue.yaml", "--cascade")
	d.has("network/green", "port/vm2", "router/r1")
	d.fails(1, "ofdvr: network \"blue\" does not exist\n", "delete", "networks", "blue", "green", "--cascade")
	d.has("router/r1")
	d.fails(1, "ofdvr: router \"r2\" does not exist\n", "delete", "router", "r2", "r1")
	d.has()
	d.prints("", "delete", "port", "vm1", "--ignore-not-found")
	d.prints("", "delete", "network", "blue", "--cascade", "--ignore-not-found")
}

// Delete with files and --cascade deletes all their objects.
func TestDeleteFilesWithCascade(t *testing.T) {
	d := applied(t, nil)
	d.prints("port/vm1 deleted\nport/vm2 deleted\nrouter/r1 deleted\nnetwork/blue deleted\nnetwork/green deleted\n", "delete", "-f", "good.yaml", "--cascade")
	d.has()
}

// Get prints tables, names, and files for apply.
func TestGet(t *testing.T) {
	d := applied(t, nil)
	for args, want := range map[string]string{
		"get net": "NETWORK  VLAN   MTU\nblue        1  1500\ngreen       2  1500\n",
		"get ports": `PORT  NETWORK  MAC                ADDRESSES  SEEN
vm1   blue     02:00:00:00:01:10  10.0.1.10  unknown
vm2   green    02:00:00:00:02:10  10.0.2.10  unknown
`,
		"get ports --mac 02:00:00:00:02:10": "PORT  NETWORK  MAC                ADDRESSES  SEEN\nvm2   green    02:00:00:00:02:10  10.0.2.10  unknown\n",
		"get p --address 10.0.1.10 -o wide": "PORT  NETWORK  MAC                ADDRESSES  SEEN     HOST  ROUTERS  ID\nvm1   blue     02:00:00:00:01:10  10.0.1.10  unknown  -     r1       vm1\n",
		"get network --vlan 2":              "NETWORK  VLAN   MTU\ngreen       2  1500\n",
		"get r":                             "ROUTER  BRIDGE  NETWORKS\nr1      rb-r1   blue,green\n",
		"get routers --network blue -o wide": `ROUTER  BRIDGE  NETWORKS    NAMESPACE   STATE    FLOWS  ID
r1      rb-r1   blue,green  qrouter-r1  settled   8000  r1
`,
		"get networks -o name": "network/blue\nnetwork/green\n",
		"get all -o name":      "network/blue\nnetwork/green\nrouter/r1\nport/vm1\nport/vm2\n",
		"get all": `NETWORK  VLAN   MTU
blue        1  1500
green       2  1500

ROUTER  BRIDGE  NETWORKS
r1      rb-r1   blue,green

PORT  NETWORK  MAC                ADDRESSES  SEEN
vm1   blue     02:00:00:00:01:10  10.0.1.10  unknown
vm2   green    02:00:00:00:02:10  10.0.2.10  unknown
`,
		"get all -o yaml": goodTopology,
		"get port/vm1 network/green port/vm2": `NETWORK  VLAN   MTU
green       2  1500

PORT  NETWORK  MAC                ADDRESSES  SEEN
vm1   blue     02:00:00:00:01:10  10.0.1.10  unknown
vm2   green    02:00:00:00:02:10  10.0.2.10  unknown
`,
		"get interfaces": `INTERFACE  ROUTER  NETWORK  MAC                ADDRESSES
r1-blue    r1      blue     02:00:00:00:01:01  10.0.1.1/24
r1-green   r1      green    02:00:00:00:02:01  10.0.2.1/24
`,
		"get if r1-green -o wide": `INTERFACE  ROUTER  NETWORK  MAC                ADDRESSES    PATCH PORT   TAP
r1-green   r1      green    02:00:00:00:02:01  10.0.2.1/24  pr-r1-green  qr-r1-green
`,
		"get interface --network blue --router r1 -o name": "interface/r1-blue\n",
		"get ports vm2 -o yaml":                            "ports:\n  - {id: vm2, network: green, mac: \"02:00:00:00:02:10\", addresses: [10.0.2.10]}\n",
		"export":                                           goodTopology,
	} {
		d.prints(want, strings.Fields(args)...)
	}
	d.fails(1, "ofdvr: there is no such object: port \"vm3\"\n", "get", "ports", "vm1", "vm3")
	d.fails(0, "no ports that match\n", "get", "ports", "--network", "red")
	d.fails(1, "ofdvr: interface \"x\" does not exist\n", "get", "interfaces", "r1-blue", "x")
}

// An export has all objects, in each format.
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

// Lists are read page by page until the end.
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
	// The first ports on a network are listed, with the command to list the other ports.
	out, _ = d.ofdvr(0, "describe", "network", "blue")
	if want := "Ports:       2500, of which 0 are seen on the integration bridge\n             p0000, 02:00:00:00:00:00; seen: unknown\n"; !strings.Contains(out, want) {
		t.Errorf("describe prints\n%s\nwant %q", out, want)
	}
	if want := "             p0019, 02:00:00:00:00:13; seen: unknown\n             and 2480 more: ofdvr get ports --network blue\n"; !strings.Contains(out, want) {
		t.Errorf("describe prints\n%s\nwant %q", out, want)
	}
}

// Describe shows the details of each kind of object.
func TestDescribe(t *testing.T) {
	d := applied(t, nil)
	d.prints(`Network:     blue
From:        disk
VLAN:        1
MTU:         1500
Router:      r1, interface r1-blue, 02:00:00:00:01:01, 10.0.1.1/24
Ports:       1, of which 0 are seen on the integration bridge
             vm1, 02:00:00:00:01:10, 10.0.1.10; seen: unknown
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
Flows:       8000 desired, 8000 installed, 0 refused, 0 foreign
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
Seen:        unknown
             no bridge in this test
Router:      r1
Flow:        3 packets, 294 bytes: table=2, priority=100,ip,nw_dst=10.0.1.10 actions=drop
Accepted:    yes
Programmed:  yes
Degraded:    no
`, "describe", "port", "vm1")
	d.fails(1, "ofdvr: there is no such object: router \"r2\"\n", "describe", "router", "r2")
	both, _ := d.ofdvr(0, "describe", "ports", "vm1", "vm2")
	if named, _ := d.ofdvr(0, "describe", "port/vm1", "port/vm2"); named != both || strings.Count(both, "Port: ") != 2 || !strings.Contains(both, "\n\nPort:        vm2\n") {
		t.Errorf("two ports:\n%s\n%s", both, named)
	}
}

func TestStatus(t *testing.T) {
	d := applied(t, nil)
	const want = "intent: revision 1, hash 0d545d32070b\nROUTER  BRIDGE  SWITCH     DESIRED  INSTALLED  STATE    READY\nr1      rb-r1   connected     8000       8000  settled  yes\n"
	d.prints(want, "status")
	d.prints(want, "status", "--wait")
	t.Setenv(envAPI, d.endpoint) // used instead of --api
	var out, errOut strings.Builder
	if run(t.Context(), []string{"status"}, &out, &errOut) != 0 || out.String() != want {
		t.Errorf("with $%s: %s%s", envAPI, &out, &errOut)
	}
	d.prints(want, "status", "--exit-code")
	d.mu.Lock()
	d.ailments = []string{"the disk is full"}
	d.mu.Unlock()
	d.prints(want+"problem: the disk is full\n", "status")
	if out, errOut := d.ofdvr(1, "status", "--exit-code"); out != want+"problem: the disk is full\n" || errOut != "" {
		t.Errorf("with a problem: %s%s", out, errOut)
	}
}

// Complete prints its plan, and then that the intent is complete.
func TestComplete(t *testing.T) {
	d := applied(t, nil)
	const plan = "0 objects: 0 to create, 0 to update, 0 to delete, 0 unchanged; 0 flows and 0 rows to change\n"
	d.prints(plan, "complete", "--dry-run")
	d.prints(plan+"the intent is complete\n", "complete")
}

// Kinds, IDs and formats are completed. A daemon that does not answer causes no message.
func TestCompletion(t *testing.T) {
	d := applied(t, nil)
	for args, want := range map[string]string{
		"get |":                             "networks routers ports hosts interfaces all",
		"trace --api API v":                 "vm1 vm2",
		"trace --api API vm1 v":             "vm2",
		"trace vm1 vm2 |":                   "",
		"get ports --api API v":             "vm1 vm2",
		"describe port --api API vm1 v":     "vm2",
		"delete network --api API b":        "blue",
		"flows --api API r":                 "r1",
		"flows --api API r1 |":              "",
		"get ports --api API --network g":   "green",
		"get ports -o |":                    "table wide name json yaml",
		"get ports --api unix:/nowhere v":   "",
		"get houses --api API v":            "",
		"watch |":                           "networks routers ports hosts",
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
			t.Errorf("%s is completed with %q, want %q; standard error %q", args, got, want, &out)
		}
		if strings.Contains(errOut.String(), "daemon") {
			t.Errorf("%s prints %s", args, &errOut)
		}
	}
}

// An answer of another program at --api is an error, also with --ignore-not-found.
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
