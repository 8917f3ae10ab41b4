package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// The result label of a failed transaction says whether the state was stale, the outcome is
// unknown, or an operation failed.
func TestResults(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "ok"},
		{fmt.Errorf("find Port x: %w", errStale), "stale"},
		{errors.Join(errors.New("other"), errStale), "stale"},
		{ErrNotConnected, "unknown"},
		{fmt.Errorf("ovsdb-server did not answer: %w", context.DeadlineExceeded), "unknown"},
		{errors.New("insert Port x: I/O error"), "error"},
	} {
		if got := resultOf(tt.err); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.err, got, tt.want)
		}
	}
}
