package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// handshakeTimeout bounds the time from accepting a connection to knowing the
// switch and its ports, and introductionTimeout that until the world has taken it in: a
// switch that makes many bridges answers late.
const (
	handshakeTimeout    = 5 * time.Second
	introductionTimeout = time.Minute
)

// A session is one connection of one switch.
type session struct {
	conn *ofconn.Conn
	log  *zap.Logger

	origin origin
	beats  *session // one of the same bridge whose switch did not answer when this one came

	// Set by identify.
	bridge string // name of the LOCAL port
	dpid   ofproto.DPID

	monitored bool // the switch tells of changes to its flows

	can     compile.Capabilities // the world's, from when it has taken the session in
	probed  bool                 // can is known, and not assumed; also the world's
	promote chan struct{}        // capacity 1: find out and lead

	rec  atomic.Pointer[reconcile.Reconciler] // set when the world has taken the session in
	stop context.CancelCauseFunc

	blocked []string // why packets do not pass, as far as the switch's configuration is the reason; the world's

	ports    portTable
	counters *counters.Reader
	changes  counters.Changes // of flows that are under way

	announcements announcements
}

// lead ends the standby of a session, after it has found out what its switch can
// do.
func (s *session) lead() {
	select {
	case s.promote <- struct{}{}:
	default:
	}
}

// facts returns what is known about the switch.
func (s *session) facts() compile.Facts {
	return compile.Facts{Ports: s.ports.numbers(), Can: s.can}
}

// serve runs the session of a switch that has connected until the connection
// ends, parent is done, or the switch turns out to belong to no router.
func (c *Controller) serve(parent context.Context, nc net.Conn, from origin) {
	ctx, stop := context.WithCancelCause(parent)
	defer stop(nil)
	s := &session{
		conn:   ofconn.New(nc, c.conn()),
		log:    c.log.With(zap.Stringer("peer", nc.RemoteAddr())),
		stop:   stop,
		origin: from,
		ports:  newPortTable(),

		announcements: newAnnouncements(),

		can: compile.CanAll, promote: make(chan struct{}, 1),
	}
	s.counters = c.counters.Reader(s.conn, &s.changes, func(ctx context.Context) (counters.About, error) { return c.about(ctx, s) }, s.log)
	c.unidentified.endBy(from.member, func(err error) { stop(err) })
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.conn.Run(ctx, func(m ofproto.Message) { c.received(s, m) }) })
	g.Go(func() error { return c.drive(ctx, s) })
	err := g.Wait()
	c.unidentified.leave(from.member)
	s.ports.share.Free()
	if rec := s.rec.Load(); rec != nil {
		rec.Close()
	}
	c.post(sessionEnded{s})
	if errors.Is(err, errStopping) || parent.Err() != nil {
		s.log.Debug("closed connection", zap.Error(err))
		return
	}
	c.refuse(nc.RemoteAddr(), s.bridge, err)
}

// drive finds out who the switch is, has the world take it in, and reconciles
// it.
func (c *Controller) drive(ctx context.Context, s *session) error {
	router, err := c.introduce(ctx, s)
	if err != nil {
		return err
	}
	s.log = s.log.With(zap.String("router", router))
	s.log.Info("switch connected")
	c.rec.Connected(router)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.rec.Load().Run(ctx) })
	g.Go(func() error { return s.counters.Run(ctx) })
	g.Go(func() error { return s.announce(ctx) })
	g.Go(func() error {
		audit := time.NewTicker(c.cfg.AuditInterval) // the switch does not tell of changes to its configuration
		defer audit.Stop()
		for {
			if err := c.configure(ctx, s); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-s.ports.changed:
				c.post(portsChanged{s})
			case <-s.ports.wants:
				if err := s.describe(ctx); err != nil {
					return err
				}
				c.post(portsChanged{s})
			case <-s.promote:
				if err := c.probeAndLead(ctx, s); err != nil {
					return err
				}
			case <-audit.C:
			}
		}
	})
	return g.Wait()
}

// introduce finds out who the switch is and what it can do, and has the world take it in
// for a router.
func (c *Controller) introduce(ctx context.Context, s *session) (router string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, introductionTimeout, fmt.Errorf("%w in full within %v", errHandshake, introductionTimeout))
	defer cancel()
	if err := c.identify(ctx, s); err != nil {
		return "", err
	}
	c.unidentified.leave(s.origin.member)
	if err := (reconcile.Connected{Conn: s.conn}).Monitor(ctx); err != nil {
		var code ofproto.ErrorCode
		if !errors.As(err, &code) {
			return "", err
		}
		s.log.Info("switch does not tell of changes to its flows, it is read now and then", zap.Duration("interval", c.cfg.AuditInterval/10), zap.Error(err))
	} else {
		s.monitored = true
	}
	if c.leads.Load() {
		if s.can, err = s.probe(ctx); err != nil {
			return "", err
		}
		s.probed = true
	}
	return c.arrive(ctx, s)
}

// tidings are what a switch is to tell of its own account: changes of ports, and
// no packets. (On a bridge's own socket Open vSwitch would tell nothing.)
var tidings = ofproto.SetAsync{AsyncConfig: ofproto.AsyncConfig{
	PortStatus: [2]uint32{
		1<<ofproto.PortAdded | 1<<ofproto.PortDeleted | 1<<ofproto.PortModified,
		1<<ofproto.PortAdded | 1<<ofproto.PortDeleted | 1<<ofproto.PortModified,
	},
}}

// identify asks the switch for its datapath ID and the name of its bridge and, if that is one
// of ours, for its ports. Before that, nothing that it sends is kept.
func (c *Controller) identify(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, handshakeTimeout,
		fmt.Errorf("%w within %v", errHandshake, handshakeTimeout))
	defer cancel()
	f, err := s.conn.Features(ctx)
	if err != nil {
		return err
	}
	if err := s.conn.Send(ctx, tidings); err != nil {
		return fmt.Errorf("ask to be told of ports: %w", err)
	}
	s.dpid = f.DPID
	err = s.conn.EachPort(ctx, func(ports []ofproto.Port) error {
		for i := range ports {
			if ports[i].No == ofproto.PortLocal {
				s.bridge = ports[i].Name
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.log = s.log.With(zap.String("bridge", s.bridge), zap.Stringer("dpid", s.dpid))
	if err := c.recognize(ctx, s); err != nil {
		return err
	}
	if err := c.contest(ctx, s); err != nil { // before it may cost more, and is asked for what changes the switch
		return err
	}
	s.conn.Identified()
	s.ports.share = c.budget.Share(s.bridge)
	return s.describe(ctx)
}

// describe asks the switch for its ports.
func (s *session) describe(ctx context.Context) error {
	s.ports.expect()
	err := s.conn.EachPort(ctx, func(ports []ofproto.Port) error { s.ports.describe(ports); return nil })
	if err != nil {
		return fmt.Errorf("read the ports of bridge %s: %w", s.bridge, err)
	}
	s.ports.described()
	return nil
}

// received handles a message that answers no call. It runs on the connection's
// reader.
func (c *Controller) received(s *session, m ofproto.Message) {
	switch m := m.(type) {
	case ofproto.PortStatus:
		s.ports.update(m)
	case ofproto.Multipart:
		if r, ok := m.Body.(ofproto.FlowMonitorReply); ok {
			s.noticed(r)
		}
	case ofproto.Experimenter:
		rec := s.rec.Load()
		role, told := m.RoleStatus()
		switch {
		case rec == nil:
		case m.MonitorGap():
			rec.Lost()
		case told && role == ofproto.RoleSlave:
			rec.Demoted()
		}
	case ofproto.ErrorMessage:
		c.rec.SwitchError("", m.Code)
		if n, ok := c.refusals.sample(fmt.Sprint("error ", m.Code)); ok {
			c.log.Warn("switch sent an error that belongs to no request", zap.Stringer("peer", s.conn.RemoteAddr()),
				zap.String("code", m.Code.Name()), zap.String("meaning", m.Code.Error()), zap.Int("unlogged", n))
		}
	}
}

// noticed takes in what the switch told of changes to its flows. Before there is
// a reconciler nothing is believed that could be wrong.
func (s *session) noticed(updates []ofproto.FlowUpdate) {
	if rec := s.rec.Load(); rec != nil {
		rec.Noticed(withoutProbes(updates))
	}
}
