package main

import (
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/api"
)

// Each event is printed once, also if a daemon starts again and numbers its events from the beginning.
func TestUnprinted(t *testing.T) {
	now := time.Now()
	event := func(host string, seq uint64, run int) api.HostEvent {
		return api.HostEvent{Host: host, EventDocument: api.EventDocument{Seq: seq, Time: now.Add(time.Duration(run)*time.Hour + time.Duration(seq)*time.Second)}}
	}
	last := make(map[string]api.HostEvent)
	for i, step := range []struct {
		events []api.HostEvent
		want   int
	}{
		{[]api.HostEvent{event("h1", 5, 0), event("h2", 9, 0), event("h1", 6, 0)}, 3},
		{[]api.HostEvent{event("h1", 4, 0), event("h1", 5, 0), event("h2", 9, 0), event("h1", 6, 0), event("h1", 7, 0)}, 1},
		{[]api.HostEvent{event("h1", 8, 0), event("h1", 9, 0)}, 2},
		{[]api.HostEvent{event("h1", 1, 1), event("h1", 2, 1), event("h2", 9, 0)}, 2},
		{[]api.HostEvent{event("h1", 1, 1), event("h1", 2, 1), event("h1", 3, 1)}, 1},
		{nil, 0},
	} {
		got := unprinted(step.events, last)
		if len(got) != step.want {
			t.Errorf("step %d: printed %v, want %d", i, got, step.want)
		}
		for _, e := range got {
			last[e.Host] = e
		}
	}
}
