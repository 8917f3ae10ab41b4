package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/doctor"
	"github.com/ofdvr/ofdvr/controller/inquiry"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// A remote is another host.
type remote struct {
	source
	findings []doctor.Finding
}

func (r remote) Examine(context.Context) ([]doctor.Finding, error) { return r.findings, nil }

// A log has entries.
type entries []logging.Entry

func (entries) Level() string         { return "info" }
func (entries) SetLevel(string) error { return nil }

func (e entries) Since(uint64) ([]logging.Entry, <-chan struct{}) { return e, nil }

// remoteHost returns the answerer of another host.
func remoteHost(t *testing.T, version string, events int) inquiry.Answerer {
	t.Helper()
	s := serve(t, nil)
	var r remote
	r.status = controller.Status{Settled: true, Problems: []string{"one"}, Hosts: []controller.HostStatus{{ID: "x", Ports: 7}, {ID: "h2", Self: true, Ports: 3}},
		Intent:  controller.IntentStatus{File: &controller.SourceStatus{Warnings: []string{"odd"}}},
		Routers: []controller.RouterStatus{{ID: "r1", FlowsWanted: 3, FlowsInstalled: 2, Settled: true}, {ID: "r2", Name: "two", FlowsWanted: 4, Problems: []string{"p"}}},
		Fabric:  &controller.RouterStatus{Bridge: "br-fabric", Problems: []string{"q"}}}
	r.findings = []doctor.Finding{{Level: doctor.Fine, About: "a", Says: "b"}, {Level: doctor.Problem, About: "c", Says: strings.Repeat("d", 20000)}}
	var log entries
	for i := range events {
		log = append(log, logging.Entry{Seq: uint64(i + 1), Time: time.Now().Add(time.Duration(i-events) * time.Second), Level: "info", Message: fmt.Sprint("event ", i, strings.Repeat("x", 1000))})
	}
	return api.Answerer(api.Handler(s.ledger, r, log, version, nil, api.Others{}), version)
}

// asks returns how a host h1 asks other hosts. Answers have at most limit bytes.
func asks(limit int, remotes map[string]inquiry.Answerer) api.Others {
	return api.Others{Host: "h1", Ask: func(ctx context.Context, q inquiry.Question, hosts []string) (out []inquiry.Answer, err error) {
		if _, ok := ctx.Deadline(); !ok || q.From != "h1" {
			return nil, fmt.Errorf("question %+v", q)
		}
		for _, h := range hosts {
			if remotes[h] == nil {
				if h != "h1" {
					out = append(out, inquiry.Answer{Host: h, Error: "not alive"})
				}
				continue
			}
			reply, err := remotes[h](ctx, q)
			a, err := inquiry.Decode(inquiry.Encode(reply, err, limit))
			if err != nil {
				return nil, err
			}
			a.Host = h
			out = append(out, a)
		}
		return out, nil
	}}
}

// fleetOf are three hosts.
var fleetOf = &routing.Model{Hosts: []routing.Host{{ID: "h1"}, {ID: "h2"}, {ID: "h3"}}}

func TestAllHosts(t *testing.T) {
	t.Parallel()
	s := serveAmong(t, fleetOf, 0, asks(1<<20, map[string]inquiry.Answerer{"h2": remoteHost(t, "v2", 3)}))
	var st api.AllHosts[api.HostSummary]
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/all-hosts/status", "").text), &st); err != nil || len(st.Hosts) != 3 {
		t.Fatalf("%+v, %v", st, err)
	}
	if h := st.Hosts[0]; h.Host != "h1" || h.Error != "" || h.Answer == nil || h.Answer.Version != "v1" {
		t.Errorf("this host: %+v", h)
	}
	want := api.HostSummary{Version: "v2", Settled: true, Routers: 2, Ready: 1, Desired: 7, Installed: 2, Machines: 3,
		Problems: []string{"one", "router two: p", "bridge br-fabric: q"}, Warnings: []string{"odd"}}
	if h := st.Hosts[1]; h.Host != "h2" || h.Answer == nil || fmt.Sprint(*h.Answer) != fmt.Sprint(want) {
		t.Errorf("another host: %+v, want %+v", h.Answer, want)
	}
	if h := st.Hosts[2]; h.Host != "h3" || h.Answer != nil || h.Error != "not alive" {
		t.Errorf("a host that is not alive: %+v", h)
	}
	var d api.AllHosts[api.ExaminationDocument] // the method of this host panics
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/all-hosts/examination", "").text), &d); err != nil || !strings.Contains(d.Hosts[0].Error, "has a fault") || d.Hosts[1].Answer.Problems != 1 || d.Hosts[1].Answer.Findings[0].About != "c" {
		t.Errorf("examination: %+v, %v", d, err)
	}
	var e api.AllEvents
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/all-hosts/events?limit=2", "").text), &e); err != nil || len(e.Events) != 2 || len(e.Hosts) != 3 {
		t.Fatalf("events: %+v, %v", e, err)
	}
	if last := e.Events[1]; last.Host != "h2" || last.Seq != 3 || e.Events[0].Seq != 2 {
		t.Errorf("events: %+v", e.Events)
	}
	if p := s.must(404, "GET", "/v1/all-hosts/events?router=none", "").problem(t); !strings.Contains(p.Detail, `router "none"`) {
		t.Error(p.Detail)
	}
}

// Answers that are too large for etcd are shorter, and say what is missing.
func TestAllHostsShortens(t *testing.T) {
	t.Parallel()
	s := serveAmong(t, fleetOf, 0, asks(1500, map[string]inquiry.Answerer{"h2": remoteHost(t, "v2", 500)}))
	var e api.AllEvents
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/all-hosts/events?limit=1000", "").text), &e); err != nil {
		t.Fatal(err)
	}
	n := len(e.Events)
	if cut := fmt.Sprintf("the oldest %d of 500 events were left out", 500-n); n == 0 || n > 250 || e.Events[n-1].Seq != 500 || e.Hosts[1].Cut != cut {
		t.Errorf("%d events, %q", n, e.Hosts[1].Cut)
	}
}

// Hosts can be asked only what reads, and only if they share etcd.
func TestQuestionsOnlyRead(t *testing.T) {
	t.Parallel()
	answer := remoteHost(t, "v2", 3)
	for _, q := range []inquiry.Question{
		{Kind: "apply"}, {Kind: "status", Args: map[string]string{"x": "y"}}, {Kind: "events", Args: map[string]string{"wait": "true"}}, {Kind: "events", Args: map[string]string{"since": "1"}},
		{Kind: "events", Args: map[string]string{"limit": "many"}},
	} {
		if r, err := answer(t.Context(), q); err == nil {
			t.Errorf("%+v is answered: %+v", q, r)
		}
	}
	if r, err := answer(t.Context(), inquiry.Question{Kind: "events", Args: map[string]string{"router": "elsewhere"}}); err != nil || len(r.Body.(api.EventsDocument).Events) != 0 {
		t.Errorf("a host without the router: %+v, %v", r, err)
	}
	for _, path := range []string{"status", "examination", "events"} {
		if p := serve(t, nil).must(409, "GET", "/v1/all-hosts/"+path, "").problem(t); !strings.Contains(p.Detail, "--etcd") {
			t.Error(p.Detail)
		}
	}
	denied := func(context.Context, inquiry.Question, []string) ([]inquiry.Answer, error) {
		return nil, fmt.Errorf("ask: %w", inquiry.ErrForbidden)
	}
	if s := serveAmong(t, fleetOf, 0, api.Others{Host: "h1", Ask: denied}); s.ask("GET", "/v1/all-hosts/status", "").status != http.StatusForbidden {
		t.Error("a host that may not ask")
	}
}

// A tracer has a path from a machine on h2 to one on h1.
type tracer struct {
	source
	host  string
	asked chan<- string // has a capacity
}

func (r tracer) Trace(_ context.Context, _ trace.Query, verify bool) ([]controller.TracedPath, error) {
	r.asked <- fmt.Sprintf("%s traces, verify=%v", r.host, verify)
	p := controller.TracedPath{Assumed: r.host != "h2"}
	p.Host, p.Verdict = "h2", trace.Switched
	p.Departures = []trace.Departure{{Host: "h1", Network: "blue", Packet: ofproto.Packet{Headers: ofproto.MatchOf(ofproto.EthDst(ofproto.MAC{2}), ofproto.IPv4()), Size: 99}}}
	return []controller.TracedPath{p}, nil
}

func (r tracer) Arrive(_ context.Context, a controller.Arrival, verify bool) (controller.TracedArrival, error) {
	r.asked <- fmt.Sprintf("%s receives %v of %d bytes from %s on %s, verify=%v", r.host, a.Packet.Headers, a.Packet.Size, a.Host, a.Network, verify)
	return controller.TracedArrival{Arrives: true, Says: "it arrives"}, nil
}

// The sender's host and the receiver's host trace their parts. A host that does not answer is named.
func TestTraceAcrossHosts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		query    string
		alive    bool // h2
		want     []string
		noAnswer string
	}{
		"both":                   {"&all_hosts=true&verify=true", true, []string{"h1 receives ip,dl_dst=02:00:00:00:00:00 of 99 bytes from h2 on blue, verify=true", "h1 traces, verify=true", "h2 traces, verify=true"}, ""},
		"without h2":             {"&all_hosts=true", false, []string{"h1 receives ip,dl_dst=02:00:00:00:00:00 of 99 bytes from h2 on blue, verify=false", "h1 traces, verify=false"}, "not alive"},
		"no other host is asked": {"", true, []string{"h1 traces, verify=false"}, ""},
	} {
		asked := make(chan string, 10)
		l := serve(t, nil).ledger
		remotes := make(map[string]inquiry.Answerer)
		if tt.alive {
			remotes["h2"] = api.Answerer(api.Handler(l, tracer{host: "h2", asked: asked}, entries{}, "v2", nil, api.Others{Host: "h2"}), "v2")
		}
		h := api.Handler(l, tracer{host: "h1", asked: asked}, entries{}, "v1", nil, asks(1<<20, remotes))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/trace?from=a&to=b"+tt.query, nil))
		var d api.TraceDocument
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || len(d.Paths) != 1 {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		close(asked)
		var got []string
		for a := range asked {
			got = append(got, a)
		}
		slices.Sort(got)
		p := d.Paths[0]
		if !slices.Equal(got, tt.want) || p.NoAnswer != tt.noAnswer || p.Assumed != (tt.noAnswer != "" || tt.query == "") {
			t.Errorf("%s: asked %q, path %+v", name, got, p)
		}
		if arrives := len(p.Arrivals) == 1 && p.Arrivals[0].Host == "h1" && p.Arrivals[0].Arrives; arrives != (tt.query != "") {
			t.Errorf("%s: arrivals %+v", name, p.Arrivals)
		}
	}
}
