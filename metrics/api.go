package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// api has the metrics of HTTP requests.
type api struct {
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	limited     *prometheus.CounterVec
}

func newAPI() api {
	return api{
		limited: counters("http_limited_total", "HTTP clients that were refused or disconnected because of a limit, by reason: queue_timeout (the request waited too long for its turn), "+
			"response_too_large, too_many_clients (too many watchers), too_many_connections, read_timeout (the client did not read the response), "+
			"response_memory (the client read an old response slowly, and its memory was needed for a new one), body_too_large, body_timeout (the request body arrived too slowly), "+
			"body_memory (all request bodies together were too large, and this one was the slowest).", "reason"),
		requests: counters("api_requests_total", "Requests to the API, by method, route as in docs/api.md (other: not found, or not authorized) and status of the response.",
			"method", "route", "status"),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ofdvr_api_request_duration_seconds",
			Help:    "Time from an API request to the start of the response, by method and route; with wait=applied the response starts when the switches have confirmed the change.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"method", "route"}),
	}
}

// limits has the reasons why clients are refused or disconnected.
var limits = []string{"queue_timeout", "response_too_large", "too_many_clients", "too_many_connections", "read_timeout", "response_memory", "body_too_large", "body_timeout", "body_memory"}

// Limited records a client that was refused or disconnected because of a limit.
func (e *api) Limited(reason string) { e.limited.WithLabelValues(reason).Inc() }

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete}

// Requests returns a handler that calls h, and records the request when the response
// starts. The route is the pattern that an [http.ServeMux] in h matched.
func (e *api) Requests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a := answer{ResponseWriter: w, begun: func(status int) {
			method, route := "other", "other" // all unknown methods and routes share one series, so that a client cannot create series
			if slices.Contains(methods, r.Method) {
				method = r.Method
			}
			if _, path, ok := strings.Cut(r.Pattern, " "); ok {
				route = path
			}
			e.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
			e.requestTime.WithLabelValues(method, route).Observe(time.Since(start).Seconds())
		}}
		h.ServeHTTP(&a, r)
		a.begin(http.StatusOK) // a response without a body
	})
}

// An answer is a ResponseWriter that reports the start of the response.
type answer struct {
	http.ResponseWriter
	begun func(status int) // nil after it was called
}

func (a *answer) begin(status int) {
	if a.begun != nil && status >= 200 { // ignores a 1xx status, because the final status follows it
		a.begun(status)
		a.begun = nil
	}
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// Unwrap returns the wrapped ResponseWriter, for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
