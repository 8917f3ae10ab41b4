package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A watcher gets the current conditions of routers, and then each change. It gets the conditions of
// a port from its write until it is programmed.
func TestWatchConditions(t *testing.T) {
	s := filled(t)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	set := func(o ledger.Object, c controller.Condition) {
		s.fabric.mu.Lock()
		defer s.fabric.mu.Unlock()
		if s.fabric.conds == nil {
			s.fabric.conds = make(map[ledger.Object]controller.Condition)
		}
		s.fabric.conds[o] = c
	}
	r1, vm9 := ledger.Object{Kind: routing.KindRouter, ID: "r1"}, ledger.Object{Kind: routing.KindPort, ID: "vm9"}
	set(r1, controller.Condition{Revision: 4, Programmed: true, Since: at})
	w := s.watch(t, "conditions=true")
	expect := func(parts ...string) {
		t.Helper()
		e := w.next()
		for _, part := range parts {
			if !strings.Contains(e, part) {
				t.Errorf("event %s\nlacks %s", e, part)
			}
		}
	}
	expect("event: router-conditions\n", `"kind":"router","id":"r1","op":"conditions"`,
		`{"type":"Accepted","status":"True","reason":"Valid","message":"","observed_revision":4}`,
		`{"type":"Programmed","status":"True","reason":"Confirmed","message":"","observed_revision":4,"last_transition_time":"2030-01-02T03:04:05Z"}`,
		`{"type":"Degraded","status":"False","reason":"NothingRefused","message":"","observed_revision":4}`)
	set(r1, controller.Condition{Revision: 5, Programmed: true, Since: at}) // is the same
	set(vm9, controller.Condition{Revision: 5, Since: at, Pending: []controller.Pending{{Router: "r1", Reason: "away"}, {Reason: "b"}}})
	s.must(201, "PUT", "/v1/ports/vm9", `{"network":"blue","mac":"02:00:00:00:01:99"}`)
	expect("event: port-created\n")
	expect("event: port-conditions\n", `"id":"vm9"`, `{"type":"Programmed","status":"False","reason":"Pending","message":"router r1: away; b",`)
	set(r1, controller.Condition{Revision: 6, Programmed: true, Since: at, Degraded: []string{"full"}, DegradedSince: at})
	expect(`"id":"r1"`, `{"type":"Degraded","status":"True","reason":"Refused","message":"full","observed_revision":6,"last_transition_time":"2030`)
	set(vm9, controller.Condition{Revision: 6, Programmed: true, Since: at.Add(time.Second)})
	expect(`"id":"vm9"`, `"status":"True","reason":"Confirmed"`)
	set(vm9, controller.Condition{Revision: 6}) // the watcher does not follow it any more
	set(r1, controller.Condition{Revision: 7, Since: at.Add(time.Hour)})
	expect(`"id":"r1"`, `"status":"False","reason":"Pending"`, "T04:04:05Z")
	s.must(200, "DELETE", "/v1/routers/r1", "")
	expect("event: router-deleted\n")
	s.must(201, "PUT", "/v1/routers/r1", `{}`)
	expect("event: router-created\n")
	expect("event: router-conditions\n", `"id":"r1"`)
}
