package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
)

const patchType = "application/merge-patch+json"

// A merge patch changes only the keys that it has. It is subject to the rules
// for all writes.
func TestMergePatch(t *testing.T) {
	s := named(t)
	for _, tt := range []struct{ path, patch, want string }{
		{"/v1/networks/blue", `{"mtu":9000}`, `{"id":"blue","name":"Office","description":"second floor","labels":{"site":"a"},"vlan":1,"mtu":9000}`},
		{"/v1/networks/blue", `{"name":null,"labels":{"rack":"7","site":null}}`, `{"id":"blue","description":"second floor","labels":{"rack":"7"},"vlan":1,"mtu":9000}`},
		{"/v1/networks/blue", `{"id":"blue","description":null,"labels":null,"mtu":null}`, `{"id":"blue","vlan":1}`},
		{"/v1/ports/p1", `{"addresses":["10.0.2.44"],"labels":{"tier":"cache"}}`,
			`{"id":"p1","name":"twin","labels":{"tier":"cache"},"network":"green","mac":"02:00:00:00:08:01","addresses":["10.0.2.44"]}`},
		{"/v1/routers/r1", `{"routes":[],"answer_rate":5,"bridge":{"name":"br-x"}}`, `{"id":"r1","answer_rate":5,"bridge":{"name":"br-x"},` + r1[1:strings.Index(r1, `,"routes"`)] + "}"},
	} {
		before := s.must(200, "GET", tt.path, "")
		dry := s.must(200, "PATCH", tt.path+"?dry_run=true", tt.patch, "Content-Type", patchType)
		if !strings.Contains(dry.text, `"plan":`) || s.must(200, "GET", tt.path, "").text != before.text {
			t.Errorf("the dry run of patch %s returned %s", tt.patch, dry.text)
		}
		r := s.must(200, "PATCH", tt.path, tt.patch, "Content-Type", patchType, "If-Match", before.header.Get("ETag"))
		now := s.must(200, "GET", tt.path, "")
		if now.text != tt.want+"\n" || r.header.Get("ETag") != now.header.Get("ETag") || !strings.Contains(r.text, `"op":"updated"`) {
			t.Errorf("%s patched with %s\nis   %swant %s\nthe answer was %s", before.text, tt.patch, now.text, tt.want, r.text)
		}
		s.must(412, "PATCH", tt.path, tt.patch, "If-Match", before.header.Get("ETag")).problem(t)
		if again := s.must(200, "PATCH", tt.path, tt.patch); !strings.Contains(again.text, `"op":"unchanged"`) {
			t.Errorf("the same patch again: %s", again.text)
		}
	}
	for _, tt := range []struct {
		path, patch string
		status      int
		says        string
	}{
		{"/v1/ports/none", `{}`, 404, `there is no such object`},
		{"/v1/ports/vm1", `{"id":"vm2"}`, 422, `"pointer":"/id"`},
		{"/v1/ports/vm1", `{"mac":null}`, 422, `"pointer":"/mac","detail":"missing key \"mac\""`},
		{"/v1/ports/vm1", `{"colour":1}`, 422, `"pointer":"/colour","detail":"unknown key \"colour\""`},
		{"/v1/ports/vm1", `{"a/b":null}`, 422, `"pointer":"/a~1b","detail":"unknown key \"a/b\""`},
		{"/v1/ports/vm1", `{"mac":null,"nosuch":null}`, 422, `"detail":"the body has 2 mistakes"`},
		{"/v1/networks/blue", `{"nosuch":null}`, 422, `"pointer":"/nosuch","detail":"unknown key \"nosuch\""`},
		{"/v1/networks/blue", `{"mtus":null}`, 422, `"pointer":"/mtus","detail":"unknown key \"mtus\"; did you mean \"mtu\"?"`},
		{"/v1/routers/r1", `{"bridge":{"nosuch":null}}`, 422, `"pointer":"/bridge/nosuch","detail":"unknown key`},
		{"/v1/ports/vm1", `{"network":"red"}`, 422, `"pointer":"/network","detail":"unknown network`},
		{"/v1/ports/vm1", `{"mac":"x","color":1}`, 422, `"pointer":"/mac","detail":"\"x\" is not a MAC`},
		{"/v1/ports/vm1", `[]`, 422, `want a mapping, got a list`},
		{"/v1/ports/vm1", "{\"mac\":\n}", 422, `"line":2,"column":1`},
		{"/v1/networks/blue", `{"vlan":2}`, 422, `"pointer":"/vlan"`},
	} {
		if r := s.must(tt.status, "PATCH", tt.path, tt.patch); !strings.Contains(r.text, tt.says) {
			t.Errorf("%s %s: %s, want %s", tt.path, tt.patch, r.text, tt.says)
		}
	}
	declared := serve(t, &routing.Model{Networks: []routing.Network{{ID: "blue", MTU: 1500}}})
	declared.must(403, "PATCH", "/v1/networks/blue", `{"mtu":1400}`).problem(t)
}

// Bodies that are not JSON are refused with a remedy. Bodies of unspecific type are read
// as JSON.
func TestMediaTypes(t *testing.T) {
	s := filled(t)
	for _, kind := range []string{"application/yaml", "text/yaml; charset=utf-8", "application/x-yaml", "application/vnd.x+yaml"} {
		for _, r := range []string{"PUT /v1/ports/vm1", "PATCH /v1/topology", "PUT /v1/topology", "PUT /v1/routers/r1/snapshot", "PATCH /v1/ports/vm1"} {
			method, path, _ := strings.Cut(r, " ")
			if p := s.must(415, method, path, vm1, "Content-Type", kind).problem(t); !strings.Contains(p.Detail, "send JSON, or use 'ofdvr apply FILE'") {
				t.Errorf("%s as %s: %s", r, kind, p.Detail)
			}
		}
	}
	for _, body := range []string{"network: blue\nmac: x\n", "---\na: b", "# a port\nnetwork: blue", "\n- a\n", "networks:\n  - {id: blue}"} {
		s.must(415, "PUT", "/v1/ports/vm1", body).problem(t)
	}
	for _, body := range []string{"x", "", "<a/>", "{id: blue}"} {
		if r := s.ask("PUT", "/v1/ports/vm1", body); r.status != 422 && r.status != 400 {
			t.Errorf("%q is answered with %d", body, r.status)
		}
	}
	r := s.must(415, "PATCH", "/v1/ports/vm1", `[]`, "Content-Type", "application/json-patch+json")
	if r.header.Get("Accept-Patch") != patchType {
		t.Errorf("Accept-Patch is %q", r.header.Get("Accept-Patch"))
	}
	s.must(415, "PUT", "/v1/ports/vm1", vm1, "Content-Type", patchType)
	for _, kind := range []string{"", "application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"} {
		s.must(200, "PUT", "/v1/ports/vm1", vm1, "Content-Type", kind)
	}
}

// The interfaces and routes of a router can be written one by one, under the same rules as the
// router.
func TestParts(t *testing.T) {
	s := filled(t)
	s.must(201, "PUT", "/v1/networks/red", `{}`)
	const blue, to = "/v1/routers/r1/interfaces/blue", "/v1/routers/r1/routes/10.9.0.0%2F16"
	face := s.must(200, "GET", blue, "")
	if want := `{"id":"r1-blue","network":"blue","mac":"02:00:00:00:01:01","addresses":["10.0.1.1/24"]}` + "\n"; face.text != want {
		t.Errorf("interface %s", face.text)
	}
	route := s.must(200, "GET", to, "")
	if want := `{"destination":"10.9.0.0/16","nexthop":"10.0.2.7"}` + "\n"; route.text != want {
		t.Errorf("route %s", route.text)
	}
	for path, r := range map[string]reply{blue: face, to: route} {
		s.must(304, "GET", path, "", "If-None-Match", r.header.Get("ETag"))
		if same := s.must(200, "PUT", path, r.text, "If-Match", r.header.Get("ETag")); !strings.Contains(same.text, `"op":"unchanged"`) || same.header.Get("ETag") != r.header.Get("ETag") {
			t.Errorf("PUT %s without a change returned %s", path, same.text)
		}
		s.must(412, "PUT", path, r.text, "If-Match", `"other"`).problem(t)
		s.must(412, "PUT", path, r.text, "If-None-Match", "*").problem(t)
		s.must(412, "DELETE", path, "", "If-Match", `"other"`).problem(t)
	}
	red := `{"id":"r1-red","mac":"02:00:00:00:03:01","addresses":["10.0.3.1/24"]}`
	if r := s.must(200, "PUT", "/v1/routers/r1/interfaces/red?dry_run=true", red); !strings.Contains(r.text, `"plan":`) {
		t.Errorf("dry run %s", r.text)
	}
	s.must(404, "GET", "/v1/routers/r1/interfaces/red", "").problem(t)
	s.must(201, "PUT", "/v1/routers/r1/interfaces/red", red, "If-None-Match", "*")
	s.must(200, "PUT", "/v1/routers/r1/interfaces/red", strings.Replace(red, ".3.1/", ".3.2/", 1))
	s.must(201, "PUT", "/v1/routers/r1/routes/0.0.0.0%2F0", `{"destination":"0.0.0.0/0","nexthop":"10.0.3.9"}`)
	var router struct {
		Interfaces []struct{ Network, ID string }
		Routes     []struct{ Destination string }
	}
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/routers/r1", "").text), &router); err != nil || len(router.Interfaces) != 3 || len(router.Routes) != 2 || router.Interfaces[2].Network != "red" {
		t.Errorf("router %+v, %v", router, err)
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v1/routers/none/interfaces/blue", "", 404, "no such object"},
		{"GET", "/v1/routers/r1/routes/x", "", 422, `"parameter":"destination"`},
		{"GET", "/v1/routers/r1/routes/10.1.0.0%2F16", "", 404, `router \"r1\" has no route to 10.1.0.0/16`},
		{"DELETE", "/v1/routers/r1/interfaces/none", "", 404, `router \"r1\" has no interface on network none`},
		{"DELETE", "/v1/routers/r1/interfaces/red", "", 422, "10.0.3.9"}, // a route needs this interface
		{"PUT", blue, `{"id":"r1-blue","network":"green","mac":"02:00:00:00:01:01","addresses":["10.0.1.1/24"]}`, 422, `"pointer":"/network"`},
		{"PUT", blue, `{"id":"r1-blue","mac":"03:00:00:00:01:01","addresses":["10.0.2.3/24"]}`, 422, `"pointer":"/mac","line":1,"column":23`},
		{"PUT", to, `{"nexthop":"10.7.0.1"}`, 422, `"pointer":"/nexthop"`},
		{"PUT", to, "{\n}", 422, `"pointer":"/nexthop"`},
		{"PUT", "/v1/routers/none/routes/10.9.0.0%2F16", `{"nexthop":"10.7.0.1"}`, 404, "no such object"},
		{"PUT", "/v1/routers/r1/interfaces/none", red, 422, "unknown network"},
	} {
		if r := s.must(tt.status, tt.method, tt.path, tt.body); !strings.Contains(r.text, tt.says) {
			t.Errorf("%s %s %s: %s, want %s", tt.method, tt.path, tt.body, r.text, tt.says)
		}
	}
	s.must(200, "DELETE", "/v1/routers/r1/routes/0.0.0.0%2F0", "")
	s.must(200, "DELETE", "/v1/routers/r1/interfaces/red", "")
	s.must(200, "DELETE", to, "", "If-Match", route.header.Get("ETag"))
	if got := s.must(200, "GET", "/v1/routers/r1", "").text; strings.Contains(got, "red") || strings.Contains(got, "routes") {
		t.Errorf("router %s", got)
	}
	s.must(200, "PATCH", "/v1/routers/r1", `{"interfaces":[{"id":"a","network":"red","mac":"02:00:00:00:03:01","addresses":["10.0.3.1/24"]},{"id":"b","network":"red","mac":"02:00:00:00:03:02","addresses":["10.0.4.1/24"]}]}`)
	if p := s.must(409, "GET", "/v1/routers/r1/interfaces/red", "").problem(t); !strings.Contains(p.Detail, "more than one interface on network red") {
		t.Errorf("problem %+v", p)
	}
}

// The OpenAPI description is served at the usual paths too.
func TestDescriptionIsFound(t *testing.T) {
	s := serve(t, nil)
	c := *s.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, path := range []string{"/openapi.json", "/openapi.yaml", "/openapi"} {
		resp, err := c.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		want := "/v1" + path
		if path == "/openapi" {
			want = "/v1/openapi.json"
		}
		if resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != want {
			t.Errorf("%s: %s to %q", path, resp.Status, resp.Header.Get("Location"))
		}
	}
	if r := s.must(200, "GET", "/openapi.json", ""); !strings.Contains(r.text, `"openapi":"3.1.0"`) {
		t.Errorf("/openapi.json leads to %.100s", r.text)
	}
}
