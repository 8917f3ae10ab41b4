package api

import (
	"testing"
	"time"
)

// SetWatchWrite has a watcher take as long as d to read what was written, until the test
// ends.
func SetWatchWrite(t *testing.T, d time.Duration) {
	before := watchWrite
	watchWrite = d
	t.Cleanup(func() { watchWrite = before })
}
