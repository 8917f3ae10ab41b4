package topology_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Objects with errors are left out and reported with their kind, their ID and their position
// in the file.
func TestParseUsable(t *testing.T) {
	const file = `hosts:
  - {id: h0, tunnel: {type: gre}}
  - {id: h1}
networks:
  - {id: blue, vlan: 1}
  - {id: red, vlan: 5000}
  - {id: green}
routers:
  - {id: r1, fallback: nowhere}
ports:
  - {id: p1, network: blue, mac: "02:00:00:00:00:1x"}
  - {network: blue, mac: "02:00:00:00:00:02"}
  - {id: p3, network: brown, mac: "02:00:00:00:00:03", addresses: [10.0.0.1, 10.0.0.999]}
  - {id: p4, network: brown, mac: "02:00:00:00:00:04"}
`
	s := topology.ParseUsable("f.yaml", []byte(file))
	var got []string
	for _, u := range s.Unusable {
		got = append(got, fmt.Sprintf("%v %q: %v", u.Kind, u.ID, u.Err))
	}
	want := []string{
		`host "h0": f.yaml:2:22: hosts[0].tunnel: missing key "address"`,
		`network "red": f.yaml:6:21: networks[1].vlan: vlan 5000 is outside 1–4094`,
		`router "r1": f.yaml:9:24: routers[0].fallback: want namespace or none, got "nowhere"`,
		`port "p1": f.yaml:11:34: ports[0].mac: `,
		`port "": f.yaml:12:5: ports[1]: missing key "id"`,
		`port "p3": f.yaml:13:78: ports[2].addresses[1]: `,
	}
	if len(got) != len(want) {
		t.Fatalf("unusable:\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if s.Err != nil || len(s.Model.Networks) != 2 || len(s.Model.Routers) != 0 || len(s.Model.Ports) != 1 || s.Model.Ports[0].ID != "p4" {
		t.Fatalf("%v, %+v", s.Err, s.Model)
	}
	err := s.Locate(&routing.PathError{Path: "ports[0].network", Err: errors.New("x")})
	if got := err.Error(); got != "f.yaml:14:23: ports[3].network: x" {
		t.Errorf("located at %s", got)
	}
	if err := s.Locate(&routing.PathError{Path: "hosts[0].id", Err: errors.New("x")}); len(s.Model.Hosts) != 1 || err.Error() != "f.yaml:3:10: hosts[1].id: x" {
		t.Errorf("%d hosts, located: %v", len(s.Model.Hosts), err)
	}
	for _, broken := range []string{"networks: 7\n", "nonsense: []\n", "a: [\n", "\x00"} {
		if s := topology.ParseUsable("f.yaml", []byte(broken)); s.Err == nil {
			t.Errorf("%q is usable", broken)
		}
	}
}

// ParseUsable reads a file without format errors as Parse does, but does not validate it. It
// never panics.
func FuzzParseUsable(f *testing.F) {
	f.Add([]byte("networks: [{id: a}]\nports: [{id: p, network: a, mac: \"02:00:00:00:00:01\"}]\n"))
	f.Add([]byte("ports: [{id: p, network: a}, 3, {}]\nrouters: {}\n"))
	f.Add([]byte("hosts: [{id: a}, {id: b, tunnel: {address: 192.0.2.1}}, {tunnel: 7}]\n"))
	f.Add([]byte(`{"networks": [{"id": "x", "mtu": "y"}], "zzz": 1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := topology.ParseUsable("f", data)
		whole, _, err := topology.ParseFor("f", data, func(*routing.Model) error { return nil })
		if usable := s.Err == nil && len(s.Unusable) == 0; usable != (err == nil) {
			t.Fatalf("ParseUsable found no mistakes: %v; error of ParseFor: %v", usable, err)
		}
		if err == nil && whole.Len() != s.Model.Len() {
			t.Fatalf("%d objects, want %d", s.Model.Len(), whole.Len())
		}
		for list, n := range map[string]int{"hosts": len(s.Model.Hosts), "networks": len(s.Model.Networks), "routers": len(s.Model.Routers), "ports": len(s.Model.Ports)} {
			for i := range n {
				s.Locate(&routing.PathError{Path: fmt.Sprintf("%s[%d].id", list, i), Err: errors.New("x")})
			}
		}
	})
}
