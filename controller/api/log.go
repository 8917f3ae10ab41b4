package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/routing"
)

// eventsWait is the time that a request waits for an event.
const eventsWait = 30 * time.Second

type eventsInput struct {
	Since   uint64  `query:"since" doc:"Only events after this one"`
	Age     float64 `query:"age" minimum:"0" doc:"Only events of the last so many seconds; 0: all events"`
	Router  string  `query:"router" doc:"Only events of this router"`
	Network string  `query:"network" doc:"Only events of the machines on this network, and of the routers with an interface on it"`
	Port    string  `query:"port" doc:"Only events of the machine of this port"`
	Host    string  `query:"host" doc:"Only events of this host, such as machines that move from it or to it"`
	Level   string  `query:"level" enum:"info,warn,error" default:"info" doc:"Only events of at least this level"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Maximum number; the latest are returned"`
	Wait    bool    `query:"wait" doc:"Wait for an event, up to 30 seconds"`
}

func (s *service) registerLog(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/v1/events", Summary: "The latest changes, repairs and refusals",
		Tags: []string{"status"}, Errors: []int{404, 422},
	}, s.events)
	huma.Register(a, huma.Operation{
		OperationID: "get-log", Method: http.MethodGet, Path: "/v1/log", Summary: "The log settings", Tags: []string{"status"}, Errors: []int{503},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body LogDocument }, error) { return s.logged(ctx) })
	huma.Register(a, huma.Operation{
		OperationID: "put-log", Method: http.MethodPut, Path: "/v1/log", Summary: "Change the log settings until the daemon ends", Tags: []string{"status"}, Errors: []int{404, 422, 503},
	}, func(ctx context.Context, in *struct{ Body LogDocument }) (*struct{ Body LogDocument }, error) {
		if r := in.Body.OpenFlow; r != nil {
			if err := s.switches.LogMessages(ctx, *r); err != nil {
				return nil, failure(err)
			}
		}
		if level := in.Body.Level; level != nil {
			if err := s.log.SetLevel(*level); err != nil {
				return nil, problem(http.StatusUnprocessableEntity, "%v", err)
			}
		}
		return s.logged(ctx)
	})
}

func (s *service) logged(ctx context.Context) (*struct{ Body LogDocument }, error) {
	router, err := s.switches.LoggedMessages(ctx)
	if err != nil {
		return nil, failure(err)
	}
	level := s.log.Level()
	return &struct{ Body LogDocument }{LogDocument{&level, &router}}, nil
}

func (s *service) events(ctx context.Context, in *eventsInput) (*struct{ Body EventsDocument }, error) {
	ctx, cancel := context.WithTimeout(ctx, eventsWait)
	defer cancel()
	if err := s.knows(in); err != nil {
		return nil, failure(err)
	}
	out := EventsDocument{Events: []EventDocument{}, Next: in.Since}
	for {
		entries, more := s.log.Since(out.Next)
		for _, e := range entries {
			out.Next = e.Seq
			if d := eventDocument(e); in.wants(d, s.intent.Intent().Index) && (in.Age == 0 || e.Age().Seconds() <= in.Age) {
				out.Events = append(out.Events, d)
			}
		}
		if len(out.Events) > 0 || !in.Wait {
			break
		}
		select {
		case <-more:
			continue
		case <-ctx.Done():
		}
		break
	}
	if n := len(out.Events) - in.Limit; n > 0 {
		out.Events = out.Events[n:]
	}
	return &struct{ Body EventsDocument }{out}, nil
}

// objects returns the objects that the filters name.
func (in *eventsInput) objects() (all []ledger.Object) {
	for _, o := range []ledger.Object{{Kind: routing.KindRouter, ID: in.Router}, {Kind: routing.KindNetwork, ID: in.Network}, {Kind: routing.KindPort, ID: in.Port}, {Kind: routing.KindHost, ID: in.Host}} {
		if o.ID != "" {
			all = append(all, o)
		}
	}
	return all
}

// knows returns an error if a client's first request names an object that neither exists nor has
// events.
func (s *service) knows(in *eventsInput) error {
	st := s.intent.Intent()
	if in.Since > 0 {
		return nil
	}
	entries, _ := s.log.Since(0)
	for _, o := range in.objects() {
		deleted := func(e logging.Entry) bool { return concerns(eventDocument(e), o, st.Index) }
		if !st.Has(o) && !slices.ContainsFunc(entries, deleted) {
			return st.NotFound(o)
		}
	}
	return nil
}

var levels = map[string]int{"info": 1, "warn": 2, "error": 3}

func (in *eventsInput) wants(d EventDocument, x *routing.Index) bool {
	for _, o := range in.objects() {
		if !concerns(d, o, x) {
			return false
		}
	}
	return levels[d.Level] >= levels[in.Level]
}

// concerns reports whether an event is about an object.
func concerns(d EventDocument, o ledger.Object, x *routing.Index) bool {
	is := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return d.Fields[key] == o.ID })
	}
	switch o.Kind {
	case routing.KindRouter:
		return d.Router == o.ID
	case routing.KindNetwork:
		return is("network") || d.Router != "" && slices.ContainsFunc(x.Legs(o.ID), func(l routing.Leg) bool { return l.Router.ID == d.Router })
	case routing.KindPort:
		return is("port")
	}
	several, _ := d.Fields["hosts"].(string)
	return is("host", "from", "to") || slices.Contains(strings.Fields(several), o.ID)
}

func eventDocument(e logging.Entry) EventDocument {
	d := EventDocument{Seq: e.Seq, Time: e.Time, Level: e.Level, Message: e.Message, Age: e.Age().Seconds()}
	for key, v := range e.Fields {
		if text, ok := v.(string); ok && key == "router" {
			d.Router = text
			continue
		}
		if d.Fields == nil {
			d.Fields = make(map[string]any)
		}
		d.Fields[key] = v
	}
	return d
}
