package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A fakeSwitch holds flows as Open vSwitch does; TestFakeIsLikeOpenVSwitch
// compares the two. It can also fail in ways that Open vSwitch does not show
// when asked to.
type fakeSwitch struct {
	mu sync.Mutex
	fakeState
	limit int                   // flows that fit; 0: as many as may be
	tell  func(ofproto.FlowMod) // of what others change; nil: nobody is told

	refuses func(ofproto.Flow) bool         // nil: nothing
	alters  func(ofproto.Flow) ofproto.Flow // how a flow is stored; nil: as it is
	lose    int                             // this many commits are applied and not answered
	bare    bool                            // knows no bundles
	slave   bool                            // somebody else is master
	during  func()                          // is called once, while a commit or a reading is under way
}

// A fakeState is what a fakeSwitch holds and what was asked of it.
type fakeState struct {
	flows  ofproto.Set
	strays int
	role   ofproto.Role // that was given

	reads, commits, programs, mods, purges int
}

// now returns the state as it is.
func (s *fakeSwitch) now() fakeState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fakeState
}

func (s *fakeSwitch) Claim(_ context.Context, role ofproto.Role) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role, s.slave = role, role == ofproto.RoleSlave
	return nil
}

func (s *fakeSwitch) Read(context.Context) (Holdings, error) {
	s.mu.Lock()
	s.reads++
	held := Holdings{s.flows, s.strays}
	s.mu.Unlock()
	s.meanwhile()
	return held, nil
}

// meanwhile has others do what they do.
func (s *fakeSwitch) meanwhile() {
	s.mu.Lock()
	during := s.during
	s.during = nil
	s.mu.Unlock()
	if during != nil {
		during()
	}
}

func (s *fakeSwitch) Purge(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purges++
	s.strays = 0
	return nil
}

// check returns why the switch refuses m, 0 if it does not.
func (s *fakeSwitch) check(flows ofproto.Set, m ofproto.FlowMod) ofproto.ErrorCode {
	_, there := flows.Get(m.Flow.FlowKey)
	switch {
	case s.refuses != nil && m.Command != ofproto.FlowDeleteStrict && s.refuses(m.Flow):
		return ofproto.ErrBadPrereq
	case s.limit > 0 && m.Command == ofproto.FlowAdd && !there && flows.Len() >= s.limit:
		return ofproto.ErrTableFull
	}
	return 0
}

func (s *fakeSwitch) apply(flows ofproto.Set, m ofproto.FlowMod) ofproto.Set {
	if s.alters != nil {
		m.Flow = s.alters(m.Flow)
	}
	return flows.Apply([]ofproto.FlowMod{m})
}

// Commit refuses all that cannot be encoded, or the first that does not fit.
func (s *fakeSwitch) Commit(_ context.Context, mods []ofproto.FlowMod) error {
	s.meanwhile()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	switch {
	case s.bare:
		return fmt.Errorf("add to bundle: %w", ofproto.ErrBadExperimenter)
	case s.slave:
		return fmt.Errorf("add to bundle: %w", ofproto.ErrIsSlave)
	}
	refused := new(ofconn.CommitError)
	flows := s.flows
	for _, m := range mods {
		if code := s.check(flows, m); code != 0 {
			refused.Refused = append(refused.Refused, &ofproto.RefusedError{Mod: m, Code: code})
			if code == ofproto.ErrTableFull {
				break
			}
			continue
		}
		flows = s.apply(flows, m)
	}
	if refused.Refused != nil {
		return fmt.Errorf("commit bundle: %w", refused)
	}
	s.mods += len(mods)
	s.flows = flows
	if s.lose > 0 {
		s.lose--
		return fmt.Errorf("%w: no answer", ofconn.ErrUnknownOutcome)
	}
	return nil
}

// Program carries out what is not refused.
func (s *fakeSwitch) Program(_ context.Context, mods []ofproto.FlowMod) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs++
	if s.slave {
		return fmt.Errorf("program flows: %w", ofproto.ErrIsSlave)
	}
	refused := new(ofconn.CommitError)
	for _, m := range mods {
		if code := s.check(s.flows, m); code != 0 {
			refused.Refused = append(refused.Refused, &ofproto.RefusedError{Mod: m, Code: code})
			continue
		}
		s.mods++
		s.flows = s.apply(s.flows, m)
	}
	if refused.Refused != nil {
		return fmt.Errorf("program flows: %w", refused)
	}
	return nil
}

// others changes a flow as another controller would, and tells of it.
func (s *fakeSwitch) others(m ofproto.FlowMod) {
	s.mu.Lock()
	before := s.flows
	s.flows = s.flows.Apply([]ofproto.FlowMod{m})
	tell := s.tell
	changed := !before.Equal(s.flows)
	s.mu.Unlock()
	if tell != nil && changed {
		tell(m)
	}
}

// set changes how the switch behaves.
func (s *fakeSwitch) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// update is what a switch with a flow monitor tells of m.
func update(m ofproto.FlowMod) []ofproto.FlowUpdate {
	u := ofproto.FlowUpdate{Event: ofproto.FlowAdded, Flow: m.Flow}
	if m.Command == ofproto.FlowDeleteStrict {
		u.Event = ofproto.FlowDeleted
	}
	return []ofproto.FlowUpdate{u}
}

type nopRecorder struct{}

func (nopRecorder) Committed(string, time.Duration, ofproto.Delta, error) {}
func (nopRecorder) Reconciled(string, time.Duration)                      {}
func (nopRecorder) SwitchError(string, ofproto.ErrorCode)                 {}
func (nopRecorder) Drifted(string, int, int, int)                         {}

const ourCookies ofproto.Cookie = 1 << 63

// flow returns one of a few keys with one of a few bodies.
func flow(key, body int) ofproto.Flow {
	return ofproto.Flow{
		FlowKey: ofproto.FlowKey{Priority: uint16(key)},
		Cookie:  ourCookies | ofproto.Cookie(body/2),
		Do:      ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortNo(body)}),
	}
}

// alien returns a flow that is not ours.
func alien(key, body int) ofproto.Flow {
	f := flow(key, body)
	f.Cookie &^= ourCookies
	return f
}

func flows(fs ...ofproto.Flow) ofproto.Set { return ofproto.SetOf(fs) }

func add(f ofproto.Flow) ofproto.FlowMod { return ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: f} }

func del(f ofproto.Flow) ofproto.FlowMod {
	return ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f}
}

// A subject is a Reconciler that runs in virtual time.
type subject struct {
	*Reconciler
	mu   sync.Mutex
	rep  Report
	seen map[State]bool

	foreign Foreign // of the programs
}

func (s *subject) last() Report {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rep
}

func (s *subject) want(gen uint64, want ofproto.Set) {
	s.Want(Program{Generation: gen, Flows: want, Foreign: s.foreign, Describe: func(ofproto.Cookie) string { return "thing" }})
}

// reconcile runs a Reconciler of sw during test, in virtual time.
func reconcile(t *testing.T, sw *fakeSwitch, cfg Config, test func(*subject)) {
	synctest.Test(t, func(t *testing.T) {
		s := &subject{seen: make(map[State]bool)}
		cfg.Router, cfg.Switch, cfg.Recorder, cfg.Log = "r1", sw, nopRecorder{}, zap.NewNop()
		cfg.Ours = func(c ofproto.Cookie) bool { return c&ourCookies != 0 }
		cfg.Report = func(rep Report) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.rep = rep
			s.seen[rep.State] = true
		}
		if cfg.Audit == 0 {
			cfg.Audit = 24 * 365 * time.Hour
		}
		s.Reconciler = New(cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		test(s)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
}
