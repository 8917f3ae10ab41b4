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
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// handshakeTimeout is the maximum time from accepting a connection until the switch and its ports
// are known. introductionTimeout is the maximum time until the world has added the session. It is
// longer because a switch that is creating many bridges answers late.
const (
	handshakeTimeout    = 5 * time.Second
	introductionTimeout = time.Minute
)

// A session is one connection of one switch.
type session struct {
	conn *ofconn.Conn
	log  *zap.Logger

	origin   origin
	replaces *session // the former session of the bridge, with a switch that did not answer

	// Set by identify.
	bridge string // name of the LOCAL port
	dpid   ofproto.DPID

	monitored bool // the switch reports changes to its flows

	places []ofproto.FlowStats // result of readPlaces; nil after the world has added the session

	can     compile.Capabilities // owned by the world once it has added the session
	probed  bool                 // can is the result of a probe, not an assumption; owned by the world
	promote chan struct{}        // capacity 1: probe and lead

	rec  atomic.Pointer[reconcile.Reconciler] // set when the world has added the session
	stop context.CancelCauseFunc

	blocked []string // settings of the switch that block packets; owned by the world

	ports    portTable
	counters *counters.Reader
	changes  counters.Changes // changes to flows that are under way

	announcements announcements
	messages      chan struct{} // capacity 1: messages to other hosts are due; nil except on the fabric bridge
}

// lead ends the standby of a session. The session first probes its switch.
func (s *session) lead() {
	select {
	case s.promote <- struct{}{}:
	default:
	}
}

// facts returns the ports and capabilities of the switch.
func (s *session) facts() compile.Facts {
	return compile.Facts{Ports: s.ports.numbers(), Can: s.can}
}

// serve runs the session of a new connection. It returns when the connection has ended, parent
// is done, or the switch does not belong to a router.
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

// drive identifies the switch, adds its session to the world, and runs the reconciler.
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
	g.Go(func() error { return c.sendMessages(ctx, s) })
	g.Go(func() error {
		audit := time.NewTicker(c.cfg.AuditInterval) // the switch does not report changes to its configuration
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

// introduce identifies the switch, probes it if this daemon leads, and adds its session to the
// world. It returns the router.
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
		s.log.Info("switch does not report changes to its flows, reading them periodically", zap.Duration("interval", c.cfg.AuditInterval/10), zap.Error(err))
	} else {
		s.monitored = true
	}
	leads := c.leads.Load() // before the places are read, because until then another daemon may change them
	if s.places, err = s.readPlaces(ctx); err != nil {
		return "", err
	}
	if leads {
		if s.can, err = s.probe(ctx); err != nil {
			return "", err
		}
		s.probed = true
	}
	return c.arrive(ctx, s)
}

// asyncConfig selects the messages that a switch sends unasked: changes of ports, but no
// packets. On management sockets the default of Open vSwitch is no messages.
var asyncConfig = ofproto.SetAsync{AsyncConfig: ofproto.AsyncConfig{
	PortStatus: [2]uint32{
		1<<ofproto.PortAdded | 1<<ofproto.PortDeleted | 1<<ofproto.PortModified,
		1<<ofproto.PortAdded | 1<<ofproto.PortDeleted | 1<<ofproto.PortModified,
	},
}}

// identify reads the switch's datapath ID and the name of its bridge. If the bridge is one of
// ours, it then reads its ports. Before that, no data of the peer is kept.
func (c *Controller) identify(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, handshakeTimeout,
		fmt.Errorf("%w within %v", errHandshake, handshakeTimeout))
	defer cancel()
	f, err := s.conn.Features(ctx)
	if err != nil {
		return err
	}
	if err := s.conn.Send(ctx, asyncConfig); err != nil {
		return fmt.Errorf("subscribe to port changes: %w", err)
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
	if err := c.contest(ctx, s); err != nil { // must precede requests that cost more or change the switch
		return err
	}
	s.conn.Identified()
	if s.bridge == routing.FabricBridge {
		s.messages = make(chan struct{}, 1)
		if err := s.conn.Send(ctx, fabricAsyncConfig); err != nil {
			return fmt.Errorf("subscribe to messages of other hosts: %w", err)
		}
	}
	s.ports.share = c.budget.Share(s.bridge)
	return s.describe(ctx)
}

// describe reads the ports of the switch.
func (s *session) describe(ctx context.Context) error {
	s.ports.expect()
	err := s.conn.EachPort(ctx, func(ports []ofproto.Port) error { s.ports.describe(ports); return nil })
	if err != nil {
		return fmt.Errorf("read the ports of bridge %s: %w", s.bridge, err)
	}
	s.ports.described()
	return nil
}

// received handles a message that answers no request. It runs on the connection's reader
// goroutine.
func (c *Controller) received(s *session, m ofproto.Message) {
	switch m := m.(type) {
	case ofproto.PortStatus:
		s.ports.update(m)
	case ofproto.PacketIn:
		c.post(messageReceived{s, m})
	case ofproto.Multipart:
		if r, ok := m.Body.(ofproto.FlowMonitorReply); ok {
			s.noticed(r)
		}
	case ofproto.Experimenter:
		rec := s.rec.Load()
		role, ok := m.RoleStatus()
		switch {
		case rec == nil:
		case m.MonitorGap():
			rec.Lost()
		case ok && role == ofproto.RoleSlave:
			rec.Demoted()
		}
	case ofproto.ErrorMessage:
		c.rec.SwitchError("", m.Code)
		if n, ok := c.refusals.sample(fmt.Sprint("error ", m.Code)); ok {
			c.log.Warn("switch sent an error that answers no request", zap.Stringer("peer", s.conn.RemoteAddr()),
				zap.String("code", m.Code.Name()), zap.String("meaning", m.Code.Error()), zap.Int("unlogged", n))
		}
	}
}

// noticed passes updates of the flow monitor to the reconciler. Before the reconciler exists
// they are dropped, because it reads all flows when it starts.
func (s *session) noticed(updates []ofproto.FlowUpdate) {
	if rec := s.rec.Load(); rec != nil {
		rec.Noticed(withoutPassing(updates))
	}
}
