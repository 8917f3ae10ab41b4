package ofproto_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
)

// dial starts an Open vSwitch with a bridge and returns a connection to it.
func dial(t *testing.T) (*lab.Host, *ofconn.Conn) {
	t.Helper()
	h := lab.Boot(t)
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	c := ofconn.New(nc, ofconn.Config{})
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		c.Run(ctx, func(Message) {}) // ignores the error, because each call returns it
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return h, c
}

// accepted sends flows, all of which must be accepted, and returns the switch's flows by cookie.
func accepted(t *testing.T, c *ofconn.Conn, flows []Flow) map[Cookie]Flow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, f := range flows { // sends the flows one by one, to report each refusal
		if err := c.Commit(ctx, []FlowMod{{Command: FlowAdd, Flow: f}}); err != nil {
			t.Errorf("%v\n%x", err, FlowMod{Command: FlowAdd, Flow: f}.Append(nil, 0))
		}
	}
	got, err := c.Flows(ctx, AllFlows())
	if err != nil {
		t.Fatal(err)
	}
	have := map[Cookie]Flow{}
	for _, f := range got {
		have[f.Cookie] = f.Flow
	}
	return have
}

// A real switch reports every flow as it was sent. The flows have every field, every action and
// every instruction.
func TestSwitchReportsFlowsAsSent(t *testing.T) {
	h, c := dial(t)
	flows := everyFlow()
	if _, err := h.Ofctl(t.Context(), "del-flows", lab.IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ofctl(t.Context(), "add-meter", lab.IntegrationBridge, "meter=1,kbps,band=type=drop,rate=1000"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ofctl(t.Context(), "add-group", lab.IntegrationBridge, "group_id=5,type=all,bucket=output:1"); err != nil {
		t.Fatal(err)
	}
	have := accepted(t, c, flows)
	for _, f := range flows {
		if got := have[f.Cookie]; got != f {
			t.Errorf("sent %v\n got %v\nsent %x\n got %x", f, got, FlowMod{Command: FlowAdd, Flow: f}.Append(nil, 0), FlowMod{Command: FlowAdd, Flow: got}.Append(nil, 0))
		}
	}

	// Parsing ovs-ofctl's text for these flows gives the same values.
	out, err := h.Ofctl(t.Context(), "--no-stats", "dump-flows", lab.IntegrationBridge)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(out) {
		f, err := ParseFlow(line)
		if err != nil {
			t.Errorf("%v in %s", err, line)
			continue
		}
		if want := have[f.Cookie]; want != f && !strings.Contains(line, "tun_gbp_flags") { // ovs-ofctl leaves out its mask

			t.Errorf("ovs-ofctl prints %s\n parsed as %v\n want %v", line, f, want)
		}
		n++
	}
	if n != len(flows) {
		t.Errorf("ovs-ofctl prints %d flows, want %d", n, len(flows))
	}
}

// everyFlow returns flows that together have every field, every action and every instruction.
// Each flow has a different cookie.
func everyFlow() []Flow {
	var flows []Flow
	add := func(m Match, do Instructions) {
		n := len(flows)
		flows = append(flows, Flow{FlowKey: FlowKey{Table: 1, Priority: uint16(n), Match: m}, Cookie: Cookie(n + 1), Do: do})
	}
	for _, m := range EveryField() {
		add(m, ApplyActions(Output{Port: 1}))
	}
	for _, a := range actions {
		add(a.match, ApplyActions(a.actions...))
	}
	for _, ins := range instructions {
		add(ip, Do(ins...))
	}
	return flows
}

// readOnly are the fields that flows cannot change in Open vSwitch.
var readOnly = []string{"conj_id", "eth_type", "mpls_bos", "ip_frag", "nw_proto", "tcp_flags", "ct_state", "ct_zone",
	"ct_nw_proto", "ct_nw_src", "ct_nw_dst", "ct_ipv6_src", "ct_ipv6_dst", "ct_tp_src", "ct_tp_dst"}

// Every field can be set, loaded, copied and pushed as far as Open vSwitch allows it. The
// switch reports it with the same value.
func TestSwitchSetsEveryField(t *testing.T) {
	_, c := dial(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sent := map[Cookie]Flow{}
	refused := map[string]string{}
	for _, id := range AllFields() {
		name, bits := FieldName(id)
		low := BitRange(id, 0, min(bits, 64)-1)
		value := BitRange(FieldXXReg0+1, 0, bits-1)
		for kind, a := range map[string]Action{
			"set_field": SetField{AnyValue(id)},
			"load":      Load{1, low},
			"move from": Move{Whole(id), value},
			"move to":   Move{value, Whole(id)},
			"push":      Push{Whole(id)},
			"pop":       Pop{Whole(id)},
			"learn":     Learn{Table: 3, Specs: SpecsOf(LearnField(LearnLoad, value, Whole(id)))},
		} {
			m := Needed(id)
			if id == FieldVLANVID || id == FieldVLANPCP {
				m = append(m, ParsedField("dl_vlan=3"))
			}
			as := []Action{a}
			if id == FieldCTMark || id == FieldCTLabel {
				if m = append(m, IPv4()); kind == "set_field" || kind == "load" || kind == "move to" {
					as = []Action{CT{Commit: true, Actions: ActionsOf(a)}}
				}
			}
			n := len(sent)
			f := Flow{FlowKey: FlowKey{Table: 2, Priority: uint16(n), Match: MatchOf(m...)}, Cookie: Cookie(n + 1), Do: ApplyActions(as...)}
			if err := c.Commit(ctx, []FlowMod{{Command: FlowAdd, Flow: f}}); err != nil {
				var code ErrorCode
				if !errors.As(err, &code) {
					t.Fatalf("%v: %v", f, err)
				}
				refused[kind+" "+name] = code.Name()
				continue
			}
			sent[f.Cookie] = f
			if got, err := ParseFlow(f.String()); err != nil || got != f {
				t.Errorf("the switch reports %v as %v, %v", f, got, err)
			}
		}
	}
	got, err := c.Flows(ctx, FlowFilter{OutPort: PortAny, OutGroup: GroupAny, Table: 2})
	if err != nil || len(got) != len(sent) {
		t.Errorf("switch has %d flows, %v; want %d", len(got), err, len(sent))
	}
	for _, f := range got {
		if f.Flow != sent[f.Cookie] {
			t.Errorf("sent %v\n got %v", sent[f.Cookie], f.Flow)
		}
	}
	want := map[string]string{"set_field in_port_oxm": "OFPBAC_BAD_SET_ARGUMENT"}
	for _, name := range readOnly {
		for _, kind := range []string{"set_field", "load", "move to", "pop"} {
			want[kind+" "+name] = "OFPBAC_BAD_SET_ARGUMENT"
		}
	}
	if !maps.Equal(refused, want) {
		t.Errorf("refused %v\n   want %v", refused, want)
	}
}

// A deletion limited by port and by group deletes exactly the flows that output to the port or refer to
// the group. (ovs-ofctl does not print out_group.)
func TestSwitchDeletesByPortAndGroup(t *testing.T) {
	h, c := dial(t)
	lab.Run(t, h, "ovs-ofctl", "-O", "OpenFlow13", "add-group", lab.IntegrationBridge, "group_id=5,type=all,bucket=output:1")
	flow := func(prio uint16, a Action) Flow {
		return Flow{FlowKey: FlowKey{Table: 7, Priority: prio}, Cookie: Cookie(prio), Do: ApplyActions(a)}
	}
	flows := []Flow{flow(1, Output{Port: 3}), flow(2, ToGroup{5}), flow(3, Output{Port: 4})}
	accepted(t, c, flows)
	all := FlowMod{Command: FlowDelete, Flow: Flow{FlowKey: FlowKey{Table: 7}}}
	byPort, byGroup := all, all
	byPort.OutPort, byGroup.OutGroup = 3, 5
	for i, mod := range []FlowMod{byPort, byGroup} {
		if err := c.Commit(t.Context(), []FlowMod{mod}); err != nil {
			t.Fatal(err)
		}
		left, err := c.Flows(t.Context(), FlowFilter{Table: 7, OutPort: PortAny, OutGroup: GroupAny})
		if err != nil {
			t.Fatal(err)
		}
		var have []Flow
		for _, f := range left {
			have = append(have, f.Flow)
		}
		if got, want := SetOf(have), SetOf(slices.Clone(flows[i+1:])); !got.Equal(want) {
			t.Errorf("after %v the switch has\n%swant\n%s", mod, got, want)
		}
	}
}

// entries returns groups and meters to add to a switch.
func entries() ([]GroupEntry, []MeterEntry) {
	many := GroupEntry{ID: 0xfd000040, Type: GroupTypeSelect}
	for i := range 64 {
		many.Buckets = append(many.Buckets, Bucket{uint16(i), PortAny, GroupAny,
			ActionsOf(SetField{EthSrc(routerMAC)}, SetField{EthDst(MAC{2, byte(i)})}, DecTTL{}, Output{Port: 1})})
	}
	watching := []Bucket{{0, 3, GroupAny, ActionsOf(Output{Port: 3})}, {0, PortAny, 0xfd000040, ActionsOf(ToGroup{0xfd000040})}}
	to := func(p PortNo) []Bucket { return []Bucket{{0, PortAny, GroupAny, ActionsOf(Output{Port: p})}} }
	return []GroupEntry{many, {ID: 2, Type: GroupTypeFastFailover, Buckets: watching}, {ID: 3, Type: GroupTypeAll, Buckets: to(1)},
			{ID: 4, Type: GroupTypeIndirect, Buckets: to(2)}, {ID: 5, Type: GroupTypeSelect}},
		[]MeterEntry{
			{0x4000, MeterPktps | MeterBurst | MeterStatistics, []Band{{Type: BandDrop, Rate: 100, Burst: 20, PrecLevel: 0}}},
			{0x4001, MeterKbps | MeterBurst, []Band{{Type: BandDrop, Rate: 100, Burst: 10, PrecLevel: 0}, {Type: BandDrop, Rate: 200, Burst: 30, PrecLevel: 0}}},
			{0x4002, MeterKbps | MeterStatistics, []Band{{Type: BandDrop, Rate: 1, Burst: 0, PrecLevel: 0}}},
		}
}

// tables returns the groups and meters of a switch.
func tables(t *testing.T, c *ofconn.Conn) (groups []GroupEntry, meters []MeterEntry) {
	t.Helper()
	for _, req := range []MultipartBody{GroupDescRequest{}, MeterConfigRequest{Meter: MeterAll}} {
		err := c.Multipart(t.Context(), req, func(body MultipartBody) bool {
			switch b := body.(type) {
			case GroupDescReply:
				groups = append(groups, b...)
			case MeterConfigReply:
				meters = append(meters, b...)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return groups, meters
}

// A real switch reports groups and meters as they were sent, both with a message and with text
// for ovs-ofctl.
func TestSwitchReportsEntriesAsSent(t *testing.T) {
	h, c := dial(t)
	ofctl := func(args ...string) { lab.Run(t, h, "ovs-ofctl", append([]string{"-O", "OpenFlow13"}, args...)...) }
	wantGroups, wantMeters := entries()
	for how, send := range map[string]func(){
		"message": func() {
			var mods []Mod
			for _, g := range wantGroups {
				mods = append(mods, GroupMod{GroupAdd, g})
			}
			for _, m := range wantMeters {
				mods = append(mods, MeterMod{MeterAdd, m})
			}
			if err := c.ProgramMods(t.Context(), mods); err != nil {
				t.Fatal(err)
			}
		},
		"text": func() {
			for _, g := range wantGroups {
				ofctl("add-group", lab.IntegrationBridge, g.String())
			}
			for _, m := range wantMeters {
				ofctl("add-meter", lab.IntegrationBridge, m.String())
			}
		},
	} {
		ofctl("del-groups", lab.IntegrationBridge)
		ofctl("del-meters", lab.IntegrationBridge)
		send()
		groups, meters := tables(t, c)
		for _, want := range wantGroups {
			if !slices.ContainsFunc(groups, want.Equal) {
				t.Errorf("%s: sent %v\ngot %v", how, want, groups)
			}
		}
		for _, want := range wantMeters {
			if !slices.ContainsFunc(meters, want.Equal) {
				t.Errorf("%s: sent %v\ngot %v", how, want, meters)
			}
		}
		if len(groups) != len(wantGroups) || len(meters) != len(wantMeters) {
			t.Errorf("%s: %d groups and %d meters, want %d and %d", how, len(groups), len(meters), len(wantGroups), len(wantMeters))
		}
	}
}
