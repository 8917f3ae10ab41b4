package ovsdb_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// desired returns two routers with two interfaces each. One router has tags and taps, the
// other has neither.
func desired() ovsdb.Desired {
	return ovsdb.Desired{IntegrationBridge: "br-int", Controller: "tcp:127.0.0.1:6653", Bridges: []ovsdb.Bridge{
		{Router: "r1", Name: "rb-1", DatapathID: 0x0002000000000001, Interfaces: []ovsdb.Interface{
			{ID: "blue", MAC: "02:00:00:00:01:01", Patch: "rp-blue", Peer: "rq-blue", Tap: "qr-blue", VLAN: 1},
			{ID: "green", MAC: "02:00:00:00:02:01", Patch: "rp-green", Peer: "rq-green", Tap: "qr-green", VLAN: 2},
		}},
		{Router: "5d0f7d1e-6a43-4b5e-9d5e-3f3f6d1f9b11", Name: "rb-2", DatapathID: 2, Interfaces: []ovsdb.Interface{
			{ID: "c2a8f5a6-8a2f-4b38-9a5c-1d0f0a7c2d10", MAC: "02:00:00:00:03:01", Patch: "rp-3", Peer: "rq-3"},
			{ID: "an ID, \"with\" {odd} characters: äöü", MAC: "02:00:00:00:04:01", Patch: "rp-4", Peer: "rq-4"},
		}},
	}}
}

func TestCreate(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
	before := s.transactions()
	c := s.client()
	if r := apply(t, c, desired()); len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	if n := s.transactions() - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	for _, tt := range []struct{ table, record, columns, want string }{
		{"Bridge", "rb-1", "fail_mode,protocols,datapath_type,other_config,external_ids", `fail_mode : secure
protocols : [OpenFlow13]
datapath_type : netdev
other_config : {datapath-id="0002000000000001", disable-in-band="true"}
external_ids : {ofdvr-owner=ofdvr, ofdvr-router=r1}`},
		{"Port", "rb-1", "tag,external_ids", "tag : []\nexternal_ids : {ofdvr-owner=ofdvr, ofdvr-router=r1}"},
		{"Interface", "rb-1", "type", "type : internal"},
		{"Port", "rq-blue", "tag,vlan_mode,trunks,external_ids", `tag : 1
vlan_mode : []
trunks : []
external_ids : {ofdvr-interface=blue, ofdvr-owner=ofdvr, ofdvr-router=r1}`},
		{"Interface", "rq-blue", "type,options,external_ids", `type : patch
options : {peer=rp-blue}
external_ids : {attached-mac="02:00:00:00:01:01", iface-id=blue, iface-status=active, ofdvr-interface=blue, ofdvr-owner=ofdvr, ofdvr-router=r1}`},
		{"Interface", "rp-blue", "type,options,external_ids", `type : patch
options : {peer=rq-blue}
external_ids : {ofdvr-interface=blue, ofdvr-owner=ofdvr, ofdvr-router=r1}`},
		{"Interface", "qr-blue", "type,options,external_ids", `type : internal
options : {}
external_ids : {ofdvr-interface=blue, ofdvr-owner=ofdvr, ofdvr-router=r1}`},
		{"Port", "rq-3", "tag,vlan_mode,trunks", "tag : 4095\nvlan_mode : trunk\ntrunks : [4095]"},
		{"Port", "rp-3", "tag,vlan_mode,trunks", "tag : []\nvlan_mode : []\ntrunks : []"},
	} {
		out := s.vsctl("--columns="+tt.columns, "list", tt.table, tt.record)
		if got := strings.Join(strings.Fields(out), " "); got != strings.Join(strings.Fields(tt.want), " ") {
			t.Errorf("%s %s:\n%s\nwant\n%s", tt.table, tt.record, out, tt.want)
		}
	}
	if got := s.vsctl("list-ports", "rb-1"); got != "qr-blue\nqr-green\nrp-blue\nrp-green" {
		t.Errorf("ports of rb-1: %q", got)
	}
	if got := s.vsctl("list-ports", "br-int"); got != "rq-3\nrq-4\nrq-blue\nrq-green" {
		t.Errorf("ports of br-int: %q", got)
	}
	ctl := s.vsctl("get", "bridge", "rb-1", "controller")
	got := s.vsctl("get", "controller", strings.Trim(ctl, "[]"), "target", "max_backoff", "inactivity_probe", "external_ids")
	if want := "\"tcp:127.0.0.1:6653\"\n1000\n5000\n{ofdvr-owner=ofdvr, ofdvr-router=r1}"; got != want {
		t.Errorf("controller %s, want %s", got, want)
	}
}

// TestIdempotent applies the same state twice, with the same client and with another client.
func TestIdempotent(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c := s.client()
	if r := apply(t, c, desired()); len(r.Ops) == 0 || r.Count(ovsdb.Insert) != len(r.Ops) {
		t.Fatalf("created by %v", r.Ops)
	}
	dump, n := s.dump(), s.transactions()
	for _, c := range []*ovsdb.Client{c, s.client()} {
		if r := apply(t, c, desired()); len(r.Ops)+len(r.Problems) > 0 {
			t.Errorf("second Apply: %v, %v", r.Ops, r.Problems)
		}
	}
	if got := s.dump(); got != dump {
		t.Errorf("the contents have changed from\n%s\nto\n%s", dump, got)
	}
	if got := s.transactions(); got != n {
		t.Errorf("%d transactions", got-n)
	}
}

// Apply corrects manual changes of our rows in place.
func TestCorrectsChanges(t *testing.T) {
	for _, tt := range []struct{ name, spoil string }{
		{"fail mode", "set-fail-mode rb-1 standalone"},
		{"no fail mode", "del-fail-mode rb-1"},
		{"protocols", "clear bridge rb-1 protocols"},
		{"in band", "remove bridge rb-1 other_config disable-in-band"},
		{"datapath ID", "set bridge rb-1 other_config:datapath-id=0000000000000042"},
		{"datapath type", "set bridge rb-1 datapath_type=netdev"},
		{"datapath type of the integration bridge", "set bridge br-int datapath_type=netdev"},
		{"peer", "set interface rp-blue options:peer=elsewhere"},
		{"no options", "clear interface rq-blue options"},
		{"type", "set interface qr-blue type=system"},
		{"MAC", "set interface rq-blue external_ids:attached-mac=02:00:00:00:00:99"},
		{"identity", "remove interface rq-blue external_ids iface-id"},
		{"marks of an interface", "clear interface rq-blue external_ids"},
		{"second copy of the port", "set interface qr-blue external_ids:iface-id=blue external_ids:attached-mac=02:00:00:00:01:01"},
		{"tag", "set port rq-blue tag=7"},
		{"trunk", "set port rq-blue vlan_mode=trunk trunks=1,2,3"},
		{"no tag", "clear port rq-blue tag"},
		{"tap gone", "del-port qr-blue"},
		{"patch port gone", "del-port rp-blue"},
		{"peer gone", "del-port rq-blue"},
		{"bridge gone", "del-br rb-1"},
		{"no controller", "del-controller rb-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t)
			s.vsctl("add-br", "br-int")
			c := s.client()
			apply(t, c, desired())
			s.vsctl(strings.Fields(tt.spoil)...)
			n := s.transactions()
			until(t, c, "seen", func(st ovsdb.State, err error) bool {
				ops, _ := ovsdb.Plan(st, desired())
				return err == nil && len(ops) > 0
			})
			if r := apply(t, c, desired()); len(r.Problems) > 0 {
				t.Error(r.Problems)
			}
			if got := s.transactions() - n; got != 1 {
				t.Errorf("%d transactions, want 1", got)
			}
			if r := apply(t, c, desired()); len(r.Ops) > 0 {
				t.Errorf("one Apply did not correct the change; remaining plan: %v", r.Ops)
			}
		})
	}
}

// The peer's VLAN columns belong to another agent unless the desired state has the network's VLAN.
func TestForeignTags(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c := s.client()
	apply(t, c, desired())
	s.vsctl("set", "port", "rq-3", "tag=12", "other_config:segmentation_id=7", "--", "clear", "port", "rq-3", "vlan_mode", "trunks")
	columns := func() string {
		return s.vsctl("--columns=tag,vlan_mode,trunks,other_config", "list", "port", "rq-3")
	}
	want := columns()
	d := desired()
	d.Bridges[1].Interfaces[0].MAC = "02:00:00:00:03:99"
	apply(t, c, d)
	if got := columns(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := s.vsctl("get", "interface", "rq-3", "external_ids:attached-mac"); got != `"02:00:00:00:03:99"` {
		t.Errorf("attached-mac %s", got)
	}
	d.Bridges[1].Interfaces[0].VLAN = 30
	d.Bridges[1].Interfaces[1].VLAN = 31 // still on the dead VLAN
	apply(t, c, d)
	for p, tag := range map[string]string{"rq-3": "30", "rq-4": "31"} {
		if got := s.vsctl("get", "port", p, "tag", "vlan_mode", "trunks"); got != tag+"\n[]\n[]" {
			t.Errorf("%s: %q", p, got)
		}
	}
}

func TestControllerIsUpdatedInPlace(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c := s.client()
	apply(t, c, desired())
	row := s.vsctl("get", "bridge", "rb-1", "controller")
	d := desired()
	d.Controller = "tcp:127.0.0.1:16653"
	apply(t, c, d)
	if got := s.vsctl("get", "bridge", "rb-1", "controller"); got != row {
		t.Errorf("controller row %s, was %s", got, row)
	}
	if got := s.vsctl("get-controller", "rb-1"); got != d.Controller {
		t.Errorf("target %s", got)
	}
}

func TestForeignObjects(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int", "--", "add-port", "br-int", "vm1", "tag=1",
		"--", "add-br", "rb-2", "--", "add-port", "rb-2", "rp-4", // names that router 2 needs
		"--", "add-port", "br-int", "qr-green", // a name that interface green of router 1 needs
		"--", "add-br", "other", "--", "set-controller", "other", "tcp:192.0.2.1:6653", "--", "set-fail-mode", "other", "secure",
		"--", "add-bond", "other", "bond", "rq-9", "eth9")
	want := s.foreign()
	c := s.client()
	r := apply(t, c, desired())
	var got []string
	for _, p := range r.Problems {
		got = append(got, fmt.Sprintf("%s %s: %s", p.Kind, p.Object, p.Detail))
	}
	if strings.Join(got, "\n") != `name-taken bridge rb-2: the name is in use by bridge rb-2, which does not belong to ofdvr
name-taken tap qr-green: the name is in use by port qr-green on bridge br-int, which does not belong to ofdvr` {
		t.Errorf("problems:\n%s", strings.Join(got, "\n"))
	}
	if got := s.vsctl("list-ports", "rb-1"); got != "qr-blue\nrp-blue" {
		t.Errorf("ports of rb-1: %q; want all but those of green", got)
	}
	if got := s.foreign(); got != want {
		t.Errorf("foreign rows were changed: from\n%s\nto\n%s", want, got)
	}
	if r, err := c.Cleanup(t.Context()); err != nil || r.Count(ovsdb.Remove) != 2 {
		t.Errorf("Cleanup: %v, %v; want the bridge and the peer removed", r, err)
	}
	if got := s.foreign(); got != want {
		t.Errorf("Cleanup changed foreign rows: from\n%s\nto\n%s", want, got)
	}
	if dump := s.dump(); strings.Contains(dump, ovsdb.KeyOwner) {
		t.Errorf("left by Cleanup:\n%s", dump)
	}
}

func TestCleanupWithoutIntegrationBridge(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c := s.client()
	apply(t, c, desired())
	s.vsctl("del-br", "br-int")
	until(t, c, "br-int gone", func(st ovsdb.State, err error) bool { _, ok := st.Bridge("br-int"); return !ok })
	r := apply(t, c, desired())
	if len(r.Ops) > 0 || len(r.Problems) != 1 || r.Problems[0].Kind != ovsdb.NoIntegrationBridge {
		t.Errorf("without br-int: %v, %v", r.Ops, r.Problems)
	}
	if _, err := c.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.vsctl("list-br"); got != "" {
		t.Errorf("left are %s", got)
	}
}

func TestReconnect(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c := s.client()
	apply(t, c, desired())
	dump := s.dump()

	s.stop()
	until(t, c, "connection lost", func(_ ovsdb.State, err error) bool { return errors.Is(err, ovsdb.ErrNotConnected) })
	began := time.Now()
	if _, err := c.Apply(t.Context(), desired()); !errors.Is(err, ovsdb.ErrNotConnected) {
		t.Errorf("Apply without a server: %v", err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("Apply without a server took %v", d)
	}
	s.start()
	until(t, c, "connected again", func(st ovsdb.State, err error) bool { return err == nil && st.Root != "" })
	if r := apply(t, c, desired()); len(r.Ops) > 0 {
		t.Errorf("after a restart of the server: %v", r.Ops)
	}
	if got := s.dump(); got != dump {
		t.Errorf("the contents have changed from\n%s\nto\n%s", dump, got)
	}

	s.stop()
	s.reset() // an empty database takes its place
	s.start()
	until(t, c, "empty database", func(st ovsdb.State, err error) bool { return err == nil && st.Root == "" })
	if r := apply(t, c, desired()); len(r.Problems) != 1 || r.Problems[0].Kind != ovsdb.NoDatabase {
		t.Errorf("with a database that is not initialized: %v", r.Problems)
	}
	s.vsctl("init", "--", "add-br", "br-int")
	until(t, c, "br-int", func(st ovsdb.State, err error) bool { _, ok := st.Bridge("br-int"); return ok })
	if r := apply(t, c, desired()); len(r.Problems) > 0 || len(r.Ops) == 0 {
		t.Errorf("Apply to the new database: %v, %v", r.Ops, r.Problems)
	}
	if r := apply(t, c, desired()); len(r.Ops) > 0 {
		t.Errorf("second Apply: %v", r.Ops)
	}
}

// A recorder records what a client reports.
type recorder struct {
	mu    sync.Mutex
	syncs int
	ended []string
}

func (r *recorder) Synced() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.syncs++
}

func (r *recorder) Transacted(result string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, result)
}

// Each connection and each transaction is reported once. An Apply that changes nothing is not
// a transaction.
func TestRecorder(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	r := new(recorder)
	c, err := ovsdb.NewClient(ovsdb.Config{Endpoint: "unix:" + s.socket, Timeout: 10 * time.Second, Retry: 20 * time.Millisecond, Recorder: r})
	if err != nil {
		t.Fatal(err)
	}
	runClient(t, c)
	wait(t, c)
	apply(t, c, desired())
	apply(t, c, desired())
	s.stop()
	until(t, c, "connection lost", func(_ ovsdb.State, err error) bool { return errors.Is(err, ovsdb.ErrNotConnected) })
	s.start()
	until(t, c, "connected again", func(st ovsdb.State, err error) bool { return err == nil && st.Root != "" })
	apply(t, c, ovsdb.Desired{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if got := strings.Join(r.ended, " "); r.syncs != 2 || got != "ok ok" {
		t.Errorf("recorded %d connections and transactions with the results %s", r.syncs, got)
	}
}

// If a server keeps the connection open and does not reply, no call waits indefinitely, and
// Run detects the hung server.
func TestFrozenServer(t *testing.T) {
	for name, d := range map[string]ovsdb.Desired{"small transaction": desired(), "more than the socket holds": many(300)} {
		t.Run(name, func(t *testing.T) { testFrozenServer(t, d) })
	}
}

// many returns n routers with two interfaces each.
func many(n int) ovsdb.Desired {
	d := desired()
	d.Bridges = nil
	for i := range n {
		b := ovsdb.Bridge{Router: fmt.Sprint("router", i), Name: fmt.Sprint("rb", i), DatapathID: uint64(i + 1)}
		for j := range 2 {
			id := fmt.Sprintf("%d-%d", i, j)
			b.Interfaces = append(b.Interfaces, ovsdb.Interface{ID: id, MAC: "02:00:00:00:00:01", Patch: "rp" + id, Peer: "rq" + id, Tap: "qr" + id})
		}
		d.Bridges = append(d.Bridges, b)
	}
	return d
}

func testFrozenServer(t *testing.T, d ovsdb.Desired) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c, err := ovsdb.NewClient(ovsdb.Config{Endpoint: "unix:" + s.socket, Timeout: 10 * time.Second, Retry: 20 * time.Millisecond, Probe: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	runClient(t, c)
	wait(t, c)
	s.proc.Process.Signal(syscall.SIGSTOP)
	began := time.Now()
	if _, err := c.Apply(t.Context(), d); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ovsdb.ErrNotConnected) {
		t.Errorf("Apply to a frozen server: %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("Apply to a frozen server took %v", took)
	}
	until(t, c, "given up", func(_ ovsdb.State, err error) bool { return errors.Is(err, ovsdb.ErrNotConnected) })
	s.proc.Process.Signal(syscall.SIGCONT)
	until(t, c, "connected again", func(_ ovsdb.State, err error) bool { return err == nil })
	if r := apply(t, c, d); len(r.Problems) > 0 { // must succeed after any outcome of the first Apply
		t.Error(r.Problems)
	}
	if r := apply(t, c, d); len(r.Ops) > 0 {
		t.Errorf("second Apply: %v", r.Ops)
	}
}

// A client waits for a server that starts later.
func TestStartedBeforeServer(t *testing.T) {
	s := startServer(t)
	s.stop()
	c, err := ovsdb.NewClient(ovsdb.Config{Endpoint: "unix:" + s.socket, Retry: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	runClient(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Wait(ctx); !errors.Is(err, ovsdb.ErrNotConnected) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v; want an error with the deadline and with the reason of the failed connection", err)
	}
	s.start()
	wait(t, c)
}

// Two clients with different desired states change one database. If the transaction of a client
// fails, it plans again. Nothing is created twice.
func TestTwoClients(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	errs := make(chan error, 2)
	one, two := s.client(), s.client()
	for _, c := range []*ovsdb.Client{one, two} {
		go func() {
			for i := range 30 {
				d := desired()
				if i%2 == 1 {
					d.Bridges = d.Bridges[1:]
				}
				if _, err := c.Apply(context.Background(), d); err != nil && !strings.Contains(err.Error(), "changed in the meantime") {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	// The last change of the other client may not have arrived yet.
	eventually(t, "all bridges exist", func() bool {
		apply(t, one, desired())
		return s.vsctl("list-br") == "br-int\nrb-1\nrb-2"
	})
	if got := s.vsctl("list-ports", "br-int"); got != "rq-3\nrq-4\nrq-blue\nrq-green" {
		t.Errorf("ports %q", got)
	}
}

func TestEndpoints(t *testing.T) {
	for s, ok := range map[string]bool{
		"unix:/var/run/openvswitch/db.sock": true, "tcp:127.0.0.1:6640": true, "tcp:[::1]:6640": true, "unix:/odd%20path?#x": true,
		"": false, "unix:": false, "unix:db.sock": false, "tcp:127.0.0.1": false, "/run/db.sock": false, "ssl:127.0.0.1:6640": false,
	} {
		if _, err := ovsdb.NewClient(ovsdb.Config{Endpoint: s}); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// Random desired states are applied to a real ovsdb-server. A plan's operations have the same
// effect on the server as in the model.
func TestRandomPlansOnServer(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int", "--", "add-port", "br-int", "a", "--", "add-br", "c", "--", "add-port", "c", "e",
		"--", "add-port", "br-int", "vm-x", "--", "set", "interface", "vm-x", "external_ids:iface-id=x")
	want := s.foreign()
	c := s.client()
	wishes := rapid.Custom(drawDesired)
	for seed := range 60 {
		d := wishes.Example(seed)
		before, err := c.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := apply(t, c, d)
		model, err := carryOut(before, r.Ops)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		after, err := c.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := withoutUUIDs(after), withoutUUIDs(model); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: after %v\nthe state is %+v\nwant %+v", seed, r.Ops, got, want)
		}
		if r := apply(t, c, d); len(r.Ops) > 0 {
			t.Fatalf("seed %d: remaining plan: %v", seed, r.Ops)
		}
		// The test confirms like ovs-vswitchd, because ports that move between bridges wait
		// for the confirmation.
		s.vsctl("--no-wait", "set", "Open_vSwitch", ".", fmt.Sprintf("cur_cfg=%d", after.NextCfg))
		eventually(t, "the client has received it", func() bool {
			st, err := c.State(t.Context())
			return err == nil && st.CurCfg == after.NextCfg
		})
	}
	apply(t, c, ovsdb.Desired{})
	s.vsctl("--no-wait", "clear", "port", "vm-x", "tag", "vlan_mode", "trunks") // the dead VLAN
	if got := s.foreign(); got != want {
		t.Errorf("foreign rows were changed: from\n%s\nto\n%s", want, got)
	}
}

// withoutUUIDs returns s without UUIDs and configuration numbers, and with empty instead of nil maps
// and sets.
func withoutUUIDs(s ovsdb.State) ovsdb.State {
	s = copyState(s)
	s.NextCfg, s.CurCfg = 0, 0
	for i := range s.Bridges {
		b := &s.Bridges[i]
		b.UUID, b.OtherConfig, b.ExternalIDs = "", orEmpty(b.OtherConfig), orEmpty(b.ExternalIDs)
		b.Protocols, b.Controllers = append([]string{}, b.Protocols...), append([]ovsdb.ControllerRow{}, b.Controllers...)
		for j := range b.Controllers {
			b.Controllers[j].UUID = ""
		}
		for j := range b.Ports {
			p := &b.Ports[j]
			p.UUID, p.ExternalIDs, p.Trunks = "", orEmpty(p.ExternalIDs), append([]int{}, p.Trunks...)
			for k := range p.Interfaces {
				f := &p.Interfaces[k]
				f.UUID, f.Options, f.ExternalIDs = "", orEmpty(f.Options), orEmpty(f.ExternalIDs)
			}
		}
	}
	return s
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
