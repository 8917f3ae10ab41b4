package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ErrNotConnected says that there is no connection to ovsdb-server, so
// nothing was read or written.
var ErrNotConnected = errors.New("not connected to ovsdb-server")

// Config configures a [Client].
type Config struct {
	// Endpoint is where ovsdb-server listens: unix:/path or tcp:host:port.
	Endpoint string
	// Timeout limits each exchange with ovsdb-server, a call to Apply
	// included. 0 means 5 s.
	Timeout time.Duration
	// Retry is the pause between two attempts to connect. They go on for
	// ever. 0 means 500 ms.
	Retry time.Duration
	// Probe is how often it is checked whether ovsdb-server is alive. 0 means
	// 5 s.
	Probe time.Duration
	// Logger is told about connections gained and lost. nil means nobody.
	Logger *zap.Logger
	// Recorder is told what is done. nil means nobody.
	Recorder Recorder
}

// A Recorder is told what a [Client] does. Its methods may be called from any
// goroutine.
type Recorder interface {
	// Synced is told of each connection on which everything was read anew.
	Synced()
	// Transacted is told of each transaction that was to change something, how
	// long it took and how it ended: ok, stale (the database had changed
	// meanwhile, it is planned anew), error, or unknown (no answer came).
	Transacted(result string, took time.Duration)
}

type nobody struct{}

func (nobody) Synced()                          {}
func (nobody) Transacted(string, time.Duration) {}

// A Client observes the database of Open vSwitch and changes it. It may be
// used by several goroutines.
type Client struct {
	cfg      Config
	endpoint string        // cfg.Endpoint in libovsdb's form
	changed  chan struct{} // capacity 1, full: State is worth another look
	applying chan struct{} // capacity 1, full: an Apply is under way
	moves    moves         // of the Apply that is under way

	mu        sync.Mutex
	renew     map[string]bool // ports, by name, that the next Apply removes
	session   *session        // nil: not connected
	err       error           // why session is nil
	connected chan struct{}   // closed while session is not nil
}

// NewClient returns a Client that connects when it is run.
func NewClient(cfg Config) (*Client, error) {
	endpoint, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Retry == 0 {
		cfg.Retry = 500 * time.Millisecond
	}
	if cfg.Probe == 0 {
		cfg.Probe = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Recorder == nil {
		cfg.Recorder = nobody{}
	}
	return &Client{cfg: cfg, endpoint: endpoint, err: ErrNotConnected,
		changed: make(chan struct{}, 1), applying: make(chan struct{}, 1), moves: make(moves), connected: make(chan struct{})}, nil
}

// parseEndpoint returns the form of s that libovsdb reads back as s. (It
// parses a URL, and takes what it does not understand for a default socket.)
func parseEndpoint(s string) (string, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch {
	case scheme == "unix" && strings.HasPrefix(rest, "/"):
		return (&url.URL{Scheme: "unix", Path: rest}).String(), nil
	case scheme == "tcp" && strings.Contains(rest, ":") && !strings.HasPrefix(rest, "/"):
		return s, nil
	}
	return "", fmt.Errorf("%q is not an OVSDB endpoint: want unix:/path or tcp:host:port", s)
}

// Run connects to ovsdb-server and keeps connected until ctx is done. The
// error is never nil; it is ctx's cause. When Run returns, everything that it
// started has ended, unless ovsdb-server has stopped in the middle of reading
// a message: what writes it ends when ovsdb-server goes on or goes away.
func (c *Client) Run(ctx context.Context) error {
	log, last := c.cfg.Logger, ""
	for {
		s, err := c.open(ctx)
		if err == nil {
			last = ""
			log.Info("OVSDB connected", zap.String("endpoint", c.cfg.Endpoint))
			c.cfg.Recorder.Synced()
			c.up(s)
			err = s.run(ctx, c.cfg.Probe, c.cfg.Timeout)
			c.down(fmt.Errorf("%w: %w", ErrNotConnected, err))
			if !s.close() {
				log.Warn("OVSDB connection abandoned: the server does not read", zap.String("endpoint", c.cfg.Endpoint))
			}
			if ctx.Err() == nil {
				log.Warn("OVSDB connection lost", zap.String("endpoint", c.cfg.Endpoint), zap.Error(err))
			}
		} else {
			c.down(fmt.Errorf("%w: connect to %s: %w", ErrNotConnected, c.cfg.Endpoint, err))
			if ctx.Err() == nil && err.Error() != last { // once, not at every attempt
				last = err.Error()
				log.Warn("OVSDB not reached, trying again", zap.String("endpoint", c.cfg.Endpoint), zap.Error(err))
			}
		}
		t := time.NewTimer(c.cfg.Retry)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

func (c *Client) open(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return open(ctx, c.endpoint, c.cfg.Logger, c.notify)
}

func (c *Client) up(s *session) {
	c.mu.Lock()
	c.session, c.err = s, nil
	close(c.connected)
	c.mu.Unlock()
	c.notify()
}

func (c *Client) down(err error) {
	c.mu.Lock()
	was := c.session != nil || c.err.Error() != err.Error()
	if c.session != nil {
		c.session, c.connected = nil, make(chan struct{})
	}
	c.err = err
	c.mu.Unlock()
	if was {
		c.notify()
	}
}

func (c *Client) notify() {
	select {
	case c.changed <- struct{}{}:
	default: // the receiver has yet to look
	}
}

func (c *Client) current() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.err
}

// Changed returns a channel that receives a value after the state has changed
// or the connection was gained or lost. It has room for one: changes that
// happen before it is received from are told once. What has changed, [State]
// tells. There is one such channel for all callers.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// State returns the state as last heard of. The error wraps
// [ErrNotConnected] if there is no connection, and says why.
func (c *Client) State(ctx context.Context) (State, error) {
	s, err := c.current()
	if err != nil {
		return State{}, err
	}
	state, _, err := s.snapshot(ctx)
	return state, err
}

// Wait returns when there is a connection. If there is none before ctx is
// done, the error says why.
func (c *Client) Wait(ctx context.Context) error {
	c.mu.Lock()
	connected := c.connected
	c.mu.Unlock()
	select {
	case <-connected:
		return nil
	case <-ctx.Done():
		_, err := c.current()
		return errors.Join(context.Cause(ctx), err)
	}
}
