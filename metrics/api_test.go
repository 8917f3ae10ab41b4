package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ofdvr/ofdvr/metrics"
)

// Each request is counted once, with the route that handled it. A client cannot create series.
func TestRequests(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ports/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) })
	mux.HandleFunc("PUT /v1/ports/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	mux.HandleFunc("DELETE /v1/ports/{id}", func(http.ResponseWriter, *http.Request) {})
	during := -1
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, ": watching\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		during, _ = testutil.GatherAndCount(reg, "ofdvr_api_requests_total") // while the request is in progress
	})
	h := metrics.New(reg, "v").Requests(mux)
	for _, request := range []string{"GET /v1/ports/a", "GET /v1/ports/b", "PUT /v1/ports/a", "DELETE /v1/ports/a", "GET /v1/watch", "GET /nowhere", "POST /v1/elsewhere", "HACK /v1/ports/a", "MUCK /v1/ports/a"} {
		method, path, _ := strings.Cut(request, " ")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	const want = `
# HELP ofdvr_api_requests_total Requests to the API, by method, route as in docs/api.md (other: not found, or not authorized) and status of the response.
# TYPE ofdvr_api_requests_total counter
ofdvr_api_requests_total{method="DELETE",route="/v1/ports/{id}",status="200"} 1
ofdvr_api_requests_total{method="GET",route="/v1/ports/{id}",status="200"} 2
ofdvr_api_requests_total{method="GET",route="/v1/watch",status="200"} 1
ofdvr_api_requests_total{method="GET",route="other",status="404"} 1
ofdvr_api_requests_total{method="POST",route="other",status="404"} 1
ofdvr_api_requests_total{method="PUT",route="/v1/ports/{id}",status="201"} 1
ofdvr_api_requests_total{method="other",route="other",status="405"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "ofdvr_api_requests_total"); err != nil {
		t.Error(err)
	}
	if during != 4 {
		t.Errorf("%d series while a stream is in progress, want 4 including it", during)
	}
	if n, err := testutil.GatherAndCount(reg, "ofdvr_api_request_duration_seconds"); err != nil || n != 7 {
		t.Errorf("%d series of times, %v", n, err)
	}
	lint(t, reg)
}
