// Package metrics exposes the controller to Prometheus. Nothing below cmd
// imports it: packages declare the small interface that they report to, and
// the types here implement those interfaces.
package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Events counts what the controller does. It implements controller.Recorder.
type Events struct {
	flowMods   *prometheus.CounterVec
	commits    *prometheus.CounterVec
	errors     *prometheus.CounterVec
	ended      *prometheus.CounterVec
	drift      *prometheus.CounterVec
	commitTime prometheus.Histogram
	reconcile  prometheus.Histogram
}

// New returns Events whose metrics, and those about the process and the build,
// are registered with reg. It panics if they are already registered there.
func New(reg prometheus.Registerer, version string) *Events {
	e := &Events{
		flowMods: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ofdvr_flow_mods_total",
			Help: "Flow changes that switches confirmed, by operation: add, modify or delete.",
		}, []string{"operation"}),
		commits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ofdvr_commits_total",
			Help: "Bundles of flow changes sent to switches, by result: ok or error.",
		}, []string{"result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ofdvr_openflow_errors_total",
			Help: "Error messages from switches, by the name that the OpenFlow specification gives the code.",
		}, []string{"code"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ofdvr_openflow_disconnects_total",
			Help: "OpenFlow connections that ended or were refused, by reason: closed (by the switch, or broken), silent, stuck (it does not read), " +
				"stranger (it belongs to no router), version (no OpenFlow 1.3), tls, mute (it does not speak OpenFlow), " +
				"crowd (too many of those), garbage, flood, too_long (an answer without end).",
		}, []string{"reason"}),
		drift: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ofdvr_drift_flows_total",
			Help: "Flows that others changed on routing bridges, by kind: deleted and altered are ours, added are not wanted.",
		}, []string{"kind"}),
		commitTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ofdvr_commit_duration_seconds",
			Help:    "Time from sending a bundle of flow changes to the switch's reply to its commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16), // 0.5 ms to 16 s
		}),
		reconcile: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "ofdvr_reconcile_duration_seconds",
			Help:    "Time from a changed program of a router to its confirmation by the switch.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16), // 0.5 ms to 16 s
		}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "ofdvr_build_info",
		Help:        "Always 1; the labels say what was built, and with what.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	for _, op := range []string{"add", "modify", "delete"} {
		e.flowMods.WithLabelValues(op)
	}
	for _, kind := range []string{"deleted", "altered", "added"} {
		e.drift.WithLabelValues(kind)
	}
	for _, result := range []string{"ok", "error"} {
		e.commits.WithLabelValues(result)
	}
	reg.MustRegister(build, e.flowMods, e.commits, e.errors, e.ended, e.drift, e.commitTime, e.reconcile,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e
}

// Committed records one bundle.
func (e *Events) Committed(_ string, took time.Duration, d ofproto.Delta, err error) {
	e.commitTime.Observe(took.Seconds())
	if err != nil {
		e.commits.WithLabelValues("error").Inc()
		return
	}
	e.commits.WithLabelValues("ok").Inc()
	e.flowMods.WithLabelValues("add").Add(float64(len(d.Add)))
	e.flowMods.WithLabelValues("modify").Add(float64(len(d.Modify)))
	e.flowMods.WithLabelValues("delete").Add(float64(len(d.Delete)))
}

// Reconciled records that a switch has what is wanted.
func (e *Events) Reconciled(_ string, took time.Duration) { e.reconcile.Observe(took.Seconds()) }

// Drifted records flows that others changed.
func (e *Events) Drifted(_ string, deleted, altered, added int) {
	e.drift.WithLabelValues("deleted").Add(float64(deleted))
	e.drift.WithLabelValues("altered").Add(float64(altered))
	e.drift.WithLabelValues("added").Add(float64(added))
}

// SwitchError records an error message from a switch.
func (e *Events) SwitchError(_ string, code ofproto.ErrorCode) {
	e.errors.WithLabelValues(code.Name()).Inc()
}

// Disconnected records a connection that has ended or was refused.
func (e *Events) Disconnected(reason string) { e.ended.WithLabelValues(reason).Inc() }
