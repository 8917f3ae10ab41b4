package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// A TracedPath is the path of a packet, with the counters of the switch.
type TracedPath struct {
	trace.Path
	Bridge string
	// Assumed means that the trace followed the desired flows instead of the installed ones,
	// because the bridge is not connected.
	Assumed bool
	// Held has the installed flow of each step, with its counters; nil if the switch lacks the
	// flow.
	Held []*ofproto.FlowStats
	Text []string // flow of each step in the syntax of ovs-ofctl --names
	Verification
}

// A Verification is the result of a comparison with Open vSwitch's own trace.
type Verification struct {
	// Verified means that Open vSwitch traced the packet too. Disagrees lists the differences
	// between the results; it is nil if they agree. Between has the ports of the integration
	// bridge at which Open vSwitch's trace begins and ends. An element is "" if the trace
	// begins or ends at the routing bridge instead.
	Verified  bool
	Disagrees error
	Between   [2]string
	Remark    string // a remark on Between, such as that a port floods; may be ""
}

// ErrCannotVerify means that Open vSwitch cannot be asked to trace a packet.
var ErrCannotVerify = errors.New("cannot ask Open vSwitch to trace the packet")

// Trace returns the path of a packet. If the packet arrives and its answer can be predicted,
// Trace also returns the path of the answer. If verify is true, Open vSwitch traces both as
// well. The error is one of [trace.Find], or wraps [ErrCannotVerify].
func (c *Controller) Trace(ctx context.Context, q trace.Query, verify bool) ([]TracedPath, error) {
	x, err := ask(ctx, c, func(w *world) *routing.Index { return w.placed })
	if err != nil {
		return nil, err
	}
	path, err := trace.Find(x, q)
	if err != nil {
		return nil, err
	}
	there := TracedPath{Path: path}
	if err := c.follow(ctx, x, &there, verify); err != nil {
		return nil, err
	}
	out := []TracedPath{there}
	if w, ok := trace.Back(x, there.Path); ok {
		back := TracedPath{Path: w}
		if err := c.follow(ctx, x, &back, verify); err != nil {
			return nil, err
		}
		out = append(out, back)
	}
	return out, nil
}

// follow traces a path through its router's bridge, if it has a router.
func (c *Controller) follow(ctx context.Context, x *routing.Index, t *TracedPath, verify bool) error {
	if t.Router == nil {
		if err := c.betweenHosts(ctx, x, t); err != nil {
			return err
		}
		if verify {
			return c.verifyEnds(ctx, x, t)
		}
		return nil
	}
	type source struct {
		session *session
		program compile.Program
		facts   compile.Facts
		host    string // the sender's host; "" without other hosts
	}
	from, err := ask(ctx, c, func(w *world) (from source) {
		if st := w.routers[t.Router.ID]; st != nil {
			if from.session, from.program = st.session, st.program; st.session != nil {
				from.facts = w.facts(st)
			}
		}
		if w.fabric != nil {
			from.host = w.host
			if p, _ := x.Port(t.From.Port); w.spans(&p) {
				from.host = p.Host
			}
			if from.host != w.host {
				from.session = nil
			}
		}
		return from
	})
	if err != nil {
		return err
	}
	s, prog, facts := from.session, from.program, from.facts
	t.Host = from.host
	t.Bridge = t.Router.BridgeName()
	if t.Host != "" && t.Host != c.cfg.Host {
		t.Remark = fmt.Sprintf("host %s routes the packet: these are the desired flows of its switch; run the trace on that host to see the installed flows", t.Host)
	}
	if s == nil {
		t.Assumed = true
		facts = Assume(t.Router, compile.Facts{Can: compile.CanAll, Host: from.host})
		prog = compile.Compile(x, t.Router, facts)
	} else {
		t.Bridge = s.bridge
	}
	t.Path.Follow(x, prog, facts.Ports)
	names := make(map[ofproto.PortNo]string)
	for name, no := range facts.Ports {
		names[no] = name
	}
	for _, step := range t.Steps {
		t.Text = append(t.Text, Named(step.Flow.String(), names))
		held, err := heldBy(ctx, s, prog, step.Flow)
		if err != nil {
			return err
		}
		t.Held = append(t.Held, held)
	}
	if verify {
		if t.Host != "" && t.Host != c.cfg.Host {
			return nil
		}
		if s == nil {
			return fmt.Errorf("%w: bridge %s is not connected", ErrCannotVerify, t.Bridge)
		}
		if err := c.verify(ctx, t); err != nil || t.Disagrees != nil {
			return err
		}
		return c.verifyEnds(ctx, x, t)
	}
	return nil
}

// heldBy returns f with its counters if it is installed, otherwise nil.
func heldBy(ctx context.Context, s *session, p compile.Program, f ofproto.Flow) (*ofproto.FlowStats, error) {
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
	if err == nil && held != nil {
		one := []ofproto.FlowStats{*held}
		err = recount(ctx, s, p, one)
		held = &one[0]
	}
	if err != nil {
		return nil, fmt.Errorf("read the packet counts of bridge %s: %w", s.bridge, err)
	}
	return held, nil
}

// verify compares the path with a trace by Open vSwitch.
func (c *Controller) verify(ctx context.Context, t *TracedPath) error {
	conn, err := c.vswitchd(ctx)
	if err != nil {
		return err
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

// An Explanation is the purpose of a flow.
type Explanation struct {
	Router string          // ID of the router with this flow; "" if not known
	Object *routing.Object // the object that the flow is for; nil if not known
	Does   string
}

// Explain returns the purpose of flows with a cookie. It returns false if the cookie is not
// ours.
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
		return Explanation{Does: "is obsolete: its object is not in the intent"}
	})
	return out, true, err
}

// spans reports whether p can be on another host.
func (w *world) spans(p *routing.Port) bool {
	n, _ := w.intent.Index.Network(p.Network)
	return n.VNI != 0 && p.Host != ""
}

// betweenHosts adds a remark and a departure to the path of a switched packet if the packet goes from
// one host to another.
func (c *Controller) betweenHosts(ctx context.Context, x *routing.Index, t *TracedPath) error {
	type hosts struct{ from, to string }
	at, err := ask(ctx, c, func(w *world) (at hosts) {
		if w.fabric == nil {
			return at
		}
		from, _ := w.placed.Port(t.From.Port)
		to, _ := w.placed.Port(t.To.Port)
		if w.spans(&from) && w.spans(&to) && from.Host != to.Host {
			at.from, at.to = from.Host, to.Host
		}
		return at
	})
	if at.from != "" {
		t.Host, t.Remark = at.from, fmt.Sprintf("it goes from host %s to host %s by a tunnel", at.from, at.to)
		t.SwitchTo(x, at.to)
	}
	return err
}
