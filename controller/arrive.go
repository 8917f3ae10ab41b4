package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// An Arrival is a packet that comes to this host from another by a tunnel.
type Arrival struct {
	Host    string // the other host
	Network string // whose VNI the tunnel's header has
	Packet  ofproto.Packet
}

// A TracedArrival is the path of an Arrival on this host: through the fabric bridge and, if the other
// host has routed the packet, through the bridge of its router.
type TracedArrival struct {
	Steps   []ArrivalStep
	Arrives bool   // it comes to the machine with its destination address
	Says    string // the outcome
	Verification
}

// An ArrivalStep is a flow that the packet hits.
type ArrivalStep struct {
	trace.Step
	Bridge string
	Held   *ofproto.FlowStats // nil if the switch lacks the flow
	Text   string             // the flow in the syntax of ovs-ofctl --names
}

// ErrNoArrival means that a packet cannot come to this host as an Arrival says.
var ErrNoArrival = errors.New("no such packet comes to this host")

// Arrive returns the path of an Arrival. If verify is true, Open vSwitch traces it as well. The error may
// wrap [ErrNoArrival] or [ErrCannotVerify].
func (c *Controller) Arrive(ctx context.Context, a Arrival, verify bool) (TracedArrival, error) {
	t, err := ask(ctx, c, func(w *world) *arriving { return w.arriving(a) })
	if err != nil {
		return TracedArrival{}, err
	}
	if t.fault != nil {
		return TracedArrival{}, t.fault
	}
	if err := t.through(ctx, t.fabric, t.sent); err != nil {
		return TracedArrival{}, err
	}
	if verify {
		err = c.verifyArrival(ctx, t)
	}
	return t.TracedArrival, err
}

// arriving is an Arrival that is traced.
type arriving struct {
	TracedArrival
	x       *routing.Index
	host    string // this host
	network routing.Network
	fabric  arrivalBridge
	routers map[string]arrivalBridge // by the name of the fabric bridge's port to it; those on the network
	port    string                   // that has the destination address, or ""
	place   string                   // the host of its machine, "" if not known
	sent    ofproto.Packet
	fault   error
}

// An arrivalBridge is a bridge that the packet may pass.
type arrivalBridge struct {
	router  *routing.Router // nil for the fabric bridge
	session *session
	program compile.Program
	ports   compile.Ports
}

func bridgeOf(st *routerState, r *routing.Router) (b arrivalBridge) {
	if st == nil || st.session == nil {
		return b
	}
	return arrivalBridge{r, st.session, st.program, st.session.facts().Ports}
}

func (w *world) arriving(a Arrival) *arriving {
	t := &arriving{x: w.placed, host: w.host, routers: make(map[string]arrivalBridge)}
	n, ok := w.placed.Network(a.Network)
	self, from := w.placed.Host(w.host), w.placed.Host(a.Host)
	switch {
	case w.fabric == nil || self == nil:
		t.fault = fmt.Errorf("%w: it has no tunnels", ErrNoArrival)
	case !ok || n.VNI == 0:
		t.fault = fmt.Errorf("%w: host %s has no network %q with a VNI", ErrNoArrival, w.host, a.Network)
	case from == nil || !from.Tunnel.Address.IsValid():
		t.fault = fmt.Errorf("%w: host %s knows no host %q with a tunnel", ErrNoArrival, w.host, a.Host)
	case w.fabric.session == nil:
		t.fault = fmt.Errorf("bridge %s of host %s is not connected", routing.FabricBridge, w.host)
	}
	if t.fault != nil {
		return t
	}
	t.network, t.fabric = n, bridgeOf(w.fabric, nil)
	for _, l := range w.placed.Legs(n.ID) {
		t.routers[l.Router.FabricPort()] = bridgeOf(w.routers[l.Router.ID], l.Router)
	}
	bare := trace.Bare(a.Packet)
	for f := range bare.Headers.Fields() {
		for p := range w.placed.PortsOn(n.ID, "") {
			if f == ofproto.EthDst(p.MAC) {
				t.port, t.place = p.ID, p.Host
			}
		}
	}
	t.sent = with(bare, ofproto.InPort(t.fabric.ports[self.Tunnel.Type.PortName()]), ofproto.TunID(uint64(n.VNI)), ofproto.TunSrc(from.Tunnel.Address), ofproto.TunDst(self.Tunnel.Address))
	return t
}

// with returns p with more fields.
func with(p ofproto.Packet, more ...ofproto.Field) ofproto.Packet {
	for f := range p.Headers.Fields() {
		more = append(more, f)
	}
	return ofproto.Packet{Headers: ofproto.MatchOf(more...), Size: p.Size}
}

// through follows the packet through a bridge, and then through the next.
func (t *arriving) through(ctx context.Context, b arrivalBridge, p ofproto.Packet) error {
	names := make(map[ofproto.PortNo]string)
	for name, no := range b.ports {
		names[no] = name
	}
	steps, failed := trace.Through(b.program, p)
	var out []ofproto.Egress
	for _, s := range steps {
		held, err := heldBy(ctx, b.session, b.program, s.Flow)
		if err != nil {
			return err
		}
		t.Steps = append(t.Steps, ArrivalStep{s, b.session.bridge, held, Named(s.Flow.String(), names)})
		out = append(out, s.Out...)
	}
	switch {
	case failed != nil:
		t.Says = "it hits a flow whose actions cannot be followed"
		return nil
	case len(out) == 0:
		t.Says = fmt.Sprintf("host %s drops it in bridge %s", t.host, b.session.bridge)
		if len(steps) > 0 {
			t.Says += ": a flow " + steps[len(steps)-1].Does
		}
		return nil
	}
	name := names[out[0].Port]
	if b.router != nil {
		for i := range b.router.Interfaces {
			if f := &b.router.Interfaces[i]; f.PatchName() == name && f.Network == t.network.ID {
				t.enters()
				return nil
			}
		}
	} else if name == t.network.FabricPort() {
		t.enters()
		return nil
	} else if next, ok := t.routers[name]; ok && next.session != nil {
		return t.through(ctx, next, with(trace.Bare(out[0].Packet), ofproto.InPort(next.ports[next.router.FabricPeer()])))
	}
	t.Says = fmt.Sprintf("host %s sends it out of port %s of bridge %s, which leads to no machine", t.host, name, b.session.bridge)
	return nil
}

// enters says what happens to the packet in the integration bridge.
func (t *arriving) enters() {
	switch {
	case t.port == "":
		t.Says = fmt.Sprintf("host %s switches it in network %s; it is for no port of the intent", t.host, t.network.ID)
	case t.place == t.host:
		t.Arrives = true
		t.Says = fmt.Sprintf("host %s switches it in network %s to the machine of port %s", t.host, t.network.ID, t.port)
	case t.place == "":
		t.Says = fmt.Sprintf("host %s switches it in network %s, but knows no host with the machine of port %s", t.host, t.network.ID, t.port)
	default:
		t.Says = fmt.Sprintf("host %s switches it in network %s, but the machine of port %s is on host %s", t.host, t.network.ID, t.port, t.place)
	}
}

// verifyArrival compares the path with a trace by Open vSwitch.
func (c *Controller) verifyArrival(ctx context.Context, t *arriving) error {
	text, err := c.appctl(ctx, "ofproto/trace", routing.FabricBridge, t.sent.String())
	if err != nil {
		return err
	}
	t.Verified = true
	for i := 0; i < len(t.Steps); {
		bridge := t.Steps[i].Bridge
		var ours []ofproto.Step
		for ; i < len(t.Steps) && t.Steps[i].Bridge == bridge; i++ {
			ours = append(ours, t.Steps[i].Step.Step)
		}
		theirs, err := ovstrace.Parse(text, bridge)
		if err == nil {
			theirs.Final = "" // of the last bridge
			err = ovstrace.Compare(ours, theirs)
		}
		if err != nil {
			t.Disagrees = fmt.Errorf("bridge %s: %w", bridge, err)
			return nil
		}
	}
	if !t.Arrives {
		return nil
	}
	evidence, err := c.machinesAnew(ctx)
	if err != nil {
		return err
	}
	return c.verifyEnd(ctx, t.x, machines.NewView(t.x, evidence), &t.Verification, trace.End{Port: t.port}, text)
}
