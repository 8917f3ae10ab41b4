package logging

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
)

// The latest entries are kept, in order and with their fields, and waiters are notified of new ones.
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

// The level can be changed while the log is in use. An invalid level is refused and changes nothing.
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

// A fixed clock does not advance by itself.
type fixed struct{ now *time.Time }

func (f fixed) Now() time.Time                         { return *f.now }
func (f fixed) NewTicker(d time.Duration) *time.Ticker { return time.NewTicker(d) }

// Each kind of line that an HTTP server logs becomes an entry of the daemon's log with the server's
// address. If clients cause a kind of line endlessly, it has ten entries a minute. Other kinds and
// other addresses are still logged.
func TestHTTPErrors(t *testing.T) {
	l, err := New("error", "json")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	kinds := []struct{ line, level, message, text string }{
		{"http: TLS handshake error from 192.0.2.7:4711: EOF\n", "warn", "the HTTP server had an error with a client", "TLS handshake error from 192.0.2.7:4711: EOF"},
		{"http: panic serving 192.0.2.7:4711: index out of range\ngoroutine 7", "error", "the HTTP server could not handle a request, please report this",
			"panic serving 192.0.2.7:4711: index out of range\ngoroutine 7"},
		{"http: Accept error: too many open files; retrying in 5ms", "warn", "the HTTP server could not accept a connection", "Accept error: too many open files; retrying in 5ms"},
	}
	for _, port := range []int{1, 2} {
		addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		to := Lines(l.HTTP(addr).WithOptions(zap.WithClock(fixed{&now})))
		for _, k := range kinds {
			for minute := range 2 {
				before := l.Journal.last
				for range 1000 {
					to.Print(k.line)
				}
				got, _ := l.Since(before)
				if len(got) != httpFirst {
					t.Fatalf("%s: %d entries in minute %d, want %d", k.message, len(got), minute, httpFirst)
				}
				for _, e := range got {
					if e.Level != k.level || e.Message != k.message || e.Fields["error"] != k.text || e.Fields["address"] != addr.String() {
						t.Errorf("%+v, want %+v", e, k)
					}
				}
				now = now.Add(httpWhile)
			}
		}
	}
}
