package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// notWaited is what commands with --etcd print after a change.
const notWaited = "ofdvr: the change is in etcd. This command did not wait for hosts and switches to confirm it\n"

// Commands work on etcd without a daemon. They check input as a daemon does, print the same, and say
// that they did not wait.
func TestCommandsWithEtcd(t *testing.T) {
	t.Parallel()
	s, c := storeOnly(t), newClerk(t)
	file := func(name, text string) string {
		path, err := s.WriteFile(name, text)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	two := file("two.yaml", twoNetworks)
	for i, step := range []struct {
		status int
		args   string
		text   string
	}{
		{0, "apply --wait=false " + two, "router/r1 created\n"},
		{0, "apply --wait=false " + two, "5 objects unchanged\n"},
		{0, "get all -o name", "port/vm1\n"},
		{0, "get routers", "blue,green"},
		{0, "get port vm1 -o yaml", "02:00:00:00:01:10"},
		{0, "get ports --network blue -o json", "vm1"},
		{1, "get port vm3", `"vm3"`},
		{64, "get port --mac x", "--mac x"},
		{1, "apply --wait=false " + file("vlan.yaml", "networks: [{id: red, vlan: 5000}]"), "vlan.yaml:1:28: networks[0].vlan: vlan 5000 is outside 1–4094"},
		{1, "apply --wait=false " + file("twice.yaml", "networks: [{id: red}]\nports: [{id: vm9, network: blue, mac: \"02:00:00:00:01:10\"}]"), "twice.yaml:2:"},
		{1, "apply --wait=false " + file("lost.yaml", "ports: [{id: vm9, network: none, mac: \"02:00:00:00:01:19\"}]"), "lost.yaml:1:"},
		{1, "apply --wait=false --all " + file("empty.yaml", "networks: []"), "use --allow-empty if that is meant"},
		{1, "delete --wait=false network blue", "blue"},
		{1, "delete --wait=false port vm3", `port "vm3" does not exist`},
		{0, "delete --wait=false network blue --cascade", "port/vm1 deleted"},
		{0, "apply --wait=false --all " + two, "network/blue created"},
		{0, "delete --wait=false port vm1 vm2", "port/vm2 deleted"},
		{0, "get all -o name", "router/r1"},
	} {
		args := strings.Fields(step.args)
		daemon := s.ofdvr(step.status, args...)
		out, errOut := c.run(step.status, args...)
		if step.status == 0 && daemon != out || !strings.Contains(daemon, strings.TrimSpace(errOut)) {
			t.Errorf("step %d: ofdvr %s prints\n%s%s, with a daemon\n%s", i, step.args, out, errOut, daemon)
		}
		says(t, out+errOut, step.text)
		if strings.Contains(errOut, notWaited) {
			t.Errorf("ofdvr %s, with --wait=false, prints %s", step.args, errOut)
		}
	}
	out, errOut := c.run(2, "diff", two)
	says(t, out, "5 objects: 2 to create, 0 to update, 0 to delete, 3 unchanged; only a daemon knows the flows and rows\n", "+ port vm1\n")
	if errOut != "" {
		t.Errorf("diff prints %s", errOut)
	}
	out, errOut = c.run(0, "apply", two)
	if out != "port/vm1 created\nport/vm2 created\n3 objects unchanged\n" || errOut != notWaited {
		t.Errorf("apply prints %q and %q", out, errOut)
	}
	if out, errOut = c.run(0, "apply", two); errOut != "" {
		t.Errorf("apply that changes nothing prints %q and %q", out, errOut)
	}
	says(t, c.get("ports"), "vm1", "unknown")
	c.run(0, "plan", two, "-o", "json")
	out, _ = c.run(0, "apply", two, "--dry-run")
	says(t, out, "only a daemon knows the flows and rows\n")
	out, _ = c.run(0, "complete")
	says(t, out, "the intent is complete\n")
	var b strings.Builder
	b.WriteString("ports:\n")
	for i := range 200 {
		fmt.Fprintf(&b, "  - {id: extra%d, network: blue, mac: \"02:00:00:00:99:%02x\", addresses: [10.0.1.%d]}\n", i, i, 30+i)
	}
	out, errOut = c.run(0, "apply", c.file("many.yaml", b.String()))
	says(t, errOut, "it is applied in parts, and a part that fails does not undo earlier parts\n", notWaited)
	if n := strings.Count(out, " created\n"); n != 200 || strings.Count(errOut, notWaited) != 1 {
		t.Errorf("%d ports are created\n%s", n, errOut)
	}
}

// get returns a table of objects in etcd.
func (c *clerk) get(what string) string {
	c.t.Helper()
	out, _ := c.run(0, "get", what)
	return out
}
