package e2e

import (
	"strings"
	"testing"
)

// The daemon listens on several endpoints. A managed bridge connects to the first tcp: endpoint,
// and an external bridge to a Unix socket.
func TestSeveralListeners(t *testing.T) {
	t.Parallel()
	s := bare(t, strings.Replace(byName, "routers:", `  - {id: red, vlan: 3}
routers:
  - id: r2
    interfaces:
      - {id: r2-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}`, 1))
	s.handMade()
	s.vsctl("set-controller", "br-x", "unix:/var/run/openvswitch/br-x.controller") // the only path that Open vSwitch allows
	vm1, vm2, vm3 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm3", "10.0.3.10"))
	s.serve("--openflow", "punix:/run/openvswitch/br-x.controller,tcp:127.0.0.1:6654,tcp:127.0.0.1:6653")
	s.settle()
	if got := strings.TrimSpace(s.vsctl("get-controller", "rb-r2")); got != "tcp:127.0.0.1:6654" {
		t.Errorf("the managed bridge's controller is %s", got)
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm3, "10.0.3.1", 64)
}

// The daemon can use the management socket of a bridge without a controller. It gets port changes
// on this socket too. It reconnects after an outage of Open vSwitch.
func TestManagementSocket(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.vsctl("del-controller", "br-x")
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.serve("--ovsdb", "", "--openflow", "unix:/run/openvswitch/br-x.mgmt")
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)

	s.vsctl("del-port", "x-green")
	s.eventually("the status to name the missing port", func() error {
		if p := s.status().Routers[0].Problems; len(p) != 1 || !strings.Contains(p[0], "x-green") {
			return errLogLacks("x-green among the problems: " + strings.Join(p, "; "))
		}
		return nil
	})
	s.vsctl("add-port", "br-x", "x-green", "--", "set", "interface", "x-green", "type=patch", "options:peer=int-green")
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)

	s.Switch().Kill()
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
}
