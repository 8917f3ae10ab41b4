package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// ofdvr events shows the events of one router, the events of a level, and events as they happen.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	mustHave(t, s.ofdvr(0, "events"), "INFO   switch connected  router=r1  bridge=rb-r1")
	follow, err := s.StartDaemon("events", "--router", "r1", "--level", "warn", "-f", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	s.sh("", "ovs-ofctl -O OpenFlow13 del-flows "+bridge+" table=3,ip,nw_dst=10.0.2.10")
	s.eventually("the event of the repair", func() error { return lacks(follow.Log(), "repaired") })
	var e struct{ Level, Message, Router string }
	if err := json.Unmarshal([]byte(strings.Split(follow.Log(), "\n")[0]), &e); err != nil || e.Level != "warn" || e.Router != "r1" || !strings.Contains(e.Message, "repaired flows") {
		t.Errorf("%+v, %v\n%s", e, err, follow.Log())
	}
	mustHave(t, s.ofdvr(1, "events", "--router", "r9"), `router "r9"`)
	if got := s.ofdvr(0, "events", "-n", "1"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "repaired") {
		t.Errorf("the latest: %q", got)
	}
	mustHave(t, s.ofdvr(64, "events", "--level", "loud"), "--level loud: want info, warn or error")
}

// The log has warnings about other programs' changes that the daemon has repaired: of flows, ports,
// bridges and namespaces. The daemon's own changes are no warnings.
func TestRepairsAreWarnings(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	warnings := func() string { return s.ofdvr(0, "events", "--level", "warn") }
	s.reload(with("02:00:00:00:02:10", "02:00:00:00:02:11"))
	s.reload(twoNetworks + "  - {id: vm3, network: green, mac: \"02:00:00:00:02:13\", addresses: [10.0.2.13]}\n")
	if got := warnings(); got != "" {
		t.Errorf("the log has warnings about the daemon's own changes:\n%s", got)
	}
	for _, change := range []struct{ command, says string }{
		{"ovs-vsctl del-port " + bluePeer, "repaired rows of OVSDB that another program had changed  router=r1  insert=" + bluePeer},
		{"ovs-vsctl set port pi-r1-green tag=7", "repaired rows of OVSDB that another program had changed  router=r1  update=\"Port pi-r1-green (tag)\""},
		{"ovs-vsctl del-br " + bridge, "repaired rows of OVSDB that another program had changed  router=r1  insert="},
		{"ip -n " + netns + " addr flush dev " + blueTap, "repaired a namespace that another program had changed  router=r1  changes="},
	} {
		s.sh("", change.command)
		s.eventually("a warning after "+change.command, func() error { return lacks(warnings(), change.says) })
		s.settle()
	}
}

// At its start, the daemon logs once that the integration bridge does not exist.
func TestMissingIntegrationBridge(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	s.serve("--integration-bridge", "br-nope")
	const text = "the integration bridge (--integration-bridge) does not exist"
	s.logged(text)
	mustHave(t, s.ofdvr(0, "events", "--level", "warn"), "integration bridge br-nope: it does not exist; create it with `ovs-vsctl add-br br-nope`")
	mustHave(t, s.ofdvr(0, "status"), "problem: integration bridge br-nope: it does not exist")
	s.ofdvr(1, "status", "--exit-code")
	s.sh("", "ovs-vsctl add-br br-nope -- set bridge br-nope datapath_type="+lab.Datapath())
	s.settle()
	s.ofdvr(0, "status", "--exit-code")
	if n := strings.Count(s.daemon.Log(), text); n != 1 {
		t.Errorf("it is logged %d times", n)
	}
}

// The log level changes while the daemon runs, and the OpenFlow messages of one
// router can be logged as text.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	if got := s.ofdvr(0, "log-level"); got != "level: info\n" {
		t.Errorf("%q", got)
	}
	mustHave(t, s.ofdvr(1, "log-level", "debug", "--openflow", "r9"), `router "r9"`)
	if got := s.ofdvr(0, "log-level"); got != "level: info\n" {
		t.Errorf("a request with an invalid level has changed the level: %q", got)
	}
	if got := s.ofdvr(0, "log-level", "debug", "--openflow", "r1"); got != "level: debug\nOpenFlow messages of router: r1\n" {
		t.Errorf("%q", got)
	}
	s.reload(with("02:00:00:00:02:10", "02:00:00:00:02:11"))
	for _, want := range []string{
		`sent OpenFlow  {"router": "r1", "bridge": "rb-r1", "message": "ONFT_BUNDLE_CONTROL (xid=`,
		`modify_strict cookie=0xfd09ec5ef62282fc, table=3, priority=100,ip,nw_dst=10.0.2.10 actions=set_field:02:00:00:00:02:01->eth_src,set_field:02:00:00:00:02:11->eth_dst,dec_ttl,output:`,
		`received OpenFlow  {"router": "r1", "bridge": "rb-r1", "message": "ONFT_BUNDLE_CONTROL (xid=`,
		"commit reply",
	} {
		s.logged(want)
	}
	s.ofdvr(0, "log-level", "info", "--openflow", "")
	before := strings.Count(s.daemon.Log(), "OpenFlow  {")
	s.reload(twoNetworks)
	if n := strings.Count(s.daemon.Log(), "OpenFlow  {"); n != before {
		t.Errorf("%d messages were logged after logging was turned off", n-before)
	}
}

// Profiles are served on the API's address if they are enabled.
func TestProfiles(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--pprof", "--log-openflow", "r1", "--log-level", "debug")
	s.logged(`"message": "OFPST_FLOW request`)
	get := func(path string) (int, string) {
		resp, err := s.HTTPUnix("/run/ofdvr/api.sock").Get("http://ofdvr" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := get("/debug/pprof/goroutine?debug=1"); status != http.StatusOK || !strings.Contains(body, "goroutine profile:") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get("/v1/status"); status != http.StatusOK {
		t.Error(status)
	}
	s.stop()
	s.serve()
	if status, _ := get("/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("without --pprof: %d", status)
	}
}

// lacks returns an error unless text contains the parameter want.
func lacks(text, want string) error {
	if !strings.Contains(text, want) {
		return fmt.Errorf("%q is not in %q", want, text)
	}
	return nil
}
