package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// lonely is twoNetworks and a network without a router. Ports on that network need no flows.
var lonely = strings.Replace(twoNetworks, "networks:\n", "networks:\n  - {id: lonely, vlan: 3}\n", 1)

// Large concurrent bodies need bounded memory. The same holds for a body that is made to need as
// much memory as possible.
func TestLargeBodiesAreBounded(t *testing.T) {
	t.Parallel()
	s := measured(t, lonely, "--state-dir", t.TempDir())
	idle, _ := s.memory()
	api := s.client("unix", "/run/ofdvr/api.sock")
	patch := func(body []byte) (int, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), "PATCH", "http://localhost/v1/topology", bytes.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		resp, err := api.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return resp.StatusCode, string(text), err
	}
	for _, c := range []struct {
		name   string
		body   []byte
		status int
	}{
		{"numbers", []byte("[" + strings.Repeat("0,", 14<<20) + "0]"), 422},
		{"ports", hostile.LargeBody("lonely", 28<<20), 200},
	} {
		s.forget()
		var g sync.WaitGroup
		start := time.Now()
		for range 4 {
			g.Go(func() {
				if status, text, err := patch(c.body); err != nil || status != c.status {
					t.Errorf("%s: %d %v %.300s", c.name, status, err, text)
				}
			})
		}
		g.Wait()
		now, most := s.memory()
		t.Logf("%s: took %v; memory: idle %d MB, now %d MB, peak %d MB", c.name, time.Since(start), idle>>20, now>>20, most>>20)
		if more := most - idle; more > 1400<<20 {
			t.Errorf("%s: it needed %d MB", c.name, more>>20)
		}
	}
}

// Slow bodies do not block writes. They are refused with a problem that names the reason, before
// they use resources.
func TestSlowBodiesDoNotBlockWrites(t *testing.T) {
	t.Parallel()
	s := ready(t, lonely, "--state-dir", t.TempDir())
	var slow []net.Conn
	for range 40 {
		nc, err := s.Dial(t.Context(), "unix", "/run/ofdvr/api.sock")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		hostile.BeginBody(nc, 100_000)
		slow = append(slow, nc)
	}
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", "http://localhost/v1/topology", bytes.NewReader(hostile.LargeBody("lonely", 2<<20)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client("unix", "/run/ofdvr/api.sock").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answer to a body that was sent at once: %s", resp.Status)
	}
	for _, nc := range slow {
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(text), "the request body arrived too slowly") {
			t.Errorf("answer to a body that is never sent: %s %s %v", resp.Status, text, err)
		}
	}
}
