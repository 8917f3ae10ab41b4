package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/metrics"
	"github.com/ofdvr/ofdvr/ofproto"
)

var _ controller.Recorder = (*metrics.Events)(nil)

func TestEvents(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	e := metrics.New(reg, "v1")
	e.Committed("r1", time.Millisecond, ofproto.Delta{Add: make([]ofproto.Flow, 3), Modify: make([]ofproto.Flow, 1)}, nil)
	e.Committed("r1", time.Millisecond, ofproto.Delta{Add: make([]ofproto.Flow, 9)}, errors.New("no"))
	e.Reconciled("r1", time.Millisecond)
	e.SwitchError("r1", ofproto.ErrTableFull)
	const want = `
# HELP ofdvr_commits_total Bundles of flow changes sent to switches, by result: ok or error.
# TYPE ofdvr_commits_total counter
ofdvr_commits_total{result="error"} 1
ofdvr_commits_total{result="ok"} 1
# HELP ofdvr_flow_mods_total Flow changes that switches confirmed, by operation: add, modify or delete.
# TYPE ofdvr_flow_mods_total counter
ofdvr_flow_mods_total{operation="add"} 3
ofdvr_flow_mods_total{operation="delete"} 0
ofdvr_flow_mods_total{operation="modify"} 1
# HELP ofdvr_openflow_errors_total Error messages from switches, by type and code as the OpenFlow specification names them; unknown for other types and codes.
# TYPE ofdvr_openflow_errors_total counter
ofdvr_openflow_errors_total{code="OFPFMFC_TABLE_FULL",type="OFPET_FLOW_MOD_FAILED"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"ofdvr_commits_total", "ofdvr_flow_mods_total", "ofdvr_openflow_errors_total"); err != nil {
		t.Error(err)
	}
	lint(t, reg)
}

func TestState(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	state := metrics.State{
		OVSDB:   &metrics.OVSDB{Connected: true},
		Routers: []metrics.Router{{ID: "r1", Connected: true, Desired: 5, Installed: 4}, {ID: "r2"}},
		Interfaces: []metrics.Interface{{
			Router: "r1", ID: "i1", RoutedPackets: 10, RoutedBytes: 1000, ARPReplies: 2, TTLExpired: 3,
			Fallback: map[string]uint64{"unknown": 7},
		}},
	}
	reg.MustRegister(metrics.NewState(func(context.Context) (metrics.State, error) { return state, nil }))
	lint(t, reg)
	const want = `
# HELP ofdvr_connected_bridges Routing bridges that are connected.
# TYPE ofdvr_connected_bridges gauge
ofdvr_connected_bridges 1
# HELP ofdvr_interface_routed_packets_total Packets that the switch routed out of the interface.
# TYPE ofdvr_interface_routed_packets_total counter
ofdvr_interface_routed_packets_total{interface="i1",router="r1"} 10
# HELP ofdvr_router_flows_installed Desired flows that the switch has confirmed.
# TYPE ofdvr_router_flows_installed gauge
ofdvr_router_flows_installed{router="r1"} 4
ofdvr_router_flows_installed{router="r2"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"ofdvr_connected_bridges", "ofdvr_interface_routed_packets_total", "ofdvr_router_flows_installed"); err != nil {
		t.Error(err)
	}
	state.Routers = state.Routers[:1]
	if n, err := testutil.GatherAndCount(reg, "ofdvr_router_flows_installed"); err != nil || n != 1 {
		t.Errorf("got %d series, error %v after a router was removed", n, err)
	}
}

func lint(t *testing.T, reg prometheus.Gatherer) {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}
