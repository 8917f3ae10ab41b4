package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// carried has a router on a network of two hosts, and on a network of this host only.
const carried = `
hosts:
  - {id: h1, tunnel: {address: 192.0.2.1}}
  - {id: h2, tunnel: {address: 192.0.2.2, type: vxlan}}
networks:
  - {id: blue, vni: 5001, mtu: 1400}
  - {id: green, vlan: 1}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10]}
`

// The switch makes the fabric bridge and its tunnel ports. A machine gets the tag of its network when
// it is plugged in, and no network when its port is removed. A restart changes nothing, and cleanup removes all.
func TestFabricInSwitch(t *testing.T) {
	t.Parallel()
	s := bare(t, carried)
	c := vm("vm1", "10.0.1.10")
	c.VLAN = 0
	s.plug(c)
	s.vsctl("set", "interface", "vm1", "external_ids:iface-id=vm1")
	d := vm("vm2", "10.0.2.10")
	d.VLAN = 1
	vm2 := s.plug(d)
	before := s.database()
	s.serve("--host", "h1")
	s.settle()
	if got := s.vsctl("list-ports", "br-fabric"); got != "fn-blue\nfr-r1\nft-geneve\nft-vxlan" {
		t.Errorf("ports of br-fabric: %q", got)
	}
	for _, p := range []string{"ft-geneve", "ft-vxlan", "fn-blue", "fi-blue", "fr-r1", "rf-r1"} {
		if got := s.vsctl("get", "interface", p, "error"); got != "[]" {
			t.Errorf("port %s: %s", p, got)
		}
	}
	tags := func() string {
		return strings.Join(strings.Fields(s.vsctl("get", "port", "fi-blue", "tag", "--", "get", "port", "pi-r1-blue", "tag", "--", "get", "port", "vm1", "tag")), " ")
	}
	if got := tags(); got != "2 2 2" { // green has 1
		t.Errorf("tags %s", got)
	}
	pingTTL(t, vm2, "10.0.1.10", 63)
	if flows := s.sh("", "ovs-ofctl --no-stats dump-flows br-int"); strings.TrimSpace(flows) != "priority=0 actions=NORMAL" {
		t.Errorf("flows of the integration bridge:\n%s", flows)
	}

	s.stop()
	transactions := len(s.transactions())
	s.serve("--host", "h1")
	s.settle()
	if n := len(s.transactions()) - transactions; n != 0 {
		t.Errorf("a restart made %d transactions", n)
	}

	gone := strings.Replace(carried, "vm1, network: blue, mac: \"02:00:00:00:01:10\", addresses: [10.0.1.10]",
		"vm1, network: green, mac: \"02:00:00:00:01:10\", addresses: [10.0.2.11]", 1)
	file, err := s.WriteFile("next.yaml", gone)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, s.ofdvr(2, "plan", file), "rows of Open vSwitch's database: 0 to insert, 1 to update")
	s.write(gone)
	s.eventually("the machine to lose its network", func() error {
		if got := tags(); got != "2 2 4095" {
			return fmt.Errorf("tags %s", got)
		}
		return nil
	})
	s.write(carried)
	s.eventually("the machine to have its tag again", func() error {
		if got := tags(); got != "2 2 2" {
			return fmt.Errorf("tags %s", got)
		}
		return nil
	})
	s.stop()
	out, err := s.Ofdvr(t.Context(), "cleanup")
	if err != nil || !strings.Contains(out, "removed Bridge br-fabric\n") || !strings.Contains(out, "updated Port vm1 (external_ids:ofdvr-tag, tag, trunks, vlan_mode)\n") {
		t.Errorf("cleanup: %v\n%s", err, out)
	}
	s.vsctl("clear", "port", "vm1", "tag", "vlan_mode", "trunks")
	if after := s.database(); after != before {
		t.Errorf("cleanup left the database different:\n%s", diff(before, after))
	}
}
