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
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/intent"
)

const (
	watchWrite = 10 * time.Second // that a watcher may take to read what was written
	watchPulse = 15 * time.Second // between signs of life
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
		since := s.intent.State().Revision
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
			st := stream{w: w, control: http.NewResponseController(w), kind: in.Kind, since: since}
			st.run(ctx.Context(), s.intent, events, more)
		}}, nil
	})
}

// A stream writes events to one watcher, who reads at his own pace: what waits
// for him is what the ledger remembers for all.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	kind    string // "" is all
	since   uint64 // the revision up to which everything was written
	buf     []byte
}

// run returns when the watcher has gone, does not read, or has missed something.
func (st *stream) run(ctx context.Context, from Intent, events []ledger.Event, more <-chan struct{}) {
	h := st.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	pulse := time.NewTicker(watchPulse)
	defer pulse.Stop()
	st.buf = append(st.buf, ": watching\n\n"...)
	for {
		st.add(events)
		if st.flush() != nil {
			return
		}
		if len(events) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-more:
			case <-pulse.C:
				st.buf = append(st.buf, ":\n\n"...)
			}
		}
		var err error
		if events, more, err = from.Events(st.since); err != nil {
			st.buf = fmt.Appendf(st.buf, "event: compacted\ndata: {\"detail\":%q}\n\n", err.Error())
			st.flush()
			return
		}
	}
}

// add appends events to what is to be written.
func (st *stream) add(events []ledger.Event) {
	for i := range events {
		e := &events[i]
		last := i+1 == len(events) || events[i+1].Revision != e.Revision
		if kind := e.Object.Kind.String(); st.kind == "" || st.kind == kind {
			st.buf = fmt.Appendf(st.buf, "event: %s-%s\ndata: {\"revision\":%d,\"kind\":%q,\"id\":", kind, e.Op, e.Revision, kind)
			st.buf = appendString(st.buf, e.Object.ID)
			st.buf = fmt.Appendf(st.buf, ",\"op\":%q", e.Op)
			if e.Op != ledger.Deleted {
				st.buf = append(st.buf, `,"object":`...)
				st.buf = appendObject(st.buf, e)
			}
			st.buf = append(st.buf, "}\n"...)
			if !last {
				st.buf = append(st.buf, '\n')
			}
		} else if !last {
			continue
		}
		if last { // an id alone is no event, but it is remembered
			st.buf = fmt.Appendf(st.buf, "id: %d\n\n", e.Revision)
			st.since = e.Revision
		}
	}
}

// appendObject appends the document of e's object.
func appendObject(b []byte, e *ledger.Event) []byte {
	switch e.Object.Kind {
	case routing.KindNetwork:
		return intent.AppendNetwork(b, e.Network)
	case routing.KindRouter:
		return intent.AppendRouter(b, e.Router)
	default:
		return intent.AppendPort(b, e.Port)
	}
}

// flush writes what was added, within a time.
func (st *stream) flush() error {
	if err := st.control.SetWriteDeadline(time.Now().Add(watchWrite)); err != nil {
		return err
	}
	if _, err := st.w.Write(st.buf); err != nil {
		return err
	}
	st.buf = st.buf[:0]
	return st.control.Flush()
}

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // of a string, which is always possible
	return append(b, text...)
}
