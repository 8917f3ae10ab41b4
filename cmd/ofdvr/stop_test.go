package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ofdvr/ofdvr/controller"
)

// The daemon ends within 5 s of SIGTERM, even if a part of it hangs.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hangs := make(chan struct{})
		ended := make(chan error)
		go func() {
			ended <- boundStop(ctx, stopLimit, func() error { <-hangs; return nil })
		}()
		time.Sleep(time.Hour)
		cancel()
		began := time.Now()
		if err := <-ended; !errors.Is(err, errNotStopped) || time.Since(began) > 5*time.Second {
			t.Errorf("the end took %v: %v", time.Since(began), err)
		}
		close(hangs)
		failed := errors.New("failed")
		for _, want := range []error{nil, failed} {
			if err := boundStop(t.Context(), stopLimit, func() error { return want }); err != want {
				t.Errorf("%v, want %v", err, want)
			}
			if err := boundStop(ctx, stopLimit, func() error { time.Sleep(stopLimit - 1); return want }); err != want {
				t.Errorf("after SIGTERM: %v, want %v", err, want)
			}
		}
	})
}

// An unhealthy daemon answers, and reports that it is stuck.
type unhealthy string

func (unhealthy) Status(context.Context) (controller.Status, error) { return controller.Status{}, nil }
func (u unhealthy) Stuck() string                                   { return string(u) }

// /healthz reports a stuck daemon to orchestrators.
func TestHealthOfAStuckDaemon(t *testing.T) {
	for _, c := range []struct {
		stuck unhealthy
		code  int
		says  string
	}{{"", http.StatusOK, "ok"}, {"stuck for 42s", http.StatusServiceUnavailable, "stuck for 42s"}} {
		w := httptest.NewRecorder()
		metricsHandler(c.stuck, prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		if w.Code != c.code || strings.TrimSpace(w.Body.String()) != c.says {
			t.Errorf("%q: %d %s", c.stuck, w.Code, w.Body)
		}
	}
}
