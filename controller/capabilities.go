package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

// probe finds out what the switch can do, by trying: it adds flows to a table to
// which no packet comes, a group and a meter, sees which are refused, and deletes
// them again. Should the connection end in between, the next one deletes them.
func (s *session) probe(ctx context.Context) (routing.Capabilities, error) {
	can, undo := routing.CanAll, []ofproto.Mod(nil)
	for _, p := range routing.Probes() {
		refused, err := s.try(ctx, p.Undo, p.Try) // what is left of an earlier time is no reason to refuse it
		switch {
		case err != nil:
			return 0, fmt.Errorf("try what the switch can do: %w", err)
		case refused:
			can &^= p.Tells
		default:
			undo = append(undo, p.Undo)
		}
	}
	slices.Reverse(undo)
	for _, m := range undo {
		if _, err := s.try(ctx, m); err != nil {
			return 0, fmt.Errorf("undo what was tried: %w", err)
		}
	}
	if lacks := (routing.CanAll &^ can).Names(); len(lacks) > 0 {
		s.log.Info("switch cannot do everything, the kernel does the rest", zap.String("lacks", strings.Join(lacks, ",")))
	}
	return can, nil
}

// try carries out changes and reports whether the last was refused.
func (s *session) try(ctx context.Context, mods ...ofproto.Mod) (refused bool, err error) {
	var e *ofconn.CommitError
	if err := s.conn.ProgramMods(ctx, mods); err != nil && !errors.As(err, &e) {
		return false, err
	}
	if e != nil && errors.Is(e, ofproto.ErrIsSlave) {
		return false, e
	}
	last := mods[len(mods)-1].String()
	return e != nil && slices.ContainsFunc(e.Refused, func(r *ofproto.RefusedError) bool { return r.Mod.String() == last }), nil
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
	return c.do(ctx, func(w *world) {
		s.can, s.probed = can, true
		for id, st := range w.routers {
			if st.session == s {
				w.dirty[id] = true
				c.compile(w) // for what the switch can do
				s.rec.Load().Lead()
			}
		}
	})
}

// A probedSwitch is a switch without what probes add to it for a moment, of
// another connection of ours perhaps.
type probedSwitch struct{ reconcile.Connected }

// Read implements [reconcile.Switch].
func (p probedSwitch) Read(ctx context.Context) (reconcile.Holdings, error) {
	held, err := p.Connected.Read(ctx)
	held.Flows = held.Flows.Without(func(f ofproto.Flow) bool { return routing.IsProbe(f.Cookie) })
	held.Groups = slices.DeleteFunc(held.Groups, func(g ofproto.GroupEntry) bool { return routing.IsProbeGroup(g.ID) })
	held.Meters = slices.DeleteFunc(held.Meters, func(m ofproto.MeterEntry) bool { return routing.IsProbeMeter(m.ID) })
	return held, err
}

// withoutProbes returns the updates that are about no probe.
func withoutProbes(updates []ofproto.FlowUpdate) []ofproto.FlowUpdate {
	return slices.DeleteFunc(slices.Clone(updates), func(u ofproto.FlowUpdate) bool { return routing.IsProbe(u.Flow.Cookie) })
}
