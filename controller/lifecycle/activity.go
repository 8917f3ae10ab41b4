package lifecycle

import (
	"fmt"
	"sync"
	"time"
)

// stuckAfter is how long one step of the lifecycle may take before it counts as stuck. What it
// waits for has shorter limits, where there are any: the kernel has none.
const stuckAfter = 30 * time.Second

// An activity is what is being done at the moment.
type activity struct {
	mu    sync.Mutex
	step  string // what work itself does; "": it waits
	since time.Time
	other map[string]time.Time // what is done beside that, and since when
}

// begin notes the step that begins now, "" for none.
func (a *activity) begin(step string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.step, a.since = step, time.Now()
}

// during notes a step beside others, until end is called.
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

// stuck says which step takes too long, "" if none does.
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
	return fmt.Sprintf("bridges and namespaces are not looked after: it is stuck for %v at the attempt to %s; "+
		"if this stays, find out what keeps it (cat /proc/$(pidof ofdvr)/task/*/stack), and restart ofdvr", took.Truncate(time.Second), step)
}

// doing notes which step of a pass begins.
func (l *Lifecycle) doing(step string) { l.activity.begin(step) }

// Stuck says what the lifecycle has not finished for so long that it probably never
// will, "" if that is nothing.
func (l *Lifecycle) Stuck() string { return l.activity.stuck() }
