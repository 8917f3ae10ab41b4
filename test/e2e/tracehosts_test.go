package e2e

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A trace shows the parts of the path on both hosts, on whichever host it runs. If a host does not
// answer, it says so and shows the rest.
func TestTraceBetweenHosts(t *testing.T) {
	t.Parallel()
	f := sharedFleet(t, 3, "b11", "g21", "b31")
	for _, pair := range [][2]string{{"b11", "g21"}, {"b11", "b31"}} {
		ping(t, f.machines[pair[0]], address(f.machines[pair[1]].MachineConfig, 0), lab.PingOptions{Count: 3, Wait: patience})
	}
	h1, h2 := f.hosts[0], f.hosts[1]
	var out string
	for _, s := range f.hosts {
		s.eventually("both hosts to count the packets", func() error {
			var err error
			if out, err = s.Ofdvr(t.Context(), "trace", "b11", "g21", "--verify"); err != nil {
				return err // br-int may have forgotten a machine, because a port was added
			}
			if strings.Contains(out, "missing") || strings.Contains(out, "?") {
				return errors.New(out)
			}
			for _, want := range []string{
				"3 sends packets to an address of port g21", // in the router's bridge on h1
				"3 sends packets to an address of port b11", // on h2
				"br-fabric 1 200 3 recognizes packets of network green",
				"3 sends packets of interface r1-green that came from other hosts to the machines of this host",
				"on host h2, to which it comes by a tunnel from host h1:",
				"on host h1, to which it comes by a tunnel from host h2:",
				"Host h2 switches it in network green to the machine of port g21",
				"Host h1 switches it in network blue to the machine of port b11",
				"(port g21) by a tunnel to host h2, TTL 63",
				"Open vSwitch gives the same result, from port b11 of the integration bridge to a tunnel to host h2.",
				"Open vSwitch gives the same result, to port g21 of the integration bridge.",
				"Open vSwitch gives the same result, to port b11 of the integration bridge.",
			} {
				if err := lacks(strings.Join(strings.Fields(out), " "), want); err != nil {
					return err
				}
			}
			return nil
		})
	}
	t.Logf("trace:\n%s", out)
	var switched string
	h2.eventually("Open vSwitch to give the same result", func() (err error) {
		switched, err = h2.Ofdvr(t.Context(), "trace", "b11", "b31", "--verify")
		return err
	})
	t.Logf("switched:\n%s", switched)
	mustHave(t, switched, "It goes from host h1 to host h3 by a tunnel.\n  on host h3, to which it comes by a tunnel from host h1:\n")
	mustHave(t, switched, "  Host h3 switches it in network blue to the machine of port b31\n  Open vSwitch gives the same result, to port b31 of the integration bridge.\n")
	var d api.TraceDocument
	if err := json.Unmarshal([]byte(h1.ofdvr(0, "trace", "b11", "g21", "-o", "json")), &d); err != nil || len(d.Paths) != 2 || len(d.Paths[0].Arrivals) != 1 || !d.Paths[0].Arrivals[0].Arrives || d.Paths[1].Assumed {
		t.Errorf("the document is %+v, %v", d, err)
	}

	h2.daemon.Kill()
	out = h1.ofdvr(0, "trace", "b11", "g21")
	t.Logf("without host h2:\n%s", out)
	mustHave(t, out, "by a tunnel to host h2, TTL 63\n")
	mustHave(t, out, "  Host h2 has not answered, so its part of the path is not known: no")
	mustHave(t, out, "  Host h2 has not answered: no")
	mustHave(t, out, "  Host h1 switches it in network blue to the machine of port b11\n")
	mustHave(t, h1.ofdvr(1, "trace", "b11", "g21", "--verify"), "the result was not compared with Open vSwitch: host h2 has not answered: no")
}
