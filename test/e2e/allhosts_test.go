package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
)

// sharedFleet returns a fleet whose hosts share their intent in etcd on host 1. Its daemons have
// applied the topology.
func sharedFleet(t *testing.T, hosts int, machines ...string) *fleet {
	t.Helper()
	f := newFleet(t, hosts, blueAndGreen)
	flags, _ := f.serveEtcd(1)
	for i, s := range f.hosts {
		s.serve(append([]string{"--host", fmt.Sprint("h", i+1)}, flags...)...)
	}
	file, err := f.hosts[0].WriteFile("fleet.yaml", fleetTopology(hosts, blueAndGreen, machines))
	if err != nil {
		t.Fatal(err)
	}
	f.hosts[0].ofdvr(0, "apply", file)
	for _, s := range f.hosts {
		s.eventually("the intent to be there", func() error {
			st, err := s.readStatus()
			if err == nil && st.Intent.Networks < len(blueAndGreen) {
				err = fmt.Errorf("the status is %+v", st)
			}
			return err
		})
	}
	for _, m := range machines {
		f.plug(m)
	}
	f.settle()
	return f
}

// Status, doctor and events show all hosts, on whichever they run, and name the host that does not
// answer.
func TestAllHosts(t *testing.T) {
	t.Parallel()
	f := sharedFleet(t, 3, "b11", "g21", "b31")
	h2 := f.hosts[1]
	t.Logf("status:\n%s", h2.ofdvr(0, "status", "--all-hosts", "--exit-code"))
	for _, s := range f.hosts {
		s.eventually("all hosts to be ready", func() error {
			rows := strings.Split(s.ofdvr(0, "status", "--all-hosts"), "\n")
			for i, h := range []string{"h1", "h2", "h3"} {
				if got := strings.Fields(rows[i+1]); len(got) != 6 || got[0] != h || got[1] != "ready" || got[3] != "1/1" || got[4] != "1" || got[5] != "0" {
					return fmt.Errorf("host %s: %q", h, got)
				}
			}
			return nil
		})
	}
	doctor := h2.ofdvr(0, "doctor", "--all-hosts")
	t.Logf("doctor:\n%s", doctor)
	mustHave(t, doctor, "host h1\n")
	mustHave(t, doctor, "host h2\n")
	mustHave(t, doctor, "host h3\n")
	mustHave(t, doctor, "3 hosts: 0 problems")
	var d api.AllHosts[api.ExaminationDocument]
	if err := json.Unmarshal([]byte(h2.ofdvr(0, "doctor", "--all-hosts", "-o", "json")), &d); err != nil || len(d.Hosts) != 3 || len(d.Hosts[2].Answer.Findings) < 5 {
		t.Errorf("doctor as JSON: %+v, %v", d, err)
	}
	events := h2.ofdvr(0, "events", "--all-hosts", "-n", "1000")
	t.Logf("events:\n%s", events)
	seen := make(map[string]int)
	for line := range strings.Lines(events) {
		seen[strings.Fields(line)[0]]++
	}
	if len(seen) != 3 || seen["h1"] < 3 || seen["h3"] < 3 {
		t.Errorf("events of hosts %v:\n%s", seen, events)
	}
	mustHave(t, h2.ofdvr(0, "events", "--all-hosts", "-n", "1", "-o", "json"), `{"host":"h`)
	mustHave(t, h2.ofdvr(1, "events", "--all-hosts", "--router", "none"), `there is no such object: router "none"`)

	f.hosts[2].vsctl("del-br", "br-int")
	h2.eventually("the problem of host h3 to be shown", func() error {
		if out := h2.ofdvr(0, "status", "--all-hosts"); !strings.Contains(out, "problem: host h3: ") {
			return fmt.Errorf("status: %s", out)
		}
		return nil
	})
	h2.ofdvr(1, "status", "--all-hosts", "--exit-code")
	mustHave(t, h2.ofdvr(1, "doctor", "--all-hosts"), "the integration bridge br-int does not exist")
	f.hosts[2].daemon.Kill()
	out := h2.ofdvr(1, "status", "--all-hosts", "--exit-code")
	t.Logf("status:\n%s", out)
	mustHave(t, out, "problem: host h3: no")
	mustHave(t, h2.ofdvr(1, "doctor", "--all-hosts"), "1 without an answer")
	f.hosts[2].vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
}
