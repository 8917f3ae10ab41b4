package lifecycle

import (
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// A missing tap is recreated only if it is still missing after ovs-vswitchd has answered. It
// is recreated again only after a pause.
func TestRenewalSteps(t *testing.T) {
	start := time.Now()
	r := &renewal{}
	for i, c := range []struct {
		at        time.Duration // since start
		next, cur int           // of the database
		want      step
		asked     int  // by stepAsk
		withheld  bool // afterwards
	}{
		{0, 7, 7, stepAsk, 8, false},
		{0, 8, 7, stepWait, 0, false},
		{0, 9, 7, stepWait, 0, false},   // another client has made a request too
		{0, 9, 8, stepRemove, 0, true},  // the answer to our request is enough
		{0, 9, 9, stepAsk, 10, true},    // earlier answers are ignored
		{0, 10, 9, stepWait, 0, true},   // the wait has no time limit
		{0, 2, 2, stepAsk, 3, true},     // the database has been replaced
		{0, 3, 3, stepInsert, 0, false}, // the row is inserted again
		{0, 3, 3, stepAsk, 4, false},    // the tap is still missing
		{firstRenewal / 2, 4, 4, stepHoldBack, 0, false},
		{firstRenewal, 4, 4, stepRemove, 0, true},
		{firstRenewal, 4, 4, stepAsk, 5, true},
		{firstRenewal, 5, 5, stepInsert, 0, false},
		{firstRenewal, 5, 5, stepAsk, 6, false},
		{2 * firstRenewal, 6, 6, stepHoldBack, 0, false}, // the pause is twice as long
		{3 * firstRenewal, 6, 6, stepRemove, 0, true},
	} {
		got := r.next(ovsdb.State{NextCfg: c.next, CurCfg: c.cur}, start.Add(c.at))
		if got == stepAsk {
			r.ask = c.asked
		}
		if got != c.want || r.withheld != c.withheld {
			t.Fatalf("call %d: got step %d, withheld %v; want step %d, withheld %v", i, got, r.withheld, c.want, c.withheld)
		}
	}
	for range 20 {
		r.withheld, r.ask, r.until = false, 1, time.Time{}
		r.next(ovsdb.State{NextCfg: 1, CurCfg: 1}, start)
	}
	if r.pause != lastRenewal {
		t.Errorf("the longest pause is %v, want %v", r.pause, lastRenewal)
	}
}
