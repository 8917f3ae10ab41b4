package controller

import (
	"errors"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// Causes for which a connection is ended.
var (
	// errStopping is wrapped by causes that are no fault of the switch.
	errStopping = errors.New("session ended by the controller")
	// errStranger ends a session with a switch that belongs to no router.
	errStranger = errors.New("switch belongs to no router")
	// errMute ends a session with a switch that does not say who it is.
	errMute = errors.New("switch did not introduce itself")
	// errCrowd ends the oldest of too many sessions with such switches.
	errCrowd = errors.New("too many switches have not introduced themselves")
)

// refusalReasons are the causes that speak against the switch, by the words
// that metrics have for them.
var refusalReasons = []struct {
	cause  error
	reason string
}{
	{errStranger, "stranger"},
	{errMute, "mute"},
	{errCrowd, "crowd"},
	{errTLS, "tls"},
	{errUser, "forbidden_user"},
	{errTaken, "duplicate"},
	{ofconn.ErrVersion, "version"},
	{ofconn.ErrSilent, "silent"},
	{ofconn.ErrStuck, "stuck"},
	{ofconn.ErrGarbage, "garbage"},
	{ofconn.ErrFlood, "flood"},
	{ofconn.ErrTooLong, "too_long"},
}

// reasonOf returns the word for why a connection has ended.
func reasonOf(err error) string {
	for _, r := range refusalReasons {
		if errors.Is(err, r.cause) {
			return r.reason
		}
	}
	return "closed"
}

// refuse counts, and once in a while logs, that a connection was ended; bridge
// is "" if it did not say whose it was.
func (c *Controller) refuse(peer net.Addr, bridge string, err error) {
	reason := reasonOf(err)
	c.rec.Disconnected(reason)
	who := bridge
	if who == "" {
		who, _, _ = net.SplitHostPort(peer.String()) // or "", of a Unix socket
	}
	if text := err.Error(); reason == "tls" || reason == "forbidden_user" { // of the several ways to fail, and of users, each is told; times are behind that
		who += " " + text[:min(len(text), 100)]
	}
	fields := []zap.Field{zap.Stringer("peer", peer), zap.Error(err)}
	if bridge != "" {
		fields = append(fields, zap.String("bridge", bridge))
	}
	n, ok := c.refusals.sample(reason + " " + who)
	if !ok {
		c.log.Debug("refused switch again", fields...)
		return
	}
	if n > 0 {
		fields = append(fields, zap.Int("unlogged", n))
	}
	c.log.Warn(refusalTexts[reason], fields...)
}

// refusalTexts say what happened and what to do about it.
var refusalTexts = map[string]string{
	"stranger":       "refused switch, its flows are untouched; add its bridge to the topology, or take our address out of its controllers with ovs-vsctl del-controller",
	"mute":           "refused connection that does not speak OpenFlow",
	"crowd":          "refused connection that does not speak OpenFlow, there are too many of them",
	"tls":            "refused connection; compare ovs-vsctl get-ssl with our --certificate and --ca-cert",
	"forbidden_user": "refused connection from this machine; run the switch, or the proxy before it, as a user that is allowed, or have it use an ssl: endpoint",
	"duplicate":      "refused connection that claims to be a bridge that is connected; see whether two switches have this name or datapath ID, or the bridge two controllers that lead here",
	"version":        "refused switch; allow it OpenFlow 1.3 with ovs-vsctl set bridge BRIDGE protocols=OpenFlow13",
	"silent":         "lost switch, its flows stay",
	"stuck":          "lost switch that does not read, its flows stay",
	"garbage":        "disconnected switch that does not keep to OpenFlow",
	"flood":          "disconnected switch that floods us",
	"too_long":       "disconnected switch that answers without end",
	"closed":         "lost connection to switch, its flows stay",
}

// A sampler lets through one event of a kind in a while, and counts the others.
type sampler struct {
	mu     sync.Mutex
	events map[string]*sampled
}

type sampled struct {
	last  time.Time // let through
	count int       // since then
}

const (
	sampleInterval = time.Minute
	maxSampled     = 1000 // kinds that are remembered
)

// sample reports whether an event of this kind may be told, and how many were
// not since the last one that was.
func (s *sampler) sample(kind string) (before int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	e := s.events[kind]
	if e != nil && now.Sub(e.last) < sampleInterval {
		e.count++
		return 0, false
	}
	if e == nil {
		if s.events == nil || len(s.events) >= maxSampled {
			s.events = make(map[string]*sampled)
		}
		e = &sampled{}
		s.events[kind] = e
	}
	before, e.last, e.count = e.count, now, 0
	return before, true
}
