package lifecycle

import (
	"testing"
	"time"
)

// After a cheap inspection of the database, the next change is inspected almost at once. After an
// expensive one it waits, but not for more than longest or the duration of the inspection.
func TestPaceRests(t *testing.T) {
	const ms, longest = time.Millisecond, 200 * time.Millisecond
	now := time.Unix(1000, 0)
	for _, c := range []struct{ took, pause time.Duration }{{ms, 4 * ms}, {20 * ms, 80 * ms}, {100 * ms, longest}, {300 * ms, 300 * ms}} {
		var p pace
		for range 5 { // changes that follow one another do not make the pauses longer
			p.begin()
			p.rest(now, c.took, longest)
			p.notified = true
			if at := p.at(now); at != now.Add(c.pause) {
				t.Errorf("after an inspection of %v, the next one is after %v, want %v", c.took, at.Sub(now), c.pause)
			}
			now = now.Add(c.pause)
			if !p.isDue(now.Add(ms)) {
				t.Error("the database is not due after the pause")
			}
		}
	}
}
