package controller

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// vswitchd connects to the control socket of ovs-vswitchd. The error wraps [ErrCannotVerify].
func (c *Controller) vswitchd(ctx context.Context) (net.Conn, error) {
	socket, local := strings.CutPrefix(c.cfg.OVSDB, "unix:")
	if !local {
		return nil, fmt.Errorf("%w: its control socket is in the directory of the socket of OVSDB, but OVSDB is at %q", ErrCannotVerify, c.cfg.OVSDB)
	}
	conn, err := ovstrace.Dial(ctx, filepath.Dir(socket))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCannotVerify, err)
	}
	return conn, nil
}

// appctl runs a command of ovs-appctl. The error wraps [ErrCannotVerify].
func (c *Controller) appctl(ctx context.Context, command string, args ...string) (string, error) {
	conn, err := c.vswitchd(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text, err := ovstrace.Call(ctx, conn, command, args...)
	if err != nil {
		return "", fmt.Errorf("%w: %s %s: %w", ErrCannotVerify, command, strings.Join(args, " "), err)
	}
	return text, nil
}

// verifyEnds asks Open vSwitch to trace the packet from the sender's port on the integration
// bridge to the receiver's port. It checks whether the packet reaches the routing bridge and,
// from there, the receiver's port. An end is not verified if it is not a port, or if its
// machine cannot be located.
func (c *Controller) verifyEnds(ctx context.Context, x *routing.Index, t *TracedPath) error {
	evidence, err := c.machinesAnew(ctx)
	if err != nil {
		return err
	}
	if evidence.Missing() {
		t.Disagrees = fmt.Errorf("the integration bridge %s does not exist, so no packet passes; see ofdvr doctor", c.cfg.IntegrationBridge)
		return nil
	}
	view := machines.NewView(x, evidence)
	from, ok := c.verifiable(x, view, &t.Verification, t.From)
	if !ok || t.Disagrees != nil || from.State != machines.Seen {
		return nil
	}
	if from.Remote {
		if t.Remark = fmt.Sprintf("the machine of port %s is on another host, behind port %s", t.From.Port, from.Port); from.Host != "" {
			t.Remark = fmt.Sprintf("the machine of port %s is on host %s: run the trace there to see what its switch does", t.From.Port, from.Host)
		}
		return nil
	}
	tag := uint16(0)
	if from.Tagged {
		tag = from.VLAN
	}
	text, err := c.appctl(ctx, "ofproto/trace", c.cfg.IntegrationBridge, t.FromMachine(from.OFPort, tag))
	if err != nil {
		return err
	}
	t.Verified, t.Between[0] = true, from.Port
	if t.Router != nil && !ovstrace.Enters(text, t.Bridge) {
		t.Disagrees = fmt.Errorf("the packet leaves port %s in %s, and does not come to bridge %s, whose port %s is on network %s (VLAN %d): %s",
			from.Port, machines.InVLAN(from.VLAN), t.Bridge, t.In.PeerName(), t.In.Network, from.Wanted, ovstrace.Datapath(text))
		return nil
	}
	if t.Verdict != trace.Routed && t.Verdict != trace.Switched || len(t.Exits) > 1 {
		return nil
	}
	end := t.To
	if len(t.Exits) == 1 && t.Exits[0].Port != "" {
		end.Port = t.Exits[0].Port // the next hop
	}
	return c.verifyEnd(ctx, x, view, &t.Verification, end, text)
}

// verifyEnd compares the destination of the packet with the location of the receiver's machine.
// text is the output of the trace.
func (c *Controller) verifyEnd(ctx context.Context, x *routing.Index, view *machines.View, t *Verification, end trace.End, text string) error {
	to, ok := c.verifiable(x, view, t, end)
	switch {
	case t.Disagrees != nil:
		t.Disagrees = fmt.Errorf("%w. Open vSwitch: %s", t.Disagrees, fate(text))
		return nil
	case !ok || to.State != machines.Seen:
		return nil
	case to.Remote && to.Host != "" && !ovstrace.Enters(text, routing.FabricBridge):
		t.Disagrees = fmt.Errorf("the packet does not come to bridge %s, which should send it to host %s, where the machine of port %s is. Open vSwitch: %s", routing.FabricBridge, to.Host, end.Port, fate(text))
		return nil
	case to.Remote && to.Host != "":
		t.Between[1] = "a tunnel to host " + to.Host
		return nil
	case to.Remote:
		t.Between[1] = to.Port
		return nil
	}
	ports, err := c.appctl(ctx, "dpif/show")
	if err != nil {
		return err
	}
	no, ok := ovstrace.DatapathPort(ports, c.cfg.IntegrationBridge, to.Port)
	if !ok {
		t.Disagrees = fmt.Errorf("the datapath has no port %s", to.Port)
		return nil
	}
	if !ovstrace.Outputs(text, no) {
		t.Disagrees = fmt.Errorf("the packet does not come to port %s of bridge %s, where the machine of port %s is (%s). Open vSwitch: %s", to.Port, c.cfg.IntegrationBridge, end.Port, to.Says, fate(text))
		return nil
	}
	t.Between[1] = to.Port
	if ovstrace.Floods(text) {
		t.Remark = fmt.Sprintf("bridge %s floods the packet, because it has not learned the receiver's MAC address", c.cfg.IntegrationBridge)
	}
	return nil
}

// verifiable returns the location of an end's machine. It returns false if the end is not a
// port, or if its machine cannot be located. If the machine is in the wrong place, it adds a
// disagreement to the path.
func (c *Controller) verifiable(x *routing.Index, view *machines.View, t *Verification, e trace.End) (s machines.Sighting, ok bool) {
	p, ok := x.Port(e.Port)
	if !ok {
		return s, false
	}
	switch s = view.Look(&p); s.State {
	case machines.Elsewhere:
		t.Disagrees = fmt.Errorf("the machine of port %s is elsewhere: %s", p.ID, s.Says)
	case machines.NotSeen:
		t.Disagrees = fmt.Errorf("the machine of port %s is not seen: %s", p.ID, s.Says)
	case machines.Unknown:
		t.Remark = fmt.Sprintf("the place of the machine of port %s is not known: %s", p.ID, s.Says)
		return s, false
	}
	return s, true
}

// fate returns a description of what Open vSwitch does with a packet, from the text of its
// trace.
func fate(text string) string {
	if ovstrace.Floods(text) {
		return "it floods the packet, datapath actions " + ovstrace.Datapath(text)
	}
	return "datapath actions " + ovstrace.Datapath(text)
}
