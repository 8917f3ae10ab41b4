package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
)

// A source has a status and implements nothing else of the API.
type source struct {
	api.Switches
	status controller.Status
}

func (s source) Status(context.Context) (controller.Status, error) { return s.status, nil }

// The client reads the status of the daemon. A daemon replaces a socket that a crashed daemon left
// behind, but not the socket of a running daemon.
func TestStatusOverSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "api.sock")
	want := controller.Status{
		Settled:  true,
		Problems: []string{"one"},
		OVSDB:    &controller.OVSDBStatus{Endpoint: "unix:x", Connected: true},
		Routers:  []controller.RouterStatus{{ID: "r1", FlowsWanted: 3}},
	}
	for range 2 {
		ln, err := api.Listen(api.Endpoint("unix:"+path), api.Access{}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("socket has mode %v, %v", info.Mode(), err)
		}
		server := &http.Server{Handler: api.Handler(nil, source{status: want}, testLog, "v1", nil, api.Others{})}
		done := make(chan error, 1)
		go func() { done <- server.Serve(ln) }()
		client, err := api.NewClient(api.Endpoint("unix:"+path), api.Access{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.Status(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if _, err := api.Listen(api.Endpoint("unix:"+path), api.Access{}, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "another ofdvr answers there") {
			t.Errorf("second daemon: %v", err)
		}
		ln.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false) // keeps the socket, as if the daemon had crashed
		server.Close()
		<-done
	}
}

// docs/api.md lists every request of the API, and no other request.
func TestDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("`((?:GET|PUT|POST|PATCH|DELETE) /v1/[a-z{}/-]*)`").FindAllStringSubmatch(string(data), -1) {
		listed[m[1]] = true
	}
	s := serve(t, nil)
	var api struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ Summary string }
	}
	if err := json.Unmarshal([]byte(s.must(200, "GET", "/v1/openapi.json", "").text), &api); err != nil || api.OpenAPI != "3.1.0" {
		t.Fatal(api.OpenAPI, err)
	}
	for path, methods := range api.Paths {
		for method, op := range methods {
			request := strings.ToUpper(method) + " " + path
			if !listed[request] || op.Summary == "" {
				t.Errorf("%s (%s) is not in docs/api.md", request, op.Summary)
			}
			delete(listed, request)
		}
	}
	for request := range listed {
		t.Errorf("docs/api.md has %s, which does not exist", request)
	}
	all := s.must(200, "GET", "/v1/openapi.yaml", "").text
	for _, word := range []string{"Problem", "Snapshot", "arp_responder", "text/event-stream"} {
		if !strings.Contains(all, word) {
			t.Errorf("the description lacks %s", word)
		}
	}
	if strings.Contains(all, "http://") || strings.Contains(all, "ErrorModel") {
		t.Error("the description refers to another site, or to huma's ErrorModel")
	}
}
