// Package metrics exposes the controller to Prometheus. Only package main imports it. Other
// packages report to small interfaces that they declare themselves. The types here implement these
// interfaces.
package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Events counts events of the daemon. It implements controller.Recorder.
type Events struct {
	openflow
	intent
	ovsdb
	store
	api
}

// openflow has the metrics of the connections with switches.
type openflow struct {
	flowMods   *prometheus.CounterVec
	commits    *prometheus.CounterVec
	errors     *prometheus.CounterVec
	connects   prometheus.Counter
	ended      *prometheus.CounterVec
	refused    prometheus.Counter
	commitTime prometheus.Histogram
	roundTrip  prometheus.Histogram
}

// intent has the metrics of the reconciliation of the intent.
type intent struct {
	drift     *prometheus.CounterVec
	tables    *prometheus.CounterVec
	reconcile prometheus.Histogram
	applied   prometheus.Histogram
}

// ovsdb has the metrics of the connection with ovsdb-server.
type ovsdb struct {
	syncs        prometheus.Counter
	transactions *prometheus.CounterVec
	transactTime prometheus.Histogram
}

// New returns Events and registers their metrics with reg, together with the metrics of the
// process and of the build. It panics if they are already registered there.
func New(reg prometheus.Registerer, version string) *Events {
	e := &Events{
		openflow: openflow{
			flowMods: counters("flow_mods_total", "Flow changes that switches confirmed, by operation: add, modify or delete.", "operation"),
			commits:  counters("commits_total", "Bundles of flow changes sent to switches, by result: ok or error.", "result"),
			errors: counters("openflow_errors_total", "Error messages from switches, by type and code as the OpenFlow specification names them; "+
				"unknown for other types and codes.", "type", "code"),
			connects: counter("openflow_connects_total", "OpenFlow connections of routing bridges, including reconnections."),
			ended: counters("openflow_disconnects_total",
				"OpenFlow connections that ended or were refused, by reason: closed (by the switch or the network), echo_timeout (no reply to an echo request), read_timeout (the switch did not read), "+
					"unknown_bridge (no router has this bridge), version (no OpenFlow 1.3), tls (handshake failed), handshake_timeout, too_many_connections (too many unidentified peers), "+
					"forbidden_user (the local peer runs as a user that is not allowed), "+
					"duplicate (the bridge has a live connection), garbage (invalid messages), flood (too many unsolicited messages), too_long (a reply above the limit).", "reason"),
			refused:    counter("refused_counters_total", "Flow counters whose growth was rejected because it exceeded what a link can carry (1 Tbit/s); the growth is missing in the metrics."),
			commitTime: histogram("commit_duration_seconds", "Time from sending a bundle of flow changes to the switch's reply to the commit.", 0.0005),
			roundTrip:  histogram("openflow_round_trip_seconds", "Time from an echo request to the switch's reply. Echo requests are sent to switches that have been silent for 3 to 4 s.", 0.0001),
		},
		intent: intent{
			drift:  counters("drift_flows_total", "Flows on routing bridges that other programs changed and that ofdvr repairs, by kind: deleted, altered (both flows of ofdvr) or added (flows that are not desired).", "kind"),
			tables: counters("drift_tables_total", "Groups and meters on routing bridges that other programs changed and that ofdvr repairs, by kind: group or meter.", "kind"),
			reconcile: histogram("reconcile_duration_seconds",
				"Time from a change of a router's desired flows until its switch confirms them; after a connect it includes reading the switch.", 0.0005),
			applied: histogram("intent_to_switch_seconds",
				"Time from receiving a change of the intent, before it is written to disk, until the switch of each affected router confirms it; "+
					"it includes the time during which the bridge was not connected.", 0.0005),
		},
		ovsdb: ovsdb{
			syncs: counter("ovsdb_resyncs_total", "Connections to ovsdb-server; the whole state is read on each."),
			transactions: counters("ovsdb_transactions_total", "Transactions to change OVSDB, by result: ok, stale (OVSDB had changed in the meantime, so the change is planned again), "+
				"error, unknown (no reply).", "result"),
			transactTime: histogram("ovsdb_transaction_duration_seconds", "Time from sending a transaction to ovsdb-server's reply, or to the timeout.", 0.0005),
		},
		store: newStore(),
		api:   newAPI(),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "ofdvr_build_info",
		Help:        "Always 1; the labels are the version of ofdvr and of Go.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	begin(e.flowMods, "add", "modify", "delete")
	begin(e.drift, "deleted", "altered", "added")
	begin(e.tables, "group", "meter")
	begin(e.openflow.commits, "ok", "error")
	begin(e.transactions, "ok", "stale", "error", "unknown")
	begin(e.store.commits, "ok", "error")
	begin(e.limited, limits...)
	reg.MustRegister(build, e.flowMods, e.openflow.commits, e.errors, e.connects, e.ended, e.refused, e.commitTime, e.roundTrip,
		e.drift, e.tables, e.reconcile, e.applied, e.syncs, e.transactions, e.transactTime,
		e.store.commits, e.storeTime, e.requests, e.requestTime, e.limited,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return e
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "ofdvr_" + name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ofdvr_" + name, Help: help}, labels)
}

// histogram returns a histogram with 16 buckets. The first bucket ends at shortest, in seconds.
// Each further bucket ends at twice the time of the previous bucket.
func histogram(name, help string, shortest float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ofdvr_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(shortest, 2, 16)})
}

// begin creates the series of the given label values with the value 0, so that the first event
// is an increase.
func begin(c *prometheus.CounterVec, values ...string) {
	for _, v := range values {
		c.WithLabelValues(v)
	}
}

// resultOf returns the result label for err.
func resultOf(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// Committed records a bundle of flow changes.
func (e *openflow) Committed(_ string, took time.Duration, d ofproto.Delta, err error) {
	e.commitTime.Observe(took.Seconds())
	e.commits.WithLabelValues(resultOf(err)).Inc()
	if err == nil {
		e.flowMods.WithLabelValues("add").Add(float64(len(d.Add)))
		e.flowMods.WithLabelValues("modify").Add(float64(len(d.Modify)))
		e.flowMods.WithLabelValues("delete").Add(float64(len(d.Delete)))
	}
}

// SwitchError records an error message from a switch. All unknown codes share one
// series, so a switch cannot create series.
func (e *openflow) SwitchError(_ string, code ofproto.ErrorCode) {
	typ, name := "unknown", "unknown"
	if code.Known() {
		typ, name = code.TypeName(), code.Name()
	}
	e.errors.WithLabelValues(typ, name).Inc()
}

// Connected records a new connection of a routing bridge.
func (e *openflow) Connected(string) { e.connects.Inc() }

// Disconnected records a connection that ended or was refused.
func (e *openflow) Disconnected(reason string) { e.ended.WithLabelValues(reason).Inc() }

// CountersRefused records n rejected counters.
func (e *openflow) CountersRefused(n int) { e.refused.Add(float64(n)) }

// RoundTrip records the time that a switch took to reply to an echo request.
func (e *openflow) RoundTrip(took time.Duration) { e.roundTrip.Observe(took.Seconds()) }

// Reconciled records that a switch confirmed its desired flows.
func (e *intent) Reconciled(_ string, took time.Duration) { e.reconcile.Observe(took.Seconds()) }

// Applied records that a switch confirmed a change of the intent.
func (e *intent) Applied(_ string, took time.Duration) { e.applied.Observe(took.Seconds()) }

// Drifted records flows that other programs changed.
func (e *intent) Drifted(_ string, deleted, altered, added int) {
	e.drift.WithLabelValues("deleted").Add(float64(deleted))
	e.drift.WithLabelValues("altered").Add(float64(altered))
	e.drift.WithLabelValues("added").Add(float64(added))
}

// DriftedTables records groups and meters that other programs changed.
func (e *intent) DriftedTables(_ string, groups, meters int) {
	e.tables.WithLabelValues("group").Add(float64(groups))
	e.tables.WithLabelValues("meter").Add(float64(meters))
}

// Synced records a connection to ovsdb-server.
func (e *ovsdb) Synced() { e.syncs.Inc() }

// Transacted records a transaction with ovsdb-server.
func (e *ovsdb) Transacted(result string, took time.Duration) {
	e.transactions.WithLabelValues(result).Inc()
	e.transactTime.Observe(took.Seconds())
}
