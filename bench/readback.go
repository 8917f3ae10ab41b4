package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

const readbackFlows = 100_000

// A dump is the cost of one method to read all flows back. Each runs in its own process,
// so that its memory is known.
type dump struct {
	Took  time.Duration
	Flows int // number returned; 0 if the method does not count them
	Peak  int // peak memory of the process in bytes
}

// A reader is a method to read the flows of a switch.
type reader struct {
	way, name string
	read      func(ctx context.Context, socket string) (dump, error)

	ms, mb sample
	flows  int
}

func readers() []*reader {
	return []*reader{
		{way: "raw", name: "bytes, not decoded", read: readRaw},
		{way: "ofdvr", name: "**ofdvr**", read: readOfdvr},
		{way: "ofctl", name: ofctlDump, read: readOfctl},
		{way: "ofnet", name: "ofnet's DumpFlowStats", read: readOfnet},
	}
}

const ofctlDump = "`ovs-ofctl dump-flows`"

// readback compares methods to read the flows of a bridge with 100,000 flows.
func readback(ctx context.Context, rounds int) (section, error) {
	b, err := newWireBridge(ctx)
	if err != nil {
		return "", err
	}
	defer b.close()
	if err := b.conns["unix"].Commit(ctx, routedFlows(readbackFlows)); err != nil {
		return "", err
	}
	rs := readers()
	for round := range rounds {
		for i := range rs {
			r := rs[(i+round)%len(rs)] // rotates the order, so that each reader is measured first in some rounds
			if err := b.settle(ctx); err != nil {
				return "", err
			}
			if err := r.measure(ctx, b.h.Path(mgmtSocket)); err != nil {
				return "", fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(os.Stderr, "  round %2d  %-24s %7.1f ms  %6.1f MB\n", round+1, r.name, r.ms[round], r.mb[round])
		}
	}
	byWay := make(map[string]*reader)
	for _, r := range rs {
		byWay[r.way] = r
	}
	rows := [][]string{{"way", "ms", "of ovs-ofctl's time", "of the limit's time", "flows returned", "peak memory, MB"}}
	for _, r := range rs {
		flows, ratio, limit, peak := "–", "–", "–", r.mb.spread("%.0f")
		if r.flows != 0 {
			flows = thousands(r.flows)
		}
		if r.flows != 0 && r.flows != readbackFlows { // a reader that does less cannot be compared
			peak = "–"
		} else {
			ratio, limit = r.ms.over(byWay["ofctl"].ms).spread("%.2f"), r.ms.over(byWay["raw"].ms).spread("%.2f")
		}
		rows = append(rows, []string{r.name, r.ms.spread("%.0f"), ratio, limit, flows, peak})
	}
	return table(rows), nil
}

// measure appends one round to r.
func (r *reader) measure(ctx context.Context, socket string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-dump", r.way, "-socket", socket)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var d dump
	if err := json.Unmarshal(out, &d); err != nil {
		return err
	}
	r.ms = append(r.ms, d.Took.Seconds()*1000)
	r.mb = append(r.mb, float64(d.Peak)/1e6)
	r.flows = d.Flows
	return nil
}

// runDump runs in the process that measure starts.
func runDump(ctx context.Context, way, socket string) error {
	for _, r := range readers() {
		if r.way != way {
			continue
		}
		d, err := r.read(ctx, socket)
		if err != nil {
			return err
		}
		if d.Peak == 0 {
			if d.Peak, err = peakMemory(); err != nil {
				return err
			}
		}
		return json.NewEncoder(os.Stdout).Encode(d)
	}
	return fmt.Errorf("unknown way %q", way)
}

// peakMemory returns the peak of the memory of this process in bytes.
func peakMemory() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			return kb * 1024, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

func readRaw(_ context.Context, socket string) (dump, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return dump{}, err
	}
	c, err := newRawConn(nc)
	if err != nil {
		return dump{}, err
	}
	start := time.Now()
	err = c.readFlows()
	return dump{Took: time.Since(start)}, err
}

// readFlows requests all flows and reads the parts of the reply without decoding
// them.
func (c *rawConn) readFlows() error {
	const xid = 1
	if _, err := c.nc.Write(ofproto.Request(ofproto.FlowStatsRequest(ofproto.AllFlows())).Append(nil, xid)); err != nil {
		return err
	}
	for {
		h, m, err := c.next()
		if err != nil {
			return err
		}
		if h.XID != xid || len(m) < 16 {
			return io.ErrUnexpectedEOF
		}
		if m[11]&1 == 0 { // no OFPMPF_REPLY_MORE
			return nil
		}
	}
}

func readOfdvr(ctx context.Context, socket string) (dump, error) {
	nc, err := net.Dial("unix", socket)
	if err != nil {
		return dump{}, err
	}
	c := ofconn.New(nc, ofconn.Config{})
	go c.Run(ctx, func(ofproto.Message) {}) // until the process ends
	if _, err := c.Features(ctx); err != nil {
		return dump{}, err
	}
	start := time.Now()
	flows, err := c.Flows(ctx, ofproto.AllFlows())
	return dump{Took: time.Since(start), Flows: len(flows)}, err
}

func readOfctl(ctx context.Context, socket string) (dump, error) {
	cmd := exec.CommandContext(ctx, "ovs-ofctl", "--protocols=OpenFlow13", "dump-flows", "unix:"+socket) // to /dev/null
	start := time.Now()
	err := cmd.Run()
	d := dump{Took: time.Since(start)}
	if err == nil {
		d.Peak = int(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
	}
	return d, err
}

func readOfnet(ctx context.Context, socket string) (dump, error) {
	o := newOfnet(socket)
	if err := o.connect(ctx); err != nil {
		return dump{}, err
	}
	o.sw.EnableMonitor()
	start := time.Now()
	flows, err := o.sw.DumpFlowStats(0, new(uint64), nil, nil)
	return dump{Took: time.Since(start), Flows: len(flows)}, err
}
