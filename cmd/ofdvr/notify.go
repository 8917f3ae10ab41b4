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

// tellInterval is the time between two reports to the service manager, unless its watchdog
// needs them more often.
const tellInterval = time.Second

// A reporter reports the state of the daemon to the service manager.
type reporter struct {
	sdnotify.Notifier
	log    *zap.Logger
	status func(context.Context) (controller.Status, error)

	ready bool   // the start was reported
	said  string // the last status reported
	deaf  bool   // the last report failed, and the failure was logged
}

// run reports that the daemon has started as soon as the controller answers. After that it
// reports that the daemon works while the controller answers in time. If the controller hangs,
// these reports stop, and the service manager's watchdog restarts the daemon. At the end, run
// reports that the daemon stops.
func (r *reporter) run(ctx context.Context) error {
	if !r.Enabled() {
		return nil
	}
	interval, limit := tellInterval, tellInterval // time between two questions, and time limit of an answer
	if r.Watchdog > 0 {
		interval, limit = min(interval, r.Watchdog/4), r.Watchdog/2 // together they are less than the watchdog's time
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

// report asks the controller for its status and reports it.
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

// tell sends a report to the service manager. If several reports in a row fail, only the first
// error is logged.
func (r *reporter) tell(news ...string) {
	err := r.Send(news...)
	if err != nil && !r.deaf {
		r.log.Warn("could not report to the service manager", zap.Error(err))
	}
	r.deaf = err != nil
}

// statusLine returns the progress of the daemon, and its problems, in one line.
func statusLine(s controller.Status) string {
	problems := slices.Clone(s.Problems)
	if s.Fabric != nil {
		for _, p := range s.Fabric.Problems {
			problems = append(problems, "bridge "+s.Fabric.Bridge+": "+p)
		}
	}
	for _, r := range s.Routers {
		for _, p := range r.Problems {
			problems = append(problems, "router "+r.ID+": "+p)
		}
	}
	var line string
	switch {
	case s.Standby:
		line = "standby: another daemon leads"
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
