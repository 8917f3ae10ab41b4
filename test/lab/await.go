package lab

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Await calls f, with short pauses, until f returns nil. If ctx is done first, the error has
// "waited for", the text what, and the last error of f. f should not block for long.
func Await(ctx context.Context, what string, f func() error) error {
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := f()
		if err == nil {
			return nil
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %v for %s: %w; last: %w",
				time.Since(begin).Round(time.Millisecond), what, context.Cause(ctx), err)
		}
	}
}

// Eventually calls f, with short pauses, until f returns nil. After timeout it fails the test with
// "waited for" and the text what.
func Eventually(t testing.TB, timeout time.Duration, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := Await(ctx, what, f); err != nil {
		t.Fatal(err)
	}
}
