package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// memory returns the daemon's resident memory in bytes: the present value, and the peak since the
// last call of forget.
func (s *site) memory() (now, most int) {
	s.t.Helper()
	now, most, err := s.daemon.Memory()
	if err != nil {
		s.t.Fatal(err)
	}
	return now, most
}

// forget resets the peak of the daemon's memory.
func (s *site) forget() {
	s.t.Helper()
	if err := s.daemon.ForgetPeak(); err != nil {
		s.t.Fatal(err)
	}
}

// crowded is twoNetworks with the given number of ports.
func crowded(ports int) string {
	b := bytes.NewBufferString(strings.NewReplacer("/24", "/8", "10.0.2.1/", "11.0.2.1/").Replace(twoNetworks[:strings.Index(twoNetworks, "ports:")]))
	b.WriteString("ports:\n")
	for i := range ports {
		fmt.Fprintf(b, "  - {id: p%d, network: blue, mac: \"02:00:01:%02x:%02x:%02x\", addresses: [10.%d.%d.%d]}\n", i, i>>16, i>>8&0xff, i&0xff, 1+i>>16, i>>8&0xff, i&0xff)
	}
	return b.String()
}

// client returns an HTTP client that connects to an address of the host.
func (s *site) client(network, address string) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return s.Dial(ctx, network, address)
	}}}
}

// Clients of the --metrics address cannot make the daemon exceed a memory limit. The test has 500
// watchers that do not read during many changes, and waves of requests for flows without reading
// the answers. At the same time, writes, Prometheus and the page are served.
func TestOpenAddressIsBounded(t *testing.T) {
	t.Parallel()
	ports := 10_000
	s := measured(t, crowded(ports), "--state-dir", t.TempDir())
	api, open := s.client("unix", "/run/ofdvr/api.sock"), s.client("tcp", "127.0.0.1:9476")
	send := func(c *http.Client, method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		for method == "GET" && err == nil && resp.StatusCode == http.StatusServiceUnavailable { // refused for now, on a slow machine
			if resp, err = c.Do(req); err != nil {
				t.Fatal(err)
			}
			text, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err != nil || resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s, %v: %.200s", method, path, resp.Status, err, text)
		}
		return string(text)
	}
	mute := func(ask func(net.Conn)) {
		t.Helper()
		nc, err := s.Dial(t.Context(), "tcp", "127.0.0.1:9476")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		ask(nc)
	}
	many := func(round int) string {
		b := bytes.NewBufferString(`{"put":{"ports":[`)
		for i := range ports {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(b, `{"id":"x%d","network":"green","mac":"02:00:%02x:%02x:%02x:%02x"}`, i, round+16, i>>16, i>>8&0xff, i&0xff)
		}
		b.WriteString(`]}}`)
		return b.String()
	}
	// The first request of each kind always needs memory.
	send(api, "PATCH", "/v1/topology", many(0))
	send(api, "PATCH", "/v1/topology", many(1))
	send(open, "GET", "/v1/routers/r1/flows", "")
	send(open, "GET", "/metrics", "")
	idle, _ := s.memory()
	s.forget()

	for range 500 {
		mute(hostile.Watch)
	}
	for round := range 5 {
		var g sync.WaitGroup
		for range 40 {
			mute(hostile.AskForFlows)
		}
		for range 10 {
			g.Go(func() {
				if text := send(open, "GET", "/v1/routers/r1/flows", ""); strings.Count(text, `"kind":"port"`) < ports {
					t.Errorf("flows are missing: %d bytes", len(text))
				}
			})
		}
		start := time.Now()
		send(api, "PATCH", "/v1/topology", many(2+round))
		t.Logf("round %d: a PATCH of %d ports took %v", round, ports, time.Since(start))
		send(open, "GET", "/metrics", "")
		send(open, "GET", "/v1/status", "")
		send(open, "GET", "/", "")
		g.Wait()
	}
	if text := send(open, "GET", "/metrics", ""); !strings.Contains(text, "ofdvr_http_limited_total{reason=\"too_many_clients\"} 372\n") {
		t.Errorf("372 of 500 watchers should have been refused: %s", regexp.MustCompile(`ofdvr_http_limited.*`).FindAllString(text, -1))
	}
	now, most := s.memory()
	t.Logf("memory: idle %d MB, now %d MB, peak %d MB", idle>>20, now>>20, most>>20)
	if more := most - idle; more > 200<<20 {
		t.Errorf("the daemon's memory has grown by %d MB", more>>20)
	}
}
