package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/metrics"
	"github.com/ofdvr/ofdvr/ofproto"
)

// registered returns the daemon's metrics, with a series of each.
func registered(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	events := metrics.New(reg, "v")
	events.SwitchError("r", ofproto.ErrTableFull)
	events.Disconnected("closed")
	events.Requests(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	reg.MustRegister(metrics.NewState(func(context.Context) (metrics.State, error) {
		out := metrics.State{
			Objects: map[string]int{"network": 1}, Quarantined: map[string]int{"network": 1}, States: controller.RouterStates(), Store: &metrics.Store{}, OVSDB: &metrics.OVSDB{}, Etcd: &metrics.Etcd{},
			Machines: map[string]int{"seen": 1, "elsewhere": 1}, Ports: []metrics.Port{{Router: "r", Interface: "i", ID: "p"}},
			Hosts: []metrics.Host{{ID: "h"}}, Fabric: &metrics.Fabric{Dropped: counters.ByRole{}.Lost()},
		}
		addRouter(&out, &controller.RouterStatus{ID: "r"}, &counters.Router{
			Known: true, Read: true, Connected: true, Interfaces: []counters.Object{{ID: "i"}}, Routes: []counters.Object{{ID: "0.0.0.0/0"}},
		})
		return out, nil
	}))
	return reg
}

// families returns all metrics, including the metrics of Go and of the process.
func families(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	fs, err := registered(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// The documented metrics are all metrics of the state.
func TestMetricsHaveSeries(t *testing.T) {
	have := make(map[string]bool)
	for _, f := range families(t) {
		have[f.GetName()] = true
	}
	described := make(chan *prometheus.Desc)
	go func() {
		metrics.NewState(nil).Describe(described)
		close(described)
	}()
	for d := range described {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		if name, _, _ := strings.Cut(rest, `"`); !have[name] {
			t.Errorf("%s has no series, so docs/metrics.md lacks it", name)
		}
	}
}

func TestMetricsAreLinted(t *testing.T) {
	problems, err := testutil.GatherAndLint(registered(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestPortMetricsFlag(t *testing.T) {
	for _, text := range []string{"off", "all", "1", "100"} {
		var p portMetrics
		if err := p.Set(text); err != nil || p.String() != text {
			t.Errorf("%s is read as %v, %v", text, &p, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "ten", "1.5"} {
		if err := new(portMetrics).Set(text); err == nil {
			t.Errorf("%q is accepted as a number of ports", text)
		}
	}
}
