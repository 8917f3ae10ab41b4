package reconcile

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ofdvr/ofdvr/ofproto"
)

// routed returns a group, a meter, a flow that refers to both, and another flow.
func routed() Holdings {
	return Holdings{flows(via(1, 1, 1), flow(2, 2)), groups(group(1, 2)), theMeters(meter(1, 1))}
}

// state returns the state of a switch that holds h.
func state(h Holdings) fakeState {
	return fakeState{flows: h.Flows, groups: h.Groups, meters: h.Meters}
}

// Meters are added first. Then one bundle has the other changes, in an order that the switch never
// refuses. Unused meters are deleted last.
func TestOrder(t *testing.T) {
	sw := new(fakeSwitch)
	reconcile(t, sw, Config{}, func(s *subject) {
		s.wantAll(1, routed())
		if s.last(); sw.now().differs(routed()) != "" {
			t.Error(sw.now().differs(routed()))
		}
		next := Holdings{flows(via(1, 2, 2), flow(3, 2)), groups(group(2, 1)), theMeters(meter(2, 1))}
		s.wantAll(2, next)
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 2 || sw.now().differs(next) != "" {
			t.Errorf("%+v; %s", rep, sw.now().differs(next))
		}
	})
	want := []string{
		"one by one: add meter=16385,pktps,burst,stats,bands=type=drop,rate=100,burst_size=10",
		"bundle: add group_id=4244635649,type=select with 2 buckets flow",
		"one by one: add meter=16386,pktps,burst,stats,bands=type=drop,rate=100,burst_size=10",
		"bundle: add group_id=4244635650,type=select with 1 buckets flow delete group_id=4244635649",
		"one by one: delete meter=16385",
	}
	if !slices.Equal(sw.sent, want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(sw.sent, "\n"), strings.Join(want, "\n"))
	}
}

// Only differences are sent. A changed group or meter is modified, so its flows are not
// affected.
func TestSendsOnlyDifferences(t *testing.T) {
	same := func(h *Holdings) {}
	for _, tt := range []struct {
		change func(h *Holdings)
		sent   []string
	}{
		{same, nil},
		{func(h *Holdings) { h.Flows = h.Flows.With(flow(2, 4)) }, []string{"bundle: flow"}},
		{func(h *Holdings) { h.Groups = groups(group(1, 3)) }, []string{"bundle: modify group_id=4244635649,type=select with 3 buckets"}},
		{func(h *Holdings) { h.Meters = theMeters(meter(1, 2)) },
			[]string{"one by one: modify meter=16385,pktps,burst,stats,bands=type=drop,rate=200,burst_size=10"}},
	} {
		sw := &fakeSwitch{fakeState: state(routed())}
		reconcile(t, sw, Config{}, func(s *subject) {
			want := routed() // equal, but not identical lists
			tt.change(&want)
			s.wantAll(1, want)
			if rep := s.last(); rep.State != Settled || rep.Confirmed != 1 || !slices.Equal(sw.now().sent, tt.sent) || sw.now().differs(want) != "" {
				t.Errorf("report %+v after requests %q, want %q; %s", rep, sw.now().sent, tt.sent, sw.now().differs(want))
			}
		})
	}
}

// Without bundles, a group or meter is not deleted in the same step as a change of flows that
// may need it.
func TestTablesWithoutBundles(t *testing.T) {
	sw := &fakeSwitch{noBundle: true, fakeState: state(routed()), refuses: func(f ofproto.Flow) bool { return f == via(1, 2, 0) }}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.wantAll(1, Holdings{flows(via(1, 2, 0)), groups(group(2, 1)), nil})
		held := Holdings{flows(via(1, 1, 1)), groups(group(1, 2), group(2, 1)), theMeters(meter(1, 1))}
		if rep := s.last(); rep.State != Degraded || sw.now().differs(held) != "" {
			t.Errorf("%+v; %s", rep, sw.now().differs(held))
		}
	})
}

// A refused group or meter, and the flows that need it, are reported. All other changes are
// committed. The refused changes are retried with increasing pauses. When the group or meter is
// accepted, its flows are sent at once.
func TestQuarantinesTables(t *testing.T) {
	for name, refuse := range map[string]func(ofproto.Mod) bool{
		"group": func(m ofproto.Mod) bool { _, ok := m.(ofproto.GroupMod); return ok },
		"meter": func(m ofproto.Mod) bool { _, ok := m.(ofproto.MeterMod); return ok },
	} {
		sw := &fakeSwitch{refuse: func(m ofproto.Mod) ofproto.ErrorCode {
			if refuse(m) {
				return ofproto.ErrTableFull
			}
			return 0
		}}
		reconcile(t, sw, Config{}, func(s *subject) {
			s.wantAll(1, routed())
			rep := s.last()
			if rep.State != Degraded || rep.Installed != 1 || len(rep.Refused) != 2 || rep.Confirmed != 1 {
				t.Fatalf("%s: %+v", name, rep)
			}
			byFlow := 0
			for _, r := range rep.Refused {
				if isFlow(r.Mod) {
					byFlow++
				} else if !refuse(r.Mod) || !errors.Is(r.Err, ofproto.ErrTableFull) || !strings.Contains(r.Err.Error(), name) {
					t.Errorf("%s: refused %v: %v", name, r.Mod, r.Err)
				}
			}
			if byFlow != 1 {
				t.Errorf("%s: %d flows refused", name, byFlow)
			}
			time.Sleep(time.Hour) // virtual
			s.last()
			if n := len(sw.now().sent); n < 10 || n > 80 || sw.now().reads > 2 {
				t.Errorf("%s: %d requests and %d readings in an hour of refusals", name, n, sw.now().reads)
			}
			sw.set(func() { sw.refuse = nil })
			time.Sleep(lastRetry)
			if rep := s.last(); rep.State != Settled || sw.now().differs(routed()) != "" {
				t.Errorf("%s: report after the switch accepts the entry: %+v; %s", name, rep, sw.now().differs(routed()))
			}
		})
	}
}

// If the change of a flow is refused, the old flow stays, and the groups and meters that it
// needs stay too.
func TestKeepsNeededGroupsAndMeters(t *testing.T) {
	bad := flow(1, 5)
	sw := &fakeSwitch{fakeState: state(routed()), refuses: func(f ofproto.Flow) bool { return f == bad }}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.wantAll(1, Holdings{Flows: flows(bad)})
		held := routed()
		held.Flows = flows(via(1, 1, 1))
		if rep := s.last(); rep.State != Degraded || sw.now().differs(held) != "" {
			t.Errorf("%+v; %s", rep, sw.now().differs(held))
		}
		s.wantAll(2, Holdings{Flows: flows(flow(1, 4))})
		if rep := s.last(); rep.State != Settled || sw.now().differs(Holdings{Flows: flows(flow(1, 4))}) != "" {
			t.Errorf("%+v; %s", rep, sw.now().differs(Holdings{Flows: flows(flow(1, 4))}))
		}
	})
}

// Groups and meters that other programs change are repaired. This happens at once if flows
// were deleted with them, otherwise at the next reading. The repair is logged.
func TestRepairsTables(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drift ofproto.Mod
		after time.Duration
		note  string
	}{
		{"deleted group", setGroup(ofproto.GroupDelete, group(1, 2)), 0, "others_groups"},
		{"deleted meter", setMeter(ofproto.MeterDelete, meter(1, 1)), 0, "others_meters"},
		{"altered group", setGroup(ofproto.GroupModify, group(1, 1)), time.Minute, "others_groups"},
		{"altered meter", setMeter(ofproto.MeterModify, meter(1, 3)), time.Minute, "others_meters"},
		{"another group", setGroup(ofproto.GroupAdd, group(7, 1)), time.Minute, "others_groups"},
		{"another meter", setMeter(ofproto.MeterAdd, alienMeter(7)), time.Minute, "others_meters"},
	} {
		core, logged := observer.New(zap.WarnLevel)
		sw := &fakeSwitch{fakeState: state(routed())}
		reconcile(t, sw, Config{Audit: time.Minute, Log: zap.New(core)}, func(s *subject) {
			sw.set(func() { sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) } })
			s.wantAll(1, routed())
			s.last()
			time.Sleep(verifyAfter)
			sw.others(tt.drift)
			time.Sleep(tt.after)
			rep := s.last()
			if rep.State != Settled || len(rep.Refused) > 0 || sw.now().differs(routed()) != "" || sw.now().reads < 2 || sw.now().reads > 3 || sw.now().commits > 1 {
				t.Errorf("%s: report %+v after %d readings and requests %q; %s", tt.name, rep, sw.now().reads, sw.now().sent, sw.now().differs(routed()))
			}
			lines := logged.FilterMessageSnippet("repaired flows, groups or meters").All()
			if len(lines) != 1 || lines[0].ContextMap()[tt.note] != int64(1) {
				t.Errorf("%s: logged %v", tt.name, logged.All())
			}
		})
	}
}

// If the deletion of a group was not reported, it is detected when a flow that needs the group is
// refused.
func TestRefusalCausesReading(t *testing.T) {
	sw := &fakeSwitch{fakeState: state(routed())}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.wantAll(1, routed())
		s.last()
		time.Sleep(verifyAfter)
		sw.others(setGroup(ofproto.GroupDelete, group(1, 2)))
		want := routed()
		want.Flows = want.Flows.With(via(3, 1, 0))
		s.wantAll(2, want)
		if rep := s.last(); rep.State != Settled || sw.now().reads != 2 || sw.now().differs(want) != "" {
			t.Errorf("%+v after %d readings; %s", rep, sw.now().reads, sw.now().differs(want))
		}
	})
}

// If another program deletes a group repeatedly, the number of readings and repairs is
// bounded.
func TestStormOfGroups(t *testing.T) {
	sw := &fakeSwitch{fakeState: state(routed())}
	reconcile(t, sw, Config{}, func(s *subject) {
		sw.set(func() { sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) } })
		s.wantAll(1, routed())
		s.last()
		const storm = time.Minute
		for start := time.Now(); time.Since(start) < storm; time.Sleep(time.Millisecond) {
			sw.others(setGroup(ofproto.GroupDelete, group(1, 2)))
		}
		s.last()
		if most := int(storm/verifyAfter) + 2; sw.now().reads > most || sw.now().commits > 4*most {
			t.Errorf("%d readings and %d commits in %v", sw.now().reads, sw.now().commits, storm)
		}
		time.Sleep(lastRetry)
		if rep := s.last(); rep.State != Settled || sw.now().differs(routed()) != "" {
			t.Errorf("after the storm: %+v; %s", rep, sw.now().differs(routed()))
		}
	})
}

// With the policies report and ignore, foreign groups and meters stay. Our unwanted groups and
// meters are deleted in any case. A foreign group or meter with the number of a desired one is
// always replaced.
func TestForeignTables(t *testing.T) {
	for policy, left := range map[Foreign]int{RemoveForeign: 0, ReportForeign: 2, IgnoreForeign: 2} {
		wanted := Holdings{flows(flow(1, 1)), groups(alienGroup(4), group(1, 1)), theMeters(alienMeter(4), meter(1, 1))}
		there := Holdings{
			Groups: groups(group(4, 2), alienGroup(5), group(1, 2), group(9, 1)),
			Meters: theMeters(meter(4, 2), alienMeter(5), meter(1, 2), meter(9, 1)),
		}
		there.Groups[0].ID, there.Meters[0].ID = 4, 4
		sw := &fakeSwitch{fakeState: state(there)}
		reconcile(t, sw, Config{}, func(s *subject) {
			s.foreign = policy
			held := wanted
			if left > 0 {
				held.Groups = groups(alienGroup(4), alienGroup(5), group(1, 1))
				held.Meters = theMeters(alienMeter(4), alienMeter(5), meter(1, 1))
			}
			s.wantAll(1, wanted)
			for gen := uint64(2); gen < 5; gen++ { // foreign entries are still foreign
				if rep := s.last(); rep.State != Settled || rep.Foreign != left || sw.now().differs(held) != "" {
					t.Errorf("policy %d: %+v; %s", policy, rep, sw.now().differs(held))
				}
				s.wantAll(gen, wanted)
			}
			if s.last(); sw.now().commits != 1 {
				t.Errorf("policy %d: %d commits", policy, sw.now().commits)
			}
		})
	}
}

// With a partial intent, groups and meters are not deleted.
func TestPartialKeepsTables(t *testing.T) {
	sw := &fakeSwitch{fakeState: state(routed())}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.Want(Program{Generation: 1, Groups: groups(group(2, 1)), Partial: true})
		held := routed()
		held.Groups = groups(group(1, 2), group(2, 1))
		if rep := s.last(); rep.State != Settled || sw.now().differs(held) != "" {
			t.Errorf("%+v; %s", rep, sw.now().differs(held))
		}
		s.Want(Program{Generation: 2, Groups: groups(group(2, 1))})
		if rep := s.last(); rep.State != Settled || sw.now().differs(Holdings{Groups: groups(group(2, 1))}) != "" {
			t.Errorf("%+v; %s", rep, sw.now().differs(Holdings{Groups: groups(group(2, 1))}))
		}
	})
}

// A group that the switch always reports differently is sent a few times and then reported.
// Other groups are not affected.
func TestUnstableGroup(t *testing.T) {
	sw := &fakeSwitch{warps: func(g ofproto.GroupEntry) ofproto.GroupEntry {
		g.Type = ofproto.GroupTypeAll
		return g
	}}
	reconcile(t, sw, Config{Audit: time.Minute}, func(s *subject) {
		s.wantAll(1, routed())
		time.Sleep(2 * time.Minute)
		rep := s.last()
		var unstable *UnstableError
		if rep.State != Degraded || rep.Installed != 2 || len(rep.Refused) != 1 || !errors.As(rep.Refused[0].Err, &unstable) ||
			!strings.Contains(unstable.Error(), "group group_id=4244635649,type=select") {
			t.Fatalf("%+v", rep)
		}
		if sw.now().commits > maxTries {
			t.Errorf("the group was sent %d times", sw.now().commits)
		}
	})
}

// Identical lists are not compared, so a change of one flow costs the same with any number of
// groups.
func TestSharedListsAreNotCompared(t *testing.T) {
	var looked int
	counting := groupTable
	counting.id = func(g ofproto.GroupEntry) uint32 { looked++; return uint32(g.ID) }
	many := groups(group(1, 1), group(2, 2), group(3, 3))
	for range counting.diff(many, many) {
		t.Error("a list differs from itself")
	}
	if looked > 0 {
		t.Errorf("compared %d entries", looked)
	}
	if got := counting.apply(many, nil); &got[0] != &many[0] {
		t.Error("applying no change copies the list")
	}
}
