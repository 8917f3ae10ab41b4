package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

// Two connections may claim to be the same bridge. The session that has the bridge keeps it if
// its switch answers a probe. Without an answer, the old connection is assumed to be broken:
// the switch has reconnected, and the old connection is not closed yet. Then the new
// connection gets the bridge.

// errTaken refuses a connection that claims the bridge of another connection.
var errTaken = errors.New("the bridge has another connection, which answers")

// probeTime is the time within which the switch of a session must answer when another
// connection claims its bridge.
const probeTime = 500 * time.Millisecond

// A claim is the latest refused connection that claimed a connected bridge.
type claim struct {
	at   time.Time
	peer net.Addr
}

// rival returns the session that has the bridge of s. It returns nil if no session has it, or
// if s may take it without a probe.
func (w *world) rival(c *Controller, s *session) *session {
	var old *session
	if st := w.routerOf(s); st != nil {
		old = st.session
	} else {
		for b, has := range c.external.retired {
			if b.is(s) {
				old = has
			}
		}
	}
	switch {
	case old == s, old != nil && old == s.replaces:
		return nil
	case old != nil && old.origin.standby && s.origin.checked: // a standby connection ends when the bridge connects
		return nil
	}
	return old
}

// contest fails if another session has the bridge of s and its switch answers.
func (c *Controller) contest(ctx context.Context, s *session) error {
	for {
		old, err := ask(ctx, c, func(w *world) *session { return w.rival(c, s) })
		if err != nil || old == nil {
			return err
		}
		probing, cancel := context.WithTimeoutCause(ctx, probeTime, fmt.Errorf("no answer in %v", probeTime))
		err = old.conn.Probe(probing)
		cancel()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			c.post(claimRefused{s})
			return fmt.Errorf("%w (peer %v)", errTaken, old.conn.RemoteAddr())
		}
		s.replaces = old
	}
}

// claimRefused records that a session claimed the bridge of another one.
func (w *world) claimRefused(s *session) {
	if st := w.routerOf(s); st != nil {
		st.claim = &claim{time.Now(), s.conn.RemoteAddr()}
	}
}

// displaced ends s. The session by has its bridge now.
func (s *session) displaced(by *session) {
	cause := ofconn.ErrEchoTimeout
	if s.origin.standby {
		cause = errStopping
	}
	s.stop(fmt.Errorf("%w: bridge %s has reconnected as peer %v", cause, s.bridge, by.conn.RemoteAddr()))
}

// claimed returns a description of another connection's claim to the bridge of a router. It
// returns "" if there was no claim within refusalMemory.
func (st *routerState) claimed() string {
	if st.claim == nil || st.session == nil || time.Since(st.claim.at) > refusalMemory {
		return ""
	}
	return fmt.Sprintf("another connection (peer %v) claims to be bridge %s and is refused, because the connection of peer %v answers: check whether two switches have this name or "+
		"datapath ID, or whether two controllers of the bridge lead to this daemon (ovs-vsctl get-controller %s)",
		describeAddr(st.claim.peer), st.session.bridge, describeAddr(st.session.conn.RemoteAddr()), st.session.bridge)
}

// describeAddr returns the address of a peer without its port, which differs between
// connections.
func describeAddr(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return "on a Unix socket"
}

// recognize fails if the switch of s is neither the bridge of a router nor a retired bridge.
func (c *Controller) recognize(ctx context.Context, s *session) error {
	type bridge struct {
		router  *routing.Router // nil if no router has it
		ports   []string        // that it uses
		retired bool
	}
	b, err := ask(ctx, c, func(w *world) (has bridge) {
		if st := w.routerOf(s); st != nil {
			has.router, has.ports = st.router, w.portsOf(st)
		}
		for b := range c.external.retired {
			has.retired = has.retired || w.lead && b.is(s)
		}
		return has
	})
	switch {
	case err != nil:
		return err
	case b.router != nil:
		s.ports.use(b.ports)
	case !b.retired:
		return unknownBridge(s)
	}
	return nil
}

func unknownBridge(s *session) error {
	return fmt.Errorf("%w: no router has bridge %q or datapath ID %v", errUnknownBridge, s.bridge, s.dpid)
}
