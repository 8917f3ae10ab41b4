package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// bluegreen is twoNetworks as a body for the API.
const bluegreen = `{"networks": [{"id": "blue", "vlan": 1}, {"id": "green", "vlan": 2}],
	"routers": [{"id": "r1", "interfaces": [
		{"id": "r1-blue", "network": "blue", "mac": "02:00:00:00:01:01", "addresses": ["10.0.1.1/24"]},
		{"id": "r1-green", "network": "green", "mac": "02:00:00:00:02:01", "addresses": ["10.0.2.1/24"]}]}],
	"ports": [{"id": "vm1", "network": "blue", "mac": "02:00:00:00:01:10", "addresses": ["10.0.1.10"]},
		{"id": "vm2", "network": "green", "mac": "02:00:00:00:02:10", "addresses": ["10.0.2.10"]}]}`

// applied makes a write wait until it is applied.
const applied = "?wait=applied&timeout=20s"

// written returns a site with twoNetworks in its daemon's store, and its two machines.
func written(t *testing.T, flags ...string) (s *site, vm1, vm2 *lab.Machine) {
	t.Helper()
	s = storeOnly(t, flags...)
	s.must(200, "PUT", "/v1/topology"+applied, bluegreen)
	s.settle()
	return s, s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
}

// Writes survive a kill of the daemon, and the switch is not touched.
func TestStoreOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := written(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	flows, topology := s.flows(bridge), s.must(200, "GET", "/v1/topology", "").text
	s.daemon.Kill()
	s.serve()
	s.settle()
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.must(200, "GET", "/v1/topology", "").text; got != topology {
		t.Errorf("the topology was\n%s\nis\n%s", topology, got)
	}
	pingTTL(t, vm1, vm2.IP(), 63)
}

// Answered writes survive any number of kills of the daemon, and every batch is complete or
// absent.
func TestKillsLoseNoWrite(t *testing.T) {
	t.Parallel()
	const (
		kills   = 12
		writers = 8
		batch   = 5
	)
	s := storeOnly(t, "--ovsdb", "")
	s.must(200, "PATCH", "/v1/topology", `{"put": {"networks": [{"id": "n"}]}}`)
	rng := rand.New(rand.NewPCG(1, 2))
	latest := make([]int, writers)  // answered
	started := make([]int, writers) // perhaps not answered
	total := 0
	for kill := range kills {
		ctx, cancel := context.WithCancel(t.Context())
		enough, answered := make(chan struct{}), new(atomic.Int32) // a kill follows a number of answered batches
		const least = 100
		client := s.HTTPUnix(apiSocket)
		var g sync.WaitGroup
		for w := range writers {
			g.Go(func() {
				for ctx.Err() == nil {
					n := started[w] + 1
					started[w] = n
					if writeBatch(ctx, client, w, n, batch) != nil {
						return // killed
					}
					latest[w] = n
					if answered.Add(1) == least {
						close(enough)
					}
				}
			})
		}
		select {
		case <-enough:
		case <-within(t).Done():
			t.Fatalf("kill %d: only %d batches were answered", kill, answered.Load())
		}
		lab.Run(t, s.Host, "sleep", fmt.Sprintf("%.3f", 0.2*rng.Float64())) // the kill comes at a random moment
		s.daemon.Kill()
		cancel()
		g.Wait()
		s.serve(s.flags...)
		var got struct {
			Ports []struct{ ID, MAC string }
		}
		s.must(200, "GET", "/v1/topology", "").into(t, &got)
		versions := make(map[string]map[string]int) // number of ports of each version, by writer
		for _, p := range got.Ports {
			writer, _, _ := strings.Cut(p.ID, "-")
			if versions[writer] == nil {
				versions[writer] = make(map[string]int)
			}
			versions[writer][p.MAC[9:]]++
		}
		for w := range writers {
			var at []int
			for n := latest[w]; n <= started[w]; n++ {
				if versions[fmt.Sprint("w", w)][version(n)] == batch {
					at = append(at, n)
				}
			}
			if n := len(versions[fmt.Sprint("w", w)]); started[w] > 0 && (len(at) != 1 || n != 1) && (latest[w] > 0 || n > 0) {
				t.Errorf("kill %d: of writer %d, version %d was answered and version %d begun, but the store has %v", kill, w, latest[w], started[w], versions[fmt.Sprint("w", w)])
			}
		}
	}
	for _, n := range latest {
		total += n
	}
	if total < 1000 {
		t.Errorf("only %d batches were written", total)
	}
	t.Logf("%d kills, %d answered batches of %d ports", kills, total, batch)
}

// version returns the end of a port's MAC address in version n.
func version(n int) string { return fmt.Sprintf("%02x:%02x:%02x", n>>16&0xff, n>>8&0xff, n&0xff) }

// writeBatch writes version n of a writer's ports in one request.
func writeBatch(ctx context.Context, client *http.Client, w, n, ports int) error {
	var b bytes.Buffer
	b.WriteString(`{"put": {"ports": [`)
	for i := range ports {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id": "w%d-%d", "network": "n", "mac": "02:%02x:%02x:%s"}`, w, i, w, i, version(n))
	}
	b.WriteString(`]}}`)
	req, err := http.NewRequestWithContext(ctx, "PATCH", "http://ofdvr/v1/topology", &b)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(new(struct{}))
}

// A lost store does not mean an empty intent. Until ofdvr complete is run, existing objects stay,
// and route.
func TestLostStoreRemovesNothing(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := written(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.stop()
	s.sh("", "rm /var/lib/ofdvr/intent.db")
	s.aged(bridge)
	flows, database := s.flows(bridge), s.database()
	traffic := startStream(t, vm1, vm2.IP())
	s.serve()
	s.eventually("the status to report the new store", func() error {
		if st := s.status(); st.Intent.Complete || !strings.Contains(strings.Join(st.Problems, "\n"), "ofdvr complete") || st.OVSDB == nil || !st.OVSDB.Connected {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	// An agent writes the networks and the router one by one, before the ports. The flows of the
	// ports stay.
	s.must(201, "PUT", "/v1/networks/blue", `{"vlan": 1}`)
	s.must(201, "PUT", "/v1/networks/green", `{"vlan": 2}`)
	s.must(201, "PUT", "/v1/routers/r1"+applied, `{"interfaces": [
		{"id": "r1-blue", "network": "blue", "mac": "02:00:00:00:01:01", "addresses": ["10.0.1.1/24"]},
		{"id": "r1-green", "network": "green", "mac": "02:00:00:00:02:01", "addresses": ["10.0.2.1/24"]}]}`)
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	out := s.ofdvr(1, "doctor")
	for _, want := range []string{"the store is new", "ofdvr complete", "bridge rb-r1 keeps"} {
		if err := lacks(out, want); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(out, "\n1 problem.\n") {
		t.Errorf("the status has a problem because of the kept bridge:\n%s", out)
	}
	s.must(201, "PUT", "/v1/ports/vm1"+applied, `{"network": "blue", "mac": "02:00:00:00:01:10", "addresses": ["10.0.1.10"]}`)
	s.must(201, "PUT", "/v1/ports/vm2"+applied, `{"network": "green", "mac": "02:00:00:00:02:10", "addresses": ["10.0.2.10"]}`)
	if out, err := s.Ofdvr(t.Context(), "complete"); err != nil {
		t.Fatal(out, err)
	}
	s.settle()
	mustBeUntouched(t, flows, s.flows(bridge))
	traffic.mustBeWhole()
	if st := s.status(); !st.Intent.Complete || len(st.Problems) > 0 {
		t.Errorf("%+v", st)
	}

	// If a router is still missing, ofdvr complete removes it.
	s.stop()
	s.sh("", "rm /var/lib/ofdvr/intent.db")
	s.serve()
	s.eventually("the status to report the new store", func() error {
		if s.status().Intent.Complete {
			return errors.New("the intent is complete")
		}
		return nil
	})
	if got := s.vsctl("list-br"); got != "br-int\nrb-r1" {
		t.Errorf("bridges are %q", got)
	}
	s.must(200, "POST", "/v1/complete", "")
	s.settle()
	s.eventually("the bridge to be removed", func() error {
		if got := s.vsctl("list-br"); got != "br-int" {
			return errors.New(got)
		}
		return nil
	})
}

// If the topology file is no longer given, this does not mean an empty intent either. Its objects
// leave the intent, but stay in the switch.
func TestTopologyFileLeftOutRemovesNothing(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	flows, database := s.flows(bridge), s.database()
	traffic := startStream(t, vm1, vm2.IP())
	s.stop()
	file := s.file
	s.file = ""
	s.serve()
	s.eventually("the status to report the incomplete intent", func() error {
		if st := s.status(); st.Intent.Complete || !strings.Contains(strings.Join(st.Problems, "\n"), "ofdvr complete") || st.OVSDB == nil || !st.OVSDB.Connected {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	s.stop()
	s.file = file
	s.serve()
	s.settle()
	traffic.mustBeWhole()
}

// A standby daemon knows the leader's intent. When the leader is killed, the standby takes over its
// store, with all writes until then.
func TestStandbyTakesOverTheStore(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := written(t)
	second := s.standby()
	s.must(201, "PUT", "/v1/ports/late"+applied, `{"network": "green", "mac": "02:00:00:00:02:99", "addresses": ["10.0.2.99"]}`)
	s.aged(bridge)
	flows := s.flows(bridge)
	traffic := startStream(t, vm1, vm2.IP())
	s.daemon.Kill()
	s.daemon = second
	s.settle()
	mustBeUntouched(t, flows, s.flows(bridge))
	traffic.mustBeWhole()
	s.must(200, "GET", "/v1/ports/late", "")
	s.must(200, "DELETE", "/v1/ports/late"+applied, "")
}

// On a full disk, writes are refused. They work again when the disk has space. On a read-only disk,
// the daemon starts with the store's objects.
func TestFullAndReadOnlyDisk(t *testing.T) {
	t.Parallel()
	s := &site{Host: lab.Boot(t), t: t}
	s.sh("", "mkdir /run/state && mount -t tmpfs -o size=512k,mode=755 tmpfs /run/state")
	s.serve("--state-dir", "/run/state")
	s.must(200, "PUT", "/v1/topology"+applied, bluegreen)
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.aged(bridge)
	flows := s.flows(bridge)
	s.sh("", "dd if=/dev/zero of=/run/state/fill bs=4k 2>/dev/null || true")
	var many strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&many, `,{"id": "p%d", "network": "blue", "mac": "02:00:00:07:%02x:%02x"}`, i, i>>8, i&0xff)
	}
	batch := `{"put": {"ports": [` + many.String()[1:] + `]}}`
	if a := s.must(507, "PATCH", "/v1/topology", batch); !strings.Contains(a.text, "no space left on device") {
		t.Error(a.text)
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	pingTTL(t, vm1, vm2.IP(), 63)
	if n := s.status().Intent.Ports; n != 2 {
		t.Errorf("%d ports", n)
	}
	s.sh("", "rm /run/state/fill && mount -o remount,size=16m /run/state")
	s.must(200, "PATCH", "/v1/topology"+applied, batch)
	s.must(200, "PUT", "/v1/topology"+applied, bluegreen)

	s.stop()
	s.sh("", "mount -o remount,ro /run/state")
	s.serve("--state-dir", "/run/state")
	s.eventually("the status to report the read-only store", func() error {
		if st := s.status(); st.Intent.Ports != 2 || !strings.Contains(strings.Join(st.Problems, "\n"), "cannot be written to") {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	s.must(503, "PUT", "/v1/networks/x", `{}`)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.sh("", "mount -o remount,rw /run/state")
	s.must(201, "PUT", "/v1/networks/x", `{}`)
}

// The daemon starts with a damaged or foreign store, and reports it. It does not change the store,
// and removes nothing from the switch.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := written(t)
	s.stop()
	s.aged(bridge)
	flows := s.flows(bridge)
	for _, tt := range []struct{ spoil, says string }{
		{"dd if=/dev/urandom of=intent.db bs=4096 seek=2 count=6 conv=notrunc", "damaged"},
		{"truncate -s 10000 intent.db", "damaged"},
		{"echo hello, world >intent.db", "is not a store of ofdvr"},
	} {
		sum := s.sh("", "cd /var/lib/ofdvr && cp intent.db good && ("+tt.spoil+") 2>/dev/null && sha256sum intent.db")
		s.serve()
		s.eventually("the status to name the store", func() error {
			if got := strings.Join(s.status().Problems, "\n"); !strings.Contains(got, tt.says) || !strings.Contains(got, "/var/lib/ofdvr/intent.db") {
				return fmt.Errorf("%s: %s, want %q", tt.spoil, got, tt.says)
			}
			return nil
		})
		s.must(503, "PUT", "/v1/networks/x", `{}`)
		s.stop()
		s.fails("store", "check")
		if got := s.sh("", "cd /var/lib/ofdvr && sha256sum intent.db && mv good intent.db"); got != sum {
			t.Errorf("%s: the file was changed", tt.spoil)
		}
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	pingTTL(t, vm1, vm2.IP(), 63)
	s.serve()
	s.settle()
	mustBeUntouched(t, flows, s.flows(bridge))
}
