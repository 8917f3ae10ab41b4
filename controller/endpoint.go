package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// An endpoint is an address for OpenFlow connections, in the syntax of ovs-vsctl
// set-controller. The controller listens on tcp:ADDRESS:PORT, ssl:ADDRESS:PORT and punix:PATH,
// and connects to unix:PATH, such as a bridge's management socket
// /run/openvswitch/BRIDGE.mgmt.
type endpoint struct {
	kind string // tcp, ssl, punix or unix
	addr string // ADDRESS:PORT or PATH
}

// CheckEndpoint returns an error if s is not an OpenFlow endpoint, see [Config].
func CheckEndpoint(s string) error {
	_, err := parseEndpoint(s)
	return err
}

func parseEndpoint(s string) (endpoint, error) {
	kind, addr, _ := strings.Cut(s, ":")
	ok := false
	switch kind {
	case "tcp", "ssl":
		_, _, err := net.SplitHostPort(addr)
		ok = err == nil
	case "punix", "unix":
		ok = addr != ""
	}
	if !ok {
		return endpoint{}, fmt.Errorf("invalid OpenFlow endpoint %q: want tcp:ADDRESS:PORT, ssl:ADDRESS:PORT, punix:PATH "+
			"or unix:PATH, such as tcp:127.0.0.1:6653", s)
	}
	return endpoint{kind, addr}, nil
}

func (e endpoint) String() string { return e.kind + ":" + e.addr }

// target returns the controller target by which every bridge on this host can reach e. It
// returns "" for Unix sockets: a unix:PATH belongs to one bridge, and the only socket to which
// ovs-vswitchd lets a bridge connect is /var/run/openvswitch/BRIDGE.controller.
func (e endpoint) target() string {
	if e.kind == "unix" || e.kind == "punix" {
		return ""
	}
	host, port, _ := net.SplitHostPort(e.addr)
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return e.kind + ":" + net.JoinHostPort(host, port)
}

// listen listens on e, which must not be unix:PATH.
func (e endpoint) listen(ctx context.Context) (ln net.Listener, err error) {
	if e.kind == "punix" {
		ln, err = ownfile.Listen(ctx, e.addr)
	} else {
		var lc net.ListenConfig
		ln, err = lc.Listen(ctx, "tcp", e.addr)
	}
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, ownfile.ErrInUse):
		err = fmt.Errorf("another controller uses this socket: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w; does another controller run on this port?", err)
	}
	return nil, fmt.Errorf("listen for switches on %v: %w", e, err)
}

// redial is the pause between two connections to a bridge's management socket.
const redial = time.Second

// dial runs sessions with a bridge, one after the other, until redialing is done. e is the
// bridge's management socket.
func (c *Controller) dial(ctx, redialing context.Context, e endpoint, standby bool) error {
	var d net.Dialer
	for redialing.Err() == nil {
		nc, err := d.DialContext(ctx, "unix", e.addr)
		if err == nil {
			c.serveAdmitted(ctx, nc, nil, standby)
		} else if n, ok := c.refusals.sample("dial " + e.addr); ok && redialing.Err() == nil {
			c.log.Warn("could not connect to the bridge, will retry", zap.Stringer("openflow", e), zap.Error(err), zap.Int("before", n))
		}
		pause := time.NewTimer(redial)
		select {
		case <-redialing.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
	return context.Cause(redialing)
}

// accept runs a session for each connection, and returns when all have ended.
func (c *Controller) accept(ctx context.Context, e endpoint, ln net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer stop()
	for {
		nc, err := ln.Accept()
		var m *member
		if err == nil {
			if m, err = c.unidentified.enter(ctx, func(error) { nc.Close() }); err != nil {
				nc.Close()
				return err
			}
		}
		switch {
		case err == nil && e.kind == "ssl":
			sessions.Go(func() { c.serveTLS(ctx, nc, m) })
		case err == nil:
			sessions.Go(func() { c.serveAdmitted(ctx, nc, m, false) })
		case errors.Is(err, net.ErrClosed):
			return context.Cause(ctx)
		default: // a temporary error, such as too many open files
			c.limits.reached("accept", e.String()+": "+err.Error(), 1, time.Now())
			if n, ok := c.refusals.sample("accept"); ok {
				c.log.Error("could not accept a connection, will retry", zap.Stringer("openflow", e), zap.Error(err), zap.Int("before", n))
			}
			pause := time.NewTimer(100 * time.Millisecond)
			select {
			case <-ctx.Done():
			case <-pause.C:
			}
			pause.Stop()
		}
	}
}
