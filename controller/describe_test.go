package controller

import (
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Groups and meters are described in hexadecimal, which shows the owner's prefix.
func TestDescriber(t *testing.T) {
	describe := describer(compile.Program{})
	for m, want := range map[ofproto.Mod]string{
		&ofproto.GroupMod{Entry: ofproto.GroupEntry{ID: 0xfd000001}}: "group 0xfd000001",
		&ofproto.MeterMod{Entry: ofproto.MeterEntry{ID: 0x4000}}:     "meter 0x4000",
		&ofproto.FlowMod{}: "unknown flow",
	} {
		if got := describe(ofproto.Refused(m, 0).Mod); got != want {
			t.Errorf("description of %v: got %q, want %q", m, got, want)
		}
	}
}
