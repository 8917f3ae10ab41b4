package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A subject is a running lifecycle with an ovsdb-server. It has no ovs-vswitchd, and therefore
// no taps.
type subject struct {
	t *testing.T
	*Lifecycle
	end func()

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the fields below change
	counts  map[string]int
	last    Report
	reports int
	idle    bool // the lifecycle has nothing to do
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// startDatabase starts ovsdb-server with an integration bridge, and returns its endpoint.
func startDatabase(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, socket := filepath.Join(dir, "conf.db"), filepath.Join(dir, "db.sock")
	run(t, "ovsdb-tool", "create", db, lab.SchemaFile())
	cmd := exec.Command("ovsdb-server", "--remote=punix:"+socket, "--no-chdir", "--unixctl="+filepath.Join(dir, "ctl"), "-vconsole:off", "-vsyslog:off", db)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for {
		out, err := exec.Command("ovs-vsctl", "--db=unix:"+socket, "--no-wait", "--timeout=5", "init", "--", "add-br", "br-int").CombinedOutput()
		if err == nil {
			return "unix:" + socket
		}
		if t.Context().Err() != nil {
			t.Fatalf("ovsdb-server does not answer: %s", out)
		}
	}
}

// start starts a lifecycle with a new database.
func start(t *testing.T, surveyed <-chan struct{}) *subject {
	t.Helper()
	lab.Require(t)
	t.Cleanup(func() {
		files, _ := os.ReadDir("/run/netns")
		for _, f := range files {
			run(t, "ip", "netns", "del", f.Name())
		}
	})
	return startAt(t, startDatabase(t), surveyed)
}

// startAt starts a lifecycle, until the end of the test or of the subject.
func startAt(t *testing.T, endpoint string, surveyed <-chan struct{}) *subject {
	t.Helper()
	s := &subject{t: t, changed: make(chan struct{}), counts: make(map[string]int)}
	note := func(f func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f()
		close(s.changed)
		s.changed = make(chan struct{})
	}
	l, err := New(Config{IntegrationBridge: "br-int", Target: "tcp:127.0.0.1:6653", OVSDB: endpoint, AuditInterval: time.Hour, Surveyed: surveyed, Host: "h1",
		Report: func(r Report) { note(func() { s.last, s.reports, s.idle = r, s.reports+1, false }) },
		Kernel: func(router string, _ *compile.Kernel) { note(func() { s.counts[router]++; s.idle = false }) },
		Log:    zaptest.NewLogger(t)})
	if err != nil {
		t.Fatal(err)
	}
	l.idle = func() { note(func() { s.idle = true }) }
	s.Lifecycle = l
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	s.end = func() {
		cancel()
		<-done
	}
	t.Cleanup(s.end)
	return s
}

// until waits for a condition, which is evaluated with s locked.
func (s *subject) until(what string, is func() bool) {
	s.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		s.mu.Lock()
		ok, changed, last, counts := is(), s.changed, s.last, maps.Clone(s.counts)
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			s.t.Fatalf("timed out after a minute: %s; inspections %v, last report %+v", what, counts, last)
		}
	}
}

// settle waits until all previous events have been handled. For this, it changes the namespace of
// router marker and waits for the inspection that follows.
func (s *subject) settle(marker string) {
	s.t.Helper()
	for _, verb := range []string{"add", "del"} {
		s.mu.Lock()
		counts := s.counts[marker]
		s.mu.Unlock()
		run(s.t, "ip", "-n", "qrouter-"+marker, "route", verb, "blackhole", "192.0.2.1")
		s.until("the change in the marker's namespace is handled", func() bool { return s.counts[marker] > counts && s.idle })
	}
}

func (s *subject) count() (counts map[string]int, reports int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts), s.reports
}

// model returns n routers, each with one interface on its own network.
func model(n int) *routing.Model {
	m := &routing.Model{}
	for i := range n {
		id := fmt.Sprint(i + 1)
		m.Networks = append(m.Networks, routing.Network{ID: "n" + id, MTU: 1500, VLAN: uint16(i + 1)})
		m.Routers = append(m.Routers, routing.Router{ID: "r" + id, Bridge: routing.Bridge{Managed: true}, Fallback: routing.FallbackNamespace,
			Interfaces: []routing.Interface{{ID: "i" + id, Network: "n" + id, MAC: [6]byte{2, 0, 0, 0, 0, byte(i + 1)},
				Addresses: []netip.Prefix{netip.MustParsePrefix("10.0." + id + ".1/24")}}}})
	}
	return m
}

func index(m *routing.Model) *routing.Index { return new(routing.Index).With(routing.Change{Put: *m}) }

// changes adds and removes n routes in a namespace. "" is the host's namespace.
func changes(t *testing.T, netns string, n int) {
	t.Helper()
	var batch strings.Builder
	for _, verb := range []string{"add", "del"} {
		for i := range n {
			fmt.Fprintf(&batch, "route %s unreachable 172.%d.%d.%d/32\n", verb, 16+i>>16, i>>8&0xff, i&0xff)
		}
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-batch", file}
	if netns != "" {
		args = append([]string{"-n", netns}, args...)
	}
	run(t, "ip", args...)
}

// A change in the namespace of a router causes an inspection of this namespace only. Changes
// in the host's namespace, and in namespaces of other programs, cause no inspection.
func TestOnlyChangedNamespaceIsInspected(t *testing.T) {
	s := start(t, nil)
	s.Want(Intent{Layout: 1, Index: index(model(3)), Complete: true})
	s.until("everything is made", func() bool { return s.last.Layout == 1 && s.last.Complete })
	run(t, "ip", "netns", "add", "other")
	s.settle("r3")

	before, reports := s.count()
	changes(t, "", 5000)
	changes(t, "other", 5000)
	s.settle("r3")
	after, more := s.count()
	if before["r1"] != after["r1"] || before["r2"] != after["r2"] {
		t.Errorf("inspections before 10,000 changes in the host's and another program's namespace: %v; after: %v", before, after)
	}
	if more-reports > 20 { // the reports during settle
		t.Errorf("the changes caused %d passes", more-reports)
	}

	changes(t, "qrouter-r1", 500)
	s.settle("r3")
	before = after
	after, _ = s.count()
	if n := after["r1"] - before["r1"]; n < 1 || n > 50 {
		t.Errorf("1,000 changes in the namespace of a router caused %d inspections", n)
	}
	if before["r2"] != after["r2"] {
		t.Errorf("inspections before 1,000 changes in the namespace of r1: %v; after: %v", before, after)
	}
}

// A change of the layout causes inspections of the changed routers only. The problems of the
// other routers are kept.
func TestLayoutChangeInspectsChangedRouters(t *testing.T) {
	s := start(t, nil)
	run(t, "ip", "netns", "add", "qrouter-r2")
	run(t, "ip", "-n", "qrouter-r2", "link", "set", "lo", "alias", "ofdvr-router@another=r2")
	first := index(model(3))
	s.Want(Intent{Layout: 1, Index: first, Complete: true})
	foreign := func() bool {
		return slices.ContainsFunc(s.last.Problems["r2"], func(p string) bool { return strings.Contains(p, "another") })
	}
	s.until("everything is made", func() bool { return s.last.Layout == 1 && s.last.Complete && foreign() })
	s.settle("r3")
	before, _ := s.count()

	changed := model(3).Routers[0]
	changed.Routes = []routing.Route{{Destination: netip.MustParsePrefix("198.51.100.0/24"), Type: routing.RouteBlackhole}}
	second := first.With(routing.Change{Put: routing.Model{Routers: []routing.Router{changed}}})
	s.Want(Intent{Layout: 2, Index: second, Complete: true})
	s.until("the change is made", func() bool { return s.last.Layout == 2 && s.last.Complete })
	if !foreign() {
		t.Errorf("problems of r2 are %q", s.last.Problems["r2"])
	}
	if out := run(t, "ip", "-n", "qrouter-r1", "route"); !strings.Contains(out, "blackhole 198.51.100.0/24") {
		t.Errorf("routes are %s", out)
	}
	s.settle("r3")
	after, _ := s.count()
	if after["r1"] == before["r1"] || after["r2"] != before["r2"] {
		t.Errorf("inspections %v, then %v", before, after)
	}

	third := second.With(routing.Change{Delete: routing.IDs{Routers: []string{"r1"}}})
	s.Want(Intent{Layout: 3, Index: third, Complete: true})
	s.until("the router is gone", func() bool { return s.last.Layout == 3 && s.last.Complete })
	if out := run(t, "ip", "netns"); strings.Contains(out, "qrouter-r1") || !strings.Contains(out, "qrouter-r2") || !strings.Contains(out, "qrouter-r3") {
		t.Errorf("namespaces are %s", out)
	}
}

// Nothing is made before Config.Surveyed is closed.
func TestNothingIsMadeBeforeSurvey(t *testing.T) {
	surveyed := make(chan struct{})
	s := start(t, surveyed)
	s.Want(Intent{Layout: 1, Index: index(model(1))})
	s.until("it waits", func() bool { return s.last.Connected && len(s.last.Problems[""]) == 1 })
	if files, _ := os.ReadDir("/run/netns"); len(files) > 0 || s.last.Complete {
		t.Errorf("namespaces %v, report %+v", files, s.last)
	}
	state, err := s.Database(t.Context())
	if err != nil || len(state.Routers()) > 0 {
		t.Errorf("OVSDB has %v, %v", state.Routers(), err)
	}
	close(surveyed)
	s.until("everything is made", func() bool { return s.last.Complete && len(s.last.Problems[""]) == 0 })
	if files, _ := os.ReadDir("/run/netns"); len(files) != 1 {
		t.Errorf("namespaces %v", files)
	}
}

// If everything already exists, the start inspects each namespace once.
func TestStartInspectsOnce(t *testing.T) {
	s := start(t, nil)
	in := Intent{Layout: 1, Index: index(model(3)), Complete: true}
	s.Want(in)
	s.until("everything is made", func() bool { return s.last.Complete && s.idle })
	s.end()
	again := startAt(t, s.cfg.OVSDB, nil)
	again.Want(in)
	again.until("everything is compared", func() bool { return again.last.Complete && again.idle })
	if counts, _ := again.count(); !maps.Equal(counts, map[string]int{"r1": 1, "r2": 1, "r3": 1}) {
		t.Errorf("inspections %v", counts)
	}
}

// The routes of namespaces are read even without a database.
func TestInspectWithoutDatabase(t *testing.T) {
	lab.Require(t)
	s := startAt(t, "unix:/run/none.sock", nil)
	s.Want(Intent{Layout: 1, Index: index(model(2)), Complete: true})
	s.until("all namespaces are read", func() bool { return s.counts["r1"] == 1 && s.counts["r2"] == 1 && s.idle })
	if s.last.Connected || s.last.Complete || len(s.last.Problems[""]) != 1 {
		t.Errorf("report %+v", s.last)
	}
}
