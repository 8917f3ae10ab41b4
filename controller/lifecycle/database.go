package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// database is what is known of OVSDB.
type database struct {
	errand
	state     ovsdb.State // after it was made what is wanted
	rows      rows        // of state
	exists    map[string]bool
	pending   bool // the first attempt to connect has not ended
	connected bool
	tried     bool // the last transaction was answered, or there was nothing to do
	still     bool // it was state all the time
	applied   bool // it is what is wanted, but for the problems
	ready     bool // namespaces can be set up: it is known which instance this is, and what ports have been made
	compared  bool // with what it had at the start
	nameTaken bool // a link of another program has a name that is needed
	moving    bool // a port moves from one bridge to another

	renewals   map[portOf]*renewal   // taps to be made anew
	suspicions map[string]*suspicion // patch ports by which perhaps nothing passes
	patches    problems              // of patch ports
	audited    int                   // how many ends of patch ports audits have begun after the first, see [pass.peers]
	errors     string                // of ports, that ovs-vswitchd has left
	doubted    string                // the errors that it was last asked about
}

func newDatabase() database {
	return database{renewals: make(map[portOf]*renewal), suspicions: make(map[string]*suspicion)}
}

// rows are those of a State, by name.
type rows struct {
	bridges    map[string]*ovsdb.BridgeRow
	interfaces map[port]ovsdb.InterfaceRow
}

// A port is named by its bridge and its own name.
type port struct{ bridge, name string }

func rowsOf(s ovsdb.State) rows {
	r := rows{make(map[string]*ovsdb.BridgeRow, len(s.Bridges)), make(map[port]ovsdb.InterfaceRow)}
	for i := range s.Bridges {
		b := &s.Bridges[i]
		r.bridges[b.Name] = b
		for j := range b.Ports {
			for _, f := range b.Ports[j].Interfaces {
				r.interfaces[port{b.Name, f.Name}] = f
			}
		}
	}
	return r
}

// setState takes in what the database has.
func (d *database) setState(s ovsdb.State) {
	d.state, d.rows = s, rowsOf(s)
	d.exists = make(map[string]bool, 2*len(s.Bridges))
	for i := range s.Bridges {
		d.exists[s.Bridges[i].Name] = true
		if id := s.Bridges[i].DatapathID; id != "" {
			d.exists[id] = true
		}
	}
}

// lookAtDatabase makes the database what it should be, and takes in what it has then.
func (p *pass) lookAtDatabase(ctx context.Context) {
	d := &p.database
	was, ready, only := d.applied, d.ready, d.told && !d.due && d.retry.IsZero()
	d.begin()
	before, err := p.db.State(ctx)
	d.pending = err == ovsdb.ErrNotConnected // without a reason
	if only && was && d.still && err == nil && before.Same(d.state) {
		return // told of what has been seen
	}
	began := time.Now()
	p.doing("read and change OVSDB")
	err = p.apply(ctx)
	d.connected, d.applied = !errors.Is(err, ovsdb.ErrNotConnected), err == nil
	if d.connected {
		var state ovsdb.State
		if state, err = p.db.State(ctx); err == nil {
			d.setState(state)
		} else {
			d.connected = false
			d.problems.add("", err.Error())
		}
	}
	d.tried = d.connected
	if !d.connected { // without knowing the database nothing is removed either
		d.applied = false
		d.setState(ovsdb.State{})
	}
	d.still = before.Same(d.state)
	if d.applied {
		p.doubt(ctx)
		p.renew(ctx)
		p.peers(ctx, p.audits)
	}
	d.ready = d.connected && p.instance != ""
	if d.ready && !ready {
		for _, m := range p.routers {
			m.due = true
		}
	}
	if d.applied && !was {
		p.removing.due, p.advertising.due = true, true
	}
	for k := range d.renewals {
		if m := p.byID[k.router]; m != nil {
			m.due = true // perhaps it goes on
		}
	}
	now := time.Now()
	d.looked(now, now.Sub(began), 4*firstPause)
}

// apply makes the database what it should be.
func (p *pass) apply(ctx context.Context) error {
	d := &p.database
	d.problems = make(problems)
	if !d.applied {
		wanted, _ := p.advertisers()
		p.endAdvertisements(wanted)
	}
	if !d.compared || p.instance == "" {
		if state, err := p.db.State(ctx); err == nil {
			if !d.compared {
				p.formerMACs(state)
				d.compared = true
			}
			p.identify(state)
		}
	}
	res, err := p.db.Apply(ctx, p.desired(p.want, p.withheld))
	switch {
	case errors.Is(err, ovsdb.ErrNotConnected):
		d.problems.add("", err.Error())
		return err
	case err != nil:
		d.problems.add("", err.Error())
		p.warn(cannotChange, "", err)
		d.again(time.Now())
	default:
		p.well(cannotChange, "")
	}
	logOps(p.log, res.Ops, d.applied && !d.moving && len(d.renewals) == 0)
	d.errors, d.nameTaken, d.moving = "", false, false
	missing := false // the integration bridge
	for _, problem := range res.Problems {
		d.problems.add(problem.Router, problem.Error())
		switch problem.Kind {
		case ovsdb.SwitchError:
			d.errors += problem.Error() + "\n"
		case ovsdb.NameTaken:
			d.nameTaken = true
		case ovsdb.Moving:
			d.moving = true
		case ovsdb.NoIntegrationBridge:
			missing = true
			p.warn(noBridge, "", problem)
		}
	}
	if !missing {
		p.well(noBridge, "")
	}
	return err
}

// doubt asks ovs-vswitchd once about errors that it has left in the database. They
// can be over: when a port fails and is put right at once, the failure may be
// written last (seen with Open vSwitch 3.1). As it answers, it writes what is.
func (p *pass) doubt(ctx context.Context) {
	if d := &p.database; d.errors == "" || d.errors != d.doubted && p.ask(ctx) != 0 {
		d.doubted = d.errors
	}
}

// unmade says what to do about a bridge that does not connect. Why
// ovs-vswitchd has not made a bridge, it tells its log and nobody else.
func (l *Lifecycle) unmade(r *routing.Router) string {
	datapath := "system" // what no datapath_type means
	if b := l.database.rows.bridges[r.BridgeName()]; b != nil && b.DatapathType != "" {
		datapath = b.DatapathType
	}
	return fmt.Sprintf("bridge %s has not connected to %s: if this stays, see whether ovs-vswitchd runs, and in its log "+
		"whether it could make a bridge of datapath_type %s, which is that of %s", r.BridgeName(), l.cfg.Target, datapath, l.cfg.IntegrationBridge)
}
