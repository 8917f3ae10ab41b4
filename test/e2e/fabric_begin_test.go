package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// When a host that routes gets tunnels to others, or an uplink, no packet is lost on it: neither those
// that flows route nor those that the namespace routes.
func TestHostsAreAdded(t *testing.T) {
	t.Parallel()
	t.Run("Tunnels", func(t *testing.T) { addHosts(t, false) })
	t.Run("Uplinks", func(t *testing.T) { addHosts(t, true) })
}

func addHosts(t *testing.T, uplinks bool) {
	t.Parallel()
	networks := []fleetNetwork{{id: "blue", options: ", vlan: 101"}, {id: "green", options: ", vlan: 102"}}
	f := newFleet(t, 2, networks)
	then := fleetTopology(2, networks, []string{"b11@", "b12@"})
	if uplinks {
		f.tagged = true
		f.uplinks()
		then = uplinkTopology(2, blueAndGreen, []string{"b11@", "b12@"})
	}
	_, alone, _ := strings.Cut(then, "networks:\n")
	alone = "networks:\n" + strings.NewReplacer("vni: 5001, ", "", "vni: 5002, ", "").Replace(alone)
	f.serve(alone)
	f.plugTagged("b11")
	for _, name := range []string{"b12", "g18"} { // g18 is not declared
		c := fleetMachine(f.network(name), name)
		c.VLAN = uint16(101 + f.network(name))
		if name == "g18" {
			c.ID = ""
		}
		f.add(1, c)
	}
	f.settle()
	for i := range 2 {
		pingTTL(t, f.machines["b11"], address(f.machines["g18"].MachineConfig, i), 63)
	}
	s := f.courier(t, "b11>g18", "g18>b11", "b12>b11")
	s.passes(50)
	f.reload(then)
	s.passes(50)
	s.end()
}

// When a host is removed, its groups and flows go on each other host in turn, and machines on these lose
// no packet.
func TestHostIsRemoved(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31 g31"))
	s := f.courier(t, "b11>g11", "b11>b21", "b11>g21", "g21>b11", "b21>g21")
	s.passes(50)
	f.unplug("b31")
	f.unplug("g31")
	for _, h := range f.hosts[:2] {
		uses := func() string {
			return h.sh("", "ovs-ofctl -O OpenFlow13 dump-flows br-fabric; ovs-ofctl -O OpenFlow13 dump-groups br-fabric")
		}
		mustHave(t, uses(), "192.168.77.3")
		h.write(fleetTopology(2, blueAndGreen, strings.Fields("b11 g11 b21 g21")))
		h.signal(syscall.SIGHUP)
		h.eventually("the host to use h3 no more", func() error {
			if got := uses(); strings.Contains(got, "192.168.77.3") {
				return fmt.Errorf("flows and groups are\n%s", got)
			}
			return nil
		})
		s.passes(50)
	}
	s.end()
}
