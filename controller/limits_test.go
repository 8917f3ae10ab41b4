package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A nopRecorder records nothing.
type nopRecorder struct{ Recorder }

func (nopRecorder) Disconnected(string)                   {}
func (nopRecorder) RoundTrip(time.Duration)               {}
func (nopRecorder) SwitchError(string, ofproto.ErrorCode) {}

// A failingListener returns errs from Accept.
type failingListener struct {
	net.Listener
	errs chan error
}

func (f failingListener) Accept() (net.Conn, error) { return nil, <-f.errs }

func newController(t *testing.T) *Controller {
	t.Helper()
	c, err := New(Config{}, nopRecorder{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each limit is reported with its effect, the number of times, the start of the period, the
// peer, and the remedy.
func TestLimitsAreReported(t *testing.T) {
	peer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	type limit struct {
		name, by string
		reach    func(c *Controller)
	}
	all := []limit{
		{"accept", "tcp:x: ", func(c *Controller) {
			ln := failingListener{errs: make(chan error, 2)}
			ln.errs <- syscall.EMFILE
			ln.errs <- net.ErrClosed
			c.accept(context.Background(), endpoint{"tcp", "x"}, ln)
		}},
		{"switch_memory", `bridge "br-x"`, func(c *Controller) { c.budget.Share("br-x").Take(2 * peerBudget) }},
	}
	for _, r := range refusalReasons {
		all = append(all, limit{"openflow_disconnects " + r.reason, `bridge "br-x" of peer 192.0.2.1`, func(c *Controller) { c.refuse(peer, "br-x", fmt.Errorf("it ends: %w", r.cause)) }})
	}
	for _, reason := range []string{"queue_timeout", "response_too_large", "too_many_clients", "too_many_connections", "read_timeout", "response_memory", "body_too_large", "body_timeout", "body_memory"} {
		all = append(all, limit{"http_limited " + reason, "a client of 127.0.0.1:9476", func(c *Controller) { c.HTTPLimited(reason, "127.0.0.1:9476") }})
	}
	for kind := range counters.LimitedKinds {
		all = append(all, limit{"interface_limited_packets " + kind, "network of interface i1, router r1", func(c *Controller) { c.packetsLimited("r1", "i1", kind, 1) }})
	}
	for _, kind := range []string{"crowded", "flood"} {
		all = append(all, limit{"fabric_dropped_packets " + kind, "bridge br-fabric", func(c *Controller) { c.packetsLimited(routing.FabricBridge, "", kind, 1) }})
	}
	texts := maps.Clone(limitTexts)
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) {
			delete(texts, l.name)
			c := newController(t)
			before := time.Now()
			l.reach(c)
			reported := c.limits.recent(time.Now())
			if len(reported) != 1 || reported[0].Limit != l.name {
				t.Fatalf("reported: %+v", reported)
			}
			got := reported[0]
			if got.Says == "" || got.Remedy == "" || !strings.HasPrefix(got.By, l.by) || got.Count != 1 || got.Since.Before(before) || got.Last.Before(got.Since) {
				t.Errorf("%+v", got)
			}
			if text := got.String(); !strings.HasPrefix(text, got.Says+": once, at ") || !strings.Contains(text, l.by) {
				t.Error(text)
			}
		})
	}
	if len(texts) > 0 {
		t.Errorf("no test reaches %v", slices.Sorted(maps.Keys(texts)))
	}
}

// The status reports a limit until limitMemory after it was last reached. If the limit is
// reached later, a new period starts.
func TestLimitsExpire(t *testing.T) {
	var l limits
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for i := range 10 {
		l.reached("accept", fmt.Sprint("peer ", i), 2, start.Add(time.Duration(i)*limitMemory))
	}
	last := start.Add(9 * limitMemory)
	got := l.recent(last.Add(limitMemory))
	if len(got) != 1 || got[0].Count != 20 || !got[0].Since.Equal(start) || !got[0].Last.Equal(last) ||
		!strings.HasSuffix(got[0].String(), ": 20 times since 2026-01-02 03:04:05, the last time at 2026-01-02 03:49:05 (peer 9)") {
		t.Errorf("%v", got)
	}
	late := last.Add(limitMemory + 1)
	if got := l.recent(late); got != nil {
		t.Errorf("reported after %v: %v", limitMemory, got)
	}
	l.reached("accept", "", 1, late)
	if got := l.recent(late); len(got) != 1 || got[0].Count != 1 || !got[0].Since.Equal(late) {
		t.Errorf("%v", got)
	}
}

// A connection that the switch closes does not reach a limit.
func TestClosedConnectionReachesNoLimit(t *testing.T) {
	c := newController(t)
	c.refuse(&net.UnixAddr{}, "", errors.New("switch closed the connection"))
	if reported := c.limits.recent(time.Now()); reported != nil {
		t.Errorf("reported: %+v", reported)
	}
}
