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

// watchWrite is how long a watcher may take to read what was written. A test changes it.
var watchWrite = 10 * time.Second

const (
	watchPulse = 15 * time.Second       // between signs of life
	watchPause = 100 * time.Millisecond // from one change to the next
)

type watchInput struct {
	Since       string `query:"since" doc:"The revision after which changes are told: that of a list, or the id of the last event. Absent: from now on"`
	LastEventID string `header:"Last-Event-ID" doc:"What a browser sends instead of since when it connects again"`
	Kind        string `query:"kind" enum:"network,router,port" doc:"Only changes of this kind"`
}

func (s *service) registerWatch(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "watch", Method: http.MethodGet, Path: "/v1/watch", Tags: []string{"watch"}, Errors: []int{410, 422},
		Summary: "A stream of changes, as server-sent events",
		Description: "Each event has the revision as its id, the kind of the object and what was done as its name (such as port-created), and as its data " +
			`{"revision": 7, "kind": "port", "id": "vm1", "op": "created", "object": {…}}. All events of one write have one revision; the id is that of the write ` +
			"only on the last of them, so that whoever connects again with it has missed none. An event named compacted says that what happened since " +
			"is not known any more: list everything again, and watch from the revision of the list.",
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
			st.run(ctx.Context(), s.intent, events, more)
		}}, nil
	})
}

// A stream writes events to one watcher, who reads at his own pace: what waits
// for him is what the ledger remembers for all.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	feed    *feed
	kind    string // "" is all
	since   uint64 // the revision up to which everything was written
}

// run returns when the watcher has gone, does not read, or has missed something.
func (st *stream) run(ctx context.Context, from Intent, events []ledger.Event, more <-chan struct{}) {
	h := st.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	pulse := time.NewTicker(watchPulse)
	defer pulse.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	if st.write([]byte(": watching\n\n")) != nil {
		return
	}
	for {
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
				select { // changes that come faster are written together
				case <-next.C:
					next.Reset(watchPause)
				case <-ctx.Done():
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

// write writes text, within a time.
func (st *stream) write(text []byte) error {
	if err := st.control.SetWriteDeadline(time.Now().Add(watchWrite)); err != nil {
		return err
	}
	_, err := st.w.Write(text)
	return err
}

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // of a string, which is always possible
	return append(b, text...)
}
