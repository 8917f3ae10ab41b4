package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A fakeSwitch holds flows as Open vSwitch does: a commit is applied whole or
// not at all. Unlike Open vSwitch it can be told to refuse or to lose answers.
type fakeSwitch struct {
	mu      sync.Mutex
	flows   ofproto.Set
	refuses func(ofproto.Flow) bool // nil: nothing
	lose    int                     // this many commits are applied and not answered
	reads   int
	commits int
	mods    int
}

func (s *fakeSwitch) Flows(context.Context, ofproto.FlowFilter) ([]ofproto.FlowStats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	var out []ofproto.FlowStats
	for f := range s.flows.All() {
		out = append(out, ofproto.FlowStats{Flow: f})
	}
	return out, nil
}

func (s *fakeSwitch) Commit(_ context.Context, mods []ofproto.FlowMod) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	s.mods += len(mods)
	refused := new(ofconn.CommitError)
	for _, m := range mods {
		if s.refuses != nil && s.refuses(m.Flow) {
			refused.Refused = append(refused.Refused, &ofproto.RefusedError{Mod: m, Code: ofproto.ErrTableFull})
		}
	}
	if refused.Refused != nil {
		return fmt.Errorf("add to bundle: %w", refused)
	}
	s.flows = s.flows.Apply(mods)
	if s.lose > 0 {
		s.lose--
		return fmt.Errorf("%w: no answer", ofconn.ErrUnknownOutcome)
	}
	return nil
}

type nopRecorder struct{}

func (nopRecorder) Committed(string, time.Duration, ofproto.Delta, error) {}
func (nopRecorder) Reconciled(string, time.Duration)                      {}
func (nopRecorder) SwitchError(string, ofproto.ErrorCode)                 {}

func (nopRecorder) Disconnected(string) {}

// flow returns one of a few keys with one of a few bodies.
func flow(key, body int) ofproto.Flow {
	return ofproto.Flow{
		FlowKey: ofproto.FlowKey{Priority: uint16(key)},
		Cookie:  ofproto.Cookie(body / 2),
		Do:      ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortNo(body)}),
	}
}

// reconcile runs a reconciler of sw during test, in virtual time.
func reconcile(t *testing.T, sw *fakeSwitch, test func(r *reconciler, last func() Report)) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var last Report
		r := newReconciler("r1", sw, nopRecorder{}, func(rep Report) {
			mu.Lock()
			defer mu.Unlock()
			last = rep
		}, zap.NewNop())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		test(r, func() Report {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return last
		})
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
}

func TestReconcilerWaitsForIntent(t *testing.T) {
	sw := &fakeSwitch{flows: ofproto.SetOf([]ofproto.Flow{flow(1, 1)})}
	reconcile(t, sw, func(r *reconciler, last func() Report) {
		time.Sleep(time.Hour) // virtual
		if last(); sw.reads+sw.commits > 0 {
			t.Errorf("%d reads and %d commits before anything was wanted", sw.reads, sw.commits)
		}
	})
}

func TestReconcilerSendsNothingWhenNothingDiffers(t *testing.T) {
	flows := []ofproto.Flow{flow(1, 1), flow(2, 2)}
	sw := &fakeSwitch{flows: ofproto.SetOf(slices.Clone(flows))}
	reconcile(t, sw, func(r *reconciler, last func() Report) {
		r.Want(1, ofproto.SetOf(flows))
		if rep := last(); !rep.Settled || rep.Installed != 2 || rep.Wanted != 2 || rep.Generation != 1 || sw.commits > 0 {
			t.Errorf("%+v after %d commits", rep, sw.commits)
		}
	})
}

// A refused flow is reported and does not keep the others away; it is tried
// again, ever more seldom, and taken when the switch takes it.
func TestReconcilerQuarantines(t *testing.T) {
	bad := flow(2, 2)
	sw := &fakeSwitch{refuses: func(f ofproto.Flow) bool { return f == bad }}
	want := ofproto.SetOf([]ofproto.Flow{flow(1, 1), bad, flow(3, 3)})
	reconcile(t, sw, func(r *reconciler, last func() Report) {
		r.Want(1, want)
		rep := last()
		if !rep.Settled || rep.Installed != 2 || len(rep.Refused) != 1 || rep.Refused[0].Mod.Flow != bad {
			t.Errorf("%+v", rep)
		}
		time.Sleep(time.Hour) // virtual
		if last(); sw.commits < 10 || sw.commits > 30 {
			t.Errorf("%d commits in an hour of refusals", sw.commits)
		}
		sw.mu.Lock()
		sw.refuses = nil
		sw.mu.Unlock()
		time.Sleep(lastRetry)
		if rep := last(); rep.Installed != 3 || len(rep.Refused) != 0 || !sw.flows.Equal(want) {
			t.Errorf("after the switch has become willing: %+v", rep)
		}
	})
}

// After a commit that was not answered the switch is read, not guessed.
func TestReconcilerReadsAfterUnknownOutcome(t *testing.T) {
	sw := &fakeSwitch{lose: 1}
	reconcile(t, sw, func(r *reconciler, last func() Report) {
		r.Want(1, ofproto.SetOf([]ofproto.Flow{flow(1, 1)}))
		if rep := last(); !rep.Settled || rep.Installed != 1 || sw.reads != 2 || sw.mods != 1 {
			t.Errorf("%+v after %d reads and %d changes", rep, sw.reads, sw.mods)
		}
	})
}

// Whatever is wanted in turn, refused or left unanswered, the switch ends up
// with what was wanted last, less what it refuses.
func TestReconcilerConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(label string) ofproto.Set {
			var fs []ofproto.Flow
			for range rapid.IntRange(0, 6).Draw(rt, label) {
				fs = append(fs, flow(rapid.IntRange(0, 4).Draw(rt, "key"), rapid.IntRange(0, 5).Draw(rt, "body")))
			}
			return ofproto.SetOf(fs)
		}
		sw := &fakeSwitch{flows: draw("there before")}
		// Only a body is refused, not a deletion of what was there before.
		body := rapid.IntRange(-1, 5).Draw(rt, "refused body")
		refused := func(f ofproto.Flow) bool { return f.Do == flow(0, body).Do }
		sw.refuses = func(f ofproto.Flow) bool { _, there := sw.flows.Get(f.FlowKey); return refused(f) && !there }
		reconcile(t, sw, func(r *reconciler, last func() Report) {
			for gen := range rapid.IntRange(1, 5).Draw(rt, "changes") {
				sw.mu.Lock()
				sw.lose = rapid.IntRange(0, 2).Draw(rt, "lost answers")
				sw.mu.Unlock()
				want := draw("wanted")
				r.Want(uint64(gen), want)
				rep := last()
				if !rep.Settled || rep.Generation != uint64(gen) || rep.Wanted != want.Len() || rep.Installed+len(rep.Refused) != want.Len() {
					rt.Fatalf("wanted %d flows: %+v", want.Len(), rep)
				}
				missing := ofproto.Diff(sw.flows, want)
				if n := len(missing.Delete) + len(missing.Modify); n > 0 || len(missing.Add) != len(rep.Refused) {
					rt.Fatalf("the switch differs by %+v, refused %v", missing, rep.Refused)
				}
			}
		})
	})
}
