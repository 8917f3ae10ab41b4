package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// spanning returns the server of filled with two hosts, and a network between them with a port that
// is expected on the first host.
func spanning(t *testing.T) *server {
	s := filled(t)
	s.must(201, "PUT", "/v1/hosts/h1", `{"name":"rack 1","labels":{"site":"a"},"tunnel":{"address":"192.0.2.1"}}`)
	s.must(201, "PUT", "/v1/hosts/h2", `{"tunnel":{"type":"vxlan","address":"192.0.2.2"}}`)
	s.must(200, "PATCH", "/v1/networks/blue", `{"vni":5001,"broadcast":"dhcp"}`, "Content-Type", "application/merge-patch+json")
	s.must(200, "PATCH", "/v1/ports/vm1", `{"host":"h1"}`, "Content-Type", "application/merge-patch+json")
	return s
}

// Hosts are read and written like other objects.
func TestHosts(t *testing.T) {
	s := spanning(t)
	got := s.must(200, "GET", "/v1/hosts/h2", "")
	if r := s.must(422, "PATCH", "/v1/hosts/h2", `{"tunnel":{"nosuch":null}}`); !strings.Contains(r.text, `"pointer":"/tunnel/nosuch"`) {
		t.Errorf("an unknown key that is null: %s", r.text)
	}
	if got.text != `{"id":"h2","tunnel":{"type":"vxlan","address":"192.0.2.2"}}`+"\n" {
		t.Errorf("host %s", got.text)
	}
	again := s.must(200, "PUT", "/v1/hosts/h2", got.text, "If-Match", got.header.Get("ETag"))
	if !strings.Contains(again.text, `{"kind":"host","id":"h2","op":"unchanged"}`) || again.header.Get("ETag") != got.header.Get("ETag") {
		t.Errorf("put as it is: %s", again.text)
	}
	s.must(304, "GET", "/v1/hosts/h2", "", "If-None-Match", got.header.Get("ETag"))
	if st := s.must(200, "GET", "/v1/hosts/h2/status", "").text; !strings.Contains(st, `"kind":"host","id":"h2"`) || !strings.Contains(st, `"type":"Accepted","status":"True"`) {
		t.Errorf("status %s", st)
	}
	s.must(200, "PATCH", "/v1/hosts/h2", `{"tunnel":{"type":null}}`, "Content-Type", "application/merge-patch+json")
	s.must(412, "PUT", "/v1/hosts/h2", got.text, "If-Match", got.header.Get("ETag")).problem(t)
	if got := s.must(200, "GET", "/v1/topology", "").text; !strings.HasPrefix(got, `{"hosts":[
{"id":"h1","name":"rack 1","labels":{"site":"a"},"tunnel":{"address":"192.0.2.1"}},
{"id":"h2","tunnel":{"address":"192.0.2.2"}}
],
"networks":[
{"id":"blue","vlan":1,"vni":5001,"broadcast":"dhcp"},`) {
		t.Errorf("topology %s", got)
	}
	for query, want := range map[string]string{
		"hosts":                 "h1 h2",
		"hosts?limit=1":         "h1",
		"hosts?name=rack%201":   "h1",
		"hosts?labels=site%3Da": "h1",
		"ports?host=h1":         "vm1",
		"ports?host=h2":         "",
		"networks?vni=5001":     "blue",
		"networks?vni=5002":     "",
	} {
		var page struct{ Items []struct{ ID string } }
		if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/"+query, "").text), &page); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, o := range page.Items {
			ids = append(ids, o.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	p := s.must(422, "PUT", "/v1/hosts/h3", `{"tunnel":{"type":"gre","address":"192.0.2.1"}}`).problem(t)
	if len(p.Errors) != 2 || p.Errors[0].Pointer != "/tunnel/type" || p.Errors[1].Pointer != "/tunnel/address" || !strings.Contains(p.Errors[1].Detail, `already used by host "h1"`) {
		t.Errorf("problem %+v", p)
	}
	plan := s.must(200, "POST", "/v1/hosts/h3?dry_run=true", `{"tunnel":{"address":"192.0.2.3"}}`).text
	if !strings.Contains(plan, `{"kind":"host","id":"h3","op":"created"}`) {
		t.Errorf("plan %s", plan)
	}
	s.must(404, "GET", "/v1/hosts/h3", "").problem(t)
}

// If ports are expected on a host, only cascade deletes the host. The ports stay.
func TestHostReferences(t *testing.T) {
	s := spanning(t)
	p := s.must(409, "DELETE", "/v1/hosts/h1", "").problem(t)
	if fmt.Sprint(p.InUseBy) != "[{port vm1}]" || !strings.Contains(p.Detail, `host "h1" is in use by port "vm1"`) {
		t.Errorf("%+v", p)
	}
	p = s.must(409, "PATCH", "/v1/topology", `{"delete":{"hosts":["h1"]}}`).problem(t)
	if fmt.Sprint(p.InUseBy) != "[{port vm1}]" {
		t.Errorf("%+v", p)
	}
	w := s.watch(t, "")
	hosts := s.watch(t, "kind=host")
	r := s.must(200, "DELETE", "/v1/hosts/h1?cascade=true", "")
	if !strings.Contains(r.text, `[{"kind":"port","id":"vm1","op":"updated"},{"kind":"host","id":"h1","op":"deleted"}]`) {
		t.Error(r.text)
	}
	s.must(200, "PATCH", "/v1/topology", `{"put":{"hosts":[{"id":"h3"}]},"delete":{"hosts":["h2"]}}`)
	for _, e := range []string{"event: port-updated\n", "event: host-deleted\n", "event: host-created\ndata: {\"revision\":10,\"kind\":\"host\",\"id\":\"h3\",\"op\":\"created\",\"object\":{\"id\":\"h3\"}}", "event: host-deleted\n"} {
		if got := w.next(); !strings.HasPrefix(got, e) {
			t.Errorf("got %s, want %s", got, e)
		}
	}
	if got := hosts.next(); !strings.HasPrefix(got, "event: host-deleted\n") {
		t.Errorf("got %s", got)
	}
	if got := s.must(200, "GET", "/v1/ports/vm1", "").text; strings.Contains(got, "host") {
		t.Errorf("port %s", got)
	}
}
