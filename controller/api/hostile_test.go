package api_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
)

// bad are bodies that are refused, with a part of what is said about them.
var bad = []struct{ name, body, says string }{
	{"nothing", "", "request body is required"},
	{"no JSON", "{", "not JSON"},
	{"YAML", "network: blue", "not JSON"},
	{"two values", "{} {}", "not JSON"},
	{"a list", "[]", "want a mapping"},
	{"null", "null", "want a mapping"},
	{"a number", "7", "want a mapping"},
	{"NaN", `{"network":NaN}`, "not JSON"},
	{"infinite", `{"network":-Infinity}`, "not JSON"},
	{"a huge number", `{"network":"blue","mac":1e999}`, "is not a MAC address"},
	{"not UTF-8", "{\"network\":\"\xff\"}", "not UTF-8"},
	{"half a surrogate", `{"network":"\ud800","mac":"02:00:00:00:00:01"}`, "unknown network"},
	{"a control character", "{\"network\":\"\x00\"}", "control character"},
	{"a byte order mark in the middle", "{\ufeff}", "not JSON"},
	{"duplicate keys", `{"network":"blue","network":"green","mac":"02:00:00:00:00:01"}`, "duplicate key"},
	{"an unknown key", `{"network":"blue","mac":"02:00:00:00:00:01","color":"red"}`, `unknown key`},
	{"another ID", `{"id":"","network":"blue","mac":"02:00:00:00:00:01"}`, "the ID is"},
	{"missing keys", `{}`, "missing key"},
	{"wrong kinds", `{"network":["blue"],"mac":{},"addresses":"10.0.1.7"}`, "want a list"},
	{"brackets", strings.Repeat("[", 100_000), "deep"},
	{"closed brackets", strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "deep"},
	{"nested mappings", strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_000), "deep"},
	{"many mistakes", `{"addresses":[` + strings.Repeat(`"x",`, 50_000) + `"x"]}`, "mistakes, of which the first"},
	{"a long value", `{"network":"` + strings.Repeat("x", 500_000) + `"}`, "more than"},
}

// Whatever is wrong with a body, there is a clear answer and nothing changes.
func TestBadBodies(t *testing.T) {
	s := filled(t)
	before := s.must(200, "GET", "/v1/topology", "")
	for _, tt := range bad {
		t.Run(tt.name, func(t *testing.T) {
			for _, at := range []struct {
				method, path string
				wrap         func(string) string
			}{
				{"PUT", "/v1/ports/vm7", func(s string) string { return s }},
				{"PATCH", "/v1/topology", func(s string) string { return `{"put":{"ports":[` + s + `]}}` }},
				{"PUT", "/v1/topology", func(s string) string { return `{"ports":[` + s + `]}` }},
			} {
				if tt.body == "" && at.path == "/v1/topology" {
					continue // an empty list is fine
				}
				r := s.ask(at.method, at.path, at.wrap(tt.body))
				if r.status < 400 || r.status >= 500 {
					t.Errorf("%s %s: %d %s", at.method, at.path, r.status, r.text)
				}
				p := r.problem(t)
				if at.path == "/v1/ports/vm7" && !strings.Contains(p.Error(), tt.says) {
					t.Errorf("it does not say %q: %.500s", tt.says, p.Error())
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

// A body of 1 GiB is refused after as much as is allowed, whether it says how
// long it is or not, and so are many at once, in bounded memory.
func TestHugeBodies(t *testing.T) {
	s := filled(t)
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
				return // it was cut off while it was still sending
			}
			if r.status != http.StatusRequestEntityTooLarge && (r.status != http.StatusServiceUnavailable || method == "PUT") { // there is no room for eight of 32 MiB
				t.Errorf("%s: %d %s", path, r.status, r.text)
			}
			refused.Add(1)
		})
	}
	g.Wait()
	runtime.ReadMemStats(&after)
	if refused.Load() == 0 {
		t.Error("nobody was told why")
	}
	if total := (after.Sys - before.Sys) >> 20; total > 1024 {
		t.Errorf("%d MiB were needed", total)
	}
	s.must(200, "GET", "/v1/ports/vm1", "")
}

// FuzzRequests sends any request to a server: it answers with a success, or
// with a problem that is the client's fault, and nothing that cannot be is
// accepted.
func FuzzRequests(f *testing.F) {
	methods := []string{"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"}
	for i, path := range []string{
		"/v1/ports/vm1", "/v1/ports/vm1?dry_run=true", "/v1/networks/blue?cascade=1", "/v1/topology", "/v1/routers/r1/snapshot",
		"/v1/routers/r1/flows", "/v1/complete", "/v1/watch?since=x", "/v1/ports?limit=2&after=eA", "/v1/%zz", "/v1/ports/%00", "//", "/v1/../etc",
	} {
		f.Add(uint8(i), path, vm1)
		f.Add(uint8(1), path, `{"router":{"id":"r1"},"ports":[{}]}`)
		f.Add(uint8(3), path, `{"put":{"ports":[`+vm1+`]},"delete":{"networks":["blue"]}}`)
	}
	for _, b := range bad {
		f.Add(uint8(1), "/v1/ports/vm1", b.body)
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
		api.Handler(s.ledger, s.fabric, testLog, "v1", nil).ServeHTTP(w, req)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusInsufficientStorage {
			t.Errorf("%s %s: %d %s", req.Method, path, w.Code, w.Body)
		}
		if err := s.ledger.State().Index.Model().Validate(); err != nil {
			t.Errorf("%s %s %s: accepted what cannot be: %v", req.Method, path, body, err)
		}
	})
}

// Many writers and watchers at once get each their own answers.
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
					t.Errorf("what was written is not read: %v %s", err, r.text)
				}
			}
		})
	}
	g.Wait()
	if st := s.ledger.State(); st.Revision != 4+writers*writes {
		t.Errorf("revision %d after %d writes", st.Revision, 4+writers*writes)
	}
}
