package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// On each host, the commands show the other hosts, the path of a packet to another host, and every
// fault that stops packets between hosts.
func TestFabricDoctor(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31 g31"))
	h1, h2 := f.hosts[0], f.hosts[1]

	h1.eventually("doctor to find the tunnels in order", func() error {
		out, _ := h1.Ofdvr(t.Context(), "doctor")
		for _, want := range []string{"ok       hosts: tunnels pass packets of all sizes to 2 hosts: h2, h3\n", "6 of 6 ports seen", "flows: 2 bridges hold exactly the desired flows"} {
			if err := lacks(out, want); err != nil {
				return err
			}
		}
		return nil
	})
	h1.ofdvr(0, "doctor")
	mustHave(t, h1.ofdvr(0, "status"), "host h2: alive, with 2 machines\nhost h3: alive, with 2 machines\n")
	if m := h1.scrape(); m[`ofdvr_host_heard{host="h2"}`] != 1 || m[`ofdvr_host_machines{host="h3"}`] != 2 {
		t.Errorf("metrics of hosts: %v", m)
	}
	there := h1.ofdvr(0, "trace", "b11", "g21", "--verify")
	mustHave(t, there, "of host h1: out of interface r1-green into network green, from "+gatewayMAC(1)+" to ")
	mustHave(t, there, "(port g21) by a tunnel to host h2, TTL 63")
	mustHave(t, there, "of host h2: out of interface r1-blue into network blue")
	mustHave(t, h1.ofdvr(0, "trace", "b11", "b21"), "from host h1 to host h2 by a tunnel")

	// A machine on two hosts.
	copied := fleetMachine(0, "b11")
	copied.Name = "copy"
	f.moves = true
	f.add(2, copied)
	for _, s := range []*site{h1, h2} {
		s.reportsProblem("the machine of port b11 is plugged in on hosts h2 and h1: h2, where it was plugged in last, has it")
	}
	if err := f.machines["copy"].Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	delete(f.machines, "copy")
	f.settle()
	const moved = "machine moved to another host  from=h2  network=blue  port=b11  to=h1"
	h1.eventually("the event of the move", func() error { return lacks(h1.ofdvr(0, "events"), moved) })
	for filter, has := range map[string]bool{"--port b11": true, "--host h1": true, "--host h2": true, "--network blue --port b11 --since 1h": true,
		"--port b21": false, "--host h3": false, "--network green": false, "--level warn": false, "--port b11 --since 1ms": false} {
		if got := h1.ofdvr(0, append([]string{"events"}, strings.Fields(filter)...)...); strings.Contains(got, moved) != has {
			t.Errorf("events %s:\n%s", filter, got)
		}
	}
	mustHave(t, h1.ofdvr(0, "events", "--host", "h2", "--level", "warn"), `machine is plugged in on several hosts, the first has it  hosts="h2 h1"  network=blue  port=b11`)
	mustHave(t, h1.ofdvr(1, "events", "--port", "b99"), `port "b99"`)
	for _, want := range []string{"State:       alive, last message ", "Machines:    b21, network blue\n             g21, network green\n", "Ports:       2 expected on it"} {
		mustHave(t, h1.ofdvr(0, "describe", "host", "h2"), want)
	}
	mustHave(t, h1.ofdvr(0, "describe", "host", "h1"), "Machines:    b11, network blue\n             g11, network green\n")

	// Another file.
	h2.write(fleetTopology(3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31")))
	h1.reportsProblem("host h2 has another intent than this host")
	h2.write(fleetTopology(3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31 g31")))
	f.settle()

	// A link that is down.
	if err := f.links[1].Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustHave(t, h1.ofdvr(1, "doctor"), "PROBLEM  host h2: the tunnel to geneve 192.168.77.2 does not pass packets")
	h1.reportsProblem("no messages from host h2: packets may not pass")
	mustHave(t, h1.ofdvr(0, "events", "--host", "h2", "--level", "warn"), "no messages of another host arrive, packets may not pass between its machines and those of this host  host=h2")
	mustHave(t, h1.ofdvr(0, "describe", "host", "h2"), "Problem:     no messages from host h2: packets may not pass")
	h1.ofdvr(0, "status", "--wait") // problems of another host do not make this host unready
	h1.ofdvr(1, "status", "--exit-code")
	if err := f.links[1].Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.settle()

	// Networks that do not fit through the underlay.
	large := strings.ReplaceAll(fleetTopology(3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31 g31")), "mtu: 1400", "mtu: 1500")
	f.reload(large)
	out := h1.ofdvr(1, "doctor")
	mustHave(t, out, "WARNING  network blue: packets of 1500 bytes, its mtu, and 50 bytes of a tunnel do not fit through link "+underlayLink(h1)+", whose MTU is 1500, to host h2")
	misfit := "network blue: packets of 1500 bytes, its mtu, and 50 bytes of a tunnel do not fit through link " + underlayLink(h1) + ", whose MTU is 1500, to host h2: set its mtu to 1450 or less"
	mustHave(t, h1.ofdvr(0, "status"), "warning: "+misfit)
	mustHave(t, h1.warned("check", h1.file), h1.file+": "+misfit)
	mustHave(t, out, "PROBLEM  host h2: the tunnel to geneve 192.168.77.2 passes small packets and loses those of 1500 bytes")
	f.reload(fleetTopology(3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31 g31")))

	// A machine that uses the router's MAC address.
	impostor := lab.MachineConfig{Name: "impostor", MAC: gatewayMAC(0), Addresses: []string{"10.0.1.99/24"}}
	impostor.VLAN = h1.tagOf("b11")
	f.impostor = true
	m := lab.Plug(t, h1.Host, impostor)
	m.Ping(t.Context(), "10.0.1.98", lab.PingOptions{Wait: shortly}) // no answer
	h1.eventually("doctor to find the impostor", func() error {
		out, _ := h1.Ofdvr(t.Context(), "doctor")
		return lacks(out, fmt.Sprintf("PROBLEM  interface r1-blue: its MAC address %s came in by port impostor", gatewayMAC(0)))
	})
}

// If the file does not have this host, the status has a problem.
func TestHostIsNotInTheFile(t *testing.T) {
	t.Parallel()
	s := &site{Host: lab.Boot(t), t: t}
	s.write(fleetTopology(2, blueAndGreen, nil))
	s.serve("--host", "elsewhere")
	s.reportsProblem(`the intent has hosts, but none is called "elsewhere"`)
}

// Without --host, a host is the one of the file that has its hostname.
func TestHostname(t *testing.T) {
	t.Parallel()
	s := &site{Host: lab.Boot(t), t: t}
	name := strings.TrimSpace(s.sh("", "hostname"))
	s.write(strings.Replace(fleetTopology(2, blueAndGreen, nil), "{id: h1,", "{id: "+name+",", 1))
	s.serve()
	s.eventually("the host to know itself", func() error {
		out, err := s.Ofdvr(t.Context(), "describe", "host", name)
		if err == nil && !strings.Contains(out, "this host") {
			err = fmt.Errorf("describe says %s", out)
		}
		return err
	})
}

// warned runs ofdvr and returns what it prints as warnings.
func (s *site) warned(args ...string) string {
	s.t.Helper()
	path, err := lab.Binary()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.sh("", strings.Join(append([]string{path}, args...), " ")+" 2>&1 >/dev/null")
}

// underlayLink returns the name of the link by which packets leave a host for other hosts.
func underlayLink(s *site) string {
	s.t.Helper()
	_, after, _ := strings.Cut(s.sh("", "ip route get 192.168.77.9"), " dev ")
	link, _, _ := strings.Cut(after, " ")
	return link
}
