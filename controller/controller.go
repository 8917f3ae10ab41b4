// Package controller makes the routing bridges of one host do what the intent
// says. It is where the parts meet: the model is compiled into flows, which are
// programmed over OpenFlow; bridges, ports and taps are kept by OVSDB and
// netlink.
//
// One goroutine, the world, owns what is known and compiles. Each connected
// switch has a session, and in it a reconciler that owns what is believed about
// that switch. Another goroutine, the lifecycle, owns bridges and namespaces.
// They tell each other the latest state, never a history.
package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// Config is what a [Controller] is told at its start.
type Config struct {
	// OpenFlow is where switches connect to: tcp:ADDRESS:PORT.
	OpenFlow string
	// OVSDB is where ovsdb-server listens: unix:PATH or tcp:ADDRESS:PORT. ""
	// means that there are no managed routers and that no connection is made.
	OVSDB string
	// IntegrationBridge is the bridge that machines are plugged into.
	IntegrationBridge string
	// EchoInterval is how long a switch may be silent before it is probed;
	// after a second interval it counts as dead. 0 means 5 s.
	EchoInterval time.Duration
}

// A Controller makes routing bridges do what the intent says. Create it with
// [New], then call [Controller.Run]. Its other methods may be called from any
// goroutine while Run runs.
type Controller struct {
	cfg Config
	log *zap.Logger
	rec Recorder

	events    chan func(*world) // a few, so that senders seldom wait; run on the world's goroutine
	stopped   chan struct{}     // closed when the world has ended
	lifecycle *lifecycle        // nil without OVSDB
	strangers strangers
	counters  counters
}

// New returns a Controller that tells rec what it does. It fails if cfg is
// wrong.
func New(cfg Config, rec Recorder, log *zap.Logger) (*Controller, error) {
	if _, err := listenAddress(cfg.OpenFlow); err != nil {
		return nil, err
	}
	c := &Controller{
		cfg:     cfg,
		log:     log,
		rec:     rec,
		events:  make(chan func(*world), 64),
		stopped: make(chan struct{}),
	}
	if cfg.OVSDB != "" {
		db, err := ovsdb.NewClient(ovsdb.Config{Endpoint: cfg.OVSDB, Logger: log})
		if err != nil {
			return nil, err
		}
		c.lifecycle = newLifecycle(cfg, db, c.lifecycleReported, log)
	}
	return c, nil
}

// listenAddress returns ADDRESS:PORT of tcp:ADDRESS:PORT.
func listenAddress(target string) (string, error) {
	addr, ok := strings.CutPrefix(target, "tcp:")
	if ok {
		_, _, err := net.SplitHostPort(addr)
		ok = err == nil
	}
	if !ok {
		return "", fmt.Errorf("%q is not a place to listen for switches: want tcp:ADDRESS:PORT, such as tcp:127.0.0.1:6653", target)
	}
	return addr, nil
}

// controllerTarget returns the target that bridges on this host reach the
// listener by.
func controllerTarget(openflow string) string {
	addr, _ := listenAddress(openflow)
	host, port, _ := net.SplitHostPort(addr)
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "tcp:" + net.JoinHostPort(host, port)
}

// Run works until ctx is done or the listener fails, with first as the intent
// until [Controller.Load] changes it. The switches keep forwarding afterwards.
// The error is never nil; it is ctx's cause if ctx was canceled. When Run
// returns, everything that it started has ended.
func (c *Controller) Run(ctx context.Context, first Topology) error {
	addr, err := listenAddress(c.cfg.OpenFlow)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for switches: %w; does another controller run on this port?", err)
	}
	c.log.Info("listening for switches", zap.String("openflow", c.cfg.OpenFlow))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(c.stopped)
		return c.runWorld(ctx, first)
	})
	if c.lifecycle != nil {
		g.Go(func() error { return c.lifecycle.Run(ctx) })
	}
	g.Go(func() error { return c.accept(ctx, ln) })
	g.Go(func() error {
		<-ctx.Done()
		ln.Close()
		return context.Cause(ctx)
	})
	return g.Wait()
}

// accept runs a session for each connection, and returns when all have ended.
func (c *Controller) accept(ctx context.Context, ln net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer stop()
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			sessions.Go(func() { c.serve(ctx, nc) })
		case errors.Is(err, net.ErrClosed):
			return context.Cause(ctx)
		default: // such as too many open files: others may end
			c.log.Error("could not accept a connection, trying again", zap.Error(err))
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// A Topology is intent and where it came from.
type Topology struct {
	Source   string // such as the name of a file
	Loaded   time.Time
	Model    *routing.Model // valid; it is not changed afterwards, by anyone
	Warnings []string
}

// Load makes t the intent. It returns when t has been taken in, not when the
// switches have it.
func (c *Controller) Load(ctx context.Context, t Topology) error {
	return c.do(ctx, func(w *world) { c.setTopology(w, t) })
}

// LoadFailed notes that a newer topology could not be taken in because of err.
// The old one stays.
func (c *Controller) LoadFailed(ctx context.Context, err error) error {
	return c.do(ctx, func(w *world) { w.reloadErr = err })
}
