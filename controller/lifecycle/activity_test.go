package lifecycle

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A lifecycle is stuck while one step takes too long. It is not stuck if it has many short
// steps, or nothing to do.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(Lifecycle)
		check := func(what, want string) {
			t.Helper()
			if stuck := l.Stuck(); (stuck != "") != (want != "") || !strings.Contains(stuck, want) {
				t.Errorf("%s: %q", what, stuck)
			}
		}
		check("at the start", "")
		for range 10 {
			l.doing("set up namespace qrouter-r1")
			time.Sleep(stuckAfter - time.Second)
			check("in a step", "")
		}
		time.Sleep(time.Second)
		check("in a long step", "stuck for 30s trying to set up namespace qrouter-r1")
		l.doing("")
		check("afterwards", "")
		time.Sleep(time.Hour)
		check("with nothing to do", "")
		slow, quick := l.activity.during("set up namespace qrouter-r2"), l.activity.during("set up namespace qrouter-r3")
		quick()
		time.Sleep(stuckAfter)
		l.doing("read and change OVSDB")
		check("beside a long step", "stuck for 30s trying to set up namespace qrouter-r2")
		slow()
		check("after it", "")
	})
}
