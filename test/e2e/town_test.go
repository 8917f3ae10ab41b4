package e2e

import (
	"context"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/doctor"
	"github.com/ofdvr/ofdvr/controller/history"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/controller/page"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A town is an intent that is too large for a switch in a test. It has the page, the real API
// and a real ledger, but simulated switches.
type town struct {
	unread
	*history.History
	model    *routing.Model
	ticks    atomic.Uint64 // readings of counters
	examined atomic.Uint64 // times
}

// unread has the methods that the page does not need.
type unread struct{ api.Switches }

// townLog has sixty made-up events.
type townLog struct{ api.Log }

func (townLog) Since(uint64) (out []logging.Entry, more <-chan struct{}) {
	for i := range 60 {
		e := logging.Entry{Seq: uint64(i + 1), Time: time.Date(2026, 11, 30, 12, 0, i, 0, time.UTC), Level: "info", Message: "changed flows", Fields: map[string]any{"router": fmt.Sprintf("r%d", i%12+1), "add": i, "delete": 0}}
		if i%20 == 17 {
			e.Level, e.Message = "warn", "repaired flows that others had changed"
		}
		out = append(out, e)
	}
	return out, nil
}

// serveTown serves the page of m on the host, at the address of the daemon.
func serveTown(t *testing.T, h *lab.Host, m *routing.Model) *ledger.Ledger {
	t.Helper()
	st, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{townDisk{st}}, Write: townDisk{st}, Complete: true, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.Run(ctx, ignoreIntent{})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	if _, err := l.Write(t.Context(), ledger.ReplaceAll(*m, false)); err != nil {
		t.Fatal(err)
	}
	ln, err := h.ListenIn(t.Context(), "", "tcp", "127.0.0.1:9476")
	if err != nil {
		t.Fatal(err)
	}
	w := &town{History: history.New(), model: m}
	w.past()
	handler := api.Handler(l, w, townLog{}, "v", nil, api.Others{})
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("GET /v1/examination", page.Examination(handler))
	server := &http.Server{Handler: page.Open(mux, http.NotFoundHandler(), "host1")}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l
}

// ignoreIntent ignores the intent.
type ignoreIntent struct{}

func (ignoreIntent) Load(*ledger.Intent, []string) {}

// townDisk adapts a store to the ledger.
type townDisk struct{ *store.Store }

func (d townDisk) Name() string      { return d.Path() }
func (d townDisk) Role() ledger.Role { return ledger.Own }

func (d townDisk) Commit(_ context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	return b.Revision, d.Store.Commit(b.Revision, b.Complete, changes...)
}

func (d townDisk) Load(context.Context) (ledger.Contents, error) {
	c, err := d.Store.Load(nil)
	return ledger.Contents{Revision: c.Revision, Complete: c.Complete, Model: c.Model}, err
}

func (d townDisk) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), _ func(ledger.Update) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Status has routers in every state of health. One in seventeen has a problem.
func (w *town) Status(context.Context) (controller.Status, error) {
	s := controller.Status{Intent: controller.IntentStatus{Revision: 1, Complete: true, Networks: len(w.model.Networks), Routers: len(w.model.Routers), Ports: len(w.model.Ports)}, Routers: []controller.RouterStatus{}}
	for i := range w.model.Routers {
		r := controller.RouterStatus{ID: w.model.Routers[i].ID, Bridge: w.model.Routers[i].BridgeName(), Managed: true, Connected: true, State: "settled", Settled: true, FlowsWanted: 90, FlowsInstalled: 90}
		switch i % 51 {
		case 17:
			r.Connected, r.Settled, r.State, r.Problems = false, false, "disconnected", []string{"bridge " + r.Bridge + " is not connected"}
		case 34:
			r.Settled, r.State, r.FlowsRefused, r.Problems = false, "degraded", 1, []string{"flow of port p7: the table is full"}
		case 50:
			r.Settled, r.State, r.FlowsInstalled = false, "committing", 40
		}
		s.Routers = append(s.Routers, r)
	}
	return s, nil
}

// Counters grow at each reading, every two seconds, by an amount that depends on the router's
// number.
func (w *town) Counters(context.Context) (counters.Snapshot, error) {
	n := w.ticks.Add(1)
	s := w.counted(func(int) float64 { return float64(n) })
	s.At = time.Duration(n) * 2 * time.Second
	return s, nil
}

// past fills the history with rates that rise and fall, and end with the rates of Counters.
func (w *town) past() {
	const samples = history.Samples + 10
	sums := make([]float64, len(w.model.Routers))
	for n := range samples {
		for i := range sums {
			sums[i] += history.Interval.Seconds() / 2 * (0.55 + 0.45*math.Cos(float64(n-samples+1)/float64(4+i%7)))
		}
		s := w.counted(func(i int) float64 { return sums[i] })
		s.At = time.Duration(n+1) * history.Interval
		w.Add(time.Now(), s)
	}
}

// counted returns the counters of routers, each after the given number of ticks of two
// seconds.
func (w *town) counted(ticks func(router int) float64) counters.Snapshot {
	var c counters.Snapshot
	for i := range w.model.Routers {
		r := counters.Router{Router: w.model.Routers[i].ID, Known: true, Read: true, Connected: true}
		for k, f := range w.model.Routers[i].Interfaces {
			packets := uint64(ticks(i) * float64((i%7)*(i%5)*(1+k)*900))
			r.Interfaces = append(r.Interfaces, counters.Object{ID: f.ID, ByRole: counters.ByRole{
				compile.RoleDeliver: {Packets: packets, Bytes: packets * 1100}, compile.RoleIn: {Packets: packets * 2 / 3, Bytes: packets * 90},
			}})
		}
		c.Routers = append(c.Routers, r)
	}
	for i := range w.model.Ports[:min(100, len(w.model.Ports))] {
		c.Ports = append(c.Ports, counters.Port{Router: "r1", Interface: "r1-1", Port: w.model.Ports[i].ID, Tally: counters.Tally{Packets: uint64(ticks(0)) * 7, Bytes: uint64(ticks(0)) * 700}})
	}
	return c
}

// Machines has an integration bridge where one machine in fifty is not plugged in.
func (w *town) Machines(context.Context) (*machines.Evidence, error) {
	bridge := ovsdb.BridgeRow{Name: lab.IntegrationBridge}
	tags := make(map[string]int)
	for _, n := range w.model.Networks {
		tags[n.ID] = int(n.VLAN)
	}
	for i := range w.model.Ports {
		p := &w.model.Ports[i]
		if i%50 == 49 {
			continue
		}
		row := ovsdb.PortRow{Name: "tap-" + p.ID, Interfaces: []ovsdb.InterfaceRow{{
			Name: "tap-" + p.ID, OFPort: i + 1, ExternalIDs: map[string]string{ovsdb.KeyIfaceID: p.ID, ovsdb.KeyAttachedMAC: p.MAC.String()},
		}}}
		if tag := tags[p.Network]; tag != 0 {
			row.Tag = &tag
		}
		bridge.Ports = append(bridge.Ports, row)
	}
	return machines.NewEvidence(&bridge, nil, nil, nil, nil), nil
}

// Examine has findings of each level.
func (w *town) Examine(context.Context) ([]doctor.Finding, error) {
	n := w.examined.Add(1)
	return []doctor.Finding{
		{Level: doctor.Fine, About: "daemon", Says: fmt.Sprintf("leads; examination %d", n)},
		{Level: doctor.Note, About: "limits", Says: "a client was refused", Remedy: "ask less often"},
		{Level: doctor.Problem, About: "router r18", Says: "bridge rb-r18 is not connected", Remedy: "see whether ovs-vswitchd runs: systemctl status openvswitch-switch"},
	}, nil
}

func (w *town) Conditions(_ context.Context, objects []ledger.Object) ([]controller.Condition, error) {
	out := make([]controller.Condition, len(objects))
	for i := range out {
		out[i].Programmed = true
	}
	return out, nil
}

// Flows has five thousand flows for each router, each for a port.
func (w *town) Flows(_ context.Context, id string) (iter.Seq[controller.Flow], error) {
	out := make([]controller.Flow, 5000)
	for i := range out {
		port := fmt.Sprintf("%s%s-vm%d", []string{"web", "data"}[i%2], id[1:], i+1)
		out[i] = controller.Flow{Text: fmt.Sprintf("priority=100,ip,nw_dst=10.%d.%d.9 actions=dec_ttl,output:1", i/256, i%256),
			Object: &routing.Object{Kind: routing.KindPort, ID: port}, Does: "sends packets to an address of port " + port}
	}
	return slices.Values(out), nil
}

// townOf returns a model with the given numbers of routers and ports. Each router has two
// networks of its own. Every tenth router has a third network that it shares with its
// neighbours.
func townOf(routers, ports int) *routing.Model {
	m := new(routing.Model)
	mac := func(kind, n int) ofproto.MAC {
		return ofproto.MAC{2, byte(kind), 0, byte(n >> 16), byte(n >> 8), byte(n)}
	}
	network := func(id string) {
		m.Networks = append(m.Networks, routing.Network{ID: id, MTU: 1500})
	}
	for i := range routers {
		r := routing.Router{ID: fmt.Sprintf("r%d", i+1), Bridge: routing.Bridge{Managed: true}, ARPResponder: true, NDResponder: true, EchoResponder: true, AnswerRate: 1000, UnknownRate: 50}
		join := func(network, address string) {
			r.Interfaces = append(r.Interfaces, routing.Interface{ID: fmt.Sprintf("%s-%d", r.ID, len(r.Interfaces)+1), Network: network,
				MAC: mac(len(r.Interfaces)+1, i), Addresses: []netip.Prefix{netip.MustParsePrefix(address)}})
		}
		for k, name := range []string{"web", "data"} {
			id := fmt.Sprintf("%s%d", name, i+1)
			network(id)
			join(id, fmt.Sprintf("10.%d.%d.1/24", (2*i+k)/256, (2*i+k)%256))
		}
		if i%10 < 3 && routers > 3 {
			shared := fmt.Sprintf("shared%d", i/10+1)
			if i%10 == 0 {
				network(shared)
			}
			join(shared, fmt.Sprintf("172.16.%d.%d/24", i/10, i%10+1))
		}
		m.Routers = append(m.Routers, r)
	}
	for i := range ports {
		r := i % routers
		k := i / routers % 2
		m.Ports = append(m.Ports, routing.Port{ID: fmt.Sprintf("%s%d-vm%d", []string{"web", "data"}[k], r+1, i/routers+1), Network: fmt.Sprintf("%s%d", []string{"web", "data"}[k], r+1), MAC: mac(16, i),
			Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", (2*r+k)/256, (2*r+k)%256, 10+i/routers%240))}})
	}
	return m
}
