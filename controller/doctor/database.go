package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// database examines Open vSwitch and its database.
func (e *examination) database(ctx context.Context) {
	l := e.Lifecycle
	if l == nil {
		e.find(Note, "Open vSwitch", "", "its database is not examined, because all bridges are external (--ovsdb \"\")")
		return
	}
	state, err := l.Database(ctx)
	if err != nil {
		e.find(Problem, "Open vSwitch", "see whether ovsdb-server runs: systemctl status openvswitch-switch", "%v", err)
		return
	}
	e.vswitchd(ctx, state)
	if b, ok := state.Bridge(e.Bridge); ok {
		e.find(Fine, "bridge "+e.Bridge, "", "exists, with datapath_type %s", orSystem(b.DatapathType))
		e.tags(b)
	}
	ops, problems := ovsdb.Plan(state, l.Desired(e.Intent, state))
	for _, p := range problems {
		e.find(Problem, p.Object, p.Remedy, "%s", p.Detail)
	}
	for _, op := range ops {
		e.find(Problem, "OVSDB", "ofdvr repairs this by itself; if it stays, another program undoes the repair: ovsdb-tool show-log shows each write", "the repair would be: %v", op)
	}
	e.peers(ctx, state)
	if len(problems)+len(ops) == 0 {
		e.find(Fine, "OVSDB", "", "bridges, controllers, taps, and patch ports with their peers and tags are as desired")
	}
}

func orSystem(datapathType string) string {
	if datapathType == "" {
		return "system"
	}
	return datapathType
}

// vswitchd checks that ovs-vswitchd works, over its control socket. It does not use next_cfg, which
// would change the database. Then it checks that the switch matches the database.
func (e *examination) vswitchd(ctx context.Context, state ovsdb.State) {
	const about, remedy = "Open vSwitch", "see whether ovs-vswitchd runs, and its log: systemctl status openvswitch-switch"
	version := cmp.Or(state.Version, "of an unknown version")
	ctx, cancel := context.WithTimeoutCause(ctx, ovstrace.AnswerTime, fmt.Errorf("no answer in %v", ovstrace.AnswerTime))
	defer cancel()
	answers := "answers"
	if err := e.askVswitchd(ctx); errors.Is(err, ovstrace.ErrRemote) || errors.Is(err, fs.ErrNotExist) && e.connected() {
		e.find(Note, about, "", "only ovsdb-server was examined, because the control socket of ovs-vswitchd cannot be reached: %v", err)
		answers = "is in use"
	} else if err != nil {
		e.find(Problem, about, remedy, "ovs-vswitchd does not answer: %v", err)
		return
	}
	for ask := state.NextCfg; state.CurCfg < ask; {
		t := time.NewTimer(20 * time.Millisecond) // poll, because notifications of changes go to the lifecycle
		select {
		case <-ctx.Done():
			t.Stop()
			e.find(Problem, about, remedy, "ovs-vswitchd has applied configuration %d instead of %d after %v: it lags behind OVSDB", state.CurCfg, ask, ovstrace.AnswerTime)
			return
		case <-t.C:
		}
		var err error
		if state, err = e.Lifecycle.Database(ctx); err != nil {
			e.find(Problem, about, remedy, "%v", err)
			return
		}
	}
	e.find(Fine, about, "", "%s at %s %s", version, e.OVSDB, answers)
}

func (e *examination) askVswitchd(ctx context.Context) error {
	conn, err := ovstrace.DialBeside(ctx, e.OVSDB)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = ovstrace.Call(ctx, conn, "version")
	return err
}

// peers asks ovs-vswitchd whether packets pass all patch ports between our bridges and other
// bridges, in both directions.
func (e *examination) peers(ctx context.Context, state ovsdb.State) {
	passing, blocked := e.Lifecycle.Patches(ctx, state, e.Intent) // ignore the error: if ovs-vswitchd does not answer, method vswitchd reports it
	for _, b := range blocked {
		e.find(Problem, b.About, b.Remedy, "%s", b.Says)
	}
	if passing > 0 {
		e.find(Fine, "patch ports", "", "packets pass through %s", count(passing, "port"))
	}
}

// connected reports whether the bridge of any managed router is connected. If so,
// ovs-vswitchd runs.
func (e *examination) connected() bool {
	return slices.ContainsFunc(e.Routers, func(r Router) bool { return r.Bridge.Managed && r.Conn != nil })
}

// deadVLAN is the VLAN of ports that Neutron's L2 agent has not bound.
const deadVLAN = 4095

// tags finds ports without a tag that another agent should set.
func (e *examination) tags(b ovsdb.BridgeRow) {
	for _, r := range e.Routers {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			n, _ := e.Intent.Index.Network(f.Network)
			p, ok := b.Port(f.PeerName())
			if ok && r.Bridge.Managed && n.VLAN == 0 && n.VNI == 0 && p.Tag != nil && *p.Tag == deadVLAN {
				e.find(Problem, "router "+r.ID, "see the log of the L2 agent that tags ports, or give network "+n.ID+" a vlan",
					"port %s of interface %s is in the dead VLAN %d, because no agent has bound it", f.PeerName(), f.ID, deadVLAN)
			}
		}
	}
}
