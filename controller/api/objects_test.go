package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

const (
	r1 = `{"interfaces":[{"id":"r1-blue","network":"blue","mac":"02:00:00:00:01:01","addresses":["10.0.1.1/24"]},` +
		`{"id":"r1-green","network":"green","mac":"02:00:00:00:02:01","addresses":["10.0.2.1/24"]}],"routes":[{"destination":"10.9.0.0/16","nexthop":"10.0.2.7"}]}`
	vm1 = `{"network":"blue","mac":"02:00:00:00:01:10","addresses":["10.0.1.10"]}`
)

// filled returns a server with two networks, a router and a port.
func filled(t *testing.T) *server { return fill(serve(t, nil)) }

func fill(s *server) *server {
	s.must(201, "PUT", "/v1/networks/blue", `{"vlan":1}`)
	s.must(201, "PUT", "/v1/networks/green", `{"vlan":2}`)
	s.must(201, "PUT", "/v1/routers/r1", r1)
	s.must(201, "PUT", "/v1/ports/vm1", vm1)
	return s
}

// GET returns the object that was PUT. Putting it again changes nothing, and GET returns the same
// bytes. GET of an unknown object gives 404.
func TestObjects(t *testing.T) {
	s := filled(t)
	for _, path := range []string{"/v1/networks/blue", "/v1/routers/r1", "/v1/ports/vm1"} {
		got := s.must(200, "GET", path, "")
		again := s.must(200, "PUT", path, got.text)
		if !strings.Contains(again.text, `"revision":4`) || !strings.Contains(again.text, `"op":"unchanged"`) {
			t.Errorf("PUT %s without a change returned %s", path, again.text)
		}
		if now := s.must(200, "GET", path, ""); now.text != got.text || now.header.Get("ETag") != got.header.Get("ETag") || got.header.Get("ETag") == "" {
			t.Errorf("%s\nwas %s %s\nis  %s %s", path, got.header.Get("ETag"), got.text, now.header.Get("ETag"), now.text)
		}
		if st := s.must(200, "GET", path+"/status", "").text; !strings.Contains(st, `"type":"Accepted","status":"True","reason":"Valid"`) || !strings.Contains(st, "intent.db") {
			t.Errorf("status %s", st)
		}
	}
	for _, r := range []string{"GET /v1/ports/x", "DELETE /v1/ports/x", "GET /v1/ports/x/status", "GET /v1/networks/vm1", "GET /v1/nothing", "GET /"} {
		method, path, _ := strings.Cut(r, " ")
		s.must(404, method, path, "").problem(t)
	}
	if p := s.must(405, "PATCH", "/v1/status", "{}"); p.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("allowed is %q", p.header.Get("Allow"))
	}
	if p := s.must(405, "TRACE", "/v1/ports/vm1", "{}"); p.header.Get("Allow") != "GET, PUT, POST, PATCH, DELETE, HEAD" {
		t.Errorf("allowed is %q", p.header.Get("Allow"))
	}
	s.must(405, "POST", "/v1/ports/vm1", vm1).problem(t)
	if r := s.must(200, "POST", "/v1/ports/vm9?dry_run=true", strings.Replace(vm1, "10\"", "99\"", 2)); !strings.Contains(r.text, `"plan":`) {
		t.Errorf("plan %s", r.text)
	}
	s.must(404, "GET", "/v1/ports/vm9", "")
	s.must(200, "DELETE", "/v1/ports/vm1", "")
	s.must(404, "GET", "/v1/ports/vm1", "")
}

// An ID may be any ID of a topology file, if it is percent-encoded in the path.
func TestAnyID(t *testing.T) {
	s := filled(t)
	for i, id := range []string{"a/b", "..", ".", "a b", "ü%2F", `"`, "?#&", "{id}", "vm1/status", strings.Repeat("x", 64)} {
		path := "/v1/ports/" + strings.ReplaceAll(url.PathEscape(id), ".", "%2E")
		s.must(201, "PUT", path, fmt.Sprintf(`{"network":"blue","mac":"02:00:00:00:09:%02d"}`, i))
		var p struct{ ID string }
		if err := json.Unmarshal([]byte(s.must(200, "GET", path, "").text), &p); err != nil || p.ID != id {
			t.Errorf("object %q has ID %q in the answer, error %v", id, p.ID, err)
		}
		s.must(200, "DELETE", path, "")
	}
	for _, id := range []string{strings.Repeat("x", 65), "\x01", "\xff"} {
		p := s.must(422, "PUT", "/v1/ports/"+url.PathEscape(id), vm1).problem(t)
		if len(p.Errors) != 3 || p.Errors[0].Pointer != "/id" { // the mistakes of vm1 are included
			t.Errorf("%q: %+v", id, p)
		}
	}
}

// A conditional write is refused if the client has an old state of the object.
func TestConditions(t *testing.T) {
	s := filled(t)
	old := s.must(200, "GET", "/v1/ports/vm1", "").header.Get("ETag")
	changed := strings.Replace(vm1, "10.0.1.10", "10.0.1.11", 1)
	now := s.must(200, "PUT", "/v1/ports/vm1", changed, "If-Match", `"other", `+old).header.Get("ETag")
	if now == old || now != s.must(200, "GET", "/v1/ports/vm1", "").header.Get("ETag") {
		t.Errorf("ETag was %s, is %s", old, now)
	}
	s.must(412, "PUT", "/v1/ports/vm1", vm1, "If-Match", old).problem(t)
	s.must(412, "DELETE", "/v1/ports/vm1", "", "If-Match", old).problem(t)
	s.must(412, "PUT", "/v1/ports/vm1", vm1, "If-None-Match", "*").problem(t)
	s.must(412, "PUT", "/v1/ports/vm7", vm1, "If-Match", "*").problem(t)
	s.must(412, "PUT", "/v1/ports/vm1?dry_run=true", vm1, "If-Match", old).problem(t)
	all := s.must(200, "GET", "/v1/topology", "").header.Get("ETag")
	s.must(200, "PUT", "/v1/ports/vm1", vm1, "If-Match", "*")
	s.must(412, "PATCH", "/v1/topology", `{}`, "If-Match", all).problem(t)
	s.must(412, "PUT", "/v1/topology", `{}`, "If-Match", all).problem(t)
	all = s.must(200, "GET", "/v1/topology", "").header.Get("ETag")
	s.must(200, "PATCH", "/v1/topology", `{"delete":{"ports":["vm1"]}}`, "If-Match", all)
}

// Together the pages of a list have every object once and in order, also if objects change in the
// meantime. Filters select objects.
func TestLists(t *testing.T) {
	s := filled(t)
	var ports []string
	for i := range 25 {
		ports = append(ports, fmt.Sprintf(`{"id":"p%02d","network":%q,"mac":"02:00:00:00:07:%02x","addresses":["10.0.%d.%d"]}`,
			i, []string{"blue", "green"}[i%2], i, 1+i%2, 50+i))
	}
	s.must(200, "PATCH", "/v1/topology", `{"put":{"ports":[`+strings.Join(ports, ",")+`]}}`)
	type page struct {
		Revision uint64
		Items    []struct{ ID string }
		Next     string
	}
	list := func(path string) (ids []string, pages int) {
		for after := ""; ; pages++ {
			var p page
			if err := json.Unmarshal([]byte(s.must(200, "GET", path+"&after="+after, "").text), &p); err != nil {
				t.Fatal(err)
			}
			for _, i := range p.Items {
				ids = append(ids, i.ID)
			}
			if after = p.Next; after == "" {
				return ids, pages + 1
			}
			s.must(200, "PUT", "/v1/ports/vm1", strings.Replace(vm1, ".10\"", fmt.Sprintf(".%d\"", 100+pages), 1))
		}
	}
	ids, pages := list("/v1/ports?limit=4")
	if len(ids) != 26 || ids[0] != "p00" || ids[24] != "p24" || ids[25] != "vm1" || pages != 7 {
		t.Errorf("%d pages with %v", pages, ids)
	}
	for _, tt := range []struct{ query, want string }{
		{"ports?limit=5&network=green", "p01 p03 p05 p07 p09 p11 p13 p15 p17 p19 p21 p23"},
		{"ports?limit=100&network=none", ""},
		{"ports?limit=100&address=10.0.1.54", "p04"},
		{"ports?limit=100&mac=02:00:00:00:01:10", "vm1"},
		{"ports?limit=2&router=r1&address=10.0.2.53", "p03"},
		{"ports?limit=2&router=none", ""},
		{"networks?limit=1", "blue green"},
		{"networks?limit=1&vlan=2", "green"},
		{"networks?limit=1&router=r1", "blue green"},
		{"routers?limit=1&network=green", "r1"},
		{"routers?limit=1&network=red", ""},
	} {
		if ids, _ := list("/v1/" + tt.query); strings.Join(ids, " ") != tt.want {
			t.Errorf("%s has %v, want %s", tt.query, ids, tt.want)
		}
	}
	for _, query := range []string{"ports?limit=0", "ports?limit=1001", "ports?limit=x", "ports?after=%20", "ports?mac=x", "ports?address=x", "networks?vlan=x", "ports?colour=red"} {
		if p := s.must(422, "GET", "/v1/"+query, "").problem(t); len(p.Errors) != 1 || p.Errors[0].Parameter == "" {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

// If a network cannot be deleted because other objects refer to it, the answer lists them. With
// cascade they are deleted too.
func TestReferences(t *testing.T) {
	s := filled(t)
	p := s.must(409, "DELETE", "/v1/networks/blue", "").problem(t)
	if fmt.Sprint(p.InUseBy) != "[{interface r1-blue} {port vm1}]" || !strings.Contains(p.Detail, "cascade=true") {
		t.Errorf("%+v", p)
	}
	s.must(200, "DELETE", "/v1/networks/blue?cascade=true&dry_run=true", "")
	r := s.must(200, "DELETE", "/v1/networks/blue?cascade=true", "")
	if !strings.Contains(r.text, `[{"kind":"port","id":"vm1","op":"deleted"},{"kind":"router","id":"r1","op":"updated"},{"kind":"network","id":"blue","op":"deleted"}]`) {
		t.Error(r.text)
	}
}

// With wait=applied the answer comes when the switches have confirmed the write. After a timeout it
// lists the pending objects. The write is done in both cases.
func TestWait(t *testing.T) {
	s := filled(t)
	var w api.Written
	decode := func(r reply) {
		t.Helper()
		w = api.Written{}
		if err := json.Unmarshal([]byte(r.text), &w); err != nil {
			t.Fatal(err)
		}
	}
	decode(s.must(200, "PUT", "/v1/ports/vm1?wait=applied", strings.Replace(vm1, "10.0.1.10", "10.0.1.11", 1)))
	if w.Applied == nil || !*w.Applied || w.Pending != nil {
		t.Errorf("%+v", w)
	}
	s.fabric.mu.Lock()
	s.fabric.pending = []controller.Pending{{Router: "r1", Reason: "it is asleep"}}
	s.fabric.mu.Unlock()
	start := time.Now()
	decode(s.must(202, "PUT", "/v1/ports/vm1?wait=applied&timeout=10ms", vm1))
	if *w.Applied || len(w.Pending) != 1 || w.Pending[0].Reason != "it is asleep" || time.Since(start) < 10*time.Millisecond {
		t.Errorf("%+v after %v", w, time.Since(start))
	}
	if got := s.must(200, "GET", "/v1/ports/vm1", "").text; !strings.Contains(got, "10.0.1.10") {
		t.Errorf("it was not written: %s", got)
	}
	decode(s.must(200, "PUT", "/v1/ports/vm1", vm1))
	if w.Applied != nil {
		t.Errorf("without wait=applied: %+v", w)
	}
	for _, query := range []string{"wait=never", "wait=applied&timeout=x", "wait=applied&timeout=-1s", "timeout=6m"} {
		s.must(422, "PUT", "/v1/ports/vm1?"+query, vm1).problem(t)
	}
}

// Objects that a file declares can only be read, and the answer names the reason.
func TestDeclared(t *testing.T) {
	m := routing.Model{Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 1500}}}
	s := serve(t, &m)
	for _, r := range []reply{
		s.must(403, "PUT", "/v1/networks/blue", `{"vlan":3}`),
		s.must(403, "DELETE", "/v1/networks/blue", ""),
		s.must(403, "PATCH", "/v1/topology", `{"put":{"networks":[{"id":"green"},{"id":"blue"}]}}`),
	} {
		if p := r.problem(t); !strings.Contains(p.Detail, "declared in /etc/topology.yaml") {
			t.Errorf("%+v", p)
		}
	}
	s.must(200, "PUT", "/v1/networks/blue", `{"vlan":1}`) // changes nothing
	s.must(201, "PUT", "/v1/ports/vm1", vm1)
	if p := s.must(422, "PUT", "/v1/topology", `{}`).problem(t); !strings.Contains(p.Detail, "everything would be deleted; use allow_empty=true") {
		t.Errorf("%+v", p)
	}
	if plan := s.must(200, "POST", "/v1/topology?dry_run=true", `{}`).text; !strings.Contains(plan, `"id":"vm1","op":"deleted"`) {
		t.Error(plan)
	}
	s.must(200, "GET", "/v1/ports/vm1", "")
	s.must(200, "PUT", "/v1/topology?allow_empty=true", `{}`)
	if all := s.must(200, "GET", "/v1/topology", "").text; strings.Contains(all, "vm1") || !strings.Contains(all, "blue") {
		t.Error(all)
	}
	if st := s.must(200, "GET", "/v1/networks/blue/status", "").text; !strings.Contains(st, `"source":"/etc/topology.yaml"`) {
		t.Error(st)
	}
}
