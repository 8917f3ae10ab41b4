package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// errNotAsked says that there is no way to ask ovs-vswitchd.
var errNotAsked = errors.New("its control socket is in the directory of OVSDB's socket")

// dialVswitchd connects to the control socket of the ovs-vswitchd whose database is
// at endpoint. The error wraps errNotAsked if it is on another machine.
func dialVswitchd(ctx context.Context, endpoint string) (net.Conn, error) {
	socket, local := strings.CutPrefix(endpoint, "unix:")
	if !local {
		return nil, fmt.Errorf("%w, and OVSDB is at %s", errNotAsked, endpoint)
	}
	return ovstrace.Dial(ctx, filepath.Dir(socket))
}

// An end is one of the two patch ports of a router interface, seen from the bridge
// that sends packets out of it.
type end struct {
	bridge, port string
	peer         string // the other port
	to           string // the other port's bridge
}

// ends returns both ends of an interface.
func (l *lifecycle) ends(r *routing.Router, f *routing.Interface) [2]end {
	return [2]end{
		{r.BridgeName(), f.PatchName(), f.PeerName(), l.bridge},
		{l.bridge, f.PeerName(), f.PatchName(), r.BridgeName()},
	}
}

// arrives asks ovs-vswitchd whether a packet that leaves a bridge by a patch port comes
// to the tables of the other bridge.
func (e end) arrives(ctx context.Context, endpoint string, ofport int) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, fmt.Errorf("no answer in %v", answerTime)) // it may be frozen
	defer cancel()
	conn, err := dialVswitchd(ctx, endpoint)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	text, err := ovstrace.Call(ctx, conn, "ofproto/trace-packet-out", e.bridge, "in_port=LOCAL", fmt.Sprintf("output:%d", ofport))
	if err != nil {
		return false, fmt.Errorf("ask ovs-vswitchd where port %s of bridge %s leads: %w", e.port, e.bridge, err)
	}
	return ovstrace.Enters(text, e.to), nil
}

// A suspicion is what is known about a patch port by which nothing passes, or of
// which Open vSwitch has said that it has no peer.
type suspicion struct {
	about  string // what was seen in the database when ovs-vswitchd was asked
	passes bool   // it said that packets pass

	pause time.Duration // before the port is made anew once more
	until time.Time     // the end of pause
}

// noPeer is how the error of a patch port begins that has no peer. It is no proof: Open
// vSwitch takes it back only when it configures the port again (OVS
// vswitchd/bridge.c).
const noPeer = "No usable peer"

// peers finds patch ports by which nothing passes. One that has no peer is made
// anew. Those that have an error are looked at in each pass, all in an audit.
func (p *pass) peers(ctx context.Context, audit bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, fmt.Errorf("no answer in %v", answerTime))
	defer cancel()
	seen := make(map[string]bool)
	for _, r := range p.routers {
		for i := range r.Interfaces {
			for _, e := range p.ends(r, &r.Interfaces[i]) {
				seen[e.port] = true
				if p.peer(ctx, r, e, audit) != nil {
					return // it does not answer, which its bridges' connections tell
				}
			}
		}
	}
	for port := range p.suspicions {
		if !seen[port] {
			delete(p.suspicions, port)
		}
	}
}

// row returns what the database has of a patch port, and false if ovs-vswitchd has
// not made it.
func (e end) row(s ovsdb.State) (ovsdb.InterfaceRow, bool) {
	b, _ := s.Bridge(e.bridge)
	f, ok := b.Interface(e.port)
	return f, ok && f.OFPort > 0
}

func (p *pass) peer(ctx context.Context, r *routing.Router, e end, audit bool) error {
	f, made := e.row(p.state)
	other, otherMade := end{bridge: e.to, port: e.peer}.row(p.state)
	if !made || !otherMade {
		return nil // that is told elsewhere
	}
	s := p.suspicions[e.port]
	if s == nil && !audit && !strings.HasPrefix(f.Error, noPeer) {
		return nil
	}
	about := fmt.Sprint(f.OFPort, f.Error, f.UUID, other.OFPort, other.UUID)
	if s != nil && s.passes && s.about == about && !audit {
		return nil
	}
	passes, err := e.arrives(ctx, p.ovsdb, f.OFPort)
	if err != nil {
		return err
	}
	if s == nil {
		s = &suspicion{}
		p.suspicions[e.port] = s
	}
	s.about, s.passes = about, passes
	switch {
	case passes && !strings.HasPrefix(f.Error, noPeer):
		delete(p.suspicions, e.port)
	case passes:
		s.pause = 0
	case strings.HasPrefix(f.Error, noPeer):
		p.problem(r.ID, fmt.Sprintf("patch port %s on bridge %s has no peer, so nothing passes to bridge %s: %s; it is made anew", e.port, e.bridge, e.to, f.Error))
		p.renewPatch(r, e, s)
	default:
		p.problem(r.ID, e.blocked())
	}
	return nil
}

// blocked says what to do about a patch port that has a peer and by which nothing
// passes.
func (e end) blocked() string {
	return fmt.Sprintf("no packet passes from port %s of bridge %s to bridge %s: see whether the configuration of %s or %s is no-forward, no-receive or down "+
		"(ovs-ofctl show BRIDGE), and correct it with ovs-ofctl mod-port", e.port, e.bridge, e.to, e.port, e.peer)
}

// renewPatch has a port removed and inserted again, with longer and longer pauses.
func (p *pass) renewPatch(r *routing.Router, e end, s *suspicion) {
	p.retry = true
	now := time.Now()
	if now.Before(s.until) {
		return
	}
	s.pause = min(max(2*s.pause, firstRenewal), lastRenewal)
	s.until = now.Add(s.pause)
	p.log.Warn("patch port has no peer, having it made anew", zap.String("router", r.ID), zap.String("bridge", e.bridge), zap.String("port", e.port))
	p.db.Renew(e.port)
	p.again = true
}
