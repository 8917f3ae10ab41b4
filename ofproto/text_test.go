package ofproto_test

import (
	"strings"
	"testing"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// Every message has the name that ovs-ofctl prints.
func TestTextNames(t *testing.T) {
	for _, tt := range messages() {
		wire := tt.m.Append(nil, 9)
		theirs, _, _ := strings.Cut(ofpPrint(t, wire), " (OF1.3)")
		theirs = strings.Replace(theirs, "ONFST13_", "ONFST_", 1)
		if got := Text(wire); !strings.HasPrefix(got, theirs+" (xid=0x9)") {
			t.Errorf("%T: %q, ovs-ofctl prints %q", tt.m, got, theirs)
		}
	}
}

// The contents of a message are printed in ovs-ofctl syntax, with a limited length.
func TestText(t *testing.T) {
	flow := vocabulary[1]
	many := make(FlowStatsReply, 30)
	for i := range many {
		many[i].Flow = flow
	}
	for _, tt := range []struct {
		m    Message
		want string
	}{
		{BarrierRequest{}, "OFPT_BARRIER_REQUEST (xid=0x9)"},
		{FlowMod{Command: FlowAdd, Flow: flow}, "OFPT_FLOW_MOD (xid=0x9): add " + flow.String()},
		{BundleAdd{ID: 6, Message: FlowMod{Command: FlowDeleteStrict, Flow: flow}}, "OFPT_FLOW_MOD"},
		{BundleControl{ID: 6, Op: BundleCommit + 1}, "ONFT_BUNDLE_CONTROL (xid=0x9): bundle_id=0x6 commit reply"},
		{ErrorMessage{Code: ErrTableFull, Data: string(BarrierRequest{}.Append(nil, 7))}, "OFPT_ERROR (xid=0x9): OFPFMFC_TABLE_FULL about OFPT_BARRIER_REQUEST (xid=0x7)"},
		{Multipart{Reply: true, More: true, Body: many}, "\n  and 10 more\n  more parts follow"},
		{Multipart{Reply: true, Body: FlowMonitorReply{{Event: FlowDeleted, Flow: flow}, {Event: FlowAbbreviated, XID: 5}}}, "\n  event=ABBREV xid=0x5"},
		{Multipart{Reply: true, Body: GroupDescReply{}}, "OFPST_GROUP_DESC reply (xid=0x9): none"},
		{Request(FlowStatsRequest{Table: 2, OutPort: PortAny, OutGroup: GroupAny, Cookie: 5, CookieMask: 7, Match: MatchOf(InPort(3))}),
			"OFPST_FLOW request (xid=0x9): table=2 cookie=0x5/0x7 in_port=3"},
	} {
		got := Text(tt.m.Append(nil, 9))
		if b, ok := tt.m.(BundleAdd); ok {
			tt.want = "ONFT_BUNDLE_ADD_MESSAGE (xid=0x9): bundle_id=0x6 " + b.Message.(FlowMod).String()
			tt.want = strings.Split(tt.want, " actions=")[0] // a deletion has no actions
		}
		if got != tt.want && !strings.HasSuffix(got, tt.want) && !strings.HasPrefix(got, tt.want) {
			t.Errorf("%#v:\ngot  %q\nwant %q", tt.m, got, tt.want)
		}
	}
	for _, bad := range []string{"", "\x04", "\x04\x0e\x00\x08\x00\x00\x00\x01"} {
		if got := Text([]byte(bad)); !strings.Contains(got, "invalid message") && !strings.Contains(got, "cannot be decoded") {
			t.Errorf("%q: %q", bad, got)
		}
	}
}
