package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ofdvr/ofdvr/controller/ledger"
)

// watchWrite is the time limit for a watcher to read written data. A test changes it.
var watchWrite = 10 * time.Second

const (
	watchPulse = 15 * time.Second       // between keepalives
	watchPause = 100 * time.Millisecond // minimum time between two writes
)

type watchInput struct {
	Since       string `query:"since" doc:"Stream the changes after this revision: the revision of a list, or the id of the last event. Absent: stream changes from now on"`
	LastEventID string `header:"Last-Event-ID" doc:"Sent by a browser that reconnects, instead of since"`
	Kind        string `query:"kind" enum:"host,network,router,port" doc:"Only changes of this kind"`
	Conditions  bool   `query:"conditions" doc:"Stream changes of conditions too"`
}

func (s *service) registerWatch(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "watch", Method: http.MethodGet, Path: "/v1/watch", Tags: []string{"watch"}, Errors: []int{410, 422},
		Summary: "A stream of changes, as server-sent events",
		Description: "The id of an event is the revision, its name the kind of the object with the operation (such as port-created), and its data " +
			`{"revision": 7, "kind": "port", "id": "vm1", "op": "created", "object": {…}}. All events of one write have one revision; the id is that of the write ` +
			"only on the last of them, so that a client that reconnects with it misses none. The event compacted means that the changes since " +
			"then are no longer stored: list everything again, and watch from the revision of the list. With conditions=true there are events such as router-conditions, without an id: " +
			"the conditions of each router, first as they are and then when they change, and those of hosts, networks and ports from a write until the switches have confirmed it.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"text/event-stream": {}}}},
	}, func(_ context.Context, in *watchInput) (*huma.StreamResponse, error) {
		since := s.intent.Intent().Revision
		from := in.Since
		if in.LastEventID != "" {
			from = in.LastEventID
		}
		if from != "" {
			var err error
			if since, err = strconv.ParseUint(from, 10, 64); err != nil {
				p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
				p.Errors = []Mistake{{Parameter: "since", Detail: "want a revision, which is a number"}}
				return nil, p
			}
		}
		events, more, err := s.intent.Events(since)
		if err != nil {
			return nil, failure(err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			_, w := humago.Unwrap(ctx)
			st := stream{w: w, control: http.NewResponseController(w), feed: &s.feed, kind: in.Kind, since: since}
			if in.Conditions {
				st.follower = &follower{intent: s.intent, switches: s.switches, kind: in.Kind, last: make(map[ledger.Object][]Condition), written: make(map[ledger.Object]bool)}
			}
			st.run(ctx.Context(), s.intent, events, more)
		}}, nil
	})
}

// A stream writes events to one watcher, as fast as the watcher reads. All watchers share the
// pending events, which are in the history of the ledger.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	feed    *feed
	kind    string // "" is all
	since   uint64 // all changes up to this revision were written

	follower *follower // finds changes of conditions; nil if the watcher does not request them
}

// run writes events until the watcher disconnects, does not read, or has missed events.
func (st *stream) run(ctx context.Context, from Intent, events []ledger.Event, more <-chan struct{}) {
	h := st.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	pulse := time.NewTicker(watchPulse)
	defer pulse.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	var look <-chan time.Time
	if st.follower != nil {
		t := time.NewTicker(conditionsPause)
		defer t.Stop()
		look = t.C
	}
	if st.write([]byte(": watching\n\n")) != nil {
		return
	}
	for {
		if st.follower != nil {
			st.follower.wrote(events)
		}
		for i := 0; i < len(events); {
			p := st.feed.piece(events, i, st.kind)
			if st.write(p.text) != nil {
				return
			}
			i, st.since = p.next, events[0].Revision
		}
		if len(events) == 0 {
			if st.control.Flush() != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-more:
				select { // changes within watchPause are written together
				case <-next.C:
					next.Reset(watchPause)
				case <-ctx.Done():
					return
				}
			case <-look:
				text, err := st.follower.changed(ctx)
				if err != nil || st.write(text) != nil {
					return
				}
			case <-pulse.C:
				if st.write([]byte(":\n\n")) != nil {
					return
				}
			}
		}
		var err error
		if events, more, err = from.Events(st.since); err != nil {
			st.write(fmt.Appendf(nil, "event: compacted\ndata: {\"detail\":%q}\n\n", err.Error()))
			st.control.Flush()
			return
		}
	}
}

// write writes text within a time limit.
func (st *stream) write(text []byte) error {
	if err := st.control.SetWriteDeadline(time.Now().Add(watchWrite)); err != nil {
		return err
	}
	_, err := st.w.Write(text)
	return err
}

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // never fails for a string
	return append(b, text...)
}
