package e2e

import (
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// fails runs a command of ofdvr that must exit with status 1, and returns all its
// output.
func (s *site) fails(args ...string) string {
	s.t.Helper()
	_, err := s.Ofdvr(within(s.t), args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		s.t.Fatalf("ofdvr %v: %v, want exit status 1", args, err)
	}
	return err.Error()
}

// mustHave fails the test unless text has all of the words.
func mustHave(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing from:\n%s", w, text)
		}
	}
}

// The status shows each router with its bridge and its progress, as a table and as JSON.
func TestStatus(t *testing.T) {
	t.Parallel()
	s := ready(t, twoRouters)
	out, err := s.Ofdvr(t.Context(), "status")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Fields(line))
	}
	if len(rows) != 6 { // rows: topology, intent, ovsdb, the header and two routers
		t.Fatalf("the table is\n%s", out)
	}
	mustHave(t, out, s.file+": 4 networks, 2 routers, 2 ports\n", "intent: revision ", "ovsdb unix:/var/run/openvswitch/db.sock: connected\n")
	st := s.status()
	for i, r := range st.Routers {
		flows := len(s.flows(r.Bridge).flows)
		if !r.Settled || !r.Connected || !r.Managed || r.FlowsWanted != flows || r.FlowsInstalled != flows || len(r.Problems) > 0 {
			t.Errorf("bridge %s has %d flows, but the status of its router is %+v", r.ID, flows, r)
		}
		dpid := strings.Trim(s.vsctl("get", "bridge", r.Bridge, "other_config:datapath-id"), `"`)
		if r.DatapathID != dpid {
			t.Errorf("%s has datapath ID %s, want %s", r.ID, r.DatapathID, dpid)
		}
		if row := strings.Join(rows[4+i], " "); !strings.HasPrefix(row, r.ID+" "+r.Bridge+" connected ") || !strings.HasSuffix(row, " settled yes") {
			t.Errorf("the row of %s is %q", r.ID, row)
		}
	}
	if !st.Settled || len(st.Problems) > 0 || st.OVSDB == nil || !st.OVSDB.Connected || st.Intent.File.Name != s.file ||
		st.Intent.Networks != 4 || st.Intent.Routers != 2 || st.Intent.Ports != 2 {
		t.Errorf("the status is %+v", st)
	}
	for _, page := range []string{"/healthz", "/readyz"} {
		if code, body := s.get(page); code != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %d %q", page, code, body)
		}
	}
}

// status --wait ends after its timeout with the reason. The daemon is healthy then, but not ready.
func TestStatusWaitGivesUp(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.serve("--ovsdb", "")
	out := s.fails("status", "--wait", "--timeout", "200ms")
	mustHave(t, out, "not everything was confirmed within 200ms", "not connected",
		"problem: router r1: bridge br-x is not connected: ovs-vsctl set-controller br-x tcp:127.0.0.1:6653")
	if code, body := s.get("/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "0 of 1 router") {
		t.Errorf("/readyz: %d %q", code, body)
	}
	s.metric(0, "ofdvr_connected_bridges")
	s.metric(0, `ofdvr_router_connected{router="r1"}`)
}

// status --wait waits for a daemon that has not started yet.
func TestStatusWaitsForTheDaemon(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	cmd := s.Command(t.Context(), must(lab.Binary()), "status", "--wait", "--timeout", patience.String())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.serve()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !s.status().Settled {
		t.Error("status --wait returned before everything was confirmed")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Without a daemon, status reports the problem and the remedy.
func TestStatusWithoutADaemon(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"status", "--wait", "--timeout", "100ms"}} {
		mustHave(t, s.fails(args...), "/run/ofdvr/api.sock", "no such file or directory", "does the daemon run (ofdvr serve)")
	}
	s.serve()
	s.daemon.Kill() // kill it, so that it leaves the socket behind
	mustHave(t, s.fails("status"), "connection refused", "does the daemon run (ofdvr serve)")
}

// A second daemon exits with the reason, and so does a daemon that cannot start.
func TestDaemonThatCannotStart(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	before := s.flows(bridge)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--topology", s.file}, []string{"another ofdvr runs as process", "--standby"}},
		{[]string{"--topology", s.file, "--run-dir", "/run/other"}, []string{"open /var/lib/ofdvr/intent.db: the store is in use by another process"}},
		{[]string{"--topology", s.file, "--run-dir", "/run/other", "--state-dir="}, []string{"another ofdvr answers there"}},
		{[]string{"--topology", s.file, "--run-dir", "/run/other", "--state-dir=", "--api", "unix:/run/other.sock"}, []string{"--metrics", "address already in use"}},
		{[]string{"--topology", s.file, "--run-dir", "/run/other", "--state-dir=", "--api", "unix:/run/other.sock", "--metrics", ""}, []string{"does another controller run on this port?"}},
	} {
		mustHave(t, s.fails(append([]string{"serve"}, c.args...)...), c.want...)
	}
	mustBeUntouched(t, before, s.flows(bridge))
	s.settle()
}

// If a router cannot be applied, it is reported by name. The other routers are ready.
func TestProblemOfOneRouterIsIsolated(t *testing.T) {
	t.Parallel()
	s := bare(t, twoRouters)
	s.vsctl("add-port", "br-int", "pi-r2-pink", "--", "set", "interface", "pi-r2-pink", "type=internal") // takes its name
	s.serve()
	s.eventually("r1 to be ready and r2 not", func() error {
		st := s.status()
		if len(st.Routers) == 2 && st.Routers[0].Settled && !st.Routers[1].Settled &&
			strings.Contains(strings.Join(st.Routers[1].Problems, "\n"), "pi-r2-pink") {
			return nil
		}
		return errors.New("not yet")
	})
	pingTTL(t, s.plug(vm("vm1", "10.0.1.10")), "10.0.2.1", 64)
	s.vsctl("del-port", "pi-r2-pink")
	s.settle()
}
