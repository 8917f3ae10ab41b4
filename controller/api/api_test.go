package api_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
)

// A source knows nothing but its status.
type source struct {
	api.Switches
	status controller.Status
}

func (s source) Status(context.Context) (controller.Status, error) { return s.status, nil }

// What the daemon says is what the client hears, also on a socket that a dead
// daemon has left behind; but a living daemon's socket is not taken away.
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
		server := &http.Server{Handler: api.Handler(nil, source{status: want}, "v1")}
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
		ln.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false) // as if it had crashed
		server.Close()
		<-done
	}
}
