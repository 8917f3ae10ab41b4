package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// named returns the server of filled with names and labels on its objects.
func named(t *testing.T) *server {
	s := filled(t)
	s.must(200, "PUT", "/v1/networks/blue", `{"vlan":1,"name":"Office","description":"second floor","labels":{"site":"a"}}`)
	s.must(200, "PUT", "/v1/ports/vm1", `{"name":"web","labels":{"tier":"web","site":"a"},`+vm1[1:])
	for i, tier := range []string{"web", "db", ""} {
		s.must(201, "PUT", fmt.Sprintf("/v1/ports/p%d", i), fmt.Sprintf(`{"name":"twin","labels":{"tier":%q},"network":"green","mac":"02:00:00:00:08:%02x"}`, tier, i))
	}
	return s
}

// Names and labels select objects, and answers include them.
func TestNamesAndLabels(t *testing.T) {
	s := named(t)
	if got := s.must(200, "GET", "/v1/networks/blue", "").text; got != `{"id":"blue","name":"Office","description":"second floor","labels":{"site":"a"},"vlan":1}`+"\n" {
		t.Errorf("network %s", got)
	}
	for query, want := range map[string]string{
		"ports?labels=tier":               "p0 p1 p2 vm1",
		"ports?labels=!tier":              "",
		"ports?labels=tier%3Dweb":         "p0 vm1",
		"ports?labels=tier%3D":            "p2",
		"ports?labels=tier!%3Dweb":        "p1 p2",
		"ports?labels=tier%3Dweb,site":    "vm1",
		"ports?labels=tier,!site&limit=2": "p0 p1",
		"ports?name=twin":                 "p0 p1 p2",
		"ports?id=p1":                     "p1",
		"ports?id=p1&network=blue":        "",
		"ports?id=p":                      "",
		"ports?id=zz":                     "",
		"networks?id=blue":                "blue",
		"routers?id=r1&network=green":     "r1",
		"ports?name=web":                  "vm1",
		"ports?name=vm1":                  "",
		"networks?name=Office":            "blue",
		"networks?labels=site!%3Da":       "green",
		"routers?labels=site":             "",
		"routers?labels=!site":            "r1",
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
	p := s.must(422, "GET", "/v1/ports?labels=a=b=c", "").problem(t)
	if len(p.Errors) != 1 || p.Errors[0].Parameter != "labels" || !strings.Contains(p.Errors[0].Detail, `label selector "a=b=c": value "b=c"`) {
		t.Errorf("problem %+v", p)
	}
	p = s.must(422, "PUT", "/v1/ports/vm1", "{\"labels\":\n{\"a.b/tier\":\"web server\"},"+vm1[1:]).problem(t)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/labels/a.b~1tier" || p.Errors[0].Line != 2 || p.Errors[0].Column != 13 {
		t.Errorf("problem %+v", p)
	}
}

// Names and IDs that people cannot read or type are refused. The problem points to each of them in the body.
func TestUnreadableNames(t *testing.T) {
	s := named(t)
	for name, want := range map[string]string{
		`a\ud800`:  "U+FFFD, which stands for a character that could not be read",
		`a\u200bb`: "has the invisible character U+200B",
		` `:        "is blank",
	} {
		p := s.must(422, "PUT", "/v1/networks/blue", `{"vlan":1,"name":"`+name+`"}`).problem(t)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/name" || !strings.Contains(p.Errors[0].Detail, want) {
			t.Errorf("name %s: %+v", name, p)
		}
	}
	s.must(422, "PUT", "/v1/networks/%E2%80%8B", `{}`).problem(t)
}

// Invalid values of filters are refused in plain words.
func TestFilterValues(t *testing.T) {
	s := named(t)
	for query, want := range map[string]string{
		"ports?address=x":  `"parameter":"address","detail":"\"x\" is not an IP address"`,
		"ports?mac=x":      `"parameter":"mac"`,
		"networks?vlan=x":  `"parameter":"vlan","detail":"want a whole number"`,
		"networks?after=*": `"parameter":"after"`,
	} {
		if r := s.must(422, "GET", "/v1/"+query, ""); !strings.Contains(r.text, want) {
			t.Errorf("%s: %s, want %s", query, r.text, want)
		}
	}
}

// A trace of a protocol without ports refuses port numbers.
func TestTraceWithoutPorts(t *testing.T) {
	s := named(t)
	for _, query := range []string{"dport=80", "sport=80", "proto=47&dport=80"} {
		p := s.must(422, "GET", "/v1/trace?from=vm1&to=p1&"+query, "").problem(t)
		if len(p.Errors) != 1 || !strings.HasSuffix(p.Errors[0].Parameter, "port") || !strings.Contains(p.Errors[0].Detail, "have no ports") {
			t.Errorf("%s: %+v", query, p)
		}
	}
}

// A client that already has the current answer gets 304 without a body. It gets a new
// answer as soon as the answer changes.
func TestNotModified(t *testing.T) {
	s := named(t)
	other := `{"network":"blue","mac":"02:00:00:00:01:66"}`
	for path, change := range map[string]string{
		"/v1/networks/blue":       `PUT /v1/networks/blue {"vlan":1}`,
		"/v1/routers/r1":          `PUT /v1/routers/r1 {}`,
		"/v1/ports/vm1":           "PUT /v1/ports/vm1 " + other,
		"/v1/networks":            `PUT /v1/networks/green {"vlan":3}`,
		"/v1/routers?labels=!x":   `PUT /v1/routers/r1 {"name":"x"}`,
		"/v1/ports?limit=1":       "PUT /v1/ports/a " + other[:len(other)-3] + `7"}`,
		"/v1/ports?name=web":      "DELETE /v1/ports/vm1 ",
		"/v1/ports?network=green": "DELETE /v1/ports/p1 ",
		"/v1/topology":            `PUT /v1/networks/red {}`,
	} {
		t.Run(path, func(t *testing.T) {
			s := named(t)
			s.t = t
			first := s.must(200, "GET", path, "")
			tag := first.header.Get("ETag")
			for _, header := range []string{tag, `"other", ` + tag, "*", strings.TrimPrefix(tag, "W/"), "W/" + strings.TrimPrefix(tag, "W/")} {
				again := s.must(304, "GET", path, "", "If-None-Match", header)
				if again.text != "" || again.header.Get("ETag") != tag || tag == "" {
					t.Errorf("If-None-Match: %s: ETag %s, %q", header, again.header.Get("ETag"), again.text)
				}
			}
			s.must(200, "GET", path, "", "If-None-Match", `"other"`)
			if !strings.HasSuffix(path, "topology") {
				s.must(201, "PUT", "/v1/networks/unrelated", `{}`)
				if path != "/v1/networks" {
					s.must(304, "GET", path, "", "If-None-Match", tag)
				}
			}
			method, rest, _ := strings.Cut(change, " ")
			target, body, _ := strings.Cut(rest, " ")
			if r := s.ask(method, target, body); r.status >= 300 {
				t.Fatalf("%s: %d %s", change, r.status, r.text)
			}
			if now := s.must(200, "GET", path, "", "If-None-Match", tag); now.header.Get("ETag") == tag || now.text == first.text {
				t.Errorf("after %s: ETag %s", change, now.header.Get("ETag"))
			}
		})
	}
	if r := s.must(304, "HEAD", "/v1/ports/vm1", "", "If-None-Match", "*"); r.text != "" {
		t.Errorf("HEAD: %q", r.text)
	}
	s.must(404, "GET", "/v1/ports/none", "", "If-None-Match", "*")
}
