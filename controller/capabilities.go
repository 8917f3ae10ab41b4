package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// probe finds out what the switch can do, by trying: it adds flows to a table to
// which no packet comes, a group and a meter, sees which are refused, and deletes
// them again. Should the connection end in between, the next one deletes them.
func (s *session) probe(ctx context.Context) (compile.Capabilities, error) {
	probes := compile.Probes()
	var undo, try []ofproto.Mod
	for _, p := range probes {
		undo, try = append(undo, p.Undo), append(try, p.Try)
	}
	slices.Reverse(undo)
	refused, err := s.program(ctx, append(undo, try...)) // what is left of an earlier time is no reason to refuse it
	if err != nil {
		return 0, fmt.Errorf("try what the switch can do: %w", err)
	}
	can, took := compile.CanAll, undo[:0:0]
	for _, p := range slices.Backward(probes) {
		if refused[p.Try.String()] {
			can &^= p.Tells
		} else {
			took = append(took, p.Undo)
		}
	}
	if _, err := s.program(ctx, took); err != nil {
		return 0, fmt.Errorf("undo what was tried: %w", err)
	}
	if lacks := (compile.CanAll &^ can).Names(); len(lacks) > 0 {
		s.log.Info("switch cannot do everything, the kernel does the rest", zap.String("lacks", strings.Join(lacks, ",")))
	}
	return can, nil
}

// program carries out changes and returns those that were refused, by their text.
func (s *session) program(ctx context.Context, mods []ofproto.Mod) (refused map[string]bool, err error) {
	var e *ofconn.CommitError
	switch err := s.conn.ProgramMods(ctx, mods); {
	case errors.Is(err, ofproto.ErrIsSlave), err != nil && !errors.As(err, &e):
		return nil, err
	case err == nil:
		return nil, nil
	}
	refused = make(map[string]bool, len(e.Refused))
	for _, r := range e.Refused {
		refused[r.Mod.String()] = true
	}
	return refused, nil
}

// probeAndLead has a session that stood by find out what its switch can do, and
// then lead.
func (c *Controller) probeAndLead(ctx context.Context, s *session) error {
	if err := s.conn.Claim(ctx, ofproto.RoleMaster); err != nil { // a slave may not try anything
		return err
	}
	can, err := s.probe(ctx)
	if err != nil {
		return err
	}
	_, err = request(ctx, c, func(answer chan<- struct{}) event { return switchProbed{s, can, answer} })
	return err
}

// switchProbed has a session lead whose switch can do what is said.
func (c *Controller) switchProbed(w *world, s *session, can compile.Capabilities) {
	s.can, s.probed = can, true
	for id, st := range w.routers {
		if st.session == s {
			w.dirty[id] = true
			c.compile(w) // for what the switch can do
			s.rec.Load().Lead()
		}
	}
}

// A probedSwitch is a switch without what probes add to it for a moment, of
// another connection of ours perhaps. It notes its changes.
type probedSwitch struct {
	reconcile.Connected
	changes *counters.Changes
}

// Commit implements [reconcile.Switch].
func (p probedSwitch) Commit(ctx context.Context, mods []ofproto.Mod) error {
	defer p.changes.Begin()()
	return p.Connected.Commit(ctx, mods)
}

// Program implements [reconcile.Switch].
func (p probedSwitch) Program(ctx context.Context, mods []ofproto.Mod) error {
	defer p.changes.Begin()()
	return p.Connected.Program(ctx, mods)
}

// Read implements [reconcile.Switch].
func (p probedSwitch) Read(ctx context.Context, k reconcile.Known) (reconcile.Holdings, reconcile.Beyond, error) {
	held, beyond, err := p.Connected.Read(ctx, k)
	held.Flows = held.Flows.Without(func(f ofproto.Flow) bool { return compile.IsProbe(f.Cookie) })
	held.Groups = slices.DeleteFunc(held.Groups, func(g ofproto.GroupEntry) bool { return compile.IsProbeGroup(g.ID) })
	held.Meters = slices.DeleteFunc(held.Meters, func(m ofproto.MeterEntry) bool { return compile.IsProbeMeter(m.ID) })
	return held, beyond, err
}

// withoutProbes returns the updates that are about no probe: mostly all.
func withoutProbes(updates []ofproto.FlowUpdate) []ofproto.FlowUpdate {
	probes := func(u ofproto.FlowUpdate) bool { return compile.IsProbe(u.Flow.Cookie) }
	if !slices.ContainsFunc(updates, probes) {
		return updates
	}
	return slices.DeleteFunc(slices.Clone(updates), probes)
}
