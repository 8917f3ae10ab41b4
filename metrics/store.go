package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// store has the metrics of the store.
type store struct {
	commits   *prometheus.CounterVec
	storeTime prometheus.Histogram
}

func newStore() store {
	return store{
		commits:   counters("store_commits_total", "Writes to the store, each of one or more changes of the intent, by result: ok or error.", "result"),
		storeTime: histogram("store_commit_duration_seconds", "Time of a write to the store, until it is on disk.", 0.0005),
	}
}

// StoreCommit calls commit, which writes to the store, and records it.
func (e *store) StoreCommit(commit func() error) error {
	start := time.Now()
	err := commit()
	e.storeTime.Observe(time.Since(start).Seconds())
	e.commits.WithLabelValues(resultOf(err)).Inc()
	return err
}
