package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A task is the desired and the initial flows of a switch.
type task struct {
	want, have ofproto.Set
	file       string // want in the text form of ovs-ofctl
}

// A drift is the share of a switch's flows that differ from the desired ones.
type drift struct {
	name  string
	every int // one flow in this many differs; 0 means none
}

var drifts = []drift{{"nothing differs", 0}, {"1 % differs", 100}, {"everything differs", 1}}

// from returns the flows of a drifted switch, given its desired flows in the parameter
// mods. Of the differing flows, one third has other actions, one third is missing, and one
// third is replaced by a flow for another address.
func (d drift) from(mods []ofproto.FlowMod) []ofproto.Flow {
	var flows []ofproto.Flow
	for i := range mods {
		f := mods[i].Flow
		if d.every != 0 && i%d.every == 0 {
			switch i / d.every % 3 {
			case 0:
				f.Do = ofproto.ApplyActions(ofproto.Output{Port: flowPort(i)})
			case 1:
				continue
			case 2:
				addr, _, _ := routedFlow(i)
				addr[1] |= 0x80
				f.Match = ofproto.MatchOf(ofproto.IPv4(), ofproto.IPv4Dst(netip.PrefixFrom(netip.AddrFrom4(addr), 32)))
			}
		}
		flows = append(flows, f)
	}
	return flows
}

// A mender is a method to find differences. Most menders also repair them.
type mender struct {
	name    string
	prepare func(ctx context.Context, b *wireBridge, t *task) (run func(context.Context) error, done func(), err error)
	looks   bool // the mender finds differences but does not repair them

	ms sample
}

const ofctlReplace = "`ovs-ofctl --bundle replace-flows`"

func menders() []*mender {
	return []*mender{
		{name: mendLimit, prepare: mendRaw},
		{name: "**ofdvr**", prepare: mendOfdvr},
		{name: ofctlReplace, prepare: mendOfctl("--bundle", "replace-flows")},
		{name: "`ovs-ofctl diff-flows`, which changes nothing", prepare: mendOfctl("diff-flows"), looks: true},
	}
}

const mendLimit = "bytes, not decoded; pre-encoded bundle"

// reconciling compares methods to bring a switch with 1,000, 10,000 and 100,000 flows to
// the desired flows.
func reconciling(ctx context.Context, rounds int) (section, error) {
	b, err := newWireBridge(ctx)
	if err != nil {
		return "", err
	}
	defer b.close()
	var out strings.Builder
	for _, size := range []struct{ flows, rounds int }{{1_000, rounds}, {10_000, rounds}, {100_000, (rounds + 1) / 2}} {
		mods := routedFlows(size.flows)
		want := make([]ofproto.Flow, len(mods))
		var text strings.Builder
		for i := range mods {
			want[i] = mods[i].Flow
			fmt.Fprintln(&text, want[i])
		}
		file, err := b.h.WriteFile(fmt.Sprintf("wanted-%d", size.flows), text.String())
		if err != nil {
			return "", err
		}
		rows := [][]string{{"", "way", "ms", "of replace-flows' time", "of the limit's time"}}
		for _, d := range drifts {
			t := &task{want: ofproto.SetOf(want), have: ofproto.SetOf(d.from(mods)), file: file}
			ms := menders()
			if err := mendRounds(ctx, b, t, ms, size.rounds, fmt.Sprintf("%6d flows, %s", size.flows, d.name)); err != nil {
				return "", fmt.Errorf("%d flows, %s: %w", size.flows, d.name, err)
			}
			rows = append(rows, mendRows(d, ms)...)
		}
		fmt.Fprintf(&out, "%s flows, %d rounds:\n\n%s\n", thousands(size.flows), size.rounds, table(rows))
	}
	return section(strings.TrimSuffix(out.String(), "\n")), nil
}

func mendRows(d drift, ms []*mender) (rows [][]string) {
	byName := make(map[string]*mender)
	for _, m := range ms {
		byName[m.name] = m
	}
	for i, m := range ms {
		what := ""
		if i == 0 {
			what = d.name
		}
		rows = append(rows, []string{what, m.name, m.ms.spread("%.1f"),
			m.ms.over(byName[ofctlReplace].ms).spread("%.2f"), m.ms.over(byName[mendLimit].ms).spread("%.2f")})
	}
	return rows
}

func mendRounds(ctx context.Context, b *wireBridge, t *task, ms []*mender, rounds int, title string) error {
	for round := range rounds {
		var line strings.Builder
		for i := range ms {
			m := ms[(i+round)%len(ms)] // rotates the order, so that each mender is measured first in some rounds
			if err := m.measure(ctx, b, t); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		for _, m := range ms {
			fmt.Fprintf(&line, " %7.1f", m.ms[round])
		}
		fmt.Fprintf(os.Stderr, "  %s, round %2d, ms:%s\n", title, round+1, &line)
	}
	return nil
}

// measure appends one round to m.
func (m *mender) measure(ctx context.Context, b *wireBridge, t *task) error {
	if err := mend(ctx, b.conns["unix"], t.have); err != nil {
		return err
	}
	run, done, err := m.prepare(ctx, b, t)
	if err != nil {
		return err
	}
	if done != nil {
		defer done()
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	runtime.GC() // so that no mender pays for another's garbage
	start := time.Now()
	if err := run(ctx); err != nil {
		return err
	}
	m.ms = append(m.ms, time.Since(start).Seconds()*1000)
	left := t.want
	if m.looks {
		left = t.have
	}
	have, err := readBack(ctx, b.conns["unix"])
	if err == nil && !have.Equal(left) {
		err = fmt.Errorf("switch is left with %d flows that differ", ofproto.Diff(have, left).Len())
	}
	return err
}

// readBack returns the flows of the switch.
func readBack(ctx context.Context, c *ofconn.Conn) (ofproto.Set, error) {
	stats, err := c.Flows(ctx, ofproto.AllFlows())
	flows := make([]ofproto.Flow, len(stats))
	for i := range stats {
		flows[i] = stats[i].Flow
	}
	return ofproto.SetOf(flows), err
}

// mend does the same as ofdvr's reconciler with a switch that has just connected.
func mend(ctx context.Context, c *ofconn.Conn, want ofproto.Set) error {
	have, err := readBack(ctx, c)
	if err != nil {
		return err
	}
	return c.Commit(ctx, ofproto.Diff(have, want).Mods()) // sends nothing if nothing differs
}

func mendOfdvr(_ context.Context, b *wireBridge, t *task) (func(context.Context) error, func(), error) {
	return func(ctx context.Context) error { return mend(ctx, b.conns["unix"], t.want) }, nil, nil
}

// mendRaw reads the switch's flows without decoding them. It writes changes that were
// computed in advance.
func mendRaw(ctx context.Context, b *wireBridge, t *task) (func(context.Context) error, func(), error) {
	mods := ofproto.Diff(t.have, t.want).Mods()
	wire, last := encodeBundle(mods)
	c, err := b.dialRaw(ctx, "unix")
	if err != nil {
		return nil, nil, err
	}
	return func(context.Context) error {
		if err := c.readFlows(); err != nil || len(mods) == 0 {
			return err
		}
		return c.exchange(wire, last)
	}, func() { c.nc.Close() }, nil
}

// mendOfctl makes ovs-ofctl compare the switch with the text of the desired flows.
func mendOfctl(args ...string) func(context.Context, *wireBridge, *task) (func(context.Context) error, func(), error) {
	return func(ctx context.Context, b *wireBridge, t *task) (func(context.Context) error, func(), error) {
		cmd := b.h.Command(ctx, "ovs-ofctl", append(append([]string{"--protocols=OpenFlow13"}, args...), benchBridge, t.file)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr // standard output goes to /dev/null
		return func(context.Context) error {
			err := cmd.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.ExitCode() == 2 && stderr.Len() == 0 { // diff-flows found differences
				return nil
			}
			if err != nil {
				err = fmt.Errorf("%w\n%s", err, &stderr)
			}
			return err
		}, nil, nil
	}
}
