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

// Pauses between attempts to recreate a tap.
const (
	firstRenewal = time.Second
	lastRenewal  = time.Minute
)

// A portOf identifies a port of a router's bridge.
type portOf struct{ router, port string }

// A renewal recreates a tap after its device was deleted, alone or with its namespace, or moved to
// an unknown place. With the userspace datapath, Open vSwitch 3.1 does not notice this. The port
// stays, without an error. Even another row of the same name does not help. Therefore the row is
// removed. It is inserted again after ovs-vswitchd has deleted the port and the rest of the device.
//
// A device may also be missing because ovs-vswitchd has not made it yet, for example after a
// restart. So it counts as deleted only if it is still missing after ovs-vswitchd has confirmed
// that it has applied the database:
//
//	missing → asked → still missing: row removed → asked → row inserted
//
// The renewal ends when the tap exists again.
type renewal struct {
	withheld bool // the tap's row is currently left out of the database
	ask      int  // number of the request to ovs-vswitchd, from [ovsdb.Client.IncrementNextCfg]; 0 before the first request

	pause time.Duration // the last pause; 0 if not recreated yet
	until time.Time     // the end of pause
}

// A step is the next step for a missing tap.
type step int

const (
	stepAsk      step = iota // ask ovs-vswitchd to confirm that it has applied the database
	stepWait                 // wait for the confirmation
	stepRemove               // remove the row
	stepInsert               // insert the row again
	stepHoldBack             // the tap is missing again after it was recreated: wait for the end of the pause
)

// next returns the next step, given the database's state before the tap was found missing.
func (r *renewal) next(s ovsdb.State, now time.Time) step {
	if r.ask > s.NextCfg { // the database has been replaced in the meantime
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

// withheld reports whether the row of a tap is currently left out of the database.
func (p *pass) withheld(router, tap string) bool {
	r := p.database.renewals[portOf{router, tap}]
	return r != nil && r.withheld
}

// made reports whether ovs-vswitchd has made the tap for its current row in the database. If it
// has, the port numbers in the database and in OpenFlow are equal. After a restart of ovs-vswitchd,
// the number in the database is old. The number in OpenFlow may belong to a deleted row.
func (l *Lifecycle) made(r *routing.Router, tap string) bool {
	no, ok := l.number(r.ID, tap)
	if ok && l.database.rows.interfaces[port{r.BridgeName(), tap}].OFPort == int(no) {
		return true
	}
	if r := l.database.renewals[portOf{r.ID, tap}]; r != nil && !r.withheld {
		r.ask = 0 // the request was about an earlier port
	}
	return false
}

// missing handles a tap that was made but is missing.
func (p *pass) missing(ctx context.Context, m *managed, k portOf) {
	r := p.database.renewals[k]
	if r == nil {
		r = &renewal{}
		p.database.renewals[k] = r
	}
	if p.advance(ctx, k, r) == stepHoldBack {
		m.again(time.Now())
		m.problems = append(m.problems, fmt.Sprintf("tap %s is not in the network namespace that ofdvr runs in, although ovs-vswitchd has made it: "+
			"check whether ovs-vswitchd runs in another namespace, or a program deletes the tap; ofdvr recreates it every %v", k.port, r.pause))
		return
	}
	m.problems = append(m.problems, fmt.Sprintf("tap %s is gone: it is recreated as soon as ovs-vswitchd answers", k.port))
}

// renew advances the renewals of withheld taps, now that their rows are not in the database.
func (p *pass) renew(ctx context.Context) {
	maps.DeleteFunc(p.database.renewals, func(k portOf, _ *renewal) bool { return !p.wantsTap(k) })
	for k, r := range p.database.renewals {
		if r.withheld {
			p.advance(ctx, k, r)
		}
	}
}

// advance does the next step of r, as far as possible in this pass.
func (p *pass) advance(ctx context.Context, k portOf, r *renewal) step {
	next := r.next(p.database.state, time.Now())
	switch next {
	case stepAsk:
		r.ask = p.ask(ctx)
	case stepRemove:
		p.log.Warn("tap is gone, recreating it", zap.String("router", k.router), zap.String("port", k.port))
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

// ask asks ovs-vswitchd, once per pass, to confirm that it has applied the database. It returns the
// number to wait for, or 0 if the request failed.
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
