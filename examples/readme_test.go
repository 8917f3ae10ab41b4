package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestQuickStart runs the commands of the quick start in the top README, on an Open vSwitch that is
// already in use. Its flows and ports are the same during the quick start and after it.
func TestQuickStart(t *testing.T) {
	data, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	topology := regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindStringSubmatch(string(data))
	blocks := regexp.MustCompile("(?s)\n```sh\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if topology == nil || len(blocks) != 2 {
		t.Fatalf("README.md: want a topology and two blocks of commands, got %q and %q", topology, blocks)
	}
	h := lab.Boot(t)
	vm1 := lab.Plug(t, h, lab.MachineConfig{Name: "vm1", VLAN: 1, MAC: "02:00:00:00:01:10", Addresses: []string{"10.0.1.10/24"}, Gateways: []string{"10.0.1.1"}})
	vm2 := lab.Plug(t, h, lab.MachineConfig{Name: "vm2", VLAN: 2, MAC: "02:00:00:00:02:10", Addresses: []string{"10.0.2.10/24"}, Gateways: []string{"10.0.2.1"}})
	lab.Run(t, h, "ovs-ofctl", "add-flow", "br-int", "priority=77,udp,tp_dst=7,actions=drop")
	vm1.Ping(t.Context(), "10.0.1.200", lab.PingOptions{Count: 1}) // gets no answer, but makes br-int learn the machine's MAC address
	vm2.Ping(t.Context(), "10.0.2.200", lab.PingOptions{Count: 1})
	file, err := h.WriteFile("topology.yaml", topology[1])
	if err != nil {
		t.Fatal(err)
	}
	const existing = "ovs-ofctl --no-stats dump-flows br-int; ovs-vsctl --columns=name,tag,trunks,other_config,external_ids list port vm1 vm2; ovs-vsctl get-controller br-int; ovs-vsctl --columns=protocols,fail_mode list bridge br-int"
	const separator = "\n=====\n"
	show := "echo '" + separator + "'; " + existing + "; echo '" + separator + "'\n"
	out := runScript(t, h, "cd "+filepath.Dir(file)+"\n"+show+blocks[0][1]+"ip netns exec vm1 ping -c 3 -i 0.2 10.0.2.10\novs-vsctl list-br\n"+show+blocks[1][1]+show, "sh", "-ec")
	parts := strings.Split(out, separator)
	if len(parts) != 7 {
		t.Fatalf("the commands printed\n%s", out)
	}
	if parts[1] != parts[3] || parts[1] != parts[5] || !strings.Contains(parts[1], "priority=77") {
		t.Errorf("br-int was\n%s\nduring ofdvr\n%s\nafterwards\n%s", parts[1], parts[3], parts[5])
	}
	for _, want := range []string{"ok: 2 networks, 1 router, 2 ports", "settled  yes", "routes it in the switch", "ttl=63", " 0% packet loss", "rb-r1"} {
		if !strings.Contains(parts[2], want) {
			t.Errorf("%q is missing in\n%s", want, parts[2])
		}
	}
	if left := lab.Run(t, h, "ovs-vsctl", "list-br") + lab.Run(t, h, "ip", "netns"); strings.Contains(left, "rb-r1") || strings.Contains(left, "qrouter") {
		t.Errorf("left after the last command: %s", left)
	}
}
