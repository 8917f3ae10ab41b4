package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/internal/sdnotify"
)

// tellInterval is how often a service manager is told how the daemon is, if it
// does not want to hear more often.
const tellInterval = time.Second

// A reporter tells the service manager how the daemon is.
type reporter struct {
	sdnotify.Notifier
	log    *zap.Logger
	status func(context.Context) (controller.Status, error)

	ready bool   // it has been told that the daemon has started
	said  string // the last status
	deaf  bool   // it could not be told, and the log says so
}

// run tells the service manager that the daemon has started, once the
// controller answers, and at its end that it stops. In between it tells that the
// daemon works for as long as the controller answers in time. One that does not
// hangs, and then the service manager has to know what to do.
func (r *reporter) run(ctx context.Context) error {
	if !r.Enabled() {
		return nil
	}
	interval, limit := tellInterval, tellInterval // from one question to the next, and to an answer
	if r.Watchdog > 0 {
		interval, limit = min(interval, r.Watchdog/4), r.Watchdog/2 // together they are less
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		r.report(ctx, limit)
		select {
		case <-ctx.Done():
			r.tell(sdnotify.Stopping, sdnotify.Status("stopping, the switch goes on forwarding"))
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// report asks the controller, and tells what it answers.
func (r *reporter) report(parent context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel()
	s, err := r.status(ctx)
	if parent.Err() != nil {
		return // the daemon ends
	}
	var news []string
	line := "the controller does not answer"
	if err == nil {
		line = statusLine(s)
		if !r.ready {
			r.ready, news = true, append(news, sdnotify.Ready)
		}
		if r.Watchdog > 0 {
			news = append(news, sdnotify.Alive)
		}
	}
	if line != r.said {
		r.said, news = line, append(news, sdnotify.Status(line))
	}
	if news != nil {
		r.tell(news...)
	}
}

// tell tells the service manager. What keeps it from being told is logged once.
func (r *reporter) tell(news ...string) {
	err := r.Send(news...)
	if err != nil && !r.deaf {
		r.log.Warn("the service manager was not told", zap.Error(err))
	}
	r.deaf = err != nil
}

// statusLine says how far the daemon is, and what is in the way.
func statusLine(s controller.Status) string {
	problems := slices.Clone(s.Problems)
	for _, r := range s.Routers {
		for _, p := range r.Problems {
			problems = append(problems, "router "+r.ID+": "+p)
		}
	}
	var line string
	switch {
	case s.Standby:
		line = "standing by: another daemon leads"
	case s.Settled:
		line = count(len(s.Routers), "router") + ", all settled"
	default:
		line = "waiting: " + waitingFor(s)
	}
	switch len(problems) {
	case 0:
		return line
	case 1:
		return line + "; problem: " + problems[0]
	}
	return fmt.Sprintf("%s; %d problems, the first: %s", line, len(problems), problems[0])
}
