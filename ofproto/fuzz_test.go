package ofproto_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// FuzzDecodeActions passes random input to the decoder of instructions and actions. Encoding
// the result must give the input, or a canonical form with the same values.
func FuzzDecodeActions(f *testing.F) {
	for _, fl := range everyFlow() {
		f.Add([]byte(InstructionsWire(fl.Do)))
	}
	// These inputs are equivalent to our own encodings. They have OXM headers, NXAST_RESUBMIT,
	// padding of learn, and instructions in another order.
	f.Add([]byte("\x00\x04\x00\x20\x00\x00\x00\x00\xff\xff\x00\x18\x00\x00\x23\x20\x00\x06\x00\x30\x00\x00\x00\x00\x80\x00\x08\x06\x80\x00\x06\x06"))
	f.Add([]byte("\x00\x04\x00\x18\x00\x00\x00\x00\xff\xff\x00\x10\x00\x00\x23\x20\x00\x01\x00\x05\x00\x00\x00\x00"))
	f.Add([]byte("\x00\x01\x00\x08\x05\x00\x00\x00\x00\x05\x00\x08\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		do, err := DecodeInstructions(string(wire))
		if err != nil {
			return
		}
		again, err := DecodeInstructions(InstructionsWire(do))
		if err != nil || again != do {
			t.Fatalf("%x\nis decoded to  %x (%v)\nand that to %x, %v", wire, InstructionsWire(do), do, InstructionsWire(again), err)
		}
		if made := Do(slices.Collect(do.All())...); made != do {
			t.Fatalf("%x has %v\nwhich encode to %x", InstructionsWire(do), do, InstructionsWire(made))
		}
		for in := range do.All() {
			if in, ok := in.(Apply); ok {
				if made := ActionsOf(slices.Collect(in.Actions.All())...); made != in.Actions {
					t.Fatalf("%v encode to %v", in.Actions, made)
				}
			}
		}
		_ = do.String()
	})
}

// FuzzDecodeFlow passes random input to the decoder of flow statistics, including matches.
func FuzzDecodeFlow(f *testing.F) {
	for _, fl := range everyFlow() {
		f.Add(flowsReply(FlowStats{Flow: fl}).Append(nil, 1)[16:])
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		flows, err := DecodeFlows(wire)
		if err != nil {
			return
		}
		again, err := DecodeFlows(flowsReply(flows...).Append(nil, 1)[16:])
		if err != nil || !slices.Equal(again, flows) {
			t.Fatalf("%x\nis decoded to %v\nand that to %v, %v", wire, flows, again, err)
		}
		for _, fl := range flows {
			_ = fl.String()
			_ = fl.Match.Validate()
		}
	})
}

// FuzzParseFlow passes random text to the parser. A parsed flow must be printed as text that
// parses to the same value. Encoding and decoding must give the same value too.
func FuzzParseFlow(f *testing.F) {
	for _, fl := range everyFlow() {
		f.Add(fl.String())
	}
	for _, s := range []string{"oxm(ffff01010203),actions=set_field:oxm(ffff000101)->", "actions=raw(0063000800000000)",
		"actions=raw_instruction(0063000800000000)", "ct_state=new|trk,vlan_tci=0x1234/0xf123 actions=clone(clone(drop))"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fl, err := ParseFlow(text)
		if err != nil {
			return
		}
		again, err := ParseFlow(fl.String())
		if err != nil || again != fl {
			t.Fatalf("%q\nis parsed as  %v\nand that as %v, %v", text, fl, again, err)
		}
		if len(FlowMod{Command: FlowAdd, Flow: fl}.Append(nil, 1)) > 0xffff {
			return
		}
		back, err := DecodeFlows(flowsReply(FlowStats{Flow: fl}).Append(nil, 1)[16:])
		if err != nil || len(back) != 1 || back[0].Flow != fl {
			t.Fatalf("%q is parsed as %v\nand decoded as %v, %v\n%x", text, fl, back, err, InstructionsWire(fl.Do))
		}
	})
}

// Decoding allocates at most a small multiple of the length of its input.
func TestDecodeMemory(t *testing.T) {
	// The worst known input has headers that must be replaced, nested as deeply as possible.
	deep := ""
	for range 16 {
		n := len(deep) + 16
		deep = "\xff\xff" + string([]byte{byte(n >> 8), byte(n)}) + "\x00\x00\x23\x20\x00\x2a\x00\x00\x00\x00\x00\x00" + deep
	}
	for name, wire := range map[string]string{
		"aliases": strings.Repeat("\xff\xff\x00\x18\x00\x00\x23\x20\x00\x06\x00\x30\x00\x00\x00\x00\x80\x00\x08\x06\x80\x00\x06\x06", 2000),
		"clones":  deep + strings.Repeat("\xff\xff\x00\x10\x00\x00\x23\x20\x00\x01\x00\x05\x00\x00\x00\x00", 2000),
	} {
		wire = "\x00\x04" + string([]byte{byte((len(wire) + 8) >> 8), byte(len(wire) + 8)}) + "\x00\x00\x00\x00" + wire
		if got := allocated(func() { DecodeInstructions(wire) }); got == 0 || got > 24*len(wire) {
			t.Errorf("%s: decoding %d bytes allocates %d bytes", name, len(wire), got)
		}
	}
	oxm := strings.Repeat("\x00\x03\x02\x00", 16000) // fields without values
	n := len(oxm) + 4
	match := []byte("\x00\x01" + string([]byte{byte(n >> 8), byte(n)}) + oxm + "\x00\x00\x00\x00")
	if got := allocated(func() { DecodeMatch(match) }); got == 0 || got > 24*len(match) {
		t.Errorf("decoding a match of %d bytes allocates %d bytes", len(match), got)
	}
	if _, err := DecodeInstructions("\x00\x04\x01\x18\x00\x00\x00\x00" + "\xff\xff\x01\x10\x00\x00\x23\x20\x00\x2a\x00\x00\x00\x00\x00\x00" + deep); err == nil {
		t.Error("the nesting of actions is unlimited")
	}
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) int {
	const rounds = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		f()
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc-before.TotalAlloc) / rounds
}
