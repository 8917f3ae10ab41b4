package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A load is a set of flows to program, in the input form of each contestant.
type load struct {
	n    int
	mods []ofproto.FlowMod
	file string // file with the flows in the text form of ovs-ofctl
}

// routedFlows returns n flows of the most frequent kind of compile.Compile: one for each
// address of each port, in the table that delivers.
func routedFlows(n int) []ofproto.FlowMod {
	mods := make([]ofproto.FlowMod, n)
	for i := range mods {
		addr, router, port := routedFlow(i)
		mods[i] = ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: ofproto.Flow{
			FlowKey: ofproto.FlowKey{Table: deliverTable, Priority: deliverPriority,
				Match: ofproto.MatchOf(ofproto.IPv4(), ofproto.IPv4Dst(netip.PrefixFrom(netip.AddrFrom4(addr), 32)))},
			Cookie: flowCookie(i),
			Do: ofproto.ApplyActions(
				ofproto.SetField{Field: ofproto.EthSrc(router)},
				ofproto.SetField{Field: ofproto.EthDst(port)},
				ofproto.DecTTL{},
				ofproto.Output{Port: flowPort(i)},
			),
		}}
	}
	return mods
}

const (
	deliverTable    = 2
	deliverPriority = 100
)

// routedFlow returns the destination of flow i and the addresses that it sets.
func routedFlow(i int) (addr [4]byte, router, port ofproto.MAC) {
	binary.BigEndian.PutUint32(addr[:], 10<<24|uint32(i))
	router = ofproto.MAC{2, 0, 0, 1, 0, byte(i >> 16)}
	port = ofproto.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
	return addr, router, port
}

func flowCookie(i int) ofproto.Cookie { return ofproto.Cookie(uint64(i+1) * 0x9e3779b97f4a7c15) }
func flowPort(i int) ofproto.PortNo   { return ofproto.PortNo(1 + i>>8) }

// A contestant is a method to program flows.
type contestant struct {
	name  string
	limit string // name of the contestant that is the baseline of this one; "" if this one is a baseline
	// prepare does the untimed work and returns the timed function run. done, if not nil, is
	// called after run has returned and the flows were counted.
	prepare func(ctx context.Context, b *wireBridge, l *load) (run func(context.Context) error, done func(), err error)
	lossy   bool // the contestant may lose flows; the benchmark counts lost flows and does not fail

	rates sample // flows a second
	lost  int    // the largest number of missing flows after a run
}

// programming compares methods to program 1,000, 10,000 and 100,000 flows into an empty
// bridge.
func programming(ctx context.Context, rounds int) (section, error) {
	b, err := newWireBridge(ctx)
	if err != nil {
		return "", err
	}
	defer b.close()
	peer := newOfnet(b.h.Path(mgmtSocket))
	var out strings.Builder
	for _, size := range []struct{ flows, runs, rounds int }{
		{1_000, 4, rounds},
		{10_000, 2, rounds},
		{100_000, 1, (rounds + 1) / 2},
	} {
		rows, err := programmingTable(ctx, b, contestants(peer), size.flows, size.rounds, size.runs)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%s flows, %d rounds of %s:\n\n%s\n", thousands(size.flows), size.rounds, runs(size.runs), table(rows))
	}
	return section(strings.TrimSuffix(out.String(), "\n")), nil
}

const (
	bundleLimit = "pre-encoded bundle, Unix socket"
	ofctlBundle = "`ovs-ofctl --bundle add-flows`"
)

func contestants(peer *ofnet) []*contestant {
	const (
		bundleTCP = "pre-encoded bundle, TCP"
		plainUnix = "pre-encoded plain, Unix socket"
		plainTCP  = "pre-encoded plain, TCP"
	)
	return []*contestant{ // each contestant is next to its baseline, because the speed of a machine varies
		{name: bundleLimit, prepare: preEncoded("unix", encodeBundle)},
		{name: "**ofdvr bundle, Unix socket**", limit: bundleLimit, prepare: committed("unix")},
		{name: bundleTCP, prepare: preEncoded("tcp", encodeBundle)},
		{name: "**ofdvr bundle, TCP**", limit: bundleTCP, prepare: committed("tcp")},
		{name: plainUnix, prepare: preEncoded("unix", encodePlain)},
		{name: "**ofdvr plain, Unix socket**", limit: plainUnix, prepare: programmed("unix")},
		{name: plainTCP, prepare: preEncoded("tcp", encodePlain)},
		{name: "**ofdvr plain, TCP**", limit: plainTCP, prepare: programmed("tcp")},
		{name: ofctlBundle, limit: bundleLimit, prepare: ofctl("--bundle", "add-flows")},
		{name: "`ovs-ofctl add-flows`", limit: plainUnix, prepare: ofctl("add-flows")},
		{name: "ofnet bundle, Unix socket", limit: bundleLimit, prepare: peer.transaction, lossy: true},
		{name: "libOpenflow plain, Unix socket", limit: plainUnix, prepare: messageStream, lossy: true},
	}
}

func programmingTable(ctx context.Context, b *wireBridge, cs []*contestant, n, rounds, runs int) ([][]string, error) {
	l := &load{n: n, mods: routedFlows(n)}
	var text strings.Builder
	for i := range l.mods {
		fmt.Fprintln(&text, l.mods[i].Flow)
	}
	var err error
	if l.file, err = b.h.WriteFile(fmt.Sprintf("flows-%d", n), text.String()); err != nil {
		return nil, err
	}
	for round := range rounds {
		var line strings.Builder
		for i := range cs {
			c := cs[(i+round)%len(cs)] // rotates the order, so that each contestant is measured first in some rounds
			if err := c.measure(ctx, b, l, runs); err != nil {
				return nil, fmt.Errorf("%s, %d flows: %w", c.name, n, err)
			}
		}
		for _, c := range cs {
			fmt.Fprintf(&line, " %4.0f", c.rates[round]/1000)
		}
		fmt.Fprintf(os.Stderr, "  %6d flows, round %2d, thousands a second:%s\n", n, round+1, &line)
	}
	return programmingRows(cs, n), nil
}

func programmingRows(cs []*contestant, n int) [][]string {
	byName := make(map[string]*contestant)
	for _, c := range cs {
		byName[c.name] = c
	}
	rows := [][]string{{"way", "thousand flows/s", "of its limit", "over ovs-ofctl --bundle"}}
	for _, c := range cs {
		limit := "1"
		if c.limit != "" {
			limit = c.rates.over(byName[c.limit].rates).spread("%.2f")
		}
		thousand := make(sample, len(c.rates))
		for i, r := range c.rates {
			thousand[i] = r / 1000
		}
		name := c.name
		if c.lost != 0 {
			name += fmt.Sprintf(" (up to %s of %s flows missing)", thousands(c.lost), thousands(n))
		}
		rows = append(rows, []string{name, thousand.spread("%.1f"), limit, c.rates.over(byName[ofctlBundle].rates).spread("%.2f")})
	}
	return rows
}

// measure appends one round to c. A round has the given number of runs, each into an empty
// bridge.
func (c *contestant) measure(ctx context.Context, b *wireBridge, l *load, runs int) error {
	var total time.Duration
	for range runs {
		took, err := c.once(ctx, b, l)
		if err != nil {
			return err
		}
		total += took
	}
	c.rates = append(c.rates, float64(l.n*runs)/total.Seconds())
	return nil
}

func (c *contestant) once(ctx context.Context, b *wireBridge, l *load) (time.Duration, error) {
	if err := b.empty(ctx); err != nil {
		return 0, err
	}
	run, done, err := c.prepare(ctx, b, l)
	if err != nil {
		return 0, err
	}
	if done != nil {
		defer done()
	}
	runtime.GC() // so that no contestant pays for another's garbage
	start := time.Now()
	if err := run(ctx); err != nil {
		return 0, err
	}
	took := time.Since(start)
	have, err := b.count(ctx)
	if err != nil {
		return 0, err
	}
	if have != l.n && !c.lossy {
		return 0, fmt.Errorf("switch holds %d flows, want %d", have, l.n)
	}
	c.lost = max(c.lost, l.n-have)
	return took, nil
}

// thousands formats n with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

func runs(n int) string {
	if n == 1 {
		return "one run"
	}
	return fmt.Sprintf("%d runs", n)
}
