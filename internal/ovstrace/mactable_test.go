package ovstrace

import (
	"reflect"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// The output of Open vSwitch 3.1 can be parsed. It has the bridge's own port and an entry that
// was added by hand (fdb/add).
func TestParseMACTable(t *testing.T) {
	got, err := ParseMACTable(" port  VLAN  MAC                Age\n    3     1  02:00:00:00:01:10    7\nLOCAL     0  02:00:00:00:00:09  299\n65279  4095  02:00:00:00:01:11  static\n")
	want := []MACEntry{
		{3, 1, ofproto.MAC{2, 0, 0, 0, 1, 0x10}, 7 * time.Second},
		{ofproto.PortLocal, 0, ofproto.MAC{2, 0, 0, 0, 0, 9}, 299 * time.Second},
		{65279, 4095, ofproto.MAC{2, 0, 0, 0, 1, 0x11}, 0},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"1 2 3", "x 1 02:00:00:00:01:10 7", "1 4096 02:00:00:00:01:10 7", "1 1 02:00:00:00:01 7"} {
		if got, err := ParseMACTable(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
