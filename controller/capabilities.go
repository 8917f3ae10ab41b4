package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

// probe finds out what the switch can do, by trying: it adds flows to a table to
// which no packet comes, a group and a meter, sees which are refused, and deletes
// them again. Should the connection end in between, they are deleted with all that
// is not wanted.
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
	last := mods[len(mods)-1].String()
	return e != nil && slices.ContainsFunc(e.Refused, func(r *ofproto.RefusedError) bool { return r.Mod.String() == last }), nil
}

// probeAndLead has a session that stood by find out what its switch can do, and
// then lead.
func (c *Controller) probeAndLead(ctx context.Context, s *session) error {
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
