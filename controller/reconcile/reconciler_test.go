package reconcile

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"go.uber.org/zap"
)

func TestWaitsForIntent(t *testing.T) {
	sw := &fakeSwitch{fakeState: fakeState{flows: flows(flow(1, 1))}}
	reconcile(t, sw, Config{}, func(s *subject) {
		time.Sleep(time.Hour) // virtual
		if s.last(); s.rep.State != Waiting || sw.now().role != 0 || sw.now().reads+sw.now().commits > 0 {
			t.Errorf("state %v, %d reads and %d commits before the first program", s.rep.State, sw.now().reads, sw.now().commits)
		}
	})
}

func TestSendsNothingWhenNothingDiffers(t *testing.T) {
	sw := &fakeSwitch{fakeState: fakeState{flows: flows(flow(1, 1), flow(2, 2))}}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, flows(flow(1, 1), flow(2, 2)))
		if rep := s.last(); rep.State != Settled || rep.Installed != 2 || rep.Wanted != 2 || rep.Generation != 1 || sw.now().commits > 0 {
			t.Errorf("%+v after %d commits", rep, sw.now().commits)
		}
	})
}

// A refused flow is reported and does not affect other flows. It is retried with increasing pauses
// until the switch accepts it. Until then, the flow that it should replace stays.
func TestQuarantines(t *testing.T) {
	bad := flow(2, 2)
	old := flow(2, 4)
	sw := &fakeSwitch{fakeState: fakeState{flows: flows(old)}, refuses: func(f ofproto.Flow) bool { return f == bad }}
	want := flows(flow(1, 1), bad, flow(3, 3))
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, want)
		rep := s.last()
		if rep.State != Degraded || rep.Installed != 2 || len(rep.Refused) != 1 || rep.Refused[0].Mod != add(bad) || !errors.Is(rep.Refused[0].Err, ofproto.ErrBadPrereq) {
			t.Errorf("%+v", rep)
		}
		if f, _ := sw.now().flows.Get(old.FlowKey); f != old {
			t.Errorf("the flow that the refused flow should replace: got %v", f)
		}
		time.Sleep(time.Hour) // virtual
		if s.last(); sw.now().commits < 10 || sw.now().commits > 40 {
			t.Errorf("%d commits in an hour of refusals", sw.now().commits)
		}
		sw.set(func() { sw.refuses = nil })
		time.Sleep(lastRetry)
		if rep := s.last(); rep.State != Settled || rep.Installed != 3 || len(rep.Refused) != 0 || !sw.now().flows.Equal(want) {
			t.Errorf("report after the switch accepts the flow: %+v", rep)
		}
	})
}

// A change of the program is sent at once, even if the previous flow was refused.
func TestRefusalEndsWithChange(t *testing.T) {
	sw := &fakeSwitch{refuses: func(f ofproto.Flow) bool { return f == flow(1, 1) }}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, flows(flow(1, 1)))
		s.last()
		s.want(2, flows(flow(1, 2)))
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(flows(flow(1, 2))) {
			t.Errorf("%+v, the switch has %v", rep, sw.now().flows)
		}
	})
}

// If flows do not fit, a bounded number of commits installs all flows that fit. When flows are
// deleted, others use their space at once.
func TestTableFull(t *testing.T) {
	sw := &fakeSwitch{limit: 100}
	var fs []ofproto.Flow
	for i := range 1000 {
		fs = append(fs, flow(i, 1))
	}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, flows(fs...))
		if rep := s.last(); rep.State != Degraded || rep.Installed != 100 || len(rep.Refused) != 900 || sw.now().commits+sw.now().programs > maxRounds+2 {
			t.Errorf("state %v with %d flows and %d refusals after %d commits", rep.State, rep.Installed, len(rep.Refused), sw.now().commits+sw.now().programs)
		}
		keep := sw.now().flows
		var half []ofproto.Flow
		for f := range keep.All() {
			if len(half) < 50 {
				half = append(half, f)
			}
		}
		for i := range 50 {
			half = append(half, flow(2000+i, 1))
		}
		s.want(2, flows(half...))
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(flows(half...)) {
			t.Errorf("after half of the flows were replaced: state %v, %d of %d flows", rep.State, rep.Installed, rep.Wanted)
		}
	})
}

// After a commit without an answer the switch is read.
func TestReadsAfterUnknownOutcome(t *testing.T) {
	sw := &fakeSwitch{lose: 1}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, flows(flow(1, 1)))
		if rep := s.last(); rep.State != Settled || rep.Installed != 1 || sw.now().reads != 2 || sw.now().mods != 1 {
			t.Errorf("report %+v after %d reads and %d changes", rep, sw.now().reads, sw.now().mods)
		}
	})
}

// If many answers in a row are lost, the reconciler pauses between requests.
func TestPausesWhenAnswersAreLost(t *testing.T) {
	sw := &fakeSwitch{lose: 1000, alters: func(f ofproto.Flow) ofproto.Flow { f.Cookie++; return f }} // each try differs
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, flows(flow(1, 1)))
		time.Sleep(time.Hour) // virtual
		if s.last(); sw.now().commits < 10 || sw.now().commits > 40 || !s.seen[Paused] {
			t.Errorf("%d commits in an hour", sw.now().commits)
		}
	})
}

// A switch that cannot be read is reported as unread. When it can be read, it converges. This holds
// at the start, and after the switch has converged once.
func TestUnreadSwitch(t *testing.T) {
	sw := &fakeSwitch{}
	reconcile(t, sw, Config{}, func(s *subject) {
		for i, want := range []ofproto.Set{flows(flow(1, 1)), flows(flow(1, 2)), flows(flow(2, 2))} {
			sw.set(func() { sw.unread = maxMisread - 1 })
			s.Lost() // forces a reading: otherwise the reconciler would use the known holdings
			s.want(uint64(i+1), want)
			if rep := s.last(); !errors.Is(rep.Unread, context.DeadlineExceeded) || rep.State != Reading {
				t.Errorf("%+v", rep)
			}
			time.Sleep(lastRetry) // virtual
			if rep := s.last(); rep.Unread != nil || rep.State != Settled || !sw.now().flows.Equal(want) {
				t.Errorf("%+v; the switch has\n%v", rep, sw.now().flows)
			}
		}
	})
}

// After several failed readings in a row, the connection is closed.
func TestUnreadSwitchIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := &fakeSwitch{unread: 1000}
		r := New(Config{Switch: sw, Ours: ourCookie, OursGroup: ourGroup, OursMeter: ourMeter, Recorder: nopRecorder{}, Report: func(Report) {}, Log: zap.NewNop()})
		r.Want(Program{Generation: 1, Flows: flows(flow(1, 1))})
		if err := r.Run(t.Context()); !errors.Is(err, context.DeadlineExceeded) || sw.now().reads != maxMisread {
			t.Errorf("after %d readings: %v", sw.now().reads, err)
		}
	})
}

// A switch without bundles is programmed change by change.
func TestWithoutBundles(t *testing.T) {
	sw := &fakeSwitch{noBundle: true, fakeState: fakeState{flows: flows(flow(9, 1))}}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.want(1, flows(flow(1, 1)))
		s.want(2, flows(flow(1, 1), flow(2, 2)))
		if rep := s.last(); rep.State != Settled || sw.now().commits != 1 || sw.now().programs == 0 || !sw.now().flows.Equal(flows(flow(1, 1), flow(2, 2))) {
			t.Errorf("report %+v after %d bundles; the switch has\n%v", rep, sw.now().commits, sw.now().flows)
		}
	})
}

// If other programs delete, alter or add flows and the switch reports the change, it is
// repaired at once. Only the difference is sent.
func TestRepairsDrift(t *testing.T) {
	want := flows(flow(1, 1), flow(2, 2), flow(3, 3))
	for _, drift := range []ofproto.FlowMod{del(flow(1, 1)), add(flow(2, 4)), add(flow(2, 3)), add(alien(3, 3)), add(flow(4, 4)), add(alien(5, 5))} {
		sw := &fakeSwitch{fakeState: fakeState{flows: want}}
		reconcile(t, sw, Config{}, func(s *subject) {
			sw.set(func() { sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) } })
			s.want(1, want)
			s.last()
			start := time.Now()
			sw.others(drift)
			if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) || sw.now().mods != 1 || sw.now().reads != 1 || time.Since(start) > 0 {
				t.Errorf("%v: report %+v after %v, %d changes and %d reads; the switch has\n%v", drift, rep, time.Since(start), sw.now().mods, sw.now().reads, sw.now().flows)
			}
		})
	}
}

// Changes by other programs during a commit or a reading are not missed.
func TestDriftDuringCommitOrReading(t *testing.T) {
	first, then := flows(flow(1, 1), flow(2, 2)), flows(flow(1, 1), flow(2, 3))
	for what, begin := range map[string]func(*subject){
		"commit":  func(s *subject) { s.want(2, then) },
		"reading": func(s *subject) { s.want(2, then); s.Lost() },
	} {
		sw := &fakeSwitch{}
		reconcile(t, sw, Config{}, func(s *subject) {
			sw.set(func() { sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) } })
			s.want(1, first)
			s.last()
			sw.set(func() { sw.during = func() { sw.others(del(flow(1, 1))) } })
			begin(s)
			if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(then) {
				t.Errorf("%s: %+v; the switch has\n%v", what, rep, sw.now().flows)
			}
		})
	}
}

// The audit finds changes that the switch has not reported.
func TestAudit(t *testing.T) {
	want := flows(flow(1, 1), flow(2, 2))
	sw := &fakeSwitch{fakeState: fakeState{flows: want}}
	reconcile(t, sw, Config{Audit: time.Minute}, func(s *subject) {
		s.want(1, want)
		s.last()
		sw.others(del(flow(1, 1)))
		sw.set(func() { sw.groups, sw.meters = groups(alienGroup(5)), theMeters(alienMeter(6)) })
		time.Sleep(time.Minute)
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) || sw.now().mods != 3 || len(sw.now().groups)+len(sw.now().meters) > 0 {
			t.Errorf("report %+v after %d changes; the switch has %v", rep, sw.now().mods, sw.now())
		}
	})
}

// With the policies report and ignore, foreign flows stay, unless one of our flows replaces them.
func TestForeignFlows(t *testing.T) {
	for policy, left := range map[Foreign]int{RemoveForeign: 0, ReportForeign: 3, IgnoreForeign: 3} {
		sw := &fakeSwitch{fakeState: fakeState{flows: flows(alien(1, 1), alien(7, 1), alien(8, 1), flow(9, 1)), groups: groups(alienGroup(5))}}
		reconcile(t, sw, Config{}, func(s *subject) {
			s.foreign = policy
			want := flows(flow(1, 1), flow(2, 2))
			s.want(1, want)
			held := want
			if left > 0 {
				held = want.With(alien(7, 1), alien(8, 1))
			}
			if rep := s.last(); rep.State != Settled || rep.Foreign != left || !sw.now().flows.Equal(held) {
				t.Errorf("policy %d: report %+v; the switch has\n%v", policy, rep, sw.now().flows)
			}
			s.want(2, flows(flow(2, 2))) // foreign flows are still foreign
			if rep := s.last(); rep.State != Settled || rep.Foreign != left {
				t.Errorf("policy %d: report %+v after a change of the program", policy, rep)
			}
			s.foreign = RemoveForeign // now the policy changes
			s.want(3, flows(flow(2, 2)))
			if rep := s.last(); rep.State != Settled || rep.Foreign != 0 || !sw.now().flows.Equal(flows(flow(2, 2))) || len(sw.now().groups) > 0 {
				t.Errorf("after the policy changed from %d to remove: report %+v; the switch has\n%v", policy, rep, sw.now().flows)
			}
		})
	}
}

// If another program undoes every repair, the number of repairs is bounded. When that program
// stops, the switch converges.
func TestStorm(t *testing.T) {
	want := flows(flow(1, 1), flow(2, 2))
	sw := &fakeSwitch{fakeState: fakeState{flows: want}}
	reconcile(t, sw, Config{}, func(s *subject) {
		sw.set(func() { sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) } })
		s.want(1, want)
		s.last()
		const storm = time.Minute
		for start := time.Now(); time.Since(start) < storm; time.Sleep(time.Millisecond) {
			sw.others(del(flow(1, 1)))
		}
		s.last()
		if most := repairBurst + int(storm/repairInterval) + 1; sw.now().commits > most || sw.now().commits < 10 || !s.seen[Paused] {
			t.Errorf("%d repairs in %v, want at most %d", sw.now().commits, storm, most)
		}
		time.Sleep(repairInterval)
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) {
			t.Errorf("after the storm: %+v", rep)
		}
		s.want(2, flows(flow(1, 3)))
		if rep := s.last(); rep.State != Settled {
			t.Errorf("report after a change of the program, which should be sent at once: %+v", rep)
		}
	})
}

// A flow that the switch always reports differently is sent a few times and then reported.
// Other flows are not affected.
func TestUnstableFlow(t *testing.T) {
	odd := flow(1, 1)
	sw := &fakeSwitch{alters: func(f ofproto.Flow) ofproto.Flow {
		if f == odd {
			f.Do = ofproto.ApplyActions(ofproto.Output{Port: 77})
		}
		return f
	}}
	reconcile(t, sw, Config{Audit: time.Minute}, func(s *subject) {
		s.want(1, flows(odd, flow(2, 2)))
		time.Sleep(2 * time.Minute)
		rep := s.last()
		var unstable *UnstableError
		if rep.State != Degraded || len(rep.Refused) != 1 || !errors.As(rep.Refused[0].Err, &unstable) || unstable.Want != add(odd) {
			t.Fatalf("%+v", rep)
		}
		if sent := sw.now().mods - 1; sent > maxTries {
			t.Errorf("the flow was sent %d times", sent)
		}
		s.want(2, flows(flow(1, 2), flow(2, 2)))
		if rep := s.last(); rep.State != Settled {
			t.Errorf("report after a change of the program: %+v", rep)
		}
	})
}

// A standby changes nothing. If nothing differs when it takes over, it sends no flow_mod.
func TestStandby(t *testing.T) {
	want := flows(flow(1, 1))
	sw := &fakeSwitch{fakeState: fakeState{flows: flows(flow(2, 2))}}
	reconcile(t, sw, Config{Standby: true}, func(s *subject) {
		sw.set(func() { sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) } })
		s.want(1, want)
		if rep := s.last(); rep.State != Standby || sw.now().commits > 0 || sw.now().role != ofproto.RoleSlave {
			t.Errorf("%+v after %d commits", rep, sw.now().commits)
		}
		sw.others(del(flow(2, 2)))
		sw.others(add(flow(1, 1)))
		s.Lead()
		if rep := s.last(); rep.State != Settled || sw.now().commits > 0 || sw.now().role != ofproto.RoleMaster {
			t.Errorf("%+v after %d commits", rep, sw.now().commits)
		}
		sw.others(del(flow(1, 1)))
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) {
			t.Errorf("%+v", rep)
		}
	})
}

// When another controller becomes master, the reconciler changes nothing, reports the
// demotion, and claims the role again after a pause.
func TestDemoted(t *testing.T) {
	for name, demote := range map[string]func(*subject){
		"told":    func(s *subject) { s.Demoted() },
		"refused": func(s *subject) { s.want(2, flows(flow(1, 3))) },
	} {
		sw := &fakeSwitch{}
		reconcile(t, sw, Config{}, func(s *subject) {
			s.want(1, flows(flow(1, 1)))
			s.last()
			sw.set(func() { sw.slave = true })
			demote(s)
			if rep := s.last(); rep.State != Standby || !rep.Demoted || !sw.now().flows.Equal(flows(flow(1, 1))) || len(rep.Refused) > 0 {
				t.Errorf("%s: %+v", name, rep)
			}
			time.Sleep(demotion)
			if rep := s.last(); rep.State != Settled || rep.Demoted {
				t.Errorf("%s: later: %+v", name, rep)
			}
		})
	}
}

// drawHoldings draws flows, the groups and meters that they refer to, and perhaps other groups
// and meters.
func drawHoldings(rt *rapid.T, label string) (h Holdings) {
	g, m := make(map[ofproto.GroupID]bool), make(map[ofproto.MeterID]bool)
	for n := range 3 {
		if body := rapid.IntRange(0, 3).Draw(rt, label+" group"); body > 0 {
			h.Groups = append(h.Groups, group(ofproto.GroupID(n+1), body))
			g[ofproto.GroupID(n+1)] = true
		}
		if body := rapid.IntRange(0, 3).Draw(rt, label+" meter"); body > 0 {
			h.Meters = append(h.Meters, meter(ofproto.MeterID(n+1), body))
			m[ofproto.MeterID(n+1)] = true
		}
	}
	var fs []ofproto.Flow
	for range rapid.IntRange(0, 6).Draw(rt, label) {
		f := flow(rapid.IntRange(0, 4).Draw(rt, "key"), rapid.IntRange(0, 5).Draw(rt, "body"))
		to, by := ofproto.GroupID(rapid.IntRange(0, 3).Draw(rt, "refers to")), ofproto.MeterID(rapid.IntRange(0, 3).Draw(rt, "metered by"))
		if (to == 0 || g[to]) && (by == 0 || m[by]) && to+ofproto.GroupID(by) > 0 {
			f = via(int(f.Priority), to, by)
		}
		fs = append(fs, f)
	}
	h.Flows = flows(fs...)
	return h
}

// After any programs, refusals, lost answers and changes by other programs, the switch
// converges to the latest program, apart from refused changes.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		told := rapid.Bool().Draw(rt, "changes by others are reported")
		refused := rapid.IntRange(-1, 5).Draw(rt, "refused body")
		refusedEntry := rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(rt, "refused body of groups and meters")
		before := drawHoldings(rt, "there before")
		sw := &fakeSwitch{
			fakeState: fakeState{flows: before.Flows, groups: before.Groups, meters: before.Meters},
			noBundle:  rapid.Bool().Draw(rt, "no bundles"),
			limit:     rapid.SampledFrom([]int{0, 0, 3}).Draw(rt, "limit"),
		}
		sw.refuses = func(f ofproto.Flow) bool { return f.Do == flow(0, refused).Do }
		sw.refuse = func(m ofproto.Mod) ofproto.ErrorCode {
			switch m := m.(type) {
			case ofproto.GroupMod:
				if m.Command != ofproto.GroupDelete && len(m.Entry.Buckets) == refusedEntry {
					return ofproto.ErrBadPrereq
				}
			case ofproto.MeterMod:
				if m.Command != ofproto.MeterDelete && m.Entry.Bands[0].Rate == uint32(100*refusedEntry) {
					return ofproto.ErrBadPrereq
				}
			}
			return 0
		}
		problem := "" // reported outside of the bubble, because Fatal in the bubble would keep it from ending
		reconcile(t, sw, Config{Audit: time.Minute}, func(s *subject) {
			if told {
				sw.tell = func(m ofproto.FlowMod) { s.Noticed(update(m)) }
			}
			want := drawHoldings(rt, "wanted")
			gen := uint64(1)
			s.wantAll(gen, want)
			rt.Repeat(map[string]func(*rapid.T){
				"want": func(rt *rapid.T) {
					want = drawHoldings(rt, "wanted")
					gen++
					s.wantAll(gen, want)
				},
				"lose answers": func(rt *rapid.T) { sw.set(func() { sw.lose = rapid.IntRange(1, 2).Draw(rt, "answers") }) },
				"drift": func(rt *rapid.T) {
					f := flow(rapid.IntRange(0, 4).Draw(rt, "key"), rapid.IntRange(0, 5).Draw(rt, "body"))
					if rapid.Bool().Draw(rt, "theirs") {
						f = alien(int(f.Priority), 1)
					}
					m := add(f)
					if rapid.Bool().Draw(rt, "delete") {
						m = del(f)
					}
					sw.others(m)
				},
				"drift of tables": func(rt *rapid.T) {
					c := rapid.SampledFrom([]command{added, modified, deleted, deleted}).Draw(rt, "command")
					n, body := rapid.IntRange(1, 4).Draw(rt, "number"), rapid.IntRange(1, 3).Draw(rt, "body")
					if rapid.Bool().Draw(rt, "a group") {
						sw.others(groupTable.mod(c, group(ofproto.GroupID(n), body)))
					} else {
						sw.others(meterTable.mod(c, meter(ofproto.MeterID(n), body)))
					}
				},
				"lost": func(*rapid.T) { s.Lost() },
				"foreign": func(rt *rapid.T) {
					n := rapid.IntRange(1, 3).Draw(rt, "number")
					sw.others(setGroup(ofproto.GroupAdd, alienGroup(ofproto.GroupID(n))))
					sw.others(setMeter(ofproto.MeterAdd, alienMeter(ofproto.MeterID(n))))
				},
				"other master": func(*rapid.T) {
					sw.set(func() { sw.slave = true })
					s.Demoted()
				},
				"wait": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(0, 100).Draw(rt, "seconds")) * time.Second)
				},
				"": func(*rapid.T) { s.last() },
			})
			time.Sleep(demotion + 2*lastRetry + 3*time.Minute) // virtual; longer than every retry and audit
			rep := s.last()
			if rep.State != Settled && rep.State != Degraded || rep.Generation != gen || rep.Wanted != want.Flows.Len() {
				problem = fmt.Sprintf("report for %d flows in generation %d: %+v", want.Flows.Len(), gen, rep)
			}
			if p := excuses(sw.now(), want, rep); p != "" {
				problem = p
			}
			if differs := sw.now().differs(want); refused < 0 && refusedEntry == 0 && sw.limit == 0 && differs != "" {
				problem = fmt.Sprintf("%s; %+v", differs, rep)
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// excuses describes differences between the switch and the program that refusals do not explain, or
// returns "".
func excuses(sw fakeState, want Holdings, rep Report) string {
	refusals := make(map[any]bool)
	for _, r := range rep.Refused {
		refusals[about(r.Mod)] = true
	}
	d := ofproto.Diff(sw.flows, want.Flows)
	for _, fs := range [][]ofproto.Flow{d.Modify, d.Add} {
		for _, f := range fs {
			if !refusals[f.FlowKey] {
				return fmt.Sprintf("%v is missing and was not refused; %s", f, sw.differs(want))
			}
		}
	}
	used := make(map[any]bool) // groups and meters of flows that stay because their replacement was refused
	for _, f := range d.Modify {
		used[f.FlowKey] = true
	}
	for _, f := range d.Add {
		used[f.FlowKey] = true
	}
	for f := range sw.flows.All() {
		groups, meters := f.Do.Refs()
		for _, id := range groups {
			used[id] = used[id] || used[f.FlowKey]
		}
		for _, id := range meters {
			used[id] = used[id] || used[f.FlowKey]
		}
	}
	for h, w := range groupTable.diff(sw.groups, want.Groups) {
		if w == nil && !used[h.ID] || w != nil && !refusals[w.ID] {
			return fmt.Sprintf("group %v, want %v; report %+v, %s", h, w, rep, sw.differs(want))
		}
	}
	for h, w := range meterTable.diff(sw.meters, want.Meters) {
		if w == nil && !used[h.ID] || w != nil && !refusals[w.ID] {
			return fmt.Sprintf("meter %v, want %v; report %+v, %s", h, w, rep, sw.differs(want))
		}
	}
	if len(d.Delete) > 0 || rep.Installed != want.Flows.Len()-len(d.Modify)-len(d.Add) {
		return fmt.Sprintf("%d unwanted flows are left, or the number of installed flows is wrong: %+v", len(d.Delete), rep)
	}
	return ""
}

// With a partial intent, flows are added but not deleted. With the complete intent, unwanted flows
// are deleted.
func TestPartialDeletesNothing(t *testing.T) {
	old := flow(1, 1)
	sw := &fakeSwitch{fakeState: fakeState{flows: flows(old, alien(2, 2))}}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.Want(Program{Generation: 1, Flows: flows(flow(3, 3)), Partial: true})
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 1 || !sw.now().flows.Equal(flows(old, alien(2, 2), flow(3, 3))) {
			t.Errorf("%+v with %v", rep, sw.now().flows)
		}
		s.Want(Program{Generation: 2, Flows: flows(flow(3, 3))})
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 2 || !sw.now().flows.Equal(flows(flow(3, 3))) {
			t.Errorf("%+v with %v", rep, sw.now().flows)
		}
	})
}

// Flows that Keep selects are not deleted. Other unwanted flows are deleted.
func TestKeepLeavesFlows(t *testing.T) {
	old, kept := flow(1, 1), flow(2, 2)
	sw := &fakeSwitch{fakeState: fakeState{flows: flows(old, kept)}}
	reconcile(t, sw, Config{}, func(s *subject) {
		s.Want(Program{Generation: 1, Flows: flows(flow(3, 3)), Keep: func(c ofproto.Cookie) bool { return c == kept.Cookie }})
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 1 || !sw.now().flows.Equal(flows(kept, flow(3, 3))) {
			t.Errorf("%+v with %v", rep, sw.now().flows)
		}
		s.Want(Program{Generation: 2, Flows: flows(flow(3, 3))})
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 2 || !sw.now().flows.Equal(flows(flow(3, 3))) {
			t.Errorf("%+v with %v", rep, sw.now().flows)
		}
	})
}

// A program is reported as confirmed when the switch holds it. This holds even if the reconciler
// never settles because a newer program arrives during each commit.
func TestConfirmsUnderWay(t *testing.T) {
	const programs = 20
	sw := &fakeSwitch{}
	reconcile(t, sw, Config{}, func(s *subject) {
		gen := uint64(1)
		var next func()
		next = func() {
			if s.mu.Lock(); s.rep.State == Settled {
				t.Errorf("the reconciler settled before generation %d, so the test did not keep it busy", gen)
			}
			if confirmed := s.rep.Confirmed; confirmed+2 < gen {
				t.Errorf("generation %d is being committed, but the report has %d as confirmed", gen, confirmed)
			}
			s.mu.Unlock()
			if gen++; gen < programs {
				sw.during = next
			}
			s.Want(Program{Generation: gen, Flows: flows(flow(1, int(gen)))})
		}
		sw.set(func() { sw.during = next })
		s.Want(Program{Generation: 1, Flows: flows(flow(1, 1))})
		if rep := s.last(); rep.Confirmed != programs || rep.State != Settled {
			t.Errorf("%+v", rep)
		}
	})
}
