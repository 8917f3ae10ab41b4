package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/internal/lab"
)

// apiSocket is where the API is.
const apiSocket = "/run/ofdvr/api.sock"

// A reply is what the API answered.
type reply struct {
	status int
	header http.Header
	text   string
}

// into decodes the answer's body.
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

// must is ask for what has to be answered with a status.
func (s *site) must(status int, method, path, body string) reply {
	s.t.Helper()
	a := s.ask(method, path, body)
	if a.status != status {
		s.t.Fatalf("%s %s was answered with %d, want %d: %s", method, path, a.status, status, a.text)
	}
	return a
}

// storeOnly returns a site whose daemon has a store and no file.
func storeOnly(t *testing.T, flags ...string) *site {
	t.Helper()
	s := &site{Host: lab.Boot(t), t: t}
	s.serve(flags...)
	return s
}

// A router that is made through the API, object by object, routes as soon as
// that is answered.
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
		t.Errorf("the flow of the deleted port is there: %v", got)
	}
	s.must(200, "DELETE", "/v1/routers/r1"+wait, "")
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("bridges are left: %q", got)
	}
}
