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

// Events counts what the daemon does. It implements controller.Recorder.
type Events struct {
	openflow
	intent
	ovsdb
	store
	api
}

// openflow is what happens between us and switches.
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

// intent is what becomes of the intent.
type intent struct {
	drift     *prometheus.CounterVec
	tables    *prometheus.CounterVec
	reconcile prometheus.Histogram
	applied   prometheus.Histogram
}

// ovsdb is what happens between us and ovsdb-server.
type ovsdb struct {
	syncs        prometheus.Counter
	transactions *prometheus.CounterVec
	transactTime prometheus.Histogram
}

// New returns Events whose metrics, and those about the process and the build,
// are registered with reg. It panics if they are already registered there.
func New(reg prometheus.Registerer, version string) *Events {
	e := &Events{
		openflow: openflow{
			flowMods: counters("flow_mods_total", "Flow changes that switches confirmed, by operation: add, modify or delete.", "operation"),
			commits:  counters("commits_total", "Bundles of flow changes sent to switches, by result: ok or error.", "result"),
			errors: counters("openflow_errors_total", "Error messages from switches, by the names that the OpenFlow specification gives the type and the code; "+
				"unknown if it gives none.", "type", "code"),
			connects: counter("openflow_connects_total", "Connections of routers' bridges: the first ones and each reconnect."),
			ended: counters("openflow_disconnects_total",
				"OpenFlow connections that ended or were refused, by reason: closed (by the switch, or broken), echo_timeout, read_timeout (the switch does not read), "+
					"unknown_bridge (no router has it), version (no OpenFlow 1.3), tls, handshake_timeout, too_many_connections (unidentified ones), "+
					"forbidden_user (a process of this machine whose user may not be a switch), "+
					"duplicate (the bridge is connected, and answers), garbage, flood, too_long (an answer without end).", "reason"),
			refused:    counter("refused_counters_total", "Counters of flows that have grown by more than a link can carry (1 Tbit/s), and that were not added to the metrics."),
			commitTime: histogram("commit_duration_seconds", "Time from sending a bundle of flow changes to the switch's reply to its commit.", 0.0005),
			roundTrip:  histogram("openflow_round_trip_seconds", "Time from an echo request to the switch's reply. A switch is sent one when it has been silent for 3 to 4 s.", 0.0001),
		},
		intent: intent{
			drift:  counters("drift_flows_total", "Flows that others changed on routing bridges, and that are repaired, by kind: deleted and altered are ours, added are not wanted.", "kind"),
			tables: counters("drift_tables_total", "Groups and meters that others changed on routing bridges, and that are repaired, by kind: group or meter.", "kind"),
			reconcile: histogram("reconcile_duration_seconds",
				"Time from a program of a router that its switch did not have, whatever changed it, to its confirmation by the switch; after a connect, reading the switch included.", 0.0005),
			applied: histogram("intent_to_switch_seconds",
				"Time from when a change of the intent was taken in, before it is written to the disk, to its confirmation by the switch of each router to which it matters; "+
					"where the bridge was not connected meanwhile, that time included.", 0.0005),
		},
		ovsdb: ovsdb{
			syncs: counter("ovsdb_resyncs_total", "Connections to ovsdb-server, on each of which everything was read anew."),
			transactions: counters("ovsdb_transactions_total", "Transactions that changed the database, by result: ok, stale (the database had changed meanwhile, it was planned anew), "+
				"error, unknown (no answer came).", "result"),
			transactTime: histogram("ovsdb_transaction_duration_seconds", "Time from sending a transaction to ovsdb-server's reply, or to giving up.", 0.0005),
		},
		store: newStore(),
		api:   newAPI(),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "ofdvr_build_info",
		Help:        "Always 1; the labels say what was built, and with what.",
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

// histogram has 16 buckets, each twice as long as the one before: from half a
// millisecond on to 16 s.
func histogram(name, help string, shortest float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ofdvr_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(shortest, 2, 16)})
}

// begin has what is yet to be counted begin with 0, so that the first one is an increase.
func begin(c *prometheus.CounterVec, values ...string) {
	for _, v := range values {
		c.WithLabelValues(v)
	}
}

// resultOf is the label of something that went well, or did not.
func resultOf(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

// Committed records one bundle.
func (e *openflow) Committed(_ string, took time.Duration, d ofproto.Delta, err error) {
	e.commitTime.Observe(took.Seconds())
	e.commits.WithLabelValues(resultOf(err)).Inc()
	if err == nil {
		e.flowMods.WithLabelValues("add").Add(float64(len(d.Add)))
		e.flowMods.WithLabelValues("modify").Add(float64(len(d.Modify)))
		e.flowMods.WithLabelValues("delete").Add(float64(len(d.Delete)))
	}
}

// SwitchError records an error message from a switch. What the specification does
// not know has one series, whatever a switch may send.
func (e *openflow) SwitchError(_ string, code ofproto.ErrorCode) {
	typ, name := "unknown", "unknown"
	if code.Known() {
		typ, name = code.TypeName(), code.Name()
	}
	e.errors.WithLabelValues(typ, name).Inc()
}

// Connected records a connection of a router's bridge.
func (e *openflow) Connected(string) { e.connects.Inc() }

// Disconnected records a connection that has ended or was refused.
func (e *openflow) Disconnected(reason string) { e.ended.WithLabelValues(reason).Inc() }

// CountersRefused records counters that were not added.
func (e *openflow) CountersRefused(n int) { e.refused.Add(float64(n)) }

// RoundTrip records how long a switch took to answer an echo request.
func (e *openflow) RoundTrip(took time.Duration) { e.roundTrip.Observe(took.Seconds()) }

// Reconciled records that a switch has what is wanted.
func (e *intent) Reconciled(_ string, took time.Duration) { e.reconcile.Observe(took.Seconds()) }

// Applied records that a switch has what a change of the intent asks for.
func (e *intent) Applied(_ string, took time.Duration) { e.applied.Observe(took.Seconds()) }

// Drifted records flows that others changed.
func (e *intent) Drifted(_ string, deleted, altered, added int) {
	e.drift.WithLabelValues("deleted").Add(float64(deleted))
	e.drift.WithLabelValues("altered").Add(float64(altered))
	e.drift.WithLabelValues("added").Add(float64(added))
}

// DriftedTables records groups and meters that others changed.
func (e *intent) DriftedTables(_ string, groups, meters int) {
	e.tables.WithLabelValues("group").Add(float64(groups))
	e.tables.WithLabelValues("meter").Add(float64(meters))
}

// Synced records a connection to ovsdb-server.
func (e *ovsdb) Synced() { e.syncs.Inc() }

// Transacted records a transaction.
func (e *ovsdb) Transacted(result string, took time.Duration) {
	e.transactions.WithLabelValues(result).Inc()
	e.transactTime.Observe(took.Seconds())
}
