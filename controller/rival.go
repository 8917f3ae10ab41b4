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

// A bridge is one switch. Its session ends when its connection does, or when it does not
// answer while another connection claims to be the same bridge: then the switch has come
// back, and the old connection is one that has broken unnoticed. A session whose switch
// answers keeps the bridge, whoever claims it.

// errTaken refuses a connection that claims to be a bridge which is connected.
var errTaken = errors.New("the bridge is connected by another connection, which answers")

// probeTime is how long the switch of a session may take to answer when another
// connection claims its bridge.
const probeTime = 500 * time.Millisecond

// A claim is the latest connection that was refused because a bridge is connected.
type claim struct {
	at   time.Time
	peer net.Addr
}

// rival returns the session that has the bridge of s and that s may not displace without
// asking, nil if there is none.
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
	case old == s, old != nil && old == s.beats:
		return nil
	case old != nil && old.origin.standby && s.origin.checked: // it was to last until the bridge connects
		return nil
	}
	return old
}

// contest fails if another session has the bridge of s, and its switch answers.
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
			return fmt.Errorf("%w: that of peer %v", errTaken, old.conn.RemoteAddr())
		}
		s.beats = old
	}
}

// claimRefused takes in that a session claimed the bridge of another one.
func (w *world) claimRefused(s *session) {
	if st := w.routerOf(s); st != nil {
		st.claim = &claim{time.Now(), s.conn.RemoteAddr()}
	}
}

// displaced ends a session whose bridge another one has now.
func (s *session) displaced(by *session) {
	cause := ofconn.ErrEchoTimeout
	if s.origin.standby {
		cause = errStopping
	}
	s.stop(fmt.Errorf("%w: bridge %s has connected anew, as peer %v", cause, s.bridge, by.conn.RemoteAddr()))
}

// claimed says that another connection claims the bridge of a router, "" if none did of late.
func (st *routerState) claimed() string {
	if st.claim == nil || st.session == nil || time.Since(st.claim.at) > refusalMemory {
		return ""
	}
	return fmt.Sprintf("another connection (peer %v) claims to be bridge %s and is refused, because the one of peer %v answers: see whether two switches have this name or "+
		"datapath ID, or whether the bridge has two controllers that lead here (ovs-vsctl get-controller %s)",
		describeAddr(st.claim.peer), st.session.bridge, describeAddr(st.session.conn.RemoteAddr()), st.session.bridge)
}

// describeAddr returns the address of a peer without its port, which is another one each
// time.
func describeAddr(a net.Addr) string {
	if host, _, err := net.SplitHostPort(a.String()); err == nil {
		return host
	}
	return "on a Unix socket"
}

// recognize fails if the switch of s is no bridge that we look after.
func (c *Controller) recognize(ctx context.Context, s *session) error {
	type bridge struct {
		router  *routing.Router // nil: none, any more
		retired bool
	}
	b, err := ask(ctx, c, func(w *world) (has bridge) {
		if st := w.routerOf(s); st != nil {
			has.router = st.router
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
		s.ports.use(b.router)
	case !b.retired:
		return unknownBridge(s)
	}
	return nil
}

func unknownBridge(s *session) error {
	return fmt.Errorf("%w: no router has bridge %q or datapath ID %v", errUnknownBridge, s.bridge, s.dpid)
}
