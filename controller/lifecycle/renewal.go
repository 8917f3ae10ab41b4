package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// Pauses before a tap is made anew again, if that did not bring it back.
const (
	firstRenewal = time.Second
	lastRenewal  = time.Minute
)

// A portOf names a port of a router's bridge.
type portOf struct{ router, port string }

// A renewal brings back a tap whose device somebody has deleted, alone or with
// its namespace, or taken elsewhere. Open vSwitch 3.1 does nothing about that in
// the userspace datapath: the port stays, without an error, and so it does if
// its row is replaced by one of the same name. So the row is removed, and
// inserted again when ovs-vswitchd has deleted the port, and with it whatever
// there may still be of the device.
//
// A device that is not to be seen can also be one that ovs-vswitchd is about to
// make or, because it just died, to make anew. So it counts as gone only if
// it is still not to be seen after ovs-vswitchd has said that it has done all
// that the database says:
//
//	missing → asked → still missing: row removed → asked → row inserted
//
// The renewal is over when the tap is seen.
type renewal struct {
	withheld bool // the tap's row is not wanted for now
	ask      int  // of [ovsdb.Client.IncrementNextCfg]; 0: it has yet to be asked

	pause time.Duration // the last one; 0: the tap was not yet made anew
	until time.Time     // the end of pause
}

// A step is what is to be done next for a tap that is not to be seen.
type step int

const (
	stepAsk      step = iota // have ovs-vswitchd tell when it has done what the database says
	stepWait                 // until it tells
	stepRemove               // make the database be without the row
	stepInsert               // make the database have the row
	stepHoldBack             // until the pause is over: it was made anew and has still not been seen
)

// next returns the step that follows from what the database said before the tap
// was looked for.
func (r *renewal) next(s ovsdb.State, now time.Time) step {
	if r.ask > s.NextCfg { // another database has taken the place of the one that was asked in
		r.ask = 0
	}
	switch {
	case r.ask == 0:
		return stepAsk
	case s.CurCfg < r.ask:
		return stepWait
	case r.withheld:
		r.withheld, r.ask = false, 0
		return stepInsert
	case now.Before(r.until):
		return stepHoldBack
	}
	r.withheld, r.ask = true, 0
	r.pause = min(max(2*r.pause, firstRenewal), lastRenewal)
	r.until = now.Add(r.pause)
	return stepRemove
}

// withheld reports whether the row of a tap is not wanted for now.
func (p *pass) withheld(router, tap string) bool {
	r := p.database.renewals[portOf{router, tap}]
	return r != nil && r.withheld
}

// made reports whether ovs-vswitchd has made the tap for the row that the
// database has now: it has told both the database and us of the same port. After
// a restart the database has numbers of before, and what we were told can be
// about a row that is no more.
func (l *Lifecycle) made(r *routing.Router, tap string) bool {
	no, ok := l.number(r.ID, tap)
	if ok && l.database.rows.interfaces[port{r.BridgeName(), tap}].OFPort == int(no) {
		return true
	}
	if r := l.database.renewals[portOf{r.ID, tap}]; r != nil && !r.withheld {
		r.ask = 0 // it was about another port
	}
	return false
}

// missing takes in that a tap which was made is not to be seen.
func (p *pass) missing(ctx context.Context, m *managed, k portOf) {
	r := p.database.renewals[k]
	if r == nil {
		r = &renewal{}
		p.database.renewals[k] = r
	}
	if p.advance(ctx, k, r) == stepHoldBack {
		m.again(time.Now())
		m.problems = append(m.problems, fmt.Sprintf("tap %s is not in the network namespace that ofdvr runs in, although ovs-vswitchd has made it: "+
			"does ovs-vswitchd run in another one, or does something delete the tap? It is made anew every %v", k.port, r.pause))
		return
	}
	m.problems = append(m.problems, fmt.Sprintf("tap %s is gone: it is made anew as soon as ovs-vswitchd answers", k.port))
}

// renew takes withheld taps further, now that the database has no row of theirs.
func (p *pass) renew(ctx context.Context) {
	maps.DeleteFunc(p.database.renewals, func(k portOf, _ *renewal) bool { return !p.wantsTap(k) })
	for k, r := range p.database.renewals {
		if r.withheld {
			p.advance(ctx, k, r)
		}
	}
}

// advance does the next step of r, as far as it can be done in this pass.
func (p *pass) advance(ctx context.Context, k portOf, r *renewal) step {
	next := r.next(p.database.state, time.Now())
	switch next {
	case stepAsk:
		r.ask = p.ask(ctx)
	case stepRemove:
		p.log.Warn("tap is gone, having it made anew", zap.String("router", k.router), zap.String("port", k.port))
		p.database.due = true
	case stepInsert:
		p.database.due = true
	}
	return next
}

// wantsTap reports whether the intent has a tap.
func (p *pass) wantsTap(k portOf) bool {
	r := p.want.Index.Router(k.router)
	if r == nil || !r.Bridge.Managed || r.Fallback != routing.FallbackNamespace {
		return false
	}
	return slices.ContainsFunc(r.Interfaces, func(f routing.Interface) bool { return f.TapName() == k.port })
}

// ask has ovs-vswitchd tell when it has done what the database says, and returns
// the number to wait for, 0 if it could not be asked. Once in a pass is enough
// for all.
func (p *pass) ask(ctx context.Context) int {
	if p.asked == 0 {
		var err error
		if p.asked, err = p.db.IncrementNextCfg(ctx); err != nil {
			p.database.problems.add("", err.Error())
			p.database.again(time.Now())
		}
	}
	return p.asked
}
