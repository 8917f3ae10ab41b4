package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ErrNotConnected means that there is no connection to ovsdb-server, so nothing was
// read or written.
var ErrNotConnected = errors.New("not connected to ovsdb-server")

// Config configures a [Client].
type Config struct {
	// Endpoint is the address of ovsdb-server: unix:/path or tcp:host:port.
	Endpoint string
	// Timeout limits each exchange with ovsdb-server, and each call to Apply. 0 means
	// 5 s.
	Timeout time.Duration
	// Retry is the pause between two attempts to connect. The number of attempts is
	// unlimited. 0 means 500 ms.
	Retry time.Duration
	// Probe is the interval at which ovsdb-server is checked for liveness. 0 means
	// 5 s.
	Probe time.Duration
	// Logger logs connections gained and lost. nil means no log.
	Logger *zap.Logger
	// Recorder records metrics. nil means that no metrics are recorded.
	Recorder Recorder
}

// A Recorder records the work of a [Client]. Its methods may be called from any
// goroutine.
type Recorder interface {
	// Synced records a new connection, after the whole state was read.
	Synced()
	// Transacted records the duration and the result of a transaction that changes something.
	// The result is ok, stale (the database had changed in the meantime, so the change is
	// planned again), error, or unknown (no reply arrived).
	Transacted(result string, took time.Duration)
}

type noRecorder struct{}

func (noRecorder) Synced()                          {}
func (noRecorder) Transacted(string, time.Duration) {}

// A Client observes and changes the database of Open vSwitch. Its methods may be
// called from any goroutine.
type Client struct {
	cfg      Config
	endpoint string        // cfg.Endpoint in libovsdb's form
	changed  chan struct{} // capacity 1; full if State may have changed
	applying chan struct{} // capacity 1; full while an Apply is in progress
	moves    moves         // owned by the Apply in progress

	mu        sync.Mutex
	renew     map[string]bool // names of ports that the next Apply removes, see Renew
	session   *session        // nil if not connected
	err       error           // the reason that session is nil
	connected chan struct{}   // closed while session is not nil
	failed    chan struct{}   // closed when err changes
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
		cfg.Recorder = noRecorder{}
	}
	return &Client{cfg: cfg, endpoint: endpoint, err: ErrNotConnected,
		changed: make(chan struct{}, 1), applying: make(chan struct{}, 1), moves: make(moves), connected: make(chan struct{}), failed: make(chan struct{})}, nil
}

// CheckEndpoint returns an error if s is not the address of an ovsdb-server, see [Config].
func CheckEndpoint(s string) error {
	_, err := parseEndpoint(s)
	return err
}

// parseEndpoint returns endpoint s in libovsdb's form. (libovsdb parses a URL, and uses a
// default socket for anything that it cannot parse.)
func parseEndpoint(s string) (string, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch {
	case scheme == "unix" && strings.HasPrefix(rest, "/"):
		return (&url.URL{Scheme: "unix", Path: rest}).String(), nil
	case scheme == "tcp" && strings.Contains(rest, ":") && !strings.HasPrefix(rest, "/"):
		return s, nil
	}
	return "", fmt.Errorf("invalid OVSDB endpoint %q: want unix:/path or tcp:host:port", s)
}

// Run connects to ovsdb-server and stays connected until ctx is done. The error is never nil;
// it is ctx's cause. When Run returns, every goroutine that it started has ended, with one
// exception. If ovsdb-server stopped reading in the middle of a message, the goroutine that
// writes the message ends when the server resumes or ends.
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
				log.Warn("OVSDB connection abandoned: ovsdb-server does not read from it", zap.String("endpoint", c.cfg.Endpoint))
			}
			if ctx.Err() == nil {
				log.Warn("OVSDB connection lost", zap.String("endpoint", c.cfg.Endpoint), zap.Error(err))
			}
		} else {
			c.down(fmt.Errorf("%w: connect to %s: %w", ErrNotConnected, c.cfg.Endpoint, err))
			if ctx.Err() == nil && err.Error() != last { // log an error once, not at every attempt
				last = err.Error()
				log.Warn("could not connect to OVSDB, will retry", zap.String("endpoint", c.cfg.Endpoint), zap.Error(err))
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
	s, err := open(ctx, c.endpoint, c.cfg.Logger, c.notify)
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		err = dial.Err // the outer error repeats the endpoint
		if call, ok := errors.AsType[*os.SyscallError](err); ok {
			err = call.Err
		}
	}
	return s, err
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
	close(c.failed)
	c.failed = make(chan struct{})
	c.mu.Unlock()
	if was {
		c.notify()
	}
}

func (c *Client) notify() {
	select {
	case c.changed <- struct{}{}:
	default: // the channel already has a value for the receiver
	}
}

func (c *Client) current() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.err
}

// Changed returns a channel that receives a value after the state has changed or the
// connection was gained or lost. Its capacity is one, so one value may stand for several
// changes. [Client.State] returns the new state. All callers share one channel.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// State returns the latest state. Without a connection the error wraps [ErrNotConnected] and
// includes the reason.
func (c *Client) State(ctx context.Context) (State, error) {
	s, err := c.current()
	if err != nil {
		return State{}, err
	}
	state, _, err := s.snapshot(ctx)
	return state, err
}

// Wait waits for a connection. If ctx is done first, the error includes the reason why the
// connection failed. If the socket denies permission, Wait returns at once, and the error
// wraps [fs.ErrPermission].
func (c *Client) Wait(ctx context.Context) error {
	for {
		c.mu.Lock()
		connected, failed, err := c.connected, c.failed, c.err
		c.mu.Unlock()
		if err == nil || errors.Is(err, fs.ErrPermission) {
			return err
		}
		select {
		case <-connected:
			return nil
		case <-failed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
