package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// ofdvr runs a command, fails the test unless it exits with status, and returns its
// output.
func (s *site) ofdvr(status int, args ...string) string {
	s.t.Helper()
	out, err := s.Ofdvr(s.t.Context(), args...)
	want := fmt.Sprintf("exit status %d", status)
	if status == 0 && err != nil || status != 0 && (err == nil || !strings.Contains(err.Error(), want)) {
		s.t.Fatalf("ofdvr %s: %v, want %s\n%s", strings.Join(args, " "), err, want, out)
	}
	if err != nil {
		return out + err.Error()
	}
	return out
}

// TestCommandLine uses the commands of a whole life cycle, from the first configuration to its
// removal.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	file := func(name, text string) string {
		path, err := s.WriteFile(name, text)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	two := file("two.yaml", twoNetworks)
	s.settle() // the daemon must be connected to the database; otherwise a plan has no rows
	if short := s.ofdvr(2, "plan", two); strings.Contains(short, "+ Bridge") || strings.Contains(short, "actions=") {
		t.Errorf("the plan without -v lists rows or flows:\n%s", short)
	}
	plan := s.ofdvr(2, "plan", two, "-v")
	mustHave(t, plan, "+ network blue\n", "; it is not connected, so these are all its flows @@\n", "+ Bridge rb-r1 ")
	if got := s.ofdvr(0, "apply", "-f", two); got != "network/blue created\nnetwork/green created\nrouter/r1 created\nport/vm1 created\nport/vm2 created\n" {
		t.Errorf("apply prints %q", got)
	}
	held := len(s.flows(bridge).flows)
	mustHave(t, plan, fmt.Sprintf("5 objects: 5 to create, 0 to update, 0 to delete, 0 unchanged; %d flows and 16 rows to change\n", held))
	if got := s.ofdvr(0, "plan", two); got != "5 objects: 0 to create, 0 to update, 0 to delete, 5 unchanged; 0 flows and 0 rows to change\n" {
		t.Errorf("plan prints %q", got)
	}
	if got := s.ofdvr(0, "apply", "-f", two); got != "5 objects unchanged\n" {
		t.Errorf("apply prints %q", got)
	}
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 3})
	s.counted(bridge, 3, "table=3,", "nw_dst=10.0.2.10 ")
	flows1 := s.ofdvr(0, "flows", "r1")
	mustHave(t, flows1, "TABLE  PRIORITY  PACKETS  BYTES  WHAT IT DOES ", "    3       100        3    294  sends packets to an address of port vm2 ", " ip,nw_dst=10.0.2.10\n")
	rows := make(map[string]bool)
	for line := range strings.Lines(flows1) {
		if rows[line] {
			t.Errorf("the output has the same flow twice: %s", line)
		}
		rows[line] = true
	}
	if hit := s.ofdvr(0, "flows", "r1", "--nonzero"); strings.Count(hit, "\n") < 3 || strings.Count(hit, "\n") >= len(rows) {
		t.Errorf("the list of flows with packets is\n%s", hit)
	}
	mustHave(t, s.ofdvr(0, "flows", "-o", "wide"), `output:"pr-r1-green"`)
	var flows map[string][]struct {
		Kind, ID string
		Packets  int
	}
	if err := json.Unmarshal([]byte(s.ofdvr(0, "flows", "r1", "-o", "json")), &flows); err != nil || len(flows["r1"]) != held {
		t.Errorf("%d flows as JSON, %v", len(flows["r1"]), err)
	}
	mustHave(t, s.ofdvr(0, "get", "ports"), "PORT  NETWORK  MAC                ADDRESSES  SEEN\n", "vm1   blue     02:00:00:00:01:10  10.0.1.10  vm1, VLAN 1\n")
	mustHave(t, s.ofdvr(0, "get", "routers", "-o", "wide"), fmt.Sprintf("r1      rb-r1   blue,green  qrouter-r1  settled  %5d  r1\n", held))
	mustHave(t, s.ofdvr(0, "get", "ports", "--network", "blue", "-o", "yaml"), `  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}`)
	mustHave(t, s.ofdvr(1, "get", "port", "nobody"), `there is no such object: port "nobody"`)
	mustHave(t, s.ofdvr(0, "describe", "port", "vm2"), "Flow:        3 packets, 294 bytes: ", "Programmed:  yes, since ", "From:        /var/lib/ofdvr/intent.db\n")
	mustHave(t, s.ofdvr(0, "describe", "router", "r1"), "Bridge:      rb-r1, made by ofdvr, connected\n", fmt.Sprintf("Flows:       %d desired, %[1]d installed", held))
	mustHave(t, s.ofdvr(0, "describe", "network", "blue"), "VLAN:        1\n", "Ports:       1, of which 1 is seen on the integration bridge\n             vm1, 02:00:00:00:01:10, 10.0.1.10; seen: vm1, VLAN 1\n")
	if got := s.ofdvr(0, "__complete", "get", "ports", "vm"); !strings.HasPrefix(got, "vm1\nvm2\n") {
		t.Errorf("completion has %q", got)
	}

	more := file("more.yaml", `ports:
  - {id: vm2, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.10]}
  - {id: vm9, network: green, mac: "02:00:00:00:02:99", addresses: [10.9.9.9]}
`)
	mustHave(t, s.ofdvr(2, "plan", more), "~ port vm2\n-     mac: \"02:00:00:00:02:10\"\n+     mac: \"02:00:00:00:02:11\"\n+ port vm9\n", "! address 10.9.9.9 is outside")
	bad := file("bad.yaml", "ports:\n  - {id: vm3, network: red, mac: \"02:00:00:00:02:11\"}\n  - {id: vm4, network: green, mac: \"02:00:00:00:02:10\"}\n")
	for _, args := range [][]string{{"apply", "-f", bad}, {"plan", bad}, {"apply", "-f", two, "-f", bad}} {
		mustHave(t, s.ofdvr(1, args...), bad+`:2:24: ports[0].network: unknown network "red"`+"\n", bad+`:3:36: ports[1].mac: mac 02:00:00:00:02:10 is already used by port "vm2" on network "green"`)
	}

	s.sh("", "mkdir /run/dir && cp "+two+" "+more+" /run/dir && sed -i 's/id: vm2/id: vm5/;s/2.10/2.12/' /run/dir/more.yaml && echo no topology >/run/dir/README")
	mustHave(t, s.ofdvr(0, "apply", "-f", "/run/dir", "--all"), "port/vm5 created\nport/vm9 created\n")
	exported := s.ofdvr(0, "export")
	again := file("exported.yaml", exported)
	mustHave(t, s.ofdvr(0, "plan", again, "--all"), "0 to create, 0 to update, 0 to delete, 7 unchanged")
	mustHave(t, s.ofdvr(0, "check", again), "2 networks, 1 router, 4 ports")

	empty := file("empty.yaml", "networks: []\n")
	mustHave(t, s.ofdvr(1, "apply", "-f", empty, "--all"), "nothing is declared, so everything would be deleted", "--allow-empty")
	mustHave(t, s.ofdvr(0, "plan", again, "--all"), "0 to create, 0 to update, 0 to delete, 7 unchanged")

	mustHave(t, s.ofdvr(1, "delete", "network", "blue"), `network "blue" is in use by interface "r1-blue", port "vm1"`, "--cascade")
	mustHave(t, s.ofdvr(1, "delete", "port", "vm9", "vm7"), "port/vm9 deleted\n", `port "vm7" does not exist`)
	s.ofdvr(0, "delete", "port", "vm7", "--ignore-not-found")
	mustHave(t, s.ofdvr(0, "delete", "network", "blue", "--cascade"), "port/vm1 deleted\nrouter/r1 updated\nnetwork/blue deleted\n")
	mustHave(t, s.ofdvr(0, "delete", "-f", again, "--ignore-not-found"), "router/r1 deleted\nnetwork/green deleted\n")
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("bridges are left: %q", got)
	}
	mustHave(t, s.ofdvr(0, "status"), "store /var/lib/ofdvr/intent.db: 0 networks, 0 routers, 0 ports\n")

	// The commands of ofdvr store work only while no daemon runs.
	for _, command := range []string{"export", "check"} {
		mustHave(t, s.ofdvr(1, "store", command), "the store is in use by another process")
	}
	mustHave(t, s.ofdvr(1, "store", "import", two), "the store is in use by another process")
	s.stop()
	mustHave(t, s.ofdvr(0, "store", "import", two), "now has 2 networks, 1 router, 2 ports\n")
	mustHave(t, s.ofdvr(1, "store", "import", bad), bad+":2:24: ")
	mustHave(t, s.ofdvr(1, "store", "import", empty), empty+": nothing is declared", "--allow-empty")
	mustHave(t, s.ofdvr(0, "store", "check"), "/var/lib/ofdvr/intent.db: ok: schema version 3, revision ", "2 networks, 1 router, 2 ports\n")
	if got := s.ofdvr(0, "store", "export"); got != strings.TrimPrefix(twoNetworks, "\n") {
		t.Errorf("the store has\n%s", got)
	}
	s.serve()
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
	s.ofdvr(64, "get", "houses")
	s.ofdvr(64, "plan")
	s.ofdvr(64, "apply")
}

// While a bridge is disconnected, flows lists the flows of the connected bridges. A network can be
// deleted by its file, together with the objects that refer to it.
func TestCommandLineWithABridgeAway(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	file := func(name, text string) string {
		path, err := s.WriteFile(name, text)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	s.ofdvr(0, "apply", "-f", file("two.yaml", twoNetworks))
	s.ofdvr(0, "apply", "--wait=false", "-f", file("away.yaml", `routers:
  - {id: a, fallback: none, bridge: {managed: false, name: br-away}}
`))
	mustHave(t, s.ofdvr(1, "flows"), "router r1\nTABLE", "sends packets to an address of port vm2 ", "read the flows of router \"a\": the bridge is not connected")
	mustHave(t, s.ofdvr(1, "flows", "a"), "read the flows of router \"a\": the bridge is not connected")
	s.ofdvr(0, "delete", "router", "a")
	blue := file("blue.yaml", "networks: [{id: blue, vlan: 1}]\n")
	mustHave(t, s.ofdvr(0, "delete", "-f", blue, "--cascade"), "port/vm1 deleted\nrouter/r1 updated\nnetwork/blue deleted\n")
	if got := s.flows(bridge).find("nw_dst=10.0.1.10 "); len(got) != 0 {
		t.Errorf("the deleted port still has a flow: %v", got)
	}
}

// A watcher that has missed changes gets a full list. Here it misses changes because the daemon
// forgets its history when it stops.
func TestWatchListsAgain(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	s.settle()
	first := int(s.status().Intent.Revision)
	s.must(201, "PUT", "/v1/networks/a", `{}`)
	s.must(201, "PUT", "/v1/networks/b", `{"vlan": 7}`)
	s.stop()
	s.serve()
	s.settle()
	w, err := s.StartDaemon("watch", "--since", fmt.Sprint(first))
	if err != nil {
		t.Fatal(err)
	}
	now := s.status().Intent.Revision
	s.eventually("the watcher to print a full list", func() error {
		log := w.Log()
		for _, want := range []string{
			fmt.Sprintf("the changes after revision %d are no longer stored; these are all objects at revision %d:\n", first, now),
			fmt.Sprintf("%d network/a present {\"id\":\"a\"}\n", now),
			fmt.Sprintf("%d network/b present {\"id\":\"b\",\"vlan\":7}\n", now),
		} {
			if !strings.Contains(log, want) {
				return fmt.Errorf("%q is not in\n%s", want, log)
			}
		}
		return nil
	})
}

// A watcher sees each change once and in order, even if the daemon is killed and started again.
func TestWatchSurvivesRestart(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	s.settle()
	first := int(s.status().Intent.Revision)
	w, err := s.StartDaemon("watch", "networks", "--since", fmt.Sprint(first))
	if err != nil {
		t.Fatal(err)
	}
	line := func(n int, rest string) string { return fmt.Sprintf("%d network/%s", first+n, rest) }
	shown := func(want ...string) {
		t.Helper()
		s.eventually("the watcher to print the change", func() error {
			var lines []string
			for line := range strings.Lines(w.Log()) {
				if strings.Contains(line, "network/") {
					lines = append(lines, strings.TrimSpace(line))
				}
			}
			if strings.Join(lines, "\n") != strings.Join(want, "\n") {
				return errors.New(w.Log())
			}
			return nil
		})
	}
	s.must(201, "PUT", "/v1/networks/a", `{}`)
	shown(line(1, `a created {"id":"a"}`))
	s.daemon.Kill()
	s.eventually("the watcher to notice the killed daemon", func() error {
		if !strings.Contains(w.Log(), "waiting for the daemon") {
			return errors.New(w.Log())
		}
		return nil
	})
	s.serve()
	s.must(201, "PUT", "/v1/networks/b", `{"vlan": 7}`)
	s.must(200, "DELETE", "/v1/networks/a", "")
	shown(line(1, `a created {"id":"a"}`), line(2, `b created {"id":"b","vlan":7}`), line(3, "a deleted"))
	if strings.Contains(w.Log(), "list again") {
		t.Errorf("the watcher missed a change:\n%s", w.Log())
	}
}
