// Package api is the HTTP API: it reads and writes hosts, networks, routers and ports,
// and returns plans, flows, the status and a stream of changes. Its OpenAPI
// description is generated from the code.
package api

import (
	"context"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/doctor"
	"github.com/ofdvr/ofdvr/controller/history"
	"github.com/ofdvr/ofdvr/controller/inquiry"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/bounded"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// Intent is the intent that the API reads and writes. [ledger.Ledger] implements it.
type Intent interface {
	Intent() *ledger.Intent
	Write(context.Context, ledger.Edit) (ledger.Result, error)
	Try(ledger.Edit) (before *ledger.Intent, r ledger.Result, err error)
	TryFile(routing.Model) (before *ledger.Intent, r ledger.Result, err error)
	Events(since uint64) ([]ledger.Event, <-chan struct{}, error)
}

// Switches report the state of the switches. [controller.Controller] implements it. Without
// switches, errors wrap [errors.ErrUnsupported].
type Switches interface {
	Status(context.Context) (controller.Status, error)
	Await(context.Context, ledger.Result) ([]controller.Pending, error)
	Conditions(context.Context, []ledger.Object) ([]controller.Condition, error)
	Plan(ctx context.Context, before, after *ledger.Intent, touched []string) (controller.Plan, error)
	Flows(ctx context.Context, router string) (iter.Seq[controller.Flow], error)
	Trace(ctx context.Context, q trace.Query, verify bool) ([]controller.TracedPath, error)
	Arrive(ctx context.Context, a controller.Arrival, verify bool) (controller.TracedArrival, error)
	Explain(context.Context, ofproto.Cookie) (e controller.Explanation, ours bool, err error)
	Counters(context.Context) (counters.Snapshot, error)
	History
	Machines(context.Context) (*machines.Evidence, error)
	Examine(context.Context) ([]doctor.Finding, error)
	LogMessages(ctx context.Context, router string) error
	LoggedMessages(context.Context) (router string, err error)
}

// History has the rates of the last minutes. [history.History] implements it.
type History interface {
	Busiest(routers int) history.Window
	Of(router string) history.Window
}

// Log is the daemon's log. [logging.Log] implements it.
type Log interface {
	Level() string
	SetLevel(string) error
	Since(seq uint64) ([]logging.Entry, <-chan struct{})
}

// Limits of requests. They are documented in docs/api.md.
const (
	maxObject      = 1 << 20     // bytes of a body with one object
	maxBody        = 32 << 20    // bytes of a body with many objects
	maxLarge       = 1           // bodies with many objects that are handled at a time
	maxBodies      = 4 * maxBody // bytes of memory for all bodies that arrive or wait
	maxPage        = 1000        // objects on a page of a list
	bodyTimeout    = 30 * time.Second
	bodyStart      = 5 * time.Second
	bodyRate       = 64 << 10        // minimum bytes a second on average, after bodyStart
	requestTimeout = 5 * time.Second // time limit of requests that do not wait
	maxWait        = 5 * time.Minute // the largest ?timeout=
)

// A service answers requests.
type service struct {
	intent   Intent
	switches Switches
	log      Log
	bodies   *bounded.Bodies
	large    chan struct{} // capacity maxLarge: holds an element while a body with many objects is handled
	feed     feed          // of watched changes
	digester digester
	others   Others
	self     inquiry.Answerer // of this host
}

// Handler returns the handler of all paths below /v1/. version is the program's version. limited is
// called for each refused body. It may be nil.
func Handler(intent Intent, switches Switches, log Log, version string, limited func(r *http.Request, reason string), others Others) http.Handler {
	limits := bodyLimits
	limits.Limited = limited
	s := &service{intent: intent, switches: switches, log: log, bodies: bounded.NewBodies(limits), large: make(chan struct{}, maxLarge), others: others}
	mux := http.NewServeMux()
	a := humago.New(mux, config(version))
	s.registerStatus(a)
	s.registerFlows(a)
	s.registerTrace(a)
	s.registerLog(a)
	s.registerCounters(a)
	s.registerHistory(a)
	s.registerExamination(a)
	s.registerObjects(a)
	s.registerMachines(a)
	s.registerTopology(a)
	s.registerWatch(a)
	s.registerAllHosts(a)
	describeProblems(a.OpenAPI())
	describeWrites(a.OpenAPI())
	h := problems(mux)
	s.self = Answerer(h, version)
	return h
}

// describeProblems makes Problem the schema of every error.
func describeProblems(o *huma.OpenAPI) {
	schema := o.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, item := range o.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			for _, r := range op.Responses {
				if m := r.Content["application/problem+json"]; m != nil {
					m.Schema = schema
				}
			}
		}
	}
	all := o.Components.Schemas.Map()
	delete(all, "ErrorModel")
	delete(all, "ErrorDetail")
}

// describeWrites adds the other statuses of writes. Their body is the same as that of 200.
func describeWrites(o *huma.OpenAPI) {
	add := func(op *huma.Operation, status, description string) {
		if op == nil || op.Responses["200"] == nil {
			return
		}
		ok := op.Responses["200"]
		if m := ok.Content["application/json"]; m != nil && m.Schema != nil && strings.HasSuffix(m.Schema.Ref, "/Written") {
			op.Responses[status] = &huma.Response{Description: description, Headers: ok.Headers, Content: ok.Content}
		}
	}
	for _, item := range o.Paths {
		add(item.Put, "201", "Created")
		for _, op := range []*huma.Operation{item.Put, item.Post, item.Patch, item.Delete} {
			add(op, "202", "Written, and not confirmed by the switches in time; see pending")
		}
	}
}

// config returns the configuration of huma. It has no references to other sites, and
// converts huma's own errors to Problems.
func config(version string) huma.Config {
	c := huma.DefaultConfig("ofdvr", version)
	c.Info.Description = "Hosts, networks, routers and ports, in the words of a topology file. A write that was answered is on disk; " +
		"with wait=applied the answer comes when the switches have confirmed it. Errors are problem details (RFC 9457)."
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "/v1/openapi", "", ""
	c.CreateHooks = nil
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{ownErrors}
	return c
}

// descriptions maps the usual paths of an API's description to our path.
var descriptions = map[string]string{
	"/openapi": "/v1/openapi.json", "/openapi.json": "/v1/openapi.json", "/openapi.yaml": "/v1/openapi.yaml",
}

// problems answers with a Problem if mux has no handler for a request, or the body is
// longer than any operation allows.
func problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength >= maxBody {
			w.Header().Set("Connection", "close") // do not read the rest
			problem(http.StatusRequestEntityTooLarge, "the body has %d bytes, and fewer than %d are read", r.ContentLength, maxBody).write(w)
			return
		}
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		if to := descriptions[r.URL.Path]; to != "" {
			http.Redirect(w, r, to, http.StatusPermanentRedirect)
			return
		}
		var allowed []string
		for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
			q := r.Clone(r.Context())
			q.Method = method
			if _, pattern := mux.Handler(q); pattern != "" {
				allowed = append(allowed, method)
			}
		}
		if slices.Contains(allowed, "GET") {
			allowed = append(allowed, "HEAD")
		}
		if len(allowed) == 0 {
			problem(http.StatusNotFound, "unknown path %s; GET /v1/openapi.json lists all paths", r.URL.Path).write(w)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		problem(http.StatusMethodNotAllowed, "method %s is not allowed for %s; allowed: %s", r.Method, r.URL.Path, strings.Join(allowed, ", ")).write(w)
	})
}

func (s *service) registerStatus(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/v1/status", Summary: "The state of the intent and of all routers", Tags: []string{"status"},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body controller.Status }, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		st, err := s.switches.Status(ctx)
		if err != nil {
			return nil, failure(err)
		}
		if st.Intent.Source != nil {
			st.Intent.Hash = s.digester.of(st.Intent.Source).String()
		}
		return &struct{ Body controller.Status }{st}, nil
	})
}
