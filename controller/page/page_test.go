package page_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/page"
)

// says returns a handler that answers every request with name.
func says(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
}

// ask sends a request to the handler of the metrics address. header has names and values
// in turn.
func ask(method, url string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	page.Open(says("api"), says("metrics"), "host1", "host1").ServeHTTP(w, r)
	return w
}

// The handler serves only the API's requests that the page makes. None of them changes
// anything or costs Open vSwitch work.
func TestOnlyReads(t *testing.T) {
	const at = "http://127.0.0.1:9476"
	for _, path := range []string{
		"/v1/status", "/v1/counters", "/v1/topology", "/v1/watch?since=7", "/v1/trace?from=a&to=b", "/v1/routers/r1/flows",
		"/v1/history?router=r1", "/v1/events?limit=5", "/v1/examination",
		"/v1/networks/a/status", "/v1/routers/a%2Fb/status", "/v1/ports/%2E%2E/status",
	} {
		if w := ask("GET", at+path); w.Code != http.StatusOK || w.Body.String() != "api" {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
		for _, method := range []string{"PUT", "POST", "PATCH", "DELETE", "OPTIONS"} {
			if w := ask(method, at+path); w.Code != http.StatusForbidden {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
	for _, request := range []string{
		"GET /v1/", "GET /v1/openapi.json", "GET /v1/networks", "GET /v1/ports/vm1", "GET /v1/explain/0x1", "GET /v1/trace?from=a&to=b&verify=true", "GET /v1/trace?verify", "GET /v1/trace?from=a&to=b&all_hosts=true", "GET /v1/events?wait=true", "GET /v1/events?wait", "GET /v1/log",
		"GET /v1/status/", "POST /v1/complete", "PUT /v1/routers/r1/snapshot", "PATCH /v1/topology",
	} {
		method, path, _ := strings.Cut(request, " ")
		w := ask(method, at+path)
		var problem struct {
			Status int
			Detail string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || w.Code != http.StatusForbidden || problem.Status != w.Code || !strings.Contains(problem.Detail, "use") {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/v1//status", "/v1/./status", "/v1/ports/../status", "/v1/routers/r1/../../complete"} {
		if w := ask("GET", at+path); w.Body.String() == "api" {
			t.Errorf("GET %s reached the API without a check", path)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/v2", "/index.html"} {
		if w := ask("GET", at+path); w.Body.String() != "metrics" {
			t.Errorf("GET %s: %s", path, w.Body)
		}
	}
}

// A page of another site can read nothing, neither by cross-site requests nor by DNS rebinding.
// Prometheus may use any host name.
func TestOtherSites(t *testing.T) {
	for _, path := range []string{"/", "/page/main.js", "/v1/status"} {
		for host, want := range map[string]int{
			"127.0.0.1:9476": 200, "[::1]:9476": 200, "localhost:9476": 200, "LOCALHOST": 200, "host1:9476": 200, "10.0.0.7": 200, "[fd00::1]": 200,
			"evil.example:9476": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example:9476": 421, "host1.evil.example": 421, "": 421,
		} {
			r := httptest.NewRequest("GET", path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			page.Open(says("api"), says("metrics"), "host1", "host1").ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s from origin %q: got status %d, want %d", path, host, w.Code, want)
			}
		}
	}
	if w := ask("GET", "http://evil.example/metrics"); w.Code != http.StatusOK {
		t.Errorf("metrics: %d", w.Code)
	}
	for site, want := range map[string]int{"same-origin": 200, "none": 200, "": 200, "same-site": 403, "cross-site": 403} {
		if w := ask("GET", "http://localhost/v1/status", "Sec-Fetch-Site", site); w.Code != want {
			t.Errorf("host name %q: got status %d, want %d", site, w.Code, want)
		}
	}
	if w := ask("GET", "http://localhost/", "Sec-Fetch-Site", "cross-site"); w.Code != http.StatusOK {
		t.Errorf("a link from elsewhere: %d", w.Code)
	}
	for _, path := range []string{"/", "/v1/status"} {
		h := ask("GET", "http://localhost"+path).Header()
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

// Every file is served with its media type, under a policy that forbids other servers. No
// file refers to another server.
func TestFiles(t *testing.T) {
	kinds := map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	outside := regexp.MustCompile(`https?://[^"'\s)]*|["'(]//\w|@import|\binnerHTML\b|\beval\(|style="`)
	seen := 0
	err := filepath.WalkDir("site", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		name := strings.TrimPrefix(path, "site")
		if name == "/index.html" {
			name = "/"
		}
		w := ask("GET", "http://localhost/page"+name)
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want = bytes.ReplaceAll(want, []byte("{{host}}"), []byte("host1"))
		if w.Code != http.StatusOK || w.Body.String() != string(want) || !strings.HasPrefix(w.Header().Get("Content-Type"), kinds[filepath.Ext(path)]) {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		if p := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none';") || strings.Contains(p, "unsafe") || strings.Contains(p, "*") {
			t.Errorf("%s: the policy is %s", path, p)
		}
		for _, found := range outside.FindAllString(string(want), -1) {
			if found != "http://www.w3.org/2000/svg" { // the name of a language, not an address
				t.Errorf("%s has %s", path, found)
			}
		}
		return nil
	})
	if err != nil || seen < 15 {
		t.Errorf("%d files, %v", seen, err)
	}
	for _, path := range []string{"/", "/page/"} {
		if w := ask("GET", "http://localhost"+path); !strings.Contains(w.Body.String(), "<title>host1 – ofdvr</title>") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := ask("GET", "http://localhost/page/no-such-file.js"); w.Code != http.StatusNotFound {
		t.Errorf("no such file: %d", w.Code)
	}
}

// The name of the host is shown as text, even if it looks like HTML.
func TestHostIsText(t *testing.T) {
	w := httptest.NewRecorder()
	page.Handler(says("rest"), `<script>"'&`).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if body := w.Body.String(); !strings.Contains(body, "<title>&lt;script&gt;&#34;&#39;&amp; – ofdvr</title>") || strings.Contains(body, `<script>"`) {
		t.Errorf("the page is %s", body)
	}
}
