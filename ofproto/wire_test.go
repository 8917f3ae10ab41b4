package ofproto_test

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// Decoding an encoded message gives the same value. A truncated message is an error. (Open
// vSwitch checks the encoding itself in oracle_test.go.)
func TestDecode(t *testing.T) {
	all := []Message{Hello{Version: 6}, Raw{Type: 77, Body: "body"}, Experimenter{ID: 1, Type: 2, Body: "abc"},
		Multipart{Reply: true, Body: RawMultipart{Type: 77, Data: "tables"}}}
	for _, tt := range messages() {
		all = append(all, tt.m)
	}
	for _, m := range all {
		wire := m.Append([]byte("before"), 5)[6:]
		h, err := DecodeHeader(wire)
		if err != nil || int(h.Length) != len(wire) || h.XID != 5 {
			t.Errorf("%#v: header %+v, %v; %d bytes", m, h, err, len(wire))
		}
		if got, err := Decode(wire); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("decoded %#v, %v\nwant %#v", got, err, m)
		}
		for n := range wire {
			if _, err := Decode(wire[:n]); err == nil {
				t.Errorf("%#v cut to %d bytes is not an error", m, n)
			}
		}
	}
}

// A flow-mod that a FlowMod cannot express is kept raw.
func TestFlowModKeptRaw(t *testing.T) {
	plain := FlowMod{Command: FlowDelete}.Append(nil, 1)
	for _, at := range []int{32, 36, 40} { // buffer_id, out_port, out_group
		wire := slices.Clone(plain)
		copy(wire[at:], "\x00\x00\x00\x00")
		m, err := Decode(wire)
		if _, raw := m.(Raw); err != nil || !raw || !bytes.Equal(m.Append(nil, 1), wire) {
			t.Errorf("%x is decoded to %#v, %v", wire, m, err)
		}
	}
}

// A field with a Nicira header gives the same match as with an OpenFlow header. The order of
// fields does not matter.
func TestMatchCanonical(t *testing.T) {
	a, b := MatchOf(IPv4(), IPv4Dst(wide), EthDst(routerMAC)), MatchOf(EthDst(routerMAC), IPv4Dst(wide), IPv4(), Reg(1, 7, 0))
	if a != b {
		t.Errorf("equal matches differ because of the order or wildcards of their fields: %v, %v", a, b)
	}
	nxm := []byte("\x00\x01\x00\x14\x00\x00\x02\x06\x02\x00\x00\x00\x01\x01\x00\x00\x06\x02\x08\x00") // NXM_OF_ETH_DST, NXM_OF_ETH_TYPE
	got, err := DecodeMatch(append(nxm, 0, 0, 0, 0))
	if want := MatchOf(EthDst(routerMAC), IPv4()); err != nil || got != want {
		t.Errorf("decoded %v, %v; want %v", got, err, want)
	}
}

// A move with OpenFlow headers equals a move with Nicira headers, at any position. Open
// vSwitch reports moves with Nicira headers.
func TestInstructionsCanonical(t *testing.T) {
	move := Move{Whole(FieldEthSrc), Whole(FieldEthDst)}
	oxm := strings.NewReplacer("\x00\x00\x04\x06", "\x80\x00\x08\x06", "\x00\x00\x02\x06", "\x80\x00\x06\x06") // OXM_OF_ETH_SRC, OXM_OF_ETH_DST
	for _, do := range []Instructions{
		ApplyActions(move),
		ApplyActions(DecTTL{}, move, Output{Port: 1}),
		Do(Goto{1}, Apply{ActionsOf(move)}),
		Do(Apply{ActionsOf(move)}, Goto{1}),
		Do(Apply{ActionsOf(DecTTL{})}, Apply{ActionsOf(move)}),
	} {
		wire := Multipart{Reply: true, Body: FlowStatsReply{{Flow: Flow{Do: do}}}}.Append(nil, 1)
		reported := []byte(oxm.Replace(string(wire)))
		if bytes.Equal(reported, wire) {
			t.Fatalf("%v: no header to replace in % x", do, wire)
		}
		m, err := Decode(reported)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.(Multipart).Body.(FlowStatsReply)[0].Do; got != do {
			t.Errorf("decoded %#v\nwant %#v", got, do)
		}
	}
}

func TestMatchValidate(t *testing.T) {
	for _, f := range vocabulary {
		if err := f.Match.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, m := range []Match{MatchOf(IPv4Dst(wide)), MatchOf(IPv4(), ARPOp(1)), MatchOf(InPort(1), InPort(2))} {
		if m.Validate() == nil {
			t.Errorf("%v is valid", m)
		}
	}
}

func TestOverlaps(t *testing.T) {
	host := IPv4Dst(subnet("10.0.1.1/32"))
	tests := []struct {
		a, b Match
		want bool
	}{
		{MatchOf(), MatchOf(InPort(1)), true},
		{MatchOf(InPort(1)), MatchOf(InPort(2)), false},
		{MatchOf(InPort(1)), MatchOf(IPv4()), true},
		{MatchOf(IPv4(), IPv4Dst(wide)), MatchOf(IPv4(), host), true},
		{MatchOf(IPv4(), IPv4Dst(subnet("11.0.0.0/8"))), MatchOf(IPv4(), host), false},
	}
	for _, tt := range tests {
		if tt.a.Overlaps(tt.b) != tt.want || tt.b.Overlaps(tt.a) != tt.want {
			t.Errorf("%v overlaps %v: want %v", tt.a, tt.b, tt.want)
		}
	}
}

// A Delta turns any set into any other, and the next Delta is empty.
func TestDiffConverges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var have Set
	for range 1000 {
		var fs []Flow
		for range r.IntN(8) {
			fs = append(fs, Flow{
				FlowKey: FlowKey{Table: TableID(r.IntN(2)), Priority: uint16(r.IntN(2)), Match: MatchOf(InPort(PortNo(r.IntN(3))))},
				Cookie:  Cookie(r.IntN(2)),
				Do:      ApplyActions(Output{Port: PortNo(r.IntN(3))}),
			})
		}
		want := SetOf(fs)
		d := Diff(have, want)
		for _, f := range d.Modify {
			if old, ok := have.Get(f.FlowKey); !ok || old.Cookie != f.Cookie {
				t.Fatalf("the modification to %v would keep the old cookie %#x", f, old.Cookie)
			}
		}
		if have = have.Apply(d.Mods()); !have.Equal(want) {
			t.Fatalf("applying %+v gives\n%s\nwant\n%s", d, have, want)
		}
		if d := Diff(have, want); d.Len() != 0 {
			t.Fatalf("not converged: %+v", d)
		}
	}
}

// Entries are equal if and only if they have the same effect in a switch.
func TestEntriesEqual(t *testing.T) {
	groups, meters := entries()
	for i, a := range groups {
		for j, b := range groups {
			b.Buckets = slices.Clone(b.Buckets)
			if b.ID = a.ID; a.Equal(b) != (i == j) {
				t.Errorf("%v equal to %v: %v", a, b, a.Equal(b))
			}
		}
	}
	for i, a := range meters {
		for j, b := range meters {
			b.Bands = slices.Clone(b.Bands)
			if b.ID = a.ID; a.Equal(b) != (i == j) {
				t.Errorf("%v equal to %v: %v", a, b, a.Equal(b))
			}
		}
	}
	weight := groups[0]
	weight.Buckets = slices.Clone(weight.Buckets)
	weight.Buckets[63].Weight++
	other := groups[0]
	if other.ID++; groups[0].Equal(weight) || groups[0].Equal(other) {
		t.Error("entries with different weights or IDs are equal")
	}
}

// Refs finds references at every position where a switch looks for them.
func TestRefs(t *testing.T) {
	for _, tt := range []struct {
		do     Instructions
		groups []GroupID
		meters []MeterID
	}{
		{ApplyActions(Output{Port: 1}), nil, nil},
		{Do(Meter{7}, Apply{ActionsOf(ToGroup{1}, Clone{ActionsOf(ToGroup{2})})}, Write{ActionsOf(ToGroup{3})}), []GroupID{1, 2, 3}, []MeterID{7}},
	} {
		if groups, meters := tt.do.Refs(); !slices.Equal(groups, tt.groups) || !slices.Equal(meters, tt.meters) {
			t.Errorf("%v refers to %v, %v", tt.do, groups, meters)
		}
	}
}
