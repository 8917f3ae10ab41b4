package counters

import (
	"testing"
	"testing/synctest"
	"time"
)

// A request reads counters that are older than a second. Counters of a slow switch are read less
// often. After a failed reading, the next request reads at once.
func TestReadingSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReadings()
		// take simulates a reading that takes the given time.
		take := func(took time.Duration, ok bool) (next time.Duration) {
			began := time.Now()
			r.begin()
			time.Sleep(took) // the bubble's clock
			if at := r.end(ok); !at.IsZero() {
				next = at.Sub(began)
			}
			return next
		}
		ended := func(done <-chan struct{}) bool {
			select {
			case <-done:
				return true
			default:
				return false
			}
		}
		first := r.ask()
		if first == nil || ended(first) {
			t.Fatal("the first request returns no channel, or a closed one")
		}
		if next := take(10*time.Millisecond, true); next != 0 {
			t.Errorf("after a short reading, the next reading without a request is in %v, want none", next)
		}
		if !ended(first) {
			t.Error("the channel of the first request is not closed after the reading")
		}
		if r.ask() != nil {
			t.Error("a fresh reading is repeated")
		}
		time.Sleep(time.Second)
		second := r.ask()
		if second == nil {
			t.Error("a request does not repeat a reading that is a second old")
		}
		r.begin()
		if third := r.ask(); third != second {
			t.Error("a request during a reading does not wait for that reading")
		}
		time.Sleep(3 * time.Second)
		if next := r.end(true); time.Until(next) != 12*time.Second {
			t.Errorf("after a reading of 3 s, the next reading is in %v, want 12s", time.Until(next))
		}
		time.Sleep(11 * time.Second)
		if r.ask() != nil || r.due() {
			t.Error("a slow switch is read again after 11 s")
		}
		time.Sleep(time.Second)
		if r.ask() == nil {
			t.Error("a slow switch is not read again after 12 s")
		}
		for range int(interest / interval) {
			if next := take(100*time.Millisecond, true); next != interval {
				t.Errorf("the next reading is in %v, want the interval", next)
			}
			time.Sleep(interval - 100*time.Millisecond)
		}
		if next := take(100*time.Millisecond, true); next != 0 {
			t.Errorf("without recent requests, the next reading is in %v, want none", next)
		}
		time.Sleep(interval)
		take(3*time.Second, false)
		if r.ask() == nil {
			t.Error("a request does not repeat a failed reading")
		}
	})
}

// A reading waits for changes in progress, but not for changes that have ended.
func TestReadingWaitsForChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Changes
		if err := c.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, second := c.Begin(), c.Begin()
		waited := make(chan error, 1)
		go func() { waited <- c.wait(t.Context()) }()
		first()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("the reading did not wait for the second change")
		default:
		}
		second()
		if err := <-waited; err != nil {
			t.Fatal(err)
		}
		if err := c.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// Each glance reads the switch, unless reading takes long. A slow switch is read for at most a
// twentieth of the time, and never without a request.
func TestGlanceLeavesSlowSwitchesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReadings()
		take := func(took time.Duration) (next time.Time) {
			r.begin()
			time.Sleep(took) // takes no real time: synctest's clock jumps
			return r.end(true)
		}
		for range 3 {
			if r.glance() == nil {
				t.Fatal("glance does not read a fast switch")
			}
			take(10 * time.Millisecond)
			time.Sleep(15 * time.Second)
		}
		r.glance()
		take(90 * time.Millisecond) // the usual time if many switches are read at the same time
		time.Sleep(15 * time.Second)
		if r.glance() == nil {
			t.Error("glance does not read a switch again 15 s after a reading of 90 ms")
		}
		if next := take(4 * time.Second); !next.IsZero() {
			t.Errorf("the next reading without a request is in %v, want none", time.Until(next))
		}
		time.Sleep(75 * time.Second)
		if r.glance() != nil {
			t.Error("glance reads a switch again 79 s after the start of a reading of 4 s")
		}
		time.Sleep(2 * time.Second)
		if r.glance() == nil {
			t.Error("glance does not read a switch again 81 s after the start of a reading of 4 s")
		}
	})
}
