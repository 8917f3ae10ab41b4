package controller

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A lifecycle that does not get on with one step is a problem in the status, until it does. One
// that takes many short steps, or has nothing to do, is none.
func TestStuckLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(lifecycle)
		c := &Controller{log: zap.NewNop(), lifecycle: l}
		w := &world{lead: true, intent: &ledger.State{Index: new(routing.Index), Whole: true}}
		check := func(what, want string) {
			t.Helper()
			problems := c.status(w).Problems
			found := slices.ContainsFunc(problems, func(p string) bool { return want != "" && strings.Contains(p, want) })
			if stuck := c.Stuck(); (stuck != "") != (want != "") || found != (want != "") || len(problems) > 1 {
				t.Errorf("%s: %q, problems %q", what, stuck, problems)
			}
		}
		check("at the start", "")
		for range 10 {
			l.doing("set up namespace qrouter-r1")
			time.Sleep(stuckAfter - time.Second)
			check("in a step", "")
		}
		time.Sleep(time.Second)
		check("in a long step", "it is stuck for 30s at the attempt to set up namespace qrouter-r1")
		l.doing("")
		check("afterwards", "")
		time.Sleep(time.Hour)
		check("with nothing to do", "")
	})
}
