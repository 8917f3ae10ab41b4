package e2e

import (
	"strings"
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
