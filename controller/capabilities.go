package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

// probe finds out what the switch can do, by trying: it adds flows to a table to
// which no packet comes, sees which are refused, and deletes them again. Should
// the connection end in between, they are deleted with all that is not wanted.
func (s *session) probe(ctx context.Context) (routing.Capabilities, error) {
	probes := routing.Probes()
	can := routing.CanAll &^ (routing.CanMeter | routing.CanSelect)
	mods := make([]ofproto.FlowMod, len(probes))
	for i, p := range probes {
		mods[i] = ofproto.FlowMod{Command: ofproto.FlowAdd, Flow: p.Flow}
	}
	took := make(map[ofproto.FlowKey]bool, len(probes))
	for _, p := range probes {
		took[p.Flow.FlowKey] = true
	}
	var refused *ofconn.CommitError
	switch err := s.conn.Program(ctx, mods); {
	case errors.As(err, &refused):
		for _, e := range refused.Refused {
			delete(took, e.Mod.Flow.FlowKey)
		}
	case err != nil:
		return 0, fmt.Errorf("try what the switch can do: %w", err)
	}
	var undo []ofproto.FlowMod
	for _, p := range probes {
		if took[p.Flow.FlowKey] {
			undo = append(undo, ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: p.Flow})
		} else {
			can &^= p.Tells
		}
	}
	if err := s.conn.Program(ctx, undo); err != nil {
		return 0, fmt.Errorf("delete the flows by which was tried what the switch can do: %w", err)
	}
	if lacks := (routing.CanAll &^ can).Names(); len(lacks) > 0 {
		s.log.Info("switch cannot do everything, the kernel does the rest", zap.String("lacks", strings.Join(lacks, ",")))
	}
	return can, nil
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
