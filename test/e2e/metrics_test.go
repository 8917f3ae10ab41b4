package e2e

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// get requests a page of the daemon's HTTP server.
func (s *site) get(page string) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://127.0.0.1:9476"+page, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.HTTP().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// scrape returns the samples of /metrics by name with labels.
func (s *site) scrape() map[string]float64 {
	s.t.Helper()
	code, body := s.get("/metrics")
	if code != http.StatusOK {
		s.t.Fatalf("/metrics: %d\n%s", code, body)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			s.t.Fatalf("metric %q: %v", line, err)
		}
		values[line[:at]] = v
	}
	return values
}

// metric fails the test unless the metric called name, with its labels, has the value want.
func (s *site) metric(want float64, name string) {
	s.t.Helper()
	if got, ok := s.scrape()[name]; !ok || got != want {
		s.t.Errorf("%s is %v (there: %v), want %v", name, got, ok, want)
	}
}
