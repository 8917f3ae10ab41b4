package logging

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
)

// What was logged is remembered in order with its fields, the latest only, and who
// waits is told of more.
func TestJournal(t *testing.T) {
	j := NewJournal(3)
	log := zap.New(j.core()).With(zap.String("router", "r1"))
	if got, _ := j.Since(0); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	_, changed := j.Since(0)
	log.Debug("not this")
	for i := range 5 {
		log.Warn("no", zap.Int("n", i), zap.Error(errors.New("because")), zap.Duration("took", time.Second))
	}
	<-changed
	for since, want := range map[uint64]string{0: "[3 4 5]", 1: "[3 4 5]", 2: "[3 4 5]", 3: "[4 5]", 4: "[5]", 5: "[]", 99: "[3 4 5]"} {
		got, _ := j.Since(since)
		seqs := []uint64{}
		for _, e := range got {
			seqs = append(seqs, e.Seq)
			if f := e.Fields; e.Level != "warn" || e.Message != "no" || f["router"] != "r1" || f["n"] != int64(e.Seq-1) || f["error"] != "because" || f["took"] != "1s" || e.Time.IsZero() {
				t.Errorf("%+v", e)
			}
		}
		if fmt.Sprint(seqs) != want {
			t.Errorf("since %d: %v, want %s", since, seqs, want)
		}
	}
}

// The level can be changed while the log is used, and what is none is refused and
// changes nothing.
func TestLevel(t *testing.T) {
	l, err := New("warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	if l.Core().Enabled(zap.DebugLevel) || l.Level() != "warn" {
		t.Error(l.Level())
	}
	if err := l.SetLevel("debug"); err != nil || !l.All.Core().Enabled(zap.DebugLevel) || l.Level() != "debug" {
		t.Error(l.Level(), err)
	}
	for _, bad := range []string{"", "loud", "fatal", "panic"} {
		if err := l.SetLevel(bad); err == nil || l.Level() != "debug" {
			t.Errorf("%q: %v, %s", bad, err, l.Level())
		}
	}
	for _, bad := range [][2]string{{"info", "xml"}, {"loud", "json"}} {
		if _, err := New(bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
