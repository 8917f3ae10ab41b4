package controller

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A host is programmed when the switches hold the flows of the fabric bridge, and of all routers on
// networks between hosts. Other routers do not matter.
func TestConditionsOfHost(t *testing.T) {
	network := func(id string, vni uint32, vlan uint16) routing.Network {
		return routing.Network{ID: id, VNI: vni, VLAN: vlan, MTU: 1400}
	}
	router := func(id, network string) routing.Router {
		return routing.Router{ID: id, Bridge: routing.Bridge{Managed: true}, Interfaces: []routing.Interface{{ID: id + "-" + network, Network: network, MAC: ofproto.MAC{2, 0, 0, 0, 0, id[1]}}}}
	}
	m := routing.Model{
		Hosts:    []routing.Host{{ID: "h1", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.1")}}, {ID: "h2", Tunnel: routing.Tunnel{Address: netip.MustParseAddr("192.0.2.2")}}},
		Networks: []routing.Network{network("blue", 5001, 0), network("green", 0, 7)},
		Routers:  []routing.Router{router("r1", "blue"), router("r2", "green")},
	}
	at := time.Date(2026, 11, 30, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		change func(m *routing.Model, w *world)
		want   Condition
	}{
		{"confirmed", func(*routing.Model, *world) {}, Condition{Programmed: true, Since: at.Add(3 * time.Second)}},
		{"a router without a network between hosts is disconnected", func(_ *routing.Model, w *world) { w.routers["r2"].session = nil },
			Condition{Programmed: true, Since: at.Add(3 * time.Second)}},
		{"a router on a network between hosts is disconnected", func(_ *routing.Model, w *world) { w.routers["r1"].session = nil },
			Condition{Since: at.Add(time.Second), Pending: []Pending{{"r1", "the bridge is managed, but no OVSDB is configured: start with --ovsdb, or set managed: false"}}}},
		{"uplinks carry the network of a disconnected router", func(m *routing.Model, w *world) {
			w.routers["r2"].session = nil
			m.Hosts[0].Uplink, m.Hosts[1].Uplink = "eth1", "eth1"
		}, Condition{Since: at.Add(2 * time.Second), Pending: []Pending{{"r2", "the bridge is managed, but no OVSDB is configured: start with --ovsdb, or set managed: false"}}}},
		{"the fabric has older flows", func(_ *routing.Model, w *world) {
			w.fabric.wanted = []version{{gen: 2, revision: 9}}
			w.fabric.applied.revision = 8
			w.routers["r1"].wanted = w.fabric.wanted
			w.routers["r1"].applied.revision = 9
		}, Condition{Since: at.Add(time.Second), Pending: []Pending{{routing.FabricBridge, "its flows are being changed (settled)"}}}},
		{"the fabric bridge is disconnected, and no router is on a network between hosts", func(m *routing.Model, w *world) {
			w.fabric.session = nil
			m.Routers = m.Routers[1:]
		}, Condition{Since: at.Add(3 * time.Second), Pending: []Pending{{routing.FabricBridge, "the bridge is managed, but no OVSDB is configured: start with --ovsdb, or set managed: false"}}}},
		{"the fabric refuses a flow", func(_ *routing.Model, w *world) {
			w.fabric.report.Refused = []reconcile.Refusal{{Mod: ofproto.FlowMod{}, Err: ofproto.ErrTableFull}}
			w.fabric.changes.degraded.set(true, at.Add(4*time.Second))
		}, Condition{Programmed: true, Since: at.Add(3 * time.Second), DegradedSince: at.Add(4 * time.Second),
			Degraded: []string{"router br-fabric: " + describer(compile.Program{})(ofproto.FlowMod{}) + ": " + ofproto.ErrTableFull.Error()}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := m
			m.Hosts = slices.Clone(m.Hosts)
			w := &world{lead: true, host: "h1", routers: make(map[string]*routerState)}
			state := func(r *routing.Router, confirmed time.Duration) *routerState {
				st := &routerState{router: r, session: new(session), applied: version{gen: 1, revision: 9}, report: reconcile.Report{State: reconcile.Settled}}
				st.changes.programmed.set(true, at.Add(confirmed))
				return st
			}
			w.routers["r1"], w.routers["r2"] = state(&m.Routers[0], time.Second), state(&m.Routers[1], 2*time.Second)
			w.fabric = state(&routing.Router{ID: routing.FabricBridge, Bridge: routing.Bridge{Managed: true, Name: routing.FabricBridge}}, 3*time.Second)
			tt.change(&m, w)
			w.intent = &ledger.Intent{Revision: 9, Layout: 5, Index: routing.NewIndex(&m)}
			got := new(Controller).condition(w, ledger.Object{Kind: routing.KindHost, ID: "h1"})
			tt.want.Revision = 9
			if got.Revision != tt.want.Revision || got.Programmed != tt.want.Programmed || !got.Since.Equal(tt.want.Since) || !got.DegradedSince.Equal(tt.want.DegradedSince) ||
				!slices.Equal(got.Pending, tt.want.Pending) || !slices.Equal(got.Degraded, tt.want.Degraded) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// A port whose machine is on this host is programmed when the machine has the tag of its network.
func TestConditionsOfPortNeedTheTag(t *testing.T) {
	m := routing.Model{
		Networks: []routing.Network{{ID: "blue", VNI: 7}, {ID: "green", VLAN: 3}},
		Ports:    []routing.Port{{ID: "b", Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 0, 1}}, {ID: "g", Network: "green", MAC: ofproto.MAC{2, 0, 0, 0, 0, 2}}},
	}
	const being = "the tag of port b on the integration bridge is being set"
	for name, c := range map[string]struct {
		port     string
		machines map[string]uint16
		tags     map[string]uint16
		want     string
	}{
		"on no port here":           {"b", nil, map[string]uint16{"blue": 5}, ""},
		"right tag":                 {"b", map[string]uint16{"b": 5}, map[string]uint16{"blue": 5}, ""},
		"no tag":                    {"b", map[string]uint16{"b": 0}, map[string]uint16{"blue": 5}, being},
		"wrong tag":                 {"b", map[string]uint16{"b": 6}, map[string]uint16{"blue": 5}, being},
		"the network has no tag":    {"b", map[string]uint16{"b": 0}, nil, "network blue has no tag on this host yet"},
		"ofdvr does not set tags":   {"g", map[string]uint16{"g": 0}, nil, ""},
		"another machine has none":  {"b", map[string]uint16{"b": 5, "g": 9}, map[string]uint16{"blue": 5}, ""},
		"a tag of ofdvr that stays": {"g", map[string]uint16{"g": 5}, nil, "the tag of port g on the integration bridge is being set"},
	} {
		w := &world{lead: true, routers: make(map[string]*routerState), intent: &ledger.Intent{Index: routing.NewIndex(&m)}}
		w.lifecycle.Machines, w.lifecycle.Tags = c.machines, c.tags
		got := new(Controller).condition(w, ledger.Object{Kind: routing.KindPort, ID: c.port})
		var want []Pending
		if c.want != "" {
			want = []Pending{{Reason: c.want}}
		}
		if got.Programmed != (want == nil) || !slices.Equal(got.Pending, want) {
			t.Errorf("%s: %+v, want pending %v", name, got, want)
		}
	}
}
