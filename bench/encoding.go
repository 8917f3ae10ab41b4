package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/contiv/libOpenflow/openflow13"
	"github.com/ofdvr/ofdvr/ofproto"
)

// encoding measures the cost of one flow without a switch.
func encoding(_ context.Context, rounds int) (section, error) {
	const part = 300 // flows in one part of a reply, about as many as Open vSwitch sends
	mods := routedFlows(part)
	entries := make(ofproto.FlowStatsReply, part)
	for i := range entries {
		entries[i].Flow = mods[i].Flow
	}
	reply := ofproto.Multipart{Reply: true, Body: entries}.Append(nil, 1)
	buf, lib := make([]byte, 0, 1024), libFlow(1)
	wire, err := lib.MarshalBinary()
	if err != nil {
		return "", fmt.Errorf("encode with libOpenflow: %w", err)
	}
	if ours := mods[1].Append(buf, lib.Xid); !bytes.Equal(wire, ours) {
		return "", fmt.Errorf("libOpenflow encodes a different flow mod:\n%x, want\n%x", wire, ours)
	}
	tests := []struct {
		name  string
		flows int // number of flows that one operation handles
		op    func() error

		ns                sample
		allocs, allocated float64
	}{
		{name: "**ofdvr: encode a flow-mod**", flows: 1, op: func() error {
			buf = mods[1].Append(buf[:0], 1)
			return nil
		}},
		{name: "libOpenflow: encode a flow-mod", flows: 1, op: func() error {
			_, err := lib.MarshalBinary()
			return err
		}},
		{name: "**ofdvr: decode an entry of flow statistics**", flows: part, op: func() error {
			_, err := ofproto.Decode(reply)
			return err
		}},
		{name: "libOpenflow: decode an entry of flow statistics", flows: part, op: func() error {
			_, err := openflow13.Parse(reply)
			return err
		}},
	}
	for round := range max(1, rounds/4) { // each takes a second
		for i := range tests {
			t := &tests[i]
			var failed error
			r := testing.Benchmark(func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := t.op(); err != nil {
						failed = err
						return
					}
				}
			})
			if failed != nil {
				return "", fmt.Errorf("%s: %w", t.name, failed)
			}
			per := float64(r.N * t.flows)
			t.ns = append(t.ns, float64(r.T.Nanoseconds())/per)
			t.allocs, t.allocated = float64(r.MemAllocs)/per, float64(r.MemBytes)/per
			fmt.Fprintf(os.Stderr, "  round %2d  %-48s %7.1f ns\n", round+1, t.name, t.ns[round])
		}
	}
	rows := [][]string{{"one flow", "ns", "allocations", "bytes allocated"}}
	for _, t := range tests {
		rows = append(rows, []string{t.name, t.ns.spread("%.0f"), fmt.Sprintf("%.2f", t.allocs), fmt.Sprintf("%.0f", t.allocated)})
	}
	return table(rows), nil
}
