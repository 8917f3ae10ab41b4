package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Doctor reports that it has found no fault, or each fault with its remedy. It also works without
// the daemon.
func TestDoctor(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	out := s.ofdvr(0, "doctor")
	mustHave(t, out, "note     packets: none received on r1-blue, r1-green\n         → see whether machines have the interface's address as their gateway")
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	ping(t, vm1, vm2.IP(), lab.PingOptions{})
	for _, want := range []string{
		"ok       daemon: leads, with 2 networks, 1 router and 2 ports\n",
		"ok       Open vSwitch: of an unknown version at unix:/var/run/openvswitch/db.sock answers\n",
		"ok       bridge br-int: exists, with datapath_type " + lab.Datapath() + "\n",
		"ok       OVSDB: bridges, controllers, taps, and patch ports with their peers and tags are as desired\n",
		"ok       flows: 1 bridge holds exactly the desired flows, groups and meters\n",
		"ok       packets: received on 2 of 2 interfaces\n",
		"ok       machines: 2 of 2 ports seen on bridge br-int, in the VLANs of their networks\n",
		"ok       namespaces: 1 router has taps, addresses, MTUs, routes and forwarding as desired\n",
		"\nEverything is as it should be.\n",
	} {
		s.eventually("doctor to report no problem", func() error { return lacks(s.ofdvr(0, "doctor"), want) })
	}

	// Doctor prints the sample in the documentation.
	if lab.Datapath() == "netdev" {
		text, err := os.ReadFile("../../docs/cli.md")
		if err != nil {
			t.Fatal(err)
		}
		_, sample, _ := strings.Cut(string(text), "$ ofdvr doctor\n")
		sample, _, _ = strings.Cut(sample, "```")
		want := strings.Replace(sample, "3.1.0", "of an unknown version", 1)
		s.eventually("doctor to print the sample in docs/cli.md", func() error {
			if got := s.ofdvr(0, "doctor"); got != want {
				return fmt.Errorf("it prints\n%s\nwant\n%s", got, want)
			}
			return nil
		})
	}

	// The ports of a network without a VLAN wait for an agent that tags them.
	s.reload(strings.Replace(with("routers:", "  - {id: red}\nrouters:"), "ports:",
		"      - {id: r1-red, network: red, mac: \"02:00:00:00:03:01\", addresses: [10.0.3.1/24]}\nports:", 1))
	out = s.ofdvr(1, "doctor")
	mustHave(t, out, "PROBLEM  router r1: port pi-r1-red of interface r1-red is in the dead VLAN 4095, because no agent has bound it\n         → see the log of the L2 agent that tags ports, or give network red a vlan\n")
	s.reload(twoNetworks)

	s.Switch().Kill()
	mustHave(t, s.ofdvr(1, "doctor"), "PROBLEM  Open vSwitch: ovs-vswitchd does not answer: ")
	s.eventually("the connection to be closed", func() error {
		return lacks(s.ofdvr(1, "doctor"), "PROBLEM  router r1: bridge rb-r1 has not connected to ")
	})
	s.stop()
	out = s.ofdvr(1, "doctor")
	mustHave(t, out, "PROBLEM  daemon: connect to ofdvr at unix:/run/ofdvr/api.sock: ")
	mustHave(t, out, "ok       Open vSwitch: of an unknown version answers\n")
	if !strings.HasSuffix(strings.Split(out, "ofdvr doctor")[0], "\n1 problem.\n") {
		t.Errorf("%s", out)
	}
}
