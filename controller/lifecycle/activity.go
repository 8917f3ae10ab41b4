package lifecycle

import (
	"fmt"
	"sync"
	"time"
)

// stuckAfter is the time after which a step of the lifecycle counts as stuck. It is longer than the
// timeouts of all waits. Only system calls have no timeout.
const stuckAfter = 30 * time.Second

// An activity is the current work of the lifecycle.
type activity struct {
	mu    sync.Mutex
	step  string // current step of the work goroutine; "" if it is idle
	since time.Time
	other map[string]time.Time // start times of the steps of other goroutines
}

// begin records that a step begins. If step is "", the goroutine is idle.
func (a *activity) begin(step string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.step, a.since = step, time.Now()
}

// during records a step of another goroutine, until end is called.
func (a *activity) during(step string) (end func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.other == nil {
		a.other = make(map[string]time.Time)
	}
	a.other[step] = time.Now()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.other, step)
	}
}

// stuck describes the step that takes too long, or "" if no step does.
func (a *activity) stuck() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	step, since := a.step, a.since
	for s, t := range a.other {
		if step == "" || t.Before(since) {
			step, since = s, t
		}
	}
	took := time.Since(since)
	if step == "" || took < stuckAfter {
		return ""
	}
	return fmt.Sprintf("bridges and namespaces are not maintained: stuck for %v trying to %s; "+
		"if this stays, see where the daemon waits in the kernel (cat /proc/$(pidof ofdvr)/task/*/stack), and restart ofdvr", took.Truncate(time.Second), step)
}

// doing records that a step of a pass begins.
func (l *Lifecycle) doing(step string) { l.activity.begin(step) }

// Stuck describes a step that takes so long that it will probably never end. It returns "" if
// there is no such step.
func (l *Lifecycle) Stuck() string { return l.activity.stuck() }
