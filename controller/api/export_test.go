package api

import (
	"testing"
	"time"
)

// SetWatchWrite sets the time limit for a watcher to read written data, until the test
// ends.
func SetWatchWrite(t *testing.T, d time.Duration) {
	before := watchWrite
	watchWrite = d
	t.Cleanup(func() { watchWrite = before })
}
