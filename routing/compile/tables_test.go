package compile

import (
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Our number ranges must not change: running systems use them.
func TestOurNumbers(t *testing.T) {
	for id, ours := range map[ofproto.GroupID]bool{0: false, 0xfcffffff: false, 0xfd000000: true, 0xfdffffff: true, 0xfe000000: false, ofproto.GroupAny: false} {
		if OursGroup(id) != ours {
			t.Errorf("group %#x is ours: %v", uint32(id), !ours)
		}
	}
	for id, ours := range map[ofproto.MeterID]bool{1: false, 0x3fff: false, 0x4000: true, 0x7fff: true, 0x8000: false, ofproto.MeterController: false} {
		if OursMeter(id) != ours {
			t.Errorf("meter %#x is ours: %v", uint32(id), !ours)
		}
	}
}

func TestSameTables(t *testing.T) {
	group := func(weight uint16) []ofproto.GroupEntry {
		return []ofproto.GroupEntry{{ID: 0xfd000001, Buckets: []ofproto.Bucket{{Weight: weight}}}}
	}
	meter := []ofproto.MeterEntry{{ID: 0x4000}}
	a := Program{Groups: group(1), Meters: meter}
	if b := (Program{Groups: group(1), Meters: meter}); !a.SameTables(b) {
		t.Error("equal groups and meters differ")
	}
	for _, b := range []Program{{}, {Groups: group(2), Meters: meter}, {Groups: group(1)}} {
		if a.SameTables(b) {
			t.Errorf("the same as %+v", b)
		}
	}
}
