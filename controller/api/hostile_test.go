package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/hostile"
)

// Every mistake in a body has a clear answer and changes nothing.
func TestBadBodies(t *testing.T) {
	s := filled(t)
	before := s.must(200, "GET", "/v1/topology", "")
	for _, tt := range hostile.BadBodies() {
		t.Run(tt.Name, func(t *testing.T) {
			for _, at := range []struct {
				method, path string
				wrap         func(string) string
			}{
				{"PUT", "/v1/ports/vm7", func(s string) string { return s }},
				{"PATCH", "/v1/topology", func(s string) string { return `{"put":{"ports":[` + s + `]}}` }},
				{"PUT", "/v1/topology", func(s string) string { return `{"ports":[` + s + `]}` }},
			} {
				if tt.Body == "" && at.path == "/v1/topology" {
					continue // an empty list is valid
				}
				r := s.ask(at.method, at.path, at.wrap(tt.Body))
				if r.status < 400 || r.status >= 500 {
					t.Errorf("%s %s: %d %s", at.method, at.path, r.status, r.text)
				}
				p := r.problem(t)
				if at.path == "/v1/ports/vm7" && !strings.Contains(p.Error(), tt.Says) {
					t.Errorf("the problem does not mention %q: %.500s", tt.Says, p.Error())
				}
			}
		})
	}
	if now := s.must(200, "GET", "/v1/topology", ""); now.text != before.text {
		t.Errorf("the intent has changed:\n%s\n%s", before.text, now.text)
	}
}

var spaces = strings.Repeat(" ", 1<<16)

// endless is a body of n spaces.
type endless struct{ n int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), e.n)], spaces)
	e.n -= int64(n)
	return n, nil
}

// A body of 1 GiB is refused as soon as it exceeds the limit, with or without a declared length.
// Many such bodies at once are refused too, in bounded memory.
func TestHugeBodies(t *testing.T) {
	s := filled(t)
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // use the daemon's GC setting instead of GOGC
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var g sync.WaitGroup
	var refused atomic.Int32
	for i := range 16 {
		g.Go(func() {
			method, path := "PATCH", "/v1/topology"
			if i%2 == 0 {
				method, path = "PUT", "/v1/ports/vm1"
			}
			r, err := s.send(method, path, &endless{1 << 30})
			if err != nil {
				return // the connection was closed while it was sending
			}
			if r.status != http.StatusRequestEntityTooLarge && (r.status != http.StatusServiceUnavailable || method == "PUT") { // eight bodies of 32 MiB do not fit
				t.Errorf("%s: %d %s", path, r.status, r.text)
			}
			refused.Add(1)
		})
	}
	g.Wait()
	runtime.ReadMemStats(&after)
	if refused.Load() == 0 {
		t.Error("no client got a reason")
	}
	if total := (after.Sys - before.Sys) >> 20; total > 1024 {
		t.Errorf("%d MiB were needed", total)
	}
	s.must(200, "GET", "/v1/ports/vm1", "")
}

// FuzzRequests sends arbitrary requests to a server. The server answers each request with a success
// or with a problem of status 4xx, and never accepts an invalid intent.
func FuzzRequests(f *testing.F) {
	methods := []string{"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"}
	for i, path := range hostile.Paths() {
		f.Add(uint8(i), path, vm1)
		f.Add(uint8(1), path, `{"router":{"id":"r1"},"ports":[{}]}`)
		f.Add(uint8(3), path, `{"put":{"ports":[`+vm1+`]},"delete":{"networks":["blue"]}}`)
	}
	for _, b := range hostile.BadBodies() {
		f.Add(uint8(1), "/v1/ports/vm1", b.Body)
	}
	s := serve(f, nil)
	f.Fuzz(func(t *testing.T, method uint8, path, body string) {
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/v1/watch") {
			return
		}
		req, err := http.NewRequest(methods[int(method)%len(methods)], "http://x"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		w := httptest.NewRecorder()
		api.Handler(s.ledger, s.fabric, testLog, "v1", nil, api.Others{}).ServeHTTP(w, req)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusInsufficientStorage {
			t.Errorf("%s %s: %d %s", req.Method, path, w.Code, w.Body)
		}
		if err := s.ledger.Intent().Index.Model().Validate(); err != nil {
			t.Errorf("%s %s %s made the intent invalid: %v", req.Method, path, body, err)
		}
	})
}

// A hostile client sends requests that a seed selects. They are answered like those of
// [FuzzRequests]. Some are carried out, and the objects of other clients do not change.
func TestFuzzedRequests(t *testing.T) {
	s := filled(t)
	h := api.Handler(s.ledger, s.fabric, testLog, "v1", nil, api.Others{})
	r := rand.New(rand.NewPCG(1, 1))
	answers := make(map[string]int) // of writes
	for range 800 {
		wire := hostile.FuzzedRequest(r)
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil || strings.HasPrefix(req.URL.Path, "/v1/watch") {
			continue
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req.WithContext(t.Context()))
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusInsufficientStorage {
			t.Errorf("%.1000q: %d %s", wire, w.Code, w.Body)
		}
		if req.Method != http.MethodGet {
			answers[fmt.Sprintf("%s %dxx", req.Method, w.Code/100)]++
		}
		if err := s.ledger.Intent().Index.Model().Validate(); err != nil {
			t.Fatalf("%.1000q made the intent invalid: %v", wire, err)
		}
	}
	t.Log(answers)
	for _, want := range []string{"PUT 2xx", "PUT 4xx", "PATCH 2xx", "PATCH 4xx", "POST 2xx", "POST 4xx", "DELETE 2xx", "DELETE 4xx", "BREW 4xx"} {
		if answers[want] == 0 {
			t.Errorf("there is no %s", want)
		}
	}
	m := s.ledger.Intent().Index.Model()
	m.Networks = slices.DeleteFunc(slices.Clone(m.Networks), func(n routing.Network) bool { return strings.HasPrefix(n.ID, "fuzz-") })
	m.Ports = slices.DeleteFunc(slices.Clone(m.Ports), func(p routing.Port) bool { return strings.HasPrefix(p.ID, "fuzz-") })
	if want := filled(t).ledger.Intent().Index.Model(); !reflect.DeepEqual(m, want) {
		t.Errorf("the rest is\n%+v\nwant\n%+v", m, want)
	}
}

// Each of many concurrent writers and watchers gets its own answers.
func TestConcurrentWriters(t *testing.T) {
	s := filled(t)
	const writers, writes = 20, 25
	var g sync.WaitGroup
	for i := range writers {
		g.Go(func() {
			for k := range writes {
				path := fmt.Sprintf("/v1/ports/w%d", i)
				r, err := s.send("PUT", path, strings.NewReader(fmt.Sprintf(`{"network":"blue","mac":"02:00:00:01:%02x:%02x","addresses":["10.0.1.%d"]}`, i, k, 100+i)))
				if err != nil || r.status >= 300 {
					t.Errorf("%v %d %s", err, r.status, r.text)
				}
				if r, err = s.send("GET", path, nil); err != nil || !strings.Contains(r.text, fmt.Sprintf("02:00:00:01:%02x:%02x", i, k)) {
					t.Errorf("GET does not return the object that was PUT: %v %s", err, r.text)
				}
			}
		})
	}
	g.Wait()
	if st := s.ledger.Intent(); st.Revision != 4+writers*writes {
		t.Errorf("revision %d after %d writes", st.Revision, 4+writers*writes)
	}
}
