package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// database is the state of OVSDB as last read.
type database struct {
	task
	state ovsdb.State // the database after the last pass
	rows  rows        // of state
	// existing bridges, by name and by datapath ID
	exists    map[string]bool
	pending   bool // the first attempt to connect has not ended
	connected bool
	tried     bool // the last transaction was answered, or no transaction was necessary
	still     bool // the database equaled state during the whole last pass
	applied   bool // the database matches the intent, apart from problems
	ready     bool // namespaces can be set up, because the instance and the ports are known
	compared  bool // formerMACs was called
	nameTaken bool // a link of another program has a name that we need
	moving    bool // a port moves from one bridge to another

	fabric  *ovsdb.Fabric     // the desired fabric, as last applied; nil if no fabric is desired
	tags    map[string]uint16 // tags of networks with a VNI, as last applied
	plugged []string          // see [Report].Plugged
	tagging int               // see [ovsdb.Result].Cfg
	arrived []string          // ports that have become plugged, see [pass.unlearn]

	renewals map[portOf]*renewal // taps to recreate
	suspects map[string]*suspect // patch ports that may not pass packets, by name
	patches  problems            // of patch ports
	audited  int                 // number of patch port ends that earlier audits have checked, see [pass.peers]
	errors   string              // the errors of ports in the database
	doubted  string              // the value of errors at the last request to ovs-vswitchd to confirm errors
}

func newDatabase() database {
	return database{renewals: make(map[portOf]*renewal), suspects: make(map[string]*suspect)}
}

// rows has the rows of a State, by name.
type rows struct {
	bridges    map[string]*ovsdb.BridgeRow
	interfaces map[port]ovsdb.InterfaceRow
	machines   map[string]uint16 // see [Report].Machines; never changed
	turns      map[string]uint64 // see [Report].Turns; never changed
}

// A port is identified by its bridge and its own name.
type port struct{ bridge, name string }

func rowsOf(s ovsdb.State, integrationBridge string) rows {
	r := rows{make(map[string]*ovsdb.BridgeRow, len(s.Bridges)), make(map[port]ovsdb.InterfaceRow), make(map[string]uint16), make(map[string]uint64)}
	for i := range s.Bridges {
		b := &s.Bridges[i]
		r.bridges[b.Name] = b
		for j := range b.Ports {
			for _, f := range b.Ports[j].Interfaces {
				r.interfaces[port{b.Name, f.Name}] = f
				if id := f.ExternalIDs[ovsdb.KeyIfaceID]; id != "" && f.OFPort >= 0 && b.Name == integrationBridge && b.Ports[j].ExternalIDs[ovsdb.KeyOwner] != ovsdb.Owner {
					tag := ourTag(&b.Ports[j])
					if old, twice := r.machines[id]; twice && old != tag {
						tag = noTag
					}
					r.machines[id] = tag
					if turn, err := strconv.ParseUint(b.Ports[j].ExternalIDs[ovsdb.KeyTurn], 10, 64); err == nil && turn < math.MaxUint64 {
						r.turns[id] = max(r.turns[id], turn)
					}
				}
			}
		}
	}
	return r
}

// noTag stands for the tag of a machine in [Report].Machines if another program has changed the tag
// that we set, or if ports of the machine have different tags.
const noTag = 0xffff

// ourTag returns the tag that we have set on a port, 0 if we have set none.
func ourTag(p *ovsdb.PortRow) uint16 {
	mark, marked := p.ExternalIDs[ovsdb.KeyTag]
	switch {
	case !marked:
		return 0
	case p.Tag == nil || strconv.Itoa(*p.Tag) != mark:
		return noTag
	}
	return uint16(*p.Tag)
}

// setState sets the state.
func (d *database) setState(s ovsdb.State, integrationBridge string) {
	d.state, d.rows = s, rowsOf(s, integrationBridge)
	d.exists = make(map[string]bool, 2*len(s.Bridges))
	for i := range s.Bridges {
		d.exists[s.Bridges[i].Name] = true
		if id := s.Bridges[i].DatapathID; id != "" {
			d.exists[id] = true
		}
	}
}

// inspectDatabase corrects the database and reads its new state.
func (p *pass) inspectDatabase(ctx context.Context) {
	d := &p.database
	was, ready, only := d.applied, d.ready, d.notified && !d.due && d.retry.IsZero()
	d.begin()
	before, err := p.db.State(ctx)
	d.pending = err == ovsdb.ErrNotConnected // an error without a reason: no attempt to connect has ended
	if only && was && d.still && err == nil && before.Same(d.state) {
		return // p.database.state is this state already
	}
	began := time.Now()
	p.doing("read and change OVSDB")
	err = p.apply(ctx, before, err)
	d.connected, d.applied = !errors.Is(err, ovsdb.ErrNotConnected), err == nil
	if d.connected {
		var state ovsdb.State
		if state, err = p.db.State(ctx); err == nil {
			d.setState(state, p.cfg.IntegrationBridge)
		} else {
			d.connected = false
			d.problems.add("", err.Error())
		}
	}
	d.tried = d.connected
	if !d.connected { // no namespace is removed while the database is unknown
		d.applied = false
		d.setState(ovsdb.State{}, "")
	}
	d.still = before.Same(d.state)
	p.setPlugged()
	if d.applied {
		p.recheckErrors(ctx)
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
			m.due = true // the namespace may be set up now
		}
	}
	now := time.Now()
	d.rest(now, now.Sub(began), 4*firstPause) // a short pause, because a machine that is plugged in waits for the next inspection
}

// apply corrects the database. state and err are the results of reading it.
func (p *pass) apply(ctx context.Context, state ovsdb.State, err error) error {
	d := &p.database
	d.problems = make(problems)
	if !d.applied {
		wanted, _ := p.advertisers()
		p.endAdvertisements(wanted)
	}
	if err != nil {
		d.problems.add("", err.Error())
		return err
	}
	if !d.compared || p.instance == "" {
		if !d.compared {
			p.formerMACs(state)
			d.compared = true
		}
		p.identify(state)
	}
	d.tags = p.tags(p.want.Index, state)
	d.problems[routing.FabricBridge] = untagged(p.want.Index, d.tags)
	want := p.desired(p.want, d.tags, p.withheld)
	d.fabric = want.Fabric
	res, err := p.db.Apply(ctx, want)
	switch {
	case errors.Is(err, ovsdb.ErrNotConnected):
		d.problems.add("", err.Error())
		return err
	case err != nil:
		d.problems.add("", err.Error())
		p.warn(cannotChange, "", err)
		d.again(time.Now())
	default:
		p.resolved(cannotChange, "")
	}
	if res.Cfg != 0 {
		d.tagging = res.Cfg
	}
	logOps(p.log, res.Ops, d.applied && !d.moving && len(d.renewals) == 0)
	d.errors, d.nameTaken, d.moving = "", false, false
	missing := false // the integration bridge is missing
	for _, problem := range res.Problems {
		d.problems.add(owner(problem), problem.Error())
		switch problem.Kind {
		case ovsdb.TagChanged:
			p.log.Warn("left the tag of a port that another program has set", zap.Error(problem))
		case ovsdb.SwitchError:
			d.errors += problem.Error() + "\n"
		case ovsdb.HostAddresses: // the kernel does not report when the addresses are removed
			d.again(time.Now())
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
		p.resolved(noBridge, "")
	}
	return err
}

// recheckErrors asks ovs-vswitchd once to confirm errors in the database, because they may be
// outdated. If a port fails and is corrected at once, ovs-vswitchd may write the failure after the
// correction (seen with Open vSwitch 3.1). When ovs-vswitchd answers, it also writes the current
// errors.
func (p *pass) recheckErrors(ctx context.Context) {
	if d := &p.database; d.errors == "" || d.errors != d.doubted && p.ask(ctx) != 0 {
		d.doubted = d.errors
	}
}

// unmade returns the remedy for a bridge that does not connect. If ovs-vswitchd could not make the
// bridge, the reason is only in its log.
func (l *Lifecycle) unmade(bridge string) string {
	datapath := "system" // the default of datapath_type
	if b := l.database.rows.bridges[bridge]; b != nil && b.DatapathType != "" {
		datapath = b.DatapathType
	}
	return fmt.Sprintf("bridge %s has not connected to %s: if this stays, check whether ovs-vswitchd runs, and in its log "+
		"whether it could make a bridge of datapath_type %s, the type of %s", bridge, l.cfg.Target, datapath, l.cfg.IntegrationBridge)
}
