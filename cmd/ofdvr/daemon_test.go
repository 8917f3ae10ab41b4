package main

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// A disk is a store in memory.
type disk struct {
	mu       sync.Mutex
	index    *routing.Index
	revision uint64
	complete bool
}

func (d *disk) Name() string      { return "disk" }
func (d *disk) Role() ledger.Role { return ledger.Own }
func (d *disk) ReadOnly() error   { return nil }

func (d *disk) Load(context.Context) (ledger.Contents, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return ledger.Contents{Revision: d.revision, Complete: d.complete, Model: d.index.Model()}, nil
}

func (d *disk) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), _ func(ledger.Update) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (d *disk) Commit(_ context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range changes {
		d.index = d.index.With(c)
	}
	d.revision, d.complete = b.Revision, b.Complete
	return b.Revision, nil
}

// A source is a topology file that does not change.
type source struct{ model *routing.Model }

func (*source) Name() string      { return "/etc/topology.yaml" }
func (*source) Role() ledger.Role { return ledger.Declared }

func (s *source) Load(context.Context) (ledger.Contents, error) {
	return ledger.Contents{Complete: true, Model: s.model}, nil
}

func (*source) Follow(ctx context.Context, since uint64, compare func(*routing.Model) (routing.Change, error), tell func(ledger.Update) error) error {
	return new(disk).Follow(ctx, since, compare, tell)
}

// A fabric has switches that confirm every write, except those that a test makes pending.
type fabric struct {
	api.Switches // nil, because no test calls the other methods
	ledger       *ledger.Ledger

	mu       sync.Mutex
	pending  []controller.Pending
	problems []string // problems in plans
	messages string   // the router with a log of its OpenFlow messages
	ailments []string // problems in the status
	hosts    []controller.HostStatus
	counts   []counters.Snapshot // successive readings of counters; the last one is repeated
	unlinked map[string]bool     // routers with a bridge that is not connected
	waits    chan struct{}       // writes wait until this channel is closed; nil means no wait
}

func (f *fabric) Status(context.Context) (controller.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.ledger.Intent()
	s := controller.Status{Settled: true, Intent: controller.IntentStatus{Revision: now.Revision, Source: now}, Problems: f.ailments, Hosts: f.hosts}
	if file := now.File(); file != nil {
		s.Intent.File = &controller.SourceStatus{Name: file.Name, Hosts: file.Hosts, Networks: file.Networks, Routers: file.Routers, Ports: file.Ports}
	}
	for _, r := range now.Index.Model().Routers {
		s.Routers = append(s.Routers, controller.RouterStatus{ID: r.ID, Name: r.Name(), Bridge: r.BridgeName(), Managed: true, Connected: !f.unlinked[r.ID],
			State: "settled", FlowsWanted: 8000, FlowsInstalled: 8000, Settled: true})
	}
	return s, nil
}

func (f *fabric) Machines(context.Context) (*machines.Evidence, error) {
	return machines.Nothing("br-int", "no bridge in this test"), nil
}

func (f *fabric) Await(ctx context.Context, _ ledger.Result) ([]controller.Pending, error) {
	f.mu.Lock()
	pending, waits := f.pending, f.waits
	f.mu.Unlock()
	if waits != nil {
		select {
		case <-waits:
		case <-ctx.Done():
		}
	}
	return pending, nil
}

func (f *fabric) Conditions(_ context.Context, objects []ledger.Object) ([]controller.Condition, error) {
	out := make([]controller.Condition, len(objects))
	for i := range out {
		out[i].Programmed = true
	}
	return out, nil
}

func (f *fabric) Plan(context.Context, *ledger.Intent, *ledger.Intent, []string) (controller.Plan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return controller.Plan{Problems: f.problems}, nil
}

func (f *fabric) Flows(_ context.Context, router string) (iter.Seq[controller.Flow], error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ledger.Intent().Index.Router(router) == nil {
		return nil, fmt.Errorf("%w: router %q", ledger.ErrNotFound, router)
	}
	if f.unlinked[router] {
		return nil, fmt.Errorf("read the flows of router %q: %w", router, controller.ErrNotConnected)
	}
	return slices.Values([]controller.Flow{{
		FlowStats: ofproto.FlowStats{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Table: 2, Priority: 100}}, Packets: 3, Bytes: 294},
		Text:      "table=2, priority=100,ip,nw_dst=10.0.1.10 actions=drop", Does: "sends packets to an address of port vm1", Object: &routing.Object{Kind: routing.KindPort, ID: "vm1"},
	}, {
		FlowStats: ofproto.FlowStats{Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Table: 2}}},
		Text:      "table=2, priority=0 actions=drop", Does: "is not ours",
	}}), nil
}

func (f *fabric) Trace(_ context.Context, q trace.Query, _ bool) ([]controller.TracedPath, error) {
	return nil, &trace.NotFoundError{Detail: fmt.Sprintf("%s to %s through %s", q.From, q.To, q.Router)}
}

func (f *fabric) LogMessages(_ context.Context, router string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ledger.Intent().Index.Router(router) == nil {
		return fmt.Errorf("%w: router %q", ledger.ErrNotFound, router)
	}
	f.messages = router
	return nil
}

func (f *fabric) LoggedMessages(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.messages, nil
}

func (f *fabric) Counters(context.Context) (counters.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.counts[0]
	if len(f.counts) > 1 {
		f.counts = f.counts[1:]
	}
	return now, nil
}

// ignore is a reader that ignores the intent.
type ignore struct{}

func (ignore) Load(*ledger.Intent, []string) {}

// A server is the API with a real ledger, a store in memory and no real switches.
type server struct {
	*fabric
	t        *testing.T
	endpoint string
}

// startDaemon starts a server that ends with the test. declared has the objects of a topology file;
// nil means no file. events is the number of events in the history.
func startDaemon(t *testing.T, declared *routing.Model, events int) *server {
	t.Helper()
	cfg := ledger.Config{Write: &disk{index: new(routing.Index), complete: true}, History: events, Log: zap.NewNop()}
	if declared != nil {
		cfg.Sources = append(cfg.Sources, &source{declared})
	}
	cfg.Sources = append(cfg.Sources, cfg.Write)
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := &server{&fabric{ledger: l}, t, "unix:" + filepath.Join(t.TempDir(), "api.sock")}
	ln, err := api.Listen(api.Endpoint(d.endpoint), api.Access{}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	web := &http.Server{Handler: api.Handler(l, d.fabric, testLog, "v1", nil, api.Others{})}
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx, ignore{}) })
	running.Go(func() { web.Serve(ln) })
	t.Cleanup(func() {
		web.Close()
		cancel()
		running.Wait()
	})
	return d
}

// ofdvr runs a command, checks its exit status, and returns its standard output and standard
// error.
func (d *server) ofdvr(status int, args ...string) (string, string) {
	d.t.Helper()
	var out, errOut strings.Builder
	if got := run(d.t.Context(), append(args, "--api", d.endpoint), &out, &errOut); got != status {
		d.t.Fatalf("ofdvr %s exited with status %d, want %d\n%s%s", strings.Join(args, " "), got, status, &out, &errOut)
	}
	return out.String(), errOut.String()
}

// prints runs a command. The command must succeed and print exactly want.
func (d *server) prints(want string, args ...string) {
	d.t.Helper()
	if out, errOut := d.ofdvr(0, args...); out != want || errOut != "" {
		d.t.Errorf("ofdvr %s prints\n%s%s\nwant\n%s", strings.Join(args, " "), out, errOut, want)
	}
}

// fails runs a command. The command must exit with status and print exactly want to standard
// error.
func (d *server) fails(status int, want string, args ...string) {
	d.t.Helper()
	if _, errOut := d.ofdvr(status, args...); errOut != want {
		d.t.Errorf("ofdvr %s prints the error\n%s\nwant\n%s", strings.Join(args, " "), errOut, want)
	}
}

// has checks that the ledger has exactly these objects, given as sorted kind/id.
func (d *server) has(want ...string) {
	d.t.Helper()
	m := d.ledger.Intent().Index.Model()
	var got []string
	for _, h := range m.Hosts {
		got = append(got, "host/"+h.ID)
	}
	for _, n := range m.Networks {
		got = append(got, "network/"+n.ID)
	}
	for _, p := range m.Ports {
		got = append(got, "port/"+p.ID)
	}
	for _, r := range m.Routers {
		got = append(got, "router/"+r.ID)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		d.t.Errorf("the ledger has %v, want %v", got, want)
	}
}

// events returns a channel that is closed after a change later than a revision.
func (d *server) events(since uint64) (<-chan struct{}, error) {
	_, more, err := d.ledger.Events(since)
	return more, err
}

// testLog is the log of servers in tests.
var testLog = func() *logging.Log {
	l, err := logging.New("error", "json")
	if err != nil {
		panic(err)
	}
	return l
}()
