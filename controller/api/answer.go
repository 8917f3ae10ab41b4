package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/inquiry"
)

// Kinds of questions of other hosts.
const (
	kindStatus      = "status"
	kindExamination = "examination"
	kindEvents      = "events"
	kindTrace       = "trace"
	kindArrival     = "arrival"
)

// A questionKind describes a kind of questions. The answer is that of a GET request, so that a
// question can only read.
type questionKind struct {
	path string
	args []string // allowed parameters
	// reply makes the Reply from the body of the answer.
	reply func(body []byte, version string) (inquiry.Reply, error)
	none  any // the answer if an object of the question does not exist here; nil if that is an error
}

var questionKinds = map[string]questionKind{
	kindStatus:      {path: "/v1/status", reply: summaryReply},
	kindExamination: {path: "/v1/examination", reply: examinationReply},
	kindEvents:      {path: "/v1/events", args: []string{"age", "router", "network", "port", "host", "level", "limit"}, reply: eventsReply, none: EventsDocument{Events: []EventDocument{}}},
	kindTrace:       {path: "/v1/trace", args: []string{"from", "to", "router", "proto", "sport", "dport", "size", "ttl", "verify"}, reply: wholeReply},
	kindArrival:     {path: "/v1/arrival", args: []string{"host", "network", "packet", "size", "verify"}, reply: wholeReply},
}

// wholeReply is a reply that cannot be shorter.
func wholeReply(body []byte, _ string) (inquiry.Reply, error) {
	return inquiry.Reply{Body: json.RawMessage(body)}, nil
}

// Answerer returns a function that answers questions of other hosts by requests to h, which is the
// API. version is the program's version.
func Answerer(h http.Handler, version string) inquiry.Answerer {
	return func(ctx context.Context, q inquiry.Question) (inquiry.Reply, error) {
		kind, ok := questionKinds[q.Kind]
		if !ok {
			return inquiry.Reply{}, fmt.Errorf("ofdvr %s does not know questions of kind %q: upgrade it on this host", version, q.Kind)
		}
		query := url.Values{}
		for name, v := range q.Args {
			if !slices.Contains(kind.args, name) {
				return inquiry.Reply{}, fmt.Errorf("ofdvr %s does not know parameter %q of questions of kind %q", version, name, q.Kind)
			}
			query.Set(name, v)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, kind.path+"?"+query.Encode(), nil)
		if err != nil {
			return inquiry.Reply{}, err
		}
		var w answerWriter
		if err := serveSafely(h, &w, req); err != nil {
			return inquiry.Reply{}, err
		}
		switch {
		case w.status == http.StatusNotFound && kind.none != nil:
			return inquiry.Reply{Body: kind.none}, nil
		case w.status >= 300:
			var p Problem
			if err := json.Unmarshal(w.body.Bytes(), &p); err != nil {
				return inquiry.Reply{}, fmt.Errorf("status %d", w.status)
			}
			return inquiry.Reply{}, &p
		}
		return kind.reply(w.body.Bytes(), version)
	}
}

// serveSafely returns an error if h panics, so that no question ends the daemon.
func serveSafely(h http.Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the daemon has a fault, please report it: %v", p)
		}
	}()
	h.ServeHTTP(w, r)
	return nil
}

// An answerWriter keeps the answer to a request.
type answerWriter struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (w *answerWriter) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements [http.ResponseWriter].
func (w *answerWriter) WriteHeader(status int) { w.status = status }

// Write implements [http.ResponseWriter].
func (w *answerWriter) Write(b []byte) (int, error) { return w.body.Write(b) }

// A HostSummary is the status of a host in short.
type HostSummary struct {
	Version   string   `json:"version" doc:"Version of ofdvr"`
	Settled   bool     `json:"settled" doc:"The switches have confirmed everything, and the host itself has no problems"`
	Standby   bool     `json:"standby,omitempty" doc:"Another daemon of the host leads"`
	Revision  uint64   `json:"revision" doc:"Revision of the intent"`
	Hash      string   `json:"hash,omitempty" doc:"Hash of the intent"`
	Routers   int      `json:"routers" doc:"Number of routers"`
	Ready     int      `json:"ready" doc:"Number of routers whose switch has confirmed everything"`
	Desired   int      `json:"flows_wanted" doc:"Number of desired flows"`
	Installed int      `json:"flows_installed" doc:"Number of desired flows that the switches have confirmed"`
	Machines  int      `json:"machines" doc:"Number of machines of the intent that are plugged in"`
	Problems  []string `json:"problems,omitempty" doc:"All problems, those of routers with their router"`
	Warnings  []string `json:"warnings,omitempty" doc:"All warnings"`
}

// Summarise returns a Status in short.
func Summarise(s *controller.Status, version string) HostSummary {
	out := HostSummary{Version: version, Settled: s.Settled, Standby: s.Standby, Revision: s.Intent.Revision, Hash: s.Intent.Hash, Routers: len(s.Routers),
		Problems: slices.Clone(s.Problems), Warnings: slices.Clone(s.Warnings)}
	for i := range s.Routers {
		r := &s.Routers[i]
		out.Desired, out.Installed = out.Desired+r.FlowsWanted, out.Installed+r.FlowsInstalled
		if r.Settled {
			out.Ready++
		}
		for _, p := range r.Problems {
			out.Problems = append(out.Problems, "router "+shownName(r)+": "+p)
		}
	}
	if f := s.Fabric; f != nil {
		out.Desired, out.Installed = out.Desired+f.FlowsWanted, out.Installed+f.FlowsInstalled
		for _, p := range f.Problems {
			out.Problems = append(out.Problems, "bridge "+f.Bridge+": "+p)
		}
	}
	for _, l := range s.Limits {
		out.Warnings = append(out.Warnings, fmt.Sprintf("%v; %s", l, l.Remedy))
	}
	if s.Intent.File != nil {
		out.Warnings = append(out.Warnings, s.Intent.File.Warnings...)
	}
	for _, h := range s.Hosts {
		if h.Self {
			out.Machines = h.Ports
		}
	}
	return out
}

func shownName(r *controller.RouterStatus) string {
	if r.Name != "" {
		return r.Name
	}
	return r.ID
}

func summaryReply(body []byte, version string) (inquiry.Reply, error) {
	var st controller.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return inquiry.Reply{}, err
	}
	s := Summarise(&st, version)
	problems, warnings := len(s.Problems), len(s.Warnings)
	return inquiry.Reply{Body: &s, Shorten: func() string {
		if len(s.Problems)+len(s.Warnings) == 0 {
			return ""
		}
		s.Problems, s.Warnings = s.Problems[:len(s.Problems)/2], s.Warnings[:len(s.Warnings)/2]
		return fmt.Sprintf("%d of %d problems and %d of %d warnings were left out", problems-len(s.Problems), problems, warnings-len(s.Warnings), warnings)
	}}, nil
}

func examinationReply(body []byte, _ string) (inquiry.Reply, error) {
	var d ExaminationDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return inquiry.Reply{}, err
	}
	all := len(d.Findings)
	slices.SortStableFunc(d.Findings, func(a, b FindingDocument) int { return findingOrder[a.Level] - findingOrder[b.Level] })
	return inquiry.Reply{Body: &d, Shorten: func() string {
		if len(d.Findings) == 0 {
			return ""
		}
		d.Findings = d.Findings[:len(d.Findings)/2]
		return fmt.Sprintf("%d of %d findings were left out", all-len(d.Findings), all)
	}}, nil
}

// findingOrder has the most important findings first.
var findingOrder = map[string]int{"problem": 0, "warning": 1, "note": 2, "ok": 3}

func eventsReply(body []byte, _ string) (inquiry.Reply, error) {
	var d EventsDocument
	if err := json.Unmarshal(body, &d); err != nil {
		return inquiry.Reply{}, err
	}
	all := len(d.Events)
	return inquiry.Reply{Body: &d, Shorten: func() string {
		if len(d.Events) == 0 {
			return ""
		}
		d.Events = d.Events[(len(d.Events)+1)/2:]
		return fmt.Sprintf("the oldest %d of %d events were left out", all-len(d.Events), all)
	}}, nil
}
