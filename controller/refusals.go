package controller

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// Causes of the end of a connection.
var (
	// Causes that are not the switch's fault wrap errStopping.
	errStopping = errors.New("session ended by the controller")
	// errUnknownBridge ends a session with a bridge that belongs to no router.
	errUnknownBridge = errors.New("no router has this bridge")
	// errHandshake ends a session with a peer that does not complete the handshake.
	errHandshake = errors.New("OpenFlow handshake timed out")
	// errTooMany ends the oldest of too many unidentified connections.
	errTooMany = errors.New("too many unidentified connections")
)

// refusalReasons has the causes that are the switch's fault, with their metric labels. Each
// text has the effect and, after "; ", the remedy.
var refusalReasons = []struct {
	cause  error
	reason string
	text   string
}{
	{errUnknownBridge, "unknown_bridge", "refused switch, its flows are untouched; add its bridge to the topology, or remove this daemon from its controllers with ovs-vsctl del-controller"},
	{errHandshake, "handshake_timeout", "closed connection that did not complete the OpenFlow handshake; see what connects (ss -tnp), and stop it"},
	{errTooMany, "too_many_connections", "closed the oldest of too many connections that have not completed the OpenFlow handshake; see what connects (ss -tnp), and stop it or block it with a firewall"},
	{errTLS, "tls", "refused connection; compare ovs-vsctl get-ssl with the daemon's --certificate and --ca-cert"},
	{errUser, "forbidden_user", "refused connection from this machine; run the switch, or the proxy in front of it, as an allowed user, or use an ssl: endpoint"},
	{errTaken, "duplicate", "refused connection that claims to be a bridge that is already connected; check whether two switches have this name or datapath ID, or whether two controllers of the bridge lead to this daemon"},
	{ofconn.ErrVersion, "version", "refused switch; allow it OpenFlow 1.3 with ovs-vsctl set bridge BRIDGE protocols=OpenFlow13"},
	{ofconn.ErrEchoTimeout, "echo_timeout", "lost switch, its flows stay; check whether ovs-vswitchd hangs (ovs-appctl version), or the network to it"},
	{ofconn.ErrUnread, "read_timeout", "lost switch that does not read, its flows stay; check whether ovs-vswitchd hangs (ovs-appctl version), or the network to it"},
	{ofconn.ErrGarbage, "garbage", "disconnected switch that violates OpenFlow; check whether the peer is Open vSwitch (ss -tnp)"},
	{ofconn.ErrFlood, "flood", "disconnected switch that sends too many messages; check whether the peer is Open vSwitch (ss -tnp), or raise --max-unsolicited"},
	{ofconn.ErrTooLong, "too_long", "disconnected switch whose answer is too long; check whether the peer is Open vSwitch (ss -tnp), or raise --max-answer"},
}

// closedText is the text for all other causes.
const closedText = "lost connection to switch, its flows stay"

// reasonOf returns the metric label for the cause of a connection's end, and the text of that
// cause.
func reasonOf(err error) (reason, text string) {
	for _, r := range refusalReasons {
		if errors.Is(err, r.cause) {
			return r.reason, r.text
		}
	}
	return "closed", closedText
}

// refuse counts that a connection was refused or has ended. It also logs this, with limited
// frequency. bridge is "" if the peer was not identified.
func (c *Controller) refuse(peer net.Addr, bridge string, err error) {
	reason, text := reasonOf(err)
	c.rec.Disconnected(reason)
	who := bridge
	if who == "" {
		who, _, _ = net.SplitHostPort(peer.String()) // "" for a Unix socket
	}
	if reason != "closed" {
		by := "peer " + describeAddr(peer)
		if bridge != "" {
			by = fmt.Sprintf("bridge %q of %s", bridge, by)
		}
		c.limits.reached("openflow_disconnects "+reason, by, 1, time.Now())
	}
	if why := err.Error(); reason == "tls" || reason == "forbidden_user" { // log each TLS error and each user; times come after the first 100 bytes
		who += " " + why[:min(len(why), 100)]
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
	c.log.Warn(text, fields...)
}

// A sampler lets one event of each kind pass in a sampleInterval, and counts the others.
type sampler struct {
	mu     sync.Mutex
	events map[string]*sampled
}

type sampled struct {
	through rate.Sometimes
	count   int // events of the kind since the last one that passed
}

const (
	sampleInterval = time.Minute
	maxSampled     = 1000 // kinds to remember
)

// sample reports whether to log an event of this kind now. It also returns the number of
// events of this kind that were not logged since the last logged one.
func (s *sampler) sample(kind string) (before int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.events[kind]
	if e == nil {
		if s.events == nil || len(s.events) >= maxSampled {
			s.events = make(map[string]*sampled)
		}
		e = &sampled{through: rate.Sometimes{Interval: sampleInterval}}
		s.events[kind] = e
	}
	e.count++
	e.through.Do(func() { before, ok, e.count = e.count-1, true, 0 })
	return before, ok
}
