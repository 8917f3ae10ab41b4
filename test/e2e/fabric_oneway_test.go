package e2e

import (
	"strings"
	"testing"
)

// If packets pass from h2 to h1, but not back, both hosts and doctor on both say so.
func TestOneWayBetweenHosts(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, strings.Fields("b11 b21"))
	h1, h2 := f.hosts[0], f.hosts[1]
	h1.eventually("h1 to hear the others", func() error {
		return lacks(h1.ofdvr(0, "status"), "host h2: alive, with 1 machine\nhost h3: alive, with 0 machines\n")
	})
	if err := f.links[0].Block(t.Context(), f.links[1], true); err != nil {
		t.Fatal(err)
	}
	h2.reportsProblem("no messages from host h1: packets may not pass")
	h1.reportsProblem("messages of this host do not arrive at host h2, but messages of that host arrive here")
	mustHave(t, h1.ofdvr(0, "status"), "host h2: one-way, its messages arrive here, and messages of this host do not arrive there; with 1 machine\nhost h3: alive")
	mustHave(t, h1.ofdvr(0, "get", "hosts", "h2", "-o", "wide"), "one-way")
	mustHave(t, h1.ofdvr(0, "describe", "host", "h2"), "Problem:     messages of this host do not arrive at host h2")
	mustHave(t, h1.ofdvr(1, "doctor"), "PROBLEM  host h2: the tunnel to geneve 192.168.77.2 passes packets in one direction only: messages of that host arrive here, but messages of this host do not arrive there")
	mustHave(t, h2.ofdvr(1, "doctor"), "PROBLEM  host h1: the tunnel to geneve 192.168.77.1 does not pass packets")
	if err := f.links[0].Block(t.Context(), f.links[1], false); err != nil {
		t.Fatal(err)
	}
	f.settle()
	h1.eventually("the path to be whole again", func() error {
		return lacks(h1.ofdvr(0, "status"), "host h2: alive, with 1 machine\n")
	})
	h1.eventually("doctor to find it whole", func() error {
		out, _ := h1.Ofdvr(t.Context(), "doctor")
		return lacks(out, "tunnels pass packets of all sizes to 2 hosts: h2, h3")
	})
}
