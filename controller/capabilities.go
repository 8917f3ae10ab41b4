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

// probe tests the capabilities of the switch. It adds a group, a meter, and flows to a table
// that no packet reaches. It records the ones that the switch refuses, and deletes all of
// them. If the connection ends in between, the next session deletes them.
func (s *session) probe(ctx context.Context) (compile.Capabilities, error) {
	probes := compile.Probes()
	var undo, try []ofproto.Mod
	for _, p := range probes {
		undo, try = append(undo, p.Undo), append(try, p.Try)
	}
	slices.Reverse(undo)
	refused, err := s.program(ctx, append(undo, try...)) // first delete leftovers of an earlier probe, which could make this one fail
	if err != nil {
		return 0, fmt.Errorf("probe the capabilities of the switch: %w", err)
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
		return 0, fmt.Errorf("delete the probes of capabilities: %w", err)
	}
	if lacks := (compile.CanAll &^ can).Names(); len(lacks) > 0 {
		s.log.Info("switch lacks capabilities, the kernel routes the packets that need them", zap.String("lacks", strings.Join(lacks, ",")))
	}
	return can, nil
}

// program applies changes and returns the refused ones, by their text.
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

// probeAndLead probes the switch of a session that stood by, then lets it lead.
func (c *Controller) probeAndLead(ctx context.Context, s *session) error {
	if err := s.conn.Claim(ctx, ofproto.RoleMaster); err != nil { // a slave may not change flows
		return err
	}
	can, err := s.probe(ctx)
	if err != nil {
		return err
	}
	places, err := s.readPlaces(ctx)
	if err != nil {
		return err
	}
	_, err = request(ctx, c, func(answer chan<- struct{}) event { return switchProbed{s, can, places, answer} })
	return err
}

// switchProbed sets the capabilities of the switch of s and lets its session lead. places are from
// readPlaces.
func (c *Controller) switchProbed(w *world, s *session, can compile.Capabilities, places []ofproto.FlowStats) {
	s.can, s.probed = can, true
	if w.fabric != nil && w.fabric.session == s {
		w.recall(places)
	}
	for id, st := range w.states() {
		if st.session == s {
			w.dirty[id] = true
			c.compile(w) // with the new capabilities
			s.rec.Load().Lead()
		}
	}
}

// A probedSwitch hides temporary flows from the reconciler: learned flows and probes. Another
// connection of ours may be adding probes at the same time. It also records the times of
// changes.
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
	held.Flows = held.Flows.Without(func(f ofproto.Flow) bool { return compile.IsPassing(f.Cookie) })
	held.Groups = slices.DeleteFunc(held.Groups, func(g ofproto.GroupEntry) bool { return compile.IsProbeGroup(g.ID) })
	held.Meters = slices.DeleteFunc(held.Meters, func(m ofproto.MeterEntry) bool { return compile.IsProbeMeter(m.ID) })
	return held, beyond, err
}

// withoutPassing returns the updates that are not about temporary flows.
func withoutPassing(updates []ofproto.FlowUpdate) []ofproto.FlowUpdate {
	passing := func(u ofproto.FlowUpdate) bool { return compile.IsPassing(u.Flow.Cookie) }
	if !slices.ContainsFunc(updates, passing) {
		return updates
	}
	return slices.DeleteFunc(slices.Clone(updates), passing)
}
