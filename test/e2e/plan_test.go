package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// planned is the part of a reply with the changes.
type planned struct {
	Revision uint64
	Plan     struct {
		Routers []struct {
			Router              string
			Connected           bool
			Add, Modify, Delete []string
		}
		OVSDB []struct {
			Op, Table, Row, Router string
			Columns                map[string]any
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

// ovsRows has rows of Open vSwitch's database by table and name, without columns that are
// references. A map column has one entry for each key, as in plans. The name of a Controller row is
// that of its bridge.
type ovsRows map[string]map[string]string

// rows returns the rows of the configuration. For each row, parts has the rows that are removed
// together with it.
func (s *site) rows() (rows ovsRows, parts map[string][]string) {
	s.t.Helper()
	rows, parts = make(ovsRows), make(map[string][]string)
	uuids, refs := make(map[string]string), make(map[string][]string) // UUID to row, row to UUIDs
	for _, c := range slices.Backward(configuration) {
		var table struct {
			Headings []string
			Data     [][]any
		}
		dump := s.sh("", "ovsdb-client -f json dump unix:/run/openvswitch/db.sock Open_vSwitch "+c.table+" "+c.columns)
		if err := json.Unmarshal([]byte(dump), &table); err != nil {
			s.t.Fatalf("%s: %v", dump, err)
		}
		for _, data := range table.Data {
			columns, name, uuid, to := make(map[string]string), "", "", []string(nil)
			for i, column := range table.Headings {
				switch value, ids := flatten(data[i]); {
				case column == "_uuid":
					uuid = ids[0]
				case len(ids) > 0:
					to = append(to, ids...)
				case column == "name":
					name = value[""]
				default:
					for key, v := range value {
						if key != "" {
							key = ":" + key
						}
						columns[column+key] = v
					}
				}
			}
			if c.table == "Controller" {
				uuids[uuid] = uuid // replaced below by the name of its bridge
				rows[uuid] = columns
				continue
			}
			row := c.table + " " + name
			rows[row], uuids[uuid], refs[row] = columns, row, to
			for _, id := range to {
				if c.table == "Bridge" && uuids[id] == id {
					uuids[id] = "Controller " + name
					rows[uuids[id]] = rows[id]
					delete(rows, id)
				}
			}
		}
	}
	for row, ids := range refs {
		for _, id := range ids {
			parts[row] = append(parts[row], uuids[id])
		}
	}
	return rows, parts
}

// flatten returns a column's values by map key, with key "" if the column is not a map. If the
// column has references, it returns their UUIDs instead. It leaves out empty, zero and false
// values.
func flatten(value any) (out map[string]string, uuids []string) {
	out = make(map[string]string)
	pair, _ := value.([]any)
	if len(pair) != 2 {
		if v := fmt.Sprint(value); v != "" && v != "0" && v != "false" {
			out[""] = v
		}
		return out, nil
	}
	switch pair[0] {
	case "uuid":
		return nil, []string{pair[1].(string)}
	case "map":
		for _, kv := range pair[1].([]any) {
			out[kv.([]any)[0].(string)] = kv.([]any)[1].(string)
		}
	case "set":
		var atoms []string
		for _, atom := range pair[1].([]any) {
			value, id := flatten(atom)
			atoms, uuids = append(atoms, value[""]), append(uuids, id...)
		}
		if len(atoms) > 0 && len(uuids) == 0 {
			slices.Sort(atoms)
			out[""] = strings.Join(atoms, " ")
		}
	}
	return out, uuids
}

// apply makes a plan's changes to rows.
func (rows ovsRows) apply(p planned, parts map[string][]string) {
	var remove func(row string)
	remove = func(row string) {
		delete(rows, row)
		for _, part := range parts[row] {
			remove(part)
		}
	}
	for _, r := range p.Plan.OVSDB {
		row := r.Table + " " + r.Row
		if r.Table == "Controller" {
			row = "Controller rb-" + r.Router
		}
		if r.Op == "remove" {
			remove(row)
			continue
		}
		if r.Op == "insert" {
			rows[row] = make(map[string]string)
		}
		for column, value := range r.Columns {
			if list, ok := value.([]any); ok {
				value = []any{"set", list}
			}
			delete(rows[row], column)
			if value == nil {
				continue
			}
			if flat, _ := flatten(value); flat[""] != "" && column != "name" {
				rows[row][column] = flat[""]
			}
		}
	}
}

func (rows ovsRows) String() string {
	var b strings.Builder
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "%s:", row)
		for _, column := range slices.Sorted(maps.Keys(rows[row])) {
			fmt.Fprintf(&b, " %s=%s", column, rows[row][column])
		}
		b.WriteString("\n")
	}
	return b.String()
}

// A dry run, by POST or by the method itself, returns exactly the later changes of the write, flow
// by flow and column by column. It changes nothing. The write of a whole topology returns the same
// changes.
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
		rows, parts := s.rows()
		database := s.database()
		var p planned
		dry := s.must(200, w.method, with("dry_run=true"), w.body)
		dry.into(t, &p)
		if w.method == "PUT" {
			if post := s.must(200, "POST", with("dry_run=true"), w.body); post.text != dry.text {
				t.Errorf("%s: PUT plans\n%s\nand POST\n%s", what, dry.text, post.text)
			}
		}
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

		a := s.ask(w.method, with("wait=applied&timeout=20s"), w.body)
		if a.status > 201 || !strings.Contains(a.text, `"applied":true`) {
			t.Fatalf("%s: %d %s", what, a.status, a.text)
		}
		if w.path == "/v1/topology" && w.method == "PUT" {
			var done planned
			if a.into(t, &done); !reflect.DeepEqual(done.Plan, p.Plan) {
				t.Errorf("%s: the plan was\n%s\nthe write did\n%s", what, dry.text, a.text)
			}
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
						t.Errorf("%s: the plan deletes a flow that does not exist: %s", what, f)
					}
					delete(want, flowKey(f))
				}
				for _, f := range append(r.Add, r.Modify...) {
					want[flowKey(f)] = f
				}
			} else { // compare texts, which have names, because port numbers differ
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
		rows.apply(p, parts)
		if got, _ := s.rows(); got.String() != rows.String() {
			t.Errorf("%s: rows of the database, - planned, + found:\n%s", what, diff(rows.String(), got.String()))
		}
	}
}

func texts(flows map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(flows)) {
		b.WriteString(flows[key] + "\n")
	}
	return b.String()
}

// The plan for a new version of the daemon's topology file has exactly the changes of its reload.
func TestPlanForTheTopologyFile(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	mustHave(t, s.ofdvr(0, "plan", s.file), "5 objects: 0 to create, 0 to update, 0 to delete, 5 unchanged; 0 flows and 0 rows to change\n")
	next := with("02:00:00:00:02:10", "02:00:00:00:02:11")
	file, err := s.WriteFile("next.yaml", next)
	if err != nil {
		t.Fatal(err)
	}
	before := s.flowTexts("r1")
	plan := s.ofdvr(2, "plan", file, "-v")
	mustHave(t, plan, "5 objects: 0 to create, 1 to update, 0 to delete, 4 unchanged; ", "in place of the daemon's topology file "+s.file+"\n", "~ port vm2\n")
	s.reload(next)
	after := s.flowTexts("r1")
	changed := 0
	expect := func(sign, flow string) {
		changed++
		for line := range strings.Lines(plan) {
			if line == sign+" "+flow+"\n" {
				return
			}
		}
		t.Errorf("the plan lacks %s %s:\n%s", sign, flow, plan)
	}
	for key, flow := range after {
		switch before[key] {
		case flow:
		case "":
			expect("+", flow)
		default:
			expect("~", flow)
		}
	}
	for key, flow := range before {
		if after[key] == "" {
			expect("-", flow)
		}
	}
	mustHave(t, plan, fmt.Sprintf("; %d flows and 0 rows to change\n", changed))
}
