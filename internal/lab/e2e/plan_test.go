package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// planned is the part of an answer that says what changes.
type planned struct {
	Revision uint64
	Plan     struct {
		Routers []struct {
			Router              string
			Connected           bool
			Add, Modify, Delete []string
		}
		OVSDB []struct {
			Op, Table, Row string
			Columns        map[string]any
		}
		Problems []string
	}
}

// flowTexts returns the flows that a router's bridge holds, by table, priority
// and match.
func (s *site) flowTexts(router string) map[string]string {
	s.t.Helper()
	a := s.ask("GET", "/v1/routers/"+router+"/flows", "")
	if a.status == 404 {
		return nil
	}
	var got struct{ Flows []struct{ Flow string } }
	a.into(s.t, &got)
	out := make(map[string]string)
	for _, f := range got.Flows {
		out[flowKey(f.Flow)] = f.Flow
	}
	return out
}

var keyPart = regexp.MustCompile(`table=.* actions=`)

func flowKey(flow string) string { return keyPart.FindString(flow) }

// rows returns the names of what ofdvr has in the database, by table.
func (s *site) rows() map[string]bool {
	s.t.Helper()
	out := make(map[string]bool)
	for _, table := range []string{"Bridge", "Port", "Interface"} {
		for name := range strings.FieldsSeq(s.vsctl("--bare", "--columns=name", "find", table, "external_ids:ofdvr-owner=ofdvr")) {
			out[table+" "+name] = true
		}
	}
	return out
}

// What a dry run says is what the write then does, flow by flow and row by row,
// and it changes nothing itself.
func TestDryRunIsExact(t *testing.T) {
	t.Parallel()
	s, _, _ := written(t)
	port := func(mac, addr string) string {
		return fmt.Sprintf(`{"network": "green", "mac": "02:00:00:00:02:%s", "addresses": [%q]}`, mac, addr)
	}
	const red = `{"id": "r1-red", "network": "red", "mac": "02:00:00:00:03:01", "addresses": ["10.0.3.1/24"]}`
	for _, w := range []struct{ method, path, body string }{
		{"PUT", "/v1/ports/vm3", port("11", "10.0.2.11")},                                                            // one flow more
		{"PUT", "/v1/ports/vm3", port("12", "10.0.2.11")},                                                            // one flow changes
		{"PUT", "/v1/ports/vm3", port("12", "10.0.2.12")},                                                            // one goes, one comes
		{"PUT", "/v1/ports/vm3", port("12", "10.9.9.9")},                                                             // no flow
		{"PUT", "/v1/ports/vm3", port("12", "10.9.9.9")},                                                             // nothing at all
		{"DELETE", "/v1/ports/vm3", ""},                                                                              // nothing on the switch
		{"PUT", "/v1/networks/green", `{"vlan": 22, "mtu": 1400}`},                                                   // exceptions, a tag
		{"PATCH", "/v1/topology", `{"put": {"networks": [{"id": "red", "vlan": 3}]}, "delete": {"ports": ["vm2"]}}`}, // several
		{"PUT", "/v1/routers/r1", `{"interfaces": [` + red + `]}`},                                                   // interfaces come and go
		{"PUT", "/v1/routers/r1/snapshot", `{"router": {"id": "r1", "interfaces": [` + red + `]}, "ports": [{"id": "x", "network": "red", "mac": "02:00:00:00:03:10", "addresses": ["10.0.3.10"]}]}`},
		{"PUT", "/v1/routers/r2", `{"interfaces": [{"id": "r2-blue", "network": "blue", "mac": "02:00:00:00:01:09", "addresses": ["10.0.1.9/24"]}]}`}, // another router
		{"DELETE", "/v1/networks/blue?cascade=true", ""},
		{"DELETE", "/v1/routers/r2", ""},
		{"PUT", "/v1/topology", bluegreen}, // everything
	} {
		what := w.method + " " + w.path + " " + w.body
		with := func(query string) string {
			if strings.Contains(w.path, "?") {
				return w.path + "&" + query
			}
			return w.path + "?" + query
		}
		flows := map[string]map[string]string{"r1": s.flowTexts("r1"), "r2": s.flowTexts("r2")}
		rows, database := s.rows(), s.database()
		var p planned
		s.must(200, w.method, with("dry_run=true"), w.body).into(t, &p)
		if got := s.database(); got != database {
			t.Fatalf("%s: the dry run changed the database:\n%s", what, diff(database, got))
		}
		for router, before := range flows {
			if !maps.Equal(before, s.flowTexts(router)) {
				t.Fatalf("%s: the dry run changed flows of %s", what, router)
			}
		}
		if len(p.Plan.Problems) > 0 {
			t.Errorf("%s: problems %v", what, p.Plan.Problems)
		}

		if a := s.ask(w.method, with("wait=applied&timeout=20s"), w.body); a.status > 201 || !strings.Contains(a.text, `"applied":true`) {
			t.Fatalf("%s: %d %s", what, a.status, a.text)
		}
		s.settle()
		for _, r := range p.Plan.Routers {
			want := flows[r.Router]
			if want == nil {
				want = make(map[string]string)
			}
			if r.Connected {
				for _, f := range r.Delete {
					if _, there := want[flowKey(f)]; !there {
						t.Errorf("%s: it is said to delete what is not there: %s", what, f)
					}
					delete(want, flowKey(f))
				}
				for _, f := range append(r.Add, r.Modify...) {
					want[flowKey(f)] = f
				}
			} else { // by other numbers of ports, which have names here
				want = make(map[string]string)
				for _, f := range r.Add {
					want[flowKey(f)] = f
				}
			}
			flows[r.Router] = want
		}
		for router, want := range flows {
			got := s.flowTexts(router)
			if got != nil && !maps.Equal(got, want) {
				t.Errorf("%s: flows of %s:\n%s", what, router, diff(texts(want), texts(got)))
			}
		}
		for _, r := range p.Plan.OVSDB {
			switch name := r.Table + " " + r.Row; r.Op {
			case "insert":
				rows[name] = true
			case "remove":
				maps.DeleteFunc(rows, func(row string, _ bool) bool {
					return row == name || row == "Interface "+r.Row || r.Table == "Bridge" && ofBridge(s, row, r.Row)
				})
			}
		}
		maps.DeleteFunc(rows, func(row string, _ bool) bool { return strings.HasPrefix(row, "Controller ") })
		if got := s.rows(); !maps.Equal(got, rows) {
			t.Errorf("%s: rows are %v, planned were %v", what, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(rows)))
		}
	}
}

// ofBridge reports whether a row goes with a bridge that is removed: it is of a
// port or interface that is on the bridge by its name.
func ofBridge(s *site, row, bridge string) bool {
	router := strings.TrimPrefix(bridge, "rb-")
	_, name, _ := strings.Cut(row, " ")
	return name == bridge || strings.HasPrefix(name, "pr-"+router+"-") || strings.HasPrefix(name, "qr-"+router+"-")
}

func texts(flows map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(flows)) {
		b.WriteString(flows[key] + "\n")
	}
	return b.String()
}
