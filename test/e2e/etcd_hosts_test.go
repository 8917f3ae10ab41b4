package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// etcdFleet returns a fleet with machines whose daemons share their intent in etcd, which runs on the
// first host. Each daemon registers its host. The file with the machines is applied on the second host.
func etcdFleet(t *testing.T, hosts int, machines ...string) *fleet {
	t.Helper()
	f := newFleet(t, hosts, blueAndGreen)
	flags, _ := f.serveEtcd(1)
	for i, s := range f.hosts {
		s.serve(append([]string{"--host", fmt.Sprint("h", i+1), "--tunnel-address", f.links[i].IPv4}, flags...)...)
	}
	f.registered()
	file, err := f.hosts[1].WriteFile("fleet.yaml", withoutHosts(blueAndGreen, machines))
	if err != nil {
		t.Fatal(err)
	}
	f.hosts[1].ofdvr(0, "apply", file)
	for _, m := range machines {
		f.plug(m)
	}
	f.settle()
	return f
}

// registered waits until all hosts know all hosts.
func (f *fleet) registered() {
	f.t.Helper()
	for _, s := range f.hosts {
		s.eventually("all hosts to be known", func() error {
			if out := s.ofdvr(0, "get", "hosts", "-o", "name"); strings.Count(out, "host/") < len(f.hosts) {
				return fmt.Errorf("known are %q", out)
			}
			return nil
		})
	}
}

// withoutHosts returns the topology of a fleet without its hosts, which register themselves.
func withoutHosts(networks []fleetNetwork, machines []string) string {
	var anywhere []string
	for _, m := range machines {
		anywhere = append(anywhere, m+"@")
	}
	_, text, _ := strings.Cut(fleetTopology(0, networks, anywhere), "hosts:\n")
	return text
}

// Hosts register themselves in etcd. A file without hosts, applied on one of them, connects their
// machines. All hosts see which daemons are alive.
func TestHostsRegister(t *testing.T) {
	t.Parallel()
	f := etcdFleet(t, 2, "b11", "g12", "g21", "b22")
	f.acquainted(2)
	for _, to := range []string{"g21", "b22"} {
		ping(t, f.machines["b11"], address(f.machines[to].MachineConfig, 0), lab.PingOptions{Count: 3, Wait: patience})
	}
	hosts := func(want ...string) {
		t.Helper()
		f.hosts[0].eventually("the list of hosts", func() error {
			out := f.hosts[0].ofdvr(0, "get", "hosts")
			lines := strings.Split(out, "\n")
			if header := strings.Fields(lines[0]); strings.Join(header, " ") != "HOST TUNNEL ADDRESS STATE VERSION REVISION MACHINES PROBLEMS" {
				return fmt.Errorf("the header is %q", header)
			}
			var rows []string
			for _, line := range lines[1:] {
				if got := strings.Fields(line); len(got) == 8 {
					rows = append(rows, strings.Join(append(got[:4], got[6:]...), " "))
				}
			}
			for _, w := range want {
				if !slices.Contains(rows, w) {
					return fmt.Errorf("no row %q in\n%s", w, out)
				}
			}
			return nil
		})
	}
	hosts("h1 geneve 192.168.77.1 self 2 0", "h2 geneve 192.168.77.2 alive 2 0")
	f.hosts[1].stop()
	hosts("h2 geneve 192.168.77.2 away - -")
	ping(t, f.machines["b11"], address(f.machines["b22"].MachineConfig, 0), lab.PingOptions{Count: 3, Wait: patience})
	mustHave(t, f.hosts[0].ofdvr(0, "describe", "host", "h2"), "In etcd", "its daemon is not in touch with etcd")
	mustHave(t, f.hosts[0].ofdvr(0, "describe", "host", "h1"), "In etcd", "alive since ", "2 machines, ")
}

// Each host claims its machines in etcd. So a host finds the machines of another one whose daemon does
// not run, although it has no flows and hears no messages: what is gone keeps its routes.
func TestClaimsInEtcd(t *testing.T) {
	t.Parallel()
	f := etcdFleet(t, 3, "b11", "g22", "b33")
	f.acquainted(1)
	at := func(host int, want map[string]string) {
		t.Helper()
		f.hosts[host-1].eventually("the places of machines", func() error {
			out := f.hosts[host-1].ofdvr(0, "get", "ports", "-o", "wide")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			column := strings.Index(lines[0], "HOST")
			for _, line := range lines[1:] {
				got, _, _ := strings.Cut(line[column:], " ")
				if port, _, _ := strings.Cut(line, " "); want[port] != got {
					return fmt.Errorf("%s is on %q:\n%s", port, got, out)
				}
			}
			return nil
		})
	}
	for h := range f.hosts {
		at(h+1, map[string]string{"b11": "h1", "g22": "h2", "b33": "h3"})
	}
	f.hosts[1].daemon.Kill()
	f.hosts[0].stop()
	f.hosts[0].vsctl("del-br", "br-fabric")
	f.hosts[0].serve(f.hosts[0].flags...)
	at(1, map[string]string{"b11": "h1", "g22": "h2", "b33": "h3"})
	f.hosts[0].settle()
	ping(t, f.machines["b11"], address(f.machines["g22"].MachineConfig, 0), lab.PingOptions{Count: 3, Wait: patience})
}
