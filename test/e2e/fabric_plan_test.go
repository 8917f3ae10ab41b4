package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A plan for a new version of the topology file has all changes: of hosts, of other objects, and of
// the flows of the fabric bridge and routers. When the file is replaced, the flows change as
// planned.
func TestPlanOfHosts(t *testing.T) {
	t.Parallel()
	const alone = `
networks:
  - {id: green, vlan: 1}
ports:
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10]}
`
	geneve := strings.Replace(carried, ", type: vxlan", "", 1)
	moved := strings.Replace(carried, "address: 192.0.2.2, type: vxlan", "address: 192.0.2.3", 1)
	more := strings.Replace(carried, "networks:", "  - {id: h3, uplink: eth1}\nnetworks:", 1)
	less := strings.Replace(carried, "  - {id: h2, tunnel: {address: 192.0.2.2, type: vxlan}}\n", "", 1)
	for _, c := range []struct{ name, from, to, want string }{
		{"hosts come", alone, carried, "7 objects: 5 to create, 0 to update, 0 to delete, 2 unchanged\n+ host h1\n+ host h2\n+ network blue\n+ router r1\n+ port vm1\n"},
		{"hosts go", carried, alone, "7 objects: 0 to create, 0 to update, 5 to delete, 2 unchanged\n- port vm1\n- router r1\n- network blue\n- host h1\n- host h2\n! no router has an interface on network \"green\"\n"},
		{"a host comes", carried, more, "8 objects: 1 to create, 0 to update, 0 to delete, 7 unchanged\n+ host h3\n"},
		{"a host goes", carried, less, "7 objects: 0 to create, 0 to update, 1 to delete, 6 unchanged\n- host h2\n"},
		{"a host changes", carried, moved, "7 objects: 0 to create, 1 to update, 0 to delete, 6 unchanged\n~ host h2\n-     tunnel: {\"type\":\"vxlan\",\"address\":\"192.0.2.2\"}\n+     tunnel: {\"address\":\"192.0.2.3\"}\n"},
		{"nothing changes, one type of tunnel", geneve, geneve, "7 objects: 0 to create, 0 to update, 0 to delete, 7 unchanged\n"},
		{"nothing changes", carried, carried, "7 objects: 0 to create, 0 to update, 0 to delete, 7 unchanged\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bare(t, c.from)
			s.serve("--host", "h1")
			s.settle()
			file, err := s.WriteFile("next.yaml", c.to)
			if err != nil {
				t.Fatal(err)
			}
			status := 2
			if c.from == c.to {
				status = 0
			}
			out, _, _ := strings.Cut(s.ofdvr(status, "plan", "--as-topology", file), "ofdvr plan ")
			got := ""
			flows := make(map[string]string) // bridges, and the changes of their flows
			for line := range strings.Lines(out) {
				bridge, changes, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "@@ flows of bridge "), ": ")
				switch {
				case strings.HasPrefix(line, "@@ flows"):
					flows[bridge] = strings.TrimSuffix(changes, " @@")
				case strings.HasPrefix(line, "in place of the daemon's topology file "), strings.HasPrefix(line, "@@"):
				case strings.Contains(line, " objects: "):
					before, _, _ := strings.Cut(line, ";")
					got += before + "\n"
				default:
					got += line
				}
			}
			if got != c.want {
				t.Errorf("the plan has\n%s\nwant\n%s", got, c.want)
			}
			bridges := []string{"br-fabric", "rb-r1, router r1"}
			held := s.flowsOf(bridges)
			s.reload(c.to)
			for i, now := range s.flowsOf(bridges) {
				var add, change, remove int
				if text := flows[bridges[i]]; text != "" {
					if _, err := fmt.Sscanf(text, "%d to add, %d to change, %d to delete", &add, &change, &remove); err != nil {
						t.Fatal(err)
					}
				}
				if held[i] == nil && i == 1 || now == nil {
					continue // the namespace adds flows, or the bridge is removed
				}
				grown := len(now) - len(held[i]) // an added flow may replace one with the same match
				if grown < -remove || grown > add-remove || held[i] == nil && grown != add || slices.Equal(now, held[i]) != (add+change+remove == 0) {
					t.Errorf("bridge %s: from %d to %d flows, planned %q", bridges[i], len(held[i]), len(now), flows[bridges[i]])
				}
			}
		})
	}
}

// flowsOf returns the sorted flows of bridges, nil for a bridge that does not exist. In an element
// of bridges, the name ends before the first comma.
func (s *site) flowsOf(bridges []string) (out [][]string) {
	s.t.Helper()
	for _, b := range bridges {
		b, _, _ = strings.Cut(b, ",")
		flows := strings.Lines(s.sh("", "ovs-vsctl br-exists "+b+" && ovs-ofctl -O OpenFlow13 dump-flows --no-stats "+b+" || true"))
		out = append(out, slices.Sorted(flows))
	}
	return out
}
