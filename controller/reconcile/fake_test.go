package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A fakeSwitch holds flows, groups and meters like Open vSwitch. TestFakeIsLikeOpenVSwitch
// compares the two. A fakeSwitch can also fail in ways that a test cannot provoke in Open
// vSwitch.
type fakeSwitch struct {
	mu sync.Mutex
	fakeState
	limit int                   // maximum number of flows; 0 means no limit
	tell  func(ofproto.FlowMod) // the flow monitor: receives changes by other controllers, and flows deleted with a group or meter; may be nil

	refuses  func(ofproto.Flow) bool                     // nil means that it refuses no flow
	refuse   func(ofproto.Mod) ofproto.ErrorCode         // the error for a change of a group or meter; nil means no error
	alters   func(ofproto.Flow) ofproto.Flow             // returns the flow that the switch stores instead; nil means that it stores the flow unchanged
	warps    func(ofproto.GroupEntry) ofproto.GroupEntry // returns the group that the switch stores instead; nil means that it stores the group unchanged
	lose     int                                         // number of commits to apply without an answer
	unread   int                                         // number of readings that fail
	noBundle bool                                        // the switch does not support bundles
	more     int                                         // number of additional unwanted flows that each reading reports
	slave    bool                                        // another controller is master
	during   func()                                      // called once, during a commit or a reading
}

// A fakeState is the contents of a fakeSwitch and the requests that it received.
type fakeState struct {
	flows  ofproto.Set
	groups []ofproto.GroupEntry
	meters []ofproto.MeterEntry
	role   ofproto.Role // the role that was granted

	reads, commits, programs, mods int
	sent                           []string // each request, formatted by words
	crashed                        bool     // the switch received a bundle that would crash Open vSwitch
}

// words formats a request. It lists groups and meters, but only the number of flows.
func words(how string, mods []ofproto.Mod) string {
	var b strings.Builder
	b.WriteString(how)
	for _, m := range mods {
		if text := " flow"; !isFlow(m) {
			b.WriteString(" " + m.String())
		} else if !strings.HasSuffix(b.String(), text) {
			b.WriteString(text)
		}
	}
	return b.String()
}

func isFlow(m ofproto.Mod) bool {
	_, ok := value(m).(ofproto.FlowMod)
	return ok
}

// now returns the current state.
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

func (s *fakeSwitch) Read(_ context.Context, k Known) (Holdings, Beyond, error) {
	s.mu.Lock()
	s.reads++
	held := Holdings{s.flows, s.groups, s.meters}
	fails := s.unread > 0
	if fails {
		s.unread--
	}
	s.mu.Unlock()
	if fails {
		return Holdings{}, Beyond{}, context.DeadlineExceeded
	}
	r := newReader(k)
	for f := range held.Flows.All() {
		if err := r.take([]ofproto.FlowStats{{Flow: f}}); err != nil {
			return held, r.beyond, err
		}
	}
	held.Flows = ofproto.SetOf(r.flows)
	if s.more > 0 {
		held.Flows, r.beyond.Ours = held.Flows.With(flow(60_000, 1)), s.more
	}
	s.meanwhile()
	return held, r.beyond, nil
}

// meanwhile calls during.
func (s *fakeSwitch) meanwhile() {
	s.mu.Lock()
	during := s.during
	s.during = nil
	s.mu.Unlock()
	if during != nil {
		during()
	}
}

// malformed returns the error for m on any switch, or 0 if m is valid.
func (s *fakeSwitch) malformed(m ofproto.Mod) ofproto.ErrorCode {
	if f, ok := m.(ofproto.FlowMod); ok {
		if s.refuses != nil && f.Command != ofproto.FlowDeleteStrict && s.refuses(f.Flow) {
			return ofproto.ErrBadPrereq
		}
		return 0
	}
	if s.refuse != nil {
		return s.refuse(m)
	}
	return 0
}

// check returns the error for m on a switch that holds h, or 0 if m is accepted.
func (s *fakeSwitch) check(h Holdings, m ofproto.Mod) ofproto.ErrorCode {
	switch m := m.(type) {
	case ofproto.GroupMod:
		_, there := groupTable.get(h.Groups, uint32(m.Entry.ID))
		switch {
		case m.Command == ofproto.GroupAdd && there:
			return ofproto.ErrGroupExists
		case m.Command == ofproto.GroupModify && !there:
			return ofproto.ErrUnknownGroup
		}
	case ofproto.MeterMod:
		_, there := meterTable.get(h.Meters, uint32(m.Entry.ID))
		switch {
		case m.Command == ofproto.MeterAdd && there:
			return ofproto.ErrMeterExists
		case m.Command == ofproto.MeterModify && !there:
			return ofproto.ErrUnknownMeter
		}
	case ofproto.FlowMod:
		_, there := h.Flows.Get(m.Flow.FlowKey)
		if m.Command == ofproto.FlowDeleteStrict || m.Command == ofproto.FlowModifyStrict && !there {
			return 0
		}
		groups, meters := m.Flow.Do.Refs()
		for _, id := range meters {
			if _, ok := meterTable.get(h.Meters, uint32(id)); !ok {
				return ofproto.ErrInvalidMeter
			}
		}
		for _, id := range groups {
			if _, ok := groupTable.get(h.Groups, uint32(id)); !ok {
				return ofproto.ErrBadOutGroup
			}
		}
		if s.limit > 0 && m.Command == ofproto.FlowAdd && !there && h.Flows.Len() >= s.limit {
			return ofproto.ErrTableFull
		}
	}
	return 0
}

// apply returns h after m, and the flows that are deleted together with a group or meter.
func (s *fakeSwitch) apply(h Holdings, m ofproto.Mod) (Holdings, []ofproto.Flow) {
	uses := func(ofproto.Instructions) bool { return false }
	switch m := m.(type) {
	case ofproto.FlowMod:
		if s.alters != nil {
			m.Flow = s.alters(m.Flow)
		}
		h.Flows = h.Flows.Apply([]ofproto.FlowMod{m})
	case ofproto.GroupMod:
		if s.warps != nil {
			m.Entry = s.warps(m.Entry)
		}
		h.Groups = groupTable.apply(h.Groups, []ofproto.Mod{m})
		uses = func(do ofproto.Instructions) bool {
			groups, _ := do.Refs()
			return m.Command == ofproto.GroupDelete && slices.Contains(groups, m.Entry.ID)
		}
	case ofproto.MeterMod:
		h.Meters = meterTable.apply(h.Meters, []ofproto.Mod{m})
		uses = func(do ofproto.Instructions) bool {
			_, meters := do.Refs()
			return m.Command == ofproto.MeterDelete && slices.Contains(meters, m.Entry.ID)
		}
	}
	var gone []ofproto.Flow
	h.Flows = h.Flows.Without(func(f ofproto.Flow) bool {
		if !uses(f.Do) {
			return false
		}
		gone = append(gone, f)
		return true
	})
	return h, gone
}

func (s *fakeSwitch) holdings() Holdings { return Holdings{s.flows, s.groups, s.meters} }

// hold sets the contents of s to h. It returns a function that reports gone, the deleted flows, to
// the flow monitor.
func (s *fakeSwitch) hold(h Holdings, gone []ofproto.Flow) (tell func()) {
	s.flows, s.groups, s.meters = h.Flows, h.Groups, h.Meters
	to := s.tell
	return func() {
		for _, f := range gone {
			if to != nil {
				to(del(f))
			}
		}
	}
}

// Commit refuses all malformed changes. If no change is malformed, it refuses the first change that
// fails. Open vSwitch aborts if it then has to undo the deletion of a group in use.
func (s *fakeSwitch) Commit(_ context.Context, mods []ofproto.Mod) error {
	s.meanwhile()
	tell, err := s.commit(mods)
	tell()
	return err
}

func (s *fakeSwitch) commit(mods []ofproto.Mod) (tell func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tell = func() {}
	s.commits++
	s.sent = append(s.sent, words("bundle:", mods))
	switch {
	case s.noBundle:
		return tell, fmt.Errorf("add to bundle: %w", ofproto.ErrBadExperimenter)
	case s.slave:
		return tell, fmt.Errorf("add to bundle: %w", ofproto.ErrIsSlave)
	}
	refused := new(ofconn.CommitError)
	for _, m := range mods {
		code := s.malformed(value(m))
		if _, ok := m.(ofproto.MeterMod); ok {
			code = ofproto.ErrBundleUnsupported
		}
		if code != 0 {
			refused.Refused = append(refused.Refused, ofproto.Refused(m, code))
		}
	}
	if refused.Refused != nil {
		return tell, fmt.Errorf("add to bundle: %w", refused)
	}
	held := s.holdings()
	var gone, more []ofproto.Flow
	for _, m := range mods {
		if code := s.check(held, value(m)); code != 0 {
			refused.Refused = append(refused.Refused, ofproto.Refused(m, code))
			s.crashed = len(gone) > 0
			return tell, fmt.Errorf("commit bundle: %w", refused)
		}
		held, more = s.apply(held, value(m))
		gone = append(gone, more...)
	}
	s.mods += len(mods)
	tell = s.hold(held, gone)
	if s.lose > 0 {
		s.lose--
		return tell, fmt.Errorf("%w: no answer", ofconn.ErrUnknownOutcome)
	}
	return tell, nil
}

// Program applies the changes that are not refused.
func (s *fakeSwitch) Program(_ context.Context, mods []ofproto.Mod) error {
	tell, err := s.program(mods)
	tell()
	return err
}

func (s *fakeSwitch) program(mods []ofproto.Mod) (tell func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.programs++
	s.sent = append(s.sent, words("one by one:", mods))
	refused := new(ofconn.CommitError)
	held := s.holdings()
	var gone, more []ofproto.Flow
	for _, m := range mods {
		code := s.malformed(value(m))
		if s.slave {
			code = ofproto.ErrIsSlave
		} else if code == 0 {
			code = s.check(held, value(m))
		}
		if code != 0 {
			refused.Refused = append(refused.Refused, ofproto.Refused(m, code))
			continue
		}
		s.mods++
		held, more = s.apply(held, value(m))
		gone = append(gone, more...)
	}
	tell = s.hold(held, gone)
	if refused.Refused != nil {
		return tell, fmt.Errorf("change one by one: %w", refused)
	}
	return tell, nil
}

// value returns m, or the value that m points to if it is a pointer.
func value(m ofproto.Mod) ofproto.Mod { return ofproto.Refused(m, 0).Mod }

// others applies a change by another controller, unless it is refused, and reports the changed
// flows.
func (s *fakeSwitch) others(m ofproto.Mod) {
	s.mu.Lock()
	before := s.flows
	if s.check(s.holdings(), m) != 0 {
		s.mu.Unlock()
		return
	}
	tell := s.hold(s.apply(s.holdings(), m))
	changed, to := !before.Equal(s.flows), s.tell
	s.mu.Unlock()
	tell()
	if f, ok := m.(ofproto.FlowMod); ok && to != nil && changed {
		to(f)
	}
}

// set changes the behaviour of the switch.
func (s *fakeSwitch) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// update returns the flow update for m.
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
func (nopRecorder) DriftedTables(string, int, int)                        {}

const ourCookies ofproto.Cookie = 1 << 63

// flow returns a flow with one of a few keys and one of a few bodies.
func flow(key, body int) ofproto.Flow {
	return ofproto.Flow{
		FlowKey: ofproto.FlowKey{Priority: uint16(key)},
		Cookie:  ourCookies | ofproto.Cookie(body/2),
		Do:      ofproto.ApplyActions(ofproto.Output{Port: ofproto.PortNo(body)}),
	}
}

func ourCookie(c ofproto.Cookie) bool  { return c&ourCookies != 0 }
func ourGroup(id ofproto.GroupID) bool { return id >= ourGroups }
func ourMeter(id ofproto.MeterID) bool { return id >= ourMeters }

// alien returns a foreign flow.
func alien(key, body int) ofproto.Flow {
	f := flow(key, body)
	f.Cookie &^= ourCookies
	return f
}

// via returns a flow that refers to group g and meter m; 0 means no group or no meter.
func via(key int, g ofproto.GroupID, m ofproto.MeterID) ofproto.Flow {
	f := flow(key, 0)
	var ins []ofproto.Instruction
	if m != 0 {
		ins = append(ins, ofproto.Meter{ID: ourMeters + m})
	}
	out := ofproto.Action(ofproto.Output{Port: 1})
	if g != 0 {
		out = ofproto.ToGroup{ID: ourGroups + g}
	}
	f.Do = ofproto.Do(append(ins, ofproto.Apply{Actions: ofproto.ActionsOf(out)})...)
	return f
}

const (
	ourGroups ofproto.GroupID = 0xfd000000
	ourMeters ofproto.MeterID = 0x4000
)

// group returns a group of ours, with one of a few lists of buckets.
func group(n ofproto.GroupID, body int) ofproto.GroupEntry {
	g := ofproto.GroupEntry{ID: ourGroups + n, Type: ofproto.GroupTypeSelect}
	for i := range body {
		g.Buckets = append(g.Buckets, ofproto.Bucket{Weight: uint16(i + body), WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny,
			Actions: ofproto.ActionsOf(ofproto.Output{Port: ofproto.PortNo(i + 1)})})
	}
	return g
}

// meter returns a meter of ours, with one of a few rates.
func meter(n ofproto.MeterID, body int) ofproto.MeterEntry {
	return ofproto.MeterEntry{ID: ourMeters + n, Flags: ofproto.MeterPktps | ofproto.MeterBurst | ofproto.MeterStatistics,
		Bands: []ofproto.Band{{Type: ofproto.BandDrop, Rate: uint32(100 * body), Burst: 10}}}
}

func alienGroup(n ofproto.GroupID) ofproto.GroupEntry {
	g := group(n, 1)
	g.ID = n
	return g
}

func alienMeter(n ofproto.MeterID) ofproto.MeterEntry {
	m := meter(n, 1)
	m.ID = n
	return m
}

func groups(gs ...ofproto.GroupEntry) []ofproto.GroupEntry { return gs }

func theMeters(ms ...ofproto.MeterEntry) []ofproto.MeterEntry { return ms }

func setGroup(c ofproto.GroupCommand, g ofproto.GroupEntry) ofproto.Mod {
	return ofproto.GroupMod{Command: c, Entry: g}
}

func setMeter(c ofproto.MeterCommand, m ofproto.MeterEntry) ofproto.Mod {
	return ofproto.MeterMod{Command: c, Entry: m}
}

// differs describes the difference between the switch and h. It returns "" if there is no
// difference.
func (s fakeState) differs(h Holdings) string {
	if s.flows.Equal(h.Flows) && slices.EqualFunc(s.groups, h.Groups, ofproto.GroupEntry.Equal) &&
		slices.EqualFunc(s.meters, h.Meters, ofproto.MeterEntry.Equal) {
		return ""
	}
	return fmt.Sprintf("the switch has\n%v%v\n%v\nwant\n%v%v\n%v", s.flows, s.groups, s.meters, h.Flows, h.Groups, h.Meters)
}

func flows(fs ...ofproto.Flow) ofproto.Set { return ofproto.SetOf(fs) }

func add(f ofproto.Flow) ofproto.FlowMod { return ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: f} }

func del(f ofproto.Flow) ofproto.FlowMod {
	return ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f}
}

// A subject is a running Reconciler in virtual time.
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
	s.wantAll(gen, Holdings{Flows: want})
}

func (s *subject) wantAll(gen uint64, h Holdings) {
	s.Want(Program{Generation: gen, Flows: h.Flows, Groups: h.Groups, Meters: h.Meters, Foreign: s.foreign,
		Describe: func(ofproto.Mod) string { return "thing" }})
}

// reconcile runs a Reconciler of sw during test, in virtual time.
func reconcile(t *testing.T, sw *fakeSwitch, cfg Config, test func(*subject)) {
	synctest.Test(t, func(t *testing.T) {
		s := &subject{seen: make(map[State]bool)}
		cfg.Router, cfg.Switch, cfg.Recorder = "r1", sw, nopRecorder{}
		if cfg.Log == nil {
			cfg.Log = zap.NewNop()
		}
		cfg.Ours, cfg.OursGroup, cfg.OursMeter = ourCookie, ourGroup, ourMeter
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
		if sw.now().crashed {
			t.Error("a bundle would have made Open vSwitch abort")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
}
