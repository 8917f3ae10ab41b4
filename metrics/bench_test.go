package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ofdvr/ofdvr/metrics"
)

// BenchmarkScrape measures a scrape of 500 routers with two interfaces each. The time to read
// the switches is not included.
func BenchmarkScrape(b *testing.B) {
	state := metrics.State{States: []string{"a", "b", "c", "d", "e", "f", "g", "h", "i"}}
	for i := range 500 {
		id := fmt.Sprint("router", i)
		state.Routers = append(state.Routers, metrics.Router{ID: id, State: "a", Connection: &metrics.Connection{}, Counters: &metrics.Counters{Dropped: map[string]uint64{"blackhole": 0, "unmatched": 0}}})
		for k := range 2 {
			state.Interfaces = append(state.Interfaces, metrics.Interface{Router: id, ID: fmt.Sprint(id, "-", k), Fallback: map[string]uint64{
				"ttl": 0, "mtu": 0, "exception": 0, "no_route": 0, "unknown": 0, "other": 0}})
		}
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(metrics.NewState(func(context.Context) (metrics.State, error) { return state, nil }))
	h := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	for _, encoding := range []string{"gzip", "identity"} {
		b.Run(encoding, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.Header.Set("Accept-Encoding", encoding)
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
