package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/inquiry"
)

// Others asks the daemons of other hosts. The zero value means that they cannot be asked.
type Others struct {
	Host string // the ID of this host
	// Ask asks hosts, and returns an answer for each. ctx has a deadline.
	Ask func(ctx context.Context, q inquiry.Question, hosts []string) ([]inquiry.Answer, error)
}

// askTimeout is the time limit for the answers of other hosts, except to examinations.
const askTimeout = 6 * time.Second

// HostAnswer is the answer of one host. D is its document.
type HostAnswer[D any] struct {
	Host   string `json:"host" doc:"ID of the host"`
	Error  string `json:"error,omitempty" doc:"Why there is no answer. Absent: there is one"`
	Cut    string `json:"cut,omitempty" doc:"What the host has left out of its answer, because it was too large"`
	Answer *D     `json:"answer,omitempty" doc:"Absent: there is no answer"`
}

// AllHosts are the answers of all hosts.
type AllHosts[D any] struct {
	Hosts []HostAnswer[D] `json:"hosts" doc:"By ID"`
}

// AllEvents is the answer of GET /v1/all-hosts/events.
type AllEvents struct {
	Events []HostEvent   `json:"events" doc:"Of all hosts, oldest first by their age, so that the clocks of hosts do not matter"`
	Hosts  []HostOutcome `json:"hosts" doc:"All hosts, by ID"`
}

// A HostEvent is an event of one host.
type HostEvent struct {
	Host string `json:"host" doc:"ID of the host"`
	EventDocument
}

// A HostOutcome says whether a host has answered.
type HostOutcome struct {
	Host  string `json:"host" doc:"ID of the host"`
	Error string `json:"error,omitempty" doc:"Why there is no answer. Absent: there is one"`
	Cut   string `json:"cut,omitempty" doc:"What the host has left out of its answer, because it was too large"`
}

func (s *service) registerAllHosts(a huma.API) {
	op := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: "all-hosts-" + id, Method: http.MethodGet, Path: "/v1/all-hosts/" + path, Summary: summary, Tags: []string{"status"},
			Errors: []int{403, 409, 503}, Description: "The daemon asks the daemons of all hosts through etcd. A host that does not answer has an error with the reason."}
	}
	huma.Register(a, op("status", "status", "The state of each host"), func(ctx context.Context, _ *struct{}) (*struct{ Body AllHosts[HostSummary] }, error) {
		answers, err := s.askAll(ctx, askTimeout, inquiry.Question{Kind: kindStatus})
		if err != nil {
			return nil, failure(err)
		}
		return &struct{ Body AllHosts[HostSummary] }{decoded[HostSummary](answers)}, nil
	})
	huma.Register(a, op("examine", "examination", "An examination of each host"), func(ctx context.Context, _ *struct{}) (*struct{ Body AllHosts[ExaminationDocument] }, error) {
		answers, err := s.askAll(ctx, examineTimeout, inquiry.Question{Kind: kindExamination})
		if err != nil {
			return nil, failure(err)
		}
		return &struct{ Body AllHosts[ExaminationDocument] }{decoded[ExaminationDocument](answers)}, nil
	})
	events := op("events", "events", "The latest changes, repairs and refusals on all hosts")
	events.Errors = append(events.Errors, 404, 422)
	huma.Register(a, events, s.allEvents)
}

type allEventsInput struct {
	Age     float64 `query:"age" minimum:"0" doc:"Only events of the last seconds, if it is not 0"`
	Router  string  `query:"router" doc:"Only events of this router"`
	Network string  `query:"network" doc:"Only events of the machines on this network, and of the routers with an interface on it"`
	Port    string  `query:"port" doc:"Only events of the machine of this port"`
	Host    string  `query:"host" doc:"Only events about this host, such as machines that move from it or to it"`
	Level   string  `query:"level" enum:"info,warn,error" default:"info" doc:"Only events of at least this level"`
	Limit   int     `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"Maximum number; the latest are returned"`
}

func (s *service) allEvents(ctx context.Context, in *allEventsInput) (*struct{ Body AllEvents }, error) {
	args := map[string]string{"age": strconv.FormatFloat(in.Age, 'f', -1, 64), "level": in.Level, "limit": strconv.Itoa(in.Limit)}
	for name, v := range map[string]string{"router": in.Router, "network": in.Network, "port": in.Port, "host": in.Host} {
		if v != "" {
			args[name] = v
		}
	}
	if err := s.knows(&eventsInput{Router: in.Router, Network: in.Network, Port: in.Port, Host: in.Host}); err != nil {
		return nil, failure(err)
	}
	answers, err := s.askAll(ctx, askTimeout, inquiry.Question{Kind: kindEvents, Args: args})
	if err != nil {
		return nil, failure(err)
	}
	out := AllEvents{Events: []HostEvent{}, Hosts: []HostOutcome{}}
	for i, h := range decoded[EventsDocument](answers).Hosts {
		out.Hosts = append(out.Hosts, HostOutcome{h.Host, h.Error, h.Cut})
		if h.Answer == nil {
			continue
		}
		since := answers[i].Ago() // since the answer was made
		for _, e := range h.Answer.Events {
			e.Age += since.Seconds()
			out.Events = append(out.Events, HostEvent{h.Host, e})
		}
	}
	slices.SortStableFunc(out.Events, func(a, b HostEvent) int { return cmp.Compare(b.Age, a.Age) })
	out.Events = out.Events[max(0, len(out.Events)-in.Limit):]
	return &struct{ Body AllEvents }{out}, nil
}

// askAll asks all hosts of the intent, and this host, and returns their answers, by host.
func (s *service) askAll(ctx context.Context, limit time.Duration, q inquiry.Question) ([]inquiry.Answer, error) {
	var hosts []string
	for h := range s.intent.Intent().Index.Hosts("") {
		hosts = append(hosts, h.ID)
	}
	return s.askHosts(ctx, limit, q, hosts)
}

// askHosts asks hosts, and also this host, and returns their answers, by host.
func (s *service) askHosts(ctx context.Context, limit time.Duration, q inquiry.Question, hosts []string) ([]inquiry.Answer, error) {
	if s.others.Ask == nil {
		return nil, inquiry.ErrNotShared
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q.From = s.others.Host
	own := make(chan inquiry.Answer, 1) // never blocks
	go func() { own <- s.selfAnswer(ctx, q) }()
	answers, err := s.others.Ask(ctx, q, hosts)
	if err != nil {
		return nil, err
	}
	answers = append(answers, <-own)
	slices.SortFunc(answers, func(a, b inquiry.Answer) int { return cmp.Compare(a.Host, b.Host) })
	return answers, nil
}

// selfAnswer returns the answer of this host.
func (s *service) selfAnswer(ctx context.Context, q inquiry.Question) inquiry.Answer {
	reply, err := s.self(ctx, q)
	a, failed := inquiry.Decode(inquiry.Encode(reply, err, 1<<30))
	if failed != nil {
		a = inquiry.Answer{Error: failed.Error()}
	}
	a.Host, a.Came = q.From, time.Now()
	return a
}

// decoded returns answers with documents of type D.
func decoded[D any](answers []inquiry.Answer) AllHosts[D] {
	out := AllHosts[D]{Hosts: []HostAnswer[D]{}}
	for _, a := range answers {
		h := HostAnswer[D]{Host: a.Host, Error: a.Error, Cut: a.Cut}
		if h.Error == "" {
			h.Answer = new(D)
			if err := json.Unmarshal(a.Body, h.Answer); err != nil {
				h.Answer, h.Error = nil, fmt.Sprintf("its answer cannot be read; do the hosts run different versions of ofdvr? %v", err)
			}
		}
		out.Hosts = append(out.Hosts, h)
	}
	return out
}
