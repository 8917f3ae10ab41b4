package doctor

import (
	"testing"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Differences between installed and desired flows are described. Flows of other programs do not
// count, unless one has the table, priority and match of one of ours.
func TestDiffers(t *testing.T) {
	ours := compile.CookieOf(routing.Object{Kind: routing.KindRouter, ID: "r1"}, compile.RoleDrop)
	kept := compile.CookieOf(routing.Object{Kind: routing.KindRouter, ID: "r1"}, compile.RoleNeighbour)
	flow := func(prio uint16, cookie ofproto.Cookie, port ofproto.PortNo) ofproto.Flow {
		return ofproto.Flow{FlowKey: ofproto.FlowKey{Priority: prio}, Cookie: cookie, Do: ofproto.ApplyActions(ofproto.Output{Port: port})}
	}
	group, meter := ofproto.GroupEntry{ID: 0xfd000001}, ofproto.MeterEntry{ID: 0x4001}
	want := compile.Program{Flows: ofproto.SetOf([]ofproto.Flow{flow(1, ours, 1), flow(2, ours, 1)}), Groups: []ofproto.GroupEntry{group}, Meters: []ofproto.MeterEntry{meter}}
	for _, tt := range []struct {
		flows  []ofproto.Flow
		groups []ofproto.GroupEntry
		meters []ofproto.MeterEntry
		says   string
	}{
		{[]ofproto.Flow{flow(1, ours, 1), flow(2, ours, 1), flow(3, 7, 1)}, []ofproto.GroupEntry{{ID: 5}, group}, []ofproto.MeterEntry{{ID: 5}, meter}, ""},
		{[]ofproto.Flow{flow(1, ours, 1)}, want.Groups, want.Meters, "lacks 1 flow, or has other flows in their place"},
		{[]ofproto.Flow{flow(1, 7, 1), flow(2, ours, 1)}, want.Groups, want.Meters, "lacks 1 flow, or has other flows in their place"},
		{[]ofproto.Flow{flow(1, ours, 2), flow(2, ours, 2), flow(3, ours, 2)}, want.Groups, want.Meters, "has 2 flows with other actions, has 1 flow too many"},
		{[]ofproto.Flow{flow(1, ours, 1), flow(2, ours, 1)}, nil, nil, "has 0 groups, which differ from the desired groups (1), has 0 meters, which differ from the desired meters (1)"},
	} {
		held := reconcile.Holdings{Flows: ofproto.SetOf(tt.flows), Groups: tt.groups, Meters: tt.meters}
		if got, kept := differs(held, want, nil); got != tt.says || kept != 0 {
			t.Errorf("switch with %v: got %q and %d kept flows, want %q", tt.flows, got, kept, tt.says)
		}
	}
	// Kept flows, with the groups and meters that they need, are no difference. Other flows are.
	held := reconcile.Holdings{Flows: ofproto.SetOf([]ofproto.Flow{flow(1, ours, 1), flow(2, ours, 1), flow(3, ours, 1), flow(4, kept, 1)}),
		Groups: []ofproto.GroupEntry{group, {ID: 0xfd000002}}, Meters: []ofproto.MeterEntry{meter, {ID: 0x4002}}}
	for _, tt := range []struct {
		keep func(ofproto.Cookie) bool
		says string
		kept int
	}{
		{func(ofproto.Cookie) bool { return true }, "", 2},
		{func(c ofproto.Cookie) bool { return c == kept }, "has 1 flow too many", 1},
	} {
		if got, n := differs(held, want, tt.keep); got != tt.says || n != tt.kept {
			t.Errorf("got %q and %d kept flows, want %q and %d", got, n, tt.says, tt.kept)
		}
	}
}
