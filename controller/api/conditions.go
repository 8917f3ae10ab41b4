package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// conditionsOf returns the documents of an object's conditions.
func conditionsOf(c controller.Condition) []Condition {
	accepted := Condition{Type: "Accepted", Status: "True", Reason: "Valid"}
	programmed := Condition{Type: "Programmed", Status: "True", Reason: "Confirmed", Changed: c.Since}
	if !c.Programmed {
		programmed.Status, programmed.Reason, programmed.Message = "False", "Pending", strings.Join(reasons(c.Pending), "; ")
	}
	degraded := Condition{Type: "Degraded", Status: "False", Reason: "NothingRefused", Changed: c.DegradedSince}
	if len(c.Degraded) > 0 {
		degraded.Status, degraded.Reason, degraded.Message = "True", "Refused", strings.Join(c.Degraded, "; ")
	}
	all := []Condition{accepted, programmed, degraded}
	for i := range all {
		all[i].Observed = c.Revision
	}
	return all
}

func reasons(pending []controller.Pending) (out []string) {
	for _, p := range pending {
		reason := p.Reason
		if p.Router != "" {
			reason = fmt.Sprintf("router %s: %s", p.Router, reason)
		}
		out = append(out, reason)
	}
	return out
}

const (
	conditionsPause = 250 * time.Millisecond // time between two reads of the conditions
	maxFollowed     = 1_000                  // maximum number of hosts, networks and ports that a watcher follows
)

// A follower finds changes of conditions for one watcher. It follows all routers. It follows
// another object from its write until the switches have confirmed the write.
type follower struct {
	intent   Intent
	switches Switches
	kind     string                        // "" is all
	last     map[ledger.Object][]Condition // the conditions last sent to the watcher
	written  map[ledger.Object]bool        // hosts, networks and ports that are followed
}

// wrote starts to follow the objects of events.
func (f *follower) wrote(events []ledger.Event) {
	for i := range events {
		switch e := &events[i]; {
		case e.Op == ledger.Deleted:
			delete(f.last, e.Object)
			delete(f.written, e.Object)
		case e.Object.Kind != routing.KindRouter && (f.kind == "" || f.kind == e.Object.Kind.String()) && len(f.written) < maxFollowed:
			f.written[e.Object] = true
		}
	}
}

// changed returns the part of the stream with the conditions that have changed.
func (f *follower) changed(ctx context.Context) ([]byte, error) {
	st := f.intent.Intent()
	objects := slices.Collect(maps.Keys(f.written))
	if f.kind == "" || f.kind == routing.KindRouter.String() {
		for r := range st.Index.Routers("") {
			objects = append(objects, ledger.Object{Kind: routing.KindRouter, ID: r.ID})
		}
	}
	objects = slices.DeleteFunc(objects, func(o ledger.Object) bool { return !st.Has(o) })
	slices.SortFunc(objects, func(a, b ledger.Object) int {
		return strings.Compare(a.Kind.String()+" "+a.ID, b.Kind.String()+" "+b.ID)
	})
	conds, err := f.switches.Conditions(ctx, objects)
	if err != nil {
		return nil, err
	}
	var b []byte
	for i, c := range conds {
		o, now := objects[i], conditionsOf(c)
		if c.Programmed && len(c.Degraded) == 0 {
			delete(f.written, o)
		}
		if last, known := f.last[o]; known && slices.EqualFunc(last, now, sameCondition) {
			continue
		}
		f.last[o] = now
		if o.Kind != routing.KindRouter && !f.written[o] {
			delete(f.last, o) // stop following it
		}
		e := Event{Revision: c.Revision, Kind: o.Kind.String(), ID: o.ID, Op: "conditions", Conditions: now}
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		b = fmt.Appendf(b, "event: %s-conditions\ndata: %s\n\n", e.Kind, text)
	}
	return b, nil
}

// sameCondition reports whether a and b are equal apart from their revisions.
func sameCondition(a, b Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message && a.Changed == b.Changed
}
