package e2e

import (
	"strings"
	"testing"
)

// The page shows the hosts: how packets reach each, whether it is heard, its machines and its problems.
func TestPageHosts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	topology := strings.NewReplacer("{id: h2, ", "{id: h2, name: right, ", "blue, vni: 5001, mtu: 1400", "blue, vni: 5001, mtu: 1480").
		Replace(fleetTopology(2, blueAndGreen, strings.Fields("b11 g21")))
	topology = strings.Replace(topology, "networks:", "  - {id: h3, uplink: eth1}\nnetworks:", 1)
	f.serve(topology)
	f.plug("b11")
	f.plug("g21")
	f.settle()
	v := visit(t, f.hosts[0].Host, "#view=overview")
	rows := `[...document.querySelectorAll("[aria-label='Hosts'] tbody tr")].map((r) => [...r.cells].map((c) => c.textContent.trim()).join("|")).join()`
	v.Until(rows + ` === "h1|this host|geneve 192.168.77.1|1,right|alive|geneve 192.168.77.2|1,h3|not known|eth1|–"`)
	v.text(".problems", "network blue: packets of 1480 bytes, its mtu, and 50 bytes of a tunnel do not fit through link")
	shot(t, v.Browser, "hosts")
	v.barriers("the hosts")
	if err := f.links[1].Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.Until(rows + `.includes("right|silent|")`)
	v.click("#health")
	v.text("#panel", "tunnel geneve 192.168.77.2, 1 machine")
	v.text("#panel", "uplink eth1")
	v.text("#panel", "no messages from host h2")
	shot(t, v.Browser, "host-silent")
}
