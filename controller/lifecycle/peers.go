package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// An end is one of two patch ports that connect two bridges. Its bridge sends packets through
// it to the other bridge.
type end struct {
	bridge, port string
	peer         string // the other port
	to           string // the other port's bridge
}

// A joint is a pair of patch ports.
type joint struct {
	owner string // the ID of the router, or of the fabric bridge
	ends  [2]end
}

func newJoint(owner string, a, b port) joint {
	return joint{owner, [2]end{{a.bridge, a.name, b.name, b.bridge}, {b.bridge, b.name, a.name, a.bridge}}}
}

// joints returns the pairs of a router's interfaces.
func (l *Lifecycle) joints(r *routing.Router) []joint {
	out := make([]joint, len(r.Interfaces))
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		out[i] = newJoint(r.ID, port{r.BridgeName(), f.PatchName()}, port{l.cfg.IntegrationBridge, f.PeerName()})
	}
	return out
}

// arrives asks ovs-vswitchd whether a packet that leaves a bridge through a patch port reaches
// the tables of the other bridge.
func (e end) arrives(ctx context.Context, endpoint string, ofport int) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ovstrace.AnswerTime, fmt.Errorf("no answer in %v", ovstrace.AnswerTime)) // ovs-vswitchd may hang
	defer cancel()
	conn, err := ovstrace.DialBeside(ctx, endpoint)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	text, err := ovstrace.Call(ctx, conn, "ofproto/trace-packet-out", e.bridge, "in_port=LOCAL", fmt.Sprintf("output:%d", ofport))
	if err != nil {
		return false, fmt.Errorf("ask ovs-vswitchd for the path through port %s of bridge %s: %w", e.port, e.bridge, err)
	}
	return ovstrace.Enters(text, e.to), nil
}

// A suspect is a patch port that passes no packets, or that has no peer according to Open
// vSwitch.
type suspect struct {
	about  string // the rows in the database at the time of the question
	passes bool   // ovs-vswitchd answered that packets pass

	pause time.Duration // time before the port is recreated again
	until time.Time     // the end of pause
}

// noPeer is the prefix of the error of a patch port without a peer. The error may be outdated:
// Open vSwitch clears it only when it configures the port again (OVS vswitchd/bridge.c).
const noPeer = "No usable peer"

// asks is the number of questions that are asked at a time. With many bridges,
// ovs-vswitchd answers only a few questions before it processes all bridges
// again.
const asks = 10

// A question asks ovs-vswitchd whether packets pass an end.
type question struct {
	end
	owner     string // of the joint
	row, peer ovsdb.InterfaceRow
	asked     bool
	passes    bool
	err       error
}

// askSwitch asks ovs-vswitchd the questions and stores the answers.
func askSwitch(ctx context.Context, endpoint string, qs []question) {
	var g errgroup.Group
	g.SetLimit(asks)
	for i := range qs {
		q := &qs[i]
		g.Go(func() error {
			if q.err = ctx.Err(); q.err == nil {
				q.asked = true
				q.passes, q.err = q.arrives(ctx, endpoint, q.row.OFPort)
			}
			return nil
		})
	}
	g.Wait()
}

// questions returns a question for each end of j. Until ovs-vswitchd has created both ends, it
// returns no question, because a missing end is another problem.
func (j joint) questions(in rows) []question {
	a, made := j.ends[0].row(in)
	b, peerMade := j.ends[1].row(in)
	if !made || !peerMade {
		return nil
	}
	return []question{{end: j.ends[0], owner: j.owner, row: a, peer: b}, {end: j.ends[1], owner: j.owner, row: b, peer: a}}
}

// about returns, as text, the rows that determine the answer to q.
func (q *question) about() string {
	return fmt.Sprint(q.row.OFPort, q.row.Error, q.row.UUID, q.peer.OFPort, q.peer.UUID)
}

// peers finds patch ports that pass no packets, and recreates the patch ports without a peer.
// Suspects are checked in each pass, and all ports are checked in an audit. If an audit cannot
// check all ports within ovstrace.AnswerTime, the next audit begins with the unchecked ones.
func (p *pass) peers(ctx context.Context, audit bool) {
	ctx, cancel := context.WithTimeoutCause(ctx, ovstrace.AnswerTime, fmt.Errorf("no answer in %v", ovstrace.AnswerTime))
	defer cancel()
	p.database.patches = make(problems)
	seen := make(map[string]bool)
	var qs []question
	joints := p.fabricJoints(p.want.Index, p.database.fabric)
	for _, m := range p.routers {
		joints = append(joints, p.joints(m.Router)...)
	}
	for _, j := range joints {
		seen[j.ends[0].port], seen[j.ends[1].port] = true, true
		for _, q := range j.questions(p.database.rows) {
			s := p.database.suspects[q.port]
			if audit || s == nil && strings.HasPrefix(q.row.Error, noPeer) || s != nil && (!s.passes || s.about != q.about()) {
				qs = append(qs, q)
			}
		}
	}
	maps.DeleteFunc(p.database.suspects, func(port string, _ *suspect) bool { return !seen[port] })
	if audit && len(qs) > 0 {
		from := p.database.audited % len(qs)
		qs = append(qs[from:len(qs):len(qs)], qs[:from]...)
	}
	askSwitch(ctx, p.cfg.OVSDB, qs)
	for i := range qs {
		if qs[i].err == nil {
			p.answered(&qs[i])
		}
	}
	// The next audit begins after the questions asked in this audit, even if one had no
	// answer.
	if unasked := slices.IndexFunc(qs, func(q question) bool { return !q.asked }); audit && unasked > 0 {
		p.database.audited += unasked
	}
}

// row returns the row of a patch port, and whether ovs-vswitchd has made the port.
func (e end) row(in rows) (ovsdb.InterfaceRow, bool) {
	f, ok := in.interfaces[port{e.bridge, e.port}]
	return f, ok && f.OFPort > 0
}

// answered handles an answer.
func (p *pass) answered(q *question) {
	s := p.database.suspects[q.port]
	if s == nil {
		s = &suspect{}
		p.database.suspects[q.port] = s
	}
	s.about, s.passes = q.about(), q.passes
	none := strings.HasPrefix(q.row.Error, noPeer)
	switch {
	case q.passes && !none:
		delete(p.database.suspects, q.port)
	case q.passes:
		s.pause = 0
	case none:
		p.database.patches.add(q.owner, fmt.Sprintf("patch port %s on bridge %s has no peer, so no packet passes to bridge %s: %s; ofdvr recreates it", q.port, q.bridge, q.to, q.row.Error))
		p.renewPatch(q.owner, q.end, s)
	default:
		p.database.patches.add(q.owner, q.blocked())
	}
}

// blocked returns the remedy for a patch port that has a peer but passes no packets.
func (e end) blocked() string {
	return fmt.Sprintf("no packet passes from port %s of bridge %s to bridge %s: check whether the configuration of %s or %s is no-forward, no-receive or down "+
		"(ovs-ofctl show BRIDGE), and correct it with ovs-ofctl mod-port", e.port, e.bridge, e.to, e.port, e.peer)
}

// renewPatch recreates a port, with increasing pauses.
func (p *pass) renewPatch(owner string, e end, s *suspect) {
	now := time.Now()
	p.database.again(now)
	if now.Before(s.until) {
		return
	}
	s.pause = min(max(2*s.pause, firstRenewal), lastRenewal)
	s.until = now.Add(s.pause)
	p.log.Warn("patch port has no peer, recreating it", zap.String("router", owner), zap.String("bridge", e.bridge), zap.String("port", e.port))
	p.db.Renew(e.port)
	p.database.due = true
}
