package controller

import (
	"slices"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/routing"
)

// A stuck lifecycle is a problem of the status.
func TestStuckLifecycle(t *testing.T) {
	stuck := ""
	c := &Controller{log: zap.NewNop(), lifecycle: new(lifecycle.Lifecycle), stuck: func() string { return stuck }}
	w := &world{lead: true, intent: &ledger.Intent{Index: new(routing.Index), Whole: true}}
	if got := c.status(w).Problems; len(got) > 0 || c.Stuck() != "" {
		t.Errorf("at the start: %q, problems %q", c.Stuck(), got)
	}
	stuck = "it is stuck"
	if got := c.status(w).Problems; !slices.Equal(got, []string{stuck}) || c.Stuck() != stuck {
		t.Errorf("stuck: %q, problems %q", c.Stuck(), got)
	}
}
