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
)

// deaf is told what happens, and forgets it.
type deaf struct{ Recorder }

func (deaf) Disconnected(string)                   {}
func (deaf) RoundTrip(time.Duration)               {}
func (deaf) SwitchError(string, ofproto.ErrorCode) {}

// full is a listener that cannot accept.
type full struct {
	net.Listener
	errs chan error
}

func (f full) Accept() (net.Conn, error) { return nil, <-f.errs }

func controllerOfTest(t *testing.T) *Controller {
	t.Helper()
	c, err := New(Config{}, deaf{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Each limit that refuses, ends or leaves out something is told with what it is, how often and since
// when, by whom, and what to do.
func TestLimitsAreTold(t *testing.T) {
	peer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
	type limit struct {
		name, by string
		reach    func(c *Controller)
	}
	all := []limit{
		{"accept", "tcp:x: ", func(c *Controller) {
			ln := full{errs: make(chan error, 2)}
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
	texts := maps.Clone(limitTexts)
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) {
			delete(texts, l.name)
			c := controllerOfTest(t)
			before := time.Now()
			l.reach(c)
			told := c.limits.lately(time.Now())
			if len(told) != 1 || told[0].Limit != l.name {
				t.Fatalf("told is %+v", told)
			}
			got := told[0]
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

// A limit is told as long as it is reached, and some time after that. Then it begins anew.
func TestLimitsAreForgotten(t *testing.T) {
	var l limits
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for i := range 10 {
		l.reached("accept", fmt.Sprint("peer ", i), 2, start.Add(time.Duration(i)*limitMemory))
	}
	last := start.Add(9 * limitMemory)
	got := l.lately(last.Add(limitMemory))
	if len(got) != 1 || got[0].Count != 20 || !got[0].Since.Equal(start) || !got[0].Last.Equal(last) ||
		!strings.HasSuffix(got[0].String(), ": 20 times since 2026-01-02 03:04:05, the last time at 2026-01-02 03:49:05 (peer 9)") {
		t.Errorf("%v", got)
	}
	late := last.Add(limitMemory + 1)
	if got := l.lately(late); got != nil {
		t.Errorf("it is told after %v: %v", limitMemory, got)
	}
	l.reached("accept", "", 1, late)
	if got := l.lately(late); len(got) != 1 || got[0].Count != 1 || !got[0].Since.Equal(late) {
		t.Errorf("%v", got)
	}
}

// A connection that the switch closes is no limit.
func TestClosedIsNoLimit(t *testing.T) {
	c := controllerOfTest(t)
	c.refuse(&net.UnixAddr{}, "", errors.New("switch closed the connection"))
	if told := c.limits.lately(time.Now()); told != nil {
		t.Errorf("told is %+v", told)
	}
}
