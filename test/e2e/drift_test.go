package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// held returns the table, priority, match and actions of each flow of a bridge, sorted.
func (s *site) held(bridge string) []string {
	s.t.Helper()
	var keys []string
	for key := range s.flows(bridge).flows {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// holds waits until the bridge has exactly these flows.
func (s *site) holds(bridge string, want []string) {
	s.t.Helper()
	s.eventually("the flows to be restored", func() error {
		if got := s.held(bridge); !slices.Equal(got, want) {
			return fmt.Errorf("the flows are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

// listen makes the daemon notice changes of flows soon, even if the switch does not report them.
func (s *site) listen() {
	s.t.Helper()
	silent := strings.Contains(s.daemon.Log(), "switch does not report changes to its flows")
	if lab.Differs(s.t, silent, "changes of flows are noticed within a tenth of `--audit-interval`, not at once: this Open vSwitch does not report them in OpenFlow 1.3") {
		s.stop()
		s.serve("--audit-interval", "2s")
		s.settle()
	}
}

// Changes by others to the flows of a managed bridge are reverted with as few flow
// mods as possible, and counted by kind. Packets of other flows are not affected.
func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, do       string
		kind           string
		drifted        float64 // drifted flows of that kind
		add, mod, dels float64 // flow mods for the repair
	}{
		{"one deleted", "del-flows --strict rb-r1 'table=3,priority=100,ip,nw_dst=10.0.2.10'", "deleted", 1, 1, 0, 0},
		{"all deleted", "del-flows rb-r1", "deleted", 116, 116, 0, 0},
		{"altered", "--strict mod-flows rb-r1 'table=3,priority=100,ip,nw_dst=10.0.2.10,actions=drop'", "altered", 1, 0, 1, 0},
		{"replaced", "add-flow rb-r1 'table=3,priority=100,ip,nw_dst=10.0.2.10,actions=drop'", "altered", 1, 1, 0, 0},
		{"added", "add-flow rb-r1 'table=0,priority=9999,actions=drop'", "added", 1, 0, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, vm1, _ := pair(t)
			s.listen()
			want := s.held(bridge)
			pingTTL(t, vm1, "10.0.2.10", 63)
			before := s.scrape()
			s.sh("", "ovs-ofctl -O OpenFlow13 "+c.do)
			s.holds(bridge, want)
			s.settle()
			pingTTL(t, vm1, "10.0.2.10", 63)
			s.logged("repaired flows that other programs had changed")
			s.metric(c.drifted, fmt.Sprintf(`ofdvr_drift_flows_total{kind=%q}`, c.kind))
			after := s.scrape()
			for op, n := range map[string]float64{"add": c.add, "modify": c.mod, "delete": c.dels} {
				name := fmt.Sprintf(`ofdvr_flow_mods_total{operation=%q}`, op)
				if got := after[name] - before[name]; got != n {
					t.Errorf("%v flows to %s, want %v", got, op, n)
				}
			}
		})
	}
}

// An audit finds foreign groups and meters on a managed bridge and removes them.
func TestForeignGroupsAreRemoved(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--audit-interval", "200ms")
	want := s.held(bridge)
	s.sh("", `ovs-ofctl -O OpenFlow13 add-group rb-r1 group_id=7,type=all,bucket=output:1
		ovs-ofctl -O OpenFlow13 add-meter rb-r1 meter=7,kbps,band=type=drop,rate=1000`)
	s.eventually("the group and the meter to be deleted", func() error {
		if out := s.sh("", "ovs-ofctl -O OpenFlow13 dump-groups rb-r1; ovs-ofctl -O OpenFlow13 dump-meters rb-r1"); strings.Contains(out, "=7") {
			return errors.New(out)
		}
		return nil
	})
	s.holds(bridge, want)
	s.settle()
}

// Foreign flows stay on an external bridge unless the topology says otherwise. The
// status has their number.
func TestForeignFlowsOfAnExternalBridge(t *testing.T) {
	t.Parallel()
	for policy, left := range map[string]int{"": 2, ", foreign_flows: report": 2, ", foreign_flows: ignore": 2, ", foreign_flows: remove": 0} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := bare(t, fmt.Sprintf(external, "name: br-x"+policy))
			s.handMade()
			s.sh("", "ovs-ofctl -O OpenFlow13 add-flow br-x 'cookie=0x5,table=9,priority=5,actions=drop'")
			s.serve()
			s.settle()
			s.sh("", "ovs-ofctl -O OpenFlow13 add-flow br-x 'cookie=0x5,table=9,priority=6,actions=drop'")
			s.eventually("the daemon to count the foreign flows", func() error {
				if n := len(s.flows("br-x").find("table=9,")); n != left {
					return fmt.Errorf("%d flows of others", n)
				}
				if n := s.status().Routers[0].FlowsForeign; n != left {
					return fmt.Errorf("the daemon reports %d of them", n)
				}
				return nil
			})
			s.metric(float64(left), `ofdvr_router_foreign_flows{router="r1"}`)
		})
	}
}

// If not all flows fit into a switch, those that fit are added. The status names the objects of the
// other flows, which are added as soon as they fit.
func TestFlowTableIsFull(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.vsctl("--", "--id=@t", "create", "Flow_Table", "flow_limit=5", "overflow_policy=refuse", "--", "set", "bridge", bridge, "flow_tables:3=@t")
	var ports strings.Builder
	for n := range 20 {
		fmt.Fprintf(&ports, "  - {id: more%d, network: blue, mac: \"02:00:00:00:09:%02x\", addresses: [10.0.1.%d]}\n", n, n, 100+n)
	}
	s.write(twoNetworks + ports.String())
	s.signal(syscall.SIGHUP)
	s.eventually("the status to name the refused flows", func() error {
		r := s.status().Routers[0]
		if r.State != "degraded" || r.FlowsRefused != 20 || r.Settled {
			return fmt.Errorf("%+v", r)
		}
		if !strings.Contains(r.Problems[0], "port more") || !strings.Contains(r.Problems[0], "OFPFMFC_TABLE_FULL") {
			return fmt.Errorf("the problem does not name the refused object and the reason: %s", r.Problems[0])
		}
		return nil
	})
	s.metric(20, `ofdvr_router_flows_refused{router="r1"}`)
	s.metric(1, `ofdvr_router_state{router="r1",state="degraded"}`)
	s.logged("OFPFMFC_TABLE_FULL")
	pingTTL(t, vm1, "10.0.2.10", 63)
	pingTTL(t, vm2, "10.0.1.10", 63)
	s.vsctl("clear", "bridge", bridge, "flow_tables")
	s.settle()
	if r := s.status().Routers[0]; r.State != "settled" || r.FlowsInstalled != r.FlowsWanted || r.FlowsRefused != 0 {
		t.Errorf("after making room: %+v", r)
	}
}

// An empty topology is loaded only if that is allowed explicitly.
func TestEmptyTopology(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	want := s.held(bridge)
	s.write("")
	s.signal(syscall.SIGHUP)
	s.logged("--allow-empty")
	if st := s.status(); len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "--allow-empty") {
		t.Errorf("the problems are %q", st.Problems)
	}
	s.stop()
	s.serve() // the daemon starts, and removes no objects
	s.mentions("--allow-empty")
	s.holds(bridge, want)
	pingTTL(t, vm1, "10.0.2.10", 63)
	s.stop()
	s.serve("--allow-empty")
	s.settle()
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("the bridges are %q", got)
	}
}
