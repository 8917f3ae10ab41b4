package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// networksOnly is twoNetworks without ports.
var networksOnly, _, _ = strings.Cut(twoNetworks, "ports:")

// vm2Body is the port of vm2.
const vm2Body = `{"network": "green", "mac": "02:00:00:00:02:10", "addresses": ["10.0.2.10"]}`

// A port in the store can be on a network of the topology file. After a restart and a takeover, no
// change is sent to the switch, and no packet is lost.
func TestStoreRefersToFile(t *testing.T) {
	t.Parallel()
	s := bare(t, networksOnly)
	s.serve()
	s.must(201, "PUT", "/v1/ports/vm1"+applied, `{"network": "blue", "mac": "02:00:00:00:01:10", "addresses": ["10.0.1.10"]}`)
	s.must(201, "PUT", "/v1/ports/vm2"+applied, vm2Body)
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	before := s.flows(bridge)
	traffic := startStream(t, vm1, vm2.IP())
	s.daemon.Kill()
	s.serve()
	s.settle()
	second := s.standby()
	s.daemon.Kill()
	s.daemon = second
	s.settle()
	traffic.mustBeWhole()
	mustBeUntouched(t, before, s.flows(bridge))
}

// The file can refer to networks of the store.
func TestFileRefersToStore(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	s.must(200, "PATCH", "/v1/topology", `{"put": {"networks": [{"id": "blue", "vlan": 1}, {"id": "green", "vlan": 2}]}}`)
	_, rest, _ := strings.Cut(twoNetworks, "routers:")
	s.write("routers:" + rest)
	for range 2 {
		s.stop()
		s.serve()
		s.settle()
	}
	pingTTL(t, s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")).IP(), 63)
}

// A daemon starts with any file and store. It uses the usable objects and reports the others. It
// removes no objects while a network or a router is missing.
func TestDaemonAlwaysStarts(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	before := s.flows(bridge)
	restart := func(topology string, problems ...string) {
		t.Helper()
		s.stop()
		if topology == "" {
			s.sh("", "rm -f "+s.file)
		} else {
			s.write(topology)
		}
		s.serve()
		s.eventually("the status to name the problem", func() error {
			got := strings.Join(s.status().Problems, "\n")
			for _, want := range problems {
				if !strings.Contains(got, want) {
					return fmt.Errorf("the status lacks %q: %s", want, got)
				}
			}
			return nil
		})
		if out := s.fails("doctor"); !strings.Contains(out, problems[1]) {
			t.Errorf("doctor does not name %q:\n%s", problems[1], out)
		}
		pingTTL(t, vm1, vm2.IP(), 63)
	}
	flowsStay := func() {
		t.Helper()
		mustBeUntouched(t, before, s.flows(bridge))
	}
	restart(strings.Replace(twoNetworks, "network: green, mac", "network: grey, mac", 1), `router "r1"`, `unknown network "grey"`, "nothing is removed")
	flowsStay()
	restart(twoNetworks+"\tnot yaml\n", "the topology file could not be read at the start", "found character")
	flowsStay()
	restart("", "the topology file could not be read at the start", "no such file or directory")
	flowsStay()
	s.write(twoNetworks) // the daemon started without the file and loads it at once
	s.settle()
	flowsStay()
	s.stop()
	s.write(strings.Replace(twoNetworks, `"02:00:00:00:02:10"`, `"02:00:00:00:02:1x"`, 1))
	s.serve()
	s.eventually("only the port to be quarantined", func() error {
		st := s.status()
		if len(st.Routers) != 1 || st.Routers[0].State != "settled" || !strings.Contains(strings.Join(st.Problems, "\n"), `port "vm2"`) {
			return errors.New(strings.Join(st.Problems, "\n"))
		}
		return nil
	})
	s.metric(1, `ofdvr_intent_quarantined_objects{kind="port"}`)
	pingTTL(t, vm1, vm2.IP(), 63) // through the namespace
	if out := s.fails("doctor"); !strings.Contains(out, `port "vm2"`) {
		t.Errorf("doctor does not name the port:\n%s", out)
	}
	s.reload(twoNetworks)
	s.metric(0, `ofdvr_intent_quarantined_objects{kind="port"}`)
}

// A daemon starts with a damaged store: it uses the file's objects, and does not write to the
// store.
func TestDaemonStartsWithDamagedStore(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	before := s.flows(bridge)
	s.stop()
	const damage = "dd if=/dev/zero of=/var/lib/ofdvr/intent.db bs=1 count=64 conv=notrunc 2>/dev/null; sha256sum /var/lib/ofdvr/intent.db"
	sum := s.sh("", damage)
	s.serve()
	s.eventually("the status to name the store", func() error {
		if got := strings.Join(s.status().Problems, "\n"); !strings.Contains(got, "the store could not be read") {
			return errors.New(got)
		}
		return nil
	})
	s.must(503, "PUT", "/v1/networks/red", `{}`)
	if now := s.sh("", "sha256sum /var/lib/ofdvr/intent.db"); now != sum {
		t.Errorf("the store was overwritten: %s, then %s", sum, now)
	}
	mustBeUntouched(t, before, s.flows(bridge))
	pingTTL(t, vm1, vm2.IP(), 63)
}

// The answer to a request for a quarantined object has the reason. An export reports that it lacks
// the object.
func TestQuarantinedObjectsAreReported(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	s.must(201, "PUT", "/v1/networks/red", `{"vlan": 7}`)
	s.stop()
	s.write("networks: [{id: grey, vlan: 7}]\n")
	s.serve()
	for _, args := range [][]string{{"get", "network", "red"}, {"describe", "network", "red"}} {
		if out := s.fails(args...); !strings.Contains(out, "vlan 7 is already used by network \"grey\"") {
			t.Errorf("%v: %s", args, out)
		}
	}
	program, err := lab.Binary()
	if err != nil {
		t.Fatal(err)
	}
	out := s.sh("", program+" export 2>&1")
	if want := `warning: network "red" of /var/lib/ofdvr/intent.db is left out`; !strings.Contains(out, want) {
		t.Errorf("export does not print %q: %s", want, out)
	}
	s.must(200, "DELETE", "/v1/networks/red", "")
	s.settle()
	if out := s.sh("", program+" export 2>&1"); strings.Contains(out, "warning") {
		t.Errorf("export: %s", out)
	}
}
