package controller

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// A TracedWay is the way of a packet, with what the switch has counted.
type TracedWay struct {
	trace.Way
	Bridge string
	// Assumed says that the bridge is not connected: what it holds is not known,
	// and what it should hold was followed.
	Assumed bool
	// Held are the flows of the steps as the switch holds them, with their counters;
	// nil where it does not.
	Held []*ofproto.FlowStats
	Text []string // each step's flow in the words of ovs-ofctl --names
	// Verified says that Open vSwitch was asked too, and Disagrees what it says
	// differently, nil if nothing.
	Verified  bool
	Disagrees error
}

// ErrCannotVerify says that Open vSwitch cannot be asked for the way of a packet.
var ErrCannotVerify = errors.New("cannot ask Open vSwitch for the way of the packet")

// Trace returns the way of a packet and, if that can be told, of its answer. With
// verify Open vSwitch is asked too. The error is one of [trace.Find], or wraps
// [ErrCannotVerify].
func (c *Controller) Trace(ctx context.Context, q trace.Query, verify bool) ([]TracedWay, error) {
	x, err := ask(ctx, c, func(w *world) *routing.Index { return w.intent.Index })
	if err != nil {
		return nil, err
	}
	way, err := trace.Find(x, q)
	if err != nil {
		return nil, err
	}
	ways := []trace.Way{way}
	if back, ok := trace.Back(x, way); ok {
		ways = append(ways, back)
	}
	var out []TracedWay
	for _, w := range ways {
		t := TracedWay{Way: w}
		if w.Router != nil {
			if err := c.follow(ctx, x, &t, verify); err != nil {
				return nil, err
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// follow takes a way through its router's bridge.
func (c *Controller) follow(ctx context.Context, x *routing.Index, t *TracedWay, verify bool) error {
	type source struct {
		session *session
		program compile.Program
		facts   compile.Facts
	}
	from, err := ask(ctx, c, func(w *world) (from source) {
		if st := w.routers[t.Router.ID]; st != nil {
			if from.session, from.program = st.session, st.program; st.session != nil {
				from.facts = st.facts()
			}
		}
		return from
	})
	if err != nil {
		return err
	}
	s, prog, facts := from.session, from.program, from.facts
	t.Bridge = t.Router.BridgeName()
	if s == nil {
		t.Assumed = true
		facts = Assume(t.Router, compile.Facts{Can: compile.CanAll})
		prog = compile.Compile(x, t.Router, facts)
	} else {
		t.Bridge = s.bridge
	}
	t.Way.Follow(x, prog, facts.Ports)
	names := make(map[ofproto.PortNo]string)
	for name, no := range facts.Ports {
		names[no] = name
	}
	for _, step := range t.Steps {
		t.Text = append(t.Text, Named(step.Flow.String(), names))
		held, err := heldBy(ctx, s, step.Flow)
		if err != nil {
			return err
		}
		t.Held = append(t.Held, held)
	}
	if verify {
		if s == nil {
			return fmt.Errorf("%w: bridge %s is not connected", ErrCannotVerify, t.Bridge)
		}
		return c.verify(ctx, t)
	}
	return nil
}

// heldBy returns a flow as the switch holds it, nil if it does not.
func heldBy(ctx context.Context, s *session, f ofproto.Flow) (*ofproto.FlowStats, error) {
	if s == nil {
		return nil, nil
	}
	filter := ofproto.AllFlows()
	filter.Table, filter.Match, filter.Cookie, filter.CookieMask = f.Table, f.Match, f.Cookie, 1<<64-1
	var held *ofproto.FlowStats
	err := s.conn.EachFlow(ctx, filter, func(part []ofproto.FlowStats) error {
		for i := range part {
			if part[i].Flow == f {
				found := part[i]
				held = &found
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the packet counts of bridge %s: %w", s.bridge, err)
	}
	return held, nil
}

// verify asks Open vSwitch for the way of the packet.
func (c *Controller) verify(ctx context.Context, t *TracedWay) error {
	socket, local := strings.CutPrefix(c.cfg.OVSDB, "unix:")
	if !local {
		return fmt.Errorf("%w: that takes its socket in the directory of OVSDB's, and OVSDB is at %q", ErrCannotVerify, c.cfg.OVSDB)
	}
	conn, err := ovstrace.Dial(ctx, filepath.Dir(socket))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCannotVerify, err)
	}
	defer conn.Close()
	text, err := ovstrace.Run(ctx, conn, t.Bridge, t.Sent)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCannotVerify, err)
	}
	t.Verified = true
	theirs, err := ovstrace.Parse(text, t.Bridge)
	if err != nil {
		t.Disagrees = err
		return nil
	}
	steps := make([]ofproto.Step, len(t.Steps))
	for i := range t.Steps {
		steps[i] = t.Steps[i].Step
	}
	t.Disagrees = ovstrace.Compare(steps, theirs)
	return nil
}

// An Explanation says what a flow is for.
type Explanation struct {
	Router string          // on whose bridge it is; "" if that is not known
	Object *routing.Object // that it serves; nil if that is not known
	Does   string
}

// Explain says what flows with a cookie are for, and false if it carries no mark
// of ours.
func (c *Controller) Explain(ctx context.Context, cookie ofproto.Cookie) (Explanation, bool, error) {
	role, ours := compile.RoleOf(cookie)
	if !ours {
		return Explanation{}, false, nil
	}
	out, err := ask(ctx, c, func(w *world) Explanation {
		for _, st := range w.sorted() {
			if o, ok := st.program.Objects.Get(cookie); ok {
				return Explanation{Router: st.router.ID, Object: &o, Does: role.Does(o)}
			}
		}
		return Explanation{Does: "serves nothing that is wanted any more"}
	})
	return out, true, err
}
