package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// api is what is asked of the API.
type api struct {
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	limited     *prometheus.CounterVec
}

func newAPI() api {
	return api{
		limited: counters("http_limited_total", "Clients of the HTTP servers that were refused or disconnected, by reason: busy (its request did not get its turn), "+
			"too_large (its answer would be), clients (too many watch), connections (too many are open), slow (it does not read), "+
			"no_room (it read an old answer slowly, and there was no room for the next), long_body, slow_body (its request had a body that is too long, or came too slowly), "+
			"bodies (those of all together are too long, and its came slowest).", "reason"),
		requests: counters("api_requests_total", "Requests to the API, by method, by route as docs/api.md has it (other: there is nothing there, or it was not let in), and by the status of the answer.",
			"method", "route", "status"),
		requestTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ofdvr_api_request_duration_seconds",
			Help:    "Time from a request to the API to the beginning of the answer, by method and route; with wait=applied that is when the switches have confirmed it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"method", "route"}),
	}
}

// limits are the reasons for which clients are refused or disconnected.
var limits = []string{"busy", "too_large", "clients", "connections", "slow", "no_room", "long_body", "slow_body", "bodies"}

// Limited records a client that was refused or disconnected because of a limit.
func (e *api) Limited(reason string) { e.limited.WithLabelValues(reason).Inc() }

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete}

// Requests returns a handler that has h answer, and records it when the answer
// begins. The route is the pattern that an [http.ServeMux] behind h has found.
func (e *api) Requests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		a := answer{ResponseWriter: w, begun: func(status int) {
			method, route := "other", "other" // whatever a client may send
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
		a.begin(http.StatusOK) // an answer without a body
	})
}

// An answer tells when it begins.
type answer struct {
	http.ResponseWriter
	begun func(status int) // nil: it was called
}

func (a *answer) begin(status int) {
	if a.begun != nil && status >= 200 { // else there will be another
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

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
