package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

const portsEachRound = 200

// onePort measures the time to add one port to a router with 1,000, 10,000 and 100,000 ports.
// The time starts with the change of the intent. It includes the daemon's compiler and
// reconciler, and ends when the switch has confirmed the flow.
func onePort(ctx context.Context, rounds int) (section, error) {
	b, err := newWireBridge(ctx)
	if err != nil {
		return "", err
	}
	defer b.close()
	rows := [][]string{{"flows", "ports added", "ofdvr, p50, ms", "ofdvr, p99, ms", "limit, p50, ms", "limit, p99, ms",
		"of the limit, p50", "before the first byte, p50, ms", "memory, bytes a flow"}}
	for _, n := range []int{1_000, 10_000, 100_000} {
		g, err := newGrowth(ctx, b, n)
		if err != nil {
			return "", fmt.Errorf("%d flows: %w", n, err)
		}
		for round := range rounds {
			if err := g.round(ctx, b, round); err != nil {
				return "", fmt.Errorf("%d flows: %w", n, err)
			}
			fmt.Fprintf(os.Stderr, "  %6d flows, round %2d, ms: %.3f, limit %.3f\n", n, round+1, g.p50[round], g.limitP50[round])
		}
		rows = append(rows, []string{thousands(g.prog.Flows.Len()), thousands(len(g.all)),
			g.p50.spread("%.2f"), fmt.Sprintf("%.2f", g.all.quantile(0.99)),
			g.limitP50.spread("%.2f"), fmt.Sprintf("%.2f", g.limitAll.quantile(0.99)),
			g.p50.over(g.limitP50).spread("%.2f"), fmt.Sprintf("%.2f", g.ready.quantile(0.5)), fmt.Sprint(g.memory)})
		g.close()
	}
	return table(rows), nil
}

// A growth is a router to which ports are added and removed, one at a time.
type growth struct {
	index   *routing.Index
	router  *routing.Router
	facts   compile.Facts
	prog    compile.Program
	gen     uint64
	rec     *reconcile.Reconciler
	reports chan reconcile.Report // capacity 100: more than the reports of one change
	limit   *rawConn
	memory  int // bytes of the heap for each flow
	close   func()

	// Milliseconds. p50 and limitP50 have the median of each round, the others all single
	// values.
	p50, limitP50        sample
	all, limitAll, ready sample
}

// newGrowth returns a router with n ports whose flows are in the switch.
func newGrowth(ctx context.Context, b *wireBridge, n int) (*growth, error) {
	if err := b.empty(ctx); err != nil {
		return nil, err
	}
	before := heap()
	m := grownModel(n)
	g := &growth{index: routing.NewIndex(m), router: &m.Routers[0], facts: compile.Facts{Ports: make(compile.Ports), Can: compile.CanAll}, reports: make(chan reconcile.Report, 100)}
	for i := range g.router.Interfaces {
		f := &g.router.Interfaces[i]
		g.facts.Ports[f.PatchName()], g.facts.Ports[f.TapName()] = ofproto.PortNo(2*i+1), ofproto.PortNo(2*i+2)
	}
	g.prog = compile.Compile(g.index, g.router, g.facts)
	if err := mend(ctx, b.conns["unix"], g.prog.Flows); err != nil {
		return nil, err
	}
	have, err := readBack(ctx, b.conns["unix"])
	if err != nil {
		return nil, err
	}
	g.memory = (heap() - before) / g.prog.Flows.Len()
	if !have.Equal(g.prog.Flows) { // a daemon that has just started holds both sets, and the model
		return nil, fmt.Errorf("switch has other flows than the %d of %d ports", g.prog.Flows.Len(), len(m.Ports))
	}
	if g.limit, err = b.dialRaw(ctx, "unix"); err != nil {
		return nil, err
	}
	g.rec = reconcile.New(reconcile.Config{
		Router: "r1", Switch: reconcile.Connected{Conn: b.conns["unix"]}, Audit: time.Hour,
		Ours:      func(c ofproto.Cookie) bool { _, ours := compile.RoleOf(c); return ours },
		OursGroup: compile.OursGroup, OursMeter: compile.OursMeter,
		Report: func(r reconcile.Report) { g.reports <- r }, Recorder: noRecorder{}, Log: zap.NewNop(),
	})
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- g.rec.Run(run) }()
	g.close = func() {
		stop()
		<-ended
		g.limit.nc.Close()
	}
	return g, g.settle(ctx)
}

// settle sets the program as desired and returns when the switch has confirmed it.
func (g *growth) settle(ctx context.Context) error {
	g.gen++
	g.rec.Want(reconcile.Program{Generation: g.gen, Flows: g.prog.Flows})
	for {
		select {
		case r := <-g.reports:
			if r.Generation == g.gen && r.State == reconcile.Settled {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// noRecorder is a Recorder that ignores everything.
type noRecorder struct{}

func (noRecorder) Committed(string, time.Duration, ofproto.Delta, error) {}
func (noRecorder) Reconciled(string, time.Duration)                      {}
func (noRecorder) SwitchError(string, ofproto.ErrorCode)                 {}
func (noRecorder) Drifted(string, int, int, int)                         {}
func (noRecorder) DriftedTables(string, int, int)                        {}

// heap returns the bytes of the heap in use.
func heap() int {
	for range 2 { // the second collection frees the contents of a sync.Pool
		runtime.GC()
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}

// grownModel returns a router with two interfaces and n ports.
func grownModel(n int) *routing.Model {
	r := routing.Router{ID: "r1", Bridge: routing.Bridge{Managed: true}, ARPResponder: true}
	m := &routing.Model{}
	for i, id := range []string{"blue", "green"} {
		m.Networks = append(m.Networks, routing.Network{ID: id, VLAN: uint16(i + 1), MTU: 1500})
		r.Interfaces = append(r.Interfaces, routing.Interface{ID: id, Network: id, MAC: ofproto.MAC{2, 1, 0, 0, 0, byte(i + 1)},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(128 * i), 0, 1}), 9)}})
	}
	m.Routers = []routing.Router{r}
	for i := range n {
		m.Ports = append(m.Ports, grownPort(i))
	}
	return m
}

// grownPort returns port i, whose ID is as long as a UUID.
func grownPort(i int) routing.Port {
	network, host := i%2, i+16
	return routing.Port{
		ID:        fmt.Sprintf("00000000-0000-4000-8000-%012x", i),
		Network:   []string{"blue", "green"}[network],
		MAC:       ofproto.MAC{2, 0, 0, byte(host >> 16), byte(host >> 8), byte(host)},
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(128*network + host>>16), byte(host >> 8), byte(host)})},
	}
}

// round adds ports. After each port, the baseline adds the same flow. The deletion of both is
// not measured.
func (g *growth) round(ctx context.Context, b *wireBridge, round int) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	runtime.GC()
	first, before := len(g.all), g.prog.Flows
	for i := range portsEachRound {
		p := grownPort(200_000 + round*portsEachRound + i)
		start := time.Now()
		mods := g.change(routing.Change{Put: routing.Model{Ports: []routing.Port{p}}})
		ready := time.Since(start)
		if err := g.settle(ctx); err != nil {
			return err
		}
		g.all, g.ready = append(g.all, time.Since(start).Seconds()*1000), append(g.ready, ready.Seconds()*1000)
		if len(mods) != 1 {
			return fmt.Errorf("one port needs %d changes: %v", len(mods), mods)
		}
		g.change(routing.Change{Delete: routing.IDs{Ports: []string{p.ID}}})
		if err := g.settle(ctx); err != nil {
			return err
		}
		if err := g.addRaw(mods); err != nil {
			return err
		}
	}
	g.p50, g.limitP50 = append(g.p50, g.all[first:].median()), append(g.limitP50, g.limitAll[first:].median())
	if !g.prog.Flows.Equal(before) {
		return errors.New("deleted ports left flows behind")
	}
	return b.expect(ctx, before.Len())
}

// change applies c and returns the messages for the switch.
func (g *growth) change(c routing.Change) []ofproto.FlowMod {
	old := g.prog.Flows
	g.index = g.index.With(c)
	g.prog = compile.Recompile(g.prog, g.index, g.router, g.facts)
	return ofproto.Diff(old, g.prog.Flows).Mods()
}

// addRaw adds a flow in a pre-encoded bundle, and deletes it.
func (g *growth) addRaw(mods []ofproto.FlowMod) error {
	add, last := encodeBundle(mods)
	start := time.Now()
	if err := g.limit.exchange(add, last); err != nil {
		return err
	}
	g.limitAll = append(g.limitAll, time.Since(start).Seconds()*1000)
	gone := slices.Clone(mods)
	gone[0].Command = ofproto.FlowDeleteStrict
	del, last := encodeBundle(gone)
	return g.limit.exchange(del, last)
}
