package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// grown waits until each metric in the parameter by has grown by exactly the value there, compared
// with its value in before.
func (s *site) grown(before map[string]float64, by map[string]float64) {
	s.t.Helper()
	s.eventually("the metrics", func() error {
		now := s.scrape()
		var wrong []error
		for name, n := range by {
			if got := now[name] - before[name]; got != n {
				wrong = append(wrong, fmt.Errorf("%s has grown by %v, want %v", name, got, n))
			}
		}
		return errors.Join(wrong...)
	})
}

// The metrics count each of these once: a write through the API; its effects in the store, the
// database and the switch; a repair of flows; the end of a connection.
func TestEventsAreCounted(t *testing.T) {
	t.Parallel()
	s := storeOnly(t)
	start := make(map[string]float64) // counters of a daemon that has just started
	s.must(200, "PUT", "/v1/topology"+applied, bluegreen)
	s.settle()
	s.grown(start, map[string]float64{
		`ofdvr_ovsdb_transactions_total{result="ok"}`:                                   1,
		`ofdvr_ovsdb_transaction_duration_seconds_count`:                                1,
		`ofdvr_openflow_connects_total`:                                                 1,
		`ofdvr_intent_to_switch_seconds_count`:                                          1, // the time includes the creation of the bridge
		`ofdvr_api_requests_total{method="PUT",route="/v1/topology",status="200"}`:      1,
		`ofdvr_store_commits_total{result="error"}`:                                     0,
		`ofdvr_openflow_disconnects_total{reason="closed"}`:                             0,
		`ofdvr_api_request_duration_seconds_count{method="PUT",route="/v1/topology"}`:   1,
		`ofdvr_drift_flows_total{kind="deleted"}`:                                       0,
		`ofdvr_api_request_duration_seconds_count{method="GET",route="/v1/ports/{id}"}`: 0,
		`ofdvr_ovsdb_transactions_total{result="stale"}`:                                0,
		`ofdvr_openflow_errors_total{code="OFPFMFC_TABLE_FULL",type="FLOW_MOD_FAILED"}`: 0,
	})

	before := s.scrape()
	if before["ofdvr_ovsdb_resyncs_total"] != 1 || before["ofdvr_store_size_bytes"] == 0 || before["ofdvr_store_writable"] != 1 {
		t.Error(before)
	}
	s.must(201, "PUT", "/v1/ports/vm7"+applied, `{"network": "green", "mac": "02:00:00:00:02:17", "addresses": ["10.0.2.17"]}`)
	s.must(404, "GET", "/v1/ports/vm8", "")
	s.grown(before, map[string]float64{
		`ofdvr_intent_to_switch_seconds_count`:                                       1,
		`ofdvr_reconcile_duration_seconds_count`:                                     1,
		`ofdvr_commits_total{result="ok"}`:                                           1,
		`ofdvr_flow_mods_total{operation="add"}`:                                     2, // flows that deliver, and that limit
		`ofdvr_store_commits_total{result="ok"}`:                                     1,
		`ofdvr_store_commit_duration_seconds_count`:                                  1,
		`ofdvr_intent_revision`:                                                      1,
		`ofdvr_api_requests_total{method="PUT",route="/v1/ports/{id}",status="201"}`: 1,
		`ofdvr_api_requests_total{method="GET",route="/v1/ports/{id}",status="404"}`: 1,
		`ofdvr_ovsdb_transactions_total{result="ok"}`:                                0,
	})

	before = s.scrape()
	s.sh("", "ovs-ofctl -O OpenFlow13 --strict del-flows "+bridge+" 'table=3,priority=100,ip,nw_dst=10.0.2.17'")
	s.grown(before, map[string]float64{
		`ofdvr_drift_flows_total{kind="deleted"}`: 1,
		`ofdvr_drift_flows_total{kind="added"}`:   0,
		`ofdvr_flow_mods_total{operation="add"}`:  1,
		`ofdvr_intent_to_switch_seconds_count`:    0, // no write was made
	})

	before = s.scrape()
	s.Switch().Kill()
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wired()
	s.grown(before, map[string]float64{
		`ofdvr_openflow_connects_total`:                     1,
		`ofdvr_openflow_disconnects_total{reason="closed"}`: 1,
		`ofdvr_ovsdb_resyncs_total`:                         0,
		`ofdvr_intent_to_switch_seconds_count`:              0,
	})
}

// manyPorts is twoNetworks with n more ports on green. With many ports, the flows are read in
// several parts.
func manyPorts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "  - {id: x%d, network: green, mac: \"02:00:00:01:%02x:%02x\", addresses: [10.1.%d.%d]}\n", i, i>>8, i&0xff, i>>8, i&0xff)
	}
	return strings.Replace(twoNetworks, "10.0.2.1/24]", "10.0.2.1/24, 10.1.255.1/16]", 1) + b.String()
}

// The flows of a large switch are read in parts, and counted as exactly as the flows of a
// small switch. The metrics show only the ports with the most packets. All other
// ports are counted too, even after the daemon has restarted and their flows were deleted and added
// again.
func TestCountersOfManyFlows(t *testing.T) {
	t.Parallel()
	topology := manyPorts(6000)
	s := bare(t, topology)
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.serve("--port-metrics", "1")
	s.settle()
	s.acquaint(vm1, vm2)
	port := func(iface, id string) string {
		return fmt.Sprintf("ofdvr_port_delivered_packets_total{interface=%q,port=%q,router=%q}", iface, id, "r1")
	}
	// counted waits until the port with the most packets, and the interfaces, have
	// these counts.
	counted := func(most string, packets, blue, green float64) {
		t.Helper()
		want := tally{most: packets, counter("routed_packets", "r1-blue"): blue, counter("routed_packets", "r1-green"): green}
		s.eventually("the counters", func() error {
			now := s.scrape()
			var wrong []error
			for name, v := range want {
				if now[name] != v {
					wrong = append(wrong, fmt.Errorf("%s is %v, want %v", name, now[name], v))
				}
			}
			for name, v := range now {
				if strings.HasPrefix(name, "ofdvr_port_delivered_packets_total") && name != most {
					wrong = append(wrong, fmt.Errorf("unexpected %s %v", name, v))
				}
			}
			return errors.Join(wrong...)
		})
	}
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 5})
	counted(port("r1-blue", "vm1"), 5, 5, 5)         // want the first by name of two ports with equal counts
	write(t, dialUDP(t, s, vm1, "10.1.0.7:9999"), 9) // an address without a machine
	counted(port("r1-green", "x7"), 9, 5, 14)
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 10})
	counted(port("r1-blue", "vm1"), 15, 15, 24)

	s.reload(strings.Replace(topology, "green, mac: \"02:00:00:00:02:10\"", "green, mac: \"02:00:00:00:02:99\"", 1)) // a change that does not affect flows of vm1
	s.sh("", "ovs-ofctl -O OpenFlow13 --strict del-flows "+bridge+" 'table=3,priority=100,ip,nw_dst=10.0.1.10'")
	s.eventually("the flow to be restored", func() error {
		if now := s.scrape(); now[`ofdvr_drift_flows_total{kind="deleted"}`] != 1 {
			return errors.New("not restored yet")
		}
		return nil
	})
	s.reload(topology)
	counted(port("r1-blue", "vm1"), 15, 15, 24)
	s.stop()
	write(t, dialUDP(t, s, vm1, "10.1.0.7:9999"), 10)
	s.serve("--port-metrics", "1")
	s.settle()
	counted(port("r1-green", "x7"), 19, 15, 34)
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 6})
	counted(port("r1-blue", "vm1"), 21, 21, 40)
}
