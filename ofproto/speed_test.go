package ofproto_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// routed is a typical flow of a router.
var routed = Flow{
	FlowKey: FlowKey{2, 124, MatchOf(IPv4(), IPv4Dst(subnet("10.0.2.0/24")))},
	Cookie:  0xfd01c38f4cd4dbcd,
	Do: ApplyActions(SetField{EthSrc(routerMAC)}, SetField{EthDst(routerMAC)}, DecTTL{},
		Output{Port: 7}),
}

// flowsReply is the reply to a request for flows.
func flowsReply(flows ...FlowStats) Multipart {
	return Multipart{Reply: true, Body: FlowStatsReply(flows)}
}

func TestNoAllocations(t *testing.T) {
	buf, mod := make([]byte, 0, 1024), FlowMod{Command: FlowAdd, Flow: routed}
	if n := testing.AllocsPerRun(100, func() { mod.Append(buf, 1) }); n != 0 {
		t.Errorf("FlowMod.Append allocates %v times", n)
	}
	wire := flowsReply(FlowStats{Flow: routed}).Append(nil, 1)
	const want = 4 // the message, its body, its list of flows, and the bytes
	if n := testing.AllocsPerRun(100, func() { Decode(wire) }); n > want {
		t.Errorf("decoding one flow allocates %v times, want %d", n, want)
	}
}

func BenchmarkFlowModAppend(b *testing.B) {
	buf, mod := make([]byte, 0, 1024), FlowMod{Command: FlowAdd, Flow: routed}
	b.ReportAllocs()
	for b.Loop() {
		buf = mod.Append(buf[:0], 1)
	}
}

// BenchmarkDecodeFlow decodes entries of flow statistics. The ns/op are for one entry.
func BenchmarkDecodeFlow(b *testing.B) {
	one := flowsReply(FlowStats{Flow: routed}).Append(nil, 1)[16:]
	b.ReportAllocs()
	b.SetBytes(int64(len(one)))
	for b.Loop() {
		if _, err := DecodeFlowStats(one); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseFlow(b *testing.B) {
	text := routed.String()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseFlow(text); err != nil {
			b.Fatal(err)
		}
	}
}

// routedFlows returns n flows to different addresses, unsorted.
func routedFlows(n int) []Flow {
	flows := make([]Flow, n)
	for i, at := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		flows[at] = routed
		flows[at].Match = MatchOf(IPv4(), IPv4Dst(netip.PrefixFrom(addr, 32)))
	}
	return flows
}

// BenchmarkSetOf builds a set of 100,000 flows, as after reading a switch.
func BenchmarkSetOf(b *testing.B) {
	flows := routedFlows(100_000)
	b.ReportAllocs()
	for b.Loop() {
		SetOf(flows)
	}
}

// BenchmarkDiffAll compares 100,000 flows with 100,000 equal flows.
func BenchmarkDiffAll(b *testing.B) {
	have, want := SetOf(routedFlows(100_000)), SetOf(routedFlows(100_000))
	b.ReportAllocs()
	for b.Loop() {
		if d := Diff(have, want); d.Len() != 0 {
			b.Fatal(d)
		}
	}
}

// BenchmarkOneFlow changes one of many flows and finds the difference.
func BenchmarkOneFlow(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			flows := routedFlows(n)
			have, changed := SetOf(flows), flows[0]
			changed.Cookie++
			b.ReportAllocs()
			for b.Loop() {
				if d := Diff(have, have.With(changed)); d.Len() != 1 {
					b.Fatal(d)
				}
			}
		})
	}
}
