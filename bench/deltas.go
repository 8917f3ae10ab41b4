package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// deltas measures the duration of a change of one object by another writer, in a store with
// 100, 1,000, 10,000 and 100,000 ports. The time starts when the source reports the change.
// It includes the ledger, the compiler and the reconciler, and ends when the switch has
// confirmed the bundle.
func deltas(ctx context.Context, rounds int) (section, error) {
	b, err := newWireBridge(ctx)
	if err != nil {
		return "", err
	}
	defer b.close()
	rows := [][]string{{"ports", "changes", "until the switch has confirmed, p50, ms", "p99, ms", "until the bundle, p50, ms", "limit, p50, ms"}}
	var fewest, most *follower
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		f, err := newFollower(ctx, b, n)
		if err != nil {
			return "", fmt.Errorf("%d ports: %w", n, err)
		}
		for round := range rounds {
			if err := f.round(ctx, b, round); err != nil {
				return "", fmt.Errorf("%d ports: %w", n, err)
			}
			fmt.Fprintf(os.Stderr, "  %6d ports, round %2d, ms: %.3f, until the bundle %.3f, limit %.3f\n", n, round+1, f.p50[round], f.readyP50[round], f.limitP50[round])
		}
		rows = append(rows, []string{thousands(n), thousands(len(f.all)), f.p50.spread("%.2f"), fmt.Sprintf("%.2f", f.all.quantile(0.99)), f.readyP50.spread("%.3f"), f.limitP50.spread("%.2f")})
		f.stop()
		if fewest == nil {
			fewest = f
		}
		most = f
	}
	ratio := func(of func(*follower) sample) string {
		return fmt.Sprintf("%.2f", of(most).median()/of(fewest).median())
	}
	rows = append(rows, []string{"100,000 over 100", "", ratio(func(f *follower) sample { return f.p50 }), "",
		ratio(func(f *follower) sample { return f.readyP50 }), ratio(func(f *follower) sample { return f.limitP50 })})
	return table(rows), nil
}

// A follower is a router whose ledger follows a store with other writers.
type follower struct {
	*growth
	others   *others
	ledger   *ledger.Ledger
	loaded   chan struct{} // capacity 1: the current update
	before   ofproto.Set   // flows
	readyP50 sample
	stop     func()
}

// others is a store in memory to which others write.
type others struct {
	model    *routing.Model
	revision uint64
	updates  chan ledger.Update
}

func (*others) Name() string      { return "others" }
func (*others) Role() ledger.Role { return ledger.Shared }

func (o *others) Load(context.Context) (ledger.Contents, error) {
	return ledger.Contents{Revision: 1, Complete: true, Model: o.model}, nil
}

func (o *others) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), update func(ledger.Update) error) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case u := <-o.updates:
			if err := update(u); err != nil {
				return err
			}
		}
	}
}

// put puts a port as another writer.
func (o *others) put(p routing.Port) {
	o.revision++
	o.updates <- ledger.Update{Revision: o.revision, Complete: true, Loaded: time.Now(), Change: routing.Change{Put: routing.Model{Ports: []routing.Port{p}}}}
}

func newFollower(ctx context.Context, b *wireBridge, n int) (*follower, error) {
	g, err := newGrowth(ctx, b, n)
	if err != nil {
		return nil, err
	}
	f := &follower{growth: g, others: &others{model: grownModel(n), revision: 1, updates: make(chan ledger.Update)}, loaded: make(chan struct{}, 1)}
	if f.ledger, err = ledger.Open(ctx, ledger.Config{Sources: []ledger.Source{f.others}, Log: zap.NewNop()}); err != nil {
		return nil, err
	}
	f.take(f.ledger.Intent())
	run, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.ledger.Run(run, f) }()
	f.stop = func() {
		end()
		<-done
		g.close()
	}
	return f, nil
}

// Load implements [ledger.Reader], like the daemon's world.
func (f *follower) Load(s *ledger.Intent, _ []string) {
	f.take(s)
	f.loaded <- struct{}{}
}

func (f *follower) take(s *ledger.Intent) {
	f.before = f.prog.Flows
	f.index, f.router = s.Index, s.Index.Router("r1")
	f.prog = compile.Recompile(f.prog, s.Index, f.router, f.facts)
}

// round changes ports as another writer; each port gets another MAC address. The baseline
// then writes the same flow.
func (f *follower) round(ctx context.Context, b *wireBridge, round int) error {
	if err := b.settle(ctx); err != nil {
		return err
	}
	runtime.GC()
	first := len(f.all)
	for i := range portsEachRound {
		p := grownPort(i * 7919 % len(f.others.model.Ports))
		p.MAC[1] = byte(round + 1)
		p.MAC[2] = byte(i / len(f.others.model.Ports))
		start := time.Now()
		f.others.put(p)
		select {
		case <-f.loaded:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		ready := time.Since(start)
		if err := f.settle(ctx); err != nil {
			return err
		}
		f.all, f.ready = append(f.all, time.Since(start).Seconds()*1000), append(f.ready, ready.Seconds()*1000)
		mods := ofproto.Diff(f.before, f.prog.Flows).Mods()
		if len(mods) != 1 {
			return fmt.Errorf("one port needs %d changes: %v", len(mods), mods)
		}
		wire, last := encodeBundle(mods)
		start = time.Now()
		if err := f.limit.exchange(wire, last); err != nil {
			return err
		}
		f.limitAll = append(f.limitAll, time.Since(start).Seconds()*1000)
	}
	f.p50, f.readyP50, f.limitP50 = append(f.p50, f.all[first:].median()), append(f.readyP50, f.ready[first:].median()), append(f.limitP50, f.limitAll[first:].median())
	return b.expect(ctx, f.prog.Flows.Len())
}
