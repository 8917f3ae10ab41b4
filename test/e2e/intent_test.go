package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// apiSocket is the API's Unix socket.
const apiSocket = "/run/ofdvr/api.sock"

// A reply is a reply of the API.
type reply struct {
	status int
	header http.Header
	text   string
}

// into decodes the reply's body.
func (a reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), v); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
}

// ask sends a request to the API.
func (s *site) ask(method, path, body string) reply {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://ofdvr"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.HTTPUnix(apiSocket).Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// must is ask that fails the test unless the reply has status.
func (s *site) must(status int, method, path, body string) reply {
	s.t.Helper()
	a := s.ask(method, path, body)
	if a.status != status {
		s.t.Fatalf("%s %s was answered with %d, want %d: %s", method, path, a.status, status, a.text)
	}
	return a
}

// storeOnly returns a site with a daemon that has a store and no file.
func storeOnly(t *testing.T, flags ...string) *site {
	t.Helper()
	s := &site{Host: lab.Boot(t), t: t}
	s.serve(flags...)
	return s
}

// If a router is made through the API, object by object, it routes as soon as the last write is
// answered.
func TestAPIMakesARouter(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	const wait = "?wait=applied&timeout=20s"
	s.must(201, "PUT", "/v1/networks/blue", `{"vlan": 1}`)
	s.must(201, "PUT", "/v1/networks/green", `{"id": "green", "vlan": 2}`)
	s.must(201, "PUT", "/v1/routers/r1"+wait, `{"interfaces": [
		{"id": "r1-blue", "network": "blue", "mac": "02:00:00:00:01:01", "addresses": ["10.0.1.1/24"]},
		{"id": "r1-green", "network": "green", "mac": "02:00:00:00:02:01", "addresses": ["10.0.2.1/24"]}]}`)
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	for i, m := range []string{"vm1", "vm2"} {
		a := s.must(201, "PUT", "/v1/ports/"+m+wait, fmt.Sprintf(`{"network": %q, "mac": "02:00:00:00:%02d:10", "addresses": ["10.0.%d.10"]}`,
			[]string{"blue", "green"}[i], i+1, i+1))
		if !strings.Contains(a.text, `"applied":true`) {
			t.Errorf("%s is not applied: %s", m, a.text)
		}
	}
	tap := s.recordIn(netns, blueTap, isIPv4)
	pingTTL(t, vm1, vm2.IP(), 63)
	seen(t, tap, "the tap", 0, "the packets of the ping", echo("", vm2.IP()))
	s.settle()

	s.must(200, "DELETE", "/v1/ports/vm2"+wait, "")
	if got := s.flows(bridge).find("nw_dst=10.0.2.10 "); len(got) != 0 {
		t.Errorf("the deleted port still has a flow: %v", got)
	}
	s.must(200, "DELETE", "/v1/routers/r1"+wait, "")
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("bridges are left: %q", got)
	}
}

// If the switch refuses flows, the answer to the client and the object's status have the switch's
// reason. The other flows are added. The refused flows are added when the table has space.
func TestRefusedFlowsDegradeTheObject(t *testing.T) {
	t.Parallel()
	s, _, _ := written(t)
	s.vsctl("--", "--id=@t", "create", "Flow_Table", "flow_limit=5", "--", "set", "Bridge", bridge, "flow_tables:3=@t")
	port := func(n int) string {
		return fmt.Sprintf(`{"network": "green", "mac": "02:00:00:00:02:%d", "addresses": ["10.0.2.%d"]}`, n, n)
	}
	// The table already has five flows, two of them for ports.
	a := s.must(202, "PUT", "/v1/ports/more"+applied, port(20))
	if !strings.Contains(a.text, `"applied":false`) || !strings.Contains(a.text, "port more: the switch refuses it") || !strings.Contains(a.text, "OFPFMFC_TABLE_FULL") && !strings.Contains(a.text, "full") {
		t.Error(a.text)
	}
	var st struct {
		Conditions []struct {
			Type, Status, Reason, Message string
			Observed                      uint64    `json:"observed_revision"`
			Changed                       time.Time `json:"last_transition_time"`
		}
	}
	s.must(200, "GET", "/v1/ports/more/status", "").into(t, &st)
	if len(st.Conditions) != 3 || st.Conditions[2].Status != "True" || st.Conditions[2].Reason != "Refused" || !strings.Contains(st.Conditions[2].Message, "port more") ||
		st.Conditions[2].Changed.IsZero() || st.Conditions[2].Observed == 0 {
		t.Errorf("conditions %+v", st.Conditions)
	}
	s.must(200, "GET", "/v1/ports/vm1/status", "").into(t, &st)
	if st.Conditions[1].Status != "True" || st.Conditions[2].Status != "False" || st.Conditions[1].Changed.IsZero() {
		t.Errorf("of another port: %+v", st.Conditions)
	}
	s.must(200, "DELETE", "/v1/ports/vm2"+applied, "") // makes room
	s.settle()
	s.must(200, "GET", "/v1/ports/more/status", "").into(t, &st)
	if st.Conditions[1].Status != "True" || st.Conditions[2].Status != "False" {
		t.Errorf("when there is room: %+v", st.Conditions)
	}
}

// A write is stored even if its bridge is disconnected. The reply lists the pending
// objects.
func TestPendingWriteHasReason(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	s.must(200, "PUT", "/v1/topology", `{"networks": [{"id": "blue"}], "routers": [{"id": "x", "fallback": "none", "bridge": {"managed": false, "name": "br-x"},
		"interfaces": [{"id": "i", "network": "blue", "mac": "02:00:00:00:01:01", "addresses": ["10.0.1.1/24"], "patch_port": "p"}]}]}`)
	a := s.must(202, "PUT", "/v1/ports/p?wait=applied&timeout=10ms", `{"network": "blue", "mac": "02:00:00:00:01:10", "addresses": ["10.0.1.10"]}`)
	if !strings.Contains(a.text, "bridge br-x is not connected: ovs-vsctl set-controller br-x") {
		t.Error(a.text)
	}
	mustHave(t, s.ofdvr(1, "delete", "port", "p", "--timeout", "10ms"), "port/p deleted\n", "the change is on disk, but the switches did not confirm all of it within 10ms:\n  router x: bridge br-x is not connected")
	s.must(409, "GET", "/v1/routers/x/flows", "")
}

// The API's socket is open to its owner and a group. Over TCP, the API is open to clients with the
// token.
func TestAPIAccess(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "openssl")
	s := &site{Host: lab.Boot(t), t: t}
	s.sh("", `cd /run
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout api.key -out api.crt -days 1 -subj /CN=api -addext subjectAltName=IP:127.0.0.1 2>/dev/null
		echo correct horse battery staple >api.token`)
	s.serve("--api", "unix:/run/ofdvr/api.sock,ssl:127.0.0.1:9477", "--api-group", "daemon",
		"--api-certificate", "/run/api.crt", "--api-private-key", "/run/api.key", "--api-token-file", "/run/api.token")
	if got := s.sh("", "stat -c '%a %G' /run/ofdvr/api.sock"); got != "660 daemon\n" {
		t.Errorf("the socket has %q", got)
	}
	over := []string{"--api", "ssl:127.0.0.1:9477", "--api-ca-cert", "/run/api.crt"}
	two, err := s.WriteFile("two.yaml", twoNetworks)
	if err != nil {
		t.Fatal(err)
	}
	mustHave(t, s.ofdvr(1, append([]string{"get", "ports"}, over...)...), "this needs a client certificate, or a bearer token")
	over = append(over, "--api-token-file", "/run/api.token")
	mustHave(t, s.ofdvr(0, append([]string{"apply", "-f", two}, over...)...), "port/vm2 created\n")
	mustHave(t, s.ofdvr(0, append([]string{"status", "--wait"}, over...)...), "settled  yes")
}
