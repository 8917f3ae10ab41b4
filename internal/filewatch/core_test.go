package filewatch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestCore simulates events and looks at the file at given times in ms. A step is "event", the
// result of a look, or a check. A result is "busy", "gone", "denied", a letter such as "A" (this
// content, without a writer) or "?A" (this content, perhaps with a writer). "!" marks results that
// must be reported. The check ">30" means that the next look is due at 30 ms.
func TestCore(t *testing.T) {
	for _, c := range []struct{ law, steps string }{
		{"the first look is immediate, the next after 5 s", "0 >0, 0 O, 0 >5000, 5000 O, 5000 >10000"},
		{"a look comes 20 ms after an event", "0 O, 7 event, 7 >27, 27 A!, 27 >5027"},
		{"a content is reported once", "0 O, 7 event, 27 A!, 30 event, 50 A, 60 event, 80 O!"},
		{"events delay a look by at most 200 ms",
			"0 O, 10 event, 20 event, 20 >40, 30 event, 30 >50, 195 event, 195 >210, 205 event, 205 >210, 210 A!, 220 event, 220 >240"},
		{"an event does not delay a look that is due anyway", "0 O, 4990 event, 4990 >5000"},
		{"an error is reported after it has lasted for 100 ms", "0 O, 10 event, 30 gone, 30 >130, 130 gone!, 130 >5130, 5130 gone"},
		{"a shorter error is not reported", "0 O, 10 event, 30 gone, 120 event, 120 >130, 130 O, 130 >5130, 5130 gone, 5130 >5230"},
		{"a different error does not restart the 100 ms", "0 O, 30 gone, 40 event, 60 denied, 60 >130, 130 denied!"},
		{"a later different error is reported too", "0 O, 30 gone, 130 gone!, 200 denied, 300 denied!, 400 denied"},
		{"the return of the content is reported", "0 O, 30 gone, 130 gone!, 200 O!, 300 O"},
		{"the delay doubles while the file has a writer",
			"0 busy, 0 >50, 50 busy, 50 >150, 150 busy, 150 >350, 350 busy, 350 >750, 750 busy, 750 >1550, 1550 busy, 1550 >2550, 2550 busy, 2550 >3550, 3550 A!"},
		{"an event resets that delay", "0 busy, 50 busy, 150 busy, 200 event, 200 >220, 220 busy, 220 >270"},
		{"a writer is not an error", "0 gone, 60 busy, 110 gone, 110 >210, 210 gone!"},
		{"a content that may have a writer must be seen twice, a second apart", "0 O, 10 event, 30 ?A, 30 >1030, 1030 ?A!, 1030 >6030"},
		{"a content that changed in that second is not reported", "0 O, 10 event, 30 ?A, 1030 ?B, 1030 >2030, 2030 ?B!"},
		{"or after an event", "0 O, 30 ?A, 900 event, 920 ?A, 920 >1920, 1920 ?A!"},
		{"a look before the end of that second does not confirm the content", "0 O, 30 ?A, 500 ?A, 500 >1030, 1030 ?A!"},
		{"a content is not reported if the file was open for writing in between", "0 O, 30 ?A, 1030 busy, 1080 ?A, 1080 >2080, 2080 ?A!"},
		{"the caller's content needs no second look", "0 ?O, 0 >5000"},
		{"and clears an earlier doubt", "0 O, 30 ?A, 500 ?O, 600 ?A, 600 >1600"},
	} {
		start := time.Now()
		core := newCore(usual, []byte("O"), start)
		for step := range strings.SplitSeq(c.steps, ", ") {
			var ms int
			var what string
			if _, err := fmt.Sscan(step, &ms, &what); err != nil {
				t.Fatalf("%q: %v", step, err)
			}
			now := start.Add(time.Duration(ms) * time.Millisecond)
			what, reported := strings.CutSuffix(what, "!")
			switch {
			case what == "event":
				core.event(now)
			case what[0] == '>':
				if due := core.next().Sub(start).Milliseconds(); what != fmt.Sprint(">", due) {
					t.Errorf("%s: after %q the next look is due at %d", c.law, step, due)
				}
			default:
				if got := core.saw(now, sightOf(what)); got != reported {
					t.Errorf("%s: %q is reported: %v", c.law, step, got)
				}
			}
		}
	}
}

func sightOf(what string) sight {
	switch what {
	case "busy":
		return sight{err: fmt.Errorf("read: %w", ErrBusy)}
	case "gone", "denied":
		return sight{err: errors.New(what)}
	}
	content, half := strings.CutPrefix(what, "?")
	s := sight{data: []byte(content), stamp: stamp{ino: 1, size: int64(content[0])}}
	if half {
		s.noLease = errNoLeases
	}
	return s
}

// An equal content with another stamp does not confirm the earlier content.
func TestCoreCompareStamps(t *testing.T) {
	now := time.Now()
	core := newCore(usual, nil, now)
	s := sightOf("?A")
	core.saw(now, s)
	s.stamp.ino++
	if now = now.Add(usual.apart); core.saw(now, s) {
		t.Error("reported a content that a look with another stamp confirmed")
	}
	if now = now.Add(usual.apart); !core.saw(now, s) {
		t.Error("did not report a content that stayed the same")
	}
}

// The interval of looks does not change if a doubt lasts long.
func TestCoreLongDoubt(t *testing.T) {
	now, slow := time.Now(), usual
	slow.grace = time.Hour
	core := newCore(slow, nil, now)
	core.saw(now, sightOf("gone"))
	if got := core.next().Sub(now); got != slow.poll {
		t.Errorf("the next look is in %v, want %v", got, slow.poll)
	}
}
