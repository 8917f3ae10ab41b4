package hostile

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
)

// A BadBody is a body that is not a valid port.
type BadBody struct {
	Name, Body string
	Says       string // part of the error when it is put as a port
}

// BadBodies returns one of each kind.
var BadBodies = sync.OnceValue(func() []BadBody {
	return []BadBody{
		{"nothing", "", "request body is required"},
		{"no JSON", "{", "not JSON"},
		{"YAML", "network: blue", "the body is YAML"},
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
})

// Paths returns valid and invalid paths and queries.
func Paths() []string {
	return []string{
		"/v1/ports/vm1", "/v1/ports/vm1?dry_run=true", "/v1/networks/blue?cascade=1", "/v1/topology", "/v1/routers/r1/snapshot",
		"/v1/routers/r1/flows", "/v1/complete", "/v1/watch?since=x", "/v1/ports?limit=2&after=eA", "/v1/%zz", "/v1/ports/%00", "//", "/v1/../etc",
	}
}

// FuzzedRequest returns a random request with its header. The connection must be closed after it.
// If the request is valid, it changes only ports and networks called fuzz-….
func FuzzedRequest(r *rand.Rand) []byte {
	object := fmt.Sprintf(`{"network":"fuzz-1","mac":"02:ff:00:00:00:%02x","addresses":["10.120.0.%d"]}`, r.IntN(8), r.IntN(8))
	switch r.IntN(4) {
	case 0:
		bad := BadBodies()
		object = bad[r.IntN(len(bad))].Body
	case 1, 2:
		object = string(mutate(r, []byte(object)))
	}
	listed := strings.Replace(object, "{", fmt.Sprintf(`{"id":"fuzz-%d",`, r.IntN(4)), 1)
	one := func(of []string) string { return of[r.IntN(len(of))] }
	var method, path, body string
	switch r.IntN(4) {
	case 0: // changes nothing
		method, path = one([]string{http.MethodGet, http.MethodHead, http.MethodOptions, "BREW"}), string(mutate(r, []byte(one(Paths()))))
	case 1:
		method, path, body = http.MethodPost, "/v1/topology?dry_run=true", `{"networks":[{"id":"fuzz-1"}],"ports":[`+listed+`]}`
	case 2:
		method, path, body = http.MethodPatch, "/v1/topology", `{"put":{"ports":[`+listed+`]},"delete":{"ports":["fuzz-2"]}}`
	case 3:
		method = one([]string{http.MethodPut, http.MethodPost, http.MethodDelete})
		path, body = one([]string{"/v1/ports", "/v1/networks"})+fmt.Sprint("/fuzz-", r.IntN(4)), object
		if r.IntN(2) == 0 {
			path += string(mutate(r, []byte("?dry_run=true&wait=applied&timeout=1s")))
		}
		if strings.HasPrefix(path, "/v1/networks") && r.IntN(2) == 0 {
			body = `{}`
		}
	}
	header := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", method, path, len(body))
	if r.IntN(8) == 0 { // keep the first line
		first, rest, _ := strings.Cut(header, "\r\n")
		header = first + "\r\n" + string(mutate(r, []byte(rest)))
	}
	return []byte(header + "\r\n" + body)
}
