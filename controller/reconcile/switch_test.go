package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// openVSwitch returns a connection to an Open vSwitch without flows. handle is called for each
// unsolicited message.
func openVSwitch(t *testing.T, handle func(ofproto.Message)) (*lab.Host, Connected) {
	t.Helper()
	h := lab.Boot(t)
	lab.Run(t, h, "ovs-ofctl", "del-flows", lab.IntegrationBridge)
	return h, connect(t, h, handle)
}

func connect(t *testing.T, h *lab.Host, handle func(ofproto.Message)) Connected {
	t.Helper()
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	c := ofconn.New(nc, ofconn.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, handle) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return Connected{c}
}

func ignore(ofproto.Message) {}

// outcome describes the result of a commit without the position of the error. The fake and the
// real switch must agree on the refused flows and the reasons.
func outcome(err error) string {
	var refused *ofconn.CommitError
	if !errors.As(err, &refused) {
		return fmt.Sprint(err)
	}
	var b strings.Builder
	for _, r := range refused.Refused {
		fmt.Fprintf(&b, "%v: %v\n", r.Mod, r.Code)
	}
	return b.String()
}

// The fake and Open vSwitch behave in the same way. The test covers commits, single changes, a full
// table, changes by other controllers, groups, meters, and flows that refer to these.
func TestFakeIsLikeOpenVSwitch(t *testing.T) {
	const limit = 4
	h, real := openVSwitch(t, ignore)
	lab.Run(t, h, "ovs-vsctl", "--", "--id=@t", "create", "Flow_Table", fmt.Sprintf("flow_limit=%d", limit), "overflow_policy=refuse",
		"--", "set", "bridge", lab.IntegrationBridge, "flow_tables:0=@t")
	other := connect(t, h, ignore)
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		if err := real.Send(ctx, ofproto.FlowMod{Command: ofproto.FlowDelete, Flow: ofproto.Flow{FlowKey: ofproto.FlowKey{Table: ofproto.AllTables}}}); err != nil {
			rt.Fatal(err)
		}
		for _, m := range []ofproto.Message{ofproto.GroupMod{Command: ofproto.GroupDelete, Entry: ofproto.GroupEntry{ID: ofproto.GroupAll}},
			ofproto.MeterMod{Command: ofproto.MeterDelete, Entry: ofproto.MeterEntry{ID: ofproto.MeterAll}}} {
			if err := real.Send(ctx, m); err != nil {
				rt.Fatal(err)
			}
		}
		fake := &fakeSwitch{limit: limit}
		drawFlow := func(rt *rapid.T) ofproto.Flow {
			key, body := rapid.IntRange(1, 6).Draw(rt, "key"), rapid.IntRange(1, 5).Draw(rt, "body")
			switch rapid.IntRange(0, 3).Draw(rt, "refers to") {
			case 0:
				return via(key, ofproto.GroupID(body), 0)
			case 1:
				return via(key, 0, ofproto.MeterID(body))
			case 2:
				return via(key, 1, 1)
			}
			return flow(key, body)
		}
		drawMod := func(rt *rapid.T, meters bool) ofproto.Mod {
			c := rapid.SampledFrom([]command{added, added, modified, deleted}).Draw(rt, "command")
			n, body := rapid.IntRange(1, 3).Draw(rt, "number"), rapid.IntRange(1, 3).Draw(rt, "body")
			switch kind := rapid.IntRange(0, 4).Draw(rt, "kind"); {
			case kind == 0:
				return groupTable.mod(c, group(ofproto.GroupID(n), body))
			case kind == 1 && meters:
				return meterTable.mod(c, meter(ofproto.MeterID(n), body))
			}
			return ofproto.FlowMod{
				Command: rapid.SampledFrom([]ofproto.FlowCommand{ofproto.FlowAdd, ofproto.FlowModifyStrict, ofproto.FlowDeleteStrict}).Draw(rt, "flow command"),
				Flow:    drawFlow(rt),
			}
		}
		draw := func(rt *rapid.T, meters bool) []ofproto.Mod {
			var mods []ofproto.Mod
			seen := make(map[any]bool)
			for range rapid.IntRange(1, 6).Draw(rt, "changes") {
				if m := drawMod(rt, meters); !seen[about(m)] {
					seen[about(m)] = true
					mods = append(mods, m)
				}
			}
			return mods
		}
		same := func(rt *rapid.T, what string, a, b error) {
			if x, y := outcome(a), outcome(b); x != y {
				rt.Fatalf("%s: the fake switch returns\n%s\nOpen vSwitch returns\n%s", what, x, y)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				mods := draw(rt, rapid.IntRange(0, 9).Draw(rt, "meters") == 0)
				err := fake.Commit(ctx, mods)
				if fake.crashed { // nothing was applied
					fake.crashed = false
					rt.Skip("Open vSwitch would crash")
				}
				same(rt, "commit", err, real.Commit(ctx, mods))
			},
			"program": func(rt *rapid.T) {
				mods := draw(rt, true)
				same(rt, "program", fake.Program(ctx, mods), real.Program(ctx, mods))
			},
			"others": func(rt *rapid.T) {
				m := drawMod(rt, true)
				fake.others(m)
				other.Program(ctx, []ofproto.Mod{m}) // a refused change has no effect
			},
			"": func(rt *rapid.T) {
				held, _, err := real.Read(ctx, everything)
				if err != nil {
					rt.Fatal(err)
				}
				if s := fake.now().differs(held); s != "" {
					rt.Fatalf("fake and Open vSwitch: %s", s)
				}
			},
		})
	})
}

// When Open vSwitch refuses changes for different reasons, each refused change is reported
// with its reason. The other changes are installed.
func TestOpenVSwitchRefuses(t *testing.T) {
	_, sw := openVSwitch(t, ignore)
	raw := func(n int, do ofproto.Instructions) ofproto.Flow {
		f := flow(n, 1)
		f.Do = do
		return f
	}
	badMatch := flow(2, 1)
	badMatch.Match = ofproto.MatchOf(ofproto.ARPOp(1)) // lacks a prerequisite
	bad := map[ofproto.Flow]string{
		badMatch: "OFPBMC_BAD_PREREQ",
		raw(3, ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortMax - 5})):                                                   "OFPBAC_BAD_OUT_PORT",
		raw(4, ofproto.ApplyActions(ofproto.SetField{Field: ofproto.IPTTL(3)}, ofproto.Output{Port: 1})):                          "OFPBAC_MATCH_INCONSISTENT",
		raw(5, ofproto.ApplyActions(ofproto.RawAction{Wire: "\xff\xff\x00\x10\x00\x12\x34\x56\x00\x01\x00\x00\x00\x00\x00\x00"})): "OFPBAC_BAD_EXPERIMENTER",
	}
	want := flows(flow(1, 1), flow(9, 1))
	for f := range bad {
		want = want.With(f)
	}
	rep := settleOn(t, sw, Config{}, Holdings{Flows: want})
	if rep.State != Degraded || rep.Installed != 2 || len(rep.Refused) != len(bad) {
		t.Errorf("%+v", rep)
	}
	for _, r := range rep.Refused {
		var refused *ofproto.RefusedError
		if !errors.As(r.Err, &refused) || refused.Code.Name() != bad[r.Mod.(ofproto.FlowMod).Flow] {
			t.Errorf("%v: %v, want %s", r.Mod, r.Err, bad[r.Mod.(ofproto.FlowMod).Flow])
		}
	}
	if held, _, err := sw.Read(t.Context(), everything); err != nil || !held.Flows.Equal(flows(flow(1, 1), flow(9, 1))) {
		t.Errorf("the switch has\n%v%v", held.Flows, err)
	}
}

// Open vSwitch accepts a program with groups in one bundle, and returns it as sent. It also accepts
// the change to another program in one bundle. Refused changes are reported, and the other changes
// are installed.
func TestOpenVSwitchHoldsTables(t *testing.T) {
	h, real := openVSwitch(t, ignore)
	sw := &counted{Connected: real}
	lab.Run(t, h, "ovs-ofctl", "-O", "OpenFlow13", "add-group", lab.IntegrationBridge, alienGroup(4).String())
	first := Holdings{flows(via(1, 1, 1), via(2, 2, 0)), groups(group(1, 2), group(2, 64)), theMeters(meter(1, 1))}
	second := Holdings{flows(via(1, 3, 2), via(2, 1, 1)), groups(group(1, 3), group(3, 1)), theMeters(meter(1, 2), meter(2, 1))}
	for _, want := range []Holdings{first, first, second} {
		sw.commits = 0
		before, _, err := sw.Read(t.Context(), everything)
		if err != nil {
			t.Fatal(err)
		}
		differs := state(before).differs(want) != ""
		rep := settleOn(t, sw, Config{}, want)
		held, _, err := sw.Read(t.Context(), everything)
		if err != nil {
			t.Fatal(err)
		}
		if s := state(held).differs(want); rep.State != Settled || s != "" || differs != (sw.commits == 1) {
			t.Errorf("%+v after %d bundles; %s", rep, sw.commits, s)
		}
	}
	bad := second
	bad.Groups = groups(group(1, 3), group(3, 1), group(5, 1))
	bad.Groups[2].Type = 9
	bad.Meters = theMeters(meter(1, 2), meter(2, 1), meter(5, 0))
	bad.Flows = flows(via(1, 3, 2), via(2, 1, 1), via(3, 5, 0), via(4, 0, 5), flow(5, 5))
	rep := settleOn(t, sw, Config{}, bad)
	codes := make(map[string]bool)
	for _, r := range rep.Refused {
		var e *ofproto.RefusedError
		if errors.As(r.Err, &e) {
			kind, _ := entryOf(r.Mod)
			codes[kind+" "+e.Code.Name()] = true
		}
	}
	if rep.State != Degraded || rep.Installed != 3 || len(rep.Refused) != 4 ||
		!codes["group OFPGMFC_BAD_TYPE"] || !codes["meter OFPMMFC_BAD_RATE"] || !codes["flow OFPBAC_BAD_OUT_GROUP"] || !codes["flow OFPMMFC_INVALID_METER"] {
		t.Errorf("%+v, %v", rep, codes)
	}
}

// counted counts bundles.
type counted struct {
	Connected
	commits int
}

func (c *counted) Commit(ctx context.Context, mods []ofproto.Mod) error {
	c.commits++
	return c.Connected.Commit(ctx, mods)
}

// settleOn reconciles sw until its state is settled or degraded.
func settleOn(t *testing.T, sw Switch, cfg Config, want Holdings) Report {
	t.Helper()
	reports := make(chan Report, 100) // more than are sent
	cfg.Router, cfg.Switch, cfg.Recorder, cfg.Log, cfg.Audit = "r1", sw, nopRecorder{}, zap.NewNop(), time.Hour
	cfg.Ours, cfg.OursGroup, cfg.OursMeter = ourCookie, ourGroup, ourMeter
	cfg.Report = func(r Report) { reports <- r }
	r := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.Want(Program{Generation: 1, Flows: want.Flows, Groups: want.Groups, Meters: want.Meters, Describe: func(ofproto.Mod) string { return "thing" }})
	for {
		select {
		case rep := <-reports:
			if rep.State == Settled || rep.State == Degraded {
				cancel()
				<-done
				return rep
			}
		case err := <-done:
			t.Fatal(err)
		case <-time.After(20 * time.Second):
			t.Fatal("not settled in time")
		}
	}
}

// When another controller becomes master, Open vSwitch notifies the former master and refuses
// its changes. It reports changes of flows by the new master, in order, before answers to
// later requests.
func TestOpenVSwitchReportsOtherControllers(t *testing.T) {
	told := make(chan ofproto.Message, 100) // more than are sent
	h, sw := openVSwitch(t, func(m ofproto.Message) { told <- m })
	other := connect(t, h, ignore)
	ctx := t.Context()
	if err := errors.Join(sw.Monitor(ctx), sw.Claim(ctx, ofproto.RoleMaster), sw.Commit(ctx, []ofproto.Mod{add(flow(1, 1))}),
		other.Claim(ctx, ofproto.RoleMaster), other.Commit(ctx, []ofproto.Mod{add(flow(2, 2)), del(flow(1, 1))})); err != nil {
		t.Fatal(err)
	}
	if err := sw.Commit(ctx, []ofproto.Mod{add(flow(3, 3))}); !errors.Is(err, ofproto.ErrIsSlave) {
		t.Errorf("a slave's commit: %v", err)
	}
	close(told)
	demoted := false
	believed := flows(flow(1, 1))
	for m := range told {
		switch m := m.(type) {
		case ofproto.Experimenter:
			role, ok := m.RoleStatus()
			demoted = demoted || ok && role == ofproto.RoleSlave
		case ofproto.Multipart:
			believed = applied(believed, foreign(m.Body.(ofproto.FlowMonitorReply)))
		default:
			t.Errorf("received %T", m)
		}
	}
	if !demoted || !believed.Equal(flows(flow(2, 2))) {
		t.Errorf("demoted: %v, believed\n%v", demoted, believed)
	}
}

// everything is a Known without desired entries.
var everything = Known{Ours: func(ofproto.Cookie) bool { return true },
	OursGroup: func(ofproto.GroupID) bool { return true }, OursMeter: func(ofproto.MeterID) bool { return true }}
