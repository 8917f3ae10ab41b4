package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"

	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/routing"
)

// A disk adapts a store to the ledger.
type disk struct{ *store.Store }

func (d disk) Name() string      { return d.Path() }
func (d disk) Role() ledger.Role { return ledger.Own }

func (d disk) Commit(_ context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	return b.Revision, d.Store.Commit(b.Revision, b.Complete, changes...)
}

func (d disk) Load(context.Context) (ledger.Contents, error) {
	c, err := d.Store.Load(nil)
	return ledger.Contents{Revision: c.Revision, Complete: c.Complete, Model: c.Model}, err
}

func (d disk) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), _ func(ledger.Update) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// A file is a source that does not change.
type file struct{ model *routing.Model }

func (*file) Name() string      { return "/etc/topology.yaml" }
func (*file) Role() ledger.Role { return ledger.Declared }

func (f *file) Load(context.Context) (ledger.Contents, error) {
	return ledger.Contents{Complete: true, Model: f.model}, nil
}

func (*file) Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), tell func(ledger.Update) error) error {
	return disk{}.Follow(ctx, since, compare, tell)
}

// A fabric has switches that do nothing. They confirm writes when a test says so.
type fabric struct {
	api.Switches // nil, because no test calls the other methods
	mu           sync.Mutex
	pending      []controller.Pending // nil if everything is confirmed at once
	conds        map[ledger.Object]controller.Condition
}

func (f *fabric) Status(context.Context) (controller.Status, error) {
	return controller.Status{Routers: []controller.RouterStatus{}}, nil
}

func (f *fabric) Machines(context.Context) (*machines.Evidence, error) {
	return machines.Nothing("br-int", "no bridge in this test"), nil
}

func (f *fabric) Await(ctx context.Context, _ ledger.Result) ([]controller.Pending, error) {
	f.mu.Lock()
	pending := f.pending
	f.mu.Unlock()
	if pending != nil {
		<-ctx.Done()
	}
	return pending, nil
}

func (f *fabric) Conditions(_ context.Context, objects []ledger.Object) ([]controller.Condition, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]controller.Condition, len(objects))
	for i, o := range objects {
		out[i] = f.conds[o]
	}
	return out, nil
}

func (f *fabric) Plan(context.Context, *ledger.Intent, *ledger.Intent, []string) (controller.Plan, error) {
	return controller.Plan{}, nil
}

func (f *fabric) Flows(context.Context, string) (iter.Seq[controller.Flow], error) {
	return nil, controller.ErrNotConnected
}

// idle ignores changes of the intent.
type idle struct{}

func (idle) Load(*ledger.Intent, []string) {}

// A server is the API over a real ledger and a real store.
type server struct {
	*httptest.Server
	t      testing.TB
	ledger *ledger.Ledger
	fabric *fabric
}

// serve starts a server that ends with the test.
func serve(t testing.TB, declared *routing.Model) *server {
	t.Helper()
	return serveWith(t, declared, 0)
}

// serveWith is serve with a history of the given number of events.
func serveWith(t testing.TB, declared *routing.Model, history int) *server {
	t.Helper()
	return serveAmong(t, declared, history, api.Others{})
}

// serveAmong is serveWith with other hosts.
func serveAmong(t testing.TB, declared *routing.Model, history int, others api.Others) *server {
	t.Helper()
	st, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	cfg := ledger.Config{Write: disk{st}, Complete: true, History: history, Log: zap.NewNop()}
	if declared != nil {
		cfg.Sources = append(cfg.Sources, &file{declared})
	}
	cfg.Sources = append(cfg.Sources, cfg.Write)
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, idle{})
	}()
	s := &server{t: t, ledger: l, fabric: new(fabric)}
	s.Server = httptest.NewServer(api.Handler(l, s.fabric, testLog, "v1", nil, others))
	t.Cleanup(func() {
		s.Close()
		cancel()
		<-done
	})
	return s
}

// A reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	text   string
}

func (r reply) problem(t *testing.T) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal([]byte(r.text), &p); err != nil || r.header.Get("Content-Type") != "application/problem+json" || p.Status != r.status || p.Title == "" || p.Detail == "" {
		t.Fatalf("the answer is not a valid problem: %d %v %s: %v", r.status, r.header, r.text, err)
	}
	return p
}

// ask sends a request. header has names and values in turn.
func (s *server) ask(method, path, body string, header ...string) reply {
	s.t.Helper()
	r, err := s.send(method, path, bytes.NewReader([]byte(body)), header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *server) send(method, path string, body io.Reader, header ...string) (reply, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

// must is ask, and fails the test unless the answer has a status.
func (s *server) must(status int, method, path, body string, header ...string) reply {
	s.t.Helper()
	r := s.ask(method, path, body, header...)
	if r.status != status {
		s.t.Fatalf("%s %s %.200s\nwas answered with %d, want %d: %s", method, path, body, r.status, status, r.text)
	}
	return r
}

// unixSocket returns a path for a Unix socket.
func unixSocket(t testing.TB) string { return filepath.Join(t.TempDir(), "new", "api.sock") }

// listenUnix makes the server serve on a Unix socket too, until the test ends. It returns the path.
func (s *server) listenUnix() string {
	s.t.Helper()
	path := unixSocket(s.t)
	ln, err := api.Listen(api.Endpoint("unix:"+path), api.Access{}, zap.NewNop())
	if err != nil {
		s.t.Fatal(err)
	}
	server := &http.Server{Handler: s.Config.Handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	s.t.Cleanup(func() {
		server.Close()
		<-done
	})
	return path
}

// testLog is the log of servers in tests.
var testLog = func() *logging.Log {
	l, err := logging.New("error", "json")
	if err != nil {
		panic(err)
	}
	return l
}()
